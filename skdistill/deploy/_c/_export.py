"""export_c: a student as one C header, proved equal to what was fitted."""

import re
import tempfile
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skdistill._compat import num_samples, safe_indexing
from skdistill.deploy._c._probes import draw_rows, hostile_rows
from skdistill.deploy._c._program import Trees
from skdistill.deploy._c._proof import compile_and_run, find_compiler, version_of
from skdistill.deploy._c._quantize import quantize_net, quantize_trees
from skdistill.deploy._c._read import read_model
from skdistill.deploy._c._reference import refused, run
from skdistill.deploy._c._source import write_source
from skdistill.deploy._files import check_target, write_atomically

#: Rows that are compared, and rows that the self-test carries.
N_COMPARED, N_CARRIED = 2_000, 16

#: Largest difference of a probability in single precision.
EXACT = 1e-5

#: int8 may move the largest of a row's probabilities by so much, on average over rows.
CLOSE = 0.05

#: Identifiers made of a name stay distinct in the 63 characters that C99 promises.
LONGEST_NAME = 31


class CSource(NamedTuple):
    """What `export_c` wrote.

    Parameters
    ----------
    path : Path
        The header.

    name : str
        What its functions and tables begin with.

    n_flash : int
        Bytes of tables, and about what the code takes on a Cortex-M4.

    n_ram : int
        Bytes of stack, about.

    compiler : str or None
        What compiled the header and ran it; None where there was no compiler and numpy
        stood in.

    n_rows : int
        Rows that were compared with the fitted model.

    max_difference, mean_difference : float
        Over those rows, the largest and the mean of a row's largest difference of a
        probability.

    agreement : float
        Share of the rows whose most probable class is the fitted model's.
    """

    path: Path
    name: str
    n_flash: int
    n_ram: int
    compiler: str | None
    n_rows: int
    max_difference: float
    mean_difference: float
    agreement: float


def export_c(model, path, *, dtype="float32", X=None, name=None, tolerance=None):
    """Write a fitted student as C99: one header, no allocation, no library.

    The header is compiled and run beside `model` before it is kept. Where there is no
    C compiler, a numpy program of the same operations stands in, and the header says
    so.

    Parameters
    ----------
    model : classifier
        A fitted MLPStudent or LogisticStudent, a decision tree or a forest of them;
        alone, behind scalers in a Pipeline, or in a DistilledClassifier.

    path : str or Path
        Of the header, ending in ".h".

    dtype : {"float32", "int8"}, default="float32"
        "int8" keeps weights in 8 bits and calculates in whole numbers up to the logits;
        leaves of trees become 8 bits too, thresholds stay.

    X : array-like or data frame of shape (n_samples, n_features), default=None
        Rows like those to come: they show how large activations become (int8), and
        up to 2,000 of them are compared. None draws rows from what the model knows of
        its columns; a linear student that is to be int8 knows too little.

    name : str, default=None
        C identifier that everything in the header begins with. None takes the name of
        the file.

    tolerance : float, default=None
        What the proof lets pass. For float32 the largest difference of a probability,
        1e-5 by default; for int8 the mean over rows of their largest, .05 by default.

    Returns
    -------
    source : CSource
        Path, bytes, and the outcome of the proof.

    Raises
    ------
    TypeError
        If there is no C for a part of the model.

    ValueError
        If a parameter is invalid, or the C does not answer as the model does: nothing
        is written then.

    RuntimeError
        If a compiler was found and fails.

    See Also
    --------
    skdistill.deploy.export_onnx : For machines with an operating system.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_iris
    >>> from skdistill import MLPStudent
    >>> from skdistill.deploy import export_c
    >>> X, y = load_iris(return_X_y=True)
    >>> student = MLPStudent((16,), random_state=0).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     source = export_c(student, Path(folder) / "iris.h", dtype="int8", X=X)
    ...     "int iris_predict(const float *x)" in source.path.read_text()
    True
    >>> source.agreement > 0.98
    True
    """
    path, name = _check_settings(path, name, dtype, tolerance)
    source = read_model(model)
    rows, truth = _rows_and_answers(source, X)
    program = source.program
    if dtype == "int8":
        program = _quantized(source, rows, is_drawn=X is None)
    trial = _Trial.of(source, program, rows, truth, is_exact=dtype == "float32")
    if tolerance is None:
        tolerance = EXACT if trial.is_exact else CLOSE
    text, n_flash, n_ram = write_source(
        program,
        source.interface,
        name,
        *trial.carried(),
        tolerance=max(tolerance, 10 * EXACT) if trial.is_exact else 10 * EXACT,
        kind=type(source.student).__name__,
    )
    compiler = find_compiler()
    answers, complaint = trial.reference, ""
    if compiler is not None:
        answers, complaint = _compiled(compiler, text, name, trial)
    gap = trial.check(answers, tolerance)
    if complaint:
        raise ValueError(
            f"The self-test must pass, got {complaint!r}. Nothing was written. "
            f"{_REPORT}"
        )
    result = CSource(
        path=path,
        name=name,
        n_flash=n_flash,
        n_ram=n_ram,
        compiler=None if compiler is None else version_of(compiler),
        n_rows=len(truth),
        max_difference=float(gap.max()),
        mean_difference=float(gap.mean()),
        agreement=trial.agreement(answers),
    )
    text = text.replace("@proof@", _proof_lines(result))
    write_atomically(path, text.encode("ascii"))
    return result


# -- proof -----------------------------------------------------------------------------


_SINGLE = (
    "C takes single precision: take a start off time stamps, or a centre off "
    "coordinates, before fitting; or pass X in float32, if the C will meet no more."
)
_REPORT = "Compiler or exporter is at fault: please report it, with the model."
_COARSE = "Pass rows like those to come as X, a larger tolerance, or dtype='float32'."


@dataclass(frozen=True)
class _Trial:
    """Rows, and what is expected of them.

    Parameters
    ----------
    rows : ndarray of float32 of shape (n_rows, n_features)
        Rows of the user's, or drawn, and then hostile ones.

    truth : ndarray of shape (<= n_rows, n_classes)
        What the fitted model answers to the first of them.

    reference : ndarray of float32 of shape (n_rows, n_classes)
        What the program answers in numpy.

    expected : ndarray of shape (n_rows, n_classes)
        What the C has to answer: as the model in single precision, as the reference in
        whole numbers.

    is_exact : bool
        Whether the C has to equal the model.
    """

    rows: np.ndarray
    truth: np.ndarray
    reference: np.ndarray
    expected: np.ndarray
    is_exact: bool

    @classmethod
    def of(cls, source, program, rows, truth, *, is_exact):
        """Add hostile rows, and ask all who know."""
        hostile = hostile_rows(source, rows[0])
        all_rows = np.concatenate([rows, hostile])
        expected = reference = run(program, source.interface, all_rows)
        if is_exact:
            expected = np.concatenate([truth, source.answers(hostile)])
        return cls(all_rows, truth, reference, expected, is_exact)

    def carried(self):
        """Rows and answers for the self-test: some of the first, all hostile ones."""
        n_first = len(self.truth)
        first = np.linspace(0, n_first - 1, min(N_CARRIED, n_first)).astype(int)
        chosen = np.append(first, np.arange(n_first, len(self.rows)))
        return self.rows[chosen], self.expected[chosen]

    def check(self, answers, tolerance):
        """Compare answers; return each first row's largest difference to the model.

        Raises
        ------
        ValueError
            If they differ by more than the tolerance.
        """
        gap = np.abs(answers - self.expected).max(axis=1)
        exact = tolerance if self.is_exact else EXACT
        # Not "gap > exact": that would let NaN pass.
        if not (gap <= exact).all():
            worst = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
            whom = "the fitted model" if self.is_exact else "its numpy reference"
            remedy = _SINGLE if self.is_exact else _REPORT
            self._refuse(worst, answers, self.expected, exact, whom, remedy)
        gap = np.abs(answers[: len(self.truth)] - self.truth).max(axis=1)
        if not self.is_exact and gap.mean() > tolerance:
            worst = int(gap.argmax())
            whom = f"the fitted model on average ({gap.mean():.2g})"
            self._refuse(worst, answers, self.truth, tolerance, whom, _COARSE)
        return gap

    def _refuse(self, worst, answers, expected, tolerance, whom, remedy):
        difference = np.abs(answers[worst] - expected[worst]).max()
        raise ValueError(
            f"The C must answer within tolerance={tolerance!r} of {whom}, got a "
            f"difference of {difference:.2g} in row {self.rows[worst].tolist()!r}: "
            f"{answers[worst].tolist()!r} instead of {expected[worst].tolist()!r}. "
            f"Nothing was written. {remedy}"
        )

    def agreement(self, answers):
        """Share of the first rows with the model's most probable class."""
        same = answers[: len(self.truth)].argmax(axis=1) == self.truth.argmax(axis=1)
        return float(same.mean())


def _compiled(compiler, text, name, trial):
    n_classes = trial.expected.shape[1]
    with tempfile.TemporaryDirectory() as folder:
        return compile_and_run(
            compiler, text, name, trial.rows, n_classes, Path(folder)
        )


def _proof_lines(result):
    how = (
        f"compiled by {result.compiler} and run"
        if result.compiler
        else "by a numpy program of the same operations (no C compiler was found)"
    )
    return (
        f"Proof: {result.n_rows} rows, {how}; a probability differs from the fitted\n"
        f" * model's by {result.max_difference:.1e} at most, the most probable class "
        f"agrees in {result.agreement:.4f}."
    )


# -- rows ------------------------------------------------------------------------------


def _rows_and_answers(source, X):
    """Rows as C takes them, and what the fitted model answers."""
    if X is None:
        rows = draw_rows(source)
        return rows, source.answers(rows)
    n_samples = num_samples(X)
    if n_samples > N_COMPARED:
        chosen = np.linspace(0, n_samples - 1, N_COMPARED).astype(int)
        X = safe_indexing(X, chosen)
    # The model's own checks of X come first.
    truth = source.model.predict_proba(X)
    rows = source.rows(X)
    too_large = refused(source.interface, rows)
    if too_large.any():
        raise ValueError(
            "X must hold numbers that single precision can hold, got "
            f"{rows[too_large][0].tolist()!r} in one row. Scale such columns before "
            "fitting."
        )
    return rows, truth


def _quantized(source, rows, *, is_drawn):
    if isinstance(source.program, Trees):
        return quantize_trees(source.program)
    if is_drawn and source.program.inputs.kind == "linear":
        raise ValueError(
            "X must be given with dtype='int8' for a linear student, got None: its "
            "columns have no known range. Pass some hundred rows like those to come."
        )
    return quantize_net(source.program, source.interface, rows)


# -- file ------------------------------------------------------------------------------


def _check_settings(path, name, dtype, tolerance):
    path = Path(path)
    if path.suffix != ".h":
        raise ValueError(
            f"path must end in '.h', got {str(path)!r}: the C is one header."
        )
    check_target(path)
    if dtype not in ("float32", "int8"):
        raise ValueError(f"dtype must be 'float32' or 'int8', got {dtype!r}.")
    if tolerance is not None and not (isinstance(tolerance, Real) and tolerance > 0):
        raise ValueError(
            "tolerance must be a difference of probabilities above 0, got "
            f"{tolerance!r}. None takes {EXACT:g} for float32 and {CLOSE:g} for int8."
        )
    if name is None:
        name = re.sub(r"\W+", "_", path.stem, flags=re.ASCII).strip("_")[:LONGEST_NAME]
        name = name if name[:1].isalpha() else f"model_{name}"[:LONGEST_NAME]
    is_text = isinstance(name, str)
    if not is_text or not re.fullmatch(r"[A-Za-z]\w*", name, flags=re.ASCII):
        raise ValueError(
            "name must be a C identifier of ASCII letters, digits and underscores that "
            f"begins with a letter, got {name!r}."
        )
    if len(name) > LONGEST_NAME:
        raise ValueError(
            f"name must have at most {LONGEST_NAME} characters, got {len(name)}: what "
            "is made of it has to stay distinct in C99."
        )
    return path, name

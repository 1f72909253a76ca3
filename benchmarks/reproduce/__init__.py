"""Published figures, measured again: one command for each paper.

``python -m benchmarks.reproduce.hinton_mnist``, ``.bucila``, ``.dao`` and ``.peers``
append one line of JSON for each finished piece of work to
``benchmarks/results/<name>.jsonl`` and skip what is there already, so that a run that
was cut off goes on where it stopped. ``python -m benchmarks.reproduce.tables`` prints
the tables of the documentation from these lines.
"""

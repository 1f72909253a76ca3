"""model_card: what an artefact is, in Markdown, beside it."""

import hashlib
import os
from pathlib import Path

from skdistill.deploy._files import write_atomically
from skdistill.deploy._runtime import load_onnx

#: Classes and columns that are listed at most.
MAX_LISTED = 50

_NOT_STATED = "Not stated."
_LIMITS = (
    "A distilled student imitates its teacher: it repeats its errors and adds some of "
    "its own. Figures hold for rows like those that they were measured on."
)


def model_card(
    path, *, report=None, name=None, purpose=None, training_data=None,
    limitations=None, license=None,
):  # fmt: skip
    """Write a model card in the manner of [1]_ beside an ONNX file.

    What can be read from the file is: inputs, classes, size, checksum, how near its
    answers are to the fitted model's, versions. What only its maker knows are the other
    arguments; what is left out is said to be left out.

    Parameters
    ----------
    path : str or path-like
        File that :func:`~skdistill.deploy.export_onnx` wrote. The card is written to
        the same name with ".md" at its end, in place of one that is there.

    report : DistillationReport, default=None
        Tables and verdict for the card. None takes the figures in the file's metadata.

    name : str, default=None
        Title; None takes the file's name.

    purpose, training_data, limitations, license : str, default=None
        Markdown: what the model is for and what not; which data it learnt from; where
        it fails; terms of use.

    Returns
    -------
    text : str
        The card.

    Raises
    ------
    ValueError
        If the file is no artefact of export_onnx, or damaged.

    References
    ----------
    .. [1] Mitchell et al., "Model cards for model reporting", FAT* 2019.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from sklearn.datasets import load_iris
    >>> from skdistill import LogisticStudent
    >>> from skdistill.deploy import export_onnx, model_card
    >>> X, y = load_iris(return_X_y=True)
    >>> path = Path(mkdtemp()) / "iris.onnx"
    >>> _ = export_onnx(LogisticStudent().fit(X, y), path)
    >>> card = model_card(path, purpose="Tell irises apart by their measures.")
    >>> print(card.splitlines()[0])
    # iris
    >>> path.with_name("iris.onnx.md").read_text() == card
    True
    """
    path = Path(path)
    about = load_onnx(path).metadata_
    data = path.read_bytes()
    parts = [
        f"# {_inline(name or path.stem)}",
        _summary(about, path.name, len(data)),
        "## Purpose",
        purpose or _NOT_STATED,
        "## Input and output",
        _inputs(about),
        _classes(about),
        "## Use",
        _usage(path.name, about),
        "## Figures",
        _figures(about, report),
        "## Training data",
        training_data or _NOT_STATED,
        "## Limitations",
        "\n\n".join([*filter(None, [limitations]), _LIMITS]),
        "## The file",
        _file(about, hashlib.sha256(data).hexdigest()),
        "## Licence",
        license or _NOT_STATED,
    ]
    text = "\n\n".join(parts) + "\n"
    write_atomically(f"{os.fspath(path)}.md", text.encode())
    return text


def _summary(about, name, n_bytes):
    kind = "a text" if about["kind"] == "text" else "a row of a table"
    weights = about["quantize"] or "float32"
    return (
        f"A classifier of {len(about['classes'])} classes that answers {kind} with "
        f"probabilities. `{name}`: {n_bytes:,} bytes, weights in {weights}. Written by "
        f"skdistill {about['versions'].get('skdistill', '')} on {about['created']}."
    )


def _inputs(about):
    if about["kind"] == "text":
        return "Input: texts, as a list of str."
    names = about["feature_names"]
    lines = ["| input | type | columns |", "|---|---|---|"]
    for entry in about["inputs"]:
        columns = [f"{at}" if names is None else names[at] for at in entry["columns"]]
        lines.append(
            f"| {_cell(entry['name'])} | {entry['dtype']} | {_list(columns)} |"
        )
    missing = "are allowed" if about["allow_nan"] else "are refused"
    return (
        "\n".join(lines) + f"\n\nMissing numbers {missing}, infinite ones are refused."
    )


def _classes(about):
    return (
        f"Classes, in the order of the probabilities: {_list(about['classes'])}. "
        "Outputs are `label` and `probabilities`; these sum to 1."
    )


def _usage(name, about):
    rows = "texts" if about["kind"] == "text" else "rows"
    return (
        "```python\n"
        "from skdistill.deploy import load_onnx\n\n"
        f"model = load_onnx({name!r})\n"
        f"model.predict_proba({rows})\n"
        "```\n\n"
        "This needs numpy and onnxruntime only, and runs no code of the file."
    )


def _figures(about, report):
    if report is not None:
        return report.to_markdown()
    found = about["report"]
    if "verdict" in found:
        return found["verdict"]
    if "held_out" not in found:
        return _NOT_STATED
    metrics = sorted({m for scores in found["held_out"].values() for m in scores})
    lines = [
        "On training rows that were held out to choose the settings:",
        "",
        f"| model | {' | '.join(metrics)} |",
        f"|---|{'---|' * len(metrics)}",
    ]
    for model, scores in found["held_out"].items():
        cells = [str(scores.get(metric, "")) for metric in metrics]
        lines.append(f"| {_cell(model)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _file(about, digest):
    lines = [
        f"- SHA-256: `{digest}`",
        "- Largest difference of a probability from the fitted model, on the rows that "
        f"it was checked by: {about['max_difference']:.2g} (allowed: "
        f"{about['tolerance']:.2g}).",
    ]
    loss = about["quantization_loss"]
    if loss:
        lines.append(
            f"- Rounding the weights changed probabilities by {loss['max_change']:.2g} "
            f"at most, and left {loss['agreement']:.1%} of the labels as they were."
        )
    versions = ", ".join(f"{k} {v}" for k, v in sorted(about["versions"].items()))
    return "\n".join([*lines, f"- Written with {_inline(versions)}."])


# -- Markdown --------------------------------------------------------------------------


def _list(values):
    shown = ", ".join(f"`{_cell(value)}`" for value in values[:MAX_LISTED])
    more = len(values) - MAX_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _cell(value):
    """One value in a table: nothing in it ends the cell or the code span."""
    return _inline(value).replace("|", "\\|").replace("`", "'")


def _inline(value):
    return " ".join(str(value).split())

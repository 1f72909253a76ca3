"""Tables of the documentation, made from the lines of finished work.

``python -m benchmarks.reproduce.tables`` prints them; with ``--write`` it puts them
between their marks in ``docs/user_guide/published.rst``.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.reproduce._records import FIXED, RECIPE, read

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "published.rst"
ABSENT = "–"  # noqa: RUF001 (a dash that is seen as one)

# The papers' figures: plain student, distilled student, teacher.
PAPER_BUCILA = {
    "letter.p1": (0.092, 0.075, 0.075),
    "letter.p2": (0.228, 0.179, 0.178),
    "adult": (0.328, 0.325, 0.317),
}
PAPER_DAO = {
    "magic": {
        1: (0.787, 0.908), 5: (0.897, 0.919), 10: (0.914, 0.922), 40: (0.928, 0.924),
        "teacher": 0.937,
    },
    "adult": {
        1: (0.740, 0.899), 5: (0.860, 0.910), 10: (0.882, 0.911), 40: (0.900, 0.912),
        "teacher": 0.910,
    },
}  # fmt: skip
PAPER_HINTON = {
    ("net 800-800", "plain"): 146,
    ("net 800-800", "T = 20"): 74,
    ("net 800-800", "T = 20, no threes"): "206 (109)",
    ("net 800-800", "T = 20, sevens and eights"): "4730 (1320)",
}


class Means:
    """Means over seeds of one figure of an experiment, of all or of some seeds.

    Parameters
    ----------
    name : str
        Of the experiment.

    figure : str
        Name of the figure.
    """

    def __init__(self, name, figure):
        self._values = defaultdict(dict)
        for line in current_lines(name):
            if figure in line["figures"]:
                self._values[_place(line)][line["seed"]] = line["figures"][figure]

    def __call__(self, *place, seeds=None):
        """Mean at (table, teacher, student, setting), NaN where nothing is done."""
        values = self._values.get(place, {})
        some = [values[s] for s in values if seeds is None or s in seeds]
        return float(np.mean(some or np.nan))

    def seeds(self, *place):
        """Seeds behind a mean."""
        return set(self._values.get(place, ()))

    def n_seeds(self, *place):
        """Number of seeds behind a mean."""
        return len(self.seeds(*place))


def current_lines(name):
    """Lines that owe nothing to an outdated recipe."""
    return [line for line in read(name) if line["recipe"] in (FIXED, RECIPE)]


def _place(line):
    return tuple(line[k] for k in ("table", "teacher", "student", "setting"))


def share(plain, student, teacher, *, higher_is_better=False):
    """Share of the way from plain student to teacher, as text.

    Undefined where the teacher is no better than the plain student.
    """
    if not np.isfinite([plain, student, teacher]).all():
        return ABSENT
    gap = teacher - plain if higher_is_better else plain - teacher
    if gap <= 0:
        return "undefined"
    return f"{(student - plain) / (teacher - plain):.2f}"


def number(value, form):
    """A figure as text, or a dash."""
    return form.format(value) if np.isfinite(value) else ABSENT


def csv_table(header, rows):
    """Lay out a table in reStructuredText."""

    def line(cells):
        return ", ".join(f'"{cell}"' for cell in cells)

    rows = rows or [[ABSENT] * len(header)]  # a table without rows is an error there
    body = [".. csv-table::", f"   :header: {line(header)}", ""]
    return "\n".join(body + [f"   {line(row)}" for row in rows])


# -- tables ----------------------------------------------------------------------------


def hinton_errors():
    """Errors of teacher and students of two layers of 800 units."""
    mean = Means("hinton_mnist", "errors")
    at = ("mnist", "1200-1200")
    teacher = mean(*at, "none", "teacher")
    n_seeds = mean.n_seeds(*at, "none", "teacher")
    rows = [("teacher", "", n_seeds, number(teacher, "{:.0f}"), "", 67, "")]
    for student, setting in (
        ("net 800-800", "plain"),
        ("net 800-800", "T = 20"),
        ("net 800-800", "T = 4"),
        ("net 800-800", "plain, longer"),
        ("net 800-800", "T = 20, longer"),
        ("net 800-800", "T = 4, longer"),
        ("net 800-800", "T = 20, longest"),
        ("fast net 800-800", "plain"),
        ("fast net 800-800", "T = 20"),
        ("net 800-800", "plain, moved images"),
        ("net 800-800", "T = 20, moved images"),
        ("net 800-800", "T = 4, moved images"),
        ("net 800-800", "plain, moved, longer"),
        ("net 800-800", "T = 4, moved, longer"),
        ("net 800-800", "plain, mixed images"),
        ("net 800-800", "T = 20, mixed images"),
        ("net 800-800", "T = 20, mixed, longest"),
        ("MLPStudent 800-800", "plain"),
        ("MLPStudent 800-800", "T = 1"),
        ("MLPStudent 800-800", "T = 20"),
    ):
        errors = mean(*at, student, setting)
        seeds = mean.seeds(*at, student, setting)
        # Against teacher and plain student of the same seeds.
        plain = mean(*at, student, "plain", seeds=seeds)
        teacher = mean(*at, "none", "teacher", seeds=seeds)
        closed = share(plain, errors, teacher)
        paper = PAPER_HINTON.get((student, setting), "")
        rows.append(
            (
                student,
                setting,
                len(seeds),
                number(errors, "{:.0f}"),
                "" if setting == "plain" else closed,
                paper,
                share(146, 74, 67) if paper == 74 else "",
            )
        )
    return csv_table(
        ("student", "targets", "seeds", "errors", "gap closed", "paper: errors",
         "paper: gap closed"),
        rows,
    )  # fmt: skip


def hinton_temperatures():
    """Errors over temperatures, of a wide and of a narrow student."""
    mean = Means("hinton_mnist", "errors")
    hidden = ("net 800-800", "net 30-30")
    settings = ("plain", "T = 1", "T = 2.5", "T = 4", "T = 8", "T = 20")
    at = ("mnist", "1200-1200")
    seeds = [mean.seeds(*at, name, setting) for name in hidden for setting in settings]
    seeds = set.intersection(*filter(None, seeds))  # the same for all
    return csv_table(
        ("targets", *hidden),
        [
            (setting, *(number(mean(*at, name, setting, seeds=seeds), "{:.0f}")
                        for name in hidden))
            for setting in settings
        ],
    )  # fmt: skip


def hinton_omitted():
    """Errors of students that have not met all digits."""
    names = ("errors", "errors_on_omitted", "bias", "errors_with_bias")
    names += ("errors_on_omitted_with_bias",)
    means = [Means("hinton_mnist", name) for name in names]
    rows = []
    for setting in ("T = 20, no threes", "T = 20, sevens and eights"):
        place = ("mnist", "1200-1200", "net 800-800", setting)
        forms = ("{:.0f}", "{:.0f}", "{:.1f}", "{:.0f}", "{:.0f}")
        figures = [
            number(m(*place), form) for m, form in zip(means, forms, strict=True)
        ]
        rows.append((setting, *figures, PAPER_HINTON["net 800-800", setting]))
    return csv_table(
        ("images", "errors", "of omitted digits", "bias", "errors with bias",
         "of omitted digits", "paper: errors (with bias)"),
        rows,
    )  # fmt: skip


def bucila():
    """RMSE to the label."""
    mean = Means("bucila", "rmse")
    teacher_name, student = "ensemble selection", "net of 256 units"
    rows = []
    for table, (plain, distilled, teacher) in PAPER_BUCILA.items():
        at = (table, teacher_name)
        here = [
            mean(*at, student, "plain"),
            mean(*at, student, "MUNGE, soft only"),
            mean(*at, student, "default"),
            mean(*at, "none", "teacher"),
        ]
        rows.append(
            (
                table,
                *(number(value, "{:.4f}") for value in here),
                share(here[0], here[1], here[3]),
                share(here[0], here[2], here[3]),
                f"{plain:.3f} / {distilled:.3f} / {teacher:.3f}",
                share(plain, distilled, teacher),
                mean.n_seeds(*at, student, "default"),
            )
        )
    return csv_table(
        ("table", "plain", "MUNGE, soft only", "default", "teacher",
         "gap closed, MUNGE", "gap closed, default",
         "paper: plain / distilled / teacher", "paper: gap closed", "splits"),
        rows,
    )  # fmt: skip


def dao():
    """AUC of forests of few trees."""
    mean = Means("dao", "auc")
    rows = []
    for table, paper in PAPER_DAO.items():
        teacher = mean(table, "forest", "none", "teacher")
        for k in (1, 5, 10, 40):
            at = (table, "forest", f"forest of {k}")
            plain, bags, default = (
                mean(*at, setting)
                for setting in ("plain", "out of bag, soft only", "default")
            )
            theirs = (*paper[k], paper["teacher"])
            rows.append(
                (
                    table,
                    k,
                    *(number(x, "{:.4f}") for x in (plain, bags, default, teacher)),
                    share(plain, default, teacher, higher_is_better=True),
                    number(default / teacher, "{:.4f}"),
                    "{:.3f} / {:.3f} / {:.3f}".format(*theirs),
                    share(*theirs, higher_is_better=True),
                    f"{theirs[1] / theirs[2]:.4f}",
                    mean.n_seeds(*at, "default"),
                )
            )
    return csv_table(
        ("table", "trees", "plain", "soft only", "default", "teacher", "gap closed",
         "retention", "paper: plain / distilled / teacher", "paper: gap closed",
         "paper: retention", "splits"),
        rows,
    )  # fmt: skip


def dao_weak():
    """AUC and log-loss under a teacher that knows less than its student."""
    auc, loss = Means("dao", "auc"), Means("dao", "log_loss")
    rows = []
    for name, kind, student, setting, paper in (
        ("teacher: stumps", "stumps", "none", "teacher", 0.825),
        ("labels", "forest", "forest of 10", "plain", 0.913),
        ("soft only", "stumps", "forest of 10", "out of bag, soft only", 0.823),
        ("default", "stumps", "forest of 10", "default", 0.913),
    ):
        place = ("magic", kind, student, setting)
        figures = (number(auc(*place), "{:.4f}"), number(loss(*place), "{:.3f}"))
        rows.append((name, *figures, f"{paper:.3f}"))
    return csv_table(("10 trees on", "AUC", "log-loss", "paper: AUC"), rows)


def peers():
    """Peers on the same splits."""
    rows = []
    for line in current_lines("peers"):
        name = f"{line['student']}, {line['setting']}"
        if line["student"] == "none":
            name = line["teacher"]
        figures = line["figures"]
        if "failure" in figures:
            text = figures["failure"].replace('"', "'")
            rows.append((line["table"], name, f"failed: {text}", *[""] * 5))
            continue
        rows.append(
            (
                line["table"],
                name,
                f"{figures['accuracy']:.4f}",
                f"{figures['log_loss']:.3f}",
                f"{figures['ece']:.3f}",
                f"{figures['p50'] * 1e6:,.0f}",
                f"{figures['bytes'] / 1000:,.0f}",
                f"{figures['fit_seconds']:,.0f}",
            )
        )
    return csv_table(
        ("table", "peer", "accuracy", "log-loss", "ECE", "one row, us", "kB",
         "fit, s"),
        sorted(rows, key=lambda row: row[0]),
    )  # fmt: skip


TABLES = {
    "hinton-errors": hinton_errors,
    "hinton-temperatures": hinton_temperatures,
    "hinton-omitted": hinton_omitted,
    "bucila": bucila,
    "dao": dao,
    "dao-weak": dao_weak,
    "peers": peers,
}


def fill(page):
    """Put every table between its marks ``.. table NAME`` and ``.. end of table``.

    Parameters
    ----------
    page : str
        Text of the page.

    Returns
    -------
    page : str
    """
    for name, make in TABLES.items():
        start, end = f".. table {name}\n\n", "\n\n.. end of table"
        before, found, rest = page.partition(start)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(
                f"The page must have the lines '.. table {name}' and "
                "'.. end of table', got a page without them. Add them where the "
                "table is to stand."
            )
        page = before + start + make() + end + after
    return page


def main():
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduce.tables")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    if parser.parse_args().write:
        PAGE.write_text(fill(PAGE.read_text()))
        return
    for name, make in TABLES.items():
        print(f".. table {name}\n\n{make()}\n\n.. end of table\n")


if __name__ == "__main__":
    main()

"""A report as text, Markdown and HTML: complete, aligned, escaped."""

from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from skdistill.report import distillation_report
from skdistill.report._layout import Table, tables_of

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a|b & c"]
X = np.random.RandomState(0).rand(150, 3)
NAMES = np.array(HOSTILE)[X.argmax(axis=1)]
TEACHER = DecisionTreeClassifier(max_depth=4, random_state=0).fit(X, NAMES)
STUDENT = LogisticRegression().fit(X, NAMES)


class Named(LogisticRegression):
    """A plain student with fewer classes and a hostile representation."""

    def __repr__(self):
        return "<b>|</b>"


PLAIN = Named().fit(X[:50], NAMES[:50])


def report_of(y=NAMES, **more):
    return distillation_report(
        STUDENT, X, y, teacher=TEACHER, max_seconds=0, n_resamples=20, **more
    )


@pytest.fixture(scope="module")
def report():
    return report_of(plain=PLAIN)


class Reader(HTMLParser):
    """Notes tags, and checks that all are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_is_well_formed_and_escaped(report):
    reader = Reader()
    reader.feed(report._repr_html_())
    reader.close()
    assert reader.open == []
    assert set(reader.seen) <= {
        "div", "p", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td",
        "details", "summary", "small",
    }  # fmt: skip
    # labels stand among the rows of greatest disagreement, as text
    assert any(label in reader.text for label in HOSTILE)
    assert report.verdict in reader.text


def test_markdown_keeps_cells_and_shows_no_html(report):
    text = report.to_markdown()
    assert report.verdict in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    for line in tables:
        assert line.endswith("|")
    widths = {line.replace("\\|", "").count("|") for line in tables}
    assert len(tables) == 3 * 2 + 3 + 3 + 2 and min(widths) > 3
    assert "<" not in text


def test_text_is_aligned(report):
    blocks = str(report).split("\n\n")
    assert repr(report) == str(report)
    assert " ".join(blocks[0].split("\n")) == report.verdict
    worth = next(b for b in blocks if b.startswith("What they are worth"))
    header, *rows = worth.splitlines()[1:]
    assert [row.split("  ")[0] for row in rows] == [
        "teacher",
        "student",
        "plain student",
    ]
    end = header.index("accuracy") + len("accuracy")
    assert all(row[end - 1] == "]" and row[end] == " " for row in rows)
    accuracy = report.models[1]["accuracy"]
    assert f"{accuracy:.4f} [" in rows[1]


def test_warnings_are_shown_in_every_form():
    targets = TEACHER.predict_proba(X)
    targets[:5] = np.nan
    report = report_of(soft_targets=targets)
    words = "The teacher did not answer 5 of 150 rows"
    assert report.warnings and report.warnings[0].startswith(words)
    for text in (str(report), report.to_markdown(), report._repr_html_()):
        assert words in text and "Warning:" in text


def test_tables_leave_out_what_nobody_knows():
    titles = [table.title for table in tables_of(report_of(y=None))]
    assert titles == ["What they are worth", "What they cost"]
    worth, cost = tables_of(report_of(y=None))
    assert worth.header == ["", "agreement", "KL (nats)"]
    assert [row[0] for row in worth.rows] == ["student"]
    assert cost.header == ["", "size", "parameters"]
    empty = Table("", ["", "a"], [["b", ""]]).compact()
    assert empty.rows == [] and empty.header == [""]


def test_html_without_rows_of_disagreement():
    assert "<details>" not in report_of(n_disagreements=0)._repr_html_()

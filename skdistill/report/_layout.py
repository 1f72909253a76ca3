"""A report as text, Markdown and HTML."""

from dataclasses import dataclass
from html import escape
from textwrap import fill

from skdistill.report._words import amount, bytes_, count, gap, seconds

WIDTH = 100
#: Rows of disagreement that HTML shows.
SHOWN_ROWS = 10


@dataclass(frozen=True)
class Table:
    """Title, names of columns, and rows of words; the first column names the row."""

    title: str
    header: list
    rows: list

    def compact(self):
        """Leave out rows and columns in which nothing is known."""
        rows = [row for row in self.rows if any(row[1:])]
        kept = [k for k in range(len(self.header)) if k == 0 or any(r[k] for r in rows)]
        return Table(
            self.title,
            [self.header[k] for k in kept],
            [[row[k] for k in kept] for row in rows],
        )


def tables_of(report):
    """Tables of a report: what models are worth, what they cost, how they differ."""
    worth = Table(
        "What they are worth",
        ["", "accuracy", "log-loss (nats)", "ECE", "agreement", "KL (nats)"],
        [
            [
                m["model"],
                _known(amount, m, "accuracy", 4),
                _known(amount, m, "log_loss", 4),
                _decimals(m["ece"]),
                _known(amount, m, "agreement", 4),
                _known(amount, m, "kl", 4),
            ]
            for m in report.models
        ],
    )
    cost = Table(
        "What they cost",
        ["", "one row: p50", "p99", "rows/s", "size", "parameters", "teacher rows"],
        [
            [
                m["model"],
                seconds(m["p50"]),
                seconds(m["p99"]),
                count(m["rows_per_second"]),
                bytes_(m["n_bytes"]),
                count(m["n_parameters"]),
                count(m["teacher_rows"]),
            ]
            for m in report.models
        ],
    )
    differences = Table(
        "Differences",
        ["", "accuracy", "McNemar p", "log-loss (nats)", "agreement", "KL (nats)"],
        [
            [
                f"{d['model']} - {d['against']}",
                _known(gap, d, "accuracy", 4),
                "" if d["mcnemar_p"] is None else f"{d['mcnemar_p']:.2g}",
                _known(gap, d, "log_loss", 4),
                _known(gap, d, "agreement", 4),
                _known(gap, d, "kl", 4),
            ]
            for d in report.differences
        ],
    )
    tables = [table.compact() for table in (worth, cost, differences)]
    return [table for table in tables if table.rows]


def _known(write, record, key, digits):
    return "" if record[key] is None else write(record, key, digits)


def _decimals(value):
    return "" if value is None else f"{value:.4f}"


def _origin(report):
    """One line about where the figures come from."""
    known = report.provenance
    versions = known["versions"]
    rows = "" if known["rows"] is None else f" ({known['rows'][:12]})"
    return (
        f"{known['n_rows']:,} rows{rows}, {len(known['classes'])} classes; skdistill "
        f"{versions['skdistill']}, scikit-learn {versions['scikit-learn']}; "
        f"{report.created}"
    )


# -- text ------------------------------------------------------------------------------


def as_text(report):
    """Verdict, warnings and tables for a fixed width.

    Parameters
    ----------
    report : DistillationReport
        What to write.

    Returns
    -------
    text : str
    """
    parts = [_folded(report.verdict)]
    parts += [_folded(f"Warning: {text}") for text in report.warnings]
    parts += [f"{table.title}\n{_text_table(table)}" for table in tables_of(report)]
    return "\n\n".join([*parts, _origin(report)])


def _folded(text):
    return fill(text, WIDTH, break_on_hyphens=False)


def _text_table(table):
    lines = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(line[1:], widths[1:], strict=True)
            ]
        ).rstrip()
        for line in lines
    )


# -- Markdown --------------------------------------------------------------------------


def as_markdown(report):
    """Verdict, warnings and tables in Markdown.

    Parameters
    ----------
    report : DistillationReport
        What to write.

    Returns
    -------
    text : str
    """
    parts = [_markdown(report.verdict)]
    parts += [f"**Warning:** {_markdown(text)}" for text in report.warnings]
    for table in tables_of(report):
        lines = [table.header, ["---", *["---:"] * (len(table.header) - 1)]]
        lines += [[_markdown(cell) for cell in row] for row in table.rows]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"**{table.title}**\n\n{body}")
    return "\n\n".join([*parts, _markdown(_origin(report))]) + "\n"


def _markdown(text):
    """Escape what Markdown would read as HTML or as the end of a cell."""
    return escape(text, quote=False).replace("|", "\\|")


# -- HTML ------------------------------------------------------------------------------


def as_html(report):
    """Verdict, warnings, tables and some rows of disagreement in HTML.

    Parameters
    ----------
    report : DistillationReport
        What to write.

    Returns
    -------
    html : str
        Every text is escaped: labels may hold anything.
    """
    parts = [f"<p>{escape(report.verdict)}</p>"]
    parts += [
        f"<p><strong>Warning:</strong> {escape(text)}</p>" for text in report.warnings
    ]
    parts += [_html_table(table) for table in tables_of(report)]
    apart = _apart(report)
    if apart.rows:
        parts.append(
            f"<details><summary>{escape(apart.title)}</summary>{_html_table(apart)}"
            "</details>"
        )
    parts.append(f"<p><small>{escape(_origin(report))}</small></p>")
    return f"<div>{''.join(parts)}</div>"


def _html_table(table):
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    body = "".join(
        f"<tr><th>{escape(row[0])}</th>"
        + "".join(
            f'<td style="text-align:right">{escape(cell)}</td>' for cell in row[1:]
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f"<table><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _apart(report):
    """Table of the rows of greatest disagreement, without all the probabilities."""
    records = report.to_dict()["disagreements"][:SHOWN_ROWS]
    keys = [
        k for k in ("row", "y", "teacher", "student") if records and k in records[0]
    ]
    return Table(
        "Rows of greatest disagreement",
        [*keys, "total variation"],
        [
            [*(str(record[k]) for k in keys), f"{record['total_variation']:.4f}"]
            for record in records
        ],
    )

"""Colours, axes and words that the displays share."""

from typing import NamedTuple


class Style(NamedTuple):
    """How one model is drawn: colour, marker and line style, each of its own.

    The colours are Okabe and Ito's, which people with any kind of colour vision tell
    apart ("Color universal design", 2008); marker and line say the same in print.
    """

    color: str
    marker: str
    linestyle: str


TEACHER = Style("#D55E00", "s", "--")
STUDENT = Style("#0072B2", "o", "-")
PLAIN = Style("#009E73", "^", ":")
#: Models that are none of the three, in the order in which they come.
OTHERS = (
    Style("#CC79A7", "D", "-."),
    Style("#56B4E9", "v", (0, (1, 1))),
    Style("#E69F00", "P", (0, (5, 1))),
    Style("#000000", "X", (0, (3, 1, 1, 1))),
)
STYLES = {"teacher": TEACHER, "student": STUDENT, "plain student": PLAIN}
QUIET = "#767676"  # grey that is still readable on white
#: Colours of amounts: lightest for few, and white where there is nothing.
AMOUNTS = "viridis_r"


def styles_of(names):
    """Style of each model by its name, the known ones always the same."""
    others = [name for name in names if name not in STYLES]
    more = {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(others)}
    return {name: STYLES.get(name) or more[name] for name in names}


def import_pyplot(caller):
    """Import matplotlib.pyplot, or say who needs it and how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} draws with matplotlib, which is not installed. Install it with "
            "`pip install matplotlib`."
        ) from error
    return plt


def axes_for(display, ax, figsize):
    """Axes to draw into, new ones if none are given; set `ax_` and `figure_`."""
    plt = import_pyplot(f"{type(display).__name__}.plot")
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def text_sizes(ax):
    """Sizes of a title and of a legend that suit the width of the axes, in points."""
    inches = ax.get_window_extent().width / ax.figure.dpi
    return (10.0, 8.5) if inches > 3 else (8.0, 6.5)


def percent(share, digits=1):
    """Share as a percentage without its sign: 0.9634 as "96.3"."""
    return f"{100 * share:.{digits}f}"

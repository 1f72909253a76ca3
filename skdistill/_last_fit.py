"""The last fit: the chosen settings, on all rows."""

from dataclasses import dataclass

from skdistill._panel import Panel
from skdistill._training import PLAIN


@dataclass(frozen=True)
class LastFit:
    """What is left at the end.

    Parameters
    ----------
    student : fitted classifier

    feed : Feed
        How it was fed and why.

    new : NewRows or None
        What it met besides the training rows.

    plain_student : fitted classifier or None
        Where it was a candidate.
    """

    student: object
    feed: object
    new: object
    plain_student: object


def fit_chosen(
    choice, rows, trainer, source, *, teacher, calibration, with_plain, progress
):
    """Fit the student with the chosen settings, and what it needs before.

    Parameters
    ----------
    choice : Choice

    rows : Rows
        All rows.

    trainer : Trainer

    source : TransferSource
        Gives new rows.

    teacher : classifier or None
        Labels them.

    calibration : Calibration
        Of the teacher's probabilities.

    with_plain : bool
        Whether the plain student is wanted for comparison.

    progress : FitProgress
        Told of each fit.

    Returns
    -------
    fitted : LastFit
    """
    best, seats = choice.best, choice.seats
    if best.transfer not in source.samplers:
        seats = {}
    wanted = [PLAIN] if with_plain else []
    wanted += [settings for settings in seats if settings not in wanted]
    with progress.task("fit student", 1 + len(wanted)) as step:
        plain = {}
        for settings in wanted:
            plain[settings] = trainer.fit(rows, settings)
            step()
        panel = Panel(calibration).with_students(
            (plain[settings][0], weight) for settings, weight in seats.items()
        )
        new = source.rows_for(
            trainer.make_student(), rows, teacher, best.transfer, panel
        )
        student, feed = plain.get(best) or trainer.fit(rows, best, new)
        student = choice.finish.apply(student)
        step()
    return LastFit(student, feed, new, plain.get(PLAIN, (None,))[0])

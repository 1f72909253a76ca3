"""What "auto" comes to in MLPStudent, for a number of rows."""

from dataclasses import dataclass

#: Up to so many rows a fit is in float64, on all rows at once, and holds none back:
#: then repeating a row and weighing it are the same to the last digits.
FEW_ROWS = 200

#: A stream is trained on with the settings of a table of so many rows.
STREAM_ROWS = 5000

#: From so many rows on, batches and with them the learning rate are twice as large
#: (Goyal et al. 2017).
LARGE_ROWS = 10_000
RATE, LARGE_RATE = 0.01, 0.02

#: From so many rows on training is longer.
MANY_ROWS = 100_000


@dataclass(frozen=True)
class Settings:
    """Length and strength of training."""

    n_steps: int
    learning_rate: float
    batch_size: int
    weight_decay: float


def auto_steps(n_rows):
    """Gradient steps that ``max_steps="auto"`` comes to."""
    if n_rows <= FEW_ROWS:
        return 300
    return 16_000 if n_rows >= MANY_ROWS else 4 * min(max(n_rows, 500), 2500)


def auto_rate(n_rows):
    """Learning rate that ``learning_rate="auto"`` comes to."""
    return LARGE_RATE if n_rows >= LARGE_ROWS else RATE


def resolve(student, n_rows, hidden_sizes):
    """Settings of an MLPStudent for a number of training rows.

    Parameters
    ----------
    student : MLPStudent
        Its `max_steps`, `learning_rate`, `batch_size` and `weight_decay` may be "auto".

    n_rows : int
        Number of training rows.

    hidden_sizes : list of int
        Units of the hidden layers.

    Returns
    -------
    settings : Settings
    """
    few = n_rows <= FEW_ROWS
    n_steps, batch_size = student.max_steps, student.batch_size
    rate, decay = student.learning_rate, student.weight_decay
    if n_steps == "auto":
        n_steps = auto_steps(n_rows)
    if rate == "auto":
        rate = auto_rate(n_rows)
    if few:
        batch_size = n_rows
    elif batch_size == "auto":
        batch_size = 256 if n_rows >= LARGE_ROWS else 128
    if decay == "auto":
        # A prior on the weights counts less where there are more rows. Few rows take
        # one value, as repeated rows must do what weights do.
        decay = 5.0 if few else min(1000.0 / n_rows, 5.0)
        widest = max(hidden_sizes, default=0)
        decay = max(decay * min(max(widest, 16) / 64, 1.0), 0.03)
        # A step takes rate times decay off each weight: no more than half of it.
        decay = min(decay, 0.5 / rate)
    return Settings(n_steps, rate, batch_size, decay)

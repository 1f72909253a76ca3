"""What is written as C: programs of arrays, which numpy can run too."""

from dataclasses import dataclass

import numpy as np

#: Largest float of single precision.
LARGEST = float(np.finfo(np.float32).max)

#: Inputs beyond so many spreads are bounded before they are squared: from here on the
#: smooth clip is flat to the last digit.
FAR = 1e9


@dataclass(frozen=True)
class Category:
    """A column of categories, which the caller of C passes as whole numbers.

    Parameters
    ----------
    position : int
        Of the column in a row.

    levels : list
        What the codes 0, 1, ... stand for; None stands for a missing value.

    infrequent : list
        Levels that share the code that follows.

    row : int
        Row of the first layer's weights that belongs to code 0.
    """

    position: int
    levels: list
    infrequent: list
    row: int

    @property
    def n_codes(self):
        """Number of codes."""
        return len(self.levels) + bool(self.infrequent)

    @property
    def missing(self):
        """Code of a missing value, -1 where it is a level like any unknown one."""
        if None in self.levels:
            return self.levels.index(None)
        return len(self.levels) if None in self.infrequent else -1


@dataclass(frozen=True)
class Interface:
    """What the caller of C passes and gets.

    Parameters
    ----------
    n_features : int
        Numbers in a row.

    feature_names : list of str or None

    classes : list
        Labels.

    categories : tuple of Category

    allow_nan : bool
        Whether NaN stands for a missing number; it is refused otherwise.
    """

    n_features: int
    feature_names: list | None
    classes: list
    categories: tuple = ()
    allow_nan: bool = True


@dataclass(frozen=True)
class Inputs:
    """How numbers of a row reach the first layer, in single precision.

    Parameters
    ----------
    kind : {"linear", "smooth", "bins"}
        A number x becomes ``z = (x - center) * rate``, bounded to `bound`; "smooth"
        squeezes that into (-clip, clip), and "bins" puts it through ramps.

    columns : ndarray of int of shape (n_columns,)
        Their positions in a row.

    center : ndarray of float32 of shape (2, n_columns)
        Subtracted one after the other: the second is what the first was rounded by.
        A missing number counts as lying here.

    rate : ndarray of float32 of shape (n_columns,)

    bound : float
        Largest magnitude of z.

    indicator : ndarray of int of shape (n_columns,)
        Row of the weights to add where the number is missing; -1 for none.

    clip : float or None

    start : ndarray of int of shape (n_columns + 1,) or None
        Column j has the bins, and the rows of weights, start[j] to start[j + 1]. Other
        kinds have one row a column.

    low : ndarray of float32 of shape (2, n_bins) or None
        Lower edges, in two parts as `center`; they rise within a column.

    bin_rate : ndarray of float32 of shape (n_bins,) or None
    """

    kind: str
    columns: np.ndarray
    center: np.ndarray
    rate: np.ndarray
    bound: float
    indicator: np.ndarray
    clip: float | None = None
    start: np.ndarray | None = None
    low: np.ndarray | None = None
    bin_rate: np.ndarray | None = None


@dataclass(frozen=True)
class Layer:
    """Weights (n_in, n_out) and intercepts (n_out,), float32."""

    weights: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Net:
    """Layers with an activation between them; softmax at the end.

    One logit at the end is the log-odds of the second of two classes.
    """

    inputs: Inputs
    layers: tuple
    activation: str


@dataclass(frozen=True)
class WholeLayer:
    """A layer of whole numbers.

    Parameters
    ----------
    weights : ndarray of int8 of shape (n_in, n_out)

    bias : ndarray of int32 of shape (n_out,)

    largest : int
        Largest magnitude of its inputs, which makes every sum fit 32 bits.

    scale : ndarray of float32 of shape (n_out,)
        What one unit of a sum is worth.
    """

    weights: np.ndarray
    bias: np.ndarray
    largest: int
    scale: np.ndarray


@dataclass(frozen=True)
class Step:
    """From the sums of one layer to the inputs of the next.

    Parameters
    ----------
    factor : ndarray of int32 of shape (n_units,) or None
        An output is ``(sum * factor + half) >> shift``; None where the activation needs
        floats.

    shift : int

    unit : float
        What one unit of the output is worth.
    """

    factor: np.ndarray | None
    shift: int
    unit: float


@dataclass(frozen=True)
class WholeNet:
    """A net of int8 weights, int16 activations and int32 sums.

    Parameters
    ----------
    inputs : Inputs

    unit : float
        What one unit of the first layer's inputs is worth.

    layers : tuple of WholeLayer

    steps : tuple of Step
        One between each two layers.

    activation : str
    """

    inputs: Inputs
    unit: float
    layers: tuple
    steps: tuple
    activation: str


@dataclass(frozen=True)
class Trees:
    """Trees whose leaves are averaged.

    Parameters
    ----------
    roots : ndarray of int of shape (n_trees,)
        Where each begins: a node, or ``~row`` of `values` where it is a leaf at once.

    feature : ndarray of int of shape (n_nodes,)
        Column that a node looks at.

    threshold : ndarray of float32 of shape (n_nodes,)
        Numbers up to this go left.

    missing_left : ndarray of bool of shape (n_nodes,)
        Where a missing number goes.

    left, right : ndarray of int of shape (n_nodes,)
        The next node, or ``~row``.

    values : ndarray of shape (n_rows, n_classes)
        Distinct leaves: float32, or uint8 of the square roots of probabilities.

    finish : {"normalise", "softmax"}
        What makes probabilities of the sum over trees.

    power : float
        Probabilities are raised to this power at the end.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray
    finish: str = "normalise"
    power: float = 1.0


def split_float(values):
    """Two rows of float32 that add up to float64 values.

    A time stamp minus another is exact that way, where rounding the second alone would
    cost minutes.
    """
    values = np.clip(np.asarray(values, dtype=np.float64), -LARGEST, LARGEST)
    high = values.astype(np.float32)
    return np.stack([high, (values - high).astype(np.float32)])

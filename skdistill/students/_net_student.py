"""What the students share that train a net in torch and answer by its layers."""

from numbers import Integral, Real

import numpy as np
from scipy.special import expit

from skdistill._compat import Interval, StrOptions, fit_context
from skdistill.students._base import SoftTargetClassifier
from skdistill.students._training_rows import hold_out

#: What hidden layers do to an array, which is theirs to write on.
ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": lambda z: expit(z, out=z),
    "tanh": lambda z: np.tanh(z, out=z),
    "relu": lambda z: np.maximum(z, 0.0, out=z),
}


class NetStudent(SoftTargetClassifier):
    """Base of the students that are nets: two or more logits, out of plain arrays.

    A subclass has the parameters below besides its own, and all that
    SoftTargetClassifier asks for. Its fit takes a `temperature`, and leaves `coefs_`,
    `intercepts_`, and the skorch net as `net_`.
    """

    _parameter_constraints: dict = {
        "hidden_layer_sizes": ["array-like"],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "max_steps": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "ema_decay": [Interval(Real, 0, 1, closed="left")],
        "callbacks": [list, tuple, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _divide_logits(self, temperature):
        """Make all answers more modest (above 1) or more sure, for good."""
        self.coefs_ = [*self.coefs_[:-1], self.coefs_[-1] / temperature]
        self.intercepts_ = [*self.intercepts_[:-1], self.intercepts_[-1] / temperature]

    @fit_context(prefer_skip_nested_validation=False)
    def fit_soft_targets(
        self, X, soft_targets, *, classes, sample_weight=None, validation=None,
        temperature=1.0,
    ):  # fmt: skip
        """Fit on probabilities, by soft cross-entropy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), data frame or list of str
            Rows, as in `fit`.

        soft_targets : array-like of shape (n_samples, n_classes)
            Probabilities of the classes; rows sum to 1.

        classes : array-like of shape (n_classes,)
            Labels of the columns, sorted.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows; only their proportions matter.

        validation : tuple (X, soft_targets) or (X, soft_targets, sample_weight), \
                default=None
            Rows for early stopping. None holds some of X back.

        temperature : float, default=1.0
            What the soft targets were tempered with: logits are divided by it in the
            loss, so that answers are at temperature 1.

        Returns
        -------
        self : object
            The fitted student.

        Raises
        ------
        ValueError
            If training diverges, or for soft targets, weights or a temperature that
            are none.
        """
        if not isinstance(temperature, Real) or not 0 < temperature < np.inf:
            raise ValueError(
                f"temperature must be a finite number above 0, got {temperature!r}. "
                "1.0 leaves soft targets as they are."
            )
        return self._fit_soft(
            X, soft_targets, classes, sample_weight, validation, temperature=temperature
        )

    def _set_aside(self, rows, few, rng):
        """Rows to train on, and those held back for early stopping: None for none."""
        if few or not self.early_stopping:
            return rows, None
        mask = hold_out(rows, self.validation_fraction, rng)
        return (rows.take(~mask), rows.take(mask)) if mask.any() else (rows, None)

    def decision_function(self, X):
        """Logits of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), data frame or list of str
            Rows, as in `fit`.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Logits; for two classes the second one's minus the first one's, which is the
            log-odds of the second.
        """
        z = self._decision(X)
        return z[:, 1] - z[:, 0] if z.shape[1] == 2 else z

    def __getstate__(self):
        """Leave the net out: arrays answer without torch."""
        state = super().__getstate__().copy()
        state.pop("net_", None)
        return state


def run_layers(z, coefs, intercepts, activation):
    """Logits of encoded rows, or of a single one.

    Parameters
    ----------
    z : ndarray of shape (n_in,) or (n_samples, n_in)
        It is not written on.

    coefs, intercepts : list of ndarray
        Weights and intercepts of each layer.

    activation : {"identity", "logistic", "tanh", "relu"}
        Of the hidden layers.

    Returns
    -------
    z : ndarray of shape (n_out,) or (n_samples, n_out)
    """
    act, last = ACTIVATIONS[activation], len(coefs) - 1
    for layer, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        z = np.dot(z, coef)  # on one row half the time of the operator @
        z += intercept
        if layer < last:
            z = act(z)
    return z

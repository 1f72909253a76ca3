"""How long nets learn from a teacher: as long as the plain net makes reasonable."""

from dataclasses import dataclass

from skdistill.students import MLPStudent, auto_steps, last_step

#: What a gradient step costs besides its rows times weights, in the same unit: with
#: narrow nets torch's own work is most of it.
STEP_COST, BATCH = 2_000_000, 256
#: A step on new rows may cost so many of the plain net's before steps become fewer.
DEAR = 2.0


@dataclass(frozen=True)
class Length:
    """Gradient steps of a fit, in fits of the plain net."""

    times: float
    least: int
    most: int


#: To tell settings apart; to meet the plain student; to be kept.
TRIAL = Length(0.5, 750, 3_000)
FINAL_ROUND = Length(1.5, 2_000, 10_000)
TO_KEEP = Length(3.0, 4_000, 16_000)


class Pace:
    """Bounds the steps of nets by those that the plain net took.

    Where labels are learnt in few steps, the whole search costs little too, and the
    ratio of the two is about the same for all tables.

    Parameters
    ----------
    is_bounded : bool, default=True
        False leaves all lengths at their most.
    """

    def __init__(self, is_bounded=True):
        self.is_bounded = is_bounded
        self._plain = {}

    def note(self, encoding, student):
        """Take notice of a plain student."""
        net = last_step(student)
        if self.is_bounded and isinstance(net, MLPStudent):
            n_weights = sum(coef.size for coef in net.coefs_)
            self._plain[encoding] = net.n_steps_, n_weights

    def steps(self, student, n_rows, encoding, length):
        """Steps for a student; None where that is not for us to say.

        Parameters
        ----------
        student : estimator
            Unfitted.

        n_rows : int
            That it is to learn from, new ones included.

        encoding : str
            How it is to take numeric columns.

        length : Length

        Returns
        -------
        n_steps : int or None
        """
        net = last_step(student)
        if not isinstance(net, MLPStudent) or net.max_steps != "auto":
            return None
        most = min(auto_steps(n_rows), length.most)
        if "" not in self._plain:
            return most
        n_steps, n_weights = self._plain[""]
        wide = self._plain.get(encoding, (None, n_weights))[1]
        price = (STEP_COST + BATCH * wide) / (STEP_COST + BATCH / 2 * n_weights)
        n_steps = max(length.times * n_steps, length.least) * min(DEAR / price, 1.0)
        return int(min(n_steps, most))

"""How long nets learn from a teacher: as long as the plain net makes reasonable."""

from dataclasses import dataclass
from itertools import pairwise

from skdistill.students import MLPStudent, auto_steps, last_step
from skdistill.students._layers import check_hidden_sizes

#: What a gradient step costs besides its rows times weights, in the same unit: with
#: narrow nets torch's own work is most of it. What a cell of the encoded rows costs.
STEP_COST, CELL_COST, BATCH = 3_300_000, 150, 256
#: An encoding may make a step cost so many of the usual ones before steps become fewer;
#: one that would leave less than half of them is not tried.
DEAR, TOO_DEAR = 1.35, 2.7
#: So many fits of the plain net may all students cost: the last one takes what is left,
#: and in any case its least steps, and as many as a final round would take.
BUDGET = 13.5


@dataclass(frozen=True)
class Length:
    """Gradient steps of a fit, in fits of the plain net."""

    times: float
    least: int
    most: int


#: To tell settings apart; to meet the plain student; to be kept.
TRIAL = Length(0.5, 750, 3_000)
FINAL_ROUND = Length(1.5, 2_000, 10_000)
TO_KEEP = Length(3.0, 3_500, 16_000)


class Pace:
    """Bounds the steps of nets by those that the plain net took.

    Where labels are learnt in few steps, the whole search costs little too, and the
    ratio of the two is about the same for all tables. What has been fitted is counted
    in steps of the plain net, never in seconds: results do not depend on the machine.

    Parameters
    ----------
    is_bounded : bool, default=True
        False leaves all lengths at their most.
    """

    def __init__(self, is_bounded=True):
        self.is_bounded = is_bounded
        self._plain, self._spent = {}, 0.0

    def note(self, encoding, student):
        """Take notice of a plain student."""
        net = last_step(student)
        if self.is_bounded and isinstance(net, MLPStudent):
            n_weights = sum(coef.size for coef in net.coefs_)
            self._plain[encoding] = net.n_steps_, n_weights, len(net.coefs_[0])
            own = step_cost(n_weights, BATCH / 2) / self._plain_cost()
            self._spent += net.n_steps_ * own

    def spend(self, encoding, n_steps, n_rows):
        """Take notice of a student that has learnt from new rows."""
        if "" in self._plain:
            self._spent += n_steps * self._price(encoding)
            self._spent += self._encoding_cost(encoding, n_rows)

    def _encoding_cost(self, encoding, n_rows):
        """What it costs to encode rows, in steps of the plain net."""
        *_, n_inputs = self._plain.get(encoding, self._plain[""])
        return CELL_COST * n_rows * n_inputs / self._plain_cost()

    def _plain_cost(self):
        """Cost of a step of the plain net, whose batches are smaller."""
        return step_cost(self._plain[""][1], BATCH / 2)

    def _price(self, encoding):
        """What a step on new rows costs, in steps of the plain net."""
        _, n_weights, _ = self._plain.get(encoding, self._plain[""])
        return step_cost(n_weights, BATCH) / self._plain_cost()

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
        n_plain, price = self._plain[""][0], self._price(encoding)
        share = min(DEAR * self._price("") / price, 1.0)
        n_steps, least = length.times * n_plain, length.least
        if length is TO_KEEP:
            final = min(FINAL_ROUND.times * n_plain, FINAL_ROUND.most)
            least = max(least, final)
            left = BUDGET * n_plain - self._spent
            left -= self._encoding_cost(encoding, n_rows)
            n_steps = min(n_steps, left / price / share)
        return int(min(max(n_steps, least) * share, most))


def step_cost(n_weights, n_rows):
    """Cost of a gradient step of a net, in the unit of `STEP_COST`."""
    return STEP_COST + n_rows * n_weights


def is_too_dear(net, n_inputs, n_encoded):
    """Tell whether an encoding makes the steps of a net so costly that few are left.

    A trial would say nothing then.

    Parameters
    ----------
    net : MLPStudent
        Unfitted.

    n_inputs, n_encoded : int
        Inputs of its first layer without the encoding, and with it.

    Returns
    -------
    too_dear : bool
    """
    first, *rest = check_hidden_sizes(net.hidden_layer_sizes) or [1]
    inner = sum(a * b for a, b in pairwise([first, *rest]))
    usual = step_cost(n_inputs * first + inner, BATCH)
    return step_cost(n_encoded * first + inner, BATCH) > TOO_DEAR * usual

"""Where the time of a fit goes."""

from contextlib import contextmanager
from time import perf_counter


class Costs:
    """Seconds by what they were spent on; a part within another counts once.

    Attributes
    ----------
    seconds : dict of str to float
        In the order of first use.
    """

    def __init__(self):
        self.seconds = {}
        self._inside = [0.0]

    @contextmanager
    def clock(self, name):
        """Add the time spent within, less that of clocks within, to a name."""
        begin = perf_counter()
        self._inside.append(0.0)
        try:
            yield
        finally:
            spent = perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0) + spent - self._inside.pop()
            self._inside[-1] += spent

"""What it costs to import the package, in fresh processes."""

import subprocess
import sys
from statistics import median
from time import perf_counter


def seconds(code):
    """Median of seven fresh interpreters."""
    times = []
    for _ in range(7):
        start = perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(perf_counter() - start)
    return median(times)


class Import:
    timeout = 120

    def timeraw_sklearn(self):
        return "import sklearn"

    def timeraw_skdistill(self):
        return "import skdistill"

    def timeraw_skdistill_names(self):
        return "from skdistill import DistilledClassifier, MLPStudent"

    def track_skdistill_over_sklearn(self):
        return seconds("import skdistill") / seconds("import sklearn")

    track_skdistill_over_sklearn.unit = "ratio (at most 1.2)"

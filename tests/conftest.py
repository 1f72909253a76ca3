"""What every test runs under: one thread, no display, no network."""

import os

# Before numpy or torch load: two test processes on two cores must not start four
# threads each, and timings should mean something.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# After the threads, for hypothesis may load numpy. Its limit of 200 ms per example
# measures the machine, not the code: a busy one failed a right answer.
from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")

# A program that a test runs, with the folder of the tests on its path.
collect_ignore = ["load_onnx_worker.py"]

"""What the package costs and what it delivers, for asv (`make bench`).

``SKDISTILL_BENCH=fast`` takes few rows and a small teacher: CI runs that, to see that
the suite works. Timings are of one thread.
"""

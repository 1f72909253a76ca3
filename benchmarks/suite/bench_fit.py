"""Seconds and memory of fitting a student on given soft targets."""

from .common import STUDENTS, distil, labelled


class Fit:
    params = STUDENTS
    param_names = ("student",)
    timeout = 600

    def setup_cache(self):
        return labelled()

    def time_fit(self, data, name):
        distil(name, data)

    def peakmem_fit(self, data, name):
        distil(name, data)

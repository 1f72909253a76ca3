"""Seconds of exporting C, its proof included, and bytes of what comes out."""

from pathlib import Path
from tempfile import TemporaryDirectory

from skdistill.deploy import export_c

from .common import Fitted


class ExportC(Fitted):
    params = (("mlp", "logistic", "tree"), ("float32", "int8"))
    param_names = ("student", "dtype")

    def setup(self, cache, name, dtype):
        self.model, self.X = cache.student(name), cache.data.X
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "model.h"

    def teardown(self, cache, name, dtype):
        self.folder.cleanup()

    def export(self, dtype):
        return export_c(self.model, self.path, dtype=dtype, X=self.X, tolerance=0.5)

    def time_export_c(self, cache, name, dtype):
        self.export(dtype)

    def track_flash(self, cache, name, dtype):
        return self.export(dtype).n_flash

    track_flash.unit = "bytes"

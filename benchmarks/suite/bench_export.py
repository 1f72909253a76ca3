"""Seconds and bytes of exporting, and seconds of a row in plain ONNX Runtime."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from skdistill.deploy import export_onnx

from .common import Fitted

STORED = ("float32", "float16", "int8")


class ExportMLP(Fitted):
    params = (STORED,)
    param_names = ("weights",)

    def setup(self, cache, weights):
        import onnxruntime

        self.model, self.X = cache.student("mlp"), cache.data.X
        self.quantize = None if weights == "float32" else weights
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "mlp.onnx"
        self.time_export(cache, weights)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            self.path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        self.feeds = {"X": self.X[:1].astype(np.float32)}

    def teardown(self, cache, weights):
        self.folder.cleanup()

    def time_export(self, cache, weights):
        export_onnx(self.model, self.path, quantize=self.quantize, X=self.X)

    def time_row(self, cache, weights):
        self.session.run(["probabilities"], self.feeds)

    def track_bytes(self, cache, weights):
        return self.path.stat().st_size

    track_bytes.unit = "bytes"


class ExportPipeline(Fitted):
    """scikit-learn's own boosting, by skl2onnx and our writer of its trees."""

    def setup(self, cache):
        self.model, self.X = cache.student("hist_gradient_boosting"), cache.data.X
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "boosting.onnx"

    def teardown(self, cache):
        self.folder.cleanup()

    def time_export(self, cache):
        export_onnx(self.model, self.path, X=self.X)

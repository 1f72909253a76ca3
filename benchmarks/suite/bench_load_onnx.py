"""Seconds of a deployed row, of loading a file, and of a fresh process."""

from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from .common import distil, labelled, one_thread

KINDS = {"float32": None, "int8": "int8"}


class Exported:
    """Base: a student is fitted and written once."""

    timeout = 600

    def setup_cache(self):
        from skdistill.deploy import export_onnx

        one_thread()
        data, folder = labelled(), Path(mkdtemp())
        student = distil("mlp", data).student_
        for name, quantize in KINDS.items():
            path = folder / f"{name}.onnx"
            export_onnx(student, path, X=data.X[:500], quantize=quantize)
        return folder, data.X_test


class AnswerFromFile(Exported):
    params = (tuple(KINDS), ("load_onnx", "bare session"), (1, 10_000))
    param_names = ("weights", "way", "rows")

    def setup(self, cache, weights, way, rows):
        folder, X = cache
        path = folder / f"{weights}.onnx"
        X = np.resize(X, (rows, X.shape[1])).astype(np.float32)
        if way == "load_onnx":
            from skdistill.deploy import load_onnx

            model = load_onnx(path)
            self.answer = lambda: model.predict_proba(X)
        else:
            from benchmarks.deploy import bare_session

            session = bare_session(path)
            feed = {session.get_inputs()[0].name: X}
            self.answer = lambda: session.run(["probabilities"], feed)
        self.answer()

    def time_predict_proba(self, cache, weights, way, rows):
        self.answer()


class LoadFile(Exported):
    params = (tuple(KINDS),)
    param_names = ("weights",)

    def setup(self, cache, weights):
        self.path = cache[0] / f"{weights}.onnx"
        self.time_load_onnx(cache, weights)

    def time_load_onnx(self, cache, weights):
        from skdistill.deploy import load_onnx

        load_onnx(self.path)

    def track_bytes(self, cache, weights):
        return self.path.stat().st_size

    track_bytes.unit = "bytes"


class Start:
    timeout = 120

    def timeraw_numpy_onnxruntime(self):
        return "import numpy, onnxruntime"

    def timeraw_load_onnx(self):
        return "import numpy, onnxruntime\nfrom skdistill.deploy import load_onnx"

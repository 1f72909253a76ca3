"""Where the student runs: ONNX and C artefacts, compression, and the light runtime.

Nothing here is imported before it is used: `load_onnx` needs numpy and onnxruntime
only, not scikit-learn.
"""

import importlib

_HOME = {
    "CompressionError": "skdistill.deploy._compress",
    "OnnxClassifier": "skdistill.deploy._runtime",
    "TRUSTED_TYPES": "skdistill.deploy._trusted",
    "compress": "skdistill.deploy._compress",
    "export_c": "skdistill.deploy._c",
    "export_onnx": "skdistill.deploy._onnx",
    "load_onnx": "skdistill.deploy._runtime",
    "model_card": "skdistill.deploy._model_card",
}

__all__ = [
    "TRUSTED_TYPES",
    "CompressionError",
    "OnnxClassifier",
    "compress",
    "export_c",
    "export_onnx",
    "load_onnx",
    "model_card",
]


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'skdistill.deploy' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)

"""Log a student to MLflow, with its signature, and serve it from there.

``python log_to_mlflow.py student.onnx sqlite:///mlflow.db`` logs the file as it is, and
a model around it that answers through `load_onnx`; it prints the model's address, which
`mlflow.pyfunc.load_model` and `mlflow models serve` take. What is logged is this
program and the file: nothing is pickled.
"""

import sys

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from skdistill.deploy import load_onnx

#: MLflow's names of what an input of the graph takes.
TYPES = {"float32": "double", "float64": "double", "int64": "long", "string": "string"}


class Student(mlflow.pyfunc.PythonModel):
    """Probabilities by the file among the model's artefacts."""

    def load_context(self, context):
        """Open the file, once."""
        self.model = load_onnx(context.artifacts["student"])

    def predict(self, context, model_input):
        """Answer rows: one column of probabilities for each class."""
        P = self.model.predict_proba(model_input)
        return pd.DataFrame(P, columns=[str(c) for c in self.model.classes_])


def signature_of(model):
    """Names and types of what goes in and what comes out, from the file itself."""
    names = model.metadata_["feature_names"]
    if names is None:
        shape = (-1, model.n_features_in_)
        inputs = Schema([TensorSpec(np.dtype("float64"), shape)])
    else:
        types = {
            position: TYPES[entry["dtype"]]
            for entry in model.metadata_["inputs"]
            for position in entry["columns"]
        }
        inputs = Schema([ColSpec(types[i], name) for i, name in enumerate(names)])
    outputs = Schema([ColSpec("float", str(label)) for label in model.classes_])
    return ModelSignature(inputs, outputs)


def log(path):
    """Log one file; return the address of the model."""
    model = load_onnx(path)
    with mlflow.start_run():
        mlflow.log_params(model.metadata_["versions"])
        mlflow.log_dict(model.metadata_, "metadata.json")
        logged = mlflow.pyfunc.log_model(
            name="student",
            python_model=__file__,
            artifacts={"student": str(path)},
            signature=signature_of(model),
            pip_requirements=["numpy", "onnxruntime", "pandas", "skdistill"],
        )
    return logged.model_uri


mlflow.models.set_model(Student())  # what MLflow looks for when it runs this program

if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[2])
    print(log(sys.argv[1]))

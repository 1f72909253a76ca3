"""What a skops file of ours may hold, besides what skops trusts by itself."""

#: Pass it as ``trusted=`` to :func:`skops.io.load`. These classes hold arrays, strings
#: and numbers, and loading one runs none of its code. Trees of scikit-learn are not
#: among them: their arrays are read as they are, and a crafted one can end the process.
TRUSTED_TYPES = (
    "skdistill._distilled.DistilledClassifier",
    "skdistill.soft_targets._calibration.Calibration",
    "skdistill.students._adapter.SoftStudentAdapter",
    "skdistill.students._feeding.Feed",
    "skdistill.students._logistic.LogisticStudent",
    "skdistill.students._mlp.MLPStudent",
    "skdistill.students._ngram.NGramStudent",
    "skdistill.students._table.TableEncoder",
)

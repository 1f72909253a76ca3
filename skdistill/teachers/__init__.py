"""Teachers that scikit-learn lacks, and a store of answers: each row is asked once.

:class:`ChatTeacher` asks a language model behind an API, :class:`TransformersTeacher`
one of Hugging Face. :class:`AveragedTeacher` lets several classifiers answer as one,
:class:`CachedTeacher` wraps a fitted classifier, and :class:`AnswerStore` is the file
of answers.
"""

from skdistill.teachers._average import AveragedTeacher
from skdistill.teachers._cached import CachedTeacher
from skdistill.teachers._chat import ChatTeacher
from skdistill.teachers._store import AnswerStore
from skdistill.teachers._transformers import TransformersTeacher

__all__ = [
    "AnswerStore",
    "AveragedTeacher",
    "CachedTeacher",
    "ChatTeacher",
    "TransformersTeacher",
]

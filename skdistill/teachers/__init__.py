"""Teachers, and a store of their answers: each row is asked once.

:class:`CachedTeacher` wraps a fitted classifier, :class:`AnswerStore` is the file that
it keeps answers in.
"""

from skdistill.teachers._cached import CachedTeacher
from skdistill.teachers._store import AnswerStore

__all__ = ["AnswerStore", "CachedTeacher"]

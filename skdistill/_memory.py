"""The teacher behind a store of its answers, shared by all clones of an estimator."""

import os


def remembering(estimator):
    """Return an estimator's fitted teacher, behind its store if `memory` names one.

    Clones share what this returns: who the teacher is, is found out once for a whole
    search.
    """
    if estimator.memory is None:
        vars(estimator).pop("_cached", None)
        return estimator._teacher
    from skdistill.teachers import CachedTeacher

    teacher = estimator._teacher
    has_store = hasattr(type(teacher), "store_")
    if has_store and teacher.path is not None:  # it keeps its answers itself
        return teacher
    path = os.fspath(getattr(estimator.memory, "path", estimator.memory))
    owner, file, cached = getattr(estimator, "_cached", (None, None, None))
    if owner is not teacher or file != path:
        cached = CachedTeacher(teacher, estimator.memory)
        estimator._cached = (teacher, path, cached)
    return cached


def share_memory(estimator, twin):
    """Let a clone use the store and the teacher's identity of its original."""
    remembering(estimator)
    if "_cached" in vars(estimator):
        twin._cached = estimator._cached


def light_state(estimator, state):
    """State of an estimator for pickles and copies.

    An estimator that waits to be fitted is sent to the workers of a search with the
    whereabouts of its teacher in place of the weights: with each task go a clone of it
    and (from scikit-learn 1.9 on, for callbacks) the search that holds the original. A
    fitted estimator is whole.
    """
    state = dict(state)
    cached = state.pop("_cached", None)
    state.pop("_average", None)  # it is made again where it is needed
    waits = not estimator.__sklearn_is_fitted__()
    is_meant = estimator.memory is not None and waits
    if cached is not None and is_meant and cached[0] is estimator._teacher:
        state["teacher"] = cached[2].reference()
    return state

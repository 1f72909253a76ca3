"""How clones, pickles and parameters treat a teacher that is fitted already."""

import uuid

from skdistill._compat import clone_parametrized
from skdistill._labelling import is_fitted, share_fitted
from skdistill._memory import light_state, share_memory

#: What the names of a teacher's own parameters start with.
_OF_TEACHER = "teacher__"


class SharedTeacher:
    """Mixin of estimators whose `teacher`, once fitted, is used as it is.

    Clones share a fitted teacher by reference, as if it were frozen, and its parameters
    can be neither read nor set from outside. The same holds of each in a list.
    """

    _is_clone = False

    @property
    def _teacher(self):
        """The teacher; in place of a list, one that averages it."""
        if not self._has_list():
            return self.teacher
        from skdistill.teachers import AveragedTeacher

        members, average = vars(self).get("_average", (None, None))
        if members is not self.teacher:
            average = AveragedTeacher(self.teacher)
            self._average = (self.teacher, average)
        return average

    def _has_list(self):
        return isinstance(self.teacher, list | tuple)

    def _uses_fitted_teacher(self):
        return self.teacher is not None and is_fitted(self._teacher)

    def __sklearn_clone__(self):
        """Clone all parameters, but share a fitted teacher like a frozen one."""
        self.__dict__.setdefault("_clone_token", uuid.uuid4().hex)
        as_it_is, is_list = self._uses_fitted_teacher(), self._has_list()
        if not as_it_is and not is_list:
            twin = clone_parametrized(self)
        else:
            bare = type(self).__new__(type(self))
            vars(bare).update(vars(self), teacher=None)
            twin = clone_parametrized(bare)
            twin.teacher = self.teacher if as_it_is else share_fitted(self.teacher)
        if as_it_is:
            if is_list:
                twin._average = self._average
            share_memory(self, twin)
        twin._clone_token, twin._is_clone = self._clone_token, True
        return twin

    def __getstate__(self):
        """State for pickles and copies.

        Before it is fitted it goes to the workers of a search without the weights of
        its teacher, where `memory` keeps them and their answers.
        """
        return light_state(self, super().__getstate__())

    def get_params(self, deep=True):
        """Get parameters, but none of a fitted teacher: those cannot be set.

        Parameters
        ----------
        deep : bool, default=True
            Whether to list ``student__...`` and, of an unfitted teacher,
            ``teacher__...`` too.

        Returns
        -------
        params : dict
            Values by name.
        """
        params = super().get_params(deep=deep)
        nested = [name for name in params if name.startswith(_OF_TEACHER)]
        # Ensembles set every random_state that is listed.
        if nested and hasattr(self.teacher, "fit") and self._uses_fitted_teacher():
            for name in nested:
                del params[name]
        return params

    def set_params(self, **params):
        """Set parameters; those of a fitted teacher cannot be set.

        Parameters
        ----------
        **params : dict
            Parameters of this estimator, and ``student__...`` and ``teacher__...``.

        Returns
        -------
        self : estimator
            The same object.

        Raises
        ------
        ValueError
            For parameters of a teacher that is fitted: it is used as it is.
        """
        nested = sorted(name for name in params if name.startswith(_OF_TEACHER))
        teacher = params.get("teacher", self.teacher)
        if nested and isinstance(teacher, list | tuple):
            raise ValueError(
                f"Parameters of a list of teachers cannot be set, got {nested!r}. Set "
                "those of each teacher before it goes into the list, or pass several "
                "lists as {'teacher': [AveragedTeacher(some), AveragedTeacher(more)]}."
            )
        if nested and teacher is not None and is_fitted(teacher):
            raise ValueError(
                f"Parameters of a fitted teacher cannot be set, got {nested!r}: a "
                "fitted teacher is used as it is. Pass an unfitted teacher to have it "
                "fitted with other parameters, or a list of fitted ones as "
                "{'teacher': [FrozenEstimator(a), FrozenEstimator(b)]}."
            )
        return super().set_params(**params)

"""Who is told how far a fit has come: scikit-learn's callbacks, and a bar."""

from contextlib import contextmanager

from tqdm.auto import tqdm

from skdistill._compat import callback_context


class FitProgress:
    """Announce the parts of a fit.

    Parameters
    ----------
    estimator : estimator
        The estimator being fitted. Its callbacks (scikit-learn >= 1.9) are told of
        each task and each step.

    X, y : object
        What its `fit` was given; callbacks may ask for them.

    verbose : int or bool, default=0
        Whether each task of several steps shows a bar.
    """

    def __init__(self, estimator, X, y, verbose=0):
        self.verbose = verbose
        self._told = {"estimator": estimator, "X": X, "y": y}
        self._root = callback_context(estimator)
        if self._root is not None:
            self._root.call_on_fit_task_begin(**self._told)

    @contextmanager
    def task(self, name, n_steps=1):
        """Announce a task; yields a function to call after each of its steps.

        Parameters
        ----------
        name : str
            What happens.

        n_steps : int, default=1
            How often the function will be called, at most.
        """
        bar = tqdm(total=n_steps, desc=name, disable=not self.verbose, leave=False)
        if self._root is None:
            with bar:
                yield bar.update
            return
        task = self._root.subcontext(task_name=name, max_subtasks=n_steps)
        task.call_on_fit_task_begin(**self._told)

        def step():
            bar.update()
            done = task.subcontext(task_name=f"{name}: step")
            done.call_on_fit_task_begin(**self._told)
            done.call_on_fit_task_end(**self._told)

        with bar:
            yield step
        task.call_on_fit_task_end(**self._told)

    def end(self):
        """Announce the end of the fit."""
        if self._root is not None:
            self._root.call_on_fit_task_end(**self._told)

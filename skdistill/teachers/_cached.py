"""CachedTeacher: a fitted classifier that is asked each row once."""

import os
import threading
import uuid
from collections import OrderedDict
from contextlib import contextmanager
from hashlib import blake2b
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skdistill._compat import num_samples, safe_indexing
from skdistill._labelling import check_teacher, is_fitted
from skdistill.teachers._asking import ask_once
from skdistill.teachers._probes import (
    choose_probes,
    dump_rows,
    fingerprint_of,
    identity,
    load_rows,
)
from skdistill.teachers._row_keys import row_keys, row_layout
from skdistill.teachers._store import AnswerStore
from skdistill.teachers._teacher_file import TeacherFile, known_tags, write_teacher

#: Bytes of answers that one process keeps at hand besides the store.
RECENT_BYTES = 1 << 26

#: Under this name the choice of probes, and each teacher's fingerprint, is claimed.
_PROBING = "probing"


class CachedTeacher(ClassifierMixin, BaseEstimator):
    """Fitted classifier whose answers are kept on disk: each row is asked once.

    It answers as the teacher does, in double precision. Rows that the store has are
    read, the others are asked and stored, by all processes and threads that share the
    path: in a search over students the teacher sees each distinct row once. Rows keep
    their kind (array, data frame, sparse, text) on the way to the teacher.

    Clones share one object, as with :class:`~sklearn.frozen.FrozenEstimator`, and `fit`
    does nothing.

    Parameters
    ----------
    teacher : fitted classifier
        Anything with `predict_proba`. Do not change it afterwards: that `fit` replaced
        its fitted attributes is noticed, a change within them is not. What changes
        while it is asked, such as a count of calls, does not matter.

    path : str, path-like or AnswerStore
        File of the answers, made when first used.

    key : str, default=None
        Name for this very teacher. Where it is None, a teacher is known by its answers
        on up to 32 rows of the first request, rounded to 1e-6 (up to 256 rows where
        answers are mostly 0 and 1). A teacher whose answers are all 0 or 1 there is
        known to its own copies only, and so is asked again in a later session; a key
        avoids that, and the probes.

    chunk_size : int or "auto", default="auto"
        Most rows asked at once. A chunk is stored before the next one is asked. "auto"
        begins with 64 and goes on with four times as many as long as that takes less
        than a second.

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_ : ndarray, int, ndarray
        The teacher's, where it has them.

    n_rows_asked_ : int
        Rows that this object asked the teacher, probes apart.

    n_probe_rows_ : int
        Rows that this object asked to find out who the teacher is.

    n_hits_ : int
        Rows of requests that came out of the store.

    store_ : AnswerStore
        Where the answers are.

    See Also
    --------
    AnswerStore : The file, its counts over all processes, and how to purge it.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdistill.teachers import CachedTeacher
    >>> X, y = load_iris(return_X_y=True)
    >>> slow = LogisticRegression(max_iter=1000).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     teacher = CachedTeacher(slow, f"{folder}/answers.db", key="iris-1")
    ...     P = teacher.predict_proba(X)
    ...     again = teacher.predict_proba(X)
    ...     teacher.store_.close()
    >>> teacher.n_rows_asked_, teacher.n_hits_  # one flower is there twice
    (149, 150)
    """

    def __init__(self, teacher, path, key=None, *, chunk_size="auto"):
        self.teacher = teacher
        self.path = path
        self.key = key
        self.chunk_size = chunk_size

    # -- answers -----------------------------------------------------------------------

    def predict_proba(self, X):
        """Probabilities of the classes, out of the store or by the teacher.

        Parameters
        ----------
        X : array-like of length n_samples
            Rows, in any form that the teacher takes.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            In the order of the rows.
        """
        self._check()
        if num_samples(X) == 0:
            return self._ask(X)  # the teacher has its own words for that
        if sparse.issparse(X):
            X = X.tocsr()
        session, keys = self._session, row_keys(X)
        fingerprint = self._fingerprint(X, keys)
        known = session.recall(fingerprint, keys)
        if known is not None:
            return known

        def ask(positions):
            session.count(asked=len(positions))
            return self._ask(safe_indexing(X, positions))

        P, n_found = ask_once(
            session.store, fingerprint, keys, ask, chunk_size=self.chunk_size
        )
        session.count(hits=n_found)
        session.remember(fingerprint, keys, P)
        return P

    def predict(self, X):
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of length n_samples
            Rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels out of `classes_`.

        Raises
        ------
        ValueError
            If the teacher has no answer for some row.
        """
        P = self.predict_proba(X)
        silent = np.flatnonzero(np.isnan(P).any(axis=1))
        if len(silent):
            raise ValueError(
                f"teacher must answer each row, got no answer in {len(silent)} of "
                f"{len(P)} rows (first: row {silent[0]}). Leave these rows out, or use "
                "predict_proba."
            )
        return np.asarray(self.classes_).take(P.argmax(axis=1))

    def fit(self, X, y=None, *args, **kwargs):
        """Do nothing: the teacher is used as it is.

        Parameters
        ----------
        X, y : object
            Ignored.

        *args, **kwargs : object
            Ignored.

        Returns
        -------
        self : CachedTeacher
        """
        self._check()
        return self

    def _check(self):
        """Raise where there is nothing that could be asked, or no way to."""
        size = self.chunk_size
        is_number = isinstance(size, Integral) and not isinstance(size, bool)
        if size != "auto" and not (is_number and size >= 1):
            raise ValueError(
                "chunk_size must be 'auto' or a number of rows, 1 or more, got "
                f"{size!r}."
            )
        if not is_fitted(self.teacher):
            raise NotFittedError(
                "teacher must be fitted to be cached, got an unfitted "
                f"{type(self.teacher).__name__}. Fit it first."
            )
        check_teacher(self.teacher)

    def _ask(self, X):
        """Ask the teacher itself; a single column becomes two."""
        with self._session.fitted_parts.asking(self.teacher):
            P = self.teacher.predict_proba(X)
        if isinstance(P, list):
            raise ValueError(
                f"teacher must answer one label a row, got {len(P)} outputs from "
                f"{type(self.teacher).__name__}. Wrap a teacher for each output."
            )
        P = np.asarray(P, dtype=np.float64)
        P = P.reshape(len(P), -1)
        return np.column_stack([1.0 - P, P]) if P.shape[1] == 1 else P

    # -- who the teacher is ------------------------------------------------------------

    def _fingerprint(self, X, keys):
        """Identity of the teacher, for such rows as X."""
        session, classes = self._session, getattr(self, "classes_", None)
        if self.key is not None:
            return identity("key", classes, str(self.key))
        layout = row_layout(X)
        if layout not in session.fingerprints:
            note = session.token.encode() + layout
            known = session.store.once(
                _PROBING,
                layout,
                find=lambda: session.store.get_note(note),
                make=lambda: self._probe(X, keys, layout, note),
            )
            session.fingerprints[layout] = known.decode()
        return session.fingerprints[layout]

    def _probe(self, X, keys, layout, note):
        """Find out by asking, with rows that all teachers of one store are asked."""
        session = self._session
        data = session.store.get_note(layout)
        is_known = data is not None
        data = data if is_known else dump_rows(choose_probes(X, keys))
        probes = load_rows(data)
        try:
            fingerprint, n_asked = fingerprint_of(
                self._ask,
                probes,
                n_probes=num_samples(probes),
                classes=getattr(self, "classes_", None),
            )
        except Exception as error:
            if not is_known:  # then these rows are the caller's, and so is the error
                raise
            raise ValueError(
                "key must be given for this teacher, got None: it cannot answer the "
                f"probe rows of the store {session.store.path!r}, which another "
                "teacher's data gave. Pass a name for it as key=, or another path."
            ) from error
        session.count(probes=n_asked)
        if not is_known:
            session.store.put_note(layout, data)
        session.store.put_note(note, fingerprint.encode())
        return fingerprint.encode()

    # -- shared state ------------------------------------------------------------------

    @property
    def _session(self):
        """Store and counters; begun anew where teacher or path are others now."""
        session = self.__dict__.get("_session_")
        if session is None or not session.is_of(self):
            with _BEGINNING:
                session = self.__dict__.get("_session_")
                if session is None or not session.is_of(self):
                    session = self.__dict__["_session_"] = _Session(self)
        return session

    def __getstate__(self):
        """State without counters, and with the name that copies share."""
        token = self._session.token
        state = {k: v for k, v in super().__getstate__().items() if k != "_session_"}
        return state | {"_token": token}

    def __setstate__(self, state):
        """Begin a session under the name of the original, before anything changes."""
        token = state.pop("_token")
        super().__setstate__(state)
        self._session_ = _Session(self, token)

    def reference(self):
        """Make a light twin, to be sent to other processes.

        The teacher is written once, as a pickle, to ``<path>.teachers/``; the twin
        holds only where that is, its digest, `classes_` and names of features. It loads
        the teacher when a row is not in the store. Delete the folder when no twin is in
        use any more.

        Returns
        -------
        teacher : CachedTeacher
        """
        self._check()
        if isinstance(self.teacher, TeacherFile):
            return self
        session = self._session
        with session.lock:
            if session.file is None:
                folder = f"{session.store.path}.teachers"
                session.file = write_teacher(
                    self.teacher, os.path.join(folder, f"{session.token}.pkl")
                )
        twin = type(self)(
            session.file, session.store, self.key, chunk_size=self.chunk_size
        )
        twin._session_ = _Session(twin, session.token)
        return twin

    @property
    def store_(self):
        """Where the answers are."""
        return self._session.store

    @property
    def n_rows_asked_(self):
        """Rows that this object asked the teacher, probes apart."""
        return self._session.n_asked

    @property
    def n_probe_rows_(self):
        """Rows that this object asked to find out who the teacher is."""
        return self._session.n_probes

    @property
    def n_hits_(self):
        """Rows of requests that came out of the store."""
        return self._session.n_hits

    # -- what scikit-learn asks --------------------------------------------------------

    @property
    def classes_(self):
        """Labels of the columns."""
        return self.teacher.classes_

    @property
    def n_features_in_(self):
        """Number of features that the teacher was fitted on."""
        return self.teacher.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the features that the teacher was fitted on."""
        return self.teacher.feature_names_in_

    def __sklearn_is_fitted__(self):
        """Tell whether the teacher is fitted."""
        return is_fitted(self.teacher)

    def __sklearn_clone__(self):
        """Clones share the teacher, the store and the counters."""
        return self

    def get_params(self, deep=True):
        """Get parameters; those of the teacher are not among them.

        Parameters
        ----------
        deep : bool, default=True
            Ignored.

        Returns
        -------
        params : dict
        """
        return super().get_params(deep=False)

    def set_params(self, **params):
        """Set parameters; those of the teacher cannot be set.

        Parameters
        ----------
        **params : dict
            Parameters of this object.

        Returns
        -------
        self : CachedTeacher

        Raises
        ------
        ValueError
            For parameters of the teacher: it is used as it is.
        """
        nested = sorted(name for name in params if name.startswith("teacher__"))
        if nested:
            raise ValueError(
                f"Parameters of a cached teacher cannot be set, got {nested!r}: it is "
                "fitted. Fit another teacher, and wrap that."
            )
        return super().set_params(**params)

    def __sklearn_tags__(self):
        """Input that the teacher takes."""
        tags = super().__sklearn_tags__()
        for part, fields in known_tags(self.teacher).items():
            for name, value in fields.items():
                setattr(getattr(tags, part), name, value)
        return tags


#: Two threads must not begin the session of one object twice.
_BEGINNING = threading.RLock()


class _Session:
    """What a CachedTeacher knows while teacher, path and process stay the same."""

    def __init__(self, cached, token=None):
        self.teacher, self.path = cached.teacher, cached.path
        self.fitted_parts = FittedParts(cached.teacher)
        is_store = isinstance(cached.path, AnswerStore)
        self.store = cached.path if is_store else AnswerStore(cached.path)
        # A name for the fitted state, which goes through copies and pickles of it.
        self.token = token or uuid.uuid4().hex
        self.fingerprints, self.file = {}, None
        self.lock = threading.Lock()
        self.n_asked = self.n_probes = self.n_hits = 0
        self.recent = OrderedDict()

    def recall(self, fingerprint, keys):
        """Answer a request that was there before in this process, or None.

        All candidates of a search ask about the same few sets of rows.
        """
        with self.lock:
            P = self.recent.get(_request(fingerprint, keys))
        if P is None:
            return None
        self.count(hits=len(P))
        return P.copy()

    def remember(self, fingerprint, keys, P):
        """Keep the answers of a request, and let the oldest ones go."""
        if P.nbytes > RECENT_BYTES or np.isnan(P).any():
            return
        with self.lock:
            self.recent[_request(fingerprint, keys)] = P.copy()
            while sum(kept.nbytes for kept in self.recent.values()) > RECENT_BYTES:
                self.recent.popitem(last=False)

    def is_of(self, cached):
        """Tell whether a CachedTeacher still has this teacher, fitted as it was."""
        if self.teacher is not cached.teacher or self.path is not cached.path:
            return False
        return self.fitted_parts.are_of(cached.teacher)

    def count(self, *, asked=0, probes=0, hits=0):
        """Add to the counters, whatever other threads do."""
        with self.lock:
            self.n_asked += asked
            self.n_probes += probes
            self.n_hits += hits


def _request(fingerprint, keys):
    return fingerprint, blake2b(b"".join(keys), digest_size=16).digest()


class FittedParts:
    """What `fit` left in a teacher, to tell later whether it was fitted anew.

    Attributes that change while the teacher is asked are notes about requests, such as
    counts and outcomes: they are looked at no more.

    Parameters
    ----------
    teacher : fitted classifier
        It is not kept, its fitted attributes are.
    """

    def __init__(self, teacher):
        self._parts, self._notes = _fitted_parts(teacher), frozenset()

    def are_of(self, teacher):
        """Tell whether a teacher is fitted as it was."""
        return _changed(self._parts, _fitted_parts(teacher)) <= self._notes

    @contextmanager
    def asking(self, teacher):
        """Learn what changes in a teacher while it is asked."""
        before = _fitted_parts(teacher)
        try:
            yield
        finally:
            self._notes |= _changed(before, _fitted_parts(teacher))


def _fitted_parts(teacher):
    """Fitted attributes of a teacher and of what it is made of: `fit` replaces them."""
    while isinstance(teacher, FrozenEstimator):
        teacher = teacher.estimator
    parts = [teacher]
    if hasattr(teacher, "get_params"):
        for value in teacher.get_params(deep=True).values():
            members = value if isinstance(value, list | tuple) else [value]
            parts += [part for part in members if hasattr(part, "fit")]
    return {
        (number, name): value
        for number, part in enumerate(parts)
        for name, value in getattr(part, "__dict__", {}).items()
        if (name.endswith("_") and not name.startswith("_")) or name == "_Booster"
    }


def _changed(before, now):
    """Names that only one set of attributes has, or that hold another object now."""
    return {
        name
        for name in before.keys() | now.keys()
        if name not in before or name not in now or before[name] is not now[name]
    }

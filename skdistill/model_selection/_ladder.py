"""A ladder of students: what to try on the data at hand, from small to large."""

import numpy as np
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import check_array

from skdistill._compat import num_samples
from skdistill._frames import as_frame, is_discrete, is_text
from skdistill.students import LogisticStudent, MLPStudent, NGramStudent

KINDS = ("linear", "tree", "forest", "boosting", "net")

#: Leaves of single trees; a leaf needs rows that decide about it.
LEAVES, ROWS_PER_LEAF = (16, 64, 256, 1024), 8
#: (trees, leaves of each) of forests.
FORESTS = ((5, 64), (10, 256), (20, 512))
#: Rounds of boosting with trees of BOOSTED_LEAVES. Each costs a tree a class, and more
#: trees than MAX_BOOSTED, or than there are rows, are no small student.
ROUNDS, BOOSTED_LEAVES, MAX_BOOSTED = (20, 100), 8, 300
#: Units of one hidden layer and of each of two; the square of it may reach the number
#: of rows, and the first of each row is for the smallest tables.
ONE_LAYER, TWO_LAYERS = (8, 16, 32), (32, 64, 128, 256)
#: Words, or n-grams of characters, that are counted in documents.
WORDS, CHARACTERS = (1_000, 10_000), 20_000
#: Hashed n-grams that get a row of their own in an NGramStudent.
BUCKETS = (4_096, 65_536)
#: Directions onto which sparse rows are projected for a net, and the most columns
#: with which that projection is small.
DIRECTIONS, MAX_PROJECTED = 64, 5_000
#: Levels of a category that are told apart, as in our own students.
MAX_CATEGORIES = 100


class Ladder(list):
    """List of students with a name for each; see :func:`student_ladder`."""

    def __init__(self, named):
        super().__init__(named.values())
        self.names = list(named)


def student_ladder(X, y, *, kinds=KINDS, random_state=None):
    """List students worth trying on the data at hand, from linear over trees to nets.

    How many rows, classes and columns there are bounds how large they get, and what the
    columns are decides which kinds can take them: categories of a data frame go into
    our own students as they are and into trees behind an OrdinalEncoder; sparse rows
    and documents begin with linear students. All take missing values where X may have
    them, and all can be fed soft targets.

    Parameters
    ----------
    X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features) or \
            list of str
        Training rows, or some of them. Their kind and shape are looked at.

    y : array-like of shape (n_samples,) or (n_samples, n_classes)
        Their labels, or their soft targets: the number of classes is what counts.

    kinds : sequence of {"linear", "tree", "forest", "boosting", "net"}, \
            default=("linear", "tree", "forest", "boosting", "net")
        Kinds to list; those that do not suit the data are left out anyway.

    random_state : int, RandomState instance or None, default=None
        Passed on to students that draw. A `DistilledClassifier` seeds those with None.

    Returns
    -------
    students : list of estimators
        Unfitted, for a grid such as ``{"student": student_ladder(X, y)}``. Its
        attribute `names` has a short name for each.

    Raises
    ------
    ValueError
        If `kinds` has other names, no kind suits the data, or lengths differ.

    TypeError
        If X is neither a table, sparse, nor text.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdistill.model_selection import student_ladder
    >>> X, y = load_iris(return_X_y=True)
    >>> for name in student_ladder(X, y).names:
    ...     print(name)
    logistic
    tree, 16 leaves
    boosting, 20 rounds
    net, 8
    net, 16
    """
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    if set(kinds) - set(KINDS) or not kinds:
        raise ValueError(
            f"kinds must be some of {list(KINDS)!r}, got {kinds!r}. Leave it out for "
            "all that suit the data."
        )
    n_rows, n_classes = num_samples(X), _count_classes(y)
    if num_samples(y) != n_rows:
        raise ValueError(
            f"y must have an entry for each of the {n_rows} rows of X, got "
            f"{num_samples(y)}. Pass labels or soft targets of these rows."
        )
    if is_text(X):
        rungs = _for_text(random_state)
    elif sparse.issparse(X):
        rungs = _for_sparse(X, n_rows, n_classes, random_state)
    else:
        rungs = _for_table(X, n_rows, n_classes, random_state)
    named = {
        name: student
        for kind in KINDS
        if kind in kinds
        for name, student in rungs.get(kind, {}).items()
    }
    if not named:
        suited = [kind for kind in KINDS if rungs.get(kind)]
        raise ValueError(
            f"kinds must have one that suits the data, which are {suited!r}, got "
            f"{kinds!r}. Leave it out for all of them."
        )
    return Ladder(named)


# -- one ladder for each kind of rows --------------------------------------------------


def _for_table(X, n_rows, n_classes, seed):
    frame = as_frame(X)
    if frame is None:
        _check_matrix(X)
    discrete = [] if frame is None else _discrete_columns(frame)
    numbers = "passthrough"
    if discrete and _is_nullable(frame):
        # ColumnTransformer does not stack pandas.NA; check_array makes NaN of it.
        numbers = FunctionTransformer(
            check_array, kw_args={"ensure_all_finite": "allow-nan"}
        )

    def encoded(student):
        if not discrete:
            return student
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            max_categories=MAX_CATEGORIES,
        )
        if _has_string_na(frame):
            plain = FunctionTransformer(_with_nan, feature_names_out="one-to-one")
            encoder = make_pipeline(plain, encoder)
        columns = [("categories", encoder, discrete)]
        return make_pipeline(ColumnTransformer(columns, remainder=numbers), student)

    trees = _trees(n_rows, n_classes, seed)
    return {
        "linear": {"logistic": LogisticStudent()},
        **{
            kind: {name: encoded(student) for name, student in students.items()}
            for kind, students in trees.items()
        },
        "net": _nets(n_rows, seed),
    }


def _for_sparse(X, n_rows, n_classes, seed):
    linear = {f"logistic, C={C:g}": LogisticStudent(C) for C in (0.1, 1.0, 10.0)}
    if not X.nnz or X.min() >= 0:
        linear["naive Bayes"] = MultinomialNB()
    trees = _trees(n_rows, n_classes, seed)
    del trees["boosting"]  # it takes no sparse rows
    nets = {}
    if DIRECTIONS < X.shape[1] <= MAX_PROJECTED:
        nets = {
            f"{DIRECTIONS} directions, {name}": make_pipeline(
                TruncatedSVD(DIRECTIONS, random_state=seed), student
            )
            for name, student in _nets(n_rows, seed).items()
        }
    return {"linear": linear, **trees, "net": nets}


def _for_text(seed):
    words = {f"{n:,} words": _tfidf(max_features=n) for n in WORDS}
    pairs = _tfidf(max_features=CHARACTERS, ngram_range=(1, 2))
    characters = _tfidf(max_features=CHARACTERS, analyzer="char_wb", ngram_range=(2, 4))
    linear = {
        f"{name}, logistic": make_pipeline(counts, LogisticStudent(10.0))
        for name, counts in {
            **words,
            f"{CHARACTERS:,} words and pairs": pairs,
            f"{CHARACTERS:,} bits of words": characters,
        }.items()
    }
    for name, counts in words.items():
        linear[f"{name}, naive Bayes"] = make_pipeline(counts, MultinomialNB())
    few = next(iter(words))
    net = make_pipeline(
        words[few],
        TruncatedSVD(DIRECTIONS, random_state=seed),
        MLPStudent((32,), random_state=seed),
    )
    nets = {f"{few}, {DIRECTIONS} directions, net, 32": net}
    for n in BUCKETS:
        size = {"n_buckets": n, "random_state": seed}
        linear[f"{n:,} n-grams, logistic"] = NGramStudent((), **size)
        nets[f"{n:,} n-grams, net"] = NGramStudent((32,), **size)
    return {"linear": linear, "net": nets}


# -- the rungs -------------------------------------------------------------------------


def _trees(n_rows, n_classes, seed):
    """Trees, forests and boosting, by kind and name.

    Fewer leaves than classes would leave classes without one.
    """
    most = max(n_rows // ROWS_PER_LEAF, LEAVES[0])
    trees = {
        f"tree, {n} leaves": DecisionTreeClassifier(max_leaf_nodes=n, random_state=seed)
        for n in LEAVES
        if n_classes <= n <= most
    }
    forests = {
        f"forest, {n_trees} x {n} leaves": RandomForestClassifier(
            n_trees, max_leaf_nodes=n, random_state=seed
        )
        for n_trees, n in FORESTS
        if n_classes <= n <= most
    }
    per_round = n_classes if n_classes > 2 else 1
    boosting = {
        f"boosting, {n} rounds": HistGradientBoostingClassifier(
            max_iter=n, max_leaf_nodes=BOOSTED_LEAVES, random_state=seed
        )
        for n in ROUNDS
        if n * per_round <= min(MAX_BOOSTED, n_rows)
    }
    return {"tree": trees, "forest": forests, "boosting": boosting}


def _nets(n_rows, seed):
    """Nets of one and of two hidden layers, by name."""
    shapes = [(n,) for n in ONE_LAYER] + [(n, n) for n in TWO_LAYERS]
    most = max(n_rows**0.5, ONE_LAYER[1])
    return {
        f"net, {'-'.join(map(str, shape))}": MLPStudent(shape, random_state=seed)
        for shape in shapes
        if shape[0] <= most
    }


def _tfidf(**params):
    return TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **params)


# -- looking at the data ---------------------------------------------------------------


def _count_classes(y):
    y = np.asarray(y)
    return y.shape[1] if y.ndim == 2 and y.shape[1] > 1 else len(np.unique(y))


def _discrete_columns(frame):
    """Columns of categories: names, or positions where a name is no str."""
    at = [j for j, series in enumerate(frame.iter_columns()) if is_discrete(series)]
    names = list(frame.columns)
    if all(isinstance(name, str) for name in names):
        return [names[j] for j in at]
    return at


def _is_nullable(frame):
    """Tell whether a pandas frame has numbers of types in which NA is no NaN."""
    return frame.implementation.is_pandas() and any(
        not is_discrete(series) and not isinstance(series.to_native().dtype, np.dtype)
        for series in frame.iter_columns()
    )


def _has_string_na(frame):
    """Tell whether texts of a pandas frame are of the type that has NA, not NaN."""
    if not frame.implementation.is_pandas():
        return False
    dtypes = [series.to_native().dtype for series in frame.iter_columns()]
    texts = [getattr(getattr(d, "categories", None), "dtype", d) for d in dtypes]
    return any(d.name == "string" and d.na_value is not np.nan for d in texts)


def _with_nan(X):
    """Objects for all columns, and NaN for what is missing."""
    return X.astype(object).where(X.notna(), np.nan)


def _check_matrix(X):
    """Check that X is a table of numbers, where it is no data frame."""
    try:
        ok = np.ndim(X) == 2 and np.asarray(X).dtype.kind in "fiub"
    except ValueError:  # rows of different lengths
        ok = False
    if not ok:
        raise TypeError(
            "X must be a table of numbers, a data frame, a sparse matrix or a list of "
            f"str, got {type(X).__name__} of shape {np.shape(X)!r}. Make a data frame "
            "of columns of other kinds."
        )

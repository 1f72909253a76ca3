import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier

from skdistill.teachers import CachedTeacher
from skdistill.transfer._splits import split_thresholds


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=400, n_features=6, n_informative=6, n_redundant=0, random_state=0
    )
    return 10 + 5 * X, y


def jumps(model, x, j, values, answer="predict_proba"):
    """Places, on a fine grid, between which a model's answer changes."""
    rows = np.repeat(x[None], len(values), axis=0)
    rows[:, j] = values
    P = getattr(model, answer)(rows)
    at = np.flatnonzero((np.diff(P, axis=0) != 0).reshape(len(values) - 1, -1).any(1))
    return np.c_[values[at], values[at + 1]]


def assert_jumps_at_thresholds(model, X):
    """All jumps of the answers, seen from some rows, are at thresholds found."""
    cuts = split_thresholds(model)
    n_jumps = 0
    for j in range(X.shape[1]):
        values = np.linspace(X[:, j].min(), X[:, j].max(), 800)
        for x in X[:5]:
            for low, high in jumps(model, x, j, values):
                n_jumps += 1
                near = cuts.get(j, np.empty(0))
                assert ((low * 0.99999 <= near) & (near <= high * 1.00001)).any()
    assert n_jumps > 20


TREE = DecisionTreeClassifier(max_depth=5, random_state=0)
FOREST = RandomForestClassifier(5, max_depth=5, random_state=0)


@pytest.mark.parametrize(
    "model",
    [
        TREE,
        FOREST,
        ExtraTreesClassifier(5, max_depth=5, random_state=0),
        GradientBoostingClassifier(n_estimators=10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
        AdaBoostClassifier(n_estimators=10, random_state=0),
        BaggingClassifier(TREE, 5, max_features=0.5, random_state=0),
        OneVsRestClassifier(TREE),
        CalibratedClassifierCV(FOREST, cv=2),
        CalibratedClassifierCV(FOREST, cv=2, ensemble=False),
        VotingClassifier([("a", TREE), ("b", FOREST)], voting="soft"),
        StackingClassifier([("a", TREE), ("b", FOREST)], cv=2),
        GridSearchCV(TREE, {"max_depth": [2, 4]}, cv=2),
        make_pipeline(StandardScaler(), FOREST),
        make_pipeline(SimpleImputer(), MinMaxScaler(), RobustScaler(), FOREST),
        make_pipeline(PowerTransformer(), FOREST),
        make_pipeline(QuantileTransformer(n_quantiles=400), FOREST),
        make_pipeline("passthrough", SelectKBest(k=4), FOREST),
        make_pipeline(
            ColumnTransformer(
                [
                    ("b", StandardScaler(), [4, 1]),
                    ("a", make_pipeline(SimpleImputer(), RobustScaler()), slice(2, 4)),
                    ("c", "drop", [0]),
                ],
                remainder="passthrough",
            ),
            FOREST,
        ),
    ],
    ids=lambda model: type(model).__name__,
)
def test_split_thresholds_are_where_answers_jump(model, data):
    X, y = data
    assert_jumps_at_thresholds(model.fit(X, y), X)


# LightGBM 4.5 with scikit-learn 1.6
@pytest.mark.filterwarnings("ignore:'force_all_finite':FutureWarning")
@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_split_thresholds_of_other_boosting_libraries(name, data):
    library = pytest.importorskip(name)
    X, y = data
    model = {
        "lightgbm": lambda: library.LGBMClassifier(n_estimators=10, verbose=-1),
        "xgboost": lambda: library.XGBClassifier(n_estimators=10, n_jobs=1),
        "catboost": lambda: library.CatBoostClassifier(
            iterations=10, verbose=0, allow_writing_files=False, thread_count=1
        ),
    }[name]()
    assert split_thresholds(model) == {}
    assert_jumps_at_thresholds(model.fit(np.float32(X), y), np.float32(X))


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost", "sklearn"])
def test_split_thresholds_leave_out_splits_by_category(name, data):
    library = pytest.importorskip(name)
    X, y = data
    table = pd.DataFrame(X[:, :3], columns=list("abc"))
    letters = np.array(list("stuvwxyz"))[np.arange(400) % 8]
    # a column of categories that says much, amid numbers
    letters[y == 1] = np.where(np.arange((y == 1).sum()) % 2, "s", letters[y == 1])
    table.insert(1, "letter", pd.Categorical(letters))
    model = {
        "lightgbm": lambda: library.LGBMClassifier(n_estimators=10, verbose=-1),
        "xgboost": lambda: library.XGBClassifier(
            n_estimators=10, n_jobs=1, enable_categorical=True
        ),
        "catboost": lambda: library.CatBoostClassifier(
            iterations=10, verbose=0, cat_features=["letter"], thread_count=1,
            allow_writing_files=False,
        ),
        "sklearn": lambda: HistGradientBoostingClassifier(
            max_iter=10, categorical_features="from_dtype"
        ),
    }[name]()  # fmt: skip
    cuts = split_thresholds(model.fit(table, y))
    assert set(cuts) == {0, 2, 3}
    for j in (0, 2, 3):
        column = table.iloc[:, j]
        assert column.min() <= cuts[j].min()
        assert cuts[j].max() <= column.max()


@pytest.mark.parametrize(
    "columns", [["d", "b"], slice("b", "d"), [False, True, False, True], "b", [1, -1]]
)
def test_split_thresholds_behind_named_columns(columns, data):
    X, y = data
    X = pd.DataFrame(X[:, :4], columns=list("abcd"))
    parts = ColumnTransformer([("numbers", StandardScaler(), columns)])
    if columns == "b":
        parts = ColumnTransformer([("numbers", StandardScaler(), [columns])])
    model = make_pipeline(parts, TREE).fit(X, y)
    cuts = split_thresholds(model)
    picked = {"b"} if columns == "b" else {"b", "d"}
    if isinstance(columns, slice):
        picked.add("c")
    assert {X.columns[j] for j in cuts} == picked
    for j, values in cuts.items():
        assert X.iloc[:, j].min() < values.min()
        assert values.max() < X.iloc[:, j].max()


def test_split_thresholds_know_columns_that_an_imputer_dropped(data):
    X, y = data
    X = X.copy()
    X[:, 2] = np.nan
    imputer = SimpleImputer()
    with pytest.warns(UserWarning, match="Skipping features"):
        model = make_pipeline(imputer, TREE).fit(X, y)
    assert set(split_thresholds(model)) == {0, 1, 3, 4, 5}


def test_split_thresholds_ignore_missing_indicators(data):
    X, y = data
    X = X.copy()
    X[y == 1, 2] = np.nan
    model = make_pipeline(SimpleImputer(add_indicator=True), TREE).fit(X, y)
    assert split_thresholds(model) == {}  # the indicator alone is split


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(PCA(2), TREE),
        LogisticRegression(),
        Pipeline([("nothing", "passthrough"), ("model", LogisticRegression())]),
    ],
)
def test_split_thresholds_are_none_where_columns_are_not_those_of_x(model, data):
    assert split_thresholds(model.fit(*data)) == {}


def test_split_thresholds_leave_out_one_hot_columns(data):
    X, y = data
    X = pd.DataFrame(X[:, :2], columns=list("ab"))
    X["c"] = np.where(y, "yes", "no")
    parts = ColumnTransformer(
        [("words", OneHotEncoder(), ["c"]), ("numbers", "passthrough", ["b", "a"])]
    )
    y = y ^ (X["a"] > 10) ^ (X["b"] > 12)
    cuts = split_thresholds(make_pipeline(parts, TREE).fit(X, y))
    assert set(cuts) == {0, 1}


def test_split_thresholds_look_through_frozen_and_cached_models(data, tmp_path):
    X, y = data
    tree = TREE.fit(X, y)
    expected = split_thresholds(tree)
    cached = CachedTeacher(tree, tmp_path / "answers.db", key="tree")
    for model in (FrozenEstimator(tree), cached, FrozenEstimator(cached)):
        found = split_thresholds(model)
        assert set(found) == set(expected)
        for j, values in found.items():
            np.testing.assert_array_equal(values, expected[j])


@pytest.mark.parametrize("model", [None, "tree", 3, object(), TREE.__class__()])
def test_split_thresholds_of_other_things_are_none(model):
    assert split_thresholds(model) == {}


@pytest.mark.parametrize("kind", ["vote", "stack"])
def test_thresholds_of_several_pipelines_are_in_units_of_the_rows(data, kind):
    X, y = data
    members = [
        (name, make_pipeline(StandardScaler(), RandomForestClassifier(3, max_depth=3)))
        for name in "ab"
    ]
    if kind == "vote":
        model = VotingClassifier(members, voting="soft").fit(X, y)
    else:
        model = StackingClassifier(members, LogisticRegression()).fit(X, y)
    cuts = split_thresholds(model)
    assert cuts
    for j, own in cuts.items():
        assert X[:, j].min() <= own.min() and own.max() <= X[:, j].max()
    if kind == "vote":
        assert_jumps_at_thresholds(model, X[:50])

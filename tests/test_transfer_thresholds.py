from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from skdistill.transfer import ThresholdSampler


def splits_at(pairs):
    """Build a teacher of one tree that splits columns at given thresholds."""
    feature, threshold = map(np.array, zip(*pairs, strict=True))
    return SimpleNamespace(tree_=SimpleNamespace(feature=feature, threshold=threshold))


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=400, n_features=5, n_informative=4, n_redundant=0, random_state=0
    )
    return X, y


@pytest.mark.parametrize(
    "teacher",
    [
        RandomForestClassifier(10, max_depth=4, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
    ],
)
def test_threshold_sampler_moves_cells_to_midpoints(teacher, data):
    X, y = data
    sampler = ThresholdSampler().fit(X, teacher=teacher.fit(X, y))
    new = sampler.sample(2_000, random_state=0)
    moved = ~np.isin(new, X)
    assert 0.15 < moved.mean() < 0.5
    assert (sampler.n_thresholds_ > 2).all()
    for j in range(5):
        # each moved value has been drawn often: few midpoints, not a continuum
        values = np.unique(new[moved[:, j], j])
        assert len(values) <= sampler.n_thresholds_[j] + 1
        assert X[:, j].min() <= values.min()
        assert values.max() <= X[:, j].max()


def test_threshold_sampler_takes_the_steps_of_both_rows_and_one_beyond():
    # two rows in steps 2 and 3 of nine: midpoints of steps 1 to 4 are drawn
    X = np.c_[[2.6, 3.3, 0.1, 0.2, 8.7, 9.2], np.repeat([0.1, 9e9], [2, 4])]
    teacher = splits_at([(0, float(cut)) for cut in range(1, 9)])
    sampler = ThresholdSampler(p=1.0).fit(X, teacher=teacher)
    new = sampler.sample(4_000, random_state=0)
    drawn, counts = np.unique(new[new[:, 1] < 1, 0], return_counts=True)
    np.testing.assert_allclose(drawn, [1.5, 2.5, 3.5, 4.5])
    np.testing.assert_allclose(counts / counts.sum(), 0.25, atol=0.03)
    # outermost steps end where the data end
    assert {(0.1 + 1) / 2, (8 + 9.2) / 2} <= set(new[:, 0])


def test_threshold_sampler_counts_a_value_on_a_threshold_to_the_step_below():
    X = np.array([[2.0], [2.0001], [0.5], [9.5]])
    teacher = splits_at([(0, cut) for cut in (1.0, 2.0, 3.0, 4.0)])
    new = ThresholdSampler().fit(X, teacher=teacher).sample(1_000, random_state=0)
    near = new[new[:, 0] < 4, 0]
    assert near.min() == 0.75
    assert set(near) == {0.75, 1.5, 2.5, 3.5}


def test_threshold_sampler_leaves_the_teacher_its_answers_within_a_step(data):
    X, y = data
    tree = DecisionTreeClassifier(max_leaf_nodes=6, random_state=0).fit(X, y)
    new = ThresholdSampler(p=1.0).fit(X, teacher=tree).sample(3_000, random_state=0)
    # every leaf is met, as its steps are explored from the data
    assert set(tree.apply(new)) == set(tree.apply(X))


def test_threshold_sampler_swaps_what_no_tree_splits(data):
    X = pd.DataFrame(data[0]).add_prefix("x")
    X["c"] = pd.Categorical(np.array(list("abc"))[np.arange(400) % 3])
    sampler = ThresholdSampler(p=0.5).fit(X, teacher=splits_at([(0, 0.0), (5, 1.0)]))
    new = sampler.sample(1_000, random_state=0)
    assert sampler.n_thresholds_.tolist() == [1, 0, 0, 0, 0, 0]
    for name in X.columns[1:]:
        assert set(new[name]) <= set(X[name])
    assert len(set(new["x0"]) - set(X["x0"])) == 2


def test_threshold_sampler_snaps_to_observed_whole_numbers():
    X = np.array([[1], [4], [5], [40], [70]])
    teacher = splits_at([(0, 2.5), (0, 4.5), (0, 20.0), (0, 60.0)])
    X = np.c_[X, np.arange(5) / 7]
    new = ThresholdSampler().fit(X, teacher=teacher).sample(500, random_state=0)
    assert set(new[:, 0]) <= {1, 4, 5, 40, 70}


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (None, "needs a fitted teacher, got teacher=None"),
        (LogisticRegression(), "got LogisticRegression, in which no such threshold"),
        (DecisionTreeClassifier(), "got DecisionTreeClassifier, in which no such"),
        (splits_at([(0, 1e9), (2, -1e9)]), "hold trees that split columns of numbers"),
    ],
)
def test_threshold_sampler_refuses_a_teacher_without_thresholds(teacher, message, data):
    with pytest.raises(ValueError, match=message):
        ThresholdSampler().fit(data[0], teacher=teacher)


@pytest.mark.parametrize("params", [{"p": 0}, {"p": 1.1}, {"block_size": 1}])
def test_threshold_sampler_refuses_bad_parameters(params):
    with pytest.raises(ValueError, match=f"{next(iter(params))!r} parameter of Thresh"):
        ThresholdSampler(**params).fit(np.eye(3))

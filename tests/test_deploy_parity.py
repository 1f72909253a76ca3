"""The proof before a file is kept: what it lets pass, what it refuses, on what rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from skdistill import LogisticStudent, MLPStudent
from skdistill.deploy import _parity, _probes

X, y = load_iris(return_X_y=True)
P = np.array([[0.7, 0.3], [0.5, 0.5], [0.2, 0.8]])
LABELS = np.array([0, 0, 1])


def answers(found, labels=LABELS):
    return _parity.Answers(labels, np.asarray(found), P)


# -- comparing -------------------------------------------------------------------------


def test_check_answers_lets_small_differences_and_ties_pass():
    # the second row is a tie
    found = answers(P + np.array([4e-6, -4e-6]), np.array([0, 1, 1]))
    _parity.check_answers(found, LABELS, P, 1e-5)
    assert found.max_difference == pytest.approx(4e-6, rel=1e-6)


def test_check_answers_shows_the_worst_row():
    found = P.copy()
    found[0, 0] += 2e-5
    found[2] = [0.3, 0.7]
    rows = np.array([[1.5], [2.5], [3.5]])
    with pytest.raises(ValueError, match=r"\[0.2, 0.8\] for row 2, \[3.5\]"):
        _parity.check_answers(answers(found), LABELS, rows, 1e-5)


def test_check_answers_refuses_nan_and_infinity():
    for value in (np.nan, np.inf):
        found = P.copy()
        found[1, 0] = value
        assert answers(found).max_difference == np.inf
        with pytest.raises(ValueError, match="for row 1"):
            _parity.check_answers(answers(found), LABELS, P, 1e-5)


def test_check_answers_refuses_a_label_that_is_not_the_most_probable():
    with pytest.raises(ValueError, match="predict of the fitted model"):
        _parity.check_answers(answers(P, np.array([1, 0, 1])), LABELS, P, 1e-5)


def test_answers_join_and_have_a_fingerprint_of_their_own():
    both = _parity.Answers.join([answers(P), answers(P + 1e-3)])
    assert both.P.shape == (6, 2) and both.max_difference == pytest.approx(1e-3)
    assert len(both.fingerprint) == 64
    assert both.fingerprint != answers(P).fingerprint
    assert answers(P).fingerprint == answers(P.copy()).fingerprint


class Session:
    """Answers the mean of the batch: a row's answer depends on the others."""

    def run(self, names, feeds):
        (rows,) = feeds.values()
        return [np.repeat(rows.mean(axis=0, keepdims=True), len(rows), axis=0)]


def test_check_alone_refuses_answers_that_depend_on_the_batch():
    feeds = {"X": P.astype(np.float32)}
    found = answers(Session().run(None, feeds)[0])
    with pytest.raises(ValueError, match="alone as in a batch"):
        _parity.check_alone(Session(), feeds, found)


def test_open_session_says_what_the_runtime_says():
    pytest.importorskip("onnxruntime", reason="it opens the files")
    with pytest.raises(ValueError, match="ONNX Runtime"):
        _parity.open_session(b"no model")


# -- feeding ---------------------------------------------------------------------------


def test_feeds_of_a_frame_are_numbers_and_text():
    frame = pd.DataFrame({"t": ["a", None], "n": [1.5, np.nan], "k": [True, 2]})
    inputs = [
        {"name": "numeric", "dtype": "float32", "columns": [1]},
        {"name": "categorical", "dtype": "string", "columns": [0, 2]},
    ]
    feeds = _parity.feeds_of(frame, inputs, {"categorical": "?"})
    np.testing.assert_array_equal(feeds["numeric"], np.float32([[1.5], [np.nan]]))
    assert feeds["categorical"].tolist() == [["a", "1.0"], ["?", "2.0"]]


@pytest.mark.parametrize("dtype", ["boolean", "Int64"])
def test_feeds_of_a_nullable_column_have_nan_for_what_is_missing(dtype):
    frame = pd.DataFrame({"n": pd.array([1, None, 0], dtype=dtype)})
    inputs = [{"name": "X", "dtype": "float32", "columns": [0]}]
    found = _parity.feeds_of(frame, inputs, {})["X"]
    np.testing.assert_array_equal(found, np.float32([[1], [np.nan], [0]]))


# -- rows ------------------------------------------------------------------------------


def test_some_rows_spread_over_all_of_them():
    rows = _probes.some_rows(np.arange(5000).reshape(-1, 1))
    assert len(_probes.some_rows(np.zeros((50, 100_000)))) == 20
    assert len(rows) == _probes.MAX_ROWS and rows[0] == 0 and rows[-1] == 4999


def test_made_rows_stand_at_the_edges_of_bins():
    student = LogisticStudent(encoding="piecewise").fit(X, y)
    rows = _probes.made_rows(student, 4, None)
    edges = student.encoder_.bin_low_[student.encoder_.bin_column_ == 0]
    assert rows.shape == (_probes.N_MADE, 4)
    assert np.isin(rows[::2, 0], edges).all()


def test_made_rows_of_a_frame_hold_its_levels():
    frame = pd.DataFrame({"t": list("abca") * 10, "n": np.arange(40.0)})
    student = LogisticStudent(max_categories=2).fit(frame, np.arange(40) % 2)
    rows = _probes.made_rows(student, 2, ["t", "n"])
    assert set(rows["t"]) == set("abc") and rows["n"].std() > 5


def test_made_rows_of_a_frame_whose_names_are_no_text():
    frame = pd.DataFrame({7: list("ab") * 20, 9: np.arange(40.0)})
    student = LogisticStudent().fit(frame, np.arange(40) % 2)
    rows = _probes.made_rows(student, 2, None)
    assert set(rows[0]) == set("ab") and student.predict(rows).shape == (len(rows),)


def test_made_rows_of_a_linear_student_move_its_answers():
    seconds = 1.7e9 + np.arange(200.0)[:, np.newaxis]
    student = LogisticStudent().fit(seconds, np.arange(200) < 100)
    P = student.predict_proba(_probes.made_rows(student, 1, None))
    assert np.mean((P[:, 0] > 0.1) & (P[:, 0] < 0.9)) > 0.5


def test_made_rows_of_trees_stand_at_their_thresholds():
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X + 1e4, y)
    rows = _probes.made_rows(tree, 4, None)
    assert set(tree.apply(rows)) == set(tree.apply(X + 1e4))  # every leaf
    forest = RandomForestClassifier(3, random_state=0).fit(X + 1e4, y)
    rows = _probes.made_rows(forest, 4, None)
    at = np.concatenate([m.tree_.threshold[m.tree_.feature == 3] for m in forest])
    gap = np.abs(rows[:, 3, np.newaxis] - at).min(axis=1)
    assert gap.max() <= 2 * np.spacing(np.float32(1e4))


@pytest.mark.parametrize(
    "model", [HistGradientBoostingClassifier(max_iter=1), LogisticRegression()]
)
def test_made_rows_are_refused_where_columns_are_unknown(model):
    with pytest.raises(ValueError, match=f"begins with a {type(model).__name__}"):
        _probes.made_rows(model.fit(X / 10, y), 4, None)


@pytest.mark.parametrize("gap", [None, np.nan])
def test_extreme_rows_hold_the_missing_value_of_an_encoder(gap):
    frame = pd.DataFrame({"t": pd.Series(["a", "b"], dtype=object)})
    rows, gaps = _probes.extreme_rows(frame, gap=gap)
    cells = rows["t"][gaps == "texts"].tolist()
    assert cells and all(cell is gap for cell in cells)


def test_extreme_rows_are_missing_huge_and_unseen():
    frame = pd.DataFrame({"t": ["a", "b"], "n": [1.0, 2.0], "i": [1, 2]})
    rows, gaps = _probes.extreme_rows(frame)
    assert {_probes.UNSEEN, None} <= set(rows["t"].astype(object).replace(np.nan, None))
    assert {3e38, -3e38} <= set(rows["n"]) and rows["n"].isna().any()
    assert set(rows["i"]) <= {1, 2}  # whole numbers stay
    np.testing.assert_array_equal(gaps == "numbers", rows["n"].isna())
    np.testing.assert_array_equal(gaps == "texts", rows["t"].isna())


def test_accepted_rows_are_those_that_the_model_answers():
    rows = np.vstack([X[:2], [[np.nan, 0, 0, 0]], [[1e308, 1e308, -1e308, 0]]])
    assert _probes.accepted_rows(LogisticStudent().fit(X, y), rows[:3]).all()
    plain = LogisticRegression(max_iter=500).fit(X, y)
    assert _probes.accepted_rows(plain, rows[:3]).tolist() == [True, True, False]


def test_as_single_rounds_and_stays_float64():
    given = np.array([[0.1, 1e300, np.nan]])
    rounded = _probes.as_single(given)
    assert rounded.dtype == np.float64
    np.testing.assert_array_equal(rounded, [[np.float32(0.1), 3e38, np.nan]])


def test_front_of_looks_through_what_only_passes_rows_on():
    student = MLPStudent((3,), max_steps=2).fit(X, y)
    assert _probes.front_of(student) is student.encoder_

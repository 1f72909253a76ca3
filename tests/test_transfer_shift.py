import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.transfer import UnlabelledPool, pool_shift


@pytest.fixture(scope="module")
def sides():
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 3)), rng.normal(size=(500, 3))


def as_frame(rows):
    return pd.DataFrame({"a": rows[:, 0], "b": np.where(rows[:, 1] > 0, "up", "down")})


def as_text(rows):
    words = np.array(["fish", "bread", "wine", "salt", "oil", "corn"])
    return [" ".join(words[np.argsort(row)]) for row in np.c_[rows, -rows]]


@pytest.mark.parametrize("form", [np.asarray, as_frame, sparse.csr_array, as_text])
def test_pool_shift_of_rows_alike_is_about_a_half(sides, form):
    assert pool_shift(form(sides[0]), form(sides[1])) == pytest.approx(0.5, abs=0.08)


def test_pool_shift_sees_a_shift_that_only_pairs_of_columns_show():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 800, 2))
    b[:, 1] = np.sign(b[:, 0]) * np.abs(b[:, 1])  # same columns, one by one
    assert pool_shift(a, b) > 0.65


def test_pool_shift_sees_other_texts(sides):
    other = [text.replace("fish", "meat") for text in as_text(sides[1])]
    assert pool_shift(as_text(sides[0]), other) > 0.95


def test_pool_shift_is_seeded_and_bounded_by_max_rows(sides):
    first = pool_shift(*sides, max_rows=100)
    assert first == pool_shift(*sides, max_rows=100)
    assert first != pool_shift(*sides, max_rows=100, random_state=1)


def test_pool_shift_of_few_rows_or_unknown_kinds_is_undefined(sides):
    assert np.isnan(pool_shift(sides[0][:29], sides[1]))
    images = np.zeros((40, 2, 2))
    assert np.isnan(pool_shift(images, images))


def test_pool_shift_refuses_other_columns(sides):
    with pytest.raises(ValueError, match="columns of X"):
        pool_shift(sides[0], sides[1][:, :2])


def test_distilled_classifier_notices_a_pool_of_other_rows_once():
    X, y = make_classification(600, 5, random_state=0)
    teacher = LogisticRegression().fit(X[300:], y[300:])
    pool = UnlabelledPool(X[300:] + 5)
    model = DistilledClassifier(
        teacher, LogisticStudent(), alpha=1.0, transfer=pool, random_state=0
    )
    first, second = clone(model), clone(model)
    with pytest.warns(UserWarning, match=r"X_transfer is unlike X.* of 1\.00"):
        first.fit(X[:300], y[:300])
    second.fit(X[:300], y[:300])  # warnings are errors here
    same = model.set_params(transfer=UnlabelledPool(X[300:]))
    same.fit(X[:300], y[:300])

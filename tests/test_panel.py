"""Who labels new rows, and with which weight."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skdistill._last_fit import fit_chosen
from skdistill._panel import TEACHER_SHARE, Panel, weigh
from skdistill._race import Choice
from skdistill._training import PLAIN, Rows, Settings
from skdistill.teachers._opinion_pool import pool


@pytest.fixture
def truth():
    """Rows whose labels follow known probabilities."""
    rng = np.random.RandomState(0)
    P = rng.dirichlet([0.5, 0.5, 0.5], size=3000)
    codes = (rng.random_sample(3000)[:, None] > P.cumsum(axis=1)).sum(axis=1)
    return P, codes


def rows_of(P, codes, weight=None):
    return Rows(np.zeros((len(P), 1)), codes, P, weight)


def member(P):
    return SimpleNamespace(predict_proba=lambda X: P)


def test_panel_is_the_weighted_mean_of_calibrated_teacher_and_students():
    T, A, B = np.random.RandomState(0).dirichlet([1.0, 1.0], size=(3, 5))
    panel = Panel(lambda P: P[:, ::-1])
    assert_allclose(panel(None, T), T[:, ::-1])
    panel = panel.with_students([(member(A), 0.3), (member(B), 0.1)])
    assert_allclose(panel(None, T), 0.6 * T[:, ::-1] + 0.3 * A + 0.1 * B)


def test_weights_find_a_mixture(truth):
    P, codes = truth
    rng = np.random.RandomState(1)
    # each knows the truth of rows of its own, and next to nothing of the others
    knows = rng.random_sample(len(P)) < 0.7
    blind = np.full_like(P, 1 / 3)
    teacher = np.where(knows[:, None], P, blind)
    student = np.where(knows[:, None], blind, P)
    (weight,) = weigh(rows_of(teacher, codes), [student])
    assert 0.1 < weight < 0.45


def test_weights_leave_the_teacher_its_share(truth):
    P, codes = truth
    wrong = P[:, [1, 2, 0]]
    weights = weigh(rows_of(wrong, codes), [P, P])
    assert_allclose(weights.sum(), 1 - TEACHER_SHARE)


def test_weights_of_useless_students_are_zero(truth):
    P, codes = truth
    wrong = P[:, [1, 2, 0]]
    assert_allclose(weigh(rows_of(P, codes), [wrong]), [0.0])


def test_weights_go_by_weighted_rows_that_the_teacher_answers(truth):
    P, codes = truth
    wrong = P[:, [1, 2, 0]]
    half = np.arange(len(P)) % 2 == 0
    mixed = np.where(half[:, None], P, wrong)
    weight = np.where(half, 1.0, 0.0)
    assert_allclose(weigh(rows_of(mixed, codes, weight), [wrong]), [0.0])
    silent = np.where(half[:, None], P, np.nan)
    assert_allclose(weigh(rows_of(silent, codes), [wrong]), [0.0])


def test_nobody_joins_a_teacher_that_answered_no_row(truth):
    P, codes = truth
    silent = np.full_like(P, np.nan)
    assert_allclose(weigh(rows_of(silent, codes), [P]), [0.0])
    assert len(weigh(rows_of(P, codes), [])) == 0


def test_last_fit_seats_plain_students_that_have_met_all_rows():
    def answering(q):
        return SimpleNamespace(predict_proba=lambda X: np.tile([1 - q, q], (len(X), 1)))

    wide, soft = Settings(0.0, encoding="piecewise"), Settings(0.5, transfer="near")
    fitted, labelled = [], []

    def fit(rows, settings, new=None):
        fitted.append(settings)
        return answering({PLAIN: 0.9, wide: 0.2}.get(settings, 0.5)), "feed"

    def rows_for(student, rows, teacher, name, panel):
        labelled.append(panel(np.zeros((1, 1)), np.array([[0.5, 0.5]])))

    trainer = SimpleNamespace(fit=fit, make_student=lambda: None)
    source = SimpleNamespace(rows_for=rows_for, samplers={"near": None})
    seats = {PLAIN: 0.3, wide: 0.2}
    common = {
        "teacher": None, "calibration": lambda P: P, "with_plain": True,
        "progress": SimpleNamespace(task=lambda *_: nullcontext(lambda: None)),
    }  # fmt: skip
    last = fit_chosen(Choice(soft, seats), None, trainer, source, **common)
    assert fitted == [PLAIN, wide, soft]
    # the teacher, and both plain students
    answers = [np.array([[1 - q, q]]) for q in (0.5, 0.9, 0.2)]
    assert_allclose(labelled[0], pool(answers, [0.5, 0.3, 0.2]))
    assert last.plain_student.predict_proba([0])[0, 1] == 0.9
    fitted.clear()
    last = fit_chosen(Choice(PLAIN, seats), None, trainer, source, **common)
    assert fitted == [PLAIN] and last.student is last.plain_student

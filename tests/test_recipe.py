"""Never worse than labels alone, whatever the teacher; tables of unusual shape."""

import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import ShuffleSplit, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill._pace import Length
from skdistill._record import NO_HELP, NO_TEACHER
from skdistill._training import PLAIN, TRIAL_TOL
from skdistill.soft_targets import log_loss_rows, one_hot, temper
from skdistill.students import last_step
from skdistill.transfer import MungeSampler


class Spoiled(ClassifierMixin, BaseEstimator):
    """A good forest whose answers are spoiled in one of several ways."""

    def __init__(self, how="permuted"):
        self.how = how

    def fit(self, X, y):
        self.forest_ = ExtraTreesClassifier(30, random_state=0).fit(X, y)
        self.classes_ = self.forest_.classes_
        return self

    def predict_proba(self, X):
        P = self.forest_.predict_proba(X)
        if self.how == "permuted":
            return np.roll(P, 1, axis=1)
        if self.how == "smoothed":
            return 0.2 * one_hot(P.argmax(axis=1), P.shape[1]) + 0.8 / P.shape[1]
        if self.how == "stump":
            prior = np.full_like(P, 1 / P.shape[1])
            return 0.95 * prior + 0.05 * np.roll(prior, 1, axis=1)
        # random, the same for the same row
        noise = np.abs(np.sin(X[:, :1] * 1e4 + np.arange(P.shape[1]) * 7.0)) + 1e-3
        return noise / noise.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        1600, 8, n_informative=6, n_classes=3, n_clusters_per_class=2, random_state=1
    )
    return train_test_split(X, y, test_size=0.5, random_state=0)


STUDENTS = {
    "net": MLPStudent((16,), max_steps=400),
    "linear": LogisticStudent(),
    "tree": DecisionTreeClassifier(max_leaf_nodes=32),
}


@pytest.mark.parametrize("how", ["permuted", "random", "smoothed", "stump"])
@pytest.mark.parametrize("student", STUDENTS)
def test_bad_teacher_leaves_the_student_no_worse_than_labels(table, student, how):
    X, X_test, y, y_test = table
    small = DistilledClassifier(Spoiled(how), STUDENTS[student], random_state=0)
    small.fit(X, y)
    lost = log_loss_rows(small.predict_proba(X_test), y_test)
    lost -= log_loss_rows(small.plain_student_.predict_proba(X_test), y_test)
    assert lost.mean() <= 2 * lost.std() / np.sqrt(len(lost))
    if how in ("permuted", "random", "stump"):  # there is nothing to learn from these
        assert small.alpha_ < 1 or lost.mean() <= 0


def fake_meeting(met, stands):
    """Meeting on other rows, for Race.meet: won or lost clearly."""

    def meet(race, best, seats):
        met.append(race.test)
        good, bad = (best, PLAIN) if stands else (PLAIN, best)
        hard = one_hot(race.test.codes, race.test.P.shape[1])
        race.score(good, 0.9 * hard + 0.1 / hard.shape[1])
        race.score(bad, np.full(hard.shape, 1 / hard.shape[1]))
        return True

    return meet


@pytest.mark.parametrize("stands", [True, False])
def test_best_on_few_rows_has_to_win_on_others(table, monkeypatch, stands):
    X, _, y, _ = table
    met = []
    monkeypatch.setattr("skdistill._race.Race.meet", fake_meeting(met, stands))
    small = DistilledClassifier(
        ExtraTreesClassifier(100, random_state=0), STUDENTS["tree"], random_state=0
    ).fit(X, y)
    assert len(met) == 1 and len(met[0]) == 320
    assert max(small.summary_["n_rows"]) == 160 + 320
    chosen = small.summary_["chosen"]
    # as it is, or shrunk
    is_plain = np.char.startswith(small.summary_["model"][chosen], "plain student")
    assert is_plain.all() != stands
    if not stands:
        assert np.isin(small.summary_["note"][chosen], [NO_HELP, NO_TEACHER]).all()
        assert small.alpha_ == 0.0


@pytest.fixture(scope="module")
def many():
    """Rows enough to choose by a single split."""
    return make_classification(2_500, 8, n_informative=6, n_classes=3, random_state=1)


@pytest.mark.parametrize("stands", [True, False])
def test_net_on_many_rows_has_to_beat_plain_nets_again(many, monkeypatch, stands):
    met = []
    monkeypatch.setattr("skdistill._race.Race.meet", None)  # cannot be called
    monkeypatch.setattr(
        "skdistill._race.Race.beats_again",
        lambda race, best: (met.append(best), stands)[1],
    )
    small = DistilledClassifier(
        ExtraTreesClassifier(100, random_state=0), STUDENTS["net"], random_state=0
    ).fit(*many)
    assert len(met) == 1 and met[0].alpha > 0
    assert (small.alpha_ > 0) == stands


def test_best_tree_on_many_rows_wins_at_once(many, monkeypatch):
    monkeypatch.setattr("skdistill._race.Race.meet", None)  # cannot be called
    X, y = many
    small = DistilledClassifier(
        ExtraTreesClassifier(100, random_state=0), STUDENTS["tree"], random_state=0
    ).fit(X, y)
    assert set(small.summary_["n_rows"]) == {500}
    assert small.alpha_ > 0


@pytest.mark.parametrize("how", ["low effort", "one fold", "groups", "fitted"])
def test_second_meeting_takes_what_folds_there_are(table, monkeypatch, how):
    X, _, y, _ = table
    held = []
    monkeypatch.setattr("skdistill._race.Race.meet", fake_meeting(held, False))
    teacher, params, given = HistGradientBoostingClassifier(max_iter=30), {}, {}
    if how == "low effort":  # one rival: its lead owes nothing to a choice
        params["effort"] = "low"
    elif how == "one fold":
        params["cv"] = ShuffleSplit(1, test_size=0.2, random_state=0)
    elif how == "groups":
        given["groups"] = np.arange(len(X)) // 4
    else:
        teacher = ExtraTreesClassifier(100, random_state=0).fit(X[:400], y[:400])
        X, y = X[400:], y[400:]
    small = DistilledClassifier(teacher, STUDENTS["tree"], random_state=0, **params)
    with warnings.catch_warnings():
        if how == "one fold":
            warnings.filterwarnings("ignore", ".*in no test part of cv", UserWarning)
        small.fit(X, y, **given)
    assert len(held) == (how != "low effort")
    assert (small.alpha_ > 0) == (how == "low effort")


def test_second_meeting_is_on_rows_that_nobody_knows(table, monkeypatch):
    X, _, y, _ = table
    held, learnt = [], []
    from skdistill._race import Race

    def spy(race, best, seats):
        held.append(race.test)
        learnt.append(race.train)
        return meet(race, best, seats)

    meet, run = Race.meet, Race.run
    monkeypatch.setattr(Race, "meet", spy)
    monkeypatch.setattr(
        Race,
        "run",
        lambda race, *a, **k: (held.append(race.test), run(race, *a, **k))[1],
    )
    teacher = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    DistilledClassifier(teacher, STUDENTS["tree"], random_state=0).fit(X, y)
    first, again, *_ = ({row.tobytes() for row in rows.X} for rows in held)
    assert not first & again
    assert not again & {row.tobytes() for row in learnt[0].X}


def test_adversarial_teacher_is_not_distilled_and_the_summary_says_so(table):
    X, _, y, _ = table
    small = DistilledClassifier(Spoiled("permuted"), LogisticStudent(), random_state=0)
    small.set_params(student__encoding="linear", student__C=1.0).fit(X, y)
    assert small.alpha_ == 0
    summary = small.summary_
    assert (summary["note"][summary["chosen"]] == NO_HELP).all()
    assert {"teacher", "plain student", "distilled student"} == set(summary["model"])
    assert (summary["low"] < summary["score"]).all()
    assert (summary["score"] < summary["high"]).all()


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_penalty_of_linear_students_is_chosen(in_pipeline):
    X, y = load_digits(return_X_y=True)
    X = X / 100  # so that C=1 is far too strict
    student = LogisticStudent()
    if in_pipeline:
        student = make_pipeline(FunctionTransformer(), student)
    teacher = ExtraTreesClassifier(30, random_state=0)
    small = DistilledClassifier(teacher, student, random_state=0).fit(X[:800], y[:800])
    kept, plain = last_step(small.student_), last_step(small.plain_student_)
    assert kept.C > 1
    assert plain.C == "auto"
    assert plain.tol == LogisticStudent().tol
    assert kept.tol == TRIAL_TOL  # ends where it ended when it was compared
    summary = small.summary_
    assert {*summary["C"][summary["chosen"]]} == {kept.C}
    assert np.isnan(summary["C"][summary["model"] == "plain student"]).all()
    losses = [
        log_loss(y[800:], model.predict_proba(X[800:]))
        for model in (small, small.plain_student_)
    ]
    assert losses[0] < 0.6 * losses[1]
    assert_array_equal(
        small.plain_student_.predict_proba(X),
        clone(student).fit(X[:800], y[:800]).predict_proba(X),
    )


@pytest.mark.parametrize("effort", ["default", "low"])
def test_penalty_that_is_given_stays(effort):
    X, y = load_digits(return_X_y=True)
    student = LogisticStudent(1.0) if effort == "default" else LogisticStudent()
    teacher = ExtraTreesClassifier(20, random_state=0)
    small = DistilledClassifier(teacher, student, effort=effort, random_state=0)
    small.fit(X[:600] / 100, y[:600])
    assert small.student_.C == student.C
    assert np.isnan(small.summary_["C"]).all()


def test_walk_along_penalties_ends_where_the_loss_rises():
    from skdistill._race import Race
    from skdistill._training import Settings

    penalties = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
    for best, expected in (
        (0.1, [10.0, 0.1, 0.01]),
        (1.0, [10.0, 0.1]),
        (100.0, [10.0, 100.0, 1000.0]),
        (1000.0, [10.0, 100.0, 1000.0]),
    ):
        race, tried, start = object.__new__(Race), [], Settings(0.5)

        def attempt(settings, length, race=race, tried=tried, best=best):
            race.losses[settings] = np.full(5, abs(np.log10(settings.C / best)))
            tried.append(settings.C)

        race.losses = {start: np.full(5, abs(np.log10(best)))}
        race.attempt, race.test = attempt, SimpleNamespace(weight=None)
        race.walk(start, penalties, None)
        assert tried == expected


@pytest.mark.parametrize("given", ["auto", 0.005])
def test_drawn_rows_do_not_raise_the_learning_rate(table, given):
    X, X_test, y, _ = table
    net = MLPStudent((4,), learning_rate=given, max_steps=20)
    teacher = ExtraTreesClassifier(10, random_state=0).fit(X_test[:400], y[:400])
    small = DistilledClassifier(
        teacher, net, alpha=0.5, transfer=MungeSampler(), random_state=0
    ).fit(X, y)
    assert small.n_transfer_rows_ >= 10_000
    assert small.student_.learning_rate == (0.01 if given == "auto" else given)
    small.set_params(transfer="auto").fit(X, y, X_transfer=np.tile(X_test, (20, 1)))
    assert small.student_.learning_rate == given  # rows of somebody's count in full
    assert small.student_.net_.lr == (0.02 if given == "auto" else given)


def test_good_teacher_helps_a_tree():
    X, y = make_classification(
        6000, 6, n_informative=6, n_redundant=0, flip_y=0.15, random_state=0
    )
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    small = DistilledClassifier(
        ExtraTreesClassifier(100, random_state=0, bootstrap=True),
        DecisionTreeClassifier(max_leaf_nodes=200),
        random_state=0,
    ).fit(X, y)
    assert small.alpha_ > 0
    gain = log_loss_rows(small.plain_student_.predict_proba(X_test), y_test)
    gain -= log_loss_rows(small.predict_proba(X_test), y_test)
    assert gain.mean() > 2 * gain.std() / np.sqrt(len(gain))
    assert NO_HELP not in small.summary_["note"]


# -- tables of unusual shape -----------------------------------------------------------


def test_many_classes():
    rng = np.random.RandomState(0)
    centres = rng.standard_normal((120, 10)) * 2
    y = rng.randint(120, size=3000)
    X = centres[y] + rng.standard_normal((3000, 10))
    X_test = centres[y[:600]] + rng.standard_normal((600, 10))
    small = DistilledClassifier(
        ExtraTreesClassifier(30, random_state=0), MLPStudent((64,), max_steps=800),
        cv=2, effort="low", random_state=0,
    ).fit(X, y)  # fmt: skip
    assert small.predict_proba(X_test).shape == (600, 120)
    assert small.score(X_test, y[:600]) > 0.6


def test_strong_imbalance():
    X, y = make_classification(
        4000,
        6,
        n_informative=6,
        n_redundant=0,
        weights=[0.99],
        flip_y=0,
        random_state=0,
    )
    X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
    small = DistilledClassifier(
        HistGradientBoostingClassifier(max_iter=30, random_state=0),
        MLPStudent((16,), max_steps=500), random_state=0,
    ).fit(X, y)  # fmt: skip
    P = small.predict_proba(X_test)
    assert abs(P[:, 1].mean() - y_test.mean()) < 0.01
    prior = np.full_like(P, [1 - y.mean(), y.mean()])
    assert log_loss_rows(P, y_test).mean() < log_loss_rows(prior, y_test).mean()


def test_many_columns_bound_the_drawn_rows():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((500, 1500))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    small = DistilledClassifier(
        ExtraTreesClassifier(10, random_state=0), MLPStudent((8,), max_steps=100),
        cv=2, effort="low", random_state=0,
    ).fit(X, y)  # fmt: skip
    assert "piecewise" not in small.summary_["encoding"]
    assert small.student_.coefs_[0].shape == (1500, 8)


def test_five_hundred_rows_are_chosen_on():
    X, y = make_classification(500, 5, n_informative=5, n_redundant=0, random_state=0)
    small = DistilledClassifier(
        ExtraTreesClassifier(20, random_state=0), MLPStudent((8,), max_steps=200),
        random_state=0,
    ).fit(X, y)  # fmt: skip
    # who met on the others was compared on 300 or all
    assert set(small.summary_["n_rows"]) in ({100, 300}, {100, 500})


@pytest.mark.parametrize("effort, most", [("low", 2), ("default", 6), ("high", 14)])
def test_effort_bounds_the_fits(table, effort, most):
    X, _, y, _ = table
    small = DistilledClassifier(
        ExtraTreesClassifier(10, random_state=0), MLPStudent((8,), max_steps=50),
        effort=effort, random_state=0,
    ).fit(X, y)  # fmt: skip
    tried = small.summary_["metric"][small.summary_["model"] != "teacher"]
    assert np.count_nonzero(tried == "log_loss") == most
    seconds = small.fit_seconds_
    assert set(seconds) == {"teacher fits", "teacher answers", "new rows", "students"}
    assert min(seconds.values()) > 0


def test_encoding_is_chosen_along():
    # steps in every column: what a piecewise-linear input is for
    rng = np.random.RandomState(0)
    X = rng.uniform(size=(3000, 3))
    score = 2.0 * ((X * 8).astype(int) % 2).sum(axis=1) - 3
    y = (rng.uniform(size=3000) < 1 / (1 + np.exp(-2 * score))).astype(int)
    small = DistilledClassifier(
        HistGradientBoostingClassifier(random_state=0), LogisticStudent(),
        random_state=0,
    ).fit(X, y)  # fmt: skip
    assert small.student_.encoding == "piecewise"
    assert small.plain_student_.encoding == "auto"
    assert small.score(X, y) > small.plain_student_.score(X, y) + 0.1
    fixed = small.set_params(student=LogisticStudent(encoding="linear")).fit(X, y)
    assert fixed.student_.encoding == "linear"


@pytest.mark.parametrize("student", ["net", "linear"])
def test_constant_columns_are_distilled(student):
    X, y = np.ones((300, 3)), np.repeat([0, 1], 150)
    small = DistilledClassifier(
        ExtraTreesClassifier(5, random_state=0), STUDENTS[student], random_state=0
    ).fit(X, y)
    assert abs(small.predict_proba(X[:1]) - 0.5).max() < 0.05


def test_settings_that_are_fixed_cost_one_fit(table):
    X, _, y, _ = table
    small = DistilledClassifier(
        ExtraTreesClassifier(5, random_state=0), LogisticStudent(),
        alpha=0.5, transfer=None, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert len(small.summary_["model"]) == 0
    assert small.summary_["chosen"].dtype == bool


def test_low_effort_draws_no_rows_where_there_is_nothing_to_check_them_on(table):
    X, _, y, _ = table
    small = DistilledClassifier(
        ExtraTreesClassifier(5, random_state=0), MLPStudent((8,), max_steps=50),
        alpha=0.5, effort="low", random_state=0,
    )  # fmt: skip
    assert small.fit(X[:100], y[:100]).n_transfer_rows_ == 0
    assert small.fit(X, y).n_transfer_rows_ > 0


def test_rows_of_weight_zero_take_no_part(table):
    X, _, y, _ = table
    weight = np.r_[np.ones(240), np.zeros(len(y) - 240)]
    seen = []

    class Spy:
        def fit(self, X, *, teacher=None):
            seen.append(len(X))
            self.X = X
            return self

        def sample(self, n_samples, random_state=None):
            return self.X[:50] + 0.01

    teacher = ExtraTreesClassifier(5, random_state=0).fit(X, y)
    small = DistilledClassifier(
        teacher, LogisticStudent(), transfer=Spy(), calibrate=None, random_state=0
    )
    with pytest.warns(UserWarning, match="looks as if it had been trained"):
        small.fit(X, y, sample_weight=weight)
    alone = DistilledClassifier(
        teacher, LogisticStudent(), transfer=Spy(), calibrate=None, random_state=0
    )
    with pytest.warns(UserWarning, match="looks as if it had been trained"):
        alone.fit(X[:240], y[:240])
    assert max(seen) <= 240
    assert small.alpha_ == alone.alpha_
    assert np.allclose(small.predict_proba(X), alone.predict_proba(X), atol=1e-5)


# -- how long a net learns -------------------------------------------------------------


@pytest.mark.parametrize("n_new, to_the_end", [(2_500, False), (3_000, True)])
def test_net_learns_to_the_end_where_new_rows_are_many(n_new, to_the_end):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((600 + n_new, 3))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    teacher = ExtraTreesClassifier(10, random_state=0).fit(X[600:], y[600:])
    net = MLPStudent((8,), max_steps=300, patience=50)
    small = DistilledClassifier(teacher, net, alpha=0.5, random_state=0).fit(
        X[:600], y[:600], X_transfer=X[600:]
    )
    assert small.student_.early_stopping is not to_the_end
    assert net.early_stopping  # the user's own stays as it was


@pytest.mark.parametrize("are_few", [False, True])
def test_net_is_tried_for_fewer_steps_than_it_is_fitted(monkeypatch, table, are_few):
    X, _, y, _ = table
    taken = []
    if not are_few:
        monkeypatch.setattr("skdistill._choice.FEW_HELD_OUT", 50)
    trial, final = Length(1.0, 30, 30), Length(1.0, 60, 60)
    for module in ("_race", "_training"):
        monkeypatch.setattr(f"skdistill.{module}.TRIAL", trial)
        monkeypatch.setattr(f"skdistill.{module}.FINAL_ROUND", final)
    for module in ("_pace", "students._settings"):
        monkeypatch.setattr(f"skdistill.{module}.auto_steps", lambda n_rows: 90)
    fit_soft_targets = MLPStudent.fit_soft_targets

    def fit(self, *args, **kwargs):
        taken.append(fit_soft_targets(self, *args, **kwargs).n_steps_)
        return self

    monkeypatch.setattr(MLPStudent, "fit_soft_targets", fit)
    teacher = ExtraTreesClassifier(10, random_state=0)
    small = DistilledClassifier(teacher, MLPStudent((8,)), random_state=0).fit(X, y)
    # two strengths, two encodings; then the best, for longer, with few rows on others;
    # then in full
    assert taken[:4] == [30] * 4
    assert set(taken[4:6]) <= {60, 90} and taken[4] == 60
    assert small.plain_student_.n_steps_ == 90
    tried = small.summary_["metric"][small.summary_["model"] == "distilled student"]
    assert np.count_nonzero(tried == "log_loss") == 4  # the best one's last score


def test_plain_students_label_new_rows_beside_the_teacher(monkeypatch, table):
    X, _, y, _ = table
    net = MLPStudent((8,), encoding="robust", max_steps=200)
    monkeypatch.setattr("skdistill._race.weigh", lambda rows, answers: np.array([0.3]))
    monkeypatch.setattr("skdistill._race.Race.beats", lambda *_, by=1.0: True)
    met = []
    fit_soft_targets = MLPStudent.fit_soft_targets

    def fit(self, X, P, **kwargs):
        met.append((X, P))
        return fit_soft_targets(self, X, P, **kwargs)

    monkeypatch.setattr(MLPStudent, "fit_soft_targets", fit)
    small = DistilledClassifier(
        ExtraTreesClassifier(10, random_state=0), net, calibrate=None, random_state=0
    ).fit(X, y)
    X_met, P_met = met[-1]
    new, P = X_met[len(X) :], P_met[len(X) :]
    assert len(new) == small.n_transfer_rows_ > 0
    teacher = small.teacher_.predict_proba(new)
    plain = small.plain_student_.predict_proba(new)
    assert_allclose(P, 0.7 * teacher + 0.3 * plain, atol=1e-12)


def test_students_of_given_rows_have_no_other_teacher(monkeypatch, table):
    X, _, y, _ = table

    def weigh(rows, answers):
        raise AssertionError("the user asked for the teacher's answers")

    monkeypatch.setattr("skdistill._race.weigh", weigh)
    DistilledClassifier(
        ExtraTreesClassifier(10, random_state=0), MLPStudent((8,), max_steps=50),
        random_state=0,
    ).fit(X[:400], y[:400], X_transfer=X[400:])  # fmt: skip


@pytest.mark.parametrize("pipeline", [False, True])
def test_temperature_of_the_student_is_in_its_weights(monkeypatch, table, pipeline):
    X, X_test, y, _ = table
    student = MLPStudent((8,), encoding="robust", max_steps=100)
    student = make_pipeline(StandardScaler(), student) if pipeline else student

    def fit(T):
        # each T stands for what held-out rows ask for; the choice is the same
        monkeypatch.setattr("skdistill._race.Race.beats", lambda *_, by=1.0: True)
        monkeypatch.setattr(
            "skdistill._finish.halves_temperature", lambda P, codes, **_: (T, P)
        )
        teacher = ExtraTreesClassifier(10, random_state=0)
        return DistilledClassifier(teacher, student, random_state=0).fit(X, y)

    usual, modest = fit(1.0), fit(2.0)
    assert (usual.student_temperature_, modest.student_temperature_) == (1.0, 2.0)
    P, Q = (small.predict_proba(X_test) for small in (usual, modest))
    assert_allclose(Q, temper(P, 2.0), rtol=1e-4, atol=1e-7)
    again = pickle.loads(pickle.dumps(modest.student_))
    assert_allclose(again.predict_proba(X_test), Q)
    assert_allclose(  # the plain student stays as it is
        modest.plain_student_.predict_proba(X_test),
        usual.plain_student_.predict_proba(X_test),
    )

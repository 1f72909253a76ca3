import subprocess
import sys
from itertools import combinations
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.text import Text
from scipy.special import softmax
from scipy.stats import beta, binomtest
from sklearn.datasets import load_digits, load_wine
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from benchmarks.datasets import load
from skdistill import DistilledClassifier, LogisticStudent
from skdistill.cascade import CascadeClassifier
from skdistill.metrics import expected_calibration_error, model_size
from skdistill.report import (
    CoverageRiskDisplay,
    FidelityDisplay,
    ParetoDisplay,
    ReliabilityDisplay,
)

N_CLASSES = [2, 3, 10, 26]


@pytest.fixture(autouse=True)
def leave_nothing_behind():
    """No display changes matplotlib's settings or leaves figures open of its own."""
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
    plt.close("all")


def draw(n_rows, n_classes=3, seed=0, noise=0.7):
    """Probabilities of a teacher and of a student like it, and labels."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n_rows, n_classes))
    P = softmax(logits, axis=1)
    Q = softmax(logits + noise * rng.normal(size=logits.shape), axis=1)
    codes = (P.cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)
    return P, Q, codes


class NoAnswers(LogisticRegression):
    """A fitted teacher that must not be asked."""

    def predict_proba(self, X):
        raise AssertionError("the teacher was asked")


@pytest.fixture(scope="module")
def wine():
    """Rows, labels, and a distilled model that was fitted on others."""
    X, y = load_wine(return_X_y=True)
    y = np.array(["barolo", "grignolino", "barbera"])[y]
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=0
    )
    teacher = DecisionTreeClassifier(min_samples_leaf=5, random_state=0)
    model = make_pipeline(
        StandardScaler(),
        DistilledClassifier(
            teacher, LogisticStudent(), alpha=0.5, transfer=None, random_state=0
        ),
    )
    return model.fit(X_train, y_train), X_test, y_test


@pytest.fixture(scope="module")
def search():
    """A search with scorers of cost in which one candidate fails."""
    X, y = load_digits(n_class=4, return_X_y=True)
    scoring = {
        "accuracy": "accuracy",
        "neg_log_loss": "neg_log_loss",
        "size": lambda model, X, y: -float(model_size(model)),
    }
    leaves = [2, 4, 8, 16, 1]  # 1 is not allowed
    return GridSearchCV(
        DecisionTreeClassifier(random_state=0),
        {"max_leaf_nodes": leaves},
        scoring=scoring,
        refit="accuracy",
        cv=3,
        error_score=np.nan,
    ), (X, y)


@pytest.fixture(scope="module")
def fitted_search(search):
    model, (X, y) = search
    with pytest.warns(match="fits failed|non-finite"):
        return model.fit(X, y)


def cascade(threshold=0.8):
    """What the display reads of a CascadeClassifier."""
    curve = {
        "threshold": np.array([0.9, 0.8, 0.0]),
        "coverage": np.array([0.4, 0.7, 1.0]),
        "disagreement": np.array([0.0, 0.01, 0.1]),
        "bound": np.array([0.02, 0.03, 0.12]),
    }
    return SimpleNamespace(
        curve_=curve, threshold_=threshold, max_disagreement=0.05, confidence=0.9
    )


def every_display(n_classes=3, n_rows=400):
    P, Q, codes = draw(n_rows, n_classes)
    return {
        "fidelity": FidelityDisplay.from_predictions(P, Q),
        "reliability": ReliabilityDisplay.from_predictions(
            codes, {"teacher": P, "student": Q}, classes=np.arange(n_classes)
        ),
        "coverage": CoverageRiskDisplay.from_predictions(P, Q, max_disagreement=0.02),
        "pareto": ParetoDisplay(
            [1e-5, 2e-5, 4e-3], [0.2, 0.18, 0.1], names=["tree", "net", "forest"],
            chosen=1, cost_label="latency", error_label="error",
        ).plot(),
    }  # fmt: skip


def boxes(texts, figure):
    """Extents of texts, without the line that an Annotation may have."""
    renderer = figure.canvas.get_renderer()
    return [Text.get_window_extent(t, renderer) for t in texts if t.get_visible()]


def any_overlap(boxes):
    return any(a.overlaps(b) for a, b in combinations(boxes, 2))


# -- the contract ----------------------------------------------------------------------


def test_displays_draw_into_given_axes_and_into_new_ones():
    for display in every_display().values():
        plt.close("all")
        _, ax = plt.subplots()
        assert display.plot(ax=ax) is display
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
        assert len(plt.get_fignums()) == 1
        display.plot()
        assert display.ax_ is not ax
        assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("n_classes", N_CLASSES)
def test_displays_share_a_figure_without_overlap(n_classes):
    displays = every_display(n_classes)
    figure, axes = plt.subplots(2, 2, figsize=(10, 8.5), layout="constrained")
    for display, ax in zip(displays.values(), axes.flat, strict=True):
        display.plot(ax=ax)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    extents = [ax.get_tightbbox(renderer) for ax in figure.axes if ax in axes.flat]
    assert not any_overlap(extents)
    for ax in axes.flat:
        for axis in (ax.xaxis, ax.yaxis):
            assert axis.get_label().get_text()
            shown = [t for t in axis.get_ticklabels() if t.get_text()]
            assert not any_overlap(boxes(shown, figure))


def test_displays_say_that_matplotlib_is_missing(monkeypatch, wine):
    model, X, y = wine
    P, Q, codes = draw(50)
    displays = every_display()
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    calls = [
        lambda: FidelityDisplay.from_predictions(P, Q),
        lambda: FidelityDisplay.from_estimator(model, X),
        lambda: ReliabilityDisplay.from_predictions(codes, {"student": Q}),
        lambda: ReliabilityDisplay.from_estimator(model, X, y),
        lambda: CoverageRiskDisplay.from_predictions(P, Q),
        lambda: CoverageRiskDisplay.from_estimator(model, X),
        lambda: ParetoDisplay.from_models([model], X, y),
        lambda: ParetoDisplay.from_estimator(model, X, y),
        *[display.plot for display in displays.values()],
    ]
    for call in calls:
        with pytest.raises(ImportError, match="draws with matplotlib, which is not"):
            call()


def test_displays_are_imported_without_matplotlib():
    code = (
        "import sys; from skdistill.report import FidelityDisplay; "
        "assert not {'matplotlib', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- fidelity --------------------------------------------------------------------------


def test_fidelity_figures_equal_those_of_scikit_learn_and_scipy():
    P, Q, _ = draw(300, 4)
    display = FidelityDisplay.from_predictions(P, Q)
    labels = P.argmax(axis=1), Q.argmax(axis=1)
    np.testing.assert_array_equal(display.confusion, confusion_matrix(*labels))
    n_same = int((labels[0] == labels[1]).sum())
    assert display.agreement == pytest.approx(n_same / 300, rel=1e-12)
    interval = binomtest(n_same, 300).proportion_ci(0.95, method="wilson")
    assert display.interval == pytest.approx(tuple(interval), rel=1e-9)
    assert f"{100 * n_same / 300:.1f} % of 300 rows" in display.ax_.get_title()


def test_fidelity_table_shows_disagreement_as_share_of_the_teachers_label():
    P, Q, _ = draw(400, 5)
    display = FidelityDisplay.from_predictions(P, Q)
    expected = 100 * confusion_matrix(
        P.argmax(axis=1), Q.argmax(axis=1), normalize="true"
    )
    shown = display.im_.get_array()
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_array_equal(shown.mask, ~off | (expected == 0))
    np.testing.assert_allclose(
        shown[off & (expected > 0)], expected[off & (expected > 0)]
    )
    assert display.text_[0, 0].get_text() == f"{expected[0, 0]:.0f}"
    assert display.colorbar_.ax.get_ylabel() == "share of the teacher's label (%)"


def test_fidelity_of_two_classes_shows_each_row_once():
    P, Q, _ = draw(200, 2)
    display = FidelityDisplay.from_predictions(P, Q, classes=["ham", "spam"])
    same = P.argmax(axis=1) == Q.argmax(axis=1)
    assert 0 < (~same).sum() < 100
    for points, rows in zip(display.points_, (same, ~same), strict=True):
        expected = np.column_stack([P[rows, 1], Q[rows, 1]])
        np.testing.assert_allclose(points.get_offsets(), expected)
    assert display.ax_.get_xlabel() == "probability of class spam, by the teacher"
    lost = np.mean((P[:, 1] < 0.5) & (Q[:, 1] > 0.5))
    said = [text.get_text() for text in display.ax_.texts]
    assert f"teacher ham, student spam:\n{100 * lost:.1f} % of rows" in said


@pytest.mark.parametrize("weighted", [False, True])
def test_fidelity_counts_many_rows_in_hexagons(weighted):
    P, Q, _ = draw(2500, 2)
    weight = np.random.default_rng(0).random(2500) if weighted else None
    display = FidelityDisplay.from_predictions(P, Q, sample_weight=weight)
    assert isinstance(display.im_, PolyCollection)
    total = 2500 if weight is None else weight.sum()
    assert display.im_.get_array().sum() == pytest.approx(total)
    unit = "weight of rows" if weighted else "rows"
    assert display.colorbar_.ax.get_ylabel() == unit


def test_fidelity_of_weighted_rows_equals_repeated_ones():
    P, Q, _ = draw(150, 3)
    times = np.random.default_rng(0).integers(0, 3, 150)
    weighted = FidelityDisplay.from_predictions(P, Q, sample_weight=times)
    repeated = FidelityDisplay.from_predictions(
        np.repeat(P, times, axis=0), np.repeat(Q, times, axis=0)
    )
    np.testing.assert_allclose(weighted.confusion, repeated.confusion)
    assert weighted.agreement == pytest.approx(repeated.agreement, rel=1e-12)
    assert weighted.n_samples == (times > 0).sum()
    # Repeated rows look like more rows than were seen; weighted ones do not.
    assert weighted.interval[0] < repeated.interval[0]


def test_fidelity_takes_labels_on_either_side():
    P, Q, _ = draw(60)
    classes = np.array(["a", "b", "c"])
    labels = classes[P.argmax(axis=1)]
    display = FidelityDisplay.from_predictions(labels, Q, classes=classes)
    both = FidelityDisplay.from_predictions(P, Q, classes=classes)
    np.testing.assert_array_equal(display.confusion, both.confusion)
    assert display.probabilities is None
    assert both.plot(kind="probabilities").points_
    with pytest.raises(ValueError, match="kind must be 'labels' or 'auto'"):
        display.plot(kind="probabilities")


def test_fidelity_of_more_classes_can_show_the_teachers_label():
    P, Q, _ = draw(100, 4)
    display = FidelityDisplay.from_predictions(P, Q, kind="probabilities")
    top = P.argmax(axis=1)
    shown = np.concatenate([points.get_offsets() for points in display.points_])
    expected = np.column_stack([P.max(axis=1), Q[np.arange(100), top]])
    np.testing.assert_allclose(np.sort(shown, axis=0), np.sort(expected, axis=0))


def test_fidelity_refuses_what_it_cannot_draw():
    P, Q, _ = draw(20)
    with pytest.raises(ValueError, match="kind must be one of"):
        FidelityDisplay.from_predictions(P, Q, kind="bars")
    with pytest.raises(ValueError, match="same columns"):
        FidelityDisplay.from_predictions(P, Q[:, :2])
    with pytest.raises(ValueError, match=r"only, got also \['z'\]"):
        FidelityDisplay.from_predictions(["a", "z"], ["a", "b"], classes=["a", "b"])
    with pytest.raises(ValueError, match="one column of numbers"):
        FidelityDisplay.from_predictions(P[:, 0], Q[:, 0])


@pytest.mark.parametrize("n_classes", [3, 10, 26, 100])
@pytest.mark.parametrize("width", [1, 12])
def test_fidelity_names_of_classes_do_not_overlap(n_classes, width):
    labels = np.array([f"{i:0{width}d}" for i in range(n_classes)])
    display = FidelityDisplay.from_predictions(labels, labels)
    display.figure_.canvas.draw()
    for axis in (display.ax_.xaxis, display.ax_.yaxis):
        assert not any_overlap(boxes(axis.get_ticklabels(), display.figure_))
    written = [text for text in display.text_.flat if text is not None]
    assert not any_overlap(boxes(written, display.figure_))
    assert bool(written) == (n_classes <= 10)


# -- from estimators -------------------------------------------------------------------


def test_displays_ask_teacher_and_student_behind_a_pipeline(wine):
    model, X, y = wine
    inner, Z = model[-1], model[:-1].transform(X)
    P, Q = inner.teacher_.predict_proba(Z), inner.student_.predict_proba(Z)
    fidelity = FidelityDisplay.from_estimator(model, X)
    expected = confusion_matrix(inner.teacher_.predict(Z), inner.student_.predict(Z))
    np.testing.assert_array_equal(fidelity.confusion, expected)
    assert [t.get_text() for t in fidelity.ax_.get_xticklabels()] == list(
        inner.classes_
    )
    reliability = ReliabilityDisplay.from_estimator(model, X, y)
    for name, probabilities in (("teacher", P), ("student", Q)):
        error = expected_calibration_error(
            y, probabilities, classes=inner.classes_, n_bins=3
        )
        assert reliability.curves[name].error == pytest.approx(error, abs=1e-12)
    coverage = CoverageRiskDisplay.from_estimator(model, X)
    assert coverage.disagreement[-1] == pytest.approx(1 - fidelity.agreement)


def test_displays_take_soft_targets_instead_of_the_teacher(wine):
    model, X, y = wine
    inner, Z = model[-1], model[:-1].transform(X)
    P = inner.teacher_.predict_proba(Z)
    teacher = FrozenEstimator(NoAnswers().fit(Z, y))
    blind = DistilledClassifier(teacher, LogisticStudent(), transfer=None)
    blind.fit(Z, soft_targets=P)
    known = FidelityDisplay.from_estimator(blind, Z, soft_targets=P)
    expected = confusion_matrix(inner.teacher_.predict(Z), blind.predict(Z))
    np.testing.assert_array_equal(known.confusion, expected)
    ReliabilityDisplay.from_estimator(blind, Z, y, soft_targets=P)
    CoverageRiskDisplay.from_estimator(blind, Z, soft_targets=P)
    with pytest.raises(AssertionError, match="was asked"):
        FidelityDisplay.from_estimator(blind, Z)


def test_displays_say_that_there_is_no_teacher(wine):
    model, X, y = wine
    P = model[-1].teacher_.predict_proba(model[:-1].transform(X))
    alone = DistilledClassifier(None, LogisticStudent(), transfer=None)
    alone.fit(X, y, soft_targets=P)
    for make in (
        lambda: FidelityDisplay.from_estimator(alone, X),
        lambda: ReliabilityDisplay.from_estimator(alone, X, y),
        lambda: CoverageRiskDisplay.from_estimator(alone, X),
    ):
        with pytest.raises(ValueError, match="soft_targets must be given"):
            make()
    assert FidelityDisplay.from_estimator(alone, X, soft_targets=P).agreement > 0.5


def test_displays_look_into_a_search(wine):
    _, X, y = wine
    P = LogisticRegression(max_iter=5000).fit(X, y).predict_proba(X)
    search = GridSearchCV(
        DistilledClassifier(None, LogisticStudent(), alpha=1, transfer=None),
        {"student__C": [0.1, 1.0]},
        cv=2,
    ).fit(X, y, soft_targets=P)
    display = FidelityDisplay.from_estimator(search, X, soft_targets=P)
    expected = accuracy_score(search.classes_[P.argmax(axis=1)], search.predict(X))
    assert display.agreement == pytest.approx(expected)


# -- reliability -----------------------------------------------------------------------


def test_reliability_bins_equal_a_loop_over_sorted_rows():
    P, Q, codes = draw(300, 3)
    display = ReliabilityDisplay.from_predictions(
        codes, {"teacher": P, "student": Q}, n_bins=6
    )
    for name, probabilities in (("teacher", P), ("student", Q)):
        curve = display.curves[name]
        sure = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == codes
        for b, rows in enumerate(np.split(np.argsort(sure), 6)):
            assert curve.confidence[b] == pytest.approx(sure[rows].mean())
            assert curve.accuracy[b] == pytest.approx(right[rows].mean())
            interval = binomtest(int(right[rows].sum()), 50).proportion_ci(
                0.95, method="wilson"
            )
            assert (curve.low[b], curve.high[b]) == pytest.approx(tuple(interval))
        gaps = np.abs(curve.confidence - curve.accuracy)
        assert curve.error == pytest.approx(gaps @ curve.share)
        line = display.errorbars_[name].lines[0]
        np.testing.assert_array_equal(line.get_xdata(), curve.confidence)
        np.testing.assert_array_equal(line.get_ydata(), curve.accuracy)
    texts = [text.get_text() for text in display.legend_.get_texts()]
    assert f"student, ECE {display.curves['student'].error:.3f}" in texts


def test_reliability_without_weight_is_without_the_row():
    P, Q, codes = draw(200, 3)
    weight = np.tile([1.0, 0.0], 100)
    names = {"teacher": P, "student": Q}
    zero = ReliabilityDisplay.from_predictions(
        codes, names, n_bins=5, sample_weight=weight
    )
    half = ReliabilityDisplay.from_predictions(
        codes[::2], {name: A[::2] for name, A in names.items()}, n_bins=5
    )
    for name in names:
        for key in ("confidence", "accuracy", "low", "high", "share", "error"):
            np.testing.assert_allclose(
                zero.curves[name][key], half.curves[name][key], rtol=1e-9
            )


def test_reliability_joins_bins_that_ties_left_next_to_nothing():
    sure = np.r_[np.full(60, 0.6), 0.9, np.full(60, 1.0)]
    P = np.column_stack([sure, 1 - sure])
    display = ReliabilityDisplay.from_predictions(
        np.zeros(121, int), {"student": P}, classes=[0, 1], n_bins=15
    )
    curve = display.curves["student"]
    np.testing.assert_allclose(curve.confidence, [(36 + 0.9) / 61, 1.0])
    assert curve.error == expected_calibration_error(
        np.zeros(121, int), P, classes=[0, 1]
    )


def test_reliability_draws_all_of_its_data_within_the_axes():
    P, Q, codes = draw(500, 26)
    display = ReliabilityDisplay.from_predictions(
        codes, {"teacher": P, "student": Q, "other": P}, classes=np.arange(26)
    )
    left, bottom = display.ax_.get_xlim()[0], display.ax_.get_ylim()[0]
    strip = display.histogram_ax_.get_position()
    for curve in display.curves.values():
        assert curve.row_confidence.min() >= left
        assert curve.low.min() > bottom
    assert strip.height < 0.25 * display.ax_.get_position().height
    styles = {
        (line.lines[0].get_color(), line.lines[0].get_marker())
        for line in display.errorbars_.values()
    }
    assert len(styles) == 3


def test_reliability_shows_the_plain_student_where_there_is_one(wine):
    model, X, y = wine
    with pytest.raises(ValueError, match="plain must be False"):
        ReliabilityDisplay.from_estimator(model, X, y, plain=True)
    X, y = load("phoneme", n_rows=600)
    model = DistilledClassifier(
        LogisticRegression(), DecisionTreeClassifier(max_leaf_nodes=8), transfer=None,
        random_state=0,
    ).fit(X[:400], y[:400])  # fmt: skip
    display = ReliabilityDisplay.from_estimator(model, X[400:], y[400:], plain=True)
    assert list(display.curves) == ["teacher", "student", "plain student"]
    P = model.plain_student_.predict_proba(X[400:])
    error = expected_calibration_error(
        y[400:], P, classes=model.classes_, n_bins=200 // 25
    )
    assert display.curves["plain student"].error == pytest.approx(error)


def test_reliability_wants_names():
    P, _, codes = draw(20)
    with pytest.raises(TypeError, match="must be a dict of arrays"):
        ReliabilityDisplay.from_predictions(codes, P)
    with pytest.raises(ValueError, match=r"probabilities\['student'\] must have shape"):
        ReliabilityDisplay.from_predictions(codes, {"student": P[:, :2]})


# -- coverage and risk -----------------------------------------------------------------


def test_coverage_risk_equals_a_loop_over_thresholds():
    P, Q, _ = draw(200, 3)
    Q = np.random.default_rng(0).multinomial(16, Q) / 16  # many ties
    display = CoverageRiskDisplay.from_predictions(P, Q, confidence=0.9)
    sure, differ = Q.max(axis=1), P.argmax(axis=1) != Q.argmax(axis=1)
    assert display.threshold.tolist() == sorted(set(sure), reverse=True)
    for i, threshold in enumerate(display.threshold):
        answered = sure >= threshold
        n, k = int(answered.sum()), int(differ[answered].sum())
        assert display.coverage[i] == pytest.approx(n / 200)
        assert display.disagreement[i] == pytest.approx(k / n)
        assert display.bound[i] == pytest.approx(beta.ppf(0.9, k + 1, n - k))
    np.testing.assert_allclose(display.line_.get_xdata(), 100 * display.coverage)
    np.testing.assert_allclose(display.bound_line_.get_ydata(), 100 * display.bound)


def test_coverage_risk_with_weights_has_no_bound():
    P, Q, _ = draw(100)
    times = np.random.default_rng(0).integers(0, 4, 100)
    weighted = CoverageRiskDisplay.from_predictions(P, Q, sample_weight=times)
    repeated = CoverageRiskDisplay.from_predictions(
        np.repeat(P, times, axis=0), np.repeat(Q, times, axis=0)
    )
    np.testing.assert_allclose(weighted.coverage, repeated.coverage)
    np.testing.assert_allclose(weighted.disagreement, repeated.disagreement)
    assert weighted.bound is None
    assert weighted.bound_line_ is None


def test_coverage_risk_shows_what_a_cascade_chose():
    display = CoverageRiskDisplay.from_estimator(cascade())
    assert display.chosen_.get_xydata().tolist() == [[70.0, 1.0]]
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == [
        "disagreement", "90 % upper bound at each threshold", "at most 5 %",
        "chosen: answers 70.0 %",
    ]  # fmt: skip


def test_coverage_risk_says_that_no_threshold_is_safe():
    display = CoverageRiskDisplay.from_estimator(cascade(threshold=np.inf))
    assert display.chosen_.get_label() == "no threshold is safe"
    assert display.chosen_.get_xydata().tolist() == [[0.0, 0.0]]


def test_coverage_risk_marks_the_threshold_of_a_fitted_cascade():
    X, y = load("phoneme", n_rows=3000)
    teacher = DecisionTreeClassifier(max_depth=4).fit(X[:500], y[:500])
    student = DecisionTreeClassifier(max_depth=3).fit(X[:500], y[:500])
    fitted = CascadeClassifier(
        student, teacher, max_disagreement=0.15, random_state=0
    ).fit(X[500:])
    assert 0 < fitted.coverage_ <= 1
    display = CoverageRiskDisplay.from_estimator(make_pipeline("passthrough", fitted))
    shown = display.chosen_.get_xydata()[0]
    assert shown[0] == pytest.approx(100 * fitted.coverage_)
    assert shown[1] <= 100 * fitted.bound_ <= 15
    np.testing.assert_array_equal(display.bound, fitted.curve_["bound"])


def test_coverage_risk_marks_none_of_several_thresholds():
    display = CoverageRiskDisplay.from_estimator(cascade(np.array([0.8, 0.9])))
    assert display.chosen_ is None


def test_coverage_risk_wants_rows_for_a_model_only(wine):
    model, X, _ = wine
    for given in ((model,), (cascade(), X)):
        with pytest.raises(ValueError, match="X must be given for a model"):
            CoverageRiskDisplay.from_estimator(*given)


# -- cost and error --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_pareto_front_equals_comparing_all_pairs(seed):
    rng = np.random.default_rng(seed)
    cost, error = rng.integers(1, 6, (2, 12)).astype(float)  # many ties
    comparable = rng.random(12) > 0.2
    front = ParetoDisplay(cost, error, comparable=comparable).front
    beaten = [
        any(
            comparable[j]
            and cost[j] <= cost[i]
            and error[j] <= error[i]
            and (cost[j] < cost[i] or error[j] < error[i])
            for j in range(12)
        )
        for i in range(12)
    ]
    assert set(front) == set(np.flatnonzero(comparable & ~np.array(beaten)))
    assert (np.diff(cost[front]) >= 0).all()


def test_pareto_of_models_measures_them():
    X, y = load_digits(n_class=5, return_X_y=True)
    models = {
        f"{k} leaves": DecisionTreeClassifier(max_leaf_nodes=k).fit(X[:400], y[:400])
        for k in (2, 8, 32)
    }
    X, y = X[400:], y[400:]
    display = ParetoDisplay.from_models(models, X, y, cost="size", chosen="8 leaves")
    assert display.cost.tolist() == [model_size(m) for m in models.values()]
    scores = [accuracy_score(y, model.predict(X)) for model in models.values()]
    np.testing.assert_allclose(display.error, 1 - np.array(scores))
    se = np.sqrt(np.multiply(scores, 1 - np.array(scores)) / len(y))
    np.testing.assert_allclose(display.standard_error, se)
    assert display.chosen_.get_xydata()[0, 1] == display.error[1]
    losses = ParetoDisplay.from_models(
        list(models.values()), X, y, cost=[1, 2, 3], metric="log_loss"
    )
    expected = [log_loss(y, m.predict_proba(X)) for m in models.values()]
    np.testing.assert_allclose(losses.error, expected)
    assert losses.names == [f"DecisionTreeClassifier {i}" for i in (1, 2, 3)]
    timed = ParetoDisplay.from_models(models, X[:5], y[:5])
    assert timed.ax_.get_xlabel() == "latency of a call (seconds, log scale)"
    assert (timed.cost > 0).all()


def test_pareto_of_a_distilled_model_compares_it_with_its_teacher(wine):
    model, X, y = wine
    display = ParetoDisplay.from_estimator(model, X, y, cost="size")
    assert display.names == ["teacher", "student"]
    assert display.chosen == 1
    expected = 1 - accuracy_score(y, model.predict(X))
    assert display.error[1] == pytest.approx(expected)
    inner = model[-1]
    sizes = [
        model_size(model[:-1]) + model_size(part)
        for part in (inner.teacher_, inner.student_)
    ]
    assert display.cost.tolist() == sizes


def test_pareto_reads_a_search(fitted_search):
    results = fitted_search.cv_results_
    display = ParetoDisplay.from_estimator(
        fitted_search, cost="size", metric="accuracy"
    )
    np.testing.assert_allclose(display.cost, -results["mean_test_size"][:4])
    np.testing.assert_allclose(display.error, 1 - results["mean_test_accuracy"][:4])
    folds = np.array([results[f"split{i}_test_accuracy"][:4] for i in range(3)])
    np.testing.assert_allclose(
        display.standard_error, folds.std(axis=0, ddof=1) / np.sqrt(3)
    )
    assert display.chosen == fitted_search.best_index_
    assert display.names[1] == "max_leaf_nodes=4"
    assert display.ax_.get_ylabel() == "1 - accuracy (share)"
    losses = ParetoDisplay.from_estimator(
        fitted_search, cost="size", metric="neg_log_loss"
    )
    np.testing.assert_allclose(losses.error, -results["mean_test_neg_log_loss"][:4])
    assert losses.ax_.get_ylabel() == "log loss (nats)"


def test_pareto_names_candidates_by_what_sets_them_apart():
    students = [LogisticStudent(), LogisticStudent(C=0.1), DecisionTreeClassifier()]
    params = [{"student": s, "alpha": a} for s in students for a in (0.5, 1.0)]
    results = {
        "params": [*params, {"student": students[2], "alpha": "x" * 60}],
        "mean_test_score": np.linspace(0.7, 0.8, 7),
        "std_test_score": np.full(7, 0.01),
        "mean_test_size": -np.arange(1.0, 8),
    }
    names = ParetoDisplay.from_estimator(
        SimpleNamespace(cv_results_=results), cost="size"
    ).names
    assert names[:2] == [
        "LogisticStudent(C='auto'), alpha=0.5",
        "LogisticStudent(C='auto'), alpha=1.0",
    ]
    assert names[5] == "DecisionTreeClassifier(), alpha=1.0"
    assert names[6].startswith("DecisionTreeClassifi") and len(names[6]) <= 44


def test_pareto_of_a_halving_search_compares_its_last_iteration():
    results = {
        "params": [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}, {"a": 3}],
        "iter": np.array([0, 0, 0, 1, 1]),
        "mean_test_score": np.array([0.9, 0.5, 0.6, 0.7, 0.8]),
        "std_test_score": np.full(5, 0.01),
        "mean_test_latency": np.array([-1e-6, -2e-6, -3e-6, -2e-6, -3e-6]),
    }
    display = ParetoDisplay.from_estimator(
        SimpleNamespace(cv_results_=results, best_index_=4)
    )
    assert display.front.tolist() == [3, 4]
    assert display.chosen == 4
    assert "given up early" in [
        text.get_text() for text in display.ax_.get_legend().get_texts()
    ]


@pytest.mark.parametrize("figsize", [(3.2, 2.6), (6.4, 4.6), (10, 6)])
@pytest.mark.parametrize("seed", range(3))
def test_pareto_names_cover_nothing(figsize, seed):
    rng = np.random.default_rng(seed)
    cost = 10 ** rng.uniform(-5, -2, 15)
    error = rng.uniform(0, 0.2, 15)
    names = [f"MLPStudent(({i}, {i}))" for i in range(15)]
    figure, ax = plt.subplots(figsize=figsize, layout="constrained")
    display = ParetoDisplay(cost, error, names=names, chosen=0, cost_label="latency")
    display.plot(ax=ax, label="all")
    figure.canvas.draw()
    placed = boxes(display.text_, figure)
    assert placed
    legend = ax.get_legend().get_window_extent(figure.canvas.get_renderer())
    assert not any_overlap([*placed, legend])
    inside = ax.get_window_extent()
    for box in placed:
        assert inside.x0 <= box.x0 and box.x1 <= inside.x1
        assert inside.y0 <= box.y0 and box.y1 <= inside.y1
        assert box.count_contains(ax.transData.transform(np.c_[cost, error])) == 0
    if figsize[0] == 10:
        assert len(placed) > 10


def test_pareto_names_the_front_where_there_are_many():
    cost, error = np.arange(1.0, 21), np.r_[5, 4, 3, np.full(17, 6)]
    display = ParetoDisplay(cost, error, names=list("abcdefghijklmnopqrst"), chosen=9)
    named = [text.get_text() for text in display.plot().text_]
    assert named == ["j", "a", "b", "c"]
    assert display.plot(label=None).text_ == []
    assert len(display.plot(label="all").text_) == 20


def test_pareto_refuses_what_it_cannot_draw(fitted_search, wine):
    model, X, y = wine
    with pytest.raises(
        ValueError, match=r"cost must be above 0 and finite, got .*0\.0"
    ):
        ParetoDisplay([1, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match="one entry a model"):
        ParetoDisplay([1, 2], [0.1])
    with pytest.raises(ValueError, match="names must have one entry"):
        ParetoDisplay([1, 2], [0.1, 0.2], names=["a"])
    with pytest.raises(ValueError, match="label must be"):
        ParetoDisplay([1], [1]).plot(label="some")
    with pytest.raises(ValueError, match="cost must name one of the search's scorers"):
        ParetoDisplay.from_estimator(fitted_search, metric="accuracy")
    with pytest.raises(ValueError, match="metric must name one of the search's"):
        ParetoDisplay.from_estimator(fitted_search, cost="size")
    with pytest.raises(ValueError, match="X and y must be given"):
        ParetoDisplay.from_estimator(model)
    with pytest.raises(ValueError, match="chosen must be one of"):
        ParetoDisplay.from_models({"a": model}, X, y, cost=[1.0], chosen="b")
    with pytest.raises(ValueError, match="metric must be one of"):
        ParetoDisplay.from_models({"a": model}, X, y, cost=[1.0], metric="auc")
    with pytest.raises(ValueError, match="cost must be one of"):
        ParetoDisplay.from_models({"a": model}, X, y, cost="watts")

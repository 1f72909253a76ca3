"""distillation_report from end to end, on every kind of rows and models."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.metrics import agreement, mean_kl_divergence
from skdistill.report import DistillationReport, distillation_report
from skdistill.report._costs import TIMING_KEYS
from skdistill.teachers import AnswerStore

QUICK = {"max_seconds": 0, "n_resamples": 20}
X, CODES = make_classification(
    600, 8, n_informative=5, n_classes=3, n_clusters_per_class=1, random_state=0
)
NAMES = np.array(["ant", "bee", "cat"])[CODES]
X_TRAIN, X_TEST, Y_TRAIN, Y_TEST = X[:400], X[400:], NAMES[:400], NAMES[400:]


def distilled(teacher=None, student=None, **params):
    if teacher is None:
        teacher = RandomForestClassifier(20, random_state=0)
    settings = {"alpha": 0.5, "transfer": None, "random_state": 0} | params
    return DistilledClassifier(teacher, student or LogisticStudent(), **settings)


@pytest.fixture(scope="module")
def fitted():
    return distilled(alpha="auto").fit(X_TRAIN, Y_TRAIN)


@pytest.fixture(scope="module")
def report(fitted):
    return distillation_report(fitted, X_TEST, Y_TEST, n_resamples=50, max_seconds=0.02)


def without_timing(report):
    """Everything that two runs must agree on."""
    found = report.to_dict()
    del found["created"], found["verdict"]  # the verdict tells the latency
    for record in found["models"]:
        for key in TIMING_KEYS:
            del record[key]
    return found


# -- figures ---------------------------------------------------------------------------


def test_report_is_of_all_that_the_model_holds(fitted, report):
    names = ["teacher", "student", "plain student"]
    answers = [fitted.teacher_, fitted.student_, fitted.plain_student_]
    if fitted.calibration_.kept:
        names.insert(1, "teacher, calibrated")
    assert list(report.frame.index) == names
    taught = fitted.calibration_(fitted.teacher_.predict_proba(X_TEST))
    for name, model in zip([n for n in names if "cal" not in n], answers, strict=True):
        P, row = model.predict_proba(X_TEST), report.frame.loc[name]
        guess = model.classes_[P.argmax(axis=1)]
        assert row["accuracy"] == pytest.approx(accuracy_score(Y_TEST, guess))
        assert row["log_loss"] == pytest.approx(log_loss(Y_TEST, P))
        if name != "teacher":
            assert row["agreement"] == pytest.approx(agreement(taught, P))
            assert row["kl"] == pytest.approx(mean_kl_divergence(taught, P))
        assert row["p50"] > 0 and row["n_bytes"] > 0 and row["n_parameters"] > 0
    student = report.frame.loc["student"]
    assert student["teacher_rows"] == fitted.n_teacher_rows_
    assert student["n_parameters"] == 3 * 8 + 3


def test_two_reports_agree_on_everything_but_time(fitted):
    reports = [
        distillation_report(fitted, X_TEST, Y_TEST, max_seconds=0.01, n_resamples=100)
        for _ in range(2)
    ]
    assert without_timing(reports[0]) == without_timing(reports[1])
    other = distillation_report(fitted, X_TEST, Y_TEST, random_state=1, **QUICK)
    assert without_timing(other)["models"] != without_timing(reports[0])["models"]


def test_report_orders_its_intervals(report):
    for record in [*report.models, *report.differences]:
        for key in [k for k in record if k.endswith("_low") and record[k] is not None]:
            low, value, high = (record[k] for k in (key, key[:-4], f"{key[:-4]}_high"))
            assert low <= value <= high, (record, key)


def test_report_without_labels(fitted):
    report = distillation_report(fitted, X_TEST, **QUICK)
    assert report.frame["accuracy"].isna().all()
    assert report.frame.loc["student", "agreement"] > 0.5
    assert "y" not in report.disagreements
    assert "Without labels" in report.verdict
    assert set(report.gap_closed.values()) == {None}


def test_report_weights_rows(fitted):
    weight = np.random.RandomState(0).rand(200)
    weight[:20] = 0
    report = distillation_report(fitted, X_TEST, Y_TEST, sample_weight=weight, **QUICK)
    P = fitted.predict_proba(X_TEST)
    assert report.frame.loc["student", "log_loss"] == pytest.approx(
        log_loss(Y_TEST, P, sample_weight=weight)
    )
    assert report.provenance["n_rows_left_out"] == 20
    assert report.disagreements["row"].min() >= 20
    assert report.differences[0]["mcnemar_p"] is None


def test_report_lists_disagreements(fitted, report):
    frame = report.disagreements
    assert len(frame) == 20
    assert frame["total_variation"].is_monotonic_decreasing
    first = frame.iloc[0]
    row = [int(first["row"])]
    P = fitted.predict_proba(X_TEST[row])[0]
    assert first["student"] == fitted.predict(X_TEST[row])[0]
    assert first["y"] == Y_TEST[row[0]]
    np.testing.assert_allclose(
        [first[f"student_proba[{c}]"] for c in ("ant", "bee", "cat")], P
    )


# -- the teacher's part ----------------------------------------------------------------


class Counting(RandomForestClassifier):
    """Counts the rows that it is asked about."""

    n_rows = 0

    def predict_proba(self, X):
        Counting.n_rows += len(X)
        return super().predict_proba(X)


class Paid(Counting):
    """Has a limit on what it may spend."""

    max_cost = 1.0


def test_report_asks_the_teacher_once_a_row_and_for_timing():
    teacher = Counting(5, random_state=0).fit(X_TRAIN, Y_TRAIN)
    student = LogisticRegression().fit(X_TRAIN, Y_TRAIN)

    def n_rows(teacher=teacher, **more):
        Counting.n_rows = 0
        report = distillation_report(
            student, X_TEST, Y_TEST, teacher=teacher, n_resamples=5,
            **({"max_seconds": 0.01} | more),
        )  # fmt: skip
        is_timed = report.models[0]["p50"] is not None
        assert report.provenance["n_teacher_rows"] == min(Counting.n_rows, 200)
        return Counting.n_rows, is_timed

    assert n_rows(max_seconds=0) == (200, False)
    assert n_rows(time_teacher=False) == (200, False)
    asked, is_timed = n_rows()
    assert asked > 200 and is_timed
    P = teacher.predict_proba(X_TEST)
    assert n_rows(soft_targets=P) == (0, False)
    paid = Paid(5, random_state=0).fit(X_TRAIN, Y_TRAIN)
    assert n_rows(teacher=paid) == (200, False)
    assert n_rows(teacher=FrozenEstimator(paid)) == (200, False)


def test_report_times_a_teacher_of_given_answers_if_told():
    teacher = Counting(5, random_state=0).fit(X_TRAIN, Y_TRAIN)
    student = LogisticRegression().fit(X_TRAIN, Y_TRAIN)
    report = distillation_report(
        student, X_TEST, teacher=teacher, soft_targets=teacher.predict_proba(X_TEST),
        time_teacher=True, max_seconds=0.01, n_resamples=5,
    )  # fmt: skip
    assert report.models[0]["p50"] > 0


def test_report_asks_through_the_store(tmp_path):
    path = tmp_path / "answers.db"
    teacher = Counting(5, random_state=0).fit(X_TRAIN[:200], Y_TRAIN[:200])
    model = distilled(teacher, memory=path).fit(X_TRAIN[200:], Y_TRAIN[200:])
    first = distillation_report(model, X_TEST, Y_TEST, **QUICK)
    assert first.provenance["n_teacher_rows"] == 200
    Counting.n_rows = 0
    again = distillation_report(model, X_TEST, Y_TEST, **QUICK)
    assert Counting.n_rows == again.provenance["n_teacher_rows"] == 0
    assert first.models == again.models
    store = AnswerStore(path)
    assert store.stats()["rows_asked"] == 400
    store.close()


def test_report_of_a_student_of_soft_targets_only():
    forest = ExtraTreesClassifier(10, random_state=0).fit(X_TRAIN[:200], Y_TRAIN[:200])
    model = distilled().set_params(teacher=None)
    model.fit(
        X_TRAIN[200:], Y_TRAIN[200:], soft_targets=forest.predict_proba(X_TRAIN[200:])
    )
    P = forest.predict_proba(X_TEST)
    report = distillation_report(model, X_TEST, Y_TEST, soft_targets=P, **QUICK)
    assert report.models[0]["model"] == "teacher"
    assert report.models[0]["n_bytes"] is report.models[0]["p50"] is None
    assert report.models[0]["accuracy"] == accuracy_score(
        Y_TEST, forest.predict(X_TEST)
    )
    with pytest.raises(ValueError, match="teacher or soft_targets must be given"):
        distillation_report(model, X_TEST, Y_TEST)


def test_report_warns_of_the_teachers_training_rows():
    digits, y = load_digits(return_X_y=True)
    teacher = ExtraTreesClassifier(20, random_state=0).fit(digits[:1200], y[:1200])
    student = LogisticRegression(C=0.001, max_iter=500).fit(digits[:1200], y[:1200])
    seen = distillation_report(
        student, digits[:1200], y[:1200], teacher=teacher, **QUICK
    )
    unseen = distillation_report(
        student, digits[1200:], y[1200:], teacher=teacher, **QUICK
    )
    assert "look like rows that the teacher was trained on" in seen.warnings[0]
    assert seen.verdict.startswith("Beware")
    assert unseen.warnings == [] and not unseen.verdict.startswith("Beware")


# -- kinds of models and rows ----------------------------------------------------------


def test_report_of_a_search_over_pipelines():
    inner = make_pipeline(StandardScaler(), distilled())
    grid = {"distilledclassifier__student__C": [0.1, 1.0]}
    search = GridSearchCV(inner, grid, cv=2).fit(X_TRAIN, Y_TRAIN)
    report = distillation_report(search, X_TEST, Y_TEST, **QUICK)
    student = report.frame.loc["student"]
    assert student["accuracy"] == pytest.approx(search.score(X_TEST, Y_TEST))
    alone = distillation_report(
        search.best_estimator_[-1],
        search.best_estimator_[:-1].transform(X_TEST),
        Y_TEST,
        **QUICK,
    )
    assert student["kl"] == alone.frame.loc["student", "kl"]
    assert student["n_bytes"] > alone.frame.loc["student", "n_bytes"]  # scaler counts


def test_report_of_an_artefact(fitted):
    artefact = pickle.loads(pickle.dumps(fitted.student_))
    report = distillation_report(fitted, X_TEST, Y_TEST, artefact=artefact, **QUICK)
    last = report.differences[-1]
    assert (last["model"], last["against"]) == ("artefact", "student")
    assert last["largest_gap"] == 0
    assert (
        report.frame.loc["artefact", "accuracy"]
        == report.frame.loc["student", "accuracy"]
    )
    assert "The artefact's probabilities differ" in report.verdict


def test_report_takes_a_plain_student():
    model = distilled().fit(X_TRAIN, Y_TRAIN)
    assert (
        "plain student"
        not in distillation_report(model, X_TEST, Y_TEST, **QUICK).frame.index
    )
    plain = DecisionTreeClassifier(max_depth=1).fit(X_TRAIN, Y_TRAIN)
    report = distillation_report(model, X_TEST, Y_TEST, plain=plain, **QUICK)
    assert report.frame.loc["plain student", "accuracy"] == plain.score(X_TEST, Y_TEST)
    assert "Distillation helped" in report.verdict
    assert report.gap_closed["accuracy"] > 0


def as_frame(library):
    columns = {f"x{k}": X[:, k] for k in range(8)}
    columns["kind"] = np.where(X[:, 0] > 0, "high", "low")
    return library.DataFrame(columns)


def frame_model():
    encoded = make_pipeline(
        OneHotEncoder(handle_unknown="ignore", max_categories=5),
        LogisticRegression(max_iter=200),
    )
    return DistilledClassifier(
        encoded, LogisticStudent(), alpha=0.5, transfer=None, random_state=0
    )


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_report_of_frames_with_categories(library):
    frame = as_frame(library)
    if library is pd:
        frame["kind"] = frame["kind"].astype("category")
    model = frame_model().fit(frame[:400], Y_TRAIN)
    report = distillation_report(
        model, frame[400:], pd.Series(Y_TEST, index=range(7, 207)),
        max_seconds=0.01, n_resamples=5,
    )  # fmt: skip
    expected = model.score(frame[400:], Y_TEST)
    assert report.frame.loc["student", "accuracy"] == expected
    assert len(report.provenance["rows"]) == 32


def test_report_of_sparse_rows():
    rows = sparse.csr_array(np.where(X > 0, X, 0))
    model = distilled(LogisticRegression(max_iter=500)).fit(rows[:400], Y_TRAIN)
    report = distillation_report(
        model, rows[400:], Y_TEST, max_seconds=0.01, n_resamples=5
    )
    expected = model.score(rows[400:], Y_TEST)
    assert report.frame.loc["student", "accuracy"] == expected


def test_report_of_texts():
    words = np.array(["red", "green", "blue", "sky", "leaf", "fire"])
    rng = np.random.RandomState(0)
    codes = rng.randint(2, size=300)
    texts = [" ".join(rng.choice(words[3 * c : 3 * c + 4 - c], 3)) for c in codes]
    teacher = make_pipeline(TfidfVectorizer(), LogisticRegression())
    student = make_pipeline(TfidfVectorizer(max_features=3), LogisticRegression())
    model = DistilledClassifier(teacher, student, alpha=0.5, transfer=None)
    model.fit(texts[:200], codes[:200])
    report = distillation_report(
        model, texts[200:], codes[200:], max_seconds=0.01, n_resamples=5
    )
    expected = model.score(texts[200:], codes[200:])
    assert report.frame.loc["student", "accuracy"] == expected
    assert report.frame.loc["student", "n_parameters"] == 4
    assert report.provenance["classes"] == [0, 1]


def test_report_of_many_classes():
    rng = np.random.RandomState(0)
    codes = np.arange(600) % 120
    rows = rng.rand(600, 4) + codes[:, None]
    teacher = ExtraTreesClassifier(10, random_state=0).fit(rows[:360], codes[:360])
    student = DecisionTreeClassifier().fit(rows[:360], codes[:360])
    report = distillation_report(
        student, rows[360:], codes[360:], teacher=teacher, **QUICK
    )
    assert len(report.disagreements.columns) == 5 + 2 * 120
    assert json.loads(report.to_json())["provenance"]["classes"] == list(range(120))


def test_report_with_metadata_routing():
    with config_context(enable_metadata_routing=True):
        model = make_pipeline(StandardScaler(), distilled()).fit(X_TRAIN, Y_TRAIN)
        report = distillation_report(
            model, X_TEST, Y_TEST, max_seconds=0.01, n_resamples=5
        )
        expected = model.score(X_TEST, Y_TEST)
    assert report.frame.loc["student", "accuracy"] == expected


# -- forms -----------------------------------------------------------------------------


def test_report_goes_to_json_and_back(report):
    found = json.loads(report.to_json(indent=2))
    assert found == report.to_dict()
    assert set(found) == {
        "verdict", "warnings", "models", "differences", "gap_closed", "disagreements",
        "provenance", "created",
    }  # fmt: skip
    changed = report.to_dict()
    changed["models"][0]["accuracy"] = changed["provenance"]["model"]["class"] = 7
    assert report.to_dict() == found
    assert found["provenance"]["n_rows"] == 200
    assert found["created"].endswith("+00:00")


def test_report_is_pickled_without_the_rows(report):
    again = pickle.loads(pickle.dumps(report))
    assert isinstance(again, DistillationReport)
    assert again.to_dict() == report.to_dict() and str(again) == str(report)
    assert again.rows.X is None


def test_report_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys, skdistill.report; "
        "print([n for n in ('torch', 'skorch', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_report_needs_no_pandas(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert report.frame["model"][:1] == ["teacher"]
    assert len(report.frame["accuracy"]) == len(report.models)
    assert len(report.disagreements["row"]) == 20


def test_report_draws_itself(fitted, report):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = report.plot()
    titles = [ax.get_title() for ax in figure.axes]
    assert any("same label on" in title for title in titles)
    assert any("confidence" in ax.get_xlabel() for ax in figure.axes)
    plt.close(figure)
    figure = distillation_report(fitted, X_TEST, **QUICK).plot()
    assert not any("confidence" in ax.get_xlabel() for ax in figure.axes)
    plt.close(figure)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"time_teacher": "never"}, "time_teacher must be True, False or 'auto'"),
        ({"max_seconds": -1}, "max_seconds must be 0 or more"),
        ({"n_disagreements": -1}, "n_disagreements must be 0 or more"),
        ({"confidence": 1.5}, "confidence must lie strictly between"),
        ({"n_resamples": 0}, "n_resamples"),
    ],
)
def test_report_says_what_is_wrong(fitted, more, message):
    with pytest.raises(ValueError, match=message):
        distillation_report(fitted, X_TEST, Y_TEST, **more)

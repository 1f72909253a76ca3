"""Text teachers against their students: a language model, and a sentence encoder.

``python -m benchmarks.texts`` does what is not done yet, a line of JSON a cell, and
prints the tables; ``--table`` only prints them, ``--write`` puts them into the guide.
``--part llm`` or ``--part encoder`` does one of the two, ``--part cost`` times and
weighs. The language model's answers come from `benchmarks.text_teachers`.
"""

import argparse
import tempfile
import warnings
from functools import cache, partial
from itertools import count
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_predict
from sklearn.pipeline import make_pipeline, make_union

from benchmarks.datasets import load
from benchmarks.reproduce._records import FIXED, Unit, read, run
from benchmarks.text_teachers import (
    N_THIRDS,
    encoder,
    language_model,
    look_up,
    pool,
    runs,
    sentences,
    thirds,
    vectors,
    words,
    write_encoder_answers,
    written,
)
from skdistill import DistilledClassifier, LogisticStudent, NGramStudent
from skdistill.metrics import expected_calibration_error, measure_latency, model_size
from skdistill.soft_targets import calibrate, log_loss_rows, temper
from skdistill.teachers._chat_scoring import correct_prior, neutral_answer

NAME = "texts"
PAGE = Path(__file__).parents[1] / "docs" / "user_guide" / "texts.rst"
MARKS = {
    name: (f".. {name} table", f".. end of {name} table")
    for name in ("teacher", "llm", "encoder", "cost")
}

STUDENTS = ("tf-idf", "n-grams")
#: What joins the unlabelled training sentences: single words and sentences of the pool,
#: and, for each two thirds of the sentences, runs of their words and written ones.
TRANSFER = (
    (0, 0, 0, 0), (8_000, 0, 0, 0), (8_000, 4_000, 0, 0), (8_000, 40_000, 0, 0),
    (25_000, 40_000, 0, 0), (25_000, 40_000, 24_000, 0), (8_000, 0, 0, 40_000),
    (25_000, 40_000, 0, 40_000), (25_000, 40_000, 24_000, 40_000),
)  # fmt: skip
KINDS = ("words", "pool", "runs", "written")
#: Half of all reviews are praise.
HALVES = np.full(2, 0.5)
#: Without labels the answers are sharpened by this temperature.
SHARPEN = 0.2
N_CALIBRATION = 200
#: Real text sets of the encoder, and the rows drawn.
SETS = {
    "clothing": 8_000, "recommend": 8_000, "fine_foods": None, "sentences": None,
    "vader": 20_000,
}  # fmt: skip
#: Sentences of other reviews that join the pool of a set.
MORE = {"sentences": 12_000}
N_LABELS, TEST_SHARE = 200, 0.3
#: Texts that are answered one by one, after some that do not count.
N_TIMED, N_WARMUP = 80, 20


def make_student(name, seed):
    """Student by name, with one setting for all sets."""
    if name == "n-grams":
        return NGramStudent(random_state=seed)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=20_000)
    letters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_features=20_000
    )
    return make_pipeline(make_union(words, letters), LogisticStudent(C=10.0))


class Known:
    """Teacher whose answers are known: those of a text are looked up.

    Parameters
    ----------
    texts : list of str
        Texts.

    P : ndarray of shape (n_texts, n_classes)
        Answers.

    classes : ndarray of shape (n_classes,)
        Labels of the columns.
    """

    def __init__(self, texts, P, classes):
        self.answers, self.classes_ = dict(zip(texts, P, strict=True)), classes

    def predict_proba(self, X):
        """Answers to texts."""
        return np.stack([self.answers[text] for text in X])


def scores(P, y, classes):
    """Accuracy, log-loss in nats and calibration error of probabilities."""
    codes = np.searchsorted(classes, y)
    return {
        "accuracy": float((P.argmax(axis=1) == codes).mean()),
        "log_loss": float(log_loss_rows(P, codes).mean()),
        "ece": float(expected_calibration_error(y, P, classes=classes)),
    }


# -- the language model: no labels -----------------------------------------------------


@cache
def folds():
    """Sentences, labels, and (train, test) positions that test each sentence once."""
    X, y = sentences()
    train = [np.setdiff1d(np.arange(len(X)), test) for test in thirds()]
    return X, y, list(zip(train, thirds(), strict=True))


def llm_answers(fold):
    """What the model says of all sentences, with the prior of a fold's corrected.

    The neutral answer is found on the sentences of the other folds; no label is used.
    Half of all reviews are taken for praise.
    """
    X, _, splits = folds()
    raw = _two_columns(look_up(X))
    neutral = neutral_answer(raw[splits[fold][0]], HALVES)
    return raw, correct_prior(raw, neutral, HALVES), neutral


def _two_columns(positive):
    return np.column_stack([1 - positive, positive])


def llm_teacher(fold):
    """Scores of the language model, raw, corrected and calibrated, on test rows."""
    _, y, splits = folds()
    train, test = splits[fold]
    raw, corrected, _ = llm_answers(fold)
    few = train[np.random.default_rng(fold).permutation(len(train))[:N_CALIBRATION]]
    calibration = calibrate(corrected[few], y[few])
    mean = raw[train].mean(axis=0)
    versions = {
        "raw": raw, "by the mean answer": correct_prior(raw, mean, HALVES),
        "prior corrected": corrected,
        f"and {N_CALIBRATION} labels": calibration(corrected),
    }  # fmt: skip
    return {
        name: scores(P[test], y[test], np.arange(2)) for name, P in versions.items()
    }


def transfer_set(n_words, n_pool, n_runs, n_written, fold):
    """Texts that join a fold's training sentences; none is made of its test rows.

    Nor does one read like a test row: short sentences are written twice by chance.
    """
    X, _, splits = folds()
    own, tested = ([X[row] for row in rows] for rows in splits[fold])
    tested = set(tested)
    more = (words(n_words, own) if n_words else []) + pool(n_pool)
    for third in set(range(N_THIRDS)) - {fold}:
        more += runs(third)[: n_runs // 2] + written(third)[: n_written // 2]
    return list(dict.fromkeys(text for text in more if text not in tested))


def llm_student(student, sizes, fold):
    """Scores of a student of the language model; its training rows have no labels."""
    X, y, splits = folds()
    train, test = splits[fold]
    _, P, neutral = llm_answers(fold)
    more = transfer_set(*sizes, fold)
    answers = _two_columns(look_up(more))
    known = np.isfinite(answers[:, 0])
    more = [text for text, yes in zip(more, known, strict=True) if yes]
    texts = [X[row] for row in train] + more
    soft = correct_prior(answers[known], neutral, HALVES)
    soft = temper(np.concatenate([P[train], soft]), SHARPEN)
    small = DistilledClassifier(
        None, make_student(student, fold), alpha=1.0, random_state=fold
    ).fit(texts, soft_targets=soft, classes=[0, 1])
    X_test = [X[row] for row in test]
    Q = small.predict_proba(X_test)
    return {
        "student": scores(Q, y[test], small.classes_),
        "teacher": scores(P[test], y[test], small.classes_),
        "agreement": float((Q.argmax(axis=1) == P[test].argmax(axis=1)).mean()),
        "n_more": dict(zip(KINDS, sizes, strict=True)),
        "bytes": model_size(small.student_),
        **_artefact(small.student_, X_test, y[test]),
    }  # fmt: skip


def llm_labels(student, fold):
    """Scores of the same student fitted on the true labels of the training rows."""
    X, y, splits = folds()
    train, test = splits[fold]
    model = make_student(student, fold).fit([X[row] for row in train], y[train])
    Q = model.predict_proba([X[row] for row in test])
    return {"student": scores(Q, y[test], np.arange(2))}


# -- the sentence encoder: few labels --------------------------------------------------


def _load_set(name):
    """Texts and labels; "recommend" has the texts of "clothing"."""
    if name != "recommend":
        return load(name, n_rows=SETS[name])
    label = dict(zip(*load("clothing_recommend"), strict=True))
    X, _ = load("clothing", n_rows=SETS[name])
    return X, np.array([label[text] for text in X])


@cache
def text_set(name, seed):
    """Texts, labels, vectors, and positions: few with labels, pool, test."""
    X, y = _load_set(name)
    first = {text: row for row, text in reversed(list(enumerate(X)))}
    rows = np.sort(list(first.values()))  # distinct texts: none in train and test
    X, y = [X[row] for row in rows], y[rows]
    splitter = StratifiedShuffleSplit(1, test_size=TEST_SHARE, random_state=seed)
    train, test = next(splitter.split(X, y))
    splitter = StratifiedShuffleSplit(1, train_size=N_LABELS, random_state=seed)
    few, rest = next(splitter.split(train, y[train]))
    return X, y, vectors(X), train[few], train[rest], test


def encoder_student(name, student, seed):
    """Scores of the encoder fitted on all labels, and of students of few.

    Its answers to the pool, whose labels it has learnt, are out of fold; to texts of
    `MORE` they are its own.
    """
    X, y, V, few, rest, test = text_set(name, seed)
    train = np.concatenate([few, rest])
    head = LogisticRegression(C=10, max_iter=1000)
    P = cross_val_predict(head, V[train], y[train], cv=5, method="predict_proba")
    head.fit(V[train], y[train])
    if (name, seed) == ("clothing", 0):
        known = np.concatenate([P, head.predict_proba(V[test])])
        is_test = np.arange(len(known)) >= len(train)
        rows = np.concatenate([train, test])
        write_encoder_answers([X[row] for row in rows], known, is_test)
    more = pool(MORE.get(name, 0))
    answers = np.concatenate([P, head.predict_proba(vectors(more))]) if more else P
    teacher = Known([X[row] for row in train] + more, answers, head.classes_)
    small = DistilledClassifier(
        teacher, make_student(student, seed), alpha=0.5, random_state=seed
    ).fit([X[r] for r in few], y[few], X_transfer=[X[r] for r in rest] + more)
    plain = make_student(student, seed).fit([X[row] for row in few], y[few])
    full = make_student(student, seed).fit([X[row] for row in train], y[train])
    X_test, classes = [X[row] for row in test], head.classes_
    return {
        "teacher": scores(head.predict_proba(V[test]), y[test], classes),
        "student": scores(small.predict_proba(X_test), y[test], classes),
        "plain": scores(plain.predict_proba(X_test), y[test], classes),
        "all labels": scores(full.predict_proba(X_test), y[test], classes),
        "n_pool": len(rest) + len(more),
        **_costs(encoder().fit([X[r] for r in few], y[few]), small.student_, X_test),
        **_artefact(small.student_, X_test, y[test]),
    }  # fmt: skip


# -- cost ------------------------------------------------------------------------------


def cost(teacher, student):
    """Seconds of one text, teacher and student in turn, and bytes of the artefact."""
    X, y, splits = folds()
    train, test = splits[0]
    X_test = [X[row] for row in test]
    X_train = [X[row] for row in train]
    if teacher == "language model":
        model = language_model()
        soft = _two_columns(look_up(X_train))
    else:
        model = encoder().fit(X_train[:N_LABELS], y[train][:N_LABELS])
        soft = model.predict_proba(X_train)
    small = DistilledClassifier(None, make_student(student, 0), alpha=1.0).fit(
        X_train, soft_targets=soft, classes=[0, 1]
    )
    return _costs(model, small.student_, X_test) | _artefact(small.student_, X_test)


_times = count(1)


def _costs(teacher, student, X):
    """Seconds of one text, teacher and student in turn, and bytes of the student."""
    # The encoder remembers texts that it has met: blanks at the end make them new.
    blanks = " " * next(_times)
    figures, X = {"bytes": model_size(student)}, [f"{text}{blanks}" for text in X]
    once = {"n_warmup": N_WARMUP, "n_calls": N_TIMED, "max_seconds": 20}
    X = X[: N_WARMUP + N_TIMED]
    for name, one, how in (("teacher", teacher, once), ("student", student, {})):
        latency = measure_latency(one, X, **how)
        figures[f"{name}_p50"], figures[f"{name}_p99"] = latency["p50"], latency["p99"]
    return figures


def _artefact(student, X, y=None):
    """Bytes, seconds and scores of the exported student, where it can be exported."""
    from skdistill.deploy import export_onnx, load_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/student.onnx"
        try:
            export_onnx(student, path, quantize="int8")
        except (TypeError, ValueError) as error:
            return {"artefact": str(error)[:80]}
        model = load_onnx(path)
        latency = measure_latency(model, X[:N_TIMED], max_seconds=10)
        size = Path(path).stat().st_size
        figures = {"artefact_bytes": size, "artefact_p50": latency["p50"]}
        if y is not None:
            figures["artefact"] = scores(model.predict_proba(X), y, student.classes_)
    return figures


# -- what is done ----------------------------------------------------------------------


def units(part, seeds):
    """All cells of the parts asked for."""
    make = partial(Unit, recipe=FIXED)
    if part in (None, "llm"):
        for fold in range(N_THIRDS):
            work = partial(llm_teacher, fold)
            yield make("sentences", "language model", "-", "teacher", fold, work)
            for student in STUDENTS:
                work = partial(llm_labels, student, fold)
                yield make("sentences", "labels", student, "labels", fold, work)
                for sizes in TRANSFER:
                    work = partial(llm_student, student, sizes, fold)
                    setting = "and " + ", ".join(map(str, sizes))
                    yield make(
                        "sentences", "language model", student, setting, fold, work
                    )
    if part in (None, "encoder"):
        for seed in range(seeds):
            for name in SETS:
                for student in STUDENTS:
                    work = partial(encoder_student, name, student, seed)
                    yield make(name, "encoder", student, "few labels", seed, work)
    if part in (None, "cost"):
        for teacher in ("language model", "encoder"):
            for student in STUDENTS:
                work = partial(cost, teacher, student)
                yield make("sentences", teacher, student, "cost", 0, work)


# -- what is printed -------------------------------------------------------------------


def _mean(lines, *path):
    """Mean over folds or seeds of a figure."""
    values = [line["figures"] for line in lines]
    for name in path:
        values = [value[name] for value in values]
    return float(np.mean(values))


def _groups(lines, *names):
    """Lines that agree in some fields, in order of appearance."""
    groups = {}
    for line in lines:
        groups.setdefault(tuple(line[name] for name in names), []).append(line)
    return groups


def teacher_table(lines):
    """What prior and calibration do for the language model."""
    lines = [line for line in lines if line["setting"] == "teacher"]
    if not lines:
        return []
    text = [f"{'language model':<20}{'accuracy':>9}{'log-loss':>10}{'ECE':>7}"]
    for name in lines[0]["figures"]:
        a, b, c = (_mean(lines, name, s) for s in ("accuracy", "log_loss", "ece"))
        text.append(f"{name:<20}{a:>9.3f}{b:>10.3f}{c:>7.3f}")
    return text


def llm_table(lines):
    """Students of the language model by what they were fitted on."""
    text = [
        f"{'student':<8}{'words':>7}{'pool':>7}{'runs':>7}{'written':>8}{'accuracy':>9}"
        f"{'kept':>7}{'int8':>7}{'kB':>5}{'agrees':>8}{'log-loss':>9}"
    ]
    rows = [line for line in lines if line["setting"].startswith(("and ", "labels"))]
    rows.sort(key=lambda line: (line["student"], line["setting"] != "labels"))
    for (student, setting), group in _groups(rows, "student", "setting").items():
        accuracy = _mean(group, "student", "accuracy")
        loss = _mean(group, "student", "log_loss")
        if setting == "labels":
            start = f"{student:<8}{'true labels of the sentences':<29}"
            text.append(f"{start}{accuracy:>9.3f}{'':>27}{loss:>9.3f}")
            continue
        sizes = [f"{_mean(group, 'n_more', kind):,.0f}" for kind in KINDS]
        teacher = _mean(group, "teacher", "accuracy")
        int8, size = "-", "-"
        if all("artefact_bytes" in line["figures"] for line in group):
            int8 = f"{_mean(group, 'artefact', 'accuracy') / teacher:.1%}"
            size = f"{_mean(group, 'artefact_bytes') / 1e3:.0f}"
        text.append(
            f"{student:<8}{sizes[0]:>7}{sizes[1]:>7}{sizes[2]:>7}{sizes[3]:>8}"
            f"{accuracy:>9.3f}{accuracy / teacher:>7.1%}{int8:>7}{size:>5}"
            f"{_mean(group, 'agreement'):>8.3f}{loss:>9.3f}"
        )
    return text


def encoder_table(lines):
    """Students of the encoder with few labels."""
    text = [
        f"{'texts':<11}{'student':<8}{'teacher':>8}{'student':>8}{'kept':>7}{'int8':>7}"
        f"{'200 labels':>11}{'all labels':>11}{'teacher ms':>11}{'times':>7}{'kB':>7}"
    ]
    rows = [line for line in lines if line["setting"] == "few labels"]
    for (name, student), group in _groups(rows, "table", "student").items():
        teacher, small, plain, full = (
            _mean(group, who, "accuracy")
            for who in ("teacher", "student", "plain", "all labels")
        )
        int8, n_bytes = f"{'':>7}", _mean(group, "bytes")
        if isinstance(group[0]["figures"]["artefact"], dict):
            int8 = f"{_mean(group, 'artefact', 'accuracy') / teacher:>7.1%}"
            n_bytes = _mean(group, "artefact_bytes")
        slow, fast = _mean(group, "teacher_p50"), _mean(group, "student_p50")
        text.append(
            f"{name:<11}{student:<8}{teacher:>8.3f}{small:>8.3f}{small / teacher:>7.1%}"
            f"{int8}{plain:>11.3f}{full:>11.3f}{1e3 * slow:>11.1f}{slow / fast:>7.0f}"
            f"{n_bytes / 1e3:>7,.0f}"
        )
    return text


def cost_table(lines):
    """Milliseconds of one text, and bytes."""
    text = [
        f"{'teacher':<15}{'student':<9}{'teacher ms':>11}{'student ms':>11}"
        f"{'times':>8}{'pickle':>11}{'artefact':>10}{'its ms':>8}{'times':>8}"
    ]
    for line in lines:
        if line["setting"] != "cost":
            continue
        f = line["figures"]
        slow, fast = 1e3 * f["teacher_p50"], 1e3 * f["student_p50"]
        row = (
            f"{line['teacher']:<15}{line['student']:<9}{slow:>11.1f}{fast:>11.3f}"
            f"{slow / fast:>8,.0f}{f['bytes']:>11,}"
        )
        if "artefact_p50" in f:
            own = 1e3 * f["artefact_p50"]
            row += f"{f['artefact_bytes']:>10,}{own:>8.3f}{slow / own:>8,.0f}"
        text.append(row)
    return text


TABLES = {
    "teacher": teacher_table,
    "llm": llm_table,
    "encoder": encoder_table,
    "cost": cost_table,
}


def page(text):
    """Return the page of the guide with the tables between their marks."""
    lines = read(NAME)
    for name, (begin, end) in MARKS.items():
        before, rest = text.split(begin)
        after = rest.split(end)[1]
        block = "\n".join(f"   {line}".rstrip() for line in TABLES[name](lines))
        text = f"{before}{begin}\n\n.. code-block:: text\n\n{block}\n\n{end}{after}"
    return text


def main():
    """Measure what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="splits of each set")
    parser.add_argument("--part", choices=["llm", "encoder", "cost"])
    parser.add_argument("--table", action="store_true", help="only print the tables")
    parser.add_argument("--write", action="store_true", help="put them into the guide")
    arguments = parser.parse_args()
    if not (arguments.table or arguments.write):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(units(arguments.part, arguments.seeds), NAME)
    if arguments.write:
        PAGE.write_text(page(PAGE.read_text()))
    for table in TABLES.values():
        print("\n".join(table(read(NAME))), end="\n\n")


if __name__ == "__main__":
    main()

"""Verdicts: every outcome is said, with the figures that it rests on."""

import numpy as np
import pytest

from skdistill.report._figures import DIFFERENCE_KEYS, MODEL_KEYS
from skdistill.report._verdict import Evidence, held_out_words, verdict, warnings_of

COSTS = {"p50": None, "n_bytes": None}


def model(name, **figures):
    return dict.fromkeys(MODEL_KEYS) | COSTS | {"model": name} | figures


def spread(**figures):
    return {
        f"{key}{end}": value
        for key, values in figures.items()
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }


def difference(first, second, **figures):
    names = {"model": first, "against": second}
    return dict.fromkeys(DIFFERENCE_KEYS) | names | spread(**figures)


TEACHER = model("teacher", accuracy=0.98, ece=0.18, p50=0.029, n_bytes=112e6)
STUDENT = model(
    "student", accuracy=0.974, ece=0.009, p50=5.95e-6, n_bytes=42e3,
    **spread(agreement=(0.97, 0.96, 0.98), kl=(0.05, 0.04, 0.06),
             log_loss=(0.098, 0.09, 0.107)),
)  # fmt: skip
TO_TEACHER = difference(
    "student", "teacher", retention=(0.994, 0.991, 0.997), log_loss=(-0.19, -0.2, -0.18)
)


def evidence(accuracy=None, log_loss=None, **more):
    models, differences = [TEACHER, STUDENT], [TO_TEACHER]
    if accuracy is not None:
        models = [*models, model("plain student", accuracy=0.95)]
        against = difference(
            "student", "plain student", accuracy=accuracy, log_loss=log_loss
        )
        differences = [*differences, against]
    settings = {"models": models, "differences": differences, "reference": "teacher"}
    return Evidence(**(settings | {"n_rows": 5000} | more))


UP, DOWN, NOTHING = (0.02, 0.01, 0.03), (-0.02, -0.03, -0.01), (0.0, -0.01, 0.01)


def test_verdict_says_what_was_kept_at_what_cost():
    text = verdict(evidence())
    assert (
        "The student keeps 99.4 % [99.1, 99.7] of the teacher's accuracy (0.9740 of "
        "0.9800), at 1/4,900 of its latency (5.95 us for one row instead of 29 ms) and "
        "1/2,700 of its size (42 kB instead of 112 MB)."
    ) in text
    assert "log-loss is 0.098 [0.090, 0.107] nats, -0.190 [-0.200, -0.180] aga" in text
    assert "calibration error is 0.009, 0.180 for the teacher" in text
    assert "same label on 97.0 % [96.0, 98.0] of the rows" in text
    assert "(Intervals: 95 %, 5,000 rows.)" in text


@pytest.mark.parametrize(
    ("accuracy", "log_loss", "words"),
    [
        (UP, DOWN, "Distillation helped:"),
        (NOTHING, DOWN, "Distillation helped:"),
        (UP, NOTHING, "Distillation helped:"),
        (NOTHING, NOTHING, "Distillation did not help here, within what"),
        (DOWN, NOTHING, "Distillation did not help here, it did harm:"),
        (NOTHING, UP, "Distillation did not help here, it did harm:"),
        (UP, UP, "Distillation helped in accuracy and did harm in log-loss:"),
        (DOWN, DOWN, "Distillation helped in log-loss and did harm in accuracy:"),
    ],
)
def test_verdict_says_whether_distillation_helped(accuracy, log_loss, words):
    text = verdict(evidence(accuracy, log_loss))
    assert words in text
    low, high = accuracy[1:]
    assert f"accuracy {accuracy[0] + 0:+.3f} [{low:+.3f}, {high:+.3f}]" in text


def test_verdict_says_that_the_plain_student_was_chosen():
    text = verdict(evidence(NOTHING, NOTHING, plain_is_student=True))
    assert "Distillation did not help here: on held-out training rows" in text
    assert "lead" not in text


def test_verdict_gives_a_teacher_no_credit_for_a_student_of_labels():
    text = verdict(evidence(UP, DOWN, by_labels_alone=True))
    assert "Distillation did not help here: on held-out training rows" in text
    assert "how it takes its inputs, or what was done to it after its fit:" in text
    assert "Distillation helped" not in text


def test_verdict_says_how_much_of_the_lead_was_gained():
    gaps = {"accuracy": 0.912, "log_loss": None, "log_loss_calibrated": -0.4}
    text = verdict(evidence(UP, DOWN, gap_closed=gaps))
    assert (
        "Of the teacher's lead over labels alone it gains 91 % in accuracy, -40 % in "
        "log-loss of the calibrated teacher."
    ) in text
    nothing = verdict(evidence(UP, DOWN, gap_closed=dict.fromkeys(gaps)))
    assert "nothing to gain: the teacher is no better than labels alone." in nothing
    assert "labels alone" not in verdict(evidence(gap_closed=gaps))  # no plain student


def test_verdict_asks_for_a_plain_student():
    assert "give the same student fitted on labels only as plain=" in verdict(
        evidence()
    )


def test_verdict_without_labels_is_of_fidelity():
    teacher = TEACHER | {"accuracy": None, "ece": None}
    student = STUDENT | {"accuracy": None, "ece": None}
    plain = model("plain student")
    against = difference("student", "plain student", agreement=UP, kl=DOWN)
    text = verdict(
        evidence(
            models=[teacher, student, plain],
            differences=[difference("student", "teacher"), against],
        )
    )
    assert text.startswith("Student and teacher give the same label on 97.0 %")
    assert "1/4,900 of its latency" in text and "Without labels nothing" in text
    assert "Distillation helped: " in text and "agreement +0.020" in text
    assert "keeps" not in text


def test_verdict_compares_with_the_calibrated_teacher_too():
    calibrated = model("teacher, calibrated", accuracy=0.98, ece=0.01)
    against = difference("student", "teacher, calibrated", log_loss=UP)
    text = verdict(
        evidence(
            models=[TEACHER, calibrated, STUDENT], differences=[TO_TEACHER, against]
        )
    )
    assert "+0.020 [+0.010, +0.030] against the calibrated teacher" in text
    assert "0.010 for the calibrated teacher" in text


def test_verdict_tells_of_the_artefact():
    artefact = model("artefact", accuracy=0.974)
    parity = difference("artefact", "student") | {"largest_gap": 1.23e-6}
    text = verdict(
        evidence(models=[TEACHER, STUDENT, artefact], differences=[TO_TEACHER, parity])
    )
    assert "artefact's probabilities differ from the student's by 1.2e-06" in text


def test_verdict_leaves_out_costs_that_are_not_known():
    text = verdict(evidence(models=[TEACHER | COSTS, STUDENT]))
    assert "latency" not in text and "size" not in text


def test_warnings_are_given_where_they_are_due():
    assert warnings_of(evidence()) == []
    given = warnings_of(
        evidence(memorised=True, n_unanswered=3, n_rows=50, teacher_jobs=-1)
    )
    said = ("trained on", "3 of 53 rows", "Only 50 rows", "n_jobs=-1")
    for words, text in zip(said, given, strict=True):
        assert words in text
    assert verdict(evidence(memorised=True)).startswith("Beware: these rows look like")
    assert warnings_of(evidence(teacher_jobs=1)) == []
    for n_discordant, n_warnings in ((9, 1), (10, 0), (0, 1)):
        pair = TO_TEACHER | {"n_discordant": n_discordant}
        given = warnings_of(evidence(differences=[pair]))
        assert len(given) == n_warnings
        assert all(f"is right on {n_discordant} rows" in text for text in given)
    untimed = evidence(models=[TEACHER | COSTS, STUDENT], teacher_jobs=-1)
    assert warnings_of(untimed) == []


def test_held_out_words_tell_the_best_of_each_kind_and_the_chosen():
    summary = {
        "model": np.array(["teacher", "plain student", "distilled student"] * 2),
        "metric": np.array(["log_loss"] * 5 + ["accuracy"]),
        "score": np.array([0.2, 0.3, 0.26, 0.21, 0.35, 0.9]),
        "se": np.full(6, 0.01),
        "chosen": np.array([False, False, True, False, False, False]),
    }
    assert held_out_words(summary) == (
        "Held-out training rows said, in log-loss: teacher 0.200 +- 0.010, plain "
        "student 0.300 +- 0.010, distilled student (chosen) 0.260 +- 0.010."
    )
    summary["metric"] = np.array(["kl_to_teacher"] * 6)
    assert "in divergence from the teacher:" in held_out_words(summary)
    summary["metric"] = np.array(["accuracy"] * 6)
    assert held_out_words(summary) == ""
    assert held_out_words(None) == held_out_words({"metric": np.array([])}) == ""

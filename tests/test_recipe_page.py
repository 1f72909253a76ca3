"""The guide's table of the recipe is the one that its command prints."""

import numpy as np
import pytest

from benchmarks import extremes, recipe


@pytest.mark.parametrize("benchmark", [recipe, extremes])
def test_page_holds_the_table_of_the_lines(benchmark):
    text = recipe.PAGE.read_text()
    assert benchmark.page(text) == text


def test_edges_are_what_they_are_called():
    (X, _, y, _), _ = extremes.few_rows()
    assert len(X) == len(y) == 500
    (_, _, y, y_test), _ = extremes.rare_class()
    share = np.mean(np.r_[y, y_test] == np.unique(y)[1])
    assert len(y) == 20_000 and share == pytest.approx(0.01, abs=1e-3)
    (X, _, _, _), _ = extremes.many_columns()
    assert X.shape == (3_500, 1_500)


def figures(plain, student, teacher, se=0.01):
    scores = {"plain": plain, "student": student, "teacher": teacher}
    made = {"alpha": 1.0, "transfer": "none", "encoding": "", "n_test": 100}
    for name, loss in scores.items():
        made |= {f"{name}_log_loss": loss, f"{name}_accuracy": 1 - loss}
        made |= {f"{name}_ece": 0.1 * loss}
    for name in ("student", "teacher"):
        for gain in ("loss", "accuracy"):
            made[f"{name}_{gain}_gain"] = plain - scores[name]
            made[f"{name}_{gain}_gain_se"] = se
    return made


def test_claims_count_what_they_say():
    pairs = [figures(0.5, 0.4, 0.3), figures(0.5, 0.3, 0.3), figures(0.3, 0.4, 0.5)]
    text = " ".join([*recipe.harm("net", pairs), *recipe.gains(pairs)])
    assert "3 pairs: worse than plain in log-loss after Holm 1," in text
    assert "worse by more than a standard error 33%" in text
    assert "ECE at most the teacher's 67%" in text
    assert text.count("2 teachers ahead") == 2
    assert text.count("gap closed 0.75 (0.62 to 0.88)") == 2


@pytest.mark.parametrize("student", recipe.STUDENTS)
def test_students_are_those_that_users_get_by_default(student):
    made = recipe.make_student(student, np.zeros((2, 2)))
    assert made.get_params().get("encoding", "auto") == "auto"

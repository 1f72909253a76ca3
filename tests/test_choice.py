"""What is tried, and what is chosen by held-out losses."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.tree import DecisionTreeClassifier

from skdistill._choice import Search, _meet_on_others, plan_search
from skdistill._held_out import held_out_split, other_splits, own_folds
from skdistill._pace import FINAL_ROUND, TRIAL
from skdistill._race import Race
from skdistill._record import NO_HELP, Record
from skdistill._teaching import NoShadowError
from skdistill._training import PLAIN, Rows, Settings
from skdistill.soft_targets import log_loss_rows, temper
from skdistill.soft_targets._arithmetic import mean_and_se
from skdistill.students import LogisticStudent, MLPStudent


def plan(**changes):
    usual = {
        "alpha": "auto", "temperature": 1.0, "sources": ("near", "far"),
        "is_given": False, "has_labels": True, "encodings": ("", "piecewise"),
        "penalties": (), "is_costly": True, "finish": "", "effort": "default",
    }  # fmt: skip
    return plan_search(**{**usual, **changes})


def ways(search):
    return [(s.alpha, s.transfer, s.encoding) for s in search.start]


# -- what is tried ---------------------------------------------------------------------


def test_search_of_a_net_goes_axis_by_axis():
    search = plan()
    assert ways(search) == [
        (0.0, "none", ""),
        (0.0, "none", "piecewise"),
        (0.5, "far", ""),
        (0.5, "far", "piecewise"),
        (0.5, "near", ""),
        (0.5, "near", "piecewise"),
    ]
    assert search.axes == ()
    assert (search.n_fits, search.n_soft) == (6, 4)
    assert search.has_panel


def test_search_of_a_net_tries_alpha_where_rows_are_given_or_none_drawn():
    for given in ({"sources": ("pool",), "is_given": True}, {"sources": ()}):
        search = plan(**given)
        assert {s.alpha for s in search.start} == {0.0, 0.5}
        assert search.axes == (("alpha", (1.0,)),)
    assert not plan(sources=("pool",), is_given=True).has_panel


def test_search_along_penalties_counts_the_walks():
    penalties = (0.1, 1.0, 10.0)
    search = plan(is_costly=False, sources=(), penalties=penalties)
    assert search.penalties == penalties
    # two plain and four distilled ones, and of each encoding two more penalties
    assert (search.n_fits, search.n_soft) == (6 + 4 * 2, 4 + 2 * 2)
    few = plan(is_costly=False, sources=(), penalties=penalties, effort="low")
    assert (few.penalties, few.n_fits) == ((), 2)


def test_search_of_a_cheap_student_tries_all_combinations():
    search = plan(is_costly=False, encodings=("",))
    soft = {way[:2] for way in ways(search)[1:]}
    assert soft == {(a, w) for a in (0.5, 1.0) for w in ("near", "far", "none")}
    assert ways(search)[0] == (0.0, "none", "")
    assert ways(search)[1][1] == "none"  # preferred at equal loss
    assert search.axes == ()


def test_search_of_low_effort_is_plain_and_one_other():
    assert ways(plan(effort="low")) == [(0.0, "none", ""), (0.5, "near", "")]


def test_search_of_high_effort_tries_all_combinations():
    assert plan(effort="high").n_fits == 2 + 2 * 3 * 2


def test_search_without_labels_has_no_plain_student():
    search = plan(has_labels=False)
    assert {s.alpha for s in search.start} == {1.0}
    assert search.fallback == Settings(1.0)


def test_search_keeps_what_the_user_fixed():
    search = plan(alpha=0.7, sources=("pool",), is_given=True, temperature=3.0)
    assert {(s.alpha, s.transfer) for s in search.start} == {(0.7, "pool")}
    assert search.fallback == Settings(0.7, 3.0, "pool")
    assert plan(alpha=0.0).start == (PLAIN,)


def test_search_of_temperatures_comes_last():
    assert plan(temperature="auto").axes[-1] == ("temperature", (2.0, 4.0))


# -- what is chosen --------------------------------------------------------------------

#: Whether a trial is shorter than a fit.
NEVER, ALWAYS = (lambda *_: False), (lambda *_: True)


class Answer:
    """Student whose held-out losses are known beforehand."""

    def __init__(self, losses):
        self.q = np.exp(-losses)

    def predict_proba(self, X):
        return np.column_stack([self.q, 1 - self.q])


def known_rows(n, n_columns=1):
    """Rows of class 0 about which the teacher says nothing."""
    return Rows(np.zeros((n, n_columns)), np.zeros(n, dtype=int), np.full((n, 2), 0.5))


def make_race(fit, rows, *, record=None, short=NEVER, new="some", student=None):
    """Race on the given fits."""
    return Race(
        SimpleNamespace(
            fit=fit, make_student=lambda: student, tries_short=short, seed=0
        ),
        SimpleNamespace(rows_for=lambda *_, trial: new),
        rows, rows, teacher=None, calibration=lambda P: P,
        record=record or Record(), step=lambda: None,
    )  # fmt: skip


def run_race(fit, rows, search, **how):
    """Run a race on the given fits; the choice."""
    return make_race(fit, rows, **how).run(search)


def chosen(means, spread=0.0, seed=0):
    """Choose among settings of given mean losses on 400 rows of class 0."""
    rng = np.random.RandomState(seed)

    def fit(train, settings, new, *, length):
        noise = spread * rng.standard_normal(400)
        return Answer(means[settings] + noise - noise.mean()), None

    record = Record()
    search = Search(tuple(means), (), PLAIN)
    best = run_race(fit, known_rows(400), search, record=record).best
    return best, record.as_dict(best)


def test_choice_takes_the_lowest_loss():
    soft = Settings(0.5, transfer="near")
    assert chosen({PLAIN: 0.5, Settings(1.0): 0.4, soft: 0.3})[0] == soft


@pytest.mark.parametrize("gain, wins", [(0.002, False), (0.05, True)])
def test_choice_falls_to_plain_unless_beaten_by_a_standard_error(gain, wins):
    # paired differences have a standard error of .1 * sqrt(2 / 400) = .007
    best, summary = chosen({PLAIN: 0.5, Settings(1.0): 0.5 - gain}, spread=0.1)
    assert (best != PLAIN) == wins
    assert (NO_HELP in summary["note"]) != wins


@pytest.mark.parametrize("loss_of_others, wins", [(0.3, True), (0.9, False)])
def test_choice_counts_the_zeros_of_a_plain_tree(loss_of_others, wins):
    # as good as the others on all rows but three, which it holds for impossible
    rng = np.random.RandomState(0)
    q = np.exp(-0.3 + 0.05 * rng.standard_normal(400))
    q[:3] = 0.0
    soft = Settings(0.5)

    def fit(train, settings, new, *, length):
        if settings == soft:
            return Answer(loss_of_others + 0.05 * rng.standard_normal(400)), None
        answer = Answer(np.zeros(400))
        answer.q = q
        return answer, None

    record = Record()
    search = Search((PLAIN, soft), (), PLAIN)
    best = run_race(fit, known_rows(400), search, record=record).best
    assert (best == soft) == wins
    summary = record.as_dict(best)
    plain = (summary["model"] == "plain student") & (summary["metric"] == "log_loss")
    assert summary["score"][plain] == pytest.approx(0.3 + 3 / 400 * 34.5, abs=0.03)


def test_choice_wants_a_standard_error_for_more_inputs():
    usual, wide = Settings(1.0), Settings(1.0, encoding="piecewise")
    assert chosen({PLAIN: 0.9, usual: 0.5, wide: 0.499}, spread=0.1)[0] == usual
    assert chosen({PLAIN: 0.9, usual: 0.5, wide: 0.45}, spread=0.1)[0] == wide


def test_choice_of_more_inputs_does_not_hang_on_what_does_not_help():
    # neither of the others is a standard error better than the one before it
    usual, wide = Settings(1.0), Settings(1.0, encoding="piecewise")
    assert chosen({PLAIN: 0.5, usual: 0.495, wide: 0.49}, spread=0.1)[0] == wide


@pytest.mark.parametrize(
    "soft_loss, second, stands, is_met",
    [
        (0.485, 0.46, False, True),  # the first plain net had bad luck
        (0.485, 0.56, True, True),  # the second has worse
        (0.4, 0.3, True, False),  # no luck explains that
    ],
)
def test_choice_that_is_close_meets_two_plain_nets_on_average(
    soft_loss, second, stands, is_met
):
    rng, soft, seeds = np.random.RandomState(0), Settings(0.5), []

    def fit(train, settings, new=None, *, length, seed=None):
        seeds.append(seed)
        noise = 0.1 * rng.standard_normal(400)
        mean = {PLAIN: 0.5, soft: soft_loss}[settings] if seed is None else second
        return Answer(mean + noise - noise.mean()), None

    record = Record()
    race = make_race(fit, known_rows(400), record=record, student=MLPStudent())
    best = race.run(Search((PLAIN, soft), (), PLAIN)).best
    assert best == soft
    assert race.beats_again(best) == stands
    assert seeds == [None, None] + [1] * is_met
    summary = record.as_dict(best)
    models = ["plain student"] * 2 + ["distilled student"] * 2
    assert summary["model"].tolist() == models  # it stays in its place
    assert_allclose(summary["score"][0], (0.5 + second) / 2 if is_met else 0.5)


@pytest.mark.parametrize(
    "first, others, n_met, stands",
    [
        (0.49, [0.49, 0.47], 2, True),  # a standard error on the others together
        (0.46, [0.48, 0.60], 1, True),  # clear on all rows so far
        (0.50, [0.47, 0.60], 1, True),  # clear on the others: it may catch up
        (0.499, [0.495, 0.499], 2, False),  # never clear
        (0.46, [0.498, 0.499], 2, False),  # ahead only where it was chosen
        (0.46, [0.52, 0.40], 1, False),  # behind: the first lead was chance
        (0.52, [0.51, 0.40], 1, False),  # behind from the first
        (0.48, [], 0, True),  # nobody else can say
        (0.499, [], 0, False),
    ],
)
def test_choice_on_few_rows_meets_plain_on_others(first, others, n_met, stands):
    # a difference of .01 is one standard error on each part
    soft = Settings(0.5)

    def race_of(loss):
        def fit(train, settings, new=None, *, length):
            noise = np.tile([0.1, -0.1], 50) * np.sqrt(0.99)
            return Answer({PLAIN: np.full(100, 0.5)}.get(settings, loss + noise)), None

        return make_race(fit, known_rows(100), student=LogisticStudent())

    met = []

    def start(split, *, record, alone):
        again = race_of(split)
        again.record, again.train = record, SimpleNamespace(has_two_labels=lambda: True)
        met.append(again)
        return again

    race = race_of(first)
    choice = race.run(Search((PLAIN, soft), (), PLAIN))
    best = _meet_on_others(race, choice, start, others, None).best
    assert (best == soft) == stands
    assert len(met) == n_met
    summary = race.record.as_dict(best)
    assert set(summary["n_rows"]) == {100 * (1 + n_met)}
    mean = np.mean([first, *others[:n_met]])
    assert_allclose(summary["score"][summary["alpha"] == 0.5][0], mean)


def test_challenger_after_short_trials_has_a_teacher():
    # half-trained nets are no match for plain ones of full length
    wide, soft = Settings(0.0, encoding="piecewise"), Settings(0.5, transfer="near")
    losses = {PLAIN: 0.5, wide: 0.45, soft: 0.6}

    def fit(train, settings, new, *, length):
        return Answer(np.full(100, losses[settings])), None

    search = Search((PLAIN, wide, soft, Settings(1.0)), (), PLAIN)
    losses[Settings(1.0)] = 0.7
    for short, with_finals, expected in [
        (ALWAYS, False, soft), (NEVER, False, wide), (ALWAYS, True, wide),
    ]:  # fmt: skip
        race = make_race(fit, known_rows(100), short=short)
        best = race.run(search, with_finals=with_finals).best
        assert best == wide
        assert race.challenger(best) == race.challenger(PLAIN) == expected


@pytest.mark.parametrize("how", ["no shadow", "one label", "no new rows"])
def test_choice_on_few_rows_stands_where_no_others_can_say(how):
    soft = Settings(0.5, transfer="near")

    def fit(train, settings, new=None, *, length):
        return Answer(np.full(100, 0.4 if settings == soft else 0.5)), None

    def start(split, *, record, alone):
        if how == "no shadow":
            raise NoShadowError
        new = None if how == "no new rows" else "some"
        again = make_race(fit, known_rows(100), new=new, student=LogisticStudent())
        again.train = SimpleNamespace(has_two_labels=lambda: how != "one label")
        return again

    race = make_race(fit, known_rows(100), student=LogisticStudent())
    choice = race.run(Search((PLAIN, soft), (), PLAIN))
    assert _meet_on_others(race, choice, start, ["a split"], None).best == soft


@pytest.mark.parametrize("student", [LogisticStudent(), DecisionTreeClassifier()])
def test_choice_of_a_student_without_luck_stands(student):
    def fit(train, settings, new=None, *, length):
        return Answer(np.full(100, {PLAIN: 0.5}.get(settings, 0.49))), None

    race = make_race(fit, known_rows(100), student=student)
    race.run(Search((PLAIN, Settings(0.5)), (), PLAIN))
    assert race.beats_again(Settings(0.5))


def test_choice_between_equals_goes_to_plain():
    assert chosen({PLAIN: 0.5, Settings(1.0): 0.5})[0] == PLAIN


def test_choice_changes_the_best_along_the_axes():
    tried = []

    def fit(train, settings, new, *, length):
        tried.append((settings.alpha, settings.transfer))
        return Answer(np.full(100, {"near": 0.5, "far": 0.4}[settings.transfer])), None

    search = Search(
        (Settings(0.5, transfer="near"),),
        (("transfer", ("far",)), ("alpha", (1.0,))),
        PLAIN,
    )
    best = run_race(fit, known_rows(100), search).best
    assert tried == [(0.5, "near"), (0.5, "far"), (1.0, "far")]
    assert best == Settings(0.5, transfer="far")


def test_choice_of_a_net_fits_the_best_trial_for_longer():
    near, far = (Settings(0.5, transfer=way) for way in ("near", "far"))
    tried = []

    def fit(train, settings, new, *, length):
        tried.append((settings, length))
        # in a trial both look worse than the plain student
        loss = {PLAIN: 0.5, near: 0.6, far: 0.7}[settings] - 0.3 * (length is not TRIAL)
        return Answer(np.full(100, loss if settings != PLAIN else 0.5)), None

    record = Record()
    search = Search((PLAIN, far, near), (), PLAIN)
    best = run_race(fit, known_rows(100), search, record=record, short=ALWAYS).best
    assert tried == [(PLAIN, TRIAL), (far, TRIAL), (near, TRIAL), (near, FINAL_ROUND)]
    assert best == near
    summary = record.as_dict(best)  # says how it did at last
    loss = summary["score"][summary["chosen"] & (summary["metric"] == "log_loss")]
    assert_allclose(loss, [0.3])


@pytest.mark.parametrize(
    "wide_loss, finalists",
    [(0.4, ["piecewise"]), (0.497, ["", "piecewise"]), (0.6, [""])],
)
def test_choice_fits_both_encodings_for_longer_where_trials_leave_it_open(
    wide_loss, finalists
):
    losses = {Settings(0.5): 0.5, Settings(0.5, encoding="piecewise"): wide_loss}
    rng, longer = np.random.RandomState(0), []

    def fit(train, settings, new, *, length):
        if length is not TRIAL:
            longer.append(settings.encoding)
        noise = 0.1 * rng.standard_normal(400)
        return Answer(losses[settings] + noise - noise.mean()), None

    search = Search(tuple(losses), (), PLAIN)
    run_race(fit, known_rows(400), search, short=ALWAYS, new=None)
    assert longer == finalists


def test_choice_of_a_source_without_rows_is_none():
    tried = []

    def fit(train, settings, new, *, length):
        tried.append((settings, new))
        return Answer(np.full(100, 0.5)), None

    search = Search((Settings(1.0, transfer="near"), Settings(1.0)), (), PLAIN)
    run_race(fit, known_rows(100), search, new=None)
    assert tried == [(Settings(1.0), None)]


# -- temperature of the student, and who labels new rows -------------------------------


def modest_rows(n=2000, seed=0):
    """Rows, and what a student says of them that should be surer by far."""
    rng = np.random.RandomState(seed)
    P = rng.dirichlet([0.4, 0.4], size=n)
    codes = (rng.random_sample(n) < P[:, 1]).astype(int)
    rows = Rows(np.zeros((n, 1)), codes, np.full((n, 2), 0.5))
    return rows, P, temper(P, 3.0)


@pytest.mark.parametrize("tempers", [True, False])
def test_choice_meets_a_student_at_the_temperature_that_fits_it(tempers):
    rows, P, modest = modest_rows()
    plain = 0.5 * (log_loss_rows(P, rows.codes) + log_loss_rows(modest, rows.codes))
    soft = Settings(0.5)

    def fit(train, settings, new, *, length):
        if settings.is_plain:  # between the modest student and the same one tempered
            q = np.exp(-plain)
            Q = np.where(rows.codes[:, None] == [0, 1], q[:, None], 1 - q[:, None])
        else:
            Q = modest
        student = SimpleNamespace(predict_proba=lambda X: Q)
        if tempers:
            student._divide_logits = None
        return student, None

    choice = run_race(fit, rows, Search((PLAIN, soft), (), PLAIN))
    assert choice.best == (soft if tempers else PLAIN)
    expected = pytest.approx(1 / 3, rel=0.15) if tempers else 1.0
    assert choice.finish.temperature == expected


def test_choice_seats_plain_students_that_add_to_the_teacher():
    rows, P, _ = modest_rows()
    rng = np.random.RandomState(1)
    useless = rng.dirichlet([1.0, 1.0], size=len(rows))
    wide = Settings(0.0, encoding="piecewise")
    answers = {PLAIN: P, wide: useless, Settings(0.5): P}

    def fit(train, settings, new, *, length):
        return SimpleNamespace(predict_proba=lambda X: answers[settings]), None

    search = Search((PLAIN, wide, Settings(0.5)), (), PLAIN, has_panel=True)
    seats = run_race(fit, rows, search).seats
    assert set(seats) == {PLAIN}  # the teacher knows nothing, and keeps its half
    assert_allclose(seats[PLAIN], 0.5)
    assert run_race(fit, rows, Search(search.start, (), PLAIN)).seats == {}


# -- on which rows ---------------------------------------------------------------------


def test_held_out_split_is_stratified_and_disjoint():
    codes = np.repeat([0, 1, 2], [400, 90, 10])
    rows = Rows(np.zeros((500, 1)), codes, np.full((500, 3), 1 / 3))
    train, test = held_out_split(rows, 0)
    assert_allclose(np.bincount(codes[test]) / len(test), [0.8, 0.18, 0.02])
    assert np.array_equal(np.sort(np.r_[train, test]), np.arange(500))


def labelled(codes, groups=None):
    """Rows of which only labels matter."""
    n = len(codes)
    return Rows(np.zeros((n, 1)), codes, np.full((n, 3), 1 / 3), groups=groups)


@pytest.mark.parametrize("in_groups", [False, True])
def test_other_splits_hold_out_all_other_rows_once(in_groups):
    codes = np.random.RandomState(0).permutation(np.repeat([0, 1, 2], [400, 99, 1]))
    rows = labelled(codes, np.arange(500) // 5 if in_groups else None)
    split = held_out_split(rows, 0)
    others = other_splits(rows, [], split, 1)
    tests = [split[1], *(test for _, test in others)]
    assert len(others) == 2
    assert np.array_equal(np.sort(np.concatenate(tests)), np.arange(500))
    for train, test in others:
        assert np.array_equal(np.sort(np.r_[train, test]), np.arange(500))
        assert 190 <= len(test) <= 210
        if in_groups:
            assert not set(train // 5) & set(test // 5)
        else:
            assert_allclose(np.bincount(codes[test])[:2] / len(test), [0.8, 0.2], 0.05)


@pytest.mark.parametrize("n_folds, sizes", [(5, [200, 200]), (3, [167, 166]), (2, [])])
def test_other_splits_are_the_teachers_next_folds(n_folds, sizes):
    rows = labelled(np.arange(500) % 2)
    folds = list(KFold(n_folds).split(rows.X))
    folds = own_folds(rows, SimpleNamespace(splits=folds))
    if not folds:  # half of the rows are too few to learn from
        assert n_folds == 2
        return
    others = other_splits(rows, folds, folds[0], 1)
    assert [len(test) for _, test in others] == sizes
    held = np.concatenate([folds[0][1], *(test for _, test in others)])
    assert len(np.unique(held)) == len(held)
    for train, test in others:
        assert not set(train) & set(test)


def test_other_splits_of_folds_that_overlap():
    rows = labelled(np.arange(500) % 2)
    folds = list(ShuffleSplit(5, test_size=0.3, random_state=0).split(rows.X))
    others = other_splits(rows, folds, folds[0], 1)
    held = np.concatenate([folds[0][1], *(test for _, test in others)])
    assert others and len(np.unique(held)) == len(held)
    for train, test in others:
        assert len(test) >= 50 and not set(train) & set(test)


def test_other_splits_of_one_fold_or_group():
    rows = labelled(np.arange(500) % 2)
    fold = held_out_split(rows, 3)
    others = other_splits(rows, [fold], fold, 1)  # of a cv with a single fold
    assert len(others) == 2 and not set(others[0][1]) & set(fold[1])
    rows = labelled(np.arange(500) % 2, np.repeat([0, 1], [400, 100]))
    split = np.arange(400), np.arange(400, 500)
    assert other_splits(rows, [], split, 1) == []


def test_mean_and_se_are_those_of_repeated_rows():
    rng = np.random.RandomState(0)
    values, weight = rng.standard_normal(50), rng.randint(1, 4, size=50)
    mean, _ = mean_and_se(values, weight.astype(float))
    assert_allclose(mean, np.repeat(values, weight).mean())
    _, se = mean_and_se(values)
    assert_allclose(se, values.std(ddof=1) / np.sqrt(50), rtol=1e-12)


def test_summary_has_intervals():
    rng = np.random.RandomState(0)
    P = rng.dirichlet([2.0, 2.0], size=200)
    rows = Rows(np.zeros((200, 1)), rng.randint(2, size=200), P)
    record = Record()
    record.add("teacher", rows, P)
    summary = record.as_dict(PLAIN)
    loss = -np.log(P[np.arange(200), rows.codes])
    half = 1.96 * loss.std(ddof=1) / np.sqrt(200)
    assert_allclose(summary["low"][0], loss.mean() - half, rtol=1e-3)
    assert_allclose(summary["high"][0], loss.mean() + half, rtol=1e-3)

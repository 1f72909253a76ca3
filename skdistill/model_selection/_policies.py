"""Refit policies: which candidate of a search to keep when it has to be cheap too."""

import math
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Context
from itertools import count, takewhile
from numbers import Real
from textwrap import shorten

import numpy as np
from sklearn.metrics import check_scoring

#: Units of the costs whose scorers this package has.
_UNITS = {"latency": " s", "size": " bytes"}

#: A candidate over its budget scores this times the share of the budget that it takes:
#: far below any score that means something, and the less so the nearer the miss.
OVER_BUDGET = -1e6


class BudgetError(ValueError):
    """No candidate of a search fits the budget; the message names the nearest miss.

    A search that ends in an error keeps no results: they are here.

    Attributes
    ----------
    cv_results_ : dict
        Results of the search, for another policy.
    """

    def __init__(self, message, cv_results=None):
        super().__init__(message)
        self.cv_results_ = cv_results


def best_under(*, latency=None, size=None, metric=None, **budgets):
    """Refit policy: the best candidate among those that cost no more than a budget.

    Pass it as ``refit=`` to GridSearchCV or RandomizedSearchCV whose `scoring` has a
    scorer of the name of each budget, negative as scikit-learn wants costs to be; or
    call it on the `cv_results_` of any search.

    Parameters
    ----------
    latency : float, default=None
        Most seconds that one call may take, on average over the folds; of the scorer
        "latency". None sets no limit.

    size : float, default=None
        Most bytes that the model may take, on average over the folds; of the scorer
        "size". None sets no limit.

    metric : str, default=None
        Name of the scorer that should be as large as possible. None means "score"
        where there is one (the name in a search with a single scorer), else the only
        scorer that no budget names.

    **budgets : float
        Further limits, by the name of a scorer that gives the negative of a cost.

    Returns
    -------
    policy : callable
        ``policy(cv_results_)`` gives the index of the candidate. It can be pickled, and
        ``policy.scoring(scorers)`` makes the `scoring` for a halving search.

    Raises
    ------
    ValueError
        If no limit is given, or one is not above zero.

    TypeError
        If a limit is no number.

    See Also
    --------
    cheapest_within : The cheapest candidate among those that are good enough.

    Notes
    -----
    Candidates that failed (a mean that is not finite) are left out. Of candidates with
    equal scores the one that takes the smaller share of its tightest budget is
    kept. Where results come from successive halving, only those of the last iteration
    are compared: earlier ones were fitted on fewer resources.

    If nothing fits, the policy raises a :class:`BudgetError`.

    Examples
    --------
    >>> from skdistill.model_selection import best_under
    >>> policy = best_under(size=1_000, metric="accuracy")
    >>> policy
    best_under(size=1000, metric='accuracy')
    >>> policy(
    ...     {
    ...         "params": [{"leaves": 4}, {"leaves": 16}, {"leaves": 64}],
    ...         "mean_test_accuracy": [0.8, 0.9, 0.95],
    ...         "mean_test_size": [-400, -900, -3000],
    ...     }
    ... )
    1
    """
    limits = {"latency": latency, "size": size, **budgets}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    for name, limit in limits.items():
        _check_number(name, limit, "Give seconds for latency, bytes for size")
        if not limit > 0:
            raise ValueError(
                f"{name} must be above 0, got {limit!r}. Give the most that it may "
                "cost: seconds for latency, bytes for size."
            )
    if not limits:
        raise ValueError(
            "best_under must be given a limit, got none. Pass latency= (seconds), "
            "size= (bytes), or the name of another scorer of a cost."
        )
    return BestUnder(limits, metric)


def cheapest_within(*, tolerance=None, rule="auto", cost="latency", metric=None):
    """Refit policy: the cheapest candidate among those about as good as the best.

    Pass it as ``refit=`` to GridSearchCV or RandomizedSearchCV, or call it on the
    `cv_results_` of any search.

    Parameters
    ----------
    tolerance : float, default=None
        How far the mean score may lie below the best one, in units of the metric.

    rule : {"auto", "1se", "paired"} or None, default="auto"
        "1se" allows one standard error of the best candidate's mean over the folds
        [1]_; "paired" one standard error of the mean difference from the best, fold by
        fold, in which what makes a fold easy or hard for all of them cancels. Beside a
        tolerance, the larger of the two is allowed. None leaves the tolerance alone.
        "auto" means "1se" where no tolerance is given, else None.

    cost : str, default="latency"
        Name of the scorer that gives the negative of the cost, such as "latency" or
        "size".

    metric : str, default=None
        Name of the scorer that should be large. None means "score" where there is one,
        else the only scorer that is neither `cost` nor called "latency" or "size".

    Returns
    -------
    policy : callable
        ``policy(cv_results_)`` gives the index of the candidate. It can be pickled, and
        ``policy.scoring(scorers)`` makes the `scoring` for a halving search.

    Raises
    ------
    ValueError
        If there is neither a tolerance nor a rule, or one of them is not allowed.

    TypeError
        If the tolerance is no number.

    See Also
    --------
    best_under : The best candidate among those that are cheap enough.

    Notes
    -----
    Candidates that failed are left out, and of a halving search all iterations but the
    last. Of equal costs the better score is kept. Folds share training rows, so that
    standard errors over folds are too small rather than too large.

    References
    ----------
    .. [1] Breiman, Friedman, Olshen, Stone, "Classification and regression trees",
       1984, section 3.4.3.

    Examples
    --------
    >>> from skdistill.model_selection import cheapest_within
    >>> policy = cheapest_within(tolerance=0.02, cost="size")
    >>> policy
    cheapest_within(tolerance=0.02, cost='size')
    >>> policy(
    ...     {
    ...         "params": [{"leaves": 4}, {"leaves": 16}, {"leaves": 64}],
    ...         "mean_test_accuracy": [0.8, 0.94, 0.95],
    ...         "mean_test_size": [-400, -900, -3000],
    ...     }
    ... )
    1
    """
    if rule not in ("auto", "1se", "paired", None):
        raise ValueError(
            f"rule must be 'auto', '1se', 'paired' or None, got {rule!r}. Use 'auto' "
            "for one standard error where there is no tolerance."
        )
    if tolerance is None and rule is None:
        raise ValueError(
            "cheapest_within must be given a tolerance or a rule, got None for both. "
            "Pass tolerance=0.0 to allow no loss at all."
        )
    if tolerance is not None:
        _check_number("tolerance", tolerance, "It is a difference of mean scores")
        if not tolerance >= 0:
            raise ValueError(
                f"tolerance must not be below 0, got {tolerance!r}. Give the loss that "
                "is allowed, such as 0.005 for half a point of accuracy."
            )
    if rule == "auto":
        rule = "1se" if tolerance is None else None
    return CheapestWithin(tolerance, rule, cost, metric)


# -- the policies ----------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class RefitPolicy:
    """Base of the policies: finds columns by the names of scorers."""

    def scoring(self, scorers):
        """Put scorers together for a search that takes but one: successive halving.

        HalvingGridSearchCV takes a single `scoring`, lets it alone decide who goes on,
        and never calls a callable `refit`. The scorer made here gives all scores at
        once; the one called "score", by which halving goes, is that of the metric,
        but far below zero where a fold is over a budget of this policy. So what fits
        is not dropped for what does not, and the search ends with the best that fits.

        Parameters
        ----------
        scorers : dict
            Scorers by name, among them the metric and the costs of this policy.

        Returns
        -------
        scoring : callable
            (estimator, X, y, **params) -> dict of scores; it passes on the metadata
            requests of the scorers.
        """
        if "score" in scorers:
            raise ValueError(
                "scorers must not have one called 'score', the name by which halving "
                f"goes, got {sorted(scorers)!r}. Give it another name."
            )
        metric = _find_metric(scorers, self.metric, self._costs)
        for name in (metric, *self._costs):
            _require_scorer(name, list(scorers))
        return PolicyScoring(self, metric, check_scoring(None, scoring=dict(scorers)))

    def _share(self, costs):
        """Share of the tightest budget that each candidate takes."""
        return np.zeros_like(next(iter(costs.values())))


@dataclass(frozen=True, repr=False)
class BestUnder(RefitPolicy):
    """What :func:`best_under` gives."""

    budgets: dict
    metric: str | None = None

    @property
    def _costs(self):
        return tuple(self.budgets)

    def __repr__(self):
        return _call("best_under", **self.budgets, metric=self.metric)

    def __call__(self, cv_results):
        """Index of the candidate to refit.

        Parameters
        ----------
        cv_results : dict
            The `cv_results_` of a search.

        Returns
        -------
        index : int

        Raises
        ------
        BudgetError
            If no candidate fits.

        ValueError
            If a scorer is missing, its costs are positive, or all candidates failed.
        """
        table = _Candidates.of(cv_results, self.metric, self._costs)
        share = self._share(table.costs)
        fits = share <= 1
        if not fits[table.comparable].any():
            raise BudgetError(self._nearest_miss(table, share, cv_results), cv_results)
        return table.first(fits, -table.score, share)

    def _share(self, costs):
        return np.max([costs[name] / b for name, b in self.budgets.items()], axis=0)

    def _nearest_miss(self, table, share, cv_results):
        nearest = table.first(np.ones(len(share), dtype=bool), share, -table.score)
        limits, over, fitting, relaxed = [], [], [], []
        for name, limit in self.budgets.items():
            cost = table.costs[name][nearest]
            limits.append(f"{name} <= {_amount(name, limit)}")
            if cost > limit:
                over.append(f"{name} {_amount(name, cost)} is {_excess(cost / limit)}")
                relaxed.append(f"{name}={_round_up(cost):g}")
            else:
                fitting.append(f"{name} {_amount(name, cost)} fits")
        params = _params_text(cv_results["params"][nearest])
        text = (
            f"No candidate is within {' and '.join(limits)}. The nearest of "
            f"{table.comparable.sum()} is candidate {nearest}, {params}: "
            f"{', '.join(over + fitting)}; its {table.metric} is "
            f"{table.score[nearest]:.4g}. Relax to {', '.join(relaxed)}, or add "
            "cheaper candidates. The results are in cv_results_ of this error."
        )
        n_dropped = int(np.count_nonzero((share <= 1) & table.earlier))
        if n_dropped:
            text += (
                f" {n_dropped} of earlier iterations would fit, but halving dropped "
                "them by their score: pass scoring=policy.scoring(scorers)."
            )
        return text


@dataclass(frozen=True, repr=False)
class CheapestWithin(RefitPolicy):
    """What :func:`cheapest_within` gives."""

    tolerance: float | None
    rule: str | None
    cost: str = "latency"
    metric: str | None = None

    @property
    def _costs(self):
        return (self.cost,)

    def __repr__(self):
        return _call("cheapest_within", **vars(self))

    def __call__(self, cv_results):
        """Index of the candidate to refit.

        Parameters
        ----------
        cv_results : dict
            The `cv_results_` of a search.

        Returns
        -------
        index : int

        Raises
        ------
        ValueError
            If a scorer is missing, its costs are positive, all candidates failed, or
            there are too few folds for a standard error.
        """
        table = _Candidates.of(cv_results, self.metric, self._costs)
        best = table.first(table.comparable, -table.score, table.costs[self.cost])
        loss = table.score[best] - table.score
        near = loss <= self._allowed(cv_results, table.metric, best)
        return table.first(near, table.costs[self.cost], -table.score)

    def _allowed(self, cv_results, metric, best):
        """Loss that each candidate may show."""
        tolerance = self.tolerance or 0.0
        if self.rule is None:
            return tolerance
        folds = _folds(cv_results, metric)
        if self.rule == "paired":
            folds = folds[best] - folds
        # ddof=1: the folds are a sample. std_test_* of scikit-learn is not.
        error = folds.std(axis=1, ddof=1) / math.sqrt(folds.shape[1])
        return np.maximum(tolerance, error if self.rule == "paired" else error[best])


@dataclass(frozen=True)
class PolicyScoring:
    """What ``policy.scoring(scorers)`` gives."""

    policy: RefitPolicy
    metric: str
    scorer: object = field(repr=False)

    def __call__(self, estimator, X, y=None, **params):
        """Scores of a fitted estimator, by name; "score" minds the budgets."""
        scores = self.scorer(estimator, X, y, **params)
        costs = {name: np.array(-scores[name]) for name in self.policy._costs}
        share = float(self.policy._share(costs))
        score = scores[self.metric] if share <= 1 else OVER_BUDGET * share
        return {**scores, "score": score}

    def get_metadata_routing(self):
        """Requests of the scorers.

        Returns
        -------
        routing : MetadataRouter
        """
        return self.scorer.get_metadata_routing()

    def _accept_sample_weight(self):
        # Asked by searches of scikit-learn >= 1.8, as of any other scorer.
        return self.scorer._accept_sample_weight()


# -- reading cv_results_ ---------------------------------------------------------------


@dataclass(frozen=True)
class _Candidates:
    """Mean scores and costs of all candidates, and which of them may be compared."""

    metric: str
    score: np.ndarray  # (n_candidates,)
    costs: dict  # name -> ndarray (n_candidates,), positive
    comparable: np.ndarray  # mask: finite, and of the last iteration
    earlier: np.ndarray  # mask: finite, and of an earlier iteration

    @classmethod
    def of(cls, cv_results, metric, costs):
        """Read the columns of a search."""
        metric = _find_metric(_scorer_names(cv_results), metric, costs)
        score = _column(cv_results, metric)
        costs = {name: -_column(cv_results, name) for name in costs}
        for name, values in costs.items():
            if (values < 0).any():
                raise ValueError(
                    f"The scorer {name!r} must give the negative of a cost, got "
                    f"{float(-values.min())!r}. Use those of skdistill.metrics, or "
                    "make_scorer(..., greater_is_better=False)."
                )
        finite = np.isfinite([score, *costs.values()]).all(axis=0)
        iteration = np.asarray(cv_results.get("iter", np.zeros(len(score))))
        last = iteration == iteration.max()
        if not (finite & last).any():
            names = ", ".join([metric, *costs])
            raise ValueError(
                f"At least one candidate must have finite scores ({names}), got none "
                f"of {last.sum()}. Set error_score='raise' to see what fails."
            )
        return cls(metric, score, costs, finite & last, finite & ~last)

    def first(self, mask, *keys):
        """Position of the smallest keys, compared in turn, then of the first."""
        at = np.flatnonzero(mask & self.comparable)
        return int(at[np.lexsort([key[at] for key in reversed(keys)])[0]])


def _scorer_names(cv_results):
    prefix = "mean_test_"
    return [key.removeprefix(prefix) for key in cv_results if key.startswith(prefix)]


def _column(cv_results, name):
    """Mean scores of a scorer."""
    _require_scorer(name, _scorer_names(cv_results))
    return np.asarray(cv_results[f"mean_test_{name}"], dtype=np.float64)


def _require_scorer(name, names):
    if name not in names:
        raise ValueError(
            f"scoring must have a scorer called {name!r}, got {names!r}. Add it to the "
            "dict of scorers of the search, or name another."
        )


def _folds(cv_results, metric):
    """Scores of shape (n_candidates, n_folds)."""
    names = (f"split{i}_test_{metric}" for i in count())
    columns = [cv_results[name] for name in takewhile(cv_results.__contains__, names)]
    if len(columns) < 2:
        raise ValueError(
            f"cv must have at least 2 folds for a standard error, got {len(columns)}. "
            "Use more folds, or a tolerance with rule=None."
        )
    return np.column_stack(columns).astype(np.float64)


def _find_metric(names, metric, costs):
    """Name of the scorer to maximise."""
    names = list(names)
    if metric is not None:
        return metric
    if "score" in names:
        return "score"
    left = [name for name in names if name not in {*costs, *_UNITS}]
    if len(left) != 1:
        raise ValueError(
            f"metric must name one of {left!r}, got None. Say which of them should be "
            "large."
        )
    return left[0]


# -- words -----------------------------------------------------------------------------


def _check_number(name, value, hint):
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}. {hint}.")


def _params_text(params):
    """Parameters of a candidate, each on one line and cut short."""
    return ", ".join(
        f"{name}={shorten(repr(value), 80, placeholder=' ...')}"
        for name, value in params.items()
    )


def _amount(name, value):
    number = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return number + _UNITS.get(name, "")


def _excess(ratio):
    if ratio >= 2:
        return f"{ratio:.3g} times the limit"
    return f"{100 * (ratio - 1):.3g} % over"


def _round_up(value):
    """Round up to two digits, so that the figure can be passed on."""
    two_digits = Context(prec=2, rounding=ROUND_CEILING)
    return float(two_digits.create_decimal(repr(float(value))))


def _call(name, **params):
    """How the call is written that makes a policy."""
    given = [f"{key}={value!r}" for key, value in params.items() if value is not None]
    return f"{name}({', '.join(given)})"

"""What the routes learn: a perfect teacher, and exactness."""

import warnings

import numpy as np
import pytest
import sklearn
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
)
from sklearn.naive_bayes import (
    GaussianNB,
    MultinomialNB,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
)
from sklearn.utils.fixes import parse_version

from skdistill.soft_targets import kl_rows, one_hot, temper
from skdistill.students import (
    LogisticStudent,
    MLPStudent,
    NGramStudent,
    can_temper,
    divide_logits,
    fit_student,
)
from skdistill.students._routes import fit_expanded
from skdistill.students._rows import Rows

with warnings.catch_warnings():
    # They import matplotlib, whose older releases use deprecated names of pyparsing.
    warnings.simplefilter("ignore")
    import catboost
    import lightgbm
    import xgboost

HAS_MLP_WEIGHTS = parse_version(sklearn.__version__) >= parse_version("1.7")

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    # LightGBM's own, under some releases of scikit-learn
    "ignore:X does not have valid feature names:UserWarning",
    "ignore:'force_all_finite' was renamed:FutureWarning",
    "ignore:The .* classes from which it inherits use `_get_tags`:FutureWarning",
)


def linear_truth(n_samples, n_classes, *, n_features=6, seed=0, scale=1.0):
    """Rows, and the true posterior of a linear model."""
    W = scale * np.random.RandomState(99).normal(size=(n_features, n_classes))
    X = np.random.RandomState(seed).normal(size=(n_samples, n_features))
    return X, softmax(X @ W, axis=1)


def labels_of(n_classes):
    return np.array(["no", "yes"]) if n_classes == 2 else np.array(list("abcdefgh"))[:4]


def weights_of(n_samples, seed=1):
    return np.random.RandomState(seed).uniform(0.5, 2.0, n_samples)


def LightGBM(**params):
    return lightgbm.LGBMClassifier(
        **{"n_estimators": 15, "n_jobs": 1, "verbose": -1} | params
    )


def XGBoost(**params):
    return xgboost.XGBClassifier(**{"n_estimators": 15, "n_jobs": 1} | params)


def CatBoost(**params):
    quiet = {"verbose": 0, "allow_writing_files": False, "thread_count": 1}
    return catboost.CatBoostClassifier(**quiet | {"n_estimators": 15} | params)


def name_of(value):
    return type(value).__name__ if hasattr(value, "fit") else str(value)


# -- quality: a perfect teacher --------------------------------------------------------


@pytest.mark.parametrize(
    "student",
    [
        HistGradientBoostingClassifier(),
        HistGradientBoostingClassifier(early_stopping=False),
        LightGBM(n_estimators=100),
        XGBoost(n_estimators=100),
        CatBoost(n_estimators=200),
    ],
    ids=name_of,
)
def test_fit_student_boosting_reaches_perfect_teacher(student):
    X, P = linear_truth(12_000, 4)
    X_new, P_new = linear_truth(4_000, 4, seed=1)
    fitted, _ = fit_student(student, X, P, classes=labels_of(4), random_state=0)
    assert kl_rows(P_new, fitted.predict_proba(X_new)).mean() <= 0.03


@pytest.mark.parametrize("n_leaves", [16, 64])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_fit_student_tree_is_as_good_as_regressor(n_classes, n_leaves):
    X, P = linear_truth(12_000, n_classes)
    X_new, P_new = linear_truth(4_000, n_classes, seed=1)
    tree = DecisionTreeClassifier(max_leaf_nodes=n_leaves)
    fitted, _ = fit_student(tree, X, P, classes=labels_of(n_classes), random_state=0)
    direct = DecisionTreeRegressor(max_leaf_nodes=n_leaves, random_state=0).fit(X, P)
    ours = kl_rows(P_new, fitted.predict_proba(X_new)).mean()
    theirs = kl_rows(P_new, direct.predict(X_new)).mean()
    assert ours <= theirs + 1e-9


# -- exactness -------------------------------------------------------------------------


def soft_logistic(X, P, weight, C):
    """Minimise the soft loss itself, by L-BFGS on n rows: coefficients (K, d + 1)."""
    n_classes, n_features = P.shape[1], X.shape[1]
    A = np.column_stack([X, np.ones(len(X))])

    def objective(w):
        W = w.reshape(n_classes, n_features + 1)
        Z = A @ W.T
        loss = -(weight[:, None] * P * log_softmax(Z, axis=1)).sum()
        slope = (weight[:, None] * (softmax(Z, axis=1) - P)).T @ A
        loss += 0.5 / C * (W[:, :-1] ** 2).sum()
        slope[:, :-1] += W[:, :-1] / C
        return loss, slope.ravel()

    start = np.zeros(n_classes * (n_features + 1))
    options = {"maxiter": 5000, "gtol": 1e-9, "ftol": 1e-15, "maxfun": 20_000}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    W = found.x.reshape(n_classes, -1)
    return lambda X: softmax(X @ W[:, :-1].T + W[:, -1], axis=1)


@pytest.mark.parametrize("weighted", [False, True])
def test_fit_expanded_logistic_equals_soft_loss(weighted):
    X, P = linear_truth(600, 4)
    weight = weights_of(600) if weighted else np.ones(600)
    direct = soft_logistic(X, P, weight, C=0.3)
    student = LogisticRegression(C=0.3, tol=1e-10, max_iter=5000)
    fitted, n_fed = fit_expanded(
        student,
        Rows(X, P, weight),
        classes=labels_of(4),
        validation=None,
        rng=np.random.RandomState(0),
        tolerance=0.0,
    )
    assert n_fed == 4 * 600
    np.testing.assert_allclose(fitted.predict_proba(X), direct(X), atol=2e-6)


def test_fit_student_truncation_costs_little():
    X, P = linear_truth(600, 4)
    direct = soft_logistic(X, P, np.ones(600), C=1.0)
    fitted, feed = fit_student(LogisticRegression(), X, P, classes=labels_of(4))
    assert feed.n_rows_fed < 4 * 600
    assert kl_rows(direct(X), fitted.predict_proba(X)).mean() < 1e-3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(
    "params",
    [
        {"max_depth": 5},
        {"max_leaf_nodes": 20},
        {"max_depth": 5, "min_impurity_decrease": 0.01},
        {"max_depth": 6, "ccp_alpha": 0.004},
    ],
    ids=str,
)
def test_fit_student_tree_equals_weighted_classifier(params, n_classes, weighted):
    X, P = linear_truth(400, n_classes)
    weight = weights_of(400) if weighted else np.ones(400)
    fitted, _ = fit_student(
        DecisionTreeClassifier(random_state=0, **params),
        X,
        P,
        classes=labels_of(n_classes),
        sample_weight=weight,
    )
    # independently: each class of each row with its probability as the weight
    copies = DecisionTreeClassifier(random_state=0, **params).fit(
        np.repeat(X, n_classes, axis=0),
        np.tile(labels_of(n_classes), 400),
        sample_weight=(P * weight[:, None]).ravel(),
    )
    assert copies.get_n_leaves() > 3
    np.testing.assert_allclose(
        fitted.predict_proba(X), copies.predict_proba(X), atol=1e-12
    )


def test_fit_student_forest_keeps_max_features_and_seed():
    X, P = linear_truth(400, 4)
    forest = RandomForestClassifier(4, max_depth=4, random_state=3)
    fitted, _ = fit_student(forest, X, P, classes=labels_of(4))
    inner = fitted.estimator_
    assert (inner.max_features, inner.random_state) == ("sqrt", 3)
    direct = RandomForestRegressor(4, max_depth=4, random_state=3, max_features="sqrt")
    np.testing.assert_allclose(
        fitted.predict_proba(X), direct.fit(X, P).predict(X), atol=1e-12
    )


def test_fit_student_gaussian_nb_equals_soft_moments():
    X, P = linear_truth(400, 4)
    weight = weights_of(400)
    fitted, _ = fit_expanded(
        GaussianNB(),
        Rows(X, P, weight),
        classes=labels_of(4),
        validation=None,
        rng=None,
        tolerance=0.0,
    )
    W = P * weight[:, None]
    mass = W.sum(axis=0)
    mean = W.T @ X / mass[:, None]
    var = np.stack([W[:, k] @ (X - mean[k]) ** 2 / mass[k] for k in range(4)])
    np.testing.assert_allclose(fitted.theta_, mean, atol=1e-12)
    np.testing.assert_allclose(fitted.var_ - fitted.epsilon_, var, atol=1e-12)
    np.testing.assert_allclose(fitted.class_prior_, mass / mass.sum(), atol=1e-12)


def test_fit_student_multinomial_nb_equals_soft_counts():
    X, P = linear_truth(400, 4)
    counts = np.round(np.exp(X)).astype(int)
    fitted, _ = fit_expanded(
        MultinomialNB(),
        Rows(counts, P),
        classes=labels_of(4),
        validation=None,
        rng=None,
        tolerance=0.0,
    )
    np.testing.assert_allclose(fitted.feature_count_, P.T @ counts, rtol=1e-12)


def test_fit_student_tree_keeps_monotonic_constraints():
    X, P = linear_truth(400, 2)
    P = P[:, ::-1] if np.corrcoef(X[:, 0], P[:, 1])[0, 1] > 0 else P
    grid = np.tile(X[:50], (20, 1))
    grid[:, 0] = np.repeat(np.linspace(-3, 3, 20), 50)
    rises = {}
    for constraint in (None, [1, 0, 0, 0, 0, 0]):
        tree = DecisionTreeClassifier(
            max_depth=6, monotonic_cst=constraint, random_state=0
        )
        fitted, _ = fit_student(tree, X, P, classes=labels_of(2))
        Q = fitted.predict_proba(grid)[:, 1].reshape(20, 50)
        rises[constraint is None] = (np.diff(Q, axis=0) >= -1e-12).all()
    assert rises == {True: False, False: True}


def test_fit_student_subclass_of_a_tree_is_fed_as_it_is():
    class Mine(DecisionTreeClassifier):
        """Whatever it changes, it is fitted and not its base's regressor."""

    X, P = linear_truth(200, 4)
    fitted, feed = fit_student(Mine(max_depth=3), X, P, classes=labels_of(4))
    assert (feed.route, feed.estimator) == ("expand", "Mine")
    assert isinstance(fitted, Mine)


def nine_to_one():
    """Rows with targets (.9, .1), and the same as ten labels a row."""
    X, P = linear_truth(400, 2)
    y = P.argmax(axis=1)
    P = 0.8 * one_hot(y, 2) + 0.1
    wrong = np.tile(np.arange(10) == 0, 400)
    at = np.repeat(np.arange(400), 10)
    return X, P, X[at], np.where(wrong, 1 - y[at], y[at])


def test_fit_student_sgd_keeps_its_penalty():
    # its objective is that of LogisticRegression with C = 1 / (alpha n)
    X, P, X_ten, y_ten = nine_to_one()
    sgd = SGDClassifier(
        loss="log_loss", alpha=0.1, average=True, max_iter=200, tol=None, random_state=0
    )
    fitted, _ = fit_student(sgd, X, P, classes=np.arange(2))
    exact = LogisticRegression(C=1 / (0.1 * len(X_ten)), tol=1e-8).fit(X_ten, y_ten)
    np.testing.assert_allclose(
        fitted.predict_proba(X), exact.predict_proba(X), atol=0.005
    )


@pytest.mark.skipif(not HAS_MLP_WEIGHTS, reason="weights since 1.7")
@pytest.mark.parametrize(("solver", "factor"), [("lbfgs", 10.0), ("adam", 1.0)])
def test_fit_student_mlp_keeps_its_penalty(solver, factor):
    # the penalty of one step is divided by its rows: all of them, or a batch
    X, P, X_ten, y_ten = nine_to_one()
    net = MLPClassifier(
        (4,),
        activation="identity",
        solver=solver,
        alpha=20.0,
        learning_rate_init=0.005,
        max_iter=150,
        tol=0,
        n_iter_no_change=400,
        random_state=0,
    )
    fitted, _ = fit_student(clone(net), X, P, classes=np.arange(2))
    plain = net.set_params(alpha=factor * 20.0).fit(X_ten, y_ten)
    np.testing.assert_allclose(
        fitted.predict_proba(X), plain.predict_proba(X), atol=0.03
    )


def test_fit_student_class_weight_multiplies_copies():
    X, P = linear_truth(400, 4)
    classes = labels_of(4)
    by_label = dict(zip(classes.tolist(), [1.0, 2.0, 0.5, 3.0], strict=True))
    factor = np.array(list(by_label.values()))
    for kind in (DecisionTreeClassifier, LightGBM):
        fitted, _ = fit_student(
            kind(max_depth=4, class_weight=by_label, random_state=0),
            X,
            P,
            classes=classes,
        )
        Q = P * factor
        direct, _ = fit_student(
            kind(max_depth=4, random_state=0),
            X,
            Q / Q.sum(axis=1, keepdims=True),
            classes=classes,
            sample_weight=Q.sum(axis=1),
        )
        np.testing.assert_allclose(
            fitted.predict_proba(X), direct.predict_proba(X), atol=1e-12
        )


def test_fit_student_balanced_counts_probabilities():
    X, P = linear_truth(600, 4)
    P = P * [10, 1, 1, 1]
    P /= P.sum(axis=1, keepdims=True)
    fitted, _ = fit_student(
        LogisticRegression(class_weight="balanced"), X, P, classes=labels_of(4)
    )
    assert fitted.class_weight == "balanced"  # given back after the fit
    # balanced classes: the weighted mean answer is uniform, as an intercept makes it
    factor = 1 / P.sum(axis=0)
    share = (P * factor).sum(axis=1) @ fitted.predict_proba(X)
    np.testing.assert_allclose(share / share.sum(), 0.25, atol=0.01)


def test_fit_student_twin_gives_the_same_decision_as_class_columns_move():
    X, P = linear_truth(500, 4)
    classes = labels_of(4)
    order = np.array([2, 0, 3, 1])
    for student in (
        DecisionTreeClassifier(max_depth=4, random_state=0),
        LogisticRegression(tol=1e-9, max_iter=2000),
        GaussianNB(),
        Ridge(),
        KNeighborsClassifier(),
    ):
        first, _ = fit_student(clone(student), X, P, classes=classes, random_state=0)
        # the same labels under other names, so that sorting moves the columns
        renamed, _ = fit_student(
            clone(student), X, P[:, order], classes=np.arange(4), random_state=0
        )
        np.testing.assert_allclose(
            renamed.predict_proba(X), first.predict_proba(X)[:, order], atol=1e-6
        )


@pytest.mark.parametrize(
    "student",
    [
        DecisionTreeClassifier(max_depth=4),
        DecisionTreeClassifier(criterion="entropy", max_depth=4),
        GaussianNB(),
        LinearRegression(),
    ],
    ids=name_of,
)
def test_fit_student_scale_of_weights_does_not_matter(student):
    X, P = linear_truth(300, 4)
    weight = weights_of(300)
    Q = [
        fit_student(
            clone(student),
            X,
            P,
            classes=labels_of(4),
            sample_weight=factor * weight,
            random_state=0,
        )[0].predict_proba(X)
        for factor in (1.0, 64.0)
    ]
    np.testing.assert_allclose(Q[0], Q[1], atol=1e-9)


@pytest.mark.parametrize(
    ("student", "targets"),
    [
        (LogisticRegression(), "auto"),
        (DecisionTreeClassifier(max_depth=3), "auto"),
        (HistGradientBoostingClassifier(max_iter=5), "auto"),
        (Ridge(), "auto"),
        (GaussianNB(), "sample"),
        (LightGBM(), "auto"),
    ],
    ids=name_of,
)
def test_fit_student_drops_rows_of_weight_zero(student, targets):
    X, P = linear_truth(300, 4)
    weight = weights_of(300)
    weight[::3] = 0
    kept = weight > 0
    common = {"classes": labels_of(4), "targets": targets, "random_state": 0}
    spoilt = np.where(kept[:, None], X, 1e6)
    some, feed = fit_student(clone(student), spoilt, P, sample_weight=weight, **common)
    only, _ = fit_student(
        clone(student), X[kept], P[kept], sample_weight=weight[kept], **common
    )
    assert feed.n_rows == kept.sum()
    np.testing.assert_allclose(some.predict_proba(X), only.predict_proba(X), atol=1e-12)


# -- temperature -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "student",
    [
        LogisticRegression(C=1e4, max_iter=1000),
        Ridge(),
        make_pipeline(StandardScaler(), LogisticRegression(C=1e4, max_iter=1000)),
    ],
    ids=name_of,
)
@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_fit_student_answers_at_temperature_one(student, temperature):
    X, P = linear_truth(3_000, 4)
    fitted, _ = fit_student(
        clone(student),
        X,
        P,
        classes=labels_of(4),
        temperature=temperature,
        random_state=0,
    )
    assert kl_rows(P, fitted.predict_proba(X)).mean() < 0.03
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, atol=1e-9)


def test_fit_student_infinite_temperature_teaches_uniform_targets():
    X, P = linear_truth(500, 4)
    fitted, _ = fit_student(
        DecisionTreeClassifier(max_depth=3), X, P, classes=labels_of(4), temperature=1e9
    )
    # the targets went uniform; the answer's power cannot bring back what they lost
    inside = fitted.estimator_.predict(X)
    np.testing.assert_allclose(inside, 0.25, atol=1e-7)
    np.testing.assert_allclose(temper(P, 1e9), 0.25, atol=1e-7)


def texts_of(X):
    return [" ".join(f"w{j}{int(v > 0)}" for j, v in enumerate(row)) for row in X]


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(
    "student",
    [
        MLPStudent((8,), max_steps=50, random_state=0),
        make_pipeline(StandardScaler(), MLPStudent((), max_steps=50, random_state=0)),
        NGramStudent(max_steps=50, random_state=0),
        MLPClassifier((8,), max_iter=5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
        make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5)),
        LightGBM(n_estimators=5),
        make_pipeline(StandardScaler(), XGBoost(n_estimators=5)),
        CatBoost(n_estimators=5),
    ],
)
def test_divide_logits_is_a_temperature_of_the_answers(student, n_classes):
    X, P = linear_truth(300, n_classes)
    y = P.argmax(axis=1)
    X = texts_of(X) if isinstance(student, NGramStudent) else X
    student = clone(student).fit(X, y)
    before, labels = student.predict_proba(X), np.ravel(student.predict(X))
    assert can_temper(student) and not can_temper(LogisticStudent())
    assert not can_temper(HistGradientBoostingRegressor())
    student = divide_logits(student, 2.0)
    np.testing.assert_allclose(
        student.predict_proba(X), temper(before, 2.0), rtol=1e-5, atol=1e-9
    )
    np.testing.assert_array_equal(student.predict(X), labels)
    one = X[:1]  # and the quick way of one row
    np.testing.assert_allclose(
        student.predict_proba(one), temper(before[:1], 2.0), rtol=1e-5, atol=1e-9
    )

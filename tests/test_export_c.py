import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris, make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from benchmarks.datasets import load
from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.deploy import export_c
from skdistill.deploy._c import _export, _names, _proof, _reference
from skdistill.deploy._c._probes import draw_rows, hostile_rows
from skdistill.deploy._c._program import Trees
from skdistill.deploy._c._quantize import quantize_net, quantize_trees
from skdistill.deploy._c._read import code_of, read_model

STRICT = (
    "-std=c99 -pedantic -Wall -Wextra -Werror -Wconversion -Wshadow -Wdouble-promotion "
    "-Wstrict-prototypes -Wcast-qual -Wundef -trigraphs"
).split()

#: Core, its flags, and the board that is emulated.
CORES = {
    "cortex-m0": ([], "microbit"),
    "cortex-m4": (["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"], "mps2-an386"),
}

BOARD = """
MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 256K
         RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 16K }
SECTIONS {
  .text : { KEEP(*(.vectors)) KEEP(*(.init)) *(.text*) KEEP(*(.fini)) *(.rodata*)
            . = ALIGN(4); KEEP(*(.eh_frame*)) } > FLASH
  .ARM.exidx : { *(.ARM.exidx*) } > FLASH
  .arrays : { __preinit_array_start = .; __preinit_array_end = .;
    __init_array_start = .; KEEP(*(.init_array*)) __init_array_end = .;
    __fini_array_start = .; KEEP(*(.fini_array*)) __fini_array_end = .; } > FLASH
  .data : { *(.data*) } > RAM
  .bss : { __bss_start__ = .; *(.bss*) *(COMMON) __bss_end__ = .; end = .;
           __end__ = .; } > RAM
}
"""

#: The vector table, and the FPU switched on before newlib starts.
START = """
extern void _start(void);
static void reset(void)
{
#ifdef __ARM_FP
    *(volatile unsigned *)0xE000ED88u |= 0xFu << 20;
#endif
    _start();
}
__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    (void *)0x20004000, (void *)reset};
"""


def needs(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


needs_a_compiler = pytest.mark.skipif(
    _proof.find_compiler() is None, reason="no C compiler is installed"
)


def run_c(path, name, rows, n_classes, folder):
    return _proof.compile_and_run(
        _proof.find_compiler(), path.read_text(), name, rows, n_classes, folder
    )


# -- students --------------------------------------------------------------------------


def table(n_classes=3, n_samples=400, *, missing=False, random_state=0):
    X, y = make_classification(
        n_samples,
        6,
        n_informative=4,
        n_classes=n_classes,
        n_clusters_per_class=1,
        random_state=random_state,
    )
    X = X * [1, 10, 1e-3, 1, 1e4, 1] + [0, 100, 0, 5, -1e5, 0]
    X[:, 5] = np.round(X[:, 5])
    if missing:
        X[np.random.RandomState(1).uniform(size=X.shape) < 0.05] = np.nan
        X[:, 3] = np.where(np.isnan(X[:, 3]), 0.0, X[:, 3])
    return X, y


def frame(n_samples=300):
    pd = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    color = rng.choice(
        ["red", "green", "blue", None], n_samples, p=[0.4, 0.3, 0.2, 0.1]
    )
    size = rng.choice([f"s{i}" for i in range(12)], n_samples)
    weight = rng.standard_normal(n_samples)
    weight[:20] = np.nan
    X = pd.DataFrame(
        {"weight": weight, "color": color, "size": size, "n": rng.poisson(3, n_samples)}
    )
    y = (np.nan_to_num(weight) + (color == "red") + (size < "s3") > 0.7).astype(int)
    return X, y


def soft(X, y):
    forest = RandomForestClassifier(20, min_samples_leaf=5, random_state=0)
    return forest.fit(np.nan_to_num(X), y).predict_proba(np.nan_to_num(X))


def distilled(student, X, y, **settings):
    settings = {"alpha": 1.0, "transfer": None, "random_state": 0} | settings
    return DistilledClassifier(None, student, **settings).fit(
        X, y, soft_targets=soft(X, y)
    )


def mlp(**settings):
    settings = {"hidden_layer_sizes": (8, 5), "max_steps": 60} | settings
    return MLPStudent(random_state=0, **settings)


def net_students():
    X, y = table()
    with_missing = table(missing=True)[0]
    two = table(2)
    labels = np.array(["no", "yes"])[two[1]]
    return {
        "mlp": (mlp().fit(X, y), X),
        "mlp, missing": (mlp().fit(with_missing, y), with_missing),
        "mlp, two classes": (mlp().fit(two[0], labels), two[0]),
        "mlp, no hidden layer": (mlp(hidden_layer_sizes=()).fit(X, y), X),
        "mlp, bins": (mlp(encoding="piecewise").fit(with_missing, y), with_missing),
        "mlp, tanh": (mlp(activation="tanh").fit(X, y), X),
        "mlp, logistic": (mlp(activation="logistic").fit(X, y), X),
        "mlp, identity": (mlp(activation="identity").fit(X, y), X),
        "logistic": (LogisticStudent().fit(with_missing, y), with_missing),
        "logistic, two classes": (LogisticStudent().fit(two[0], labels), two[0]),
        "logistic, bins": (LogisticStudent(encoding="piecewise").fit(X, y), X),
        "pipeline": (make_pipeline(StandardScaler(), mlp()).fit(X, y), X),
        "pipeline, bins": (
            make_pipeline(
                MinMaxScaler((-1, 3)), RobustScaler(), mlp(encoding="piecewise")
            ).fit(X, y),
            X,
        ),
        "pipeline, logistic": (
            make_pipeline(MaxAbsScaler(), "passthrough", LogisticStudent()).fit(X, y),
            X,
        ),
        "distilled": (distilled(mlp(), X, y), X),
        "frozen": (FrozenEstimator(mlp().fit(X, y)), X),
    }


def tree_students():
    X, y = table()
    with_missing = table(missing=True)[0]
    two = table(2)
    return {
        "tree": (DecisionTreeClassifier(min_samples_leaf=3).fit(X, y), X),
        "tree, missing": (
            DecisionTreeClassifier(random_state=0).fit(with_missing, y),
            with_missing,
        ),
        "stump": (DecisionTreeClassifier().fit(np.zeros((6, 2)), [0, 1] * 3), X[:, :2]),
        "forest": (RandomForestClassifier(7, max_depth=5, random_state=0).fit(X, y), X),
        "extra trees": (
            ExtraTreesClassifier(5, max_depth=6, random_state=0).fit(X, y),
            X,
        ),
        "pipeline": (
            make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)).fit(
                X, y
            ),
            X,
        ),
        "regressor": (
            distilled(DecisionTreeRegressor(max_depth=5), X, y, targets="regress"),
            X,
        ),
        "regressors": (
            distilled(
                RandomForestRegressor(5, max_depth=5, random_state=0),
                X,
                y,
                targets="regress",
            ),
            X,
        ),
        "two classes": (
            distilled(DecisionTreeRegressor(max_depth=4), *two, targets="regress"),
            two[0],
        ),
        "tempered classifier": (
            distilled(
                DecisionTreeClassifier(max_depth=5),
                X,
                y,
                targets="expand",
                temperature=2.0,
            ),
            X,
        ),
        "tempered forest": (
            distilled(
                ExtraTreesClassifier(5, max_depth=5, random_state=0),
                X,
                y,
                targets="expand",
                temperature=1.5,
            ),
            X,
        ),
        "logits": (
            distilled(
                RandomForestRegressor(5, max_depth=5, random_state=0),
                X,
                y,
                targets="regress_logits",
            ),
            X,
        ),
        "logits of one tree": (
            distilled(
                DecisionTreeRegressor(max_depth=5), X, y, targets="regress_logits"
            ),
            X,
        ),
        "tempered": (
            distilled(
                RandomForestRegressor(5, max_depth=5, random_state=0),
                X,
                y,
                targets="regress",
                temperature=2.0,
            ),
            X,
        ),
    }


NETS = [
    "mlp",
    "mlp, missing",
    "mlp, two classes",
    "mlp, no hidden layer",
    "mlp, bins",
    "mlp, tanh",
    "mlp, logistic",
    "mlp, identity",
    "logistic",
    "logistic, two classes",
    "logistic, bins",
    "pipeline",
    "pipeline, bins",
    "pipeline, logistic",
    "distilled",
    "frozen",
]
TREES = [
    "tree",
    "tree, missing",
    "stump",
    "forest",
    "extra trees",
    "pipeline",
    "regressor",
    "regressors",
    "two classes",
    "tempered classifier",
    "tempered forest",
    "logits",
    "logits of one tree",
    "tempered",
]


@pytest.fixture(scope="module")
def students():
    nets = {("net", name): pair for name, pair in net_students().items()}
    return nets | {("tree", name): pair for name, pair in tree_students().items()}


STUDENTS = [("net", name) for name in NETS] + [("tree", name) for name in TREES]


def test_students_are_all_listed(students):
    assert list(students) == STUDENTS


@pytest.fixture
def unproved(monkeypatch):
    """Let a test compile the header itself, and only once."""
    monkeypatch.setattr(_export, "find_compiler", lambda: None)


# -- single precision ------------------------------------------------------------------


@pytest.mark.parametrize("key", STUDENTS, ids=": ".join)
def test_float32_equals_predict_proba(students, key, tmp_path):
    model, X = students[key]
    source = export_c(model, tmp_path / "model.h", X=X)
    assert source.max_difference < 1e-5
    assert source.n_rows == len(X)
    assert source.agreement > 0.995  # ties fall either way


@pytest.mark.parametrize("key", STUDENTS, ids=": ".join)
def test_float32_without_rows_draws_them(students, key, unproved, tmp_path):
    model, _ = students[key]
    source = export_c(model, tmp_path / "model.h")
    assert source.max_difference < 1e-5
    assert source.n_rows == 500


def test_draw_rows_meets_both_sides_of_thresholds(students):
    model, _ = students["tree", "tree"]
    rows = draw_rows(read_model(model))
    reached = np.unique(model.apply(np.nan_to_num(rows)))
    assert len(reached) > model.get_n_leaves() / 2
    at = np.isin(rows, model.tree_.threshold.astype(np.float32))
    assert at.any(axis=1).mean() > 0.9


@needs_a_compiler
def test_tree_thresholds_are_met_to_the_last_float(students, tmp_path):
    model, X = students["tree", "pipeline"]
    scaler, tree = model[0], model[-1].tree_
    source = export_c(model, tmp_path / "model.h", X=X)
    inner = tree.feature >= 0
    feature, cut = tree.feature[inner], tree.threshold[inner]
    edge = cut * scaler.scale_[feature] + scaler.mean_[feature]
    rows = []
    for column, x in zip(feature, edge.astype(np.float32), strict=True):
        for toward in (-np.inf, x, np.inf):
            row = X[0].astype(np.float32)
            row[column] = np.nextafter(x, np.float32(toward))
            rows.append(row)
    rows = np.array(rows)
    P, _ = run_c(source.path, "model", rows, 3, tmp_path)
    expected = model.predict_proba(rows.astype(np.float64))
    np.testing.assert_allclose(P, expected, atol=1e-6)


@needs_a_compiler
@pytest.mark.parametrize(
    "student", [mlp(max_categories=6), LogisticStudent(max_categories=6)]
)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_categories_are_codes(student, dtype, tmp_path):
    X, y = frame()
    student.fit(X, y)
    source = export_c(student, tmp_path / "ship.h", dtype=dtype, X=X)
    assert source.max_difference < (1e-5 if dtype == "float32" else 0.05)
    text = source.path.read_text()
    own = {
        name: f"SHIP_X_COLOR_{name.upper()} = {i}"
        for i, name in enumerate(["blue", "green", "red", "missing"])
    }
    assert all(line in text for line in own.values())
    assert "SHIP_X_SIZE_INFREQUENT = 5 /*" in text
    rows = read_model(student).rows(X)
    np.testing.assert_array_equal(
        rows[:, 1], X["color"].map({"blue": 0, "green": 1, "red": 2}).fillna(3)
    )
    # a level that was never seen, and a missing one
    unseen, missing = X[:1].copy(), X[:1].copy()
    unseen["color"], missing["color"] = "mauve", None
    row = rows[:1].repeat(7, axis=0)
    row[:, 1] = [-1, 4, 1.5, 1e30, -np.inf, 3, np.nan]
    P, _ = run_c(source.path, "ship", row, 2, tmp_path)
    assert np.ptp(P[:5], axis=0).max() == 0
    assert np.ptp(P[5:], axis=0).max() == 0
    tolerance = 1e-5 if dtype == "float32" else 0.05
    np.testing.assert_allclose(P[:1], student.predict_proba(unseen), atol=tolerance)
    np.testing.assert_allclose(P[-1:], student.predict_proba(missing), atol=tolerance)


def test_categories_without_rows(tmp_path):
    X, y = frame()
    source = export_c(mlp().fit(X, y), tmp_path / "ship.h")
    assert source.max_difference < 1e-5
    assert source.n_rows == 500


def test_category_codes_are_whole_and_in_range():
    X, y = frame()
    category = read_model(mlp().fit(X, y)).interface.categories[0]
    values = np.float32([0, 3, 4, -1, 0.5, 1e38, np.inf, -np.inf, np.nan])
    assert code_of(category, values).tolist() == [0, 3, -1, -1, -1, -1, -1, -1, 3]


def test_frames_of_numbers_and_sparse_rows(tmp_path):
    pd = pytest.importorskip("pandas")
    from scipy import sparse

    X, y = table()
    named = pd.DataFrame(X, columns=list("abcdef"))
    source = export_c(mlp().fit(named, y), tmp_path / "model.h", X=named)
    assert source.max_difference < 1e-5
    assert "MODEL_X_A = 0, /* 'a' */" in source.path.read_text()
    rows = sparse.csr_matrix(np.round(X / np.abs(X).max(axis=0), 1))
    linear = LogisticStudent().fit(rows, y)
    assert export_c(linear, tmp_path / "model.h", X=rows).max_difference < 1e-5
    assert "NaN is refused too" in (tmp_path / "model.h").read_text()


def test_exponential_is_the_exponential():
    v = -np.linspace(0, 87, 20_001, dtype=np.float32)
    expected = np.exp(v.astype(np.float64))
    np.testing.assert_allclose(_reference.exp(v), expected, rtol=4e-7)


# -- whole numbers ---------------------------------------------------------------------


@needs_a_compiler
@pytest.mark.parametrize("key", STUDENTS, ids=": ".join)
def test_int8_equals_its_reference_to_the_last_bit(students, key, unproved, tmp_path):
    model, X = students[key]
    if key[1] == "logits":
        with pytest.raises(ValueError, match="dtype must be 'float32'"):
            export_c(model, tmp_path / "model.h", dtype="int8", X=X)
        return
    path = export_c(model, tmp_path / "model.h", dtype="int8", X=X).path
    source = read_model(model)
    rows = source.rows(X)
    is_tree = isinstance(source.program, Trees)
    program = (
        quantize_trees(source.program)
        if is_tree
        else quantize_net(source.program, source.interface, rows)
    )
    rows = np.concatenate([rows, hostile_rows(source, rows[0])])
    P, said = run_c(path, "model", rows, len(model.classes_), tmp_path)
    assert said == ""
    expected = _reference.run(program, source.interface, rows)
    if is_tree and program.power != 1:  # libraries differ in the last bit of powf
        np.testing.assert_allclose(P, expected, rtol=1e-6, atol=1e-7)
    else:
        np.testing.assert_array_equal(P, expected)


@pytest.mark.parametrize("name", NETS)
def test_int8_sums_fit_32_bits(students, name):
    model, X = students["net", name]
    source = read_model(model)
    net = quantize_net(source.program, source.interface, source.rows(X))
    for layer in net.layers:
        worst = np.abs(layer.weights.astype(np.int64)).sum(axis=0) * layer.largest
        assert (worst + np.abs(layer.bias.astype(np.int64)) < 2**31).all()
        assert layer.weights.dtype == np.int8 and layer.largest > 1_000


def test_int8_of_a_wide_layer_narrows_its_activations():
    X, y = table()
    student = mlp(hidden_layer_sizes=(900,), max_steps=2).fit(X, y)
    source = read_model(student)
    net = quantize_net(source.program, source.interface, source.rows(X))
    assert net.layers[0].largest == 32_767
    assert net.layers[1].largest < 16_000


def test_int8_keeps_large_intercepts_and_dead_columns(students):
    model, X = students["net", "mlp"]
    source = read_model(model)
    first = source.program.layers[0]
    first.weights[:, 0], first.bias[0] = 0.0, 1e4
    first.weights[:, 1], first.bias[1] = 1e-6, -1e4
    net = quantize_net(source.program, source.interface, source.rows(X))
    kept = net.layers[0].bias * net.layers[0].scale
    np.testing.assert_allclose(kept, first.bias, rtol=1e-4, atol=1e-5)


def test_int8_of_a_linear_student_needs_rows(students, tmp_path):
    model, _ = students["net", "logistic"]
    with pytest.raises(ValueError, match="X must be given with dtype='int8'"):
        export_c(model, tmp_path / "model.h", dtype="int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("with_category", [False, True])
def test_int8_of_a_linear_student_suits_columns_of_all_magnitudes(
    with_category, tmp_path
):
    rng = np.random.default_rng(0)
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(rng.lognormal(0, 1, (600, 3)) * [1e-4, 1.0, 1e5], columns=[*"abc"])
    X["d"] = rng.choice([*"uvw"], 600) if with_category else rng.normal(size=600)
    y = (X["a"] * 1e4 + X["b"] + X["c"] / 1e5 + (X["d"] == "u") > 4).to_numpy()
    source = export_c(
        LogisticStudent().fit(X, y), tmp_path / "model.h", dtype="int8", X=X
    )
    # With one scale for weights as they come it is .1 and more.
    assert source.mean_difference < 0.005 and source.agreement > 0.98


def test_int8_leaves_keep_small_probabilities(students):
    model, X = students["tree", "forest"]
    source = read_model(model)
    rows = source.rows(X)
    P = _reference.run(quantize_trees(source.program), source.interface, rows)
    truth = model.predict_proba(X)
    assert np.abs(P - truth).max() < 0.01
    assert ((P > 0) == (truth > 0)).mean() > 0.999


@pytest.mark.slow
def test_int8_on_letter_costs_nothing_that_matters(tmp_path):
    X, X_test, y, y_test = train_test_split(
        *load("letter"), test_size=0.2, stratify=load("letter").y, random_state=0
    )
    student = MLPStudent((64, 64), random_state=0).fit(X, y)
    export_c(student, tmp_path / "letter.h", dtype="int8", X=X)
    source = read_model(student)
    net = quantize_net(source.program, source.interface, source.rows(X[:2000]))

    def answers(X):
        whole = _reference.run(net, source.interface, source.rows(X))
        return whole.astype(np.float64), student.predict_proba(X)

    # some 8 of 4,000 new rows change sides, one more or less by the machine's rounding
    for rows, least in ((X_test, 0.997), (np.concatenate([X, X_test]), 0.999)):
        P, truth = answers(rows)
        assert np.mean(P.argmax(axis=1) == truth.argmax(axis=1)) >= least
    P, truth = answers(X_test)
    P /= P.sum(axis=1, keepdims=True)
    assert log_loss(y_test, P) - log_loss(y_test, truth) <= 0.002
    for core, most in (("cortex-m4", 11_000), ("cortex-m0", 15_000)):
        if shutil.which("arm-none-eabi-gcc"):
            assert flash_of(tmp_path, "letter", core) <= most


# -- rows that are refused -------------------------------------------------------------


@needs_a_compiler
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize(
    "key", [("net", "mlp, missing"), ("net", "mlp, bins"), ("tree", "forest")]
)
def test_infinite_rows_are_refused(students, key, dtype, tmp_path):
    model, X = students[key]
    path = export_c(model, tmp_path / "model.h", dtype=dtype, X=X).path
    rows = np.float32(np.nan_to_num(X[:12]))
    rows[np.arange(12), np.arange(12) % 6] = np.repeat([np.inf, -np.inf], 6)
    P, _ = run_c(path, "model", rows, 3, tmp_path)
    assert not P.any()
    with pytest.raises(ValueError, match="infinity"):
        model.predict_proba(rows[:1])


@needs_a_compiler
def test_missing_numbers_are_refused_where_the_model_knows_none(tmp_path):
    from scipy import sparse

    X, y = table()
    student = LogisticStudent().fit(sparse.csr_matrix(X), y)
    path = export_c(student, tmp_path / "model.h").path
    rows = np.float32(X[:2])
    rows[1, 3] = np.nan
    P, _ = run_c(path, "model", rows, 3, tmp_path)
    np.testing.assert_allclose(P[0].sum(), 1, atol=1e-6)
    assert not P[1].any()


@needs_a_compiler
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("name", ["logistic", "pipeline", "mlp, identity"])
def test_the_largest_floats_give_probabilities(
    students, name, dtype, unproved, tmp_path
):
    model, X = students["net", name]
    path = export_c(model, tmp_path / "model.h", dtype=dtype, X=X).path
    largest = np.finfo(np.float32).max
    rows = largest * np.random.RandomState(0).choice([-1, 1], (40, 6))
    P, _ = run_c(path, "model", rows.astype(np.float32), 3, tmp_path)
    assert (P >= 0).all()
    np.testing.assert_allclose(P.sum(axis=1), 1, atol=1e-6)


# -- names -----------------------------------------------------------------------------

HOSTILE = [
    "@tables@",
    "@proof@",
    "*/ int x; /*",
    "??/",
    "a\\",
    "line\nbreak",
    "größe µ",
    "",
    "a\\\\",
    "int",
    "n features",
    "n_features",
    "x" * 500,
    "/* ???/ */",
]


@needs_a_compiler
def test_hostile_names_stay_names(tmp_path):
    pd = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.standard_normal((300, len(HOSTILE))), columns=HOSTILE)
    X[HOSTILE[2]] = rng.choice(['"; abort();', "%s%n", "\\", "??/", "*/"], 300)
    y = rng.choice(['a"b', "a\\", "%s", "\n*/", "é", "??/"], 300)
    source = export_c(mlp(max_steps=2).fit(X, y), tmp_path / "model.h", X=X)
    text = source.path.read_bytes()
    text.decode("ascii")
    program = tmp_path / "selftest"
    for compiler in filter(shutil.which, ("gcc", "clang")):
        flags = [compiler, *STRICT, "-DMODEL_SELF_TEST", "-x", "c", source.path]
        subprocess.run([*flags, "-lm", "-o", program], check=True)
        subprocess.run([program], check=True, stdout=subprocess.DEVNULL)


@needs_a_compiler
def test_class_names_come_out_of_c_as_they_went_in(tmp_path):
    X, y = table(4)
    labels = np.array(['q"uote', "back\\slash1", "trigraph??/", "ü\t7"])
    source = export_c(mlp().fit(X, labels[y]), tmp_path / "model.h", X=X)
    code = tmp_path / "names.c"
    code.write_text(
        f'#include "{source.path}"\n#include <stdio.h>\nint main(void)\n'
        "{ for (int i = 0; i < 4; i++) puts(model_classes[i]); return 0; }\n"
    )
    compiler = _proof.find_compiler()
    flags = ["-std=c99", "-trigraphs", code, "-lm", "-o", tmp_path / "names"]
    subprocess.run([compiler, *flags], check=True)
    done = subprocess.run([tmp_path / "names"], check=True, capture_output=True)
    assert done.stdout.decode().splitlines() == sorted(labels)


def test_identifiers_are_distinct():
    names = _names.Identifiers("m")
    found = [names.new("x", word) for word in ("a b", "a_b", "a-b", "", "é", "y" * 99)]
    assert found == ["M_X_A_B", "M_X_A_B_2", "M_X_A_B_3", "M_X_", "M_X__2", found[-1]]
    assert len(found[-1]) < 64


@pytest.mark.parametrize("value", ["*/", "*/*/", "???/", "/*/", "a\\", "\n", "**//"])
def test_comments_cannot_be_left(value):
    text = _names.in_comment(value)
    assert not {"*/", "/*", "??", "\\", "\n"} & {
        text[i : i + n] for n in (1, 2) for i in range(len(text))
    }


# -- the file --------------------------------------------------------------------------


def test_export_c_is_deterministic_and_says_what_it_is(students, tmp_path):
    model, X = students["net", "mlp"]
    first = export_c(model, tmp_path / "iris-2.h", X=X)
    text = first.path.read_text()
    again = export_c(model, tmp_path / "iris-2.h", X=X)
    assert again.path.read_text() == text
    assert first.name == "iris_2"
    assert f"Flash: about {first.n_flash} bytes" in text
    assert f"RAM: about {first.n_ram} bytes" in text
    assert f"Proof: {len(X)} rows" in text
    assert max(map(len, text.splitlines())) <= 120
    assert list(tmp_path.iterdir()) == [first.path]


def test_int8_is_a_third_of_float32(tmp_path):
    X, y = table()
    student = mlp(hidden_layer_sizes=(64, 64), max_steps=5).fit(X, y)
    sizes = [
        export_c(student, tmp_path / "model.h", dtype=dtype, X=X).n_flash
        for dtype in ("float32", "int8")
    ]
    assert sizes[1] < 0.4 * sizes[0]


def test_a_file_that_fails_its_proof_is_not_kept(students, tmp_path):
    model, X = students["net", "mlp"]
    path = tmp_path / "model.h"
    path.write_text("as it was")
    with pytest.raises(ValueError, match=r"within tolerance=1e-12 .* in row \["):
        export_c(model, path, X=X, tolerance=1e-12)
    with pytest.raises(ValueError, match="on average"):
        export_c(model, path, dtype="int8", X=X, tolerance=1e-12)
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


@needs_a_compiler
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_wrong_c_is_found(students, dtype, tmp_path, monkeypatch):
    model, X = students["net", "mlp"]
    write = _export.write_source

    def with_a_bug(*args, **kwargs):
        text, *sizes = write(*args, **kwargs)
        return text.replace("sum = 1.0f / sum;", "sum = 1.01f / sum;"), *sizes

    monkeypatch.setattr(_export, "write_source", with_a_bug)
    with pytest.raises(ValueError, match="Nothing was written"):
        export_c(model, tmp_path / "model.h", dtype=dtype, X=X)
    assert list(tmp_path.iterdir()) == []


@needs_a_compiler
def test_a_self_test_that_fails_is_an_error(students, tmp_path, monkeypatch):
    model, X = students["net", "mlp"]
    write = _export.write_source

    def with_a_bug(*args, **kwargs):
        text, *sizes = write(*args, **kwargs)
        return text.replace("is_bad = best < 0;", "is_bad = 1;"), *sizes

    monkeypatch.setattr(_export, "write_source", with_a_bug)
    with pytest.raises(ValueError, match="The self-test must pass"):
        export_c(model, tmp_path / "model.h", X=X)
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_numpy_stands_in(students, tmp_path, monkeypatch):
    monkeypatch.setattr(_proof, "COMPILERS", ("no-such-compiler",))
    model, X = students["net", "mlp"]
    source = export_c(model, tmp_path / "model.h", X=X)
    assert source.compiler is None
    assert "no C compiler was found" in source.path.read_text()
    with pytest.raises(ValueError, match="Nothing was written"):
        export_c(model, tmp_path / "other.h", X=X, tolerance=1e-12)


def test_a_compiler_that_fails_is_reported(students, tmp_path, monkeypatch):
    false = shutil.which("false")
    if false is None:
        pytest.skip("no program that fails")
    monkeypatch.setattr(_export, "find_compiler", lambda: false)
    model, X = students["net", "mlp"]
    with pytest.raises(RuntimeError, match="'false' failed on the generated C"):
        export_c(model, tmp_path / "model.h", X=X)
    assert list(tmp_path.iterdir()) == []


def test_time_stamps_are_refused_in_single_precision(tmp_path):
    rng = np.random.RandomState(0)
    seconds = rng.uniform(0, 100, 300)
    X, y = np.c_[1.7e9 + seconds, rng.standard_normal(300)], seconds > 50
    student = mlp(max_steps=300).fit(X, y)
    with pytest.raises(ValueError, match="take a start off time stamps"):
        export_c(student, tmp_path / "model.h", X=X)
    # As the C will meet it, the same student passes.
    single = X.astype(np.float32)
    assert export_c(student, tmp_path / "model.h", X=single).max_difference < 1e-5


def test_large_offsets_that_single_precision_holds_are_exact(tmp_path):
    rng = np.random.RandomState(0)
    steps = rng.randint(0, 101, 300)
    # Multiples of 128 near 1.7e9 are floats; their median need not be.
    X, y = np.c_[1_700_000_000 // 128 * 128 + 128.0 * steps], steps > 50
    for student in (mlp(max_steps=300), LogisticStudent(encoding="piecewise")):
        source = export_c(student.fit(X, y), tmp_path / "model.h", X=X)
        assert source.max_difference < 1e-5


# -- compilers -------------------------------------------------------------------------

SHIPPED = [
    ("net", "mlp, missing"),
    ("net", "mlp, bins"),
    ("net", "mlp, tanh"),
    ("net", "mlp, logistic"),
    ("net", "mlp, identity"),
    ("net", "logistic, two classes"),
    ("tree", "tree, missing"),
    ("tree", "forest"),
]


def self_test(source, command, program):
    flags = [f"-D{source.name.upper()}_SELF_TEST", "-x", "c", source.path]
    subprocess.run([*command, *flags, "-lm", "-o", program], check=True)
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("key", SHIPPED, ids=": ".join)
@pytest.mark.parametrize(
    "compiler", [pytest.param(name, marks=needs(name)) for name in ("gcc", "clang")]
)
def test_compilers_find_no_fault(students, compiler, key, dtype, unproved, tmp_path):
    model, X = students[key]
    source = export_c(model, tmp_path / "model.h", dtype=dtype, X=X)
    # clang's address sanitiser is a package of its own; trapping needs no library.
    checks = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    if compiler == "gcc":
        checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
    said = self_test(source, [compiler, *STRICT, "-O1", *checks], tmp_path / "checked")
    assert " 0 of " in said
    user = tmp_path / "user.c"
    user.write_text(
        f'#include "{source.path}"\nint f(const float *x);\n'
        "int f(const float *x) { return model_predict(x); }\n"
    )
    strict = [compiler, *STRICT, "-O3", "-c", user, "-o", tmp_path / "user.o"]
    subprocess.run(strict, check=True)


@needs("g++")
def test_header_is_c_plus_plus_too(students, unproved, tmp_path):
    model, X = students["net", "mlp, missing"]
    source = export_c(model, tmp_path / "model.h", dtype="int8", X=X)
    user = tmp_path / "user.cpp"
    user.write_text(f'#include "{source.path}"\nint main() {{ return 0; }}\n')
    flags = ["-Wall", "-Wextra", "-Werror", user, "-o", tmp_path / "user"]
    subprocess.run(["g++", *flags], check=True)


@needs("gcc")
def test_fast_math_is_refused(students, unproved, tmp_path):
    model, X = students["net", "mlp"]
    source = export_c(model, tmp_path / "model.h", X=X)
    flags = ["-ffast-math", "-fsyntax-only", "-x", "c", source.path]
    done = subprocess.run(["gcc", *flags], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "without -ffast-math" in done.stderr


def flash_of(folder, name, core):
    flags, _ = CORES[core]
    user, program = folder / "bare.c", folder / "bare"
    user.write_text(
        f'#include "{name}.h"\nfloat x[{name.upper()}_N_FEATURES];\n'
        f"float p[{name.upper()}_N_CLASSES];\nint best;\nvoid _start(void);\n"
        f"void _start(void) {{ best = {name}_predict_proba(x, p); }}\n"
    )
    link = ["-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", "-lm"]
    compiler = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", *flags, *STRICT]
    subprocess.run([*compiler, "-Os", user, *link, "-o", program], check=True)
    done = subprocess.run(
        ["arm-none-eabi-size", program], check=True, capture_output=True, text=True
    )
    return sum(map(int, done.stdout.splitlines()[1].split()[:2]))


@needs("arm-none-eabi-gcc", "arm-none-eabi-size")
@pytest.mark.parametrize("core", CORES)
def test_flash_is_about_what_the_header_says(students, core, unproved, tmp_path):
    for key in (("net", "mlp, bins"), ("net", "mlp"), ("tree", "forest")):
        model, X = students[key]
        for dtype in ("float32", "int8"):
            source = export_c(model, tmp_path / "model.h", dtype=dtype, X=X)
            soft_floats = 4_500 if core == "cortex-m0" else 800
            measured = flash_of(tmp_path, "model", core)
            assert source.n_flash - 700 < measured < source.n_flash + soft_floats


@needs("arm-none-eabi-gcc", "qemu-system-arm")
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("core", CORES)
def test_microcontrollers_answer_the_same(students, core, dtype, unproved, tmp_path):
    flags, board = CORES[core]
    (tmp_path / "board.ld").write_text(BOARD)
    (tmp_path / "start.c").write_text(START)
    compiler = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", *flags, "-std=c99"]
    link = ["--specs=rdimon.specs", "-T", tmp_path / "board.ld", "-lm"]
    for key in (("net", "mlp, missing"), ("net", "mlp, tanh"), ("tree", "forest")):
        model, X = students[key]
        source = export_c(model, tmp_path / "model.h", dtype=dtype, X=X)
        image = tmp_path / "image"
        test = ["-DMODEL_SELF_TEST", "-x", "c", source.path, "-x", "none"]
        command = [*compiler, "-Os", tmp_path / "start.c", *test, *link, "-o", image]
        subprocess.run(command, check=True)
        done = subprocess.run(
            ["qemu-system-arm", "-M", board, "-nographic", "-kernel", image,
             "-semihosting-config", "enable=on,target=native"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "model: 0 of " in done.stdout


# -- what there is no C for ------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (HistGradientBoostingClassifier(max_iter=2), "got HistGradientBoosting"),
        (make_pipeline(PCA(2), mlp(max_steps=2)), "got PCA"),
        (make_pipeline(MinMaxScaler(clip=True), mlp(max_steps=2)), "clip=True"),
    ],
)
def test_other_models_are_refused(model, message, tmp_path):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(TypeError, match=message):
        export_c(model.fit(X, y), tmp_path / "model.h", X=X)


def test_unfitted_students_are_refused(tmp_path):
    with pytest.raises(NotFittedError):
        export_c(MLPStudent(), tmp_path / "model.h")


@pytest.mark.parametrize(
    ("path", "settings", "message"),
    [
        ("model.c", {}, "path must end in '.h'"),
        ("model.h", {"dtype": "int4"}, "dtype must be 'float32' or 'int8'"),
        ("model.h", {"tolerance": 0}, "tolerance must be a difference of .*, got 0"),
        ("model.h", {"tolerance": "a"}, "tolerance must be a difference.*, got 'a'"),
        ("model.h", {"name": 3}, "name must be a C identifier"),
        ("model.h", {"name": "2nd"}, "name must be a C identifier"),
        ("model.h", {"name": "_x"}, "name must be a C identifier"),
        ("model.h", {"name": "é"}, "name must be a C identifier"),
        ("model.h", {"name": "x" * 32}, "name must have at most 31 characters"),
    ],
)
def test_parameters_are_checked(students, path, settings, message, tmp_path):
    model, _ = students["net", "mlp"]
    with pytest.raises(ValueError, match=message):
        export_c(model, tmp_path / path, **settings)


@pytest.mark.parametrize(
    ("stem", "name"), [("my-model", "my_model"), ("2nd", "model_2nd"), ("é", "model_")]
)
def test_name_is_made_of_the_file(students, stem, name, tmp_path):
    model, _ = students["net", "mlp"]
    assert export_c(model, tmp_path / f"{stem}.h").name == name


def test_folders_and_searches_are_looked_into(students, tmp_path):
    model, X = students["net", "mlp"]
    with pytest.raises(FileNotFoundError, match="Create the folder first"):
        export_c(model, tmp_path / "gone" / "model.h")
    trees = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [2, 3]}, cv=2)
    trees.fit(X, model.predict(X))
    assert export_c(trees, tmp_path / "model.h", X=X).max_difference < 1e-6


def test_rows_must_suit(students, tmp_path):
    model, X = students["net", "mlp"]
    with pytest.raises(ValueError, match="single precision can hold"):
        export_c(model, tmp_path / "model.h", X=np.where(X == X.max(), 1e200, X))
    with pytest.raises(ValueError, match="6 features"):
        export_c(model, tmp_path / "model.h", X=X[:, :3])
    table_, y = frame()
    with pytest.raises(TypeError, match="X must be a data frame"):
        export_c(mlp(max_steps=2).fit(table_, y), tmp_path / "model.h", X=X)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", ["classes", "two", "categories"])
def test_linear_student_of_a_temperature_is_written(table, tmp_path):
    rng = np.random.RandomState(0)
    X, y = make_classification(300, n_classes=2, random_state=0)
    if table == "classes":
        X, y = load_iris(return_X_y=True)
    if table == "categories":
        c = pd.Categorical(rng.choice(["a", "b"], size=300))
        X = pd.DataFrame({"x": X[:, 0], "c": c})
    P = rng.dirichlet(np.ones(len(np.unique(y))), size=len(y))
    small = DistilledClassifier(
        None, LogisticStudent(), alpha=1.0, temperature=2.0, transfer=None
    ).fit(X, soft_targets=P)
    source = export_c(small, tmp_path / "m.h", X=X)
    assert source.max_difference < 1e-5

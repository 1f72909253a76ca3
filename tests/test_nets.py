"""skorch nets as students."""

import pickle

import numpy as np
import pytest
import skorch
import torch
from scipy import sparse
from scipy.special import softmax
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
)
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import DataLoader

from skdistill.soft_targets import kl_rows
from skdistill.students import check_student, fit_on_labels, fit_student
from skdistill.students._batches import TensorBatches


class Net(nn.Module):
    """One hidden layer; `end` says what it answers."""

    def __init__(self, n_out=4, end="logits", hidden=16, dtype=torch.float32):
        super().__init__()
        ends = {
            "logits": nn.Identity(),
            "softmax": nn.Softmax(dim=1),
            "log_softmax": nn.LogSoftmax(dim=1),
            "sigmoid": nn.Sigmoid(),
        }
        self.layers = nn.Sequential(
            nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, n_out), ends[end]
        ).to(dtype)

    def forward(self, X):
        return self.layers(X)


class TwoOutputs(Net):
    def forward(self, X):
        return super().forward(X), X.sum()


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, X):
        return self.out(self.table(X).mean(dim=1))


class Columns(nn.Module):
    """Takes a dict of inputs."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(6, 4)

    def forward(self, left, right):
        return self.out(torch.cat([left, right], dim=1))


TRAINING = {
    "max_epochs": 40,
    "lr": 0.02,
    "batch_size": 64,
    "optimizer": torch.optim.Adam,
    "verbose": 0,
    "iterator_train__shuffle": True,
}


def truth(n_samples=600, n_classes=4, seed=0):
    W = np.random.RandomState(9).normal(size=(6, n_classes))
    X = np.random.RandomState(seed).normal(size=(n_samples, 6))
    return X, softmax(X @ W, axis=1)


def labels_of(n_classes):
    return np.array(["no", "yes"]) if n_classes == 2 else np.array(list("abcd"))


CE, NLL = nn.CrossEntropyLoss, nn.NLLLoss
NETS = {
    "classifier_softmax": (
        4, lambda: NeuralNetClassifier(Net, module__end="softmax", **TRAINING),
        "probabilities",
    ),
    "classifier_logits": (
        4, lambda: NeuralNetClassifier(Net, criterion=CE, **TRAINING), "logits",
    ),
    "net_logits_ce": (4, lambda: NeuralNet(Net, CE, **TRAINING), "logits"),
    "net_log_softmax_nll": (
        4, lambda: NeuralNet(Net, NLL, module__end="log_softmax", **TRAINING), "logits",
    ),
    "net_logits_found": (4, lambda: NeuralNet(Net, nn.MSELoss, **TRAINING), "logits"),
    "net_softmax_found": (
        4, lambda: NeuralNet(Net, nn.MSELoss, module__end="softmax", **TRAINING),
        "probabilities",
    ),
    "two_outputs": (
        4, lambda: NeuralNetClassifier(TwoOutputs, criterion=CE, **TRAINING), "logits",
    ),
    "classifier_two_classes": (
        2, lambda: NeuralNetClassifier(
            Net, module__n_out=2, criterion=CE, **TRAINING
        ), "logits",
    ),
    "binary_logit": (
        2, lambda: NeuralNetBinaryClassifier(Net, module__n_out=1, **TRAINING), "logit",
    ),
    "binary_sigmoid": (
        2, lambda: NeuralNetBinaryClassifier(
            Net, module__n_out=1, module__end="sigmoid", criterion=nn.BCELoss,
            **TRAINING,
        ), "probability",
    ),
    "net_one_logit_found": (
        2, lambda: NeuralNet(Net, nn.MSELoss, module__n_out=1, **TRAINING), "logit",
    ),
    "module_instance": (
        4, lambda: NeuralNetClassifier(Net(), criterion=CE, **TRAINING), "logits",
    ),
    "float64": (
        4, lambda: NeuralNetClassifier(
            Net, module__dtype=torch.float64, criterion=CE, **TRAINING
        ), "logits",
    ),
}  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", NETS)
def test_fit_student_feeds_nets(name, weighted):
    n_classes, make, answers = NETS[name]
    X, P = truth(n_classes=n_classes)
    X_new, P_new = truth(n_classes=n_classes, seed=1)
    classes = labels_of(n_classes)
    weight = np.random.RandomState(0).uniform(0.5, 2, len(X)) if weighted else None
    common = {"classes": classes, "sample_weight": weight, "random_state": 0}
    torch.manual_seed(7)
    fitted, feed = fit_student(make(), X, P, **common)
    assert (feed.route, feed.n_rows, feed.n_rows_fed) == ("native", 600, 600)
    assert fitted.net_output_.answers == answers
    assert fitted.classes_.tolist() == classes.tolist()
    Q = fitted.predict_proba(X_new)
    np.testing.assert_allclose(Q.sum(axis=1), 1, atol=1e-6)
    assert Q.dtype == np.float64
    assert kl_rows(P_new, Q).mean() < 0.06
    assert set(fitted.predict(X_new)) == set(classes)
    # seeded apart from torch's global state
    if name != "module_instance":  # its weights were drawn by the user
        torch.manual_seed(8)
        again, _ = fit_student(make(), X, P, **common)
        np.testing.assert_array_equal(again.predict_proba(X_new), Q)


def test_fit_student_net_leaves_global_seeds():
    X, P = truth(100)
    torch.manual_seed(3)
    np.random.seed(3)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    fit_student(
        NETS["classifier_logits"][1](), X, P, classes=labels_of(4), random_state=0
    )
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)


def test_fit_student_net_pickles_and_clones():
    X, P = truth(300)
    classes = labels_of(4)
    net = NETS["classifier_logits"][1]()
    # skorch pickles whole modules, which torch >= 2.6 loads only when told to; older
    # releases of skorch cannot tell it
    net.set_params(torch_load_kwargs={"weights_only": False})
    fitted, _ = fit_student(net, X, P, classes=classes, random_state=0)
    if parse_version(skorch.__version__) >= parse_version("1.2"):
        loaded = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    copy = clone(fitted)
    assert copy.estimator.criterion is CE
    relearned = copy.fit(X, classes[P.argmax(axis=1)])
    assert (relearned.predict(X) == classes[P.argmax(axis=1)]).mean() > 0.8
    soft = clone(fitted).fit_soft_targets(X, P, classes=classes)
    assert kl_rows(P, soft.predict_proba(X)).mean() < 0.06


def test_fit_student_net_weights_are_those_of_the_loss():
    # one full-batch step of plain SGD: the weights move by the weighted gradient
    X, P = truth(50)
    X = X.astype(np.float32)
    weight = np.random.RandomState(0).uniform(0.2, 3, 50)

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(6, 4)
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

        def forward(self, X):
            return self.out(X)

    net = NeuralNet(
        Linear, CE, max_epochs=1, lr=1.0, batch_size=50, train_split=None, verbose=0
    )
    fitted, _ = fit_student(net, X, P, classes=labels_of(4), sample_weight=weight)
    share = weight / weight.sum()
    expected = -((0.25 - P) * share[:, None]).T @ X
    moved = fitted.estimator_.module_.out.weight.detach().numpy()
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_fit_student_net_keeps_a_validation_split_unstratified():
    X, P = truth(200)
    net = NeuralNetClassifier(
        Net,
        criterion=CE,
        train_split=ValidSplit(0.25, stratified=True, random_state=1),
        **TRAINING | {"max_epochs": 2},
    )
    fitted, _ = fit_student(net, X, P, classes=labels_of(4), random_state=0)
    inner = fitted.estimator_
    assert (inner.train_split.cv, inner.train_split.stratified) == (0.25, False)
    assert inner.train_split.random_state == 1
    assert np.isfinite(inner.history[:, "valid_loss"]).all()
    assert "valid_acc" not in inner.history[-1]


def test_fit_student_net_uses_given_validation_rows():
    X, P = truth(200)
    X_val, P_val = truth(50, seed=2)

    class Seen(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            net.n_seen_ = [len(X)]

        def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            net.n_seen_ += [len(dataset_train), len(dataset_valid)]

    net = NeuralNetClassifier(
        Net, criterion=CE, callbacks=[Seen()], **TRAINING | {"max_epochs": 1}
    )
    fitted, _ = fit_student(
        net, X, P, classes=labels_of(4), validation=(X_val, P_val, None)
    )
    assert fitted.estimator_.n_seen_ == [200, 200, 50]
    assert isinstance(fitted.estimator_.train_split, ValidSplit)


def test_fit_student_net_takes_the_users_validation_labels():
    X, P = truth(200)
    X_val, P_val = truth(50, seed=2)
    held = Dataset(X_val.astype(np.float32), P_val.argmax(axis=1))
    net = NeuralNetClassifier(
        Net,
        criterion=CE,
        train_split=predefined_split(held),
        **TRAINING | {"max_epochs": 2},
    )
    fitted, _ = fit_student(net, X, P, classes=labels_of(4))
    assert np.isfinite(fitted.estimator_.history[:, "valid_loss"]).all()


def test_fit_student_net_cuts_batches_from_whole_tensors():
    X, P = truth(100)
    short = TRAINING | {"max_epochs": 1}
    common = {"classes": labels_of(4), "random_state": 0}
    fast, _ = fit_student(NeuralNet(Net, CE, **short), X, P, **common)
    assert fast.estimator_.iterator_train is TensorBatches
    own = NeuralNet(Net, CE, iterator_train__num_workers=0, **short)
    slow, _ = fit_student(own, X, P, **common)
    assert slow.estimator_.iterator_train is DataLoader

    class Chosen(DataLoader):
        pass

    chosen, _ = fit_student(
        NeuralNet(Net, CE, iterator_train=Chosen, **short), X, P, **common
    )
    assert chosen.estimator_.iterator_train is Chosen


@pytest.mark.parametrize("width", [3, 5_000])  # a block holds many batches, or one
@pytest.mark.parametrize("n_batches", [None, 4])
def test_shuffled_batches_are_a_pass_in_the_order_of_its_generator(width, n_batches):
    X = torch.arange(110.0)[:, None].expand(110, width).clone()
    data = Dataset(X, torch.arange(110))
    batches = TensorBatches(
        data, 32, shuffle=True, generator=torch.Generator().manual_seed(0),
        n_batches=n_batches,
    )  # fmt: skip
    order = torch.randperm(110, generator=torch.Generator().manual_seed(0))
    met = list(batches)
    assert [len(y) for _, y in met] == (
        [32] * 3 + [14] if n_batches is None else [32] * 4
    )
    first = torch.cat([y for _, y in met[:3]])
    assert torch.equal(first, order[:96])
    assert all(torch.equal(X[:, -1], y.float()) for X, y in met)
    if n_batches is None:
        assert torch.equal(met[3][1], order[96:])


def test_fit_student_net_batches_equal_those_of_the_loader():
    X, P = truth(100)
    plain = TRAINING | {"max_epochs": 3, "iterator_train__shuffle": False}
    common = {"classes": labels_of(4), "random_state": 0}
    fast, _ = fit_student(NeuralNet(Net, CE, **plain), X, P, **common)
    slow, _ = fit_student(
        NeuralNet(Net, CE, iterator_train__num_workers=0, **plain), X, P, **common
    )
    np.testing.assert_allclose(fast.predict_proba(X), slow.predict_proba(X), atol=1e-6)


def test_fit_student_net_casts_integers_unless_they_are_embedded():
    rng = np.random.RandomState(0)
    X = rng.randint(0, 5, size=(200, 6))
    P = softmax(X[:, :2] * 1.0, axis=1)
    fitted, _ = fit_student(
        NeuralNetClassifier(Embedded, criterion=CE, **TRAINING),
        X,
        P,
        classes=labels_of(2),
        random_state=0,
    )
    assert fitted.net_output_.takes_integers
    assert fitted.predict_proba(X).shape == (200, 2)
    dense = NeuralNetClassifier(Net, module__n_out=2, criterion=CE, **TRAINING)
    fitted, _ = fit_student(dense, X, P, classes=labels_of(2), random_state=0)
    assert kl_rows(P, fitted.predict_proba(X)).mean() < 0.1


def test_fit_student_net_takes_dicts_and_sparse_rows():
    X, P = truth(300)
    parts = {"left": X[:, :2], "right": X[:, 2:]}
    common = {"classes": labels_of(4), "random_state": 0}
    fitted, _ = fit_student(NeuralNet(Columns, CE, **TRAINING), parts, P, **common)
    assert kl_rows(P, fitted.predict_proba(parts)).mean() < 0.02
    thin = sparse.csr_matrix(X)
    fitted, _ = fit_student(NETS["classifier_logits"][1](), thin, P, **common)
    assert fitted.predict_proba(thin).shape == (300, 4)


def test_fit_student_net_in_a_pipeline():
    X, P = truth(400)
    student = make_pipeline(StandardScaler(), NETS["classifier_logits"][1]())
    fitted, feed = fit_student(
        student, 100 * X + 7, P, classes=labels_of(4), random_state=0
    )
    assert feed.estimator == "NeuralNetClassifier"
    assert kl_rows(P, fitted.predict_proba(100 * X + 7)).mean() < 0.06
    assert fitted.classes_.tolist() == list("abcd")


def test_fit_student_net_answers_at_temperature_one():
    X, P = truth(600)
    fitted, _ = fit_student(
        NETS["classifier_logits"][1](),
        X,
        P,
        classes=labels_of(4),
        temperature=3.0,
        random_state=0,
    )
    assert kl_rows(P, fitted.predict_proba(X)).mean() < 0.06


def test_fit_on_labels_serves_nets():
    X, P = truth(400)
    y = labels_of(4)[P.argmax(axis=1)]
    fitted = fit_on_labels(
        NETS["classifier_softmax"][1](), X, y, classes=labels_of(4), random_state=0
    )
    assert fitted.classes_.tolist() == list("abcd")
    assert (fitted.predict(X) == y).mean() > 0.9


# -- refusals --------------------------------------------------------------------------


def test_fit_student_net_of_other_width_is_refused():
    X, P = truth(100)
    net = NeuralNetClassifier(Net, module__n_out=3, criterion=CE, **TRAINING)
    with pytest.raises(
        ValueError, match=r"answer 4 columns.*\(64, 3\).*last layer to 4"
    ):
        fit_student(net, X, P, classes=labels_of(4))


def test_fit_student_nll_on_logits_is_refused():
    X, P = truth(100)
    net = NeuralNetClassifier(Net, **TRAINING)
    with pytest.raises(ValueError, match=r"NLLLoss must answer.*CrossEntropyLoss"):
        fit_student(net, X, P, classes=labels_of(4))


def test_check_student_refuses_criterion_parameters():
    net = NeuralNetClassifier(Net, criterion=CE, criterion__label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"criterion__label_smoothing.*sample_weight"):
        check_student(net, "auto", None, 4)


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        (EpochScoring("roc_auc"), "EpochScoring"),
        (("mine", BatchScoring(None, name="score")), "mine"),
        (EarlyStopping("valid_acc", lower_is_better=False), "EarlyStopping"),
        (("best", Checkpoint("valid_acc_best")), "best"),
    ],
)
def test_check_student_refuses_callbacks_that_need_labels(callback, name):
    net = NeuralNetClassifier(Net, criterion=CE, callbacks=[callback])
    with pytest.raises(ValueError, match=rf"without labels, got \['{name}'\].*Drop"):
        check_student(net, "auto", None, 4)


def test_fit_student_net_keeps_callbacks_without_labels():
    X, P = truth(200)
    score = EpochScoring(lambda net, X, P: 1.0, name="mine", use_caching=False)
    callbacks = [
        ("score", score),
        ("stop", EarlyStopping(patience=50)),
        ("off", EpochScoring("roc_auc")),
    ]
    net = NeuralNetClassifier(
        Net, criterion=CE, callbacks=callbacks, callbacks__off=None, **TRAINING
    )
    student, _ = fit_student(net, X, P, classes=labels_of(4), random_state=0)
    assert set(student.estimator_.history[:, "mine"]) == {1.0}


def test_check_student_refuses_binary_nets_of_many_classes():
    net = NeuralNetBinaryClassifier(Net)
    with pytest.raises(ValueError, match=r"two classes only, got 4"):
        check_student(net, "auto", None, 4)


@pytest.mark.parametrize("targets", ["expand", "sample", "regress"])
def test_check_student_refuses_other_routes_for_nets(targets):
    with pytest.raises(ValueError, match=r"NeuralNet can take \(one of \['native'\]\)"):
        check_student(NeuralNet(Net, CE), targets, None, 4)

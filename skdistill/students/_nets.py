"""skorch nets as students: soft cross-entropy on (n, K) float targets.

Imported inside functions only: this module imports torch and skorch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.base import clone
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch.utils.data import DataLoader

from skdistill.students._adapter import SoftStudentAdapter
from skdistill.students._batches import TensorBatches
from skdistill.students._rows import mro_names
from skdistill.students._torch import SoftCrossEntropy

#: What a module answers, by the criterion that its user chose. A NeuralNetClassifier
#: with NLLLoss takes the logarithm itself; elsewhere NLLLoss stands for log_softmax in
#: the module, and log-probabilities are logits. Other criteria say nothing.
_ANSWERS = {
    "CrossEntropyLoss": "logits",
    "NLLLoss": "logits",
    "BCEWithLogitsLoss": "logit",
    "BCELoss": "probability",
}
#: Rows of probabilities sum to 1 up to this.
_SUM_TOLERANCE = 1e-3


class SoftLoss(torch.nn.Module):
    """Mean over rows of the cross-entropy to soft targets, in nats.

    A row's weight is folded into its target.

    Parameters
    ----------
    answers : {"logits", "probabilities", "logit", "probability"} or None
        What the module answers: one column for each class, or, in the singular, one for
        the second of two. None finds out from its first answer.
    """

    def __init__(self, answers=None):
        super().__init__()
        self.answers = answers
        self.cross_entropy = SoftCrossEntropy()

    def forward(self, outputs, target):
        """Return the loss as a scalar tensor."""
        outputs = _first(outputs)
        if self.answers is None:
            self.answers = _answers_of(outputs)
        if target.ndim == 1:  # labels of a validation set that the user chose
            n_classes = max(2, outputs.shape[-1] if outputs.ndim == 2 else 1)
            target = torch.nn.functional.one_hot(target.long(), n_classes)
        target = target.to(outputs.dtype)
        if self.answers in ("logit", "probability"):
            outputs = self._two_columns(outputs)
        _check_columns(outputs, target)
        if self.answers in ("logits", "logit"):
            return self.cross_entropy(outputs, target)
        if not _are_probabilities(outputs):
            raise ValueError(
                "The module of a NeuralNetClassifier with NLLLoss must answer "
                "probabilities (rows that sum to 1), got other values. End it with "
                "Softmax, or set criterion=torch.nn.CrossEntropyLoss for logits."
            )
        eps = torch.finfo(outputs.dtype).eps
        return -(target * (outputs + eps).log()).sum() / len(outputs)

    def _two_columns(self, outputs):
        outputs = outputs.reshape(len(outputs), -1)
        if outputs.shape[1] != 1:
            return outputs
        other = 1 - outputs if self.answers == "probability" else 0 * outputs
        return torch.cat([other, outputs], dim=1)


def _first(outputs):
    """Of several outputs, skorch's convention: the first one counts."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def _answers_of(outputs):
    if outputs.ndim == 1 or outputs.shape[1] == 1:
        within = bool(((outputs >= 0) & (outputs <= 1)).all())
        return "probability" if within else "logit"
    return "probabilities" if _are_probabilities(outputs) else "logits"


def _are_probabilities(outputs):
    off = (outputs.sum(dim=1) - 1).abs().max()
    return bool((outputs >= 0).all() and off < _SUM_TOLERANCE)


def _check_columns(outputs, target):
    if outputs.shape != target.shape:
        raise ValueError(
            f"The module must answer {target.shape[1]} columns, one for each class, "
            f"got outputs of shape {tuple(outputs.shape)!r}. Set the size of its last "
            f"layer to {target.shape[1]}."
        )


@dataclass(frozen=True)
class NetOutput:
    """How rows go into a net, and what its module answers.

    Parameters
    ----------
    answers : {"logits", "probabilities", "logit", "probability"}
        See :class:`SoftLoss`.

    dtype : str
        Floating-point type of the module.

    takes_integers : bool
        Whether integers stay integers (the module embeds them).
    """

    answers: str
    dtype: str
    takes_integers: bool

    def cast(self, X):
        """Rows in the module's floating-point type; anything but numbers stays."""
        if isinstance(X, dict):
            return {name: self.cast(values) for name, values in X.items()}
        if not (isinstance(X, np.ndarray) or sparse.issparse(X)):
            return X
        if X.dtype.kind in ("f" if self.takes_integers else "fiub"):
            return X.astype(self.dtype, copy=False)
        return X

    def probabilities(self, net, X):
        """Probabilities of shape (n_samples, n_columns) as float64."""
        batches = net.forward_iter(self.cast(X))
        Z = torch.cat([_first(batch) for batch in batches]).double().numpy()
        if self.answers == "logits":
            return softmax(Z, axis=1)
        if self.answers == "probabilities":
            return Z / Z.sum(axis=1, keepdims=True)
        second = Z.ravel() if self.answers == "probability" else expit(Z.ravel())
        return np.column_stack([1 - second, second])


def fit_net(net, rows, *, classes, validation, rng):
    """Train a skorch net on soft targets.

    Its criterion is replaced by :class:`SoftLoss`, its validation split is not
    stratified, its `valid_acc` callback, which needs labels, is off, and batches are
    cut from whole tensors unless the user chose an iterator. The initial weights and
    the order of rows come from `rng`; torch's global state is left as it was.
    """
    original = clone(net)
    check_net(net, len(classes))
    answers = _ANSWERS.get(_criterion_name(net))
    names = mro_names(net)
    if answers == "logits" and _criterion_name(net) == "NLLLoss":
        answers = "probabilities" if "NeuralNetClassifier" in names else "logits"
    net.set_params(criterion=SoftLoss, criterion__answers=answers, **_settings(net))
    if "classes" in net.get_params(deep=False):
        net.set_params(classes=classes)
    devices = [torch.device(net.device)] if "cuda" in str(net.device) else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(rng.randint(2**31 - 1))
        net.initialize()
        output = _output_of(net)
        own_split = net.train_split
        if validation is not None and own_split is not None:
            held = Dataset(output.cast(validation.X), _targets(validation, output))
            net.train_split = predefined_split(held)
        # A data set, as NeuralNetBinaryClassifier takes targets of one dimension only.
        data = net.get_dataset(output.cast(rows.X), _targets(rows, output))
        net.partial_fit(data, None)
        net.train_split = own_split  # lets go of the validation rows
    answers = net.criterion_.answers
    output = NetOutput(answers, output.dtype, output.takes_integers)
    answer = SoftStudentAdapter.around(
        net, "net", classes, net_output=output, original=original
    )
    return answer, len(rows)


def check_net(net, n_classes):
    """Refuse what a net cannot carry over to soft targets.

    Raises
    ------
    ValueError
        If parameters of the criterion are set, or a callback needs labels, or a binary
        net meets more classes.
    """
    set_by_user = sorted(name for name in vars(net) if name.startswith("criterion__"))
    if set_by_user:
        raise ValueError(
            "A skorch net that learns from soft targets must leave the parameters of "
            f"its criterion unset, as the criterion is replaced, got {set_by_user!r}. "
            "Drop them; for class weights pass sample_weight."
        )
    by_labels = _callbacks_by_labels(net)
    if by_labels:
        raise ValueError(
            "The callbacks of a skorch net that learns from soft targets must do "
            f"without labels, got {by_labels!r}, which score or monitor by them. Drop "
            "them, monitor 'valid_loss', or give EpochScoring a function (net, X, "
            "soft_targets) -> score."
        )
    if "NeuralNetBinaryClassifier" in mro_names(net) and n_classes != 2:
        raise ValueError(
            "NeuralNetBinaryClassifier can be a student of two classes only, got "
            f"{n_classes} classes. Use NeuralNetClassifier."
        )


def _callbacks_by_labels(net):
    """Names of the user's callbacks that need labels: scorers of scikit-learn's kind.

    `valid_acc`, the only such score that a net has by itself, is switched off.
    """
    found = []
    for entry in net.callbacks if isinstance(net.callbacks, list | tuple) else ():
        name, callback = entry if isinstance(entry, tuple) else (None, entry)
        callback = getattr(net, f"callbacks__{name}", callback)  # None: switched off
        monitor = getattr(callback, "monitor", None)
        monitors_labels = isinstance(monitor, str) and monitor.startswith("valid_acc")
        if _scores_by_labels(callback) or monitors_labels:
            found.append(name or type(callback).__name__)
    return found


def _scores_by_labels(callback):
    return "ScoringBase" in mro_names(callback) and not callable(callback.scoring)


def _criterion_name(net):
    criterion = net.criterion
    kind = criterion if isinstance(criterion, type) else type(criterion)
    return kind.__name__


def _settings(net):
    """Values of a net's settings under which float targets train."""
    changes = {}
    if isinstance(net.train_split, ValidSplit) and net.train_split.stratified:
        split = net.train_split
        changes["train_split"] = ValidSplit(split.cv, random_state=split.random_state)
    if "callbacks__valid_acc" in net.get_params(deep=True):
        changes["callbacks__valid_acc"] = None
    for name in ("iterator_train", "iterator_valid"):
        chosen = {
            key.removeprefix(f"{name}__")
            for key in vars(net)
            if key.startswith(f"{name}__")
        }
        if getattr(net, name) is DataLoader and chosen <= {"shuffle", "batch_size"}:
            changes[name] = TensorBatches
    return changes


def _output_of(net):
    """Read from an initialised net what its rows must be."""
    module = getattr(net, "module_", None)
    dtype, embeds = torch.get_default_dtype(), False
    if module is not None:
        floats = [p.dtype for p in module.parameters() if p.is_floating_point()]
        dtype = floats[0] if floats else dtype
        kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
        embeds = any(isinstance(part, kinds) for part in module.modules())
    return NetOutput("", str(dtype).removeprefix("torch."), embeds)


def _targets(rows, output):
    """Soft targets with weights of mean 1 folded in."""
    mass = rows.mass / rows.mass.mean()
    return (rows.P * mass[:, np.newaxis]).astype(output.dtype)

"""Training of small dense nets on whole tensors, through skorch's own steps.

Imported inside functions only: this module imports torch and skorch.
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, PrintLog
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from skdistill.students._batches import TensorBatches

# -- module and loss -------------------------------------------------------------------


class SoftCrossEntropy(torch.nn.Module):
    """Mean over rows of ``-sum_k target_k log softmax(logits)_k``, in nats.

    A row's weight is folded into its target.
    """

    def forward(self, logits, target):
        """Return the loss as a scalar tensor."""
        return -(target * torch.log_softmax(logits, 1)).sum() / len(logits)


class DenseNet(torch.nn.Module):
    """Fully connected layers whose numbers lie in two vectors: weights and biases.

    One optimiser step then touches two tensors however many layers there are, and
    gradients, written by hand, land where the optimiser reads them. At this size
    autograd and its bookkeeping cost more than the arithmetic.

    Parameters
    ----------
    coefs, intercepts : list of ndarray
        Initial weights (n_in, n_out) and biases (n_out,) of each layer.

    activation : {"identity", "logistic", "tanh", "relu"}
        Of the hidden layers.

    dtype : torch.dtype
        Of all numbers.

    temperature : float, default=1.0
        Logits are divided by it while the net learns. They, not their T-th part, have
        the size of usual logits then: what is left of the initial weights is small
        beside them.

    rounded : bool, default=False
        Whether weights are used as int8 would round them. Their gradients are taken for
        those of the weights themselves.
    """

    def __init__(
        self, coefs, intercepts, activation, dtype, temperature=1.0, rounded=False
    ):
        super().__init__()
        self.activation = activation
        self.scale = 1.0 / temperature
        self.rounded = rounded
        self.shapes = [coef.shape for coef in coefs]
        self.weight = torch.nn.Parameter(_flat(coefs, dtype))
        self.bias = torch.nn.Parameter(_flat(intercepts, dtype))

    def forward(self, X):
        """Return logits, divided by the temperature."""
        weights, biases = self.layers(self.weight, self.bias)
        weights = self._used(weights)
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            X = torch.addmm(bias, X, weight)
            if layer < len(weights) - 1:
                X = _activate_(X, self.activation)
        return X * self.scale

    def layers(self, weight, bias):
        """Views of the two vectors as matrices (n_in, n_out) and biases (n_out,)."""
        weights = [
            part.view(shape)
            for part, shape in zip(
                weight.split([a * b for a, b in self.shapes]), self.shapes, strict=True
            )
        ]
        return weights, list(bias.split([b for _, b in self.shapes]))

    def _used(self, weights):
        """Weights as they meet the rows."""
        return [_round(weight) for weight in weights] if self.rounded else weights

    def bind(self):
        """Give the parameters gradients, and keep views of both for `step`.

        Called once the module is where it stays: moving it replaces its memory.
        """
        for parameter in (self.weight, self.bias):
            parameter.grad = torch.zeros_like(parameter)
        self._weights, self._biases = self.layers(
            self.weight.detach(), self.bias.detach()
        )
        self._grads = self.layers(self.weight.grad, self.bias.grad)

    @torch.no_grad()
    def step(self, X, target, weighted):
        """Write the gradient of the soft cross-entropy; return the loss.

        Parameters
        ----------
        X : tensor of shape (n_rows, n_in)

        target : tensor of shape (n_rows, n_classes)
            Rows sum to the row's weight.

        weighted : bool
            Whether that is anything but 1.

        Returns
        -------
        loss : scalar tensor
        """
        weights = self._used(self._weights)
        last = len(weights) - 1
        inputs = [X]
        for layer in range(last):
            X = torch.addmm(self._biases[layer], X, weights[layer])
            X = _activate_(X, self.activation)
            inputs.append(X)
        log_q = torch.addmm(
            self._biases[last],
            X,
            weights[last],
            beta=self.scale,
            alpha=self.scale,
        ).log_softmax(1)
        loss = torch.dot(target.reshape(-1), log_q.view(-1)).div_(-len(X))
        # d loss / d logits = w (q - p) / n, with w folded into the target w p. At
        # temperature T this is the gradient of T times the loss.
        delta = log_q.exp_()
        if weighted:
            delta.mul_(target.sum(1, keepdim=True))
        delta.sub_(target).div_(len(X))
        grad_weights, grad_biases = self._grads
        for layer in range(last, -1, -1):
            torch.mm(inputs[layer].t(), delta, out=grad_weights[layer])
            torch.sum(delta, 0, out=grad_biases[layer])
            if layer:
                delta = torch.mm(delta, weights[layer].t())
                delta = _times_slope(delta, inputs[layer], self.activation)
        self._delta = delta  # at the first layer, for what may lie before it
        return loss


def _round(weight):
    """Round as int8 does, with one step for each column."""
    step = weight.detach().abs().amax(0).div_(127)
    step[step == 0] = 1.0
    return torch.round(weight / step) * step


def _flat(arrays, dtype):
    return torch.as_tensor(np.concatenate([a.ravel() for a in arrays]), dtype=dtype)


def _activate_(X, activation):
    if activation == "relu":
        return X.relu_()
    if activation == "tanh":
        return X.tanh_()
    return X.sigmoid_() if activation == "logistic" else X


def _times_slope(delta, output, activation):
    """Chain rule through an activation, its slope written in terms of its output."""
    if activation == "relu":
        return torch.ops.aten.threshold_backward(delta, output, 0)
    if activation == "tanh":
        return torch.ops.aten.tanh_backward(delta, output)
    if activation == "logistic":
        return torch.ops.aten.sigmoid_backward(delta, output)
    return delta


#: Callbacks of skorch that need what the steps of these nets do not give: answers of
#: batches, a history of batches, gradients of torch, the learning rate.
_UNFIT = {"ScoringBase", "Checkpoint", "ParamMapper", "LRScheduler"}


def check_callbacks(callbacks):
    """Check that callbacks can do what they are for; return them as a list.

    Raises
    ------
    ValueError
        If one would fail or do nothing.
    """
    if callbacks is None:
        return None
    for entry in callbacks:
        callback = entry[1] if isinstance(entry, tuple) else entry
        kind = callback if isinstance(callback, type) else type(callback)
        if _UNFIT & {base.__name__ for base in kind.__mro__}:
            raise ValueError(
                "callbacks must only watch the history or end training, got "
                f"{kind.__name__}. Early stopping keeps the best weights, and the "
                "learning rate has its own schedule; for more take a skorch net as "
                "the student."
            )
    return list(callbacks)


class Ended(KeyboardInterrupt):
    """Training ends here and the net is kept: nothing improves, or a callback says so.

    skorch ends training by any KeyboardInterrupt, Ctrl-C among them; here Ctrl-C is an
    error.
    """


# -- net -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """How long to train, and what to keep.

    Parameters
    ----------
    n_steps : int
        Gradient steps at most.

    n_between : int or None
        Steps between two evaluations: what skorch's history calls an epoch. None means
        one pass over the rows and the end.

    n_warmup : int
        Steps of linearly rising learning rate, before the cosine.

    patience : int or None
        Steps without a lower validation loss after which training ends. None never
        stops early.

    ema_decay : float
        Decay per step of the averaged weights, which are the ones evaluated and kept.

    annealed : bool
        Whether the learning rate follows warm-up and cosine, or stays.

    temperature : float
        By which logits are divided.
    """

    n_steps: int
    n_between: int | None
    n_warmup: int = 0
    patience: int | None = None
    ema_decay: float = 0.0
    annealed: bool = True
    temperature: float = 1.0


class StudentNet(NeuralNet):
    """skorch net whose steps work on whole tensors and wait for nothing.

    History, callbacks and the order of steps are skorch's; batches are views, gradients
    are written by hand, the loss is read once for each evaluation, and hooks
    that no callback overrides are not called.

    Parameters
    ----------
    module : DenseNet
        The net to train.

    plan : Plan
        Length, schedule and averaging.

    weighted : bool
        Whether targets carry weights other than 1.

    **kwargs : dict
        skorch's own.
    """

    def __init__(self, module, *, plan, weighted=False, **kwargs):
        super().__init__(module, **kwargs)
        self.plan = plan
        self.weighted = weighted

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer()), ("print_log", PrintLog())]

    def initialize(self):
        """Initialise all parts, then bind the gradients where the module now lies."""
        super().initialize()
        self.module_.bind()
        self.n_steps_ = 0
        self.best_loss_, self.best_step_ = math.inf, 0
        self._average = [p.detach().clone() for p in self._vectors()]
        self._best = None
        self._listened_ = {
            name: any(
                getattr(type(callback), name, None) is not getattr(Callback, name)
                for _, callback in self.callbacks_
            )
            for name in ("on_batch_begin", "on_batch_end", "on_grad_computed")
        }
        return self

    def _vectors(self):
        return [self.module_.weight, self.module_.bias]

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train; unlike with skorch's own, Ctrl-C is an error, not the end of it."""
        if not self.initialized_:
            self.initialize()
        try:
            self.notify("on_train_begin", X=X, y=y)
            self.fit_loop(X, y, **fit_params)
        except Ended:
            pass
        self.notify("on_train_end", X=X, y=y)
        return self

    def notify(self, method_name, **cb_kwargs):
        """Call a hook; where callbacks were given, KeyboardInterrupt ends training."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as error:
            if self.callbacks:
                raise Ended from error
            raise

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Train until the plan's last step or until patience ends."""
        super().fit_loop(X, y, epochs=epochs, **kwargs)
        return self

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Stop before a new line of history is begun, where nothing improves."""
        patience = self.plan.patience
        if patience is not None and self.n_steps_ - self.best_step_ >= patience:
            raise Ended
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run the steps up to the next evaluation, or the evaluation itself."""
        if iterator is None:
            return
        if not training:
            with self._averaged():
                loss = self._mean_loss(iterator)
            self.history.record("valid_loss", loss)
            self.history.record("valid_loss_best", loss < self.best_loss_)
            if loss < self.best_loss_:
                self.best_loss_, self.best_step_ = loss, self.n_steps_
                self._best = [v.detach().clone() for v in self._steady()]
            return
        if self.plan.n_between is not None:
            iterator = islice(iterator, self.plan.n_steps - self.n_steps_)
        if self._listened_["on_batch_begin"] or self._listened_["on_batch_end"]:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            losses = self.history[-1, "batches", :, prefix + "_loss"]
            loss = float(np.mean(losses))
        else:
            # Summed where it lies: reading each loss would wait for each step.
            total, count = 0.0, 0
            for batch in iterator:
                total = total + step_fn(batch, **fit_params)["loss"]
                count += 1
            loss = float(total) / count
        self.history.record("train_loss", loss)
        self.history.record("step", self.n_steps_)

    def train_step(self, batch, **fit_params):
        """One gradient step: schedule, gradient, optimiser, average."""
        plan = self.plan
        if plan.annealed:
            rate = self.lr * _schedule(self.n_steps_, plan)
            for group in self.optimizer_.param_groups:
                group["lr"] = rate
        loss = self.module_.step(*batch, self.weighted)
        if self._listened_["on_grad_computed"]:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
        self.optimizer_.step()
        self.n_steps_ += 1
        if plan.ema_decay:
            step = self.n_steps_
            # The first averages are short: they must forget the initial weights.
            decay = min(plan.ema_decay, step / (step + 9))
            with torch.no_grad():
                for average, vector in zip(self._average, self._vectors(), strict=True):
                    average.lerp_(vector, 1.0 - decay)
        return {"loss": loss}

    @contextmanager
    def _averaged(self):
        """Put the averaged weights in place of the last ones."""
        if not self.plan.ema_decay:
            yield
            return
        vectors = [p.data for p in self._vectors()]
        last = [v.clone() for v in vectors]
        for vector, average in zip(vectors, self._average, strict=True):
            vector.copy_(average)
        try:
            yield
        finally:
            for vector, saved in zip(vectors, last, strict=True):
                vector.copy_(saved)

    @torch.no_grad()
    def _mean_loss(self, iterator):
        total, count = 0.0, 0
        for X, y in iterator:
            total = total + self.criterion_(self.module_(X), y) * len(X)
            count += len(X)
        return float(total) / count

    def kept_layers(self):
        """Weights and biases to answer with, as lists of float64 arrays.

        The averaged ones of the lowest validation loss, or the last averaged ones where
        there was no validation.
        """
        weights, biases = self.module_.layers(
            *(v.detach().cpu().double() for v in self._kept())
        )
        return [w.numpy().copy() for w in weights], [b.numpy().copy() for b in biases]

    def _kept(self):
        kept = self._steady() if self._best is None else self._best
        if not all(bool(torch.isfinite(vector).all()) for vector in kept):
            raise ValueError(
                f"Training diverged within {self.n_steps_} steps: weights are not "
                "finite any more. Lower learning_rate or weight_decay, or leave both "
                "at their defaults."
            )
        return kept

    def _steady(self):
        """Averaged weights, or without averaging the last ones."""
        return self._average if self.plan.ema_decay else self._vectors()


def _schedule(step, plan):
    """Share of the learning rate at a step: linear warm-up, then cosine to zero."""
    if step < plan.n_warmup:
        return (step + 1) / plan.n_warmup
    done = (step - plan.n_warmup) / max(1, plan.n_steps - plan.n_warmup)
    return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


# -- fit -------------------------------------------------------------------------------


def make_net(
    coefs, intercepts, *, activation, plan, lr, weight_decay, batch_size, shuffle,
    dtype, device, seed, callbacks, verbose, validation=None, rounded=False,
):  # fmt: skip
    """Build an initialised net that trains on whole tensors.

    Parameters are those of the student, resolved; `validation` is a pair of tensors,
    and `rounded` as in DenseNet.

    Returns
    -------
    net : StudentNet
    """
    dtype = torch.float64 if dtype == np.float64 else torch.float32
    generator = torch.Generator(device=device)
    generator.manual_seed(seed)
    net = StudentNet(
        DenseNet(coefs, intercepts, activation, dtype, plan.temperature, rounded),
        plan=plan,
        criterion=SoftCrossEntropy,
        optimizer=torch.optim.AdamW,
        optimizer__fused=device != "mps",
        optimizer__param_groups=[
            ("weight", {"weight_decay": weight_decay}),
            ("bias", {"weight_decay": 0.0}),
        ],
        lr=lr,
        max_epochs=math.ceil(plan.n_steps / plan.n_between) if plan.n_between else 1,
        batch_size=batch_size,
        iterator_train=TensorBatches,
        iterator_train__shuffle=shuffle,
        iterator_train__generator=generator,
        iterator_train__n_batches=plan.n_between,
        iterator_valid=TensorBatches,
        iterator_valid__batch_size=1 << 16,
        train_split=None
        if validation is None
        else predefined_split(Dataset(*validation)),
        callbacks=check_callbacks(callbacks),
        device=device,
        verbose=verbose,
    )
    return net.initialize()


def to_tensors(X, target, *, dtype, device):
    """Move encoded rows and targets to the device."""
    kind = torch.float64 if dtype == np.float64 else torch.float32
    return (
        torch.as_tensor(X, dtype=kind, device=device),
        torch.as_tensor(target, dtype=kind, device=device),
    )


def resolve_device(device, work):
    """Name of the device to train on; "auto" takes a GPU where the work is worth it.

    Raises
    ------
    ValueError
        If the device asked for is not there.
    """
    if device == "auto":
        return "cuda" if work >= GPU_WORK and torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:  # no name of a device
        kind = None
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind, False):
        present = [name for name, is_there in there.items() if is_there]
        raise ValueError(
            f"device must be 'auto' or a device of this machine {present!r}, got "
            f"{device!r}. Use device='auto', or install a torch build for it."
        )
    return device


#: Multiplications of one gradient step from which a GPU pays.
GPU_WORK = 3e7

#: Multiplications of one gradient step up to which one thread is as fast as many.
ONE_THREAD_WORK = 1e7


@contextmanager
def bounded_threads(work):
    """Use one thread for small nets: more only wait for each other."""
    before = torch.get_num_threads()
    if work > ONE_THREAD_WORK or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

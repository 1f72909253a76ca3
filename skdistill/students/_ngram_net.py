"""Training of a bag of embeddings with a small net behind it.

Imported inside functions only: this module imports torch and skorch.
"""

import math

import torch
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from skdistill.students._batches import TensorBatches
from skdistill.students._torch import (
    DenseNet,
    SoftCrossEntropy,
    StudentNet,
    check_callbacks,
)

#: Learning rate of the table, as a share of that of the layers behind it.
TABLE_RATE = 1 / 3


class BagNet(DenseNet):
    """Sums of rows of a table, then fully connected layers.

    A batch is made of numbers of texts. Which rows these have is looked up in a sparse
    matrix: its products touch no other rows, forth and back.

    Parameters
    ----------
    bags : scipy.sparse.csr_matrix of shape (n_texts, n_rows)
        Weight of each row in each text.

    table : ndarray of shape (n_rows, n_in)
        Initial embeddings.

    *dense : object
        Parameters of DenseNet.
    """

    def __init__(self, bags, table, *dense):
        super().__init__(*dense)
        self.bags = bags
        self.table = torch.nn.Parameter(torch.as_tensor(table, dtype=self.weight.dtype))

    def forward(self, X):
        """Return logits of the texts, divided by the temperature."""
        return super().forward(self._embed(self.bags[X.numpy()]))

    def step(self, X, target, weighted):
        """Write the gradient of the soft cross-entropy; return the loss."""
        batch = self.bags[X.numpy()]
        loss = super().step(self._embed(batch), target, weighted)
        delta = torch.mm(self._delta, self._weights[0].t())
        self.table.grad = torch.from_numpy(batch.T @ delta.numpy())
        return loss

    def _embed(self, batch):
        return torch.from_numpy(batch @ self.table.detach().numpy())


class BagAdamW(torch.optim.AdamW):
    """AdamW in which the whole table has one second moment.

    AdamW takes steps of one size for all numbers, and so learns rare n-grams by heart.
    Here an n-gram moves by as much as the texts that have it say, as in the gradient of
    a penalised regression, and only the size of all steps together is kept even.
    """

    @torch.no_grad()
    def step(self, closure=None):
        """Step the table, then all else, for which the table has no gradient."""
        for group in self.param_groups:
            if "shared" in group:
                for table in group["params"]:
                    self._step_table(table, group)
                    table.grad = None
        return super().step(closure)

    def _step_table(self, table, group):
        state = self.state[table]
        if not state:
            state.update(step=0, mean=torch.zeros_like(table), square=0.0)
        state["step"] += 1
        beta, slow = 0.9, 0.99
        state["mean"].lerp_(table.grad, 1 - beta)
        square = float(torch.sum(table.grad**2)) / table.numel()
        state["square"] = slow * state["square"] + (1 - slow) * square
        rms = math.sqrt(state["square"] / (1 - slow ** state["step"]))
        rate = TABLE_RATE * group["lr"]
        table.mul_(1 - rate * group["weight_decay"])
        scale = (1 - beta ** state["step"]) * (rms + 1e-30)
        table.add_(state["mean"], alpha=-rate / scale)


class BagStudentNet(StudentNet):
    """StudentNet that averages and keeps the table too."""

    def _vectors(self):
        return [*super()._vectors(), self.module_.table]

    def kept_layers(self):
        """Weights and biases to answer with, and the table, as float64 arrays."""
        weights, biases, table = self._kept()
        coefs, intercepts = (
            [part.detach().double().numpy().copy() for part in parts]
            for parts in self.module_.layers(weights, biases)
        )
        return coefs, intercepts, table.detach().double().numpy().copy()


def train(
    bags, table, coefs, intercepts, rows, held, *, plan, lr, weight_decay, batch_size,
    shuffle, seed, callbacks, verbose,
):  # fmt: skip
    """Train a table and the layers behind it.

    Parameters
    ----------
    bags : csr_matrix of shape (n_texts, n_rows)

    table, coefs, intercepts : ndarray and lists of ndarray
        Initial weights.

    rows, held : TrainingRows
        Their X are numbers of texts in `bags`; `held` may be None.

    plan, lr, weight_decay, batch_size, shuffle, seed, callbacks, verbose : object
        As in `make_net`; of `weight_decay` one for the table and one for the layers.

    Returns
    -------
    net : BagStudentNet
        It holds neither texts nor rows any more.
    """
    dtype = torch.from_numpy(bags.data[:1]).dtype
    module = BagNet(bags, table, coefs, intercepts, "relu", dtype, plan.temperature)
    generator = torch.Generator()
    generator.manual_seed(seed)
    on_table, on_layers = weight_decay
    net = BagStudentNet(
        module,
        plan=plan,
        weighted=not rows.is_even,
        criterion=SoftCrossEntropy,
        optimizer=BagAdamW,
        optimizer__param_groups=[
            ("table", {"weight_decay": on_table, "shared": True}),
            ("weight", {"weight_decay": on_layers}),
            ("bias", {"weight_decay": 0.0}),
        ],
        lr=lr,
        max_epochs=math.ceil(plan.n_steps / plan.n_between),
        batch_size=batch_size,
        iterator_train=TensorBatches,
        iterator_train__shuffle=shuffle,
        iterator_train__generator=generator,
        iterator_train__n_batches=plan.n_between,
        iterator_valid=TensorBatches,
        iterator_valid__batch_size=4096,
        train_split=None
        if held is None
        else predefined_split(Dataset(*_tensors(held, dtype))),
        callbacks=check_callbacks(callbacks),
        verbose=verbose,
    )
    net.initialize()
    net.partial_fit(*_tensors(rows, dtype))
    net.train_split = net.module_.bags = net.module_.table.grad = None
    return net


def _tensors(rows, dtype):
    numbers = torch.as_tensor(rows.X[:, 0]).long()
    return numbers, torch.as_tensor(rows.target, dtype=dtype)

"""Training that goes on from given layers, towards soft targets."""

import numpy as np

from skdistill.students._settings import RATE, resolve
from skdistill.students._training_rows import training_rows


def fine_tune(student, coefs, intercepts, train, held, *, n_steps, rounded, seed):
    """Train layers on encoded rows; keep those of the lowest held-out loss.

    Parameters
    ----------
    student : MLPStudent
        Gives activation, learning rate, batch size and weight decay.

    coefs, intercepts : list of ndarray
        Where training starts.

    train, held : tuple (Z, P) of ndarray
        Encoded rows (n_rows, n_in) and soft targets (n_rows, n_classes).

    n_steps : int
        Gradient steps.

    rounded : bool
        Whether the net sees its weights as int8 rounds them. Gradients pass through
        the rounding [1]_.

    seed : int
        Seed of the batches.

    Returns
    -------
    coefs, intercepts : list of ndarray

    References
    ----------
    .. [1] Jacob et al., "Quantization and training of neural networks for efficient
       integer-arithmetic-only inference", CVPR 2018, section 3.
    """
    from skdistill.students import _torch

    Z, P = train
    rows = training_rows(Z.astype(np.float32), P, np.ones(len(P)))
    settings = resolve(student, len(Z), [coef.shape[1] for coef in coefs[:-1]])
    plan = _torch.Plan(
        n_steps=n_steps,
        n_between=min(200, n_steps),
        n_warmup=min(100, n_steps // 10),
        ema_decay=student.ema_decay,
    )
    kind = {"dtype": np.float32, "device": "cpu"}
    net = _torch.make_net(
        coefs,
        intercepts,
        activation=student.activation,
        plan=plan,
        # What is fitted already is not to be shaken by more rows.
        lr=RATE if student.learning_rate == "auto" else student.learning_rate,
        weight_decay=settings.weight_decay,
        batch_size=min(settings.batch_size, len(Z)),
        shuffle=True,
        **kind,
        seed=seed,
        callbacks=None,
        verbose=0,
        validation=_torch.to_tensors(held[0], held[1], **kind),
        rounded=rounded,
    )
    work = net.batch_size * sum(coef.size for coef in coefs)
    with _torch.bounded_threads(work):
        net.partial_fit(*_torch.to_tensors(rows.X, rows.target, **kind))
    return net.kept_layers()

"""What the package is measured against: the same work done with bare tools.

Everything here is written as a user would who knows the tool well, and does the same
arithmetic as the student that it is compared to. torch and skorch are imported where
they are used: what needs neither is measured without them.
"""

import copy
import math
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent

HIDDEN = (64, 64)
N_FEATURES, N_CLASSES = 16, 26
#: Patience of a fit that shall not stop early.
NEVER = 10**9


def student(n_steps, **params):
    """Return an MLPStudent of a fixed number of gradient steps."""
    return MLPStudent(
        HIDDEN, batch_size=256, max_steps=n_steps, patience=NEVER, random_state=0,
        **params,
    )  # fmt: skip


def distilled(student):
    """Return a DistilledClassifier of given soft targets, with every choice fixed."""
    return DistilledClassifier(
        None, student, alpha=1.0, calibrate=None, transfer=None, random_state=0
    )


def raw_forward(student):
    """Return a function from rows to probabilities: the student's arithmetic in numpy.

    Parameters
    ----------
    student : MLPStudent
        Fitted on an array without missing values.
    """
    encoder = student.encoder_
    layers = list(zip(student.coefs_, student.intercepts_, strict=True))

    def forward(X):
        X = (X - encoder.center_) * encoder.rate_
        X = X / np.sqrt(1 + (X / encoder.clip_) ** 2)
        for coef, intercept in layers[:-1]:
            X = np.maximum(X @ coef + intercept, 0)
        coef, intercept = layers[-1]
        z = X @ coef + intercept
        P = np.exp(z - z.max(axis=1, keepdims=True))
        return P / P.sum(axis=1, keepdims=True)

    return forward


def raw_logistic_forward(student):
    """Return a function from rows to probabilities: a LogisticStudent's in numpy."""
    coef, intercept = student.coef_.T, student.intercept_

    def forward(X):
        z = X @ coef + intercept
        P = np.exp(z - z.max(axis=1, keepdims=True))
        return P / P.sum(axis=1, keepdims=True)

    return forward


def torch_module(n_in=N_FEATURES, n_out=N_CLASSES):
    """Return a net of the students' shape."""
    import torch

    layers = []
    for wide, narrow in pairwise([n_in, *HIDDEN, n_out]):
        layers += [torch.nn.Linear(wide, narrow), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def bare_torch_fit(
    X, P, X_held, P_held, *, n_steps, batch_size, n_between, ema_decay=0.999
):
    """Train a net on whole tensors as MLPStudent does, in a bare torch loop.

    AdamW with warm-up and cosine, averaged weights, and an evaluation of them on rows
    held back every `n_between` steps; the best ones are kept.

    Parameters
    ----------
    X, P : ndarray of float32
        Scaled rows and soft targets.

    X_held, P_held : ndarray of float32
        Rows held back.

    n_steps, batch_size, n_between : int
        Length.

    ema_decay : float, default=0.999
        Of the averaged weights.

    Returns
    -------
    module : torch.nn.Module
        With the averaged weights of the lowest validation loss.
    """
    import torch

    X, P, X_held, P_held = map(torch.as_tensor, (X, P, X_held, P_held))
    module = torch_module(X.shape[1], P.shape[1])
    average = copy.deepcopy(module).requires_grad_(False)
    weights, averages = list(module.parameters()), list(average.parameters())
    optimizer = torch.optim.AdamW(weights, lr=0.01, weight_decay=0.05, fused=True)
    n_warmup = min(200, n_steps // 10)
    best, best_loss, step = None, math.inf, 0
    while step < n_steps:
        order = torch.randperm(len(X))
        X_pass, P_pass = X[order], P[order]
        for start in range(0, len(X) - batch_size + 1, batch_size):
            rows = slice(start, start + batch_size)
            done = (step - n_warmup) / (n_steps - n_warmup)
            cosine = 0.5 * (1 + math.cos(math.pi * done))
            rate = (step + 1) / n_warmup if step < n_warmup else cosine
            optimizer.param_groups[0]["lr"] = 0.01 * rate
            optimizer.zero_grad()
            log_q = torch.log_softmax(module(X_pass[rows]), 1)
            loss = -(P_pass[rows] * log_q).sum() / batch_size
            loss.backward()
            optimizer.step()
            step += 1
            with torch.no_grad():
                decay = min(ema_decay, step / (step + 9))
                torch._foreach_lerp_(averages, weights, 1 - decay)
                if step % n_between == 0:
                    log_q = torch.log_softmax(average(X_held), 1)
                    held_loss = float(-(P_held * log_q).sum() / len(X_held))
                    if held_loss < best_loss:
                        best_loss = held_loss
                        best = [weight.clone() for weight in averages]
            if step == n_steps:
                break
    for average_weight, kept in zip(averages, best or averages, strict=True):
        average_weight.copy_(kept)
    return average


def skorch_net(n_epochs, **params):
    """Return a skorch classifier of the students' shape, with skorch's own defaults."""
    import torch
    from skorch import NeuralNetClassifier

    return NeuralNetClassifier(
        torch_module,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=0.01,
        max_epochs=n_epochs,
        batch_size=256,
        verbose=0,
        **params,
    )


# -- contests --------------------------------------------------------------------------


def fits(X, y, P, *, n_steps, n_epochs):
    """Return calls that fit nets of one shape to the same length.

    Parameters
    ----------
    X, y, P : ndarray
        Rows, labels and soft targets.

    n_steps : int
        Gradient steps where a student is compared to bare torch.

    n_epochs : int
        Passes over the rows where it is compared to other estimators.

    Returns
    -------
    calls : dict of str to callable
    """
    classes, codes = np.unique(y, return_inverse=True)
    X32, P32 = X.astype(np.float32), P.astype(np.float32)
    scout = student(1).fit(X, y)
    Z = scout.encoder_.transform(X, np.float32)
    n_held = len(X) // 10  # what MLPStudent holds back
    n_batches = -(-(len(X) - n_held) // 256)
    return {
        "MLPStudent, steps": lambda: student(n_steps).fit_soft_targets(
            X, P, classes=classes
        ),
        "bare torch": lambda: bare_torch_fit(
            Z[n_held:], P32[n_held:], Z[:n_held], P32[:n_held], n_steps=n_steps,
            batch_size=256, n_between=min(100, max(10, (len(X) - n_held) // 256)),
        ),
        "MLPStudent, epochs": lambda: student(n_epochs * n_batches).fit(X, y),
        "skorch": lambda: skorch_net(n_epochs).fit(X32, codes),
        "MLPClassifier": lambda: _fit_mlp_classifier(X, y, n_epochs),
        "skorch net as a student": lambda: distilled(skorch_net(n_epochs)).fit(
            X, soft_targets=P, classes=classes
        ),
    }  # fmt: skip


def _fit_mlp_classifier(X, y, n_epochs):
    model = MLPClassifier(
        HIDDEN, batch_size=256, max_iter=n_epochs, early_stopping=True,
        n_iter_no_change=n_epochs,
    )  # fmt: skip
    with warnings.catch_warnings():
        # Of course: it has just as many epochs as the others.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def one_row_models(X, y, P):
    """Return fitted models of the same shapes, and the row that each is asked about.

    Parameters
    ----------
    X, y, P : ndarray
        Rows, labels and soft targets.

    Returns
    -------
    models : dict of str to (classifier, row)
    """
    classes, codes = np.unique(y, return_inverse=True)
    frame = pd.DataFrame(X, columns=[f"feature_{i}" for i in range(X.shape[1])])
    with_kind = frame.assign(kind=np.where(X[:, 0] > X[:, 0].mean(), "high", "low"))
    of_array = {
        "MLPStudent": student(50).fit_soft_targets(X, P, classes=classes),
        "MLPClassifier": MLPClassifier(HIDDEN).partial_fit(X, y, classes=classes),
        "LogisticStudent": LogisticStudent(tol=1e-2).fit(X, y),
        "LogisticRegression": LogisticRegression(tol=1e9).fit(X, y),
        "DistilledClassifier": distilled(student(50)).fit(X, y, soft_targets=P),
    }
    of_frame = {
        "MLPStudent, DataFrame": (student(50).fit(frame, y), frame),
        "MLPStudent, categories": (student(50).fit(with_kind, y), with_kind),
        "MLPClassifier, DataFrame": (
            MLPClassifier(HIDDEN).partial_fit(frame, y, classes=classes), frame,
        ),
    }  # fmt: skip
    models = {name: (model, X[:1].copy()) for name, model in of_array.items()}
    models |= {name: (model, rows.iloc[:1]) for name, (model, rows) in of_frame.items()}
    models["its student"] = (of_array["DistilledClassifier"].student_, X[:1].copy())
    net = skorch_net(1).fit(X[:1000].astype(np.float32), codes[:1000])
    models["skorch"] = (net, X[:1].astype(np.float32))
    return models


def batch_answers(mlp, linear, X):
    """Return calls that answer a batch: students, and their arithmetic unchecked.

    Parameters
    ----------
    mlp, linear : MLPStudent, LogisticStudent
        Fitted on an array without missing values.

    X : ndarray
        The batch.

    Returns
    -------
    calls : dict of str to callable
    """
    raw, raw_linear = raw_forward(mlp), raw_logistic_forward(linear)
    np.testing.assert_allclose(mlp.predict_proba(X), raw(X), atol=1e-12)
    return {
        "MLPStudent": lambda: mlp.predict_proba(X),
        "MLPStudent's arithmetic": lambda: raw(X),
        "LogisticStudent": lambda: linear.predict_proba(X),
        "LogisticStudent's arithmetic": lambda: raw_linear(X),
    }

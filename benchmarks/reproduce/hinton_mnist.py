"""Hinton, Vinyals, Dean (2015), section 3: MNIST, in errors of 10,000 test images.

A teacher of two hidden layers of 1200 units, trained with dropout on images that are
moved by up to two pixels, teaches a student of two hidden layers of 800 units, which
sees only images that are not moved. Lengths of training are ours: the paper names none.
Nets are trained on a GPU where there is one.
"""

from dataclasses import asdict, dataclass
from functools import cache, cached_property, partial

import numpy as np
from scipy.special import log_softmax

from benchmarks.reproduce._mnist import SIDE, load_mnist, shift
from benchmarks.reproduce._records import FIXED, Unit, cache_folder, command
from skdistill import DistilledClassifier, MLPStudent
from skdistill.soft_targets import one_hot

NAME = "hinton_mnist"
DIGITS = np.arange(10)


@dataclass(frozen=True)
class Sizes:
    """Lengths and widths; passes are passes over the 60,000 images."""

    n_images: int = 60_000
    teacher_hidden: tuple = (1200, 1200)
    teacher_passes: int = 60
    student_hidden: tuple = (800, 800)
    student_passes: int = 20
    n_copies: int = 4
    batch_size: int = 256


#: Rate of Adam, and by what the size of batches is divided. The second was chosen by
#: errors on 10,000 training images that neither teacher nor student had.
PACES = {"net": (1e-3, 1), "fast net": (4e-3, 2)}
SMOKE = Sizes(300, (16, 16), 2, (16, 16), 20, 1, 50)


# -- nets ------------------------------------------------------------------------------


def make_net(hidden, n_epochs, batch_size, *, temperature=1.0, strict=False, rate=1e-3):
    """Return an unfitted skorch net: Adam on a cosine, from pixels in [0, 1].

    Parameters
    ----------
    hidden : tuple of int
        Units of the hidden layers.

    n_epochs, batch_size : int
        Length.

    temperature : float, default=1.0
        What logits are divided by.

    strict : bool, default=False
        Whether training moves images by up to two pixels and drops hidden units.

    rate : float, default=.001
        Learning rate at first.
    """
    import torch
    from skorch import NeuralNetClassifier
    from skorch.callbacks import LRScheduler

    from skdistill.students._batches import TensorBatches

    has_gpu = torch.cuda.is_available()
    cosine = LRScheduler(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=n_epochs)
    return NeuralNetClassifier(
        _layers,
        module__hidden=hidden,
        module__temperature=temperature,
        module__strict=strict,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=has_gpu,
        lr=rate,
        batch_size=batch_size,
        max_epochs=n_epochs,
        train_split=None,
        iterator_train=TensorBatches,
        iterator_train__shuffle=True,
        callbacks=[("cosine", cosine)],
        classes=DIGITS,
        device="cuda" if has_gpu else "cpu",
        verbose=0,
    )


def _layers(hidden, temperature, strict):
    import torch

    layers, n_in = [_moving_layer()] if strict else [], SIDE * SIDE
    for n_units in hidden:
        layers += [torch.nn.Linear(n_in, n_units), torch.nn.ReLU()]
        if strict:
            layers.append(torch.nn.Dropout(0.5))
        n_in = n_units
    layers.append(torch.nn.Linear(n_in, len(DIGITS)))
    if temperature != 1:
        layers.append(_dividing_layer(temperature))
    return torch.nn.Sequential(*layers)


def _dividing_layer(temperature):
    """Layer that divides logits by a temperature."""
    import torch

    class Divide(torch.nn.Module):
        def forward(self, Z):
            return Z / temperature

    return Divide()


def _moving_layer(reach=2):
    """Layer that moves each image by up to `reach` pixels while training."""
    import torch

    class Move(torch.nn.Module):
        def forward(self, X):
            if not self.training:
                return X
            wide = SIDE + 2 * reach
            images = torch.nn.functional.pad(X.view(-1, SIDE, SIDE), (reach,) * 4)
            moves = torch.randint(2 * reach + 1, (2, len(X), 1), device=X.device)
            at = torch.arange(SIDE, device=X.device)
            rows = (moves[0] + at) * wide
            places = rows[:, :, None] + (moves[1] + at)[:, None, :]
            return images.view(len(X), -1).gather(1, places.view(len(X), -1))

    return Move()


class Lesson:
    """Images, and the teacher's probabilities for them.

    Parameters
    ----------
    sizes : Sizes

    seed : int
        Of teacher, students and moves.
    """

    def __init__(self, sizes, seed):
        self.sizes, self.seed = sizes, seed
        self.X, self.y = (part[: sizes.n_images] for part in load_mnist("train"))
        self.X_test, self.y_test = load_mnist("test")

    @property
    def teacher_path(self):
        """File of the teacher's weights, which are large and not committed."""
        passes = self.sizes.teacher_passes
        return cache_folder() / f"mnist-teacher-{passes}-{self.seed}.pt"

    @cached_property
    def teacher(self):
        """Return the fitted teacher, trained only where its weights are not kept."""
        import torch

        sizes = self.sizes
        torch.manual_seed(self.seed)
        net = make_net(
            sizes.teacher_hidden, sizes.teacher_passes, sizes.batch_size, strict=True
        )
        if sizes == SMOKE:
            return net.fit(self.X, self.y)
        if not self.teacher_path.exists():
            net.fit(self.X, self.y).save_params(f_params=self.teacher_path)
        net.initialize().load_params(f_params=self.teacher_path)
        return net

    def ask(self, X):
        """Teacher's probabilities, of logits in double precision."""
        logits = self.teacher.forward(X).numpy().astype(np.float64)
        return np.exp(log_softmax(logits, axis=1))

    @cached_property
    def targets(self):
        """Teacher's probabilities of the images as they are."""
        return self.ask(self.X)

    def moved(self, n_copies):
        """Images as they are, and copies moved by up to two pixels."""
        rng = np.random.default_rng(self.seed)
        copies = [shift(self.X, rng) for _ in range(n_copies)]
        return np.concatenate([self.X, *copies])

    def mixed(self, n_copies):
        """Images as they are, mixtures of any two (mixup), and their labels, mixed."""
        rng = np.random.default_rng(self.seed)
        X, Y = [self.X], [one_hot(self.y, len(DIGITS))]
        for _ in range(n_copies):
            mates = rng.permutation(len(self.X))
            share = rng.random((len(self.X), 1), dtype=np.float32)
            X.append(X[0] + share * (X[0][mates] - X[0]))
            Y.append(Y[0] + share * (Y[0][mates] - Y[0]))
        return np.concatenate(X), np.concatenate(Y)

    def wrong(self, P):
        """Tell of each test image whether its digit is missed."""
        return DIGITS[P.argmax(axis=1)] != self.y_test


# -- students --------------------------------------------------------------------------


def make_student(lesson, kind, hidden, n_rows, n_passes, temperature=1.0):
    """Return a student of a length in passes over all images.

    Parameters
    ----------
    lesson : Lesson

    kind : {"net", "fast net", "MLPStudent"}
        A skorch net whose logits are divided by the temperature, as in the paper, at
        one of the `PACES`; or an MLPStudent, which divides them by itself.

    hidden : tuple of int
        Units of the hidden layers.

    n_rows : int
        Rows that it will be fitted on.

    n_passes : int
        Times `lesson.sizes.n_images` rows are seen.

    temperature : float, default=1.0
    """
    sizes = lesson.sizes
    n_seen = n_passes * sizes.n_images
    if kind in PACES:
        n_epochs, (rate, parts) = max(1, n_seen // n_rows), PACES[kind]
        size = sizes.batch_size // parts
        return make_net(hidden, n_epochs, size, temperature=temperature, rate=rate)
    return MLPStudent(
        hidden,
        learning_rate=0.002,
        batch_size=sizes.batch_size,
        max_steps=n_seen // sizes.batch_size,
        early_stopping=False,
        random_state=lesson.seed,
    )


def distil(lesson, kind, hidden, X, P, temperature, n_passes):
    """Fit a student on tempered soft targets alone, as the paper does."""
    student = make_student(lesson, kind, hidden, len(X), n_passes, temperature)
    small = DistilledClassifier(
        None, student, temperature=temperature, alpha=1.0, calibrate=None,
        transfer=None, random_state=lesson.seed,
    )  # fmt: skip
    return small.fit(X, soft_targets=P, classes=DIGITS)


def measure_teacher(lesson):
    """Errors of the teacher."""
    lesson = lesson()
    return {"errors": int(lesson.wrong(lesson.ask(lesson.X_test)).sum())}


def measure_plain(lesson, kind, hidden, n_copies=0, n_times=1):
    """Errors of a student on labels: soft targets that are 0 and 1."""
    lesson = lesson()
    P = np.tile(one_hot(lesson.y, len(DIGITS)), (n_copies + 1, 1))
    return _errors(lesson, kind, hidden, lesson.moved(n_copies), P, 1.0, n_times)


def measure_distilled(lesson, kind, hidden, temperature, n_copies=0, n_times=1):
    """Errors of a student on soft targets, of moved copies of the images too."""
    lesson = lesson()
    X = lesson.moved(n_copies)
    P = np.concatenate([lesson.ask(part) for part in np.array_split(X, n_copies + 1)])
    return _errors(lesson, kind, hidden, X, P, temperature, n_times)


def _errors(lesson, kind, hidden, X, P, temperature, n_times):
    n_passes = n_times * lesson.sizes.student_passes
    small = distil(lesson, kind, hidden, X, P, temperature, n_passes)
    return {"errors": int(lesson.wrong(small.predict_proba(lesson.X_test)).sum())}


def measure_mixed(lesson, kind, hidden, temperature, n_copies, n_times):
    """Errors of a student that meets mixtures of images too.

    Their soft targets are the teacher's, or, without a temperature, mixed labels.
    """
    lesson = lesson()
    X, P = lesson.mixed(n_copies)
    if temperature is None:
        return _errors(lesson, kind, hidden, X, P, 1.0, n_times)
    P = np.concatenate([lesson.ask(part) for part in np.array_split(X, n_copies + 1)])
    return _errors(lesson, kind, hidden, X, P, temperature, n_times)


def measure_omitted(lesson, kind, hidden, temperature, kept):
    """Errors of a student that has met no image of most digits, or of one.

    Its answers lean away from digits that it has not met. As in the paper one number,
    chosen on the test images, is added to the logits of the digits that were left out
    (three), or taken from those that were kept (seven and eight).
    """
    lesson = lesson()
    at = np.isin(lesson.y, kept)
    X, P = lesson.X[at], lesson.targets[at]
    n_passes = lesson.sizes.student_passes
    small = distil(lesson, kind, hidden, X, P, temperature, n_passes)
    P = small.predict_proba(lesson.X_test)
    missing = ~np.isin(DIGITS, kept)
    biases = np.arange(0.0, 12.0, 0.1)
    wrong = [lesson.wrong(shifted_logits(P, missing * b)) for b in biases]
    best = int(np.argmin([w.sum() for w in wrong]))
    unseen = ~np.isin(lesson.y_test, kept)
    return {
        "errors": int(wrong[0].sum()),
        "errors_on_omitted": int(wrong[0][unseen].sum()),
        "bias": round(float(biases[best]), 1),
        "errors_with_bias": int(wrong[best].sum()),
        "errors_on_omitted_with_bias": int(wrong[best][unseen].sum()),
    }


def shifted_logits(P, bias):
    """Add to the logits of probabilities: the largest decides as it did."""
    return np.log(np.maximum(P, 1e-300)) + bias


# -- what is measured ------------------------------------------------------------------


def list_units(n_seeds, smoke):
    """List what is to be measured, what matters most first."""
    sizes = SMOKE if smoke else Sizes()
    wide, narrow = sizes.student_hidden, (30, 30)
    for seed in range(n_seeds):
        lesson = cache(partial(Lesson, sizes, seed))

        def unit(kind, hidden, setting, measure, *args, lesson=lesson, seed=seed):
            name = "none" if hidden is None else f"{kind} {_name(hidden)}"
            given = () if hidden is None else (kind, hidden)
            work = partial(measure, lesson, *given, *args)
            return Unit(
                "mnist", _name(sizes.teacher_hidden), name, setting, seed, work, FIXED,
                asdict(sizes),
            )  # fmt: skip

        yield unit(None, None, "teacher", measure_teacher)
        yield unit("net", wide, "plain", measure_plain)
        yield unit("net", wide, "T = 20", measure_distilled, 20.0)
        few = sizes.n_copies, 3
        yield unit("net", wide, "T = 20, moved images", measure_distilled, 20.0, *few)
        no_three = tuple(np.delete(DIGITS, 3))
        yield unit("net", wide, "T = 20, no threes", measure_omitted, 20.0, no_three)
        yield unit("net", narrow, "plain", measure_plain)
        for T in (1.0, 2.5, 4.0, 8.0, 20.0):
            yield unit("net", narrow, f"T = {T:g}", measure_distilled, T)
        yield unit(
            "net", wide, "T = 20, sevens and eights", measure_omitted, 20.0, (7, 8)
        )
        for T in (1.0, 4.0, 8.0):
            yield unit("net", wide, f"T = {T:g}", measure_distilled, T)
        yield unit("MLPStudent", wide, "plain", measure_plain)
        for T in (20.0, 1.0):
            yield unit("MLPStudent", wide, f"T = {T:g}", measure_distilled, T)
        many = 2 * sizes.n_copies, 9
        yield unit("net", wide, "plain, moved images", measure_plain, *few)
        yield unit("net", wide, "T = 4, moved images", measure_distilled, 4.0, *few)
        yield unit("net", wide, "T = 4, moved, longer", measure_distilled, 4.0, *many)
        yield unit("net", wide, "plain, moved, longer", measure_plain, *many)
        for T in (20.0, 4.0):
            yield unit("net", wide, f"T = {T:g}, longer", measure_distilled, T, 0, 5)
        yield unit("net", wide, "plain, longer", measure_plain, 0, 5)
        yield unit("net", wide, "T = 20, longest", measure_distilled, 20.0, 0, 25)
        yield unit("net", wide, "T = 20, mixed images", measure_mixed, 20.0, *many)
        yield unit("net", wide, "plain, mixed images", measure_mixed, None, *many)
        most = 2 * sizes.n_copies, 25
        yield unit("net", wide, "T = 20, mixed, longest", measure_mixed, 20.0, *most)
        yield unit("fast net", wide, "plain", measure_plain, 0, 5)
        yield unit("fast net", wide, "T = 20", measure_distilled, 20.0, 0, 5)


def _name(hidden):
    return "-".join(map(str, hidden))


if __name__ == "__main__":
    command(NAME, list_units)

"""From the parameters of a TransformersTeacher to what asking needs."""

from numbers import Integral

import numpy as np

from skdistill.teachers._transformers_prompt import (
    ANSWER,
    PROMPT,
    PROMPT_WITH_CODES,
    Wording,
)


def read_labels(classes, task, config):
    """Labels, and what stands for each of them before the model.

    Parameters
    ----------
    classes : list, dict or None
        As `TransformersTeacher` takes it.

    task : str
        Any but "embedding".

    config : transformers configuration or None
        Names of outputs, for "classification".

    Returns
    -------
    labels : list of str or of int
        In the order given.

    meanings : list of list of str
        Words, or one description, or one name of an output, of each label.

    Raises
    ------
    TypeError, ValueError
        If `classes` is of another form.
    """
    names = None
    if task == "classification":
        names = [config.id2label[at] for at in sorted(config.id2label)]
        _check_head_kind(config, names)
        if classes is None:
            return names, [[name] for name in names]
    if isinstance(classes, dict):
        labels, meanings = list(classes), [_words(m) for m in classes.values()]
    elif isinstance(classes, list | tuple | np.ndarray):
        labels = classes.tolist() if isinstance(classes, np.ndarray) else list(classes)
        meanings = [[str(label)] for label in labels]
        if names is not None:
            if len(labels) != len(names):
                raise ValueError(
                    f"classes must name each output of the model, {names!r}, got "
                    f"{classes!r}. Pass a dict of label to name for some of them."
                )
            meanings = [[name] for name in names]
    else:
        labels, meanings = [], []
    same_kind = all(isinstance(label, str) for label in labels) or all(
        isinstance(label, Integral) for label in labels
    )
    if not labels or not same_kind or not all(meanings):
        raise TypeError(
            "classes must be a list of labels, or a dict of label to word, list of "
            "words or description, with labels that are all strings or all integers, "
            f"got {classes!r}."
        )
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ValueError(
            f"classes must hold at least two distinct labels, got {classes!r}."
        )
    return labels, meanings


def _words(meaning):
    """List of words; [] where it is none."""
    words = [meaning] if isinstance(meaning, str) else meaning
    if not isinstance(words, list | tuple):
        return []
    return list(words) if all(isinstance(word, str) and word for word in words) else []


def _check_head_kind(config, names):
    """Raise where the outputs of a model are not one distribution."""
    kind = getattr(config, "problem_type", None)
    if len(names) < 2 or kind not in (None, "single_label_classification"):
        raise ValueError(
            "model must choose one of at least two labels, got the outputs "
            f"{names!r} with problem_type={kind!r}. Use another model."
        )


def classification_columns(config, labels, meanings):
    """Output of the model for each label.

    Raises
    ------
    ValueError
        If the model has no output of a name.
    """
    column = {name: int(at) for at, name in config.id2label.items()}
    unknown = [name for (name,) in meanings if name not in column]
    if unknown:
        raise ValueError(
            f"classes must be among the model's outputs {list(column)!r}, got "
            f"{unknown!r}. Pass a dict of label to the model's name of it."
        )
    return [column[name] for (name,) in meanings]


def hypotheses_of(template, meanings):
    """What is to be entailed, for each label."""
    if template.count("{}") != 1:
        raise ValueError(
            "hypothesis must hold '{}' once, where the description goes, got "
            f"{template!r}."
        )
    return [template.replace("{}", words[0]) for words in meanings]


def wording_of(teacher, labels, meanings):
    """Wording of a teacher's questions, with what it leaves open filled in."""
    prompt, answer = teacher.prompt, teacher.answer
    if prompt is None:
        prompt = PROMPT_WITH_CODES if teacher.codes else PROMPT
    number = {label: at for at, label in enumerate(labels)}
    examples = []
    for example in teacher.examples or ():
        pair = tuple(example)
        if len(pair) != 2 or pair[1] not in number or not isinstance(pair[0], str):
            raise ValueError(
                f"examples must be pairs of a text and a label out of {labels!r}, got "
                f"{example!r}."
            )
        examples.append((pair[0], number[pair[1]]))
    return Wording(
        prompt=prompt,
        answer=ANSWER if answer is None else answer,
        words=tuple(map(tuple, meanings)),
        codes=teacher.codes,
        examples=tuple(examples),
    )

"""What a causal language model is asked: a prompt around each text, words to score."""

from dataclasses import dataclass

import numpy as np

from skdistill.teachers._chat_prompt import neutral
from skdistill.teachers._chat_scoring import option_codes, option_orders
from skdistill.teachers._transformers_tokens import encode_plain

#: Asks for one of the words, or for the code of a description.
PROMPT = "Which label fits the text: {options}?\n\nText: {text}"
PROMPT_WITH_CODES = "Which label fits the text?\n{options}\n\nText: {text}"
ANSWER = "The label is"

#: Stands for the text while a chat template is filled in: no template touches it.
_PLACE = "\ue000"


@dataclass(frozen=True)
class Wording:
    """How texts are asked about; `TransformersTeacher` describes each part.

    Attributes
    ----------
    prompt : str
        With one ``{text}`` and, at will, ``{options}``.

    answer : str
        How the answer begins.

    words : tuple of tuple of str
        Words that mean each label; the first one is shown among the options.

    codes : bool
        Whether options have codes, which are scored in place of the words.

    examples : tuple of (str, int)
        Texts and the positions of their labels.
    """

    prompt: str
    answer: str
    words: tuple
    codes: bool
    examples: tuple

    def __post_init__(self):
        if self.prompt.count("{text}") != 1 or _PLACE in self.prompt:
            raise ValueError(
                "prompt must hold '{text}' once, where the text goes, got "
                f"{self.prompt!r}."
            )
        if self.codes and "{options}" not in self.prompt:
            raise ValueError(
                "prompt must hold '{options}' with codes=True, or the model cannot "
                f"know what they mean, got {self.prompt!r}."
            )

    def orders(self, n_orders):
        """Orders of the options; one where the prompt does not show them."""
        if "{options}" not in self.prompt:
            n_orders = 1
        return option_orders(len(self.words), n_orders)

    def scored(self, order):
        """Words to score, of each label; with codes those of this order."""
        if not self.codes:
            return self.words
        code_of = dict(zip(order, option_codes(len(order)), strict=True))
        return tuple((code_of[label],) for label in range(len(self.words)))

    def question(self, text, order):
        """Prompt of one text."""
        asked = self.prompt.replace("{options}", self._options(order))
        return asked.replace("{text}", text)

    def _options(self, order):
        names = [self.words[label][0] for label in order]
        if self.codes:
            codes = option_codes(len(names))
            lines = zip(codes, names, strict=True)
            return "\n".join(f"{code}: {name}" for code, name in lines)
        return f"{', '.join(names[:-1])} or {names[-1]}"

    def fill(self, order, chat):
        """Text before and after the place of a document.

        Parameters
        ----------
        order : tuple of int
            Labels in the order in which they are shown.

        chat : callable or None
            Makes one text of the turns of a talk, the beginning of the next included.

        Returns
        -------
        before, after : str
        """
        turns = []
        for text, label in self.examples:
            said = join(self.answer, self.scored(order)[label][0])
            turns += [(self.question(neutral(text), order), said)]
        last = self.question(_PLACE, order)
        if chat is None:
            blocks = [join(f"{asked}\n", said) for asked, said in turns]
            whole = "\n\n".join([*blocks, f"{last}\n{self.answer}"])
        else:
            talk = [
                {"role": role, "content": content}
                for turn in turns
                for role, content in zip(("user", "assistant"), turn, strict=True)
            ]
            whole = chat([*talk, {"role": "user", "content": last}]) + self.answer
        before, _, after = whole.rpartition(_PLACE)
        return before, after


def join(before, word):
    """Two texts with a space between them where one belongs."""
    return f"{before} {word}" if before and not before[-1].isspace() else before + word


@dataclass(frozen=True)
class Prompt:
    """A prompt as tokens: what all rows begin with, end with, and may go on with.

    Attributes
    ----------
    prefix, suffix : list of int
        Tokens before and after the text. At least one of them comes after it, or is
        left to each row to begin with.

    lead : list of int
        Tokens that each row begins with.

    space : str
        Spaces before the text; they are part of its first token.

    words : list of tuple of int
        Continuations to score.

    labels : ndarray of int of shape (n_words,)
        Position of the label that each of them means.
    """

    prefix: list
    suffix: list
    lead: list
    space: str
    words: list
    labels: np.ndarray

    def rows(self, tokenizer, texts, longest):
        """Tokens that follow the prefix for each text, and which texts were cut."""
        rows = encode_plain(tokenizer, [self.space + text for text in texts])
        room = np.inf if longest is None else longest
        truncated = np.array([len(row) > room for row in rows], dtype=bool)
        rows = [row if len(row) <= room else row[:longest] for row in rows]
        return [self.lead + row + self.suffix for row in rows], truncated

    @property
    def n_tokens(self):
        """Tokens around a text, and of the longest word."""
        around = len(self.prefix) + len(self.lead) + len(self.suffix)
        return around + max(map(len, self.words))


def make_prompt(wording, order, tokenizer, chat):
    """Tokens of a wording.

    Parameters
    ----------
    wording : Wording
        What to ask.

    order : tuple of int
        Labels in the order in which they are shown.

    tokenizer : transformers tokenizer
        Splits the texts.

    chat : callable or None
        See :meth:`Wording.fill`.

    Returns
    -------
    prompt : Prompt
    """
    before, after = wording.fill(order, chat)
    bare = before.rstrip(" ")
    prefix, suffix = _encode(tokenizer, bare), _encode(tokenizer, after)
    if chat is None:  # a chat template has its own beginning
        prefix = tokenizer("")["input_ids"] + prefix
    if not prefix:
        prefix = [_start_token(tokenizer)]
    words, labels = [], []
    for label, forms in enumerate(wording.scored(order)):
        for form in forms:
            words.append(_continuation(tokenizer, before + after, form))
            labels.append(label)
    _check_words(words, wording.scored(order))
    # a row without any token of its own has nothing to be read at
    cut = len(prefix) - (not suffix)
    space = before[len(bare) :]
    return Prompt(prefix[:cut], suffix, prefix[cut:], space, words, np.array(labels))


def _encode(tokenizer, text):
    """Tokens of a text of our own, special ones included."""
    return tokenizer(text, add_special_tokens=False)["input_ids"] if text else []


def _start_token(tokenizer):
    """Token that a text begins after."""
    starts = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return next(token for token in (*starts, 0) if token is not None)


def _continuation(tokenizer, before, word):
    """Tokens by which a word follows on a text."""
    tail = before.rpartition("\n")[2]
    start, whole = _encode(tokenizer, tail), _encode(tokenizer, join(tail, word))
    if whole[: len(start)] == start:
        return tuple(whole[len(start) :])
    return tuple(_encode(tokenizer, join(tail, word)[len(tail) :]))


def _check_words(words, forms):
    """Raise where one word is the beginning of another: it would count twice."""
    for at, word in enumerate(words):
        others = words[:at] + words[at + 1 :]
        if not word or any(other[: len(word)] == word for other in others):
            raise ValueError(
                "classes must have words of which none begins with another, as tokens, "
                f"got {[list(form) for form in forms]!r}. Use other words, or "
                "codes=True."
            )

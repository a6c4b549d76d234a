"""Translations of a line, as a search returns them."""

from collections.abc import Iterable
from typing import NamedTuple


class Hypothesis(NamedTuple):
    """One translation of a line."""

    text: str
    score: float
    """Log-probability divided by the length penalty, minus the coverage penalty."""
    tokens: tuple[int, ...]
    """Token ids, including EOS."""


def distinct_texts(hypotheses: Iterable[Hypothesis]) -> list[Hypothesis]:
    """Returns the first hypothesis of each text, in the same order."""
    of_text: dict[str, Hypothesis] = {}
    for hypothesis in hypotheses:
        of_text.setdefault(hypothesis.text, hypothesis)
    return list(of_text.values())


def as_line(text: str) -> str:
    """Returns a text as one line: the tokens of a byte-level tokenizer can contain line breaks."""
    return text.replace("\n", " ").replace("\r", " ")

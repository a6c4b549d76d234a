"""Tokens and their probabilities as JSON objects."""

from collections.abc import Iterable, Sequence
from typing import TypedDict

from tfmr.data.tokenizer import Tokenizer


class Token(TypedDict):
    """A token."""

    id: int
    text: str
    """Its text, with the space before a word. Empty for a token without text."""
    special: bool
    """Whether it is a mark, such as the end of a sentence or a language, rather than text."""


class Candidate(Token):
    """A token that may come next."""

    log_prob: float
    """Its log-probability in nats, given what precedes."""


def tokens_of(tokenizer: Tokenizer, ids: Iterable[int]) -> list[Token]:
    """Returns the tokens of ids, which may exceed the tokenizer's vocabulary if the model's is larger."""
    marks = tokenizer.marks
    special = {marks.pad, marks.unk, marks.bos, marks.eos, *tokenizer.tags.control}
    return [
        {
            "id": token,
            "text": tokenizer.token_texts([token])[0] if token < tokenizer.vocab_size else "",
            "special": token in special,
        }
        for token in ids
    ]


def candidates_of(tokenizer: Tokenizer, ids: Sequence[int], log_probs: Sequence[float]) -> list[Candidate]:
    """Returns tokens with their log-probabilities."""
    pairs = zip(tokens_of(tokenizer, ids), log_probs, strict=True)
    return [{**token, "log_prob": max(log_prob, LOWEST)} for token, log_prob in pairs]


LOWEST = -1e4
"""The log-probability of an impossible token, as JSON has no infinity."""

"""Attention between words instead of tokens."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from tfmr.data.tokenizer import Tokenizer
from tfmr.translation.alignment import Alignment
from tfmr.translation.words import NO_SPACES

WORD = rf"[{NO_SPACES}]|[^\W{NO_SPACES}]+|[^\w\s]"
"""A word or a punctuation mark. In scripts without spaces, each character is a word."""


class Span(NamedTuple):
    """A part of a text, in characters."""

    start: int
    end: int


def words_of(text: str) -> list[Span]:
    """Returns the words and punctuation marks of a text."""
    return [Span(*match.span()) for match in re.finditer(WORD, text)]


class WordAttention:
    """The attention of the words of translations to the words of their sources."""

    def __init__(self, tokenizer: Tokenizer):
        """Takes the tokenizer of the alignments."""
        self._sizes = np.array([len(piece.replace(b" ", b"")) for piece in tokenizer.pieces()])

    def __call__(
        self, alignment: Alignment, source: str, target: str, words: Sequence[Span], target_words: Sequence[Span]
    ) -> Float[np.ndarray, "targets sources"]:
        """Returns, for each word of the target, the parts of its attention that the words of the source receive.

        Args:
          alignment: the attention of the tokens.
          source, target: the texts.
          words, target_words: their words.
        """
        rows = self._shares(alignment.target, target, target_words)
        columns = self._shares(alignment.source, source, words)
        weights = rows.T @ alignment.weights @ columns
        return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)

    def _shares(self, tokens: Sequence[int], text: str, words: Sequence[Span]) -> Float[np.ndarray, "tokens words"]:
        """Returns the part of each token that belongs to each word of a text, by counting bytes.

        The tokens may spell the text a little differently, so their lengths are scaled to it. Those without a text,
        such as EOS, are part of no word.
        """
        sizes = np.array([self._sizes[token] if token < len(self._sizes) else 0 for token in tokens])
        ends = np.cumsum(sizes).astype(float)
        visible = np.concatenate([[0], np.cumsum([len(c.encode()) * (not c.isspace()) for c in text])]).astype(int)
        ends *= visible[-1] / max(ends[-1], 1.0)
        starts = np.concatenate([[0.0], ends[:-1]])
        word_starts, word_ends = visible[[word.start for word in words]], visible[[word.end for word in words]]
        shared = np.minimum(ends[:, None], word_ends) - np.maximum(starts[:, None], word_starts)
        return np.maximum(shared, 0.0) / np.maximum(ends - starts, 1e-9)[:, None]


def best_word(weights: Float[np.ndarray, "targets sources"], sources: Sequence[int]) -> int | None:
    """Returns the first of the target words that give some source word their attention, more than all others give it.

    None if none of the source words receives much attention.
    """
    return min(_attending(weights, sources), default=None)


def _attending(weights: Float[np.ndarray, "targets sources"], sources: Sequence[int]) -> Iterator[int]:
    for source in sources if len(weights) else ():
        target = int(weights[:, source].argmax())
        if weights[target, source] > 0.1:
            yield target

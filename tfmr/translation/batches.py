"""Sentences to batches of few different shapes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, PAD_ID
from tfmr.translation.padded_batches import make_padded_batches, next_power_of_two


class Sentence(NamedTuple):
    """What is known of a line before it is translated."""

    tokens: Sequence[int]
    """Of the source, EOS included."""
    limit: int
    """The longest output, EOS included."""
    prefix: Sequence[int] = ()
    """What the output begins with."""


class SentenceBatch(NamedTuple):
    """Sentences that are decoded together; rows beyond `indices` are padding."""

    indices: Sequence[int]
    """Where each sentence stands among the lines."""
    source: Int[np.ndarray, "rows width"]
    limits: Int[np.ndarray, " rows"]
    """The longest output of each row, EOS included; 0: none."""
    prefix: Int[np.ndarray, "rows prefix"] | None
    """What each output begins with, PAD after it; None: nothing."""
    max_length: int
    """At least every limit, the same for all batches of one width."""


def output_limit(length: int, config: DecodingConfig, longest: int | None) -> int:
    """Returns how many tokens the output of a source of `length` tokens may have, EOS included.

    Args:
      length: in tokens, EOS included.
      config: gives the limits.
      longest: what the model can write at most; None: any length.
    """
    limit = max(length + config.extra_length, config.min_length)
    for most in (config.max_length, longest):
        limit = min(limit, most) if most else limit
    return limit


def make_batches(
    sentences: Mapping[int, Sentence], config: DecodingConfig, longest: int | None, parts: int = 1
) -> Iterator[SentenceBatch]:
    """Cuts sentences, by index, into batches, the longest first.

    Args:
      sentences: by their indices among the lines.
      config: gives the number of rows and the limits.
      longest: the most tokens that the model can read or write; None: any number.
      parts: the rows of each batch are a multiple of this.
    """
    lengths = {index: len(sentence.tokens) for index, sentence in sentences.items()}
    for indices, rows, width in make_padded_batches(lengths, config.batch_size, longest, parts):
        chosen = [sentences[index] for index in indices]
        yield _pad(indices, chosen, (rows, width), output_limit(width, config, longest))


def _pad(
    indices: Sequence[int], sentences: Sequence[Sentence], shape: tuple[int, int], max_length: int
) -> SentenceBatch:
    source = np.full(shape, PAD_ID, np.int32)
    source[len(sentences) :, 0] = EOS_ID  # a sentence of padding alone would have nothing to attend to
    limits = np.zeros(shape[0], np.int32)
    longest_prefix = max(len(sentence.prefix) for sentence in sentences)
    prefix = np.full((shape[0], next_power_of_two(longest_prefix)), PAD_ID, np.int32)
    for row, sentence in enumerate(sentences):
        source[row, : len(sentence.tokens)] = sentence.tokens
        limits[row] = sentence.limit
        prefix[row, : len(sentence.prefix)] = sentence.prefix
    return SentenceBatch(indices, source, limits, prefix if longest_prefix else None, max_length)

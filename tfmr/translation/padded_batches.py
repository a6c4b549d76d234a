"""Padded batches of sentences and of sentence pairs, in few shapes so that few programs are compiled."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tfmr.translation.pairs import Pair

_FULL_WIDTH = 128
"""Batches of at most this width have all their rows. Wider ones have fewer rows, to limit memory."""


class PaddedBatch(NamedTuple):
    """The sentences of a batch and its shape. Rows after the last sentence are padding."""

    indices: list[int]
    """Index of the sentence in each row, longest first."""
    rows: int
    width: int


def make_padded_batches(
    lengths: Mapping[int, int], batch_size: int, longest: int | None = None, parts: int = 1
) -> Iterator[PaddedBatch]:
    """Divides sentences into batches, longest first.

    Args:
      lengths: the number of tokens of each sentence, by index.
      batch_size: the maximum number of rows.
      longest: the maximum width. None: no limit.
      parts: the number of rows is rounded up to a multiple of this.
    """
    order = sorted(lengths, key=lambda index: -lengths[index])
    # A few sentences do not need a whole batch.
    most_rows = min(batch_size, next_power_of_two(len(order)))
    start = 0
    while start < len(order):
        width = padded_width(lengths[order[start]])
        width = width if longest is None else min(width, longest)
        rows = max(1, min(most_rows, batch_size * _FULL_WIDTH // width))
        rows = -(-rows // parts) * parts
        yield PaddedBatch(order[start : start + rows], rows, width)
        start += rows


def padded_width(length: int) -> int:
    """Returns the smallest of 16, 24, 32, 48, 64, 96, ... that is at least `length`."""
    power = next_power_of_two(length)
    return max(16, power * 3 // 4 if length <= power * 3 // 4 else power)


def next_power_of_two(number: int) -> int:
    """Returns the smallest power of two that is at least `number`."""
    return 1 << max(number - 1, 0).bit_length()


class Sentence(NamedTuple):
    """A line to translate."""

    tokens: Sequence[int]
    """Source tokens, including EOS."""
    limit: int
    """The maximum number of output tokens, including EOS."""
    prefix: Sequence[int] = ()
    """Tokens that the output must begin with."""


class SentenceBatch(NamedTuple):
    """Sentences that are decoded together. Rows after the last sentence are padding."""

    indices: Sequence[int]
    """Index of the sentence in each row."""
    source: Int[np.ndarray, "rows width"]
    limits: Int[np.ndarray, " rows"]
    """The maximum number of output tokens of each row, including EOS. 0: no output."""
    prefix: Int[np.ndarray, "rows prefix"] | None
    """Tokens that each output must begin with, then PAD. None: no row has a prefix."""
    max_length: int
    """At least every limit, and the same for all batches of the same width."""


def output_limit(length: int, config: DecodingConfig, longest: int | None) -> int:
    """Returns the maximum number of output tokens, including EOS, for a source of `length` tokens, including EOS.

    `longest` is the maximum that the model can write. None: no limit.
    """
    limit = max(length + config.extra_length, config.min_length)
    for most in (config.max_length, longest):
        limit = min(limit, most) if most else limit
    return limit


def make_sentence_batches(
    sentences: Mapping[int, Sentence], config: DecodingConfig, longest: int | None, parts: int = 1
) -> Iterator[SentenceBatch]:
    """Divides sentences, by index, into batches; see `make_padded_batches` for the arguments."""
    lengths = {index: len(sentence.tokens) for index, sentence in sentences.items()}
    for indices, rows, width in make_padded_batches(lengths, config.batch_size, longest, parts):
        source = np.full((rows, width), PAD_ID, np.int32)
        source[len(indices) :, 0] = EOS_ID  # attention needs at least one token
        limits = np.zeros(rows, np.int32)
        longest_prefix = max(len(sentences[index].prefix) for index in indices)
        prefix = np.full((rows, next_power_of_two(longest_prefix)), PAD_ID, np.int32)
        for row, index in enumerate(indices):
            sentence = sentences[index]
            source[row, : len(sentence.tokens)] = sentence.tokens
            limits[row] = sentence.limit
            prefix[row, : len(sentence.prefix)] = sentence.prefix
        max_length = output_limit(width, config, longest)
        yield SentenceBatch(indices, source, limits, prefix if longest_prefix else None, max_length)


class PairBatch(NamedTuple):
    """Sentence pairs that the model processes together. Rows after the last pair are padding."""

    indices: list[int]
    """Index of the pair in each row."""
    source: Int[np.ndarray, "rows width"]
    source_segments: Int[np.ndarray, "rows width"]
    target_input: Int[np.ndarray, "rows width"]
    target_output: Int[np.ndarray, "rows width"]
    target_segments: Int[np.ndarray, "rows width"]


def make_pair_batches(
    pairs: Mapping[int, Pair], batch_size: int, longest: int | None, parts: int
) -> Iterator[PairBatch]:
    """Divides pairs, by index, into batches whose source and target have the same width.

    See `make_padded_batches` for the arguments.
    """
    lengths = {index: max(map(len, pair)) for index, pair in pairs.items()}
    for indices, rows, width in make_padded_batches(lengths, batch_size, longest, parts):
        source, source_segments, target_input, target_output, target_segments = np.full(
            (5, rows, width), PAD_ID, np.int32
        )
        source[len(indices) :, 0] = EOS_ID  # attention needs at least one token
        source_segments[len(indices) :, 0] = 1
        for row, index in enumerate(indices):
            pair = pairs[index]
            source[row, : len(pair.source)] = pair.source
            source_segments[row, : len(pair.source)] = 1
            target_input[row, : len(pair.target)] = [BOS_ID, *pair.target][: len(pair.target)]
            target_output[row, : len(pair.target)] = pair.target
            target_segments[row, : len(pair.target)] = 1
        yield PairBatch(indices, source, source_segments, target_input, target_output, target_segments)

"""Padded batches, in few shapes so that few programs are compiled, and the placement of their rows on devices."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding
from jaxtyping import Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, PAD_ID
from tfmr.translation.words import RequiredWord

_FULL_WIDTH = 128
"""Batches of at most this width have all their rows. Wider ones have fewer rows, to limit memory."""


class PaddedBatch(NamedTuple):
    """The sentences of a batch and its shape. Rows after the last sentence are padding."""

    indices: list[int]
    """Index of the sentence in each row, longest first."""
    rows: int
    width: int


def make_padded_batches(
    lengths: Mapping[int, int], batch_size: int, longest: int | None = None, parts: int = 1, *, few_sizes: bool = False
) -> Iterator[PaddedBatch]:
    """Divides sentences into batches, longest first.

    Args:
      lengths: the number of tokens of each sentence, by index.
      batch_size: the maximum number of rows.
      longest: the maximum width. None: no limit.
      parts: the number of rows is rounded up to a multiple of this.
      few_sizes: if there are fewer sentences than `batch_size`, the number of rows is 1, 4, 16, ... instead of what
        `rounded_up` returns.
    """
    order = sorted(lengths, key=lambda index: -lengths[index])
    # A few sentences do not need a whole batch.
    most_rows = min(batch_size, next_power(4, len(order)) if few_sizes else rounded_up(len(order)))
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
    return max(16, rounded_up(length))


def rounded_up(number: int) -> int:
    """Returns the smallest of 1, 2, 4, 8, 16, 24, 32, 48, 64, 96, ... that is at least `number`."""
    power = next_power(2, number)
    return power * 3 // 4 if 16 < number <= power * 3 // 4 else power


def next_power(base: int, number: int) -> int:
    """Returns the smallest power of a whole number that is at least `number`."""
    power = 1
    while power < number:
        power *= base
    return power


class Sentence(NamedTuple):
    """A line to translate."""

    tokens: Sequence[int]
    """Source tokens, including EOS."""
    limit: int
    """The maximum number of output tokens, including EOS."""
    prefix: Sequence[int] = ()
    """Tokens that the output must begin with."""
    required: Sequence[RequiredWord] = ()
    """Words that the output must contain."""


class SentenceBatch(NamedTuple):
    """Sentences that are decoded together. Rows after the last sentence are padding."""

    indices: Sequence[int]
    """Index of the sentence in each row."""
    source: Int[np.ndarray, "rows width"]
    limits: Int[np.ndarray, " rows"]
    """The maximum number of output tokens of each row, including EOS. 0: no output."""
    prefix: Int[np.ndarray, "rows prefix"] | None
    """Tokens that each output must begin with, then PAD. None: no row has a prefix."""
    required: Sequence[Sequence[RequiredWord]] | None
    """Words that the output of each row must contain. None: no row has such words."""
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
    """Divides sentences, by index, into batches; see `make_padded_batches` for the arguments.

    Sentences with required words are in batches of their own, because they need other programs. As the words bring
    more sizes, there are fewer of the others: 1, 4, 16, ... rows, and prefixes of the greatest length.
    """
    with_words = {index: sentence for index, sentence in sentences.items() if sentence.required}
    without = {index: sentence for index, sentence in sentences.items() if not sentence.required}
    for some in (without, with_words):
        if some:
            yield from _batches_of(some, config, longest, parts, some is with_words)


def _batches_of(
    sentences: Mapping[int, Sentence], config: DecodingConfig, longest: int | None, parts: int, with_words: bool
) -> Iterator[SentenceBatch]:
    lengths = {index: len(sentence.tokens) for index, sentence in sentences.items()}
    shapes = make_padded_batches(lengths, config.batch_size, longest, parts, few_sizes=with_words)
    for indices, rows, width in shapes:
        source = np.full((rows, width), PAD_ID, np.int32)
        source[len(indices) :, 0] = EOS_ID  # attention needs at least one token
        limits = np.zeros(rows, np.int32)
        max_length = output_limit(width, config, longest)
        longest_prefix = max_length if with_words else max(len(sentences[index].prefix) for index in indices)
        prefix = np.full((rows, padded_width(longest_prefix)), PAD_ID, np.int32)
        for row, index in enumerate(indices):
            sentence = sentences[index]
            source[row, : len(sentence.tokens)] = sentence.tokens
            limits[row] = sentence.limit
            prefix[row, : len(sentence.prefix)] = sentence.prefix
        required = [sentences[index].required for index in indices]
        yield SentenceBatch(
            indices=indices,
            source=source,
            limits=limits,
            prefix=prefix if longest_prefix else None,
            required=required if any(required) else None,
            max_length=max_length,
        )


@dataclasses.dataclass(frozen=True)
class Rows:
    """Moves the rows of batches to one device, or shards them over devices of one or several processes, and back.

    Attributes:
      sharding: the sharding of the first axis. None: on the parameters' device. If it spans several processes, all of
        them must put and fetch the same arrays at the same time.
    """

    sharding: NamedSharding | None = None

    @property
    def parts(self) -> int:
        """The number of shards. The number of rows must be a multiple of it."""
        if self.sharding is None:
            return 1
        rows = self.sharding.num_devices  # divisible by any number of shards
        return rows // self.sharding.shard_shape((rows,))[0]

    def put(self, array: np.ndarray) -> Array:
        """Returns the array on its devices."""
        if self.sharding is None:
            return jax.device_put(array)
        return jax.make_array_from_callback(array.shape, self.sharding, lambda index: array[index])

    @staticmethod
    def fetch(array: Array) -> np.ndarray:
        """Returns the whole array, even if it is sharded over several processes."""
        if array.is_fully_addressable or array.is_fully_replicated:
            return np.asarray(array)
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))

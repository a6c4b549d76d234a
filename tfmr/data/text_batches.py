"""Batches of running text: crops, blocks or whole documents for training, and every token once for evaluation.

A part of the text is a sequence of consecutive tokens to predict. Each is predicted from the tokens before it in the
part and from the token before the part, which is BOS if a document starts there.
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from tfmr.config import RunningTextConfig
from tfmr.data.batching import Arrays, BatchPlan, Bucket, lay_out, with_rows
from tfmr.data.mixing import Mixture, is_mixed
from tfmr.data.packing import Kinds, PackedPlan, fill_rows
from tfmr.data.token_arrays import TokenArrays
from tfmr.data.tokenizer import PAD_ID
from tfmr.errors import InputError

NOT_PREDICTED = np.int32(-1)
"""The value in `target_output` of a token that is context only."""


@dataclass(frozen=True)
class TextBatch:
    """Parts of a text that are computed together."""

    bucket: Bucket
    """The shape; source_length is 0."""
    starts: Int[np.ndarray, " parts"]
    """Index in the text of the first token that each part predicts."""
    lengths: Int[np.ndarray, " parts"]
    """Number of tokens that each part predicts."""
    rows: Int[np.ndarray, " parts"]
    """The row of each part, ascending."""
    skip: int = 0
    """Number of tokens at the start of each part that are context only, except in the first part of the text."""


@dataclass(frozen=True)
class TextSplit(TokenArrays):
    """The documents of a running text.

    A document that is cut off, or that is the whole text, has no EOS.
    """

    entries: tuple[int, ...] = ()
    """Number of documents, or parts of them, of each entry of the corpus, in order, if they are mixed by weight."""

    def plan(self, config: RunningTextConfig) -> "TextPlan":
        """Returns the batch plan of a training split; raises InputError if the text is shorter than a row."""
        size, length = len(self.tokens), config.max_length
        if size < length:
            raise InputError(
                f"data.max_length = {length}: must be at most {size}, the number of tokens in the training text"
            )
        bucket = Bucket(config.tokens_per_batch // length, 0, length)
        common: dict[str, Any] = dict(buckets=(bucket,), tokens=size, left_out=0, seed=config.seed)
        if is_mixed(config.weights):
            boundaries = self.offsets[np.cumsum([0, *self.entries])]
            common["mixture"] = Mixture(boundaries, config.weights, config.seed)
        if config.batching == "packed":
            return _packed_plan(self, common)
        return CropsPlan(**common) if config.batching == "crops" else BlocksPlan(**common)

    def arrays(
        self, batch: TextBatch, *, rows_multiple: int = 1, rows_of: Callable[[int], Sequence[int]] = range
    ) -> Arrays:
        """Returns a batch, or some of its rows, as int32 arrays of the target; see `PairSplit.arrays`."""
        bucket = with_rows(batch.bucket, rows_multiple)
        wanted = np.asarray(rows_of(bucket.rows), np.int64)
        inside = np.isin(batch.rows, wanted)
        layout = lay_out(batch.starts[inside], batch.lengths[inside], np.searchsorted(wanted, batch.rows[inside]))
        shape = len(wanted), bucket.target_length
        tokens = self.tokens[layout.source]
        document = np.searchsorted(self.offsets, layout.source)
        begins = self.offsets[np.minimum(document, len(self.offsets) - 1)] == layout.source
        before = np.where(begins, self.begin_mark, self.tokens[np.maximum(layout.source - 1, 0)])
        context_only = (layout.position < batch.skip) & (layout.source > layout.position)
        return dict(
            target_input=layout.fill(shape, before, PAD_ID),
            target_output=layout.fill(shape, np.where(context_only, NOT_PREDICTED, tokens), PAD_ID),
            target_segments=layout.fill(shape, layout.segment),
            target_positions=layout.fill(shape, layout.position),
        )


@dataclass(frozen=True)
class TextPlan(BatchPlan):
    """The batches of every epoch of a running text."""

    @abc.abstractmethod
    def epoch(self, epoch: int) -> list[TextBatch]:
        """Returns the batches of an epoch in order."""

    def padding_share(self) -> float:
        """Returns the fraction of padding in the arrays of an epoch."""
        batches = self.epoch(0)
        size = sum(batch.bucket.rows * batch.bucket.target_length for batch in batches)
        return 1.0 - sum(int(batch.lengths.sum()) for batch in batches) / size

    def _batches(
        self, starts: Int[np.ndarray, " parts"], lengths: Int[np.ndarray, " parts"], skip: int = 0
    ) -> list[TextBatch]:
        """Returns batches with one part per row."""
        (bucket,) = self.buckets
        return [
            TextBatch(
                bucket,
                starts[i : i + bucket.rows],
                lengths[i : i + bucket.rows],
                np.arange(bucket.rows)[: len(starts) - i],
                skip,
            )
            for i in range(0, len(starts), bucket.rows)
        ]


@dataclass(frozen=True)
class CropsPlan(TextPlan):
    """Random crops of the text. An epoch has as many rows as the text would fill."""

    def epoch(self, epoch: int) -> list[TextBatch]:
        """Returns the batches of an epoch. A token may be in several of them, or in none."""
        (bucket,) = self.buckets
        tokens = self.tokens if self.mixture is None else math.ceil(self.mixture.amount)
        number = -(-tokens // (bucket.rows * bucket.target_length)) * bucket.rows
        return self.draw(number, epoch)

    def draw(self, number: int, epoch: int) -> list[TextBatch]:
        """Returns batches of `number` random crops."""
        length = self.buckets[0].target_length
        random = np.random.default_rng([self.seed, epoch])
        last = self.tokens - length
        if self.mixture is None:
            starts = random.integers(0, last + 1, number)
        else:
            starts = self.mixture.draw(number, last, random)
        return self._batches(starts, np.full(number, length))


@dataclass(frozen=True)
class BlocksPlan(TextPlan):
    """Rows of consecutive tokens, cut at another offset in each epoch."""

    def epoch(self, epoch: int) -> list[TextBatch]:
        """Returns the batches of an epoch in random order. Each token is predicted once, or as the mixture says."""
        (bucket,) = self.buckets
        random = np.random.default_rng([self.seed, epoch])
        length = bucket.target_length
        starts, lengths = [], []
        for begin, end in [(0, self.tokens)] if self.mixture is None else self.mixture.ranges(epoch):
            cuts = np.arange(begin + random.integers(length), end, length)
            boundaries = np.unique(np.concatenate([[begin], cuts, [end]]))
            starts.append(boundaries[:-1])
            lengths.append(np.diff(boundaries))
        order = random.permutation(sum(map(len, starts)))
        return self._batches(np.concatenate(starts)[order], np.concatenate(lengths)[order])


@dataclass(frozen=True)
class WindowsPlan(TextPlan):
    """A window that moves over the whole text, for evaluation. Each token is predicted once.

    Attributes:
      stride: number of tokens that a row predicts; its other tokens are context only.
    """

    stride: int

    def epoch(self, epoch: int) -> list[TextBatch]:
        """Returns the batches in the order of the text, the same in every epoch."""
        (bucket,) = self.buckets
        skip = bucket.target_length - self.stride
        starts = np.arange(0, max(self.tokens - skip, 1), self.stride)
        return self._batches(starts, np.minimum(bucket.target_length, self.tokens - starts), skip)


@dataclass(frozen=True)
class PackedTextPlan(TextPlan):
    """Rows that are filled with whole documents. Documents longer than a row are cut into parts.

    Attributes:
      packed: which parts share a row.
      starts: index of the first token of each part.
      lengths: number of tokens of each part.
    """

    packed: PackedPlan
    starts: Int[np.ndarray, " parts"]
    lengths: Int[np.ndarray, " parts"]

    def epoch(self, epoch: int) -> list[TextBatch]:
        """Returns the batches of an epoch. Each part is in one of them, chosen at random."""
        batches = self.packed.epoch(epoch)
        return [
            TextBatch(b.bucket, self.starts[b.indices], self.lengths[b.indices], np.asarray(b.rows)) for b in batches
        ]


def _packed_plan(text: TextSplit, common: dict[str, Any]) -> PackedTextPlan:
    (bucket,) = common["buckets"]
    length = bucket.target_length
    parts = -(-text.lengths // length)  # number of parts of each document
    number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)  # index of each part in its document
    starts = np.repeat(text.offsets[:-1], parts) + number * length
    lengths = np.minimum(length, np.repeat(text.offsets[1:], parts) - starts)
    values, kind_of, counts = np.unique(lengths, return_inverse=True, return_counts=True)
    kinds = Kinds(values, values, (length, length))
    if (mixture := common.get("mixture")) is not None:  # of parts instead of tokens
        common = {
            **common,
            "mixture": dataclasses.replace(mixture, boundaries=np.searchsorted(starts, mixture.boundaries)),
        }
    packed = PackedPlan(
        **common, pairs=np.arange(len(starts)), kind_of=kind_of, kinds=kinds, rows=fill_rows(kinds, counts)
    )
    return PackedTextPlan(**common, packed=packed, starts=starts, lengths=lengths)


def evaluation_batches_of_text(
    text: TextSplit, config: RunningTextConfig, *, stride: int = 0, rows_multiple: int = 1
) -> Iterator[Arrays]:
    """Yields batches that predict every token of a split once.

    Each token is predicted from those before it in its row, of which there are 0 to max_length - 1, and from the token
    before the row. With a stride, a row predicts only its last `stride` tokens, each from at least max_length - stride
    tokens. Packed documents are packed here as well, without a stride.

    Args:
      text: the split.
      config: determines the number and length of rows.
      stride: number of tokens that a row predicts; 0: all.
      rows_multiple: the number of rows is rounded up to a multiple of this.

    Raises:
      InputError: for a stride that is longer than a row, or for a stride with packed documents.
    """
    length, is_packed = config.max_length, config.batching == "packed"
    if not 0 <= stride <= length:
        raise InputError(f"stride = {stride}: must be from 0 to data.max_length = {length}")
    if stride and is_packed:
        raise InputError(f"stride = {stride}: cannot be combined with packed documents; use --data.batching blocks")
    fields = _evaluation_fields(text, config, seed=0)
    plan = _packed_plan(text, fields) if is_packed else WindowsPlan(**fields, stride=stride or length)
    for batch in plan.epoch(0):
        yield text.arrays(batch, rows_multiple=rows_multiple)


def crop_batches(text: TextSplit, config: RunningTextConfig, *, rows_multiple: int = 1) -> Iterator[Arrays]:
    """Yields `evaluation_crops` random rows of a split, the same at every call; none if the split is too short."""
    if len(text.tokens) < config.max_length:
        return
    plan = CropsPlan(**_evaluation_fields(text, config, config.seed))
    for batch in plan.draw(config.evaluation_crops, epoch=1 << 40):
        yield text.arrays(batch, rows_multiple=rows_multiple)


def _evaluation_fields(text: TextSplit, config: RunningTextConfig, seed: int) -> dict[str, Any]:
    bucket = Bucket(max(1, max(config.tokens_per_batch, 8192) // config.max_length), 0, config.max_length)
    return dict(buckets=(bucket,), tokens=len(text.tokens), left_out=0, seed=seed)

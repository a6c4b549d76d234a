"""Batch plans: which sentences are computed together, and in which padded shape.

The batches of an epoch are a pure function of the lengths of the sentences, a seed and the number of the epoch. A
position in the data is therefore two integers, `(epoch, batch)`, on every machine. This module has the plan for pairs
of similar length, one per row, and the function that lays sentences out in the rows of any plan.
"""

import abc
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from tfmr.data.mixing import Mixture
from tfmr.errors import InputError

Arrays = dict[str, Int[np.ndarray, "rows length"]]
"""The arrays of a batch by name."""

LENGTH_MULTIPLE = 4
"""Padded lengths are multiples of this, which suits vector units."""
ROWS_MULTIPLE = 8
"""The number of rows of a batch is a multiple of this, unless it is smaller, so that devices can share the rows."""


@dataclass(frozen=True)
class Bucket:
    """A padded shape. Training compiles one program for each."""

    rows: int
    source_length: int
    target_length: int


@dataclass(frozen=True)
class Batch:
    """Sentences that are computed together."""

    bucket: Bucket
    indices: Int[np.ndarray, " sentences"]
    """The indices of the sentences, row after row."""
    rows: Int[np.ndarray, " sentences"] | None = None
    """The row of each sentence, less than `bucket.rows`, ascending. None: one sentence per row."""


@dataclass(frozen=True)
class BatchPlan(abc.ABC):
    """The batches of every epoch.

    Attributes:
      buckets: the shapes of the batches, from short to long.
      tokens: number of source and target tokens in an epoch; in the first one if epochs differ.
      left_out: number of pairs that are left out because one side is empty or longer than max_length.
      seed: determines the order.
      mixture: how often an epoch has each usable pair, token or part of a document. None: once.
    """

    buckets: tuple[Bucket, ...]
    tokens: int
    left_out: int
    seed: int
    mixture: Mixture | None = field(default=None, kw_only=True)

    @abc.abstractmethod
    def epoch(self, epoch: int) -> list[Batch]:
        """Returns the batches of an epoch in order. Each sentence is in one of them, chosen at random.

        With a mixture, it is in as many as the mixture says.
        """

    def padding_share(self) -> float:
        """Returns the fraction of padding in the source and target arrays of an epoch."""
        shapes = [batch.bucket for batch in self.epoch(0)]
        size = sum(shape.rows * (shape.source_length + shape.target_length) for shape in shapes)
        return 1.0 - self.tokens / size


@dataclass(frozen=True)
class BucketedPlan(BatchPlan):
    """Pairs in buckets by length, one per row.

    Attributes:
      members: the indices of the sentences of each bucket, ascending.
    """

    members: tuple[Int[np.ndarray, " _"], ...]

    def epoch(self, epoch: int) -> list[Batch]:
        """Returns the batches. The rest of a bucket moves to the next longer one, so at most one batch is not full."""
        random = np.random.default_rng([self.seed, epoch])
        batches = []
        left = np.empty(0, np.int64)
        for bucket, members in zip(self.buckets, self._members(epoch), strict=True):
            pool = random.permutation(np.concatenate([left, members]))
            full = len(pool) // bucket.rows * bucket.rows
            batches += [Batch(bucket, indices) for indices in pool[:full].reshape(-1, bucket.rows)]
            left = pool[full:]
        if len(left):
            batches.append(Batch(self.buckets[-1], left))
        return [batches[i] for i in random.permutation(len(batches))]

    def _members(self, epoch: int) -> Sequence[Int[np.ndarray, " _"]]:
        """Returns the sentences of each bucket in an epoch."""
        if self.mixture is None:
            return self.members
        usable = np.sort(np.concatenate(self.members), kind="stable")
        copies = np.zeros(usable[-1] + 1, np.int64)
        copies[usable] = self.mixture.copies(epoch)
        return [np.repeat(members, copies[members]) for members in self.members]


def make_plan(
    source_lengths: Int[np.ndarray, " sentences"],
    target_lengths: Int[np.ndarray, " sentences"],
    *,
    tokens_per_batch: int,
    num_buckets: int,
    max_length: int,
    seed: int,
    mixture: Mixture | None = None,
) -> BucketedPlan:
    """Returns the plan for sentence pairs of these lengths, EOS included.

    Args:
      source_lengths: number of tokens of each source.
      target_lengths: number of tokens of each target.
      tokens_per_batch: maximum of rows times the longer of the two padded lengths, unless a single row is longer.
      num_buckets: maximum number of padded shapes.
      max_length: pairs with a longer side are left out.
      seed: determines the order.
      mixture: how often an epoch has each pair that is not left out. None: once.

    Raises:
      InputError: if no pair is left.
    """
    usable = usable_pairs(source_lengths, target_lengths, max_length)
    lengths = np.maximum(source_lengths, target_lengths)
    padded = -(-lengths // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
    buckets, members = [], []
    shorter = 0
    weights = None if mixture is None else mixture.weight_of_items()
    for boundary in best_boundaries(padded[usable], num_buckets, weights):
        inside = np.flatnonzero(usable & (padded > shorter) & (padded <= boundary))
        buckets.append(Bucket(rows_of(tokens_per_batch, boundary), boundary, boundary))
        members.append(inside)
        shorter = boundary
    copies = 1 if mixture is None else mixture.copies(0)
    tokens = int(((source_lengths + target_lengths)[usable] * copies).sum())
    return BucketedPlan(tuple(buckets), tokens, int((~usable).sum()), seed, tuple(members), mixture=mixture)


def usable_pairs(
    source_lengths: Int[np.ndarray, " sentences"], target_lengths: Int[np.ndarray, " sentences"], max_length: int
) -> Bool[np.ndarray, " sentences"]:
    """Returns which pairs are short enough and not empty; raises InputError if there are none."""
    # A side of one token is only EOS: there is nothing to learn from it.
    longer, shorter = np.maximum(source_lengths, target_lengths), np.minimum(source_lengths, target_lengths)
    usable = (longer <= max_length) & (shorter > 1)
    if not usable.any():
        raise InputError(
            f"data.max_length = {max_length}: all {len(usable)} sentence pairs are longer or empty; increase it"
        )
    return usable


def rows_of(tokens_per_batch: int, length: int) -> int:
    """Returns the number of rows of this length in a batch."""
    rows = max(1, tokens_per_batch // length)
    return rows // ROWS_MULTIPLE * ROWS_MULTIPLE or rows


def best_boundaries(
    lengths: Int[np.ndarray, " sentences"],
    num_buckets: int,
    weights: Float[np.ndarray, " sentences"] | None = None,
) -> list[int]:
    """Returns the padded lengths, at most `num_buckets` and ascending, with the least padding for these lengths.

    `weights` is how often each sentence occurs. None: once.

    This is dynamic programming over the distinct lengths: cost[k, j] is the least total padded length of all sentences
    up to the j-th distinct length in k buckets.
    """
    values, number = np.unique(lengths, return_inverse=True)
    counts = np.bincount(number, weights)
    num_buckets = min(num_buckets, len(values))
    below = np.concatenate([[0], np.cumsum(counts)])
    cost = np.full((num_buckets + 1, len(values) + 1), np.inf)
    cost[0, 0] = 0
    cut = np.zeros((num_buckets + 1, len(values) + 1), np.int64)
    for k in range(1, num_buckets + 1):
        for j in range(1, len(values) + 1):
            totals = cost[k - 1, :j] + values[j - 1] * (below[j] - below[:j])
            cut[k, j] = np.argmin(totals)
            cost[k, j] = totals[cut[k, j]]
    boundaries = []
    j = len(values)
    for k in range(num_buckets, 0, -1):
        boundaries.append(int(values[j - 1]))
        j = cut[k, j]
    return boundaries[::-1]


def with_rows(bucket: Bucket, multiple: int) -> Bucket:
    """Returns the bucket with its number of rows rounded up to a multiple, for example of the number of devices."""
    return dataclasses.replace(bucket, rows=-(-bucket.rows // multiple) * multiple)


class Layout(NamedTuple):
    """Where each token of a batch comes from and where it goes, part after part.

    A part is a sentence, or a piece of a running text.
    """

    index: tuple[Int[np.ndarray, " tokens"], Int[np.ndarray, " tokens"]]
    """Its row and column in the batch."""
    source: Int[np.ndarray, " tokens"]
    """Its index in the token array."""
    segment: Int[np.ndarray, " tokens"]
    """The number of its part in the row, from 1."""
    position: Int[np.ndarray, " tokens"]
    """Its position in its part, from 0."""

    def fill(self, shape: tuple[int, int], values: Integer[np.ndarray, " tokens"], rest: int = 0) -> np.ndarray:
        """Returns int32 rows with these values of the tokens, and `rest` everywhere else."""
        rows = np.full(shape, rest, np.int32)
        rows[self.index] = values
        return rows


def lay_out(
    starts: Int[np.ndarray, " parts"], lengths: Int[np.ndarray, " parts"], row_of: Int[np.ndarray, " parts"]
) -> Layout:
    """Lays out parts one after another in their rows.

    Args:
      starts: index of the first token of each part in the token array.
      lengths: number of tokens of each part.
      row_of: row of each part; ascending.
    """
    begin = np.cumsum(lengths) - lengths  # of each part, if all were in a single row
    number = np.arange(len(starts))
    first_of_row = np.searchsorted(row_of, row_of)
    position = np.arange(lengths.sum()) - np.repeat(begin, lengths)
    return Layout(
        index=(np.repeat(row_of, lengths), np.repeat(begin - begin[first_of_row], lengths) + position),
        source=np.repeat(starts, lengths) + position,
        segment=np.repeat(number - first_of_row + 1, lengths),
        position=position,
    )

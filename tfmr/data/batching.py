"""The batch plan: which sentences stand together, at which padded shape. Here: pairs of like length, one to a row.

A plan is a pure function of the sentences' lengths, a seed and the number of the epoch. So the place in the data is two
integers, `(epoch, batch)`, whatever machine reads it.
"""

import abc
import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from tfmr.errors import InputError

LENGTH_MULTIPLE = 4
"""Padded lengths are multiples of this: vector units like even shapes."""
ROWS_MULTIPLE = 8
"""Rows of a batch are a multiple of this where there are so many, so that they divide over devices."""


@dataclass(frozen=True)
class Bucket:
    """A padded shape, and so a compiled program."""

    rows: int
    source_length: int
    target_length: int


@dataclass(frozen=True)
class Batch:
    """Sentences that are computed together."""

    bucket: Bucket
    indices: Int[np.ndarray, " sentences"]
    """Numbers of sentences, row after row."""
    rows: Int[np.ndarray, " sentences"] | None = None
    """The row that each of them stands in, less than `bucket.rows`, ascending. None: each in a row of its own."""


@dataclass(frozen=True)
class BatchPlan(abc.ABC):
    """The batches of every epoch.

    Attributes:
      buckets: the shapes of the batches, from short to long.
      tokens: number of tokens, source and target, of all sentences that stand in an epoch.
      left_out: number of pairs with a side longer than max_length or without a token besides the end mark.
      seed: decides the order.
    """

    buckets: tuple[Bucket, ...]
    tokens: int
    left_out: int
    seed: int

    @abc.abstractmethod
    def epoch(self, epoch: int) -> list[Batch]:
        """Returns the batches of an epoch in their order: each sentence once, in random company."""

    def padding_share(self) -> float:
        """Returns the share of padding in the arrays of an epoch, source and target together."""
        shapes = [batch.bucket for batch in self.epoch(0)]
        places = sum(shape.rows * (shape.source_length + shape.target_length) for shape in shapes)
        return 1.0 - self.tokens / places


@dataclass(frozen=True)
class BucketedPlan(BatchPlan):
    """Buckets by length, a sentence to a row.

    Attributes:
      members: the numbers of each bucket's sentences, ascending.
    """

    members: tuple[Int[np.ndarray, " _"], ...]

    def epoch(self, epoch: int) -> list[Batch]:
        """Returns the batches of an epoch in their order: each sentence once, in random company.

        What does not fill a batch of its bucket goes to the next longer one, so only one batch is not full.
        """
        random = np.random.default_rng([self.seed, epoch])
        batches = []
        left = np.empty(0, np.int64)
        for bucket, members in zip(self.buckets, self.members, strict=True):
            pool = random.permutation(np.concatenate([left, members]))
            full = len(pool) // bucket.rows * bucket.rows
            batches += [Batch(bucket, indices) for indices in pool[:full].reshape(-1, bucket.rows)]
            left = pool[full:]
        if len(left):
            batches.append(Batch(self.buckets[-1], left))
        return [batches[i] for i in random.permutation(len(batches))]


def make_plan(
    source_lengths: Int[np.ndarray, " sentences"],
    target_lengths: Int[np.ndarray, " sentences"],
    *,
    tokens_per_batch: int,
    num_buckets: int,
    max_length: int,
    seed: int,
) -> BucketedPlan:
    """Returns the plan for sentence pairs of these lengths, end marks included.

    Args:
      source_lengths: tokens of each source.
      target_lengths: tokens of each target.
      tokens_per_batch: rows times the longer of the two padded lengths is at most this, unless one row is longer.
      num_buckets: number of padded shapes at most.
      max_length: pairs with a longer side are left out.
      seed: decides the order.

    Raises:
      InputError: where no pair is left.
    """
    usable = usable_pairs(source_lengths, target_lengths, max_length)
    lengths = np.maximum(source_lengths, target_lengths)
    padded = -(-lengths // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
    buckets, members = [], []
    shorter = 0
    for boundary in best_boundaries(padded[usable], num_buckets):
        inside = np.flatnonzero(usable & (padded > shorter) & (padded <= boundary))
        buckets.append(Bucket(rows_of(tokens_per_batch, boundary), boundary, boundary))
        members.append(inside)
        shorter = boundary
    tokens = int(source_lengths[usable].sum() + target_lengths[usable].sum())
    return BucketedPlan(tuple(buckets), tokens, int((~usable).sum()), seed, tuple(members))


def usable_pairs(
    source_lengths: Int[np.ndarray, " sentences"], target_lengths: Int[np.ndarray, " sentences"], max_length: int
) -> Bool[np.ndarray, " sentences"]:
    """Returns True for each pair that is short enough and not empty; raises InputError where there is none."""
    # A side of one token is the end mark alone: there is nothing to learn from.
    longer, shorter = np.maximum(source_lengths, target_lengths), np.minimum(source_lengths, target_lengths)
    usable = (longer <= max_length) & (shorter > 1)
    if not usable.any():
        raise InputError(
            f"data.max_length = {max_length}: none of {len(usable)} sentence pairs is that short and not empty"
        )
    return usable


def rows_of(tokens_per_batch: int, length: int) -> int:
    """Returns the number of rows of this length in a batch."""
    rows = max(1, tokens_per_batch // length)
    return rows // ROWS_MULTIPLE * ROWS_MULTIPLE or rows


def best_boundaries(lengths: Int[np.ndarray, " sentences"], num_buckets: int) -> list[int]:
    """Returns the at most `num_buckets` padded lengths that pad these lengths least, ascending.

    Dynamic programming over the distinct lengths: cost[k, j] is the least number of places for all sentences up to
    the j-th distinct length in k buckets.
    """
    values, counts = np.unique(lengths, return_counts=True)
    num_buckets = min(num_buckets, len(values))
    below = np.concatenate([[0], np.cumsum(counts)])
    cost = np.full((num_buckets + 1, len(values) + 1), np.inf)
    cost[0, 0] = 0
    cut = np.zeros((num_buckets + 1, len(values) + 1), np.int64)
    for k in range(1, num_buckets + 1):
        for j in range(1, len(values) + 1):
            places = cost[k - 1, :j] + values[j - 1] * (below[j] - below[:j])
            cut[k, j] = np.argmin(places)
            cost[k, j] = places[cut[k, j]]
    boundaries = []
    j = len(values)
    for k in range(num_buckets, 0, -1):
        boundaries.append(int(values[j - 1]))
        j = cut[k, j]
    return boundaries[::-1]


def with_rows(bucket: Bucket, multiple: int) -> Bucket:
    """Returns the bucket with its rows rounded up to a multiple, of the number of devices for example."""
    return dataclasses.replace(bucket, rows=-(-bucket.rows // multiple) * multiple)

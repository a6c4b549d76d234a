"""Packed batches: several sentence pairs per row, all batches of one shape, almost no padding.

Sentences do not attend to their neighbours in a row, so it does not matter which of them share a row, only which share
a batch. The packing is therefore computed once, from the lengths alone: how many rows contain which lengths. Each epoch
draws which sentences of these lengths are used where, and the order of the rows.
"""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from tfmr.data.batching import ROWS_MULTIPLE, Batch, BatchPlan, Bucket, rows_of, usable_pairs
from tfmr.data.mixing import Mixture

ROW_LENGTH_MULTIPLE = 8
"""The two lengths of a packed row are multiples of this."""
FULL_ENOUGH = 0.97
"""Rows are made longer only until this share of them is filled, because attention costs more in longer rows."""
FINEST = 256
"""Lengths are distinguished in steps of the longest divided by this, which bounds the number of kinds and the work."""
STRETCHES = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Row lengths to try, relative to the shortest possible row."""


class Kinds(NamedTuple):
    """The lengths of the pairs of each kind and of a row, in the same unit."""

    source: Int[np.ndarray, " kinds"]
    target: Int[np.ndarray, " kinds"]
    row: tuple[int, int]
    """Source and target length of a row; every pair fits into one."""


class Rows(NamedTuple):
    """Rows that are filled with kinds of pairs."""

    slots: Int[np.ndarray, " pairs"]
    """The slots, sorted by kind; slots are numbered row after row."""
    sizes: Int[np.ndarray, " all_rows"]
    """Number of pairs in each row."""


@dataclass(frozen=True)
class PackedPlan(BatchPlan):
    """Rows that are filled with several sentence pairs each.

    Pairs with the same two lengths (nearly the same, if they are long) are of one kind. Each row consists of slots, and
    a slot takes a pair of one kind.

    Attributes:
      pairs: the indices of all usable pairs, ascending.
      kind_of: the kind of each pair.
      kinds: their lengths.
      rows: the rows of an epoch; of the first one if epochs differ.
    """

    pairs: Int[np.ndarray, " pairs"]
    kind_of: Int[np.ndarray, " pairs"]
    kinds: Kinds
    rows: Rows

    def epoch(self, epoch: int) -> list[Batch]:
        """Returns the batches of an epoch in order. Only the last one may have empty rows."""
        if self.mixture is not None:
            return self._drawn(self.mixture.copies(epoch)).epoch(epoch)
        random = np.random.default_rng([self.seed, epoch])
        shuffled = random.permutation(len(self.pairs))
        pair_in_slot = np.empty_like(self.pairs)
        pair_in_slot[self.rows.slots] = self.pairs[shuffled[np.argsort(self.kind_of[shuffled], kind="stable")]]
        row_order = random.permutation(len(self.rows.sizes))
        sizes = self.rows.sizes[row_order]
        starts = (np.cumsum(self.rows.sizes) - self.rows.sizes)[row_order]
        ends = np.cumsum(sizes)
        # Row after row in the new order: the first slot of the row in the old order, plus the index in the row.
        indices = pair_in_slot[np.repeat(starts - (ends - sizes), sizes) + np.arange(len(pair_in_slot))]
        bucket = self.buckets[0]
        batches = []
        for first in range(0, len(sizes), bucket.rows):
            inside = sizes[first : first + bucket.rows]
            begin, end = ends[first] - sizes[first], ends[first] - sizes[first] + inside.sum()
            batches.append(Batch(bucket, indices[begin:end], np.repeat(np.arange(len(inside)), inside)))
        return batches

    def _drawn(self, copies: Int[np.ndarray, " pairs"]) -> "PackedPlan":
        """Returns the plan of an epoch that has each pair this often."""
        pairs, kind_of = np.repeat(self.pairs, copies), np.repeat(self.kind_of, copies)
        rows = fill_rows(self.kinds, np.bincount(kind_of, minlength=len(self.kinds.source)))
        return dataclasses.replace(self, pairs=pairs, kind_of=kind_of, rows=rows, mixture=None)


def make_packed_plan(
    source_lengths: Int[np.ndarray, " sentences"],
    target_lengths: Int[np.ndarray, " sentences"],
    *,
    tokens_per_batch: int,
    max_length: int,
    seed: int,
    mixture: Mixture | None = None,
) -> PackedPlan:
    """Returns the plan that packs sentence pairs of these lengths, EOS included.

    A row has room for the longest usable pair. The ratio of its two lengths is that of all source to all target tokens,
    so that both sides fill up together. The row length is the shortest of several whose rows are 97% full, or else the
    one with the fullest rows. Arguments and errors are those of `make_plan`.
    """
    usable = usable_pairs(source_lengths, target_lengths, max_length)
    lengths = np.stack([source_lengths[usable], target_lengths[usable]]).astype(np.int64)
    copies = np.ones(lengths.shape[1], np.int64) if mixture is None else mixture.copies(0)
    totals = (lengths * copies).sum(axis=1)
    grain = int(-(-lengths.max() // FINEST))
    grains = -(-lengths // grain)
    values, kind_of = np.unique(grains[0] * (FINEST + 1) + grains[1], return_inverse=True)
    counts = np.bincount(np.repeat(kind_of, copies), minlength=len(values))
    source, target = np.divmod(values, FINEST + 1)
    best: tuple = (0.0,)
    for row in _row_lengths(lengths.max(axis=1), totals, ROW_LENGTH_MULTIPLE * grain, tokens_per_batch):
        kinds = Kinds(source, target, (row[0] // grain, row[1] // grain))
        rows = fill_rows(kinds, counts)
        fill = totals.sum() / (len(rows.sizes) * sum(row))
        if fill > best[0]:
            best = fill, row, kinds, rows
        if fill >= FULL_ENOUGH:
            break
    _, row, kinds, rows = best
    return PackedPlan(
        buckets=(Bucket(rows_of(tokens_per_batch, max(row)), *row),),
        tokens=int(totals.sum()),
        left_out=int((~usable).sum()),
        seed=seed,
        pairs=np.flatnonzero(usable),
        kind_of=kind_of,
        kinds=kinds,
        rows=rows,
        mixture=mixture,
    )


def fill_rows(kinds: Kinds, counts: Int[np.ndarray, " kinds"]) -> Rows:
    """Returns rows that are filled with this number of pairs of each kind."""
    patterns, times = pack(kinds.source, kinds.target, counts, kinds.row)
    slot_kinds = np.concatenate([np.tile(pattern, n) for pattern, n in zip(patterns, times, strict=True)])
    return Rows(np.argsort(slot_kinds, kind="stable"), np.repeat([len(pattern) for pattern in patterns], times))


def _row_lengths(
    longest: Int[np.ndarray, "2"], total: Int[np.ndarray, "2"], multiple: int, tokens_per_batch: int
) -> list[tuple[int, int]]:
    """Returns the (source, target) row lengths to try, from short to long.

    Args:
      longest: the longest source and target.
      total: the number of source and target tokens.
      multiple: lengths are multiples of this.
      tokens_per_batch: limits the length of rows.
    """
    # In the ratio of the totals, as short as the longest sentence of either side allows.
    shortest = (longest[:, None] * total / total[:, None]).max(axis=0)
    # Batches of longer rows would have too few rows for the devices to share.
    limit = tokens_per_batch // ROWS_MULTIPLE
    found: list[tuple[int, int]] = []
    for stretch in STRETCHES:
        wanted = np.ceil(stretch * shortest / multiple).astype(int) * multiple
        source, target = wanted.tolist()
        if not found or (max(source, target) <= limit and (source, target) != found[-1]):
            found.append((source, target))
    return found


def pack(
    source: Int[np.ndarray, " kinds"],
    target: Int[np.ndarray, " kinds"],
    counts: Int[np.ndarray, " kinds"],
    row: tuple[int, int],
) -> tuple[list[list[int]], list[int]]:
    """Packs pairs into rows: returns the kinds that share a row, and the number of rows filled in this way.

    The largest remaining pair starts a row. The pair that leaves the least room on both sides is added until none fits.
    The row is then repeated as long as there are pairs for it, so the work grows with the number of kinds instead of
    the number of pairs.

    Args:
      source: source length of a pair of each kind.
      target: target length of a pair of each kind.
      counts: number of pairs of each kind.
      row: source and target length of a row; every pair fits into one.
    """
    # In units in which both sides of a row are equally long. Integers, so that the result is the same on every machine.
    room = row[0] * row[1]
    source, target = source * row[1], target * row[0]
    order = np.argsort((room - source) ** 2 + (room - target) ** 2, kind="stable")
    source, target, left = source[order], target[order], counts[order]
    patterns, times = [], []
    alive = np.flatnonzero(left)
    while len(alive):
        pattern = _fill_row(source, target, left, alive, room)
        in_row = Counter(pattern)
        more = min(left[kind] // number for kind, number in in_row.items())
        for kind, number in in_row.items():
            left[kind] -= more * number
        patterns.append(order[pattern].tolist())
        times.append(1 + int(more))
        alive = alive[left[alive] > 0]
    return patterns, times


def _fill_row(source: np.ndarray, target: np.ndarray, left: np.ndarray, alive: np.ndarray, room: int) -> list[int]:
    """Returns the kinds in one row and removes them from `left`; `alive` are the kinds to choose from."""
    pattern = [int(alive[0])]  # the largest, because they are sorted
    free_source = free_target = room
    fits = alive
    while True:
        kind = pattern[-1]
        left[kind] -= 1
        free_source -= source[kind]
        free_target -= target[kind]
        fits = fits[(source[fits] <= free_source) & (target[fits] <= free_target) & (left[fits] > 0)]
        if not len(fits):
            return pattern
        waste = (free_source - source[fits]) ** 2 + (free_target - target[fits]) ** 2
        pattern.append(int(fits[np.argmin(waste)]))

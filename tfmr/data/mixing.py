"""Mixing by weight: how often an epoch has each item of each entry of a corpus.

An entry is one of the names in a list of files, and its items are sentence pairs, tokens or documents. Its items are in
a fixed order that repeats without end. An epoch takes the next `weight` times their number, from where the last epoch
stopped. After n epochs, an item has therefore been used n times the weight, rounded up or down.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from tfmr.errors import InputError


def is_mixed(weights: Sequence[float]) -> bool:
    """Returns whether an epoch with these weights differs from one that has everything once."""
    return any(weight != 1.0 for weight in weights)


def described_mixture(mixture: "Mixture | None", names: Sequence[str]) -> list[str]:
    """Returns a line for people that says how much of an epoch comes from each entry; [] if they are not mixed."""
    if mixture is None:
        return []
    entries = zip(mixture.shares(), names, mixture.weights, strict=True)
    return ["a mixture   " + ", ".join(f"{share:.1%} {name} (weight {weight:g})" for share, name, weight in entries)]


def turns(size: int, weight: float, epoch: int) -> list[tuple[int, int]]:
    """Returns the ranges of the items 0 to `size` that an epoch uses, in order. A range has no item twice."""
    # Rounded first, because 29 * 0.02 * 50 is 28.999999999999996.
    first, end = (math.floor(round(number * weight * size, 6)) for number in (epoch, epoch + 1))
    ranges = []
    while first < end:
        begin = first % size
        length = min(size - begin, end - first)
        ranges.append((begin, begin + length))
        first += length
    return ranges


@dataclass(frozen=True)
class Mixture:
    """The items of several entries, one entry after another, and their weights."""

    boundaries: Int[np.ndarray, " entries_and_1"]
    """Entry i has the items boundaries[i] to boundaries[i + 1]."""
    weights: tuple[float, ...]
    """How often an epoch has each item of each entry."""
    seed: int
    """Determines the fixed order of the items, where it is random."""

    def __post_init__(self):
        if len(self.boundaries) != len(self.weights) + 1:
            raise ValueError(f"{len(self.weights)} weights for {len(self.boundaries) - 1} entries")
        if max(self._amounts()) < 1.0:
            raise InputError(f"data.weights = {self.weights}: an epoch would be empty; use larger weights")

    def _amounts(self) -> Float[np.ndarray, " entries"]:
        return np.diff(self.boundaries) * self.weights

    def shares(self) -> Float[np.ndarray, " entries"]:
        """Returns the share of the items of an epoch that come from each entry."""
        return self._amounts() / self.amount

    @property
    def amount(self) -> float:
        """The number of items in an epoch, on average."""
        return float(self._amounts().sum())

    def weight_of_items(self) -> Float[np.ndarray, " items"]:
        """Returns the weight of each item."""
        return np.repeat(self.weights, np.diff(self.boundaries))

    def copies(self, epoch: int) -> Int[np.ndarray, " items"]:
        """Returns how often an epoch has each item. The order in which the items of an entry are used is random."""
        copies = np.zeros(self.boundaries[-1], np.int64)
        for entry, (weight, begin, end) in enumerate(self._entries()):
            order = None if weight % 1 == 0 else np.random.default_rng([self.seed, entry]).permutation(end - begin)
            for first, last in turns(end - begin, weight, epoch):
                copies[begin:end][slice(first, last) if order is None else order[first:last]] += 1
        return copies

    def ranges(self, epoch: int) -> list[tuple[int, int]]:
        """Returns the ranges of items of an epoch, where items follow each other in their own order."""
        return [
            (begin + first, begin + last)
            for weight, begin, end in self._entries()
            for first, last in turns(end - begin, weight, epoch)
        ]

    def draw(self, number: int, last: int, random: np.random.Generator) -> Int[np.ndarray, " number"]:
        """Returns random items up to `last`: of each entry in proportion to its share, all its items equally often."""
        entry = np.searchsorted(np.cumsum(self.shares())[:-1], random.random(number), side="right")
        begin = np.minimum(self.boundaries[entry], last)
        return random.integers(begin, np.maximum(np.minimum(self.boundaries[entry + 1], last + 1), begin + 1))

    def _entries(self) -> Iterator[tuple[float, int, int]]:
        """Yields the weight of each entry, its first item, and the item after its last."""
        yield from zip(self.weights, self.boundaries[:-1].tolist(), self.boundaries[1:].tolist(), strict=True)

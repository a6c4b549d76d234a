"""Random choices that are the same in all versions of Python."""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Random choices from a seed. They use only `random()`, which Python guarantees not to change."""

    def __init__(self, seed: int):
        self._random = random.Random(seed).random

    def below(self, n: int) -> int:
        """Returns a number from 0 to n - 1."""
        return int(self._random() * n)

    def chance(self, probability: float) -> bool:
        """Returns True with this probability."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Returns one of the options, all with the same probability."""
        return options[self.below(len(options))]

    def weighted(self, weights: Mapping[T, int]) -> T:
        """Returns one of the keys, with a probability proportional to its weight."""
        *others, last = weights
        point = self._random() * sum(weights.values())
        for option in others:
            point -= weights[option]
            if point < 0:
                return option
        return last

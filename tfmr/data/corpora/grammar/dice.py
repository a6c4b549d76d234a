"""Random choices that stay the same over versions of Python."""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Random choices from a seed; made of `random()` alone, which Python promises never to change."""

    def __init__(self, seed: int):
        self._random = random.Random(seed).random

    def below(self, n: int) -> int:
        """Returns a number from 0 to n - 1."""
        return int(self._random() * n)

    def chance(self, probability: float) -> bool:
        """Returns True with this probability."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Returns one of the options, each as likely as any other."""
        return options[self.below(len(options))]

    def weighted(self, weights: Mapping[T, int]) -> T:
        """Returns one of the keys, as likely as its share of the weights."""
        *others, last = weights
        point = self._random() * sum(weights.values())
        for option in others:
            point -= weights[option]
            if point < 0:
                return option
        return last

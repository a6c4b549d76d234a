"""The built-in corpus: English sentences and their German translations, made by a small grammar.

A sentence is drawn as a meaning and said in both languages, so the English
decides the German exactly: a model that has learnt the grammar scores near
100 BLEU. One that copies words does not, for it must agree in gender, case and
number, order the words anew and make compounds.

    lexicon_*, dictionary, entries      the words, and how their lines are read
    meaning                             what is said: clauses, phrases
    english, english_words, numbers     how English says it
    german, german_words, numbers       how German says it
    draw_*, dice                        what is drawn, and how often
"""

import hashlib
import itertools
from collections.abc import Iterator

from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.draw_sentences import draw_sentence
from tfmr.data.corpora.grammar.english import english
from tfmr.data.corpora.grammar.german import german
from tfmr.errors import InputError, nearest

VERSION = "1.0.0"
"""Changes whenever a sentence does."""
VALIDATION_SIZE = 500
TEST_SIZE = 500
MAXIMUM_SIZE = 5_000_000
"""Largest number of pairs of a split. There are many more, but short new ones become rare."""

# The tenths of all English sentences that belong to each split.
_TENTHS = {"train": range(8), "validation": range(8, 9), "test": range(9, 10)}


def sentence_pairs(split: str, size: int, seed: int = 0) -> list[tuple[str, str]]:
    """Returns `size` distinct (English, German) pairs of "train", "validation" or "test".

    The same arguments give the same pairs on every machine, and a larger size begins with the pairs of a smaller one.
    The splits have no English sentence in common, whatever the sizes and seeds.

    Raises:
      InputError: for an unknown split or an impossible size.
    """
    return list(stream_pairs(split, size, seed))


def stream_pairs(split: str, size: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yields the pairs that `sentence_pairs` returns; raises InputError at once as it does."""
    if split not in _TENTHS:
        raise InputError(f"split {split!r}: must be one of {', '.join(_TENTHS)}{nearest(split, _TENTHS)}")
    if not 0 <= size <= MAXIMUM_SIZE:
        raise InputError(f"size {size} of the grammar's {split} split: must be from 0 to {MAXIMUM_SIZE}")
    return itertools.islice(_distinct_pairs(split, seed), size)


def split_of(source: str) -> str:
    """Returns the split that an English sentence belongs to, decided by its hash alone."""
    tenth = _hash(source) % 10
    return next(split for split, tenths in _TENTHS.items() if tenth in tenths)


def _distinct_pairs(split: str, seed: int) -> Iterator[tuple[str, str]]:
    """Yields pairs of one split for ever, no English sentence twice."""
    dice = Dice(_hash(f"{split} {seed}"))
    seen: set[str] = set()
    while True:
        sentence = draw_sentence(dice)
        source = english(sentence)
        if source not in seen and split_of(source) == split:
            seen.add(source)
            yield source, german(sentence)


def _hash(text: str) -> int:
    """Returns a number from 0 to 2**64 - 1 that, unlike that of Python's hash, is always the same."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big")

"""Whole words in a text that is written token by token, however it is cut into tokens.

A word's automaton reads the text's bytes and knows how much of the word stands at the text's end. Run over every
token of the vocabulary from every state, it becomes a table that a search can follow token by token. So a word is
found by what is read in the end, not by the tokens that the tokenizer would have cut it into.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from tfmr.data.tokenizer import EOS_ID

NEVER = 2**30
_SAME = 256
"""The column of a byte table that stands for no byte at all."""


class WordTable(NamedTuple):
    """Where each token leads. State 0 is the start of the text, the last state that a word has been found: for good."""

    next_state: Int[np.ndarray, "states vocab"]

    @property
    def found(self) -> int:
        """The last state."""
        return len(self.next_state) - 1

    @property
    def completes(self) -> Bool[np.ndarray, "states vocab"]:
        """After which tokens a word stands in the text."""
        return self.next_state == self.found

    @property
    def at_end(self) -> Bool[np.ndarray, " states"]:
        """In which states a word stands in the text if it ends there."""
        return self.completes[:, EOS_ID]

    @property
    def breaks(self) -> Bool[np.ndarray, "states vocab"]:
        """After which tokens a word that stood in the text, had it ended, is part of a longer one."""
        return self.at_end[:, None] & ~self.at_end[self.next_state]

    def tokens_to_end(self) -> Int[np.ndarray, "states vocab"]:
        """Returns how many tokens it takes to end a text after each token if no word may stand in it, EOS included.

        0 after EOS; `NEVER` where a word stands in the text, or will in any case.
        """
        needed = np.full(len(self.next_state), NEVER, np.int32)  # from a state on
        needed[~self.at_end] = 1
        while True:
            # Whoever can reach a state that ends in n tokens can end in n + 1.
            through = np.minimum(needed[self.next_state].min(axis=1), NEVER - 1) + 1
            shorter = np.where(np.arange(len(needed)) == self.found, NEVER, np.minimum(needed, through))
            if (shorter == needed).all():
                break
            needed = shorter
        after = needed[self.next_state]
        after[:, EOS_ID] = np.where(self.at_end, NEVER, 0)
        return after

    def walk(self, tokens: Sequence[int], state: int = 0) -> int:
        """Returns the state after some tokens."""
        for token in tokens:
            state = int(self.next_state[state, token])
        return state


def word_table(words: Sequence[str], pieces: Sequence[bytes]) -> WordTable:
    """Returns the table that finds any of the words.

    Args:
      words: each without spaces around it. As a whole word only, where its edge is a letter or digit of a script that
        sets words apart: "art" does not stand in "party", but 犬 stands in 犬が.
      pieces: what each token adds to the text, in bytes; the end mark adds nothing.
    """
    table = _byte_table([word.strip() for word in words])
    # The end of the text ends a word as a space does.
    texts = [b" " if token == EOS_ID else piece for token, piece in enumerate(pieces)]
    states = np.tile(np.arange(len(table), dtype=np.int32)[:, None], len(texts))
    for column in _columns(texts):
        states = table[states, column]
    return WordTable(states)


def suggested_tokens(table: WordTable, tokens: Sequence[int], space: int = -1) -> Int[np.ndarray, " states"]:
    """Returns the token to go on with towards a word, state by state; -1: none.

    Args:
      table: of that one word.
      tokens: the word as the tokenizer cuts it.
      space: the token of a space alone, if there is one: it leads to where a word may begin.
    """
    suggested = np.full(len(table.next_state), -1, np.int32)
    begins = table.next_state[:, tokens[0]] == table.walk(tokens[:1])
    suggested[~table.at_end] = np.where(begins, tokens[0], space)[~table.at_end]
    state = 0
    for token in tokens:
        suggested[state] = token
        state = table.walk([token], state)
    return suggested


def token_progress(table: WordTable, tokens: Sequence[int]) -> Int[np.ndarray, " states"]:
    """Returns how many of a word's tokens stand at the text's end, state by state; all of them once it is found."""
    progress = np.zeros(len(table.next_state), np.int32)
    state = 0
    for number, token in enumerate(tokens, start=1):
        state = table.walk([token], state)
        progress[state] = number
    progress[table.at_end] = len(tokens)
    return progress


def _columns(texts: Sequence[bytes]) -> Int[np.ndarray, "longest vocab"]:
    """Returns the first byte of every text, the second, ...; `_SAME` after a text's end."""
    longest = max(map(len, texts))
    columns = np.full((longest, len(texts)), _SAME, np.int32)
    for token, text in enumerate(texts):
        columns[: len(text), token] = list(text)
    return columns


def _byte_table(words: Sequence[str]) -> Int[np.ndarray, "states 257"]:
    """The automaton over bytes, found state by state from the start."""
    patterns = [_Pattern.of(word) for word in words]
    start = _State(between=True, partial=frozenset())
    numbers: dict[_State, int] = {start: 0}
    rows = []
    for state in (queue := [start]):
        row = []
        for byte in range(256):
            after = _read(patterns, state, byte)
            if after is not None and after not in numbers:
                numbers[after] = len(numbers)
                queue.append(after)
            row.append(after)
        rows.append(row)
    found = len(numbers)
    table = np.full((found + 1, 257), found, np.int32)
    for state, row in enumerate(rows):
        table[state, :256] = [found if after is None else numbers[after] for after in row]
    table[:, _SAME] = np.arange(found + 1)
    return table


class _Pattern(NamedTuple):
    text: bytes
    apart_before: bool
    """Whether another word's letter may not stand right before it."""
    apart_after: bool

    @classmethod
    def of(cls, word: str) -> "_Pattern":
        return cls(word.encode(), not _is_between(word[0].encode()[0]), not _is_between(word[-1].encode()[0]))


class _State(NamedTuple):
    """What matters of the text so far."""

    between: bool
    """Whether its last character is none of a word."""
    partial: frozenset[tuple[int, int]]
    """Which words stand at its end, and with how many of their bytes."""


def _read(patterns: Sequence[_Pattern], state: _State, byte: int) -> _State | None:
    """Returns the state after one more byte; None: a word has been found."""
    continues = 0x80 <= byte < 0xC0
    between = state.between if continues else _is_between(byte)
    partial = set()
    for word, pattern in enumerate(patterns):
        lengths = {length for other, length in state.partial if other == word}
        if len(pattern.text) in lengths and between:
            return None
        if not continues and (state.between or not pattern.apart_before):
            lengths.add(0)
        for length in lengths:
            if length < len(pattern.text) and pattern.text[length] == byte:
                if length + 1 == len(pattern.text) and not pattern.apart_after:
                    return None
                partial.add((word, length + 1))
    return _State(between, frozenset(partial))


def _is_between(first_byte: int) -> bool:
    """Whether a character that begins so stands between words: a space, a sign, or a script without spaces.

    UTF-8's first byte tells: ASCII by its value; C2 are Latin-1's signs, E2 the general punctuation and symbols, E3 to
    ED the East Asian scripts, EF full-width forms, F0 and above the rest of them and emoji.
    """
    if first_byte < 0x80:
        return not chr(first_byte).isalnum()
    return first_byte in (0xC2, 0xE2) or first_byte >= 0xE3

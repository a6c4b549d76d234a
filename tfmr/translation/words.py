"""Finding whole words in a text that is written token by token, whatever its division into tokens.

The automaton of a word reads the bytes of the text; its state is how much of the word the text ends with. Running it
over every token of the vocabulary from every state gives a table that a search follows token by token. A word is thus
found by its spelling, not by the tokens into which the tokenizer would have divided it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from tfmr.data.tokenizer import EOS_ID

NEVER = 2**30
NO_SPACES = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""The scripts whose words a text does not separate, as a part of a set in a regular expression."""
_SAME = 256
"""The column of a byte table for no byte."""


class WordTable(NamedTuple):
    """State transitions by token. State 0 is the start of the text. The last state, which is
    never left, means that a word has been found."""

    next_state: Int[np.ndarray, "states vocab"]

    @property
    def found(self) -> int:
        """The last state."""
        return len(self.next_state) - 1

    @property
    def completes(self) -> Bool[np.ndarray, "states vocab"]:
        """Transitions after which a word has been found, whatever follows."""
        return self.next_state == self.found

    @property
    def at_end(self) -> Bool[np.ndarray, " states"]:
        """States in which the text contains a word if it ends there."""
        return self.completes[:, EOS_ID]

    @property
    def breaks(self) -> Bool[np.ndarray, "states vocab"]:
        """Transitions that turn a word at the end of the text into part of a longer word."""
        return self.at_end[:, None] & ~self.at_end[self.next_state]

    def tokens_to_end(self) -> Int[np.ndarray, "states vocab"]:
        """Returns the least number of tokens, including EOS, that end the text after each token without any word.

        0 after EOS. `NEVER` if the text contains a word, or every end leads to one.
        """
        needed = np.full(len(self.next_state), NEVER, np.int32)  # from each state
        needed[~self.at_end] = 1
        while True:
            # A state with a transition to one that needs n tokens needs at most n + 1.
            through = np.minimum(needed[self.next_state].min(axis=1), NEVER - 1) + 1
            shorter = np.where(np.arange(len(needed)) == self.found, NEVER, np.minimum(needed, through))
            if (shorter == needed).all():
                break
            needed = shorter
        after = needed[self.next_state]
        after[:, EOS_ID] = np.where(self.at_end, NEVER, 0)
        return after

    def walk(self, tokens: Sequence[int], state: int = 0) -> int:
        """Returns the state after reading tokens from a state."""
        for token in tokens:
            state = int(self.next_state[state, token])
        return state


def word_table(words: Sequence[str], pieces: Sequence[bytes]) -> WordTable:
    """Returns the table that finds any of the words.

    Only whole words count in scripts that separate words: "party" does not contain "art", but 犬が contains 犬. Spaces
    around a word are ignored. The pieces are the bytes that each token adds to the text; EOS adds none.
    """
    return WordTable(follow_pieces(words, byte_columns(pieces)))


class Column(NamedTuple):
    """The bytes at one index of the texts of all tokens that are long enough."""

    tokens: Int[np.ndarray, " tokens"]
    values: Int[np.ndarray, " tokens"]


def byte_columns(pieces: Sequence[bytes]) -> list[Column]:
    """Returns the first bytes of the texts of all tokens, the second bytes, and so on. The first column is of all."""
    # The end of the text ends a word like a space.
    texts = [b" " if token == EOS_ID else piece for token, piece in enumerate(pieces)]
    columns = [Column(np.arange(len(texts)), np.array([text[0] if text else _SAME for text in texts]))]
    for index in range(1, max(map(len, texts))):
        tokens = [token for token, text in enumerate(texts) if len(text) > index]
        columns.append(Column(np.array(tokens), np.array([texts[token][index] for token in tokens])))
    return columns


def follow_pieces(words: Sequence[str], columns: Sequence[Column]) -> Int[np.ndarray, "states vocab"]:
    """Returns the state after each token from each state of the table that finds any of the words."""
    table = _byte_table([word.strip() for word in words])
    states = np.tile(np.arange(len(table), dtype=np.int32)[:, None], len(columns[0].tokens))
    for tokens, values in columns:
        states[:, tokens] = table[states[:, tokens], values]
    return states


class RequiredWord(NamedTuple):
    """A word or phrase that an output must contain in one of its forms; see `tfmr.search.constraints.RequiredWords`."""

    classes: Int[np.ndarray, " vocab"]
    next_state: Int[np.ndarray, "states classes"]
    breaks: Bool[np.ndarray, "states classes"]
    suggested: Int[np.ndarray, " states"]
    progress: Int[np.ndarray, " states"]
    tokens_needed: int
    """The number of tokens that the word takes."""


def required_word(table: WordTable, forms: Sequence[Sequence[int]], space: int, tokens_needed: int = 0) -> RequiredWord:
    """Returns the arrays of a word; see `suggested_tokens` for the arguments."""
    next_state, classes = np.unique(table.next_state, axis=1, return_inverse=True)
    breaks = table.at_end[:, None] & ~table.at_end[next_state]
    progress, suggested = token_progress(table, forms), suggested_tokens(table, forms, space)
    return RequiredWord(classes.reshape(-1).astype(np.int32), next_state, breaks, suggested, progress, tokens_needed)


def suggested_tokens(table: WordTable, forms: Sequence[Sequence[int]], space: int = -1) -> Int[np.ndarray, " states"]:
    """Returns, for each state, the token that leads towards a word; -1 if there is none.

    The table is that of the forms of this word only, each of which these tokens spell; the first is preferred. A word
    may begin after the token `space`, a single space; -1: there is none.
    """
    suggested = np.full(len(table.next_state), -1, np.int32)
    first = forms[0]
    begins = table.next_state[:, first[0]] == table.walk(first[:1])
    suggested[~table.at_end] = np.where(begins, first[0], space)[~table.at_end]
    for tokens in reversed(forms):
        state = 0
        for token in tokens:
            suggested[state] = token
            state = table.walk([token], state)
    suggested[table.at_end] = -1
    return suggested


def token_progress(table: WordTable, forms: Sequence[Sequence[int]]) -> Int[np.ndarray, " states"]:
    """Returns, for each state, how many tokens of a form of the word the text ends with.

    If the text contains the word, it is the number of tokens of the first form, and otherwise less than that.
    """
    progress = np.zeros(len(table.next_state), np.int32)
    total = len(forms[0])
    for tokens in forms:
        state = 0
        for number, token in enumerate(tokens, start=1):
            state = table.walk([token], state)
            progress[state] = max(progress[state], min(number, total - 1))
    progress[table.at_end] = total
    return progress


def _byte_table(words: Sequence[str]) -> Int[np.ndarray, "states 257"]:
    """Returns the automaton over bytes, exploring its states from the start."""
    patterns = [_Pattern.of(word) for word in words]
    start = _State(between=True, partial=frozenset())
    numbers: dict[_State, int] = {start: 0}
    in_words = {byte for pattern in patterns for byte in pattern.text}
    # All other bytes of a kind lead to the same state.
    kinds = [byte if byte in in_words else (_continues(byte), _is_between(byte)) for byte in range(256)]
    first = {kind: kinds.index(kind) for kind in kinds}
    rows = []
    for state in (queue := [start]):
        of_kind = {kind: _read(patterns, state, byte) for kind, byte in first.items()}
        for after in of_kind.values():
            if after is not None and after not in numbers:
                numbers[after] = len(numbers)
                queue.append(after)
        rows.append([of_kind[kind] for kind in kinds])
    found = len(numbers)
    table = np.full((found + 1, 257), found, np.int32)
    for state, row in enumerate(rows):
        table[state, :256] = [found if after is None else numbers[after] for after in row]
    table[:, _SAME] = np.arange(found + 1)
    return table


class _Pattern(NamedTuple):
    text: bytes
    apart_before: bool
    """Whether no letter of another word may precede it directly."""
    apart_after: bool

    @classmethod
    def of(cls, word: str) -> "_Pattern":
        return cls(word.encode(), not _is_between(word[0].encode()[0]), not _is_between(word[-1].encode()[0]))


class _State(NamedTuple):
    """The state of the automaton after some text."""

    between: bool
    """Whether the last character is not part of a word."""
    partial: frozenset[tuple[int, int]]
    """Indices of the words that the text ends with a part of, and the number of their bytes."""


def _read(patterns: Sequence[_Pattern], state: _State, byte: int) -> _State | None:
    """Returns the state after one more byte; None if a word has been found."""
    continues = _continues(byte)
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


def _continues(byte: int) -> bool:
    """Returns whether a byte is not the first of its character in UTF-8."""
    return 0x80 <= byte < 0xC0


def _is_between(first_byte: int) -> bool:
    """Returns whether a character separates words: a space, punctuation, or a character of a script without spaces.

    The first byte of its UTF-8 encoding determines it. C2 begins the punctuation of Latin-1, E2 general punctuation
    and symbols, E3 to ED the East Asian scripts, EF full-width forms, F0 and above their extensions and emoji.
    """
    if first_byte < 0x80:
        return not chr(first_byte).isalnum()
    return first_byte in (0xC2, 0xE2) or first_byte >= 0xE3

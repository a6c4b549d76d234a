"""Required and forbidden words and prefixes, translated into the tables that a search follows."""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax import Array
from jaxtyping import Int

from tfmr.config import DecodingConfig
from tfmr.data.blank import is_blank
from tfmr.data.tokenizer import UNK_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.search.constraints import ForbiddenWords, RequiredWords
from tfmr.translation.words import (
    Column,
    RequiredWord,
    WordTable,
    byte_columns,
    follow_pieces,
    required_word,
    word_table,
)


class WordRules:
    """Tables of the forbidden and the required words.

    Attributes:
      forbidden: None if there are no forbidden words.
      required: the words that every output must contain.
    """

    forbidden: ForbiddenWords | None = None
    required: tuple[RequiredWord, ...] = ()

    def __init__(self, config: DecodingConfig, tokenizer: Tokenizer, vocab_size: int):
        """Builds the tables for the model's vocabulary, which may be larger than the tokenizer's.

        Raises:
          InputError: if the tokenizer cannot write a required word, or it contains a forbidden one.
        """
        self._table: WordTable | None = None
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        words = [f"decoding.{name}" for name in ("forbidden", "required") if getattr(config, name)]
        if words:
            require_left_to_right(" and ".join(words), tokenizer)
        if config.forbidden:
            words = _as_written("decoding.forbidden", config.forbidden, tokenizer)
            self._table = word_table(words, self._pieces)
            self.forbidden = forbidden_words(self._table)
        self.required = tuple(self.required_word("decoding.required", [word]) for word in config.required)

    @functools.cached_property
    def _pieces(self) -> list[bytes]:
        pieces = self._tokenizer.pieces()
        return pieces + [b""] * (self._vocab_size - len(pieces))  # tokens without text

    @functools.cached_property
    def _columns(self) -> list[Column]:
        return byte_columns(self._pieces)

    def required_word(self, name: str, forms: Sequence[str]) -> RequiredWord:
        """Returns the tables of a word, of which an output must contain one of the forms, preferably the first.

        Raises:
          InputError: if the tokenizer cannot write a form, or it contains a forbidden word. The message begins with
            `name`.
        """
        written = _as_written(name, forms, self._tokenizer)
        tokens = [_encode(name, form, self._tokenizer) for form in written]
        for form, ids in zip(forms, tokens, strict=True):
            if self.forbids(ids):
                raise InputError(f"{name}: {form!r} contains a word from decoding.forbidden")
        space = self._pieces.index(b" ") if b" " in self._pieces else -1
        # If a space is a separate token, one precedes each word.
        needed = max(map(len, tokens)) + (self._tokenizer.kind == "characters")
        return required_word(WordTable(follow_pieces(written, self._columns)), tokens, space, needed)

    def can_write(self, word: str) -> bool:
        """Returns whether the tokenizer can write a word."""
        try:
            return bool(_encode("", word, self._tokenizer))
        except InputError:
            return False

    def forbids(self, tokens: Sequence[int]) -> bool:
        """Returns whether a text of exactly these tokens contains a forbidden word."""
        return self._table is not None and bool(self._table.at_end[self._table.walk(tokens)])


Prefix = str | Sequence[int]
"""The required beginning of an output: a text, or its token ids without those of tags."""


def encode_prefix(prefix: Prefix, tokenizer: Tokenizer, rules: WordRules, line: int) -> list[int]:
    """Returns the tokens that the output of a line must begin with.

    Raises:
      InputError: if the tokenizer cannot write the prefix, or it contains a forbidden word or a token without text.
    """
    if isinstance(prefix, str) and is_blank(prefix):
        return []
    require_left_to_right(f"line {line}: the prefix {prefix!r}", tokenizer)
    if not isinstance(prefix, str):
        tokens = _checked_tokens(prefix, tokenizer, line)
    else:
        tokens = _encode(f"line {line}: the prefix", prefix, tokenizer)
    if rules.forbids(tokens):
        raise InputError(f"line {line}: the prefix {prefix!r} contains a word from decoding.forbidden")
    return tokens


def _checked_tokens(prefix: Sequence[int], tokenizer: Tokenizer, line: int) -> list[int]:
    """Returns the token ids of a prefix; raises InputError unless all of them are tokens with a text."""
    for token in prefix:
        if not 0 <= token < tokenizer.vocab_size or token in (*tokenizer.marks.unwritten, tokenizer.eos_id):
            raise InputError(
                f"line {line}: token id {token} in the prefix: must be from 0 to {tokenizer.vocab_size - 1}, and not "
                "that of padding, BOS or EOS"
            )
    return list(prefix)


def require_left_to_right(name: str, tokenizer: Tokenizer) -> None:
    """Raises InputError if the model writes the last token of a target first."""
    if tokenizer.tags.right_to_left:
        raise InputError(f"{name}: cannot be used with this run, which writes from right to left; leave it out")


def _as_written(name: str, words: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Returns words in the Unicode form in which the tokenizer writes them; raises InputError if it leaves nothing."""
    written = [tokenizer.normalize(word.strip()).strip() for word in words]
    for word, form in zip(words, written, strict=True):
        if not form:
            raise InputError(f"{name}: the tokenizer cannot write {word!r}; remove it")
    return written


def _encode(name: str, text: str, tokenizer: Tokenizer) -> list[int]:
    [tokens] = tokenizer.encode_targets([text.strip()])
    if UNK_ID in tokens or not tokens:
        unknown = ", ".join(map(repr, tokenizer.unkept(text.strip())))
        raise InputError(f"{name} {text!r}: cannot be written because the tokenizer does not know {unknown or 'it'}")
    return tokens


def forbidden_words(table: WordTable) -> ForbiddenWords:
    """Returns what a search needs of the table of all forbidden words."""
    return ForbiddenWords(jax.device_put(table.next_state), jax.device_put(table.tokens_to_end()))


def required_words(
    rows: Sequence[Sequence[RequiredWord]], number: int, put: Callable[[np.ndarray], Array] = jax.device_put
) -> RequiredWords:
    """Returns the tables of the words of each row of a batch. They have few sizes, so that few programs are compiled.

    Args:
      rows: the words of each row.
      number: the number of rows; those after the given ones have no words.
      put: moves an array whose first axis is the rows to the devices.
    """
    distinct = {id(word): word for row in rows for word in row}
    nothing = np.zeros((1, 1), np.int32)
    vocab = len(next(iter(distinct.values())).classes)
    every_text = RequiredWord(np.zeros(vocab, np.int32), nothing, nothing > 0, nothing[0] - 1, nothing[0], 0)
    tables = [every_text, *distinct.values()]
    indices = {key: index for index, key in enumerate(distinct, start=1)}
    words = np.zeros((number, _padded(max(map(len, rows)), _FEWEST_WORDS)), np.int32)
    for index, row in enumerate(rows):
        words[index, : len(row)] = [indices[id(word)] for word in row]
    starts = np.cumsum([0, *(table.next_state.size for table in tables)])
    # Both sizes grow together, so that there are fewer programs.
    size = _padded(max(len(tables), -(-int(starts[-1]) // _CELLS)), _FEWEST_TABLES)
    next_states = [
        start + table.next_state * table.next_state.shape[1] for start, table in zip(starts[:-1], tables, strict=True)
    ]
    return RequiredWords(
        words=put(words),
        classes=_joined([table.classes[None] for table in tables], size),
        start=_joined([starts[:-1].astype(np.int32)], size),
        all_progress=_joined([table.progress.max(keepdims=True) for table in tables], size),
        next_state=_joined([each.reshape(-1).astype(np.int32) for each in next_states], size * _CELLS),
        breaks=_joined([table.breaks.reshape(-1) for table in tables], size * _CELLS),
        suggested=_joined([_of_states(table.suggested, table) for table in tables], size * _CELLS),
        progress=_joined([_of_states(table.progress, table) for table in tables], size * _CELLS),
    )


_FEWEST_WORDS, _FEWEST_TABLES = 4, 64
_CELLS = 4096
"""The number of cells of a table of usual size."""


def _of_states(values: Int[np.ndarray, " states"], table: RequiredWord) -> Int[np.ndarray, " cells"]:
    """Returns values in the first cells of their states."""
    cells = np.zeros_like(table.next_state, values.dtype)
    cells[:, 0] = values
    return cells.reshape(-1)


def _joined(arrays: Sequence[np.ndarray], size: int) -> Array:
    """Joins arrays along the first axis, which is padded to `size`, on the devices."""
    joined = np.concatenate(arrays)
    return jax.device_put(np.pad(joined, [(0, size - len(joined)), *[(0, 0)] * (joined.ndim - 1)]))


def _padded(size: int, fewest: int) -> int:
    """Returns the first of `fewest`, 4 * `fewest`, 16 * `fewest`, ... that is large enough."""
    while fewest < size:
        fewest *= 4
    return fewest

"""Required and forbidden words and prefixes, translated into the tables that a search follows."""

from collections.abc import Sequence

import jax
import numpy as np

from tfmr.config import DecodingConfig
from tfmr.data.blank import is_blank
from tfmr.data.tokenizer import UNK_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.search.constraints import ForbiddenWords, RequiredWords
from tfmr.translation.words import WordTable, suggested_tokens, token_progress, word_table


class WordRules:
    """Tables of the forbidden and the required words.

    Attributes:
      forbidden: None if there are no forbidden words.
      required: None if there are no required words.
      tokens_needed: the number of tokens that the required words take.
    """

    forbidden: ForbiddenWords | None = None
    required: RequiredWords | None = None
    tokens_needed: int = 0

    def __init__(self, config: DecodingConfig, tokenizer: Tokenizer, vocab_size: int):
        """Builds the tables for the model's vocabulary, which may be larger than the tokenizer's.

        Raises:
          InputError: if the tokenizer cannot write a required word, or it contains a forbidden one.
        """
        self._table: WordTable | None = None
        if not (config.forbidden or config.required):
            return
        words = [name for name in ("forbidden", "required") if getattr(config, name)]
        _require_left_to_right(" and ".join(f"decoding.{name}" for name in words), tokenizer)
        pieces = tokenizer.pieces()
        pieces += [b""] * (vocab_size - len(pieces))  # tokens without text
        if config.forbidden:
            self._table = word_table(_as_written("decoding.forbidden", config.forbidden, tokenizer), pieces)
            self.forbidden = forbidden_words(self._table)
        if config.required:
            required = _as_written("decoding.required", config.required, tokenizer)
            tokens = [_encode("decoding.required", word, tokenizer) for word in required]
            for word, ids in zip(config.required, tokens, strict=True):
                if self.forbids(ids):
                    raise InputError(f"decoding.required: {word!r} contains a word from decoding.forbidden")
            tables = [word_table([word], pieces) for word in required]
            space = pieces.index(b" ") if b" " in pieces else -1
            self.required = required_words(tables, tokens, space)
            # If a space is a separate token, one precedes each word.
            self.tokens_needed = sum(map(len, tokens)) + (len(tokens) if tokenizer.kind == "characters" else 0)

    def forbids(self, tokens: Sequence[int]) -> bool:
        """Returns whether a text of exactly these tokens contains a forbidden word."""
        return self._table is not None and bool(self._table.at_end[self._table.walk(tokens)])


def encode_prefix(prefix: str, tokenizer: Tokenizer, rules: WordRules, line: int) -> list[int]:
    """Returns the tokens that the output of a line must begin with.

    Raises:
      InputError: if the tokenizer cannot write the prefix, or it contains a forbidden word.
    """
    if is_blank(prefix):
        return []
    _require_left_to_right(f"line {line}: the prefix {prefix!r}", tokenizer)
    tokens = _encode(f"line {line}: the prefix", prefix, tokenizer)
    if rules.forbids(tokens):
        raise InputError(f"line {line}: the prefix {prefix!r} contains a word from decoding.forbidden")
    return tokens


def _require_left_to_right(name: str, tokenizer: Tokenizer) -> None:
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


def required_words(tables: Sequence[WordTable], tokens: Sequence[Sequence[int]], space: int) -> RequiredWords:
    """Stacks the tables of all required words, padded to the same number of states."""
    size = max(len(table.next_state) for table in tables)

    def pad(array: np.ndarray) -> np.ndarray:
        return np.pad(array, [(0, size - len(array)), *[(0, 0)] * (array.ndim - 1)])

    pairs = list(zip(tables, tokens, strict=True))
    return RequiredWords(
        next_state=jax.device_put(np.stack([pad(table.next_state) for table in tables])),
        suggested=jax.device_put(np.stack([pad(suggested_tokens(table, ids, space)) for table, ids in pairs])),
        progress=jax.device_put(np.stack([pad(token_progress(table, ids)) for table, ids in pairs])),
        breaks=jax.device_put(np.stack([pad(table.breaks) for table in tables])),
    )

"""Sentence pairs as token ids, for scoring and alignment."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer

from tfmr.data.tokenizer import EOS_ID, Tokenizer
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

Line = str | Sequence[int] | Integer[np.ndarray, "_"]
"""A line of text, or its token ids as the model reads or writes them, with EOS at the end."""


class Pair(NamedTuple):
    """Token ids, including EOS."""

    source: list[int]
    target: list[int]


def encode_pairs(tokenizer: Tokenizer, pairs: Sequence[tuple[Line, Line]], first: int) -> list[Pair]:
    """Returns the token ids of pairs. An empty line becomes EOS only.

    Args:
      tokenizer: the tokenizer of both languages.
      pairs: text, or token ids, which are not changed.
      first: the number of the first pair, for error messages.

    Raises:
      InputError: if a token id is not in the vocabulary, or a source has no token ids.
    """
    sources, targets = zip(*pairs, strict=True) if pairs else ((), ())
    sides = [
        _encode(tokenizer.encode_batch, tokenizer.vocab_size, sources, first),
        _encode(tokenizer.encode_targets, tokenizer.vocab_size, targets, first),
    ]
    encoded = [Pair(*pair) for pair in zip(*sides, strict=True)]
    for number, pair in enumerate(encoded, start=first):
        if not pair.source:
            raise InputError(f"pair {number}: its source has no token ids; it needs at least EOS ({EOS_ID})")
    return encoded


def _encode(
    encode: Callable[[list[str]], list[list[int]]], vocab_size: int, sentences: Sequence[Line], first: int
) -> list[list[int]]:
    texts = [sentence.rstrip("\r\n") for sentence in sentences if isinstance(sentence, str)]
    of_text = iter(encode(texts))
    encoded = []
    for number, sentence in enumerate(sentences, start=first):
        if isinstance(sentence, str):
            encoded.append([*next(of_text), EOS_ID])
            continue
        encoded.append([int(token) for token in sentence])
        for token in encoded[-1]:
            if not 0 <= token < vocab_size:
                raise InputError(f"pair {number}: token id {token}: must be from 0 to {vocab_size - 1}")
    return encoded


def without_too_long(pairs: Sequence[Pair], limits: tuple[int, int], first: int) -> dict[int, Pair]:
    """Returns the pairs by index, without those that are too long; logs a warning for each of these.

    Args:
      pairs: token ids.
      limits: the maximum number of tokens of a source and of a target.
      first: the number of the first pair, for warnings.
    """
    kept = {}
    for index, pair in enumerate(pairs):
        too_long = [
            f"its {side} has {len(tokens)} tokens, more than {limit}"
            for side, tokens, limit in zip(("source", "target"), pair, limits, strict=True)
            if len(tokens) > limit
        ]
        if too_long:
            reasons = " and ".join(too_long)
            log.warning("pair %d: skipped, because %s (see decoding.max_source_length)", first + index, reasons)
        else:
            kept[index] = pair
    return kept

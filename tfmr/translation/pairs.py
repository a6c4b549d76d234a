"""Pairs of a source and a target as batches: what scoring and alignment have in common."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer

from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.translation.padded_batches import make_padded_batches

log = logging.getLogger("tfmr")

Line = str | Sequence[int] | Integer[np.ndarray, "_"]
"""A line of text; or its token ids as the model reads or writes them, with EOS at the end."""


class Pair(NamedTuple):
    """Token ids, EOS included."""

    source: list[int]
    target: list[int]


class PairBatch(NamedTuple):
    """Pairs that go through the model together; rows beyond `indices` are padding."""

    indices: list[int]
    """Where each pair stands among all."""
    source: Int[np.ndarray, "rows width"]
    source_segments: Int[np.ndarray, "rows width"]
    target_input: Int[np.ndarray, "rows width"]
    target_output: Int[np.ndarray, "rows width"]
    target_segments: Int[np.ndarray, "rows width"]


def encode_pairs(tokenizer: Tokenizer, pairs: Sequence[tuple[Line, Line]], first: int) -> list[Pair]:
    """Returns the token ids of pairs; an empty line is its end mark alone.

    Args:
      tokenizer: for both languages.
      pairs: text or token ids, which are taken as they are.
      first: the number of the first pair, for errors.

    Raises:
      InputError: for a token id that is not in the vocabulary, or a source without any.
    """
    sources, targets = zip(*pairs, strict=True) if pairs else ((), ())
    sides = [
        _encode(tokenizer.encode_batch, tokenizer.vocab_size, sources, first),
        _encode(tokenizer.encode_targets, tokenizer.vocab_size, targets, first),
    ]
    encoded = [Pair(*pair) for pair in zip(*sides, strict=True)]
    for number, pair in enumerate(encoded, start=first):
        if not pair.source:
            raise InputError(f"pair {number}: its source has no token ids: give at least EOS, {EOS_ID}")
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
    """Returns the pairs by index, but for those that are too long, each of which is told in a warning.

    Args:
      pairs: token ids.
      limits: the most tokens of a source and of a target.
      first: the number of the first pair.
    """
    kept = {}
    for index, pair in enumerate(pairs):
        too_long = [
            f"its {side} has {len(tokens)} tokens, and at most {limit} are possible"
            for side, tokens, limit in zip(("source", "target"), pair, limits, strict=True)
            if len(tokens) > limit
        ]
        if too_long:
            log.warning("pair %d: is left out: %s (decoding.max_source_length)", first + index, " and ".join(too_long))
        else:
            kept[index] = pair
    return kept


def make_pair_batches(
    pairs: Mapping[int, Pair], batch_size: int, longest: int | None, parts: int
) -> Iterator[PairBatch]:
    """Cuts pairs, longest first, into batches of few different shapes: both sides are as wide as the longer one.

    See `make_padded_batches` for the arguments.
    """
    lengths = {index: max(map(len, pair)) for index, pair in pairs.items()}
    for indices, rows, width in make_padded_batches(lengths, batch_size, longest, parts):
        source, source_segments, target_input, target_output, target_segments = np.full(
            (5, rows, width), PAD_ID, np.int32
        )
        # A sentence of padding alone would have nothing to attend to.
        source[len(indices) :, 0] = EOS_ID
        source_segments[len(indices) :, 0] = 1
        for row, index in enumerate(indices):
            pair = pairs[index]
            source[row, : len(pair.source)] = pair.source
            source_segments[row, : len(pair.source)] = 1
            target_input[row, : len(pair.target)] = [BOS_ID, *pair.target][: len(pair.target)]
            target_output[row, : len(pair.target)] = pair.target
            target_segments[row, : len(pair.target)] = 1
        yield PairBatch(indices, source, source_segments, target_input, target_output, target_segments)

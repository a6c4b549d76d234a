"""Sentence pairs as token ids and as batches, for scoring and alignment."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Int, Integer

from tfmr.data.blank import is_blank
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.translation.padded_batches import Rows, make_padded_batches

log = logging.getLogger("tfmr")

Line = str | Sequence[int] | Integer[np.ndarray, "_"]
"""A line of text, or its token ids as the model reads or writes them, with EOS at the end."""


class Pair(NamedTuple):
    """Token ids, including EOS."""

    source: list[int]
    target: list[int]


class PairArrays(NamedTuple):
    """A batch of pairs. Rows after the last pair are padding."""

    source: Int[Array, "rows width"]
    source_segments: Int[Array, "rows width"]
    target_input: Int[Array, "rows width"]
    target_output: Int[Array, "rows width"]
    target_segments: Int[Array, "rows width"]


def encode_pairs(tokenizer: Tokenizer, pairs: Sequence[tuple[Line, Line]], first: int) -> list[Pair]:
    """Returns the token ids of pairs; `first` is the number of the first one. A line without visible characters
    becomes EOS only.

    Raises:
      InputError: if a token id is not in the vocabulary, or a source has no token ids.
    """
    sources, targets = zip(*pairs, strict=True) if pairs else ((), ())
    sides = [
        _encode(tokenizer.encode_batch, tokenizer.source_sequence, tokenizer.vocab_size, sources, first),
        _encode(tokenizer.encode_targets, tokenizer.target_sequence, tokenizer.vocab_size, targets, first),
    ]
    encoded = [Pair(*pair) for pair in zip(*sides, strict=True)]
    for number, pair in enumerate(encoded, start=first):
        if not pair.source:
            raise InputError(f"pair {number}: its source has no token ids; it needs at least EOS ({EOS_ID})")
    return encoded


def _encode(
    encode: Callable[[list[str]], list[list[int]]],
    complete: Callable[[list[int]], list[int]],
    vocab_size: int,
    sentences: Sequence[Line],
    first: int,
) -> list[list[int]]:
    lines = [sentence.rstrip("\r\n") for sentence in sentences if isinstance(sentence, str)]
    texts = ["" if is_blank(line) else line for line in lines]
    of_text = iter(encode(texts))
    encoded = []
    for number, sentence in enumerate(sentences, start=first):
        if isinstance(sentence, str):
            encoded.append(complete(next(of_text)))
            continue
        encoded.append([int(token) for token in sentence])
        for token in encoded[-1]:
            if not 0 <= token < vocab_size:
                raise InputError(f"pair {number}: token id {token}: must be from 0 to {vocab_size - 1}")
    return encoded


def without_too_long(pairs: Sequence[Pair], limits: tuple[int, int], first: int) -> dict[int, Pair]:
    """Returns the pairs by index, without those that are too long; logs a warning for each of these.

    The `limits` are the maximum number of tokens of a source and of a target; `first` is the number of the first pair.
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


def run_on_pairs(
    run: Callable[[PairArrays], Any], pairs: Mapping[int, Pair], batch_size: int, longest: int | None, rows: Rows
) -> Iterator[tuple[int, Any]]:
    """Runs a program on all pairs; yields the index of each pair, and its row of the arrays that the program returns.

    See `make_padded_batches` for the other arguments.
    """
    lengths = {index: max(map(len, pair)) for index, pair in pairs.items()}
    batches = list(make_padded_batches(lengths, batch_size, longest, rows.parts))
    # Start all batches before waiting for the first result.
    results = [
        run(jax.tree.map(rows.put, _pair_arrays([pairs[index] for index in batch.indices], batch.rows, batch.width)))
        for batch in batches
    ]
    for batch, result in zip(batches, results, strict=True):
        fetched = jax.tree.map(rows.fetch, result)
        for row, index in enumerate(batch.indices):
            yield index, jax.tree.map(lambda x, row=row: x[row], fetched)


def _pair_arrays(pairs: Sequence[Pair], rows: int, width: int) -> PairArrays:
    empty: Any = np.full((5, rows, width), PAD_ID, np.int32)
    arrays: Any = PairArrays(*empty)
    arrays.source[len(pairs) :, 0] = EOS_ID  # attention needs at least one token
    arrays.source_segments[len(pairs) :, 0] = 1
    for row, (source, target) in enumerate(pairs):
        arrays.source[row, : len(source)] = source
        arrays.source_segments[row, : len(source)] = 1
        arrays.target_input[row, : len(target)] = [BOS_ID, *target][: len(target)]
        arrays.target_output[row, : len(target)] = target
        arrays.target_segments[row, : len(target)] = 1
    return arrays

"""Raw text in, raw text out."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding
from jaxtyping import Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, PAD_ID, Tokenizer
from tfmr.decoding.beam import beam_search
from tfmr.decoding.greedy import greedy_search
from tfmr.decoding.model_step import model_step
from tfmr.decoding.search import SearchResult
from tfmr.errors import InputError
from tfmr.models import Transformer
from tfmr.nn.stacks import unstack_layers

_WINDOW = 64
"""Batches of lines that are sorted by length together."""
_FULL_WIDTH = 128
"""Tokens in a sentence up to which a batch has all its rows: of longer ones it has fewer, for the memory's sake."""


class Translator:
    """Translates lines of text.

    A line's translation depends on neither the other lines nor on the batch's size.

    Attributes:
      model: the Transformer, its layers in a loop.
      params: its parameters.
      tokenizer: for both languages.
      config: how to search.
    """

    def __init__(
        self,
        model: Transformer,
        params: dict,
        tokenizer: Tokenizer,
        config: DecodingConfig,
        sharding: NamedSharding | None = None,
    ):
        """Keeps what translating needs.

        Args:
          model: the Transformer.
          params: its parameters.
          tokenizer: for both languages.
          config: how to search.
          sharding: where the rows of a batch live; None: on the parameters' device. Where it spans several processes,
            all of them must translate the same lines at the same time, and each returns all translations.
        """
        if model.config.scan_layers:
            model = Transformer(dataclasses.replace(model.config, scan_layers=False))
            params = unstack_layers(params)
        self.model = model
        self.params = params
        self.tokenizer = tokenizer
        self.config = config
        self._sharding = sharding

    @classmethod
    def from_run(
        cls, directory: str | os.PathLike, checkpoint: str = "", config: DecodingConfig | None = None
    ) -> "Translator":
        """Loads the translator of a run directory.

        Args:
          directory: where training wrote.
          checkpoint: "averaged", "best", "last", or a step; empty: the first of these that is there.
          config: how to search; None: as in the run's config.

        Raises:
          InputError: if there is no such run or checkpoint.
        """
        from tfmr.run_directory import load_run

        run_config, tokenizer, params = load_run(directory, checkpoint)
        return cls(Transformer(run_config.model), params, tokenizer, config or run_config.decoding)

    def translate(self, lines: Iterable[str]) -> list[str]:
        """Returns the translation of each line; an empty or blank line's is empty.

        Raises:
          InputError: if a line has more tokens than the model has learned positions. Sinusoids take any length.
        """
        return list(self.translate_stream(lines))

    def translate_stream(self, lines: Iterable[str]) -> Iterator[str]:
        """Yields the translation of each line in order, reading a window of many lines at a time; see `translate`."""
        if isinstance(lines, str):
            raise InputError(f"translate({lines[:20]!r}): takes lines, not one string: put it in a list")
        lines = iter(lines)
        size = _WINDOW * self.config.batch_size
        for first in itertools.count(1, size):
            window = list(itertools.islice(lines, size))
            if not window:
                return
            yield from self._translate_window(window, first)

    def _translate_window(self, lines: list[str], first: int) -> list[str]:
        translations = [""] * len(lines)
        sentences = self._encode(lines, first)
        batches = list(_make_batches(sentences, self.config, self._longest(), self._parts()))
        # All are sent to the device before the first result is waited for.
        results = [self._search(batch) for batch in batches]
        for batch, result in zip(batches, results, strict=True):
            texts = self.tokenizer.decode_batch(_whole(result.tokens)[: len(batch.places), 0].tolist())
            for place, text in zip(batch.places, texts, strict=True):
                # Bytes can spell a line feed; a line's translation is one line all the same.
                translations[place] = text.replace("\n", " ")
        return translations

    def _encode(self, lines: list[str], first: int) -> dict[int, list[int]]:
        """Returns the tokens of the lines that have any, EOS included, by place; `first` is the first line's number."""
        texts = [line.rstrip("\r\n") for line in lines]
        places = [place for place, text in enumerate(texts) if text.strip()]
        encoded = self.tokenizer.encode_batch([texts[place] for place in places])
        sentences = {place: [*tokens, EOS_ID] for place, tokens in zip(places, encoded, strict=True) if tokens}
        longest = self._longest()
        for place, tokens in sentences.items():
            if longest is not None and len(tokens) > longest:
                raise InputError(
                    f"line {first + place}: has {len(tokens)} tokens, its end mark included, but the model's learned "
                    f"positions reach only to model.max_length = {longest}: split the line"
                )
        return sentences

    def _longest(self) -> int | None:
        config = self.model.config
        return config.max_length if config.positions == "learned" else None

    def _search(self, batch: "_Batch") -> SearchResult:
        arrays = (self._put(batch.source), self._put(batch.limits))
        return _search(self.params, *arrays, model=self.model, config=self.config, max_length=batch.max_length)

    def _parts(self) -> int:
        """Into how many parts a batch's rows are split."""
        if self._sharding is None:
            return 1
        rows = self._sharding.num_devices  # divides over any part of the devices
        return rows // self._sharding.shard_shape((rows,))[0]

    def _put(self, array: np.ndarray) -> Array | np.ndarray:
        if self._sharding is None:
            return array
        return jax.make_array_from_callback(array.shape, self._sharding, lambda index: array[index])


def _whole(array: Array) -> np.ndarray:
    """Returns an array that may be spread over several processes."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


@functools.partial(jax.jit, static_argnames=("model", "config", "max_length"))
def _search(
    params: dict,
    source: Int[Array, "batch source"],
    limits: Int[Array, " batch"],
    *,
    model: Transformer,
    config: DecodingConfig,
    max_length: int,
) -> SearchResult:
    segments = (source != PAD_ID).astype(np.int32)
    step, cache = model_step(model, params, source, segments, max_length, config.beam_size)
    search = greedy_search if config.beam_size == 1 else beam_search
    return search(step, cache, limits, max_length, config)


class _Batch(NamedTuple):
    """Sentences that are decoded together; rows beyond `places` are padding."""

    places: Sequence[int]
    """Where each sentence stands among the lines."""
    source: Int[np.ndarray, "rows width"]
    limits: Int[np.ndarray, " rows"]
    """Longest output, EOS included."""
    max_length: int
    """At least every limit, the same for all batches of one width."""


def _make_batches(
    sentences: dict[int, list[int]], config: DecodingConfig, longest: int | None, parts: int = 1
) -> Iterator[_Batch]:
    """Cuts the sentences, longest first, into batches of few different shapes; `longest` limits the output.

    The rows of each batch are a multiple of `parts`.
    """
    order = sorted(sentences, key=lambda place: -len(sentences[place]))
    # A handful of lines does not pay for a whole batch.
    most_rows = min(config.batch_size, _next_power_of_two(len(order)))
    start = 0
    while start < len(order):
        width = _padded_width(len(sentences[order[start]]))
        width = width if longest is None else min(width, longest)
        rows = max(1, min(most_rows, config.batch_size * _FULL_WIDTH // width))
        rows = -(-rows // parts) * parts
        places = order[start : start + rows]
        start += rows
        max_length = width + config.extra_length
        yield _pad(
            places,
            [sentences[place] for place in places],
            (rows, width),
            max_length if longest is None else min(max_length, longest),
            config,
        )


def _pad(
    places: list[int], sentences: list[list[int]], shape: tuple[int, int], max_length: int, config: DecodingConfig
) -> _Batch:
    source = np.full(shape, PAD_ID, np.int32)
    source[len(sentences) :, 0] = EOS_ID  # a sentence of padding alone would have nothing to attend to
    limits = np.zeros(shape[0], np.int32)
    for row, tokens in enumerate(sentences):
        source[row, : len(tokens)] = tokens
        limits[row] = min(len(tokens) + config.extra_length, max_length)
    return _Batch(places, source, limits, max_length)


def _next_power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()


def _padded_width(length: int) -> int:
    """Returns the smallest of 16, 24, 32, 48, 64, 96, ... that holds so many tokens."""
    power = _next_power_of_two(length)
    return max(16, power * 3 // 4 if length <= power * 3 // 4 else power)

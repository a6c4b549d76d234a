"""Raw text in, raw text out."""

import dataclasses
import functools
import itertools
import os
import warnings
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding
from jaxtyping import Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, PAD_ID, Tokenizer
from tfmr.decoding.batches import Sentence, SentenceBatch, make_batches, output_limit
from tfmr.decoding.beam import beam_search
from tfmr.decoding.constraints import Constraints
from tfmr.decoding.greedy import greedy_search, sample
from tfmr.decoding.model_step import model_step
from tfmr.decoding.rules import WordRules, encode_prefix
from tfmr.decoding.search import SearchResult
from tfmr.errors import InputError
from tfmr.models import Transformer
from tfmr.nn.stacks import unstack_layers

_WINDOW = 64
"""Batches of lines that are sorted by length together."""


class Hypothesis(NamedTuple):
    """One translation of a line."""

    text: str
    score: float
    """Its log-probability divided by the length penalty, less the coverage penalty."""
    tokens: tuple[int, ...]
    """EOS included."""


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

        Raises:
          InputError: if the config asks for words that cannot be written.
        """
        if model.config.scan_layers:
            model = Transformer(dataclasses.replace(model.config, scan_layers=False))
            params = unstack_layers(params)
        self.model = model
        self.params = params
        self.tokenizer = tokenizer
        self.config = config
        self._sharding = sharding
        self._rules = WordRules(config, tokenizer)

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

    def translate(self, lines: Iterable[str], prefixes: Iterable[str] | None = None) -> list[str]:
        """Returns the translation of each line; an empty or blank line's is empty.

        Args:
          lines: the sources.
          prefixes: what each line's translation must begin with, as many as there are lines; None: nothing.

        Raises:
          InputError: if a line has more tokens than the model has learned positions (sinusoids take any length), or
            if what is asked for cannot be met: a prefix or required words longer than the output may be, a prefix that
            the tokenizer cannot write or that is forbidden.
        """
        return list(self.translate_stream(lines, prefixes))

    def translate_stream(self, lines: Iterable[str], prefixes: Iterable[str] | None = None) -> Iterator[str]:
        """Yields the translation of each line in order, reading a window of many lines at a time; see `translate`."""
        for hypotheses in self.n_best_stream(lines, 1, prefixes):
            yield hypotheses[0].text if hypotheses else ""

    def n_best(
        self, lines: Iterable[str], number: int, prefixes: Iterable[str] | None = None
    ) -> list[list[Hypothesis]]:
        """Returns several translations of each line, best first, or with sampling in the order drawn.

        The first of them are the same for any number. An empty or blank line has none, and any other may have
        fewer than were asked for, if no more obey the rules.

        Args:
          lines: the sources.
          number: how many; of a search at most the beam's size.
          prefixes: see `translate`.

        Raises:
          InputError: as `translate`, or if there are too many asked for.
        """
        return list(self.n_best_stream(lines, number, prefixes))

    def n_best_stream(
        self, lines: Iterable[str], number: int, prefixes: Iterable[str] | None = None
    ) -> Iterator[list[Hypothesis]]:
        """Yields several translations of each line in order; see `n_best`."""
        if isinstance(lines, str):
            raise InputError(f"translate({lines[:20]!r}): takes lines, not one string: put it in a list")
        if not self._samples() and number > self.config.beam_size:
            raise InputError(
                f"{number} translations of each line: decoding.beam_size = {self.config.beam_size} finds fewer"
            )
        pairs = zip(lines, itertools.repeat("") if prefixes is None else prefixes, strict=prefixes is not None)
        size = _WINDOW * self.config.batch_size
        for first in itertools.count(1, size):
            window = list(itertools.islice(pairs, size))
            if not window:
                return
            yield from self._translate_window(window, first, number)

    def _translate_window(self, pairs: list[tuple[str, str]], first: int, number: int) -> list[list[Hypothesis]]:
        """Translates lines with their prefixes; `first` is the first line's number."""
        translations: list[list[Hypothesis]] = [[] for _ in pairs]
        sentences = self._encode(pairs, first)
        batches = list(make_batches(sentences, self.config, self._longest(), self._parts()))
        # All are sent to the device before the first result is waited for.
        results = [self._search(batch, first, number) for batch in batches]
        for batch, result in zip(batches, results, strict=True):
            for place, hypotheses in zip(batch.places, self._hypotheses(result, len(batch.places)), strict=True):
                translations[place] = hypotheses
                if not hypotheses:
                    warnings.warn(f"line {first + place}: no output obeys all the rules of decoding", stacklevel=2)
        return translations

    def _encode(self, pairs: list[tuple[str, str]], first: int) -> dict[int, Sentence]:
        """Returns the lines that have any tokens, by place; `first` is the first line's number."""
        texts = [line.rstrip("\r\n") for line, _ in pairs]
        places = [place for place, text in enumerate(texts) if text.strip()]
        encoded = self.tokenizer.encode_batch([texts[place] for place in places])
        return {
            place: self._sentence([*tokens, EOS_ID], pairs[place][1], first + place)
            for place, tokens in zip(places, encoded, strict=True)
            if tokens
        }

    def _sentence(self, tokens: list[int], prefix: str, line: int) -> Sentence:
        longest = self._longest()
        if longest is not None and len(tokens) > longest:
            raise InputError(
                f"line {line}: has {len(tokens)} tokens, its end mark included, but the model's learned "
                f"positions reach only to model.max_length = {longest}: split the line"
            )
        limit = output_limit(len(tokens), self.config, longest)
        start = encode_prefix(prefix, self.tokenizer, self._rules, line)
        needed = {
            f"its prefix {prefix!r}": len(start),
            f"the required words {self.config.required}": self._rules.tokens_needed,
            f"decoding.min_length = {self.config.min_length}": self.config.min_length - 1,
        }
        for name, length in needed.items():
            if length + 1 > limit:
                raise InputError(
                    f"line {line}: {name} needs {length + 1} tokens, end mark included, and its output may have {limit}"
                )
        return Sentence(tokens, limit, start)

    def _longest(self) -> int | None:
        config = self.model.config
        return config.max_length if config.positions == "learned" else None

    def _samples(self) -> bool:
        return self.config.sampling.temperature > 0

    def _search(self, batch: SentenceBatch, first: int, number: int) -> SearchResult:
        lines = np.zeros(len(batch.limits), np.int32)
        lines[: len(batch.places)] = np.asarray(batch.places) + first
        constraints = Constraints(
            limits=self._put(batch.limits),
            prefix=None if batch.prefix is None else self._put(batch.prefix),
            forbidden=self._rules.forbidden,
            required=self._rules.required,
        )
        return search_batch(
            self.params,
            self._put(batch.source),
            constraints,
            self._put(lines),
            model=self.model,
            config=self.config,
            max_length=batch.max_length,
            number=number,
            shrink=self._sharding is None,
        )

    def _hypotheses(self, result: SearchResult, rows: int) -> Iterator[list[Hypothesis]]:
        """Yields the hypotheses of each of the first rows."""
        tokens, scores, lengths = (_whole(array)[:rows] for array in result)
        texts = iter(self.tokenizer.decode_batch(tokens.reshape(-1, tokens.shape[-1]).tolist()))
        for row in range(rows):
            found = []
            for each, score, length in zip(tokens[row], scores[row], lengths[row], strict=True):
                # Bytes can spell a line feed; a line's translation is one line all the same.
                text = next(texts).replace("\n", " ")
                if length > 0:
                    found.append(Hypothesis(text, float(score), tuple(each[:length].tolist())))
            yield found

    def _parts(self) -> int:
        """Into how many parts a batch's rows are split."""
        if self._sharding is None:
            return 1
        rows = self._sharding.num_devices  # divides over any part of the devices
        return rows // self._sharding.shard_shape((rows,))[0]

    def _put(self, array: np.ndarray) -> Array:
        if self._sharding is None:
            return jnp.asarray(array)
        return jax.make_array_from_callback(array.shape, self._sharding, lambda index: array[index])


def _whole(array: Array) -> np.ndarray:
    """Returns an array that may be spread over several processes."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


@functools.partial(jax.jit, static_argnames=("model", "config", "max_length", "number", "shrink"))
def search_batch(
    params: dict,
    source: Int[Array, "batch source"],
    constraints: Constraints,
    lines: Int[Array, " batch"],
    *,
    model: Transformer,
    config: DecodingConfig,
    max_length: int,
    number: int,
    shrink: bool,
) -> SearchResult:
    segments = (source != PAD_ID).astype(np.int32)
    samples = config.sampling.temperature > 0
    size = number if samples else config.beam_size
    step, cache = model_step(model, params, source, segments, max_length, size, config.coverage_penalty > 0)
    if samples:
        keys = _sample_keys(config.sampling.seed, lines, number)
        return sample(step, cache, constraints, keys, max_length, config, shrink=shrink)
    if size == 1 and constraints.required is None and config.coverage_penalty == 0:
        return greedy_search(step, cache, constraints, max_length, config, shrink=shrink)
    return beam_search(step, cache, constraints, max_length, config, number, shrink=shrink)


def _sample_keys(seed: int, lines: Int[Array, " batch"], number: int) -> Array:
    """Returns a random key for each sample of each line, the same in whatever batch the line stands."""
    fold = jax.random.fold_in
    of_line = jax.vmap(fold, (None, 0))(jax.random.key(seed), lines)
    return jax.vmap(jax.vmap(fold, (None, 0)), (0, None))(of_line, np.arange(number))

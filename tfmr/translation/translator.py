"""Raw text in, raw text out."""

import dataclasses
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding

from tfmr.config import DecodingConfig, TransformerConfig
from tfmr.data.tokenizer import EOS_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.models import Transformer
from tfmr.nn.stacks import unstack_layers
from tfmr.runs.parameters import load_run
from tfmr.runs.run_directory import RunDirectory
from tfmr.search.beam_tree import BeamTree, make_beam_tree
from tfmr.search.constraints import Constraints
from tfmr.search.search import SearchResult
from tfmr.translation.alignment import NOT_ALIGNED, Alignment, align_pairs, check_layer_and_head
from tfmr.translation.batches import Sentence, SentenceBatch, make_batches, output_limit
from tfmr.translation.model_step import Member
from tfmr.translation.pairs import Line, Pair, encode_pairs, without_too_long
from tfmr.translation.rows import Rows
from tfmr.translation.rules import WordRules, encode_prefix
from tfmr.translation.scoring import NOT_SCORED, Score, score_pairs
from tfmr.translation.search_batch import compiled_part, record_batch, search_batch

log = logging.getLogger("tfmr")

T = TypeVar("T")

_WINDOW = 64
"""Batches of lines that are sorted by length together."""
_MATRIX_WINDOW = 4
"""The same where a pair's result is a matrix, and those of long pairs are large."""


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
      members: the model and its parameters; of an ensemble several. Layers are in a loop.
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
        self.members = (Member(model, params),)
        self.tokenizer = tokenizer
        self.config = config
        self._rows = Rows(sharding)
        self._rules = WordRules(config, tokenizer, model.config.vocab_size)

    @classmethod
    def from_run(
        cls, directory: str | os.PathLike | RunDirectory, checkpoint: str = "", config: DecodingConfig | None = None
    ) -> "Translator":
        """Loads the translator of a run directory.

        Args:
          directory: where training wrote.
          checkpoint: "averaged", "best", "last", or a step; empty: the first of these that is there.
          config: how to search; None: as in the run's config.

        Raises:
          InputError: if there is no such run or checkpoint.
        """
        run = RunDirectory.open(directory)
        if not isinstance(run.config.model, TransformerConfig):
            raise InputError(f"{run.path}: not a translation model; use tfmr generate for a language model")
        run_config, tokenizer, params = load_run(run, checkpoint)
        return cls(Transformer(run_config.model), params, tokenizer, config or run_config.decoding)

    @classmethod
    def from_runs(
        cls,
        directories: Sequence[str | os.PathLike | RunDirectory],
        checkpoint: str = "",
        config: DecodingConfig | None = None,
    ) -> "Translator":
        """Loads an ensemble of several run directories; see `ensemble` and `from_run`.

        Args:
          directories: where training wrote. They must have one tokenizer.
          checkpoint: as in `from_run`, of every run.
          config: how to search; None: as in the first run's config.

        Raises:
          InputError: if there is no such run or checkpoint, or the tokenizers differ.
        """
        runs = [RunDirectory.open(directory) for directory in directories]
        # All before the first parameters are read.
        _require_one_tokenizer({str(run.path): run.tokenizer for run in runs})
        return cls.ensemble([cls.from_run(run, checkpoint, config) for run in runs])

    @classmethod
    def ensemble(cls, translators: Sequence["Translator"]) -> "Translator":
        """Returns the translator whose probabilities, at every step, are the mean of those of several.

        It searches as the first of them does.

        Raises:
          InputError: if there are none, or their tokenizers differ.
        """
        _require_one_tokenizer({f"translator {i}": each.tokenizer for i, each in enumerate(translators)})
        first = translators[0]
        together = cls(first.model, first.params, first.tokenizer, first.config, first._rows.sharding)
        together.members = tuple(member for each in translators for member in each.members)
        return together

    @property
    def model(self) -> Transformer:
        """The Transformer; of an ensemble the first."""
        return self.members[0].model

    @property
    def params(self) -> dict:
        """The model's parameters; of an ensemble the first's."""
        return self.members[0].params

    def translate(self, lines: Iterable[str], prefixes: Iterable[str] | None = None) -> list[str]:
        """Returns the translation of each line; an empty or blank line's is empty.

        Of a line with more tokens than `config.max_source_length`, or than the model has learned positions, the
        beginning is translated, and a warning says so.

        Args:
          lines: the sources.
          prefixes: what each line's translation must begin with, as many as there are lines; None: nothing.

        Raises:
          InputError: if what is asked for cannot be met: a prefix or required words longer than the output may be, a
            prefix that the tokenizer cannot write or that is forbidden.
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
        for first, window in self._windows(pairs):
            yield from self._translate_window(window, first, number)

    def beam_tree(self, line: str, number: int = 1, prefix: str = "") -> BeamTree:
        """Returns what beam search does to translate a line: all hypotheses that it holds on the way.

        The search is that of `n_best`, also where the beam is 1. `analysis.plot_beam_tree` draws it.

        Args:
          line: the source.
          number: how many translations are asked for; with fewer, the search may be done sooner.
          prefix: what the translation must begin with.

        Raises:
          InputError: as `n_best`, or if the line is blank or the config draws samples.
        """
        if self._samples():
            raise InputError("decoding.sampling.temperature is above 0: samples are drawn without a beam: give 0")
        if not 0 < number <= self.config.beam_size:
            raise InputError(f"number = {number}: must be from 1 to decoding.beam_size = {self.config.beam_size}")
        sentences = self._encode([(line, prefix)], 1)
        if not sentences:
            raise InputError(f"line = {line!r}: there is nothing to translate")
        [batch] = make_batches(sentences, self.config, self._positions(), self._rows.parts)
        inputs, options = self._search_arguments(batch, number)
        result, steps = jax.tree.map(self._rows.fetch, record_batch(*inputs, **options))
        texts = self.tokenizer.token_texts(range(self.tokenizer.vocab_size))
        # A model may have more tokens than its tokenizer, and an untrained one writes them.
        texts += [""] * (self.model.config.vocab_size - len(texts))
        return make_beam_tree(jax.tree.map(lambda x: x[:, 0], steps), result.tokens[0], result.lengths[0], texts)

    def _windows(self, items: Iterable[T], batches: int = 0) -> Iterator[tuple[int, list[T]]]:
        """Yields the number of its first item, and the items, of one window after another."""
        items = iter(items)
        size = (batches or _WINDOW) * self.config.batch_size
        for first in itertools.count(1, size):
            window = list(itertools.islice(items, size))
            if not window:
                return
            yield first, window

    def score(self, sources: Sequence[Line], targets: Sequence[Line]) -> list[Score]:
        """Returns how probable the model finds each target, given its source: the score that decoding gives it.

        A pair's score depends on neither the other pairs nor on the batch's size. An empty line is its end mark alone.
        A pair with more tokens than decoding could read and write has no score (NaN), and a warning says so.

        Args:
          sources: lines of text, or token ids with EOS at the end.
          targets: as many. Text may be cut into other tokens than decoding wrote: only token ids are sure to be those.

        Raises:
          InputError: if there are not as many targets as sources, or for a token id that is not in the vocabulary.
        """
        return list(self.score_stream(_paired(sources, targets)))

    def score_stream(self, pairs: Iterable[tuple[Line, Line]]) -> Iterator[Score]:
        """Yields the score of each pair in order, reading a window of many pairs at a time; see `score`."""
        for first, window in self._windows(pairs):
            kept = self._encode_pairs(window, first)
            scores = score_pairs(self.members, kept, self.config, self._positions(), self._rows)
            yield from (scores.get(index, NOT_SCORED) for index in range(len(window)))

    def align(
        self, sources: Sequence[Line], targets: Sequence[Line], *, layer: int = -1, head: int | None = None
    ) -> list[Alignment]:
        """Returns where the model looks in each source when it writes each token of its target.

        A pair with more tokens than decoding could read and write has no alignment, and a warning says so.

        Args:
          sources: lines of text, or token ids with EOS at the end.
          targets: as many.
          layer: of the decoder, from 0; -1: the last.
          head: of the layer, from 0; None: the mean of all.

        Raises:
          InputError: as `score`, for a layer or head that is not there, and of an ensemble.
        """
        return list(self.align_stream(_paired(sources, targets), layer=layer, head=head))

    def align_stream(
        self, pairs: Iterable[tuple[Line, Line]], *, layer: int = -1, head: int | None = None
    ) -> Iterator[Alignment]:
        """Yields the alignment of each pair in order, reading a window of many pairs at a time; see `align`."""
        if len(self.members) > 1:
            raise InputError(f"an ensemble of {len(self.members)} models: alignments are of one model; give one run")
        layer = check_layer_and_head(self.model.config, layer, head)
        return self._align_windows(pairs, layer, head)

    def _align_windows(self, pairs: Iterable[tuple[Line, Line]], layer: int, head: int | None) -> Iterator[Alignment]:
        for first, window in self._windows(pairs, _MATRIX_WINDOW):
            kept = self._encode_pairs(window, first)
            arguments = (self.members[0], kept, self.config, self._positions(), self._rows)
            alignments = align_pairs(*arguments, layer=layer, head=head)
            yield from (alignments.get(index, NOT_ALIGNED) for index in range(len(window)))

    def _encode_pairs(self, pairs: list[tuple[Line, Line]], first: int) -> dict[int, Pair]:
        limits = self._longest_source(), self._longest_target()
        return without_too_long(encode_pairs(self.tokenizer, pairs, first), limits, first)

    def _translate_window(self, pairs: list[tuple[str, str]], first: int, number: int) -> list[list[Hypothesis]]:
        """Translates lines with their prefixes; `first` is the first line's number."""
        translations: list[list[Hypothesis]] = [[] for _ in pairs]
        sentences = self._encode(pairs, first)
        batches = list(make_batches(sentences, self.config, self._positions(), self._rows.parts))
        # All are sent to the device before the first result is waited for.
        results = [self._search(batch, first, number) for batch in batches]
        for batch, result in zip(batches, results, strict=True):
            for index, hypotheses in zip(batch.indices, self._hypotheses(result, len(batch.indices)), strict=True):
                translations[index] = hypotheses
                if not hypotheses:
                    log.warning("line %d: no output keeps to all the rules of decoding: it stays empty", first + index)
        return translations

    def _encode(self, pairs: list[tuple[str, str]], first: int) -> dict[int, Sentence]:
        """Returns the lines that have any tokens, by index; `first` is the first line's number."""
        texts = [line.rstrip("\r\n") for line, _ in pairs]
        indices = [index for index, text in enumerate(texts) if text.strip()]
        encoded = self.tokenizer.encode_batch([texts[index] for index in indices])
        return {
            index: self._sentence([*tokens, EOS_ID], pairs[index][1], first + index)
            for index, tokens in zip(indices, encoded, strict=True)
            if tokens
        }

    def _sentence(self, tokens: list[int], prefix: str, line: int) -> Sentence:
        longest = self._longest_source()
        if len(tokens) > longest:
            log.warning(
                "line %d: has %d tokens, its end mark included: only the first %d are translated; split the line",
                *(line, len(tokens), longest - 1),
            )
            tokens = [*tokens[: longest - 1], EOS_ID]
        limit = output_limit(len(tokens), self.config, self._positions())
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

    def _positions(self) -> int | None:
        """The most tokens that all members have positions for; None: any number."""
        configs = [model.config for model, _ in self.members]
        return min((config.max_length for config in configs if config.positions == "learned"), default=None)

    def _longest_source(self) -> int:
        return min(self.config.max_source_length, self._positions() or self.config.max_source_length)

    def _longest_target(self) -> int:
        """The most tokens that decoding may write."""
        config = self.config
        longest = max(self._longest_source() + config.extra_length, config.min_length, config.max_length)
        return min(longest, self._positions() or longest)

    def _samples(self) -> bool:
        return self.config.sampling.temperature > 0

    def _search(self, batch: SentenceBatch, first: int, number: int) -> SearchResult:
        lines = np.zeros(len(batch.limits), np.int32)
        lines[: len(batch.indices)] = np.asarray(batch.indices) + first
        seed = np.uint32(self.config.sampling.seed % 2**32)  # jax.random.key looks at no more bits
        inputs, options = self._search_arguments(batch, number)
        return search_batch(*inputs, self._rows.put(lines), seed, **options, shrink=self._rows.sharding is None)

    def _search_arguments(self, batch: SentenceBatch, number: int) -> tuple[tuple, dict[str, Any]]:
        """Returns the arrays that every search takes, and its static arguments."""
        constraints = Constraints(
            limits=self._rows.put(batch.limits),
            prefix=None if batch.prefix is None else self._rows.put(batch.prefix),
            forbidden=self._rules.forbidden,
            required=self._rules.required,
        )
        models, params = zip(*self.members, strict=True)
        inputs = params, self._rows.put(batch.source), constraints
        config = compiled_part(self.config)
        return inputs, dict(models=models, config=config, max_length=batch.max_length, number=number)

    def _hypotheses(self, result: SearchResult, rows: int) -> Iterator[list[Hypothesis]]:
        """Yields the hypotheses of each of the first rows."""
        tokens, scores, lengths = (self._rows.fetch(array)[:rows] for array in result)
        texts = iter(self.tokenizer.decode_batch(tokens.reshape(-1, tokens.shape[-1]).tolist()))
        for row in range(rows):
            found = []
            for each, score, length in zip(tokens[row], scores[row], lengths[row], strict=True):
                # Bytes can spell a line's end; a line's translation is one line all the same, however it is read.
                text = next(texts).replace("\n", " ").replace("\r", " ")
                if length > 0:
                    found.append(Hypothesis(text, float(score), tuple(each[:length].tolist())))
            yield found


def _paired(sources: Sequence[Line], targets: Sequence[Line]) -> list[tuple[Line, Line]]:
    for name, lines in (("sources", sources), ("targets", targets)):
        if isinstance(lines, str):
            raise InputError(f"{name} = {lines[:20]!r}: must be lines, not one string: put it in a list")
    if len(sources) != len(targets):
        raise InputError(f"{len(sources)} sources but {len(targets)} targets: must be as many")
    return list(zip(sources, targets, strict=True))


def _require_one_tokenizer(tokenizers: dict[str, Tokenizer]) -> None:
    """Raises InputError if the tokenizers are not all the same; the keys are what it calls them."""
    if not tokenizers:
        raise InputError("an ensemble of no translators: give at least one")
    (first, tokenizer), *others = tokenizers.items()
    for name, other in others:
        if other.to_json() != tokenizer.to_json():
            raise InputError(
                f"{first} and {name}: have different tokenizers, so they cannot be an ensemble; train one with "
                "data.tokenizer_file = the other's tokenizer.json"
            )

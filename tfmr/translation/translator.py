"""Translation of raw text to raw text."""

import collections
import copy
import functools
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding

from tfmr.config import DecodingConfig, TransformerConfig
from tfmr.data.blank import is_blank
from tfmr.data.tokenizer import EOS_ID, PAD_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.models import Transformer, build_model
from tfmr.runs.parameters import read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.search.beam import BeamSteps
from tfmr.search.beam_tree import BeamTree, make_beam_tree
from tfmr.search.constraints import Constraints, RequiredWords
from tfmr.search.search import SearchResult
from tfmr.search.values import search_values
from tfmr.training.evaluation import between_batches
from tfmr.translation.alignment import NOT_ALIGNED, Alignment, check_layer_and_head, cross_attention, make_alignment
from tfmr.translation.glossary import Glossary, UsedGlossary
from tfmr.translation.glossary_writing import TermWriter
from tfmr.translation.hypotheses import Hypothesis, as_line, distinct_texts
from tfmr.translation.model_step import Member
from tfmr.translation.padded_batches import (
    Rows,
    Sentence,
    SentenceBatch,
    make_sentence_batches,
    output_limit,
    padded_width,
)
from tfmr.translation.pairs import Line, Pair, PairArrays, encode_pairs, run_on_pairs, without_too_long
from tfmr.translation.rules import Prefix, WordRules, encode_prefix, require_left_to_right, required_words
from tfmr.translation.scoring import NOT_SCORED, Score, log_probs_and_costs, make_score
from tfmr.translation.search_batch import compiled_part, search_batch

log = logging.getLogger("tfmr")

T = TypeVar("T")

_WINDOW = 64
"""Number of batches whose lines are sorted by length together."""
_MATRIX_WINDOW = 4
"""The same for alignments, which are large matrices if the sentences are long."""


class Translator:
    """Translates lines of text.

    The translation of a line does not depend on the other lines or the batch size.

    Attributes:
      members: the model and its parameters, or those of each member of an ensemble. They do not have `scan_layers`.
      tokenizer: the tokenizer of both languages.
      config: how to search.
    """

    searches_in_jax = True
    """Whether the search runs in JAX, rather than in another engine."""

    def __init__(
        self,
        model: Transformer,
        params: dict,
        tokenizer: Tokenizer,
        config: DecodingConfig,
        sharding: NamedSharding | None = None,
    ):
        """Prepares a model for translation; see the attributes for the arguments.

        The rows of a batch are sharded as `sharding` says, or else on the parameters' device. If it spans several
        processes, all of them must translate the same lines at the same time, and each returns all translations.

        Raises:
          InputError: if the tokenizer cannot write a required word, or it contains a forbidden one.
        """
        self.members = (Member.of(model, params),)
        self._set_up(tokenizer, config, model.config.vocab_size, sharding)

    def _set_up(
        self, tokenizer: Tokenizer, config: DecodingConfig, vocab_size: int, sharding: NamedSharding | None = None
    ) -> None:
        """Sets everything but the members."""
        self.tokenizer = tokenizer
        self.config = config
        self._rows = Rows(sharding)
        self._vocab_size = vocab_size
        self._rules = WordRules(config, tokenizer, vocab_size)
        self._glossary: UsedGlossary | None = None
        self._line_numbers: Sequence[int] = ()

    @classmethod
    def from_run(
        cls, directory: str | os.PathLike | RunDirectory, checkpoint: str = "", config: DecodingConfig | None = None
    ) -> "Translator":
        """Loads the translator of a run directory; see `from_runs`."""
        return cls.from_runs([directory], checkpoint, config)

    @classmethod
    def from_runs(
        cls,
        directories: Sequence[str | os.PathLike | RunDirectory],
        checkpoint: str = "",
        config: DecodingConfig | None = None,
    ) -> "Translator":
        """Loads an ensemble of run directories, whose tokenizers must be equal; see `ensemble`.

        Args:
          directories: the run directories.
          checkpoint: of every run: "averaged", "best", "last", or a step. Empty: the first of these that exists.
          config: how to search. None: as in the first run's config.

        Raises:
          InputError: if there is no such run or checkpoint, a run is not a translation model, or the tokenizers differ.
        """
        runs = [RunDirectory.open(directory) for directory in directories]
        # Check everything before reading the first parameters.
        for run in runs:
            if not isinstance(run.config.model, TransformerConfig):
                raise InputError(f"{run.path}: not a translation model; use tfmr generate for a language model")
        _require_one_tokenizer({str(run.path): run.tokenizer for run in runs})
        first, *others = (
            Member.of(build_model(run.config.model), read_params(run, run.config.model, checkpoint)) for run in runs
        )
        translator = cls(*first, runs[0].tokenizer, config or runs[0].config.decoding)
        translator.members = (first, *others)
        return translator

    @classmethod
    def ensemble(cls, translators: Sequence["Translator"]) -> "Translator":
        """Returns a translator that averages the probabilities of several at every step, and searches like the first.

        Raises:
          InputError: if there are no translators, or their tokenizers differ.
        """
        _require_one_tokenizer({f"translator {i}": each.tokenizer for i, each in enumerate(translators)})
        together = copy.copy(translators[0])
        together.members = tuple(member for each in translators for member in each.members)
        return together

    @property
    def model(self) -> Transformer:
        """The Transformer, or the first one of an ensemble."""
        return self.members[0].model

    @property
    def params(self) -> dict:
        """The parameters of `model`."""
        return self.members[0].params

    def with_languages(self, source_lang: str = "", target_lang: str = "") -> "Translator":
        """Returns the translator between other languages of a model that has many; empty codes change nothing.

        Raises:
          InputError: if the model does not have such a language.
        """
        other = copy.copy(self)
        other.tokenizer = self.tokenizer.with_languages(source_lang, target_lang)
        return other

    def with_glossary(self, glossary: Glossary | None) -> "Translator":
        """Returns the translator whose outputs contain the translations of the glossary's terms in their sources.

        An output contains the translation of each term at least once. A term that cannot be used is reported in a
        warning with the number of the line.

        Raises:
          InputError: if the config asks for samples, because only a beam search finds required words; or if the model
            writes from right to left.
        """
        if glossary is not None and self._samples():
            raise InputError(
                f"glossary: cannot be combined with decoding.sampling.temperature = {self.config.sampling.temperature}"
            )
        if glossary is not None:
            require_left_to_right("glossary", self.tokenizer)
        other = copy.copy(self)
        other._glossary = None if glossary is None else UsedGlossary(glossary, self._rules)
        return other

    def with_line_numbers(self, numbers: Sequence[int]) -> "Translator":
        """Returns the translator whose messages call the lines that it is given by these numbers."""
        other = copy.copy(self)
        other._line_numbers = numbers
        return other

    def excess_tokens(self, lines: Sequence[str]) -> list[int]:
        """Returns how many tokens each line has more than are translated; 0 or less if none of it is left out."""
        longest = self._longest_source()
        encoded = self.tokenizer.encode_batch(list(lines)) if lines else []
        return [len(self.tokenizer.source_sequence(ids)) - longest for ids in encoded]

    def with_config(self, config: DecodingConfig) -> "Translator":
        """Returns a translator that searches in another way.

        Raises:
          InputError: if the tokenizer cannot write a required word, or it contains a forbidden one.
        """
        other = copy.copy(self)
        other.config = config
        other._rules = WordRules(config, self.tokenizer, self._vocab_size)
        return other if self._glossary is None else other.with_glossary(self._glossary.glossary)

    def translate(
        self,
        lines: Iterable[str],
        prefixes: Iterable[Prefix] | None = None,
        *,
        source_lang: str = "",
        target_lang: str = "",
    ) -> list[str]:
        """Returns the translation of each line. The translation of a line without visible characters is empty.

        If a line has more tokens than `config.max_source_length` or the model's learned positions, only its beginning
        is translated, and a warning is logged.

        Args:
          lines: the sources.
          prefixes: what each translation must begin with, one for each line: a text, or token ids without those of
            tags. None: no prefixes.
          source_lang, target_lang: codes of languages, for a model that has many. Empty: those of the run.

        Raises:
          InputError: if a rule cannot be met: the prefix or the required words are longer than the output may be, the
            tokenizer cannot write the prefix, or it contains a forbidden word. Or if the model does not have such a
            language, or needs one that neither the arguments nor the run name.
        """
        return list(self.with_languages(source_lang, target_lang).translate_stream(lines, prefixes))

    def translate_stream(self, lines: Iterable[str], prefixes: Iterable[Prefix] | None = None) -> Iterator[str]:
        """Yields the translation of each line in order, reading many lines ahead; see `translate`."""
        for hypotheses in self.n_best_stream(lines, 1, prefixes):
            yield hypotheses[0].text if hypotheses else ""

    def n_best(
        self, lines: Iterable[str], number: int, prefixes: Iterable[Prefix] | None = None, *, distinct: bool = True
    ) -> list[list[Hypothesis]]:
        """Returns several translations of each line, best first, or in the order drawn when sampling.

        The first n translations do not depend on `number`. A blank line has none. Other lines have fewer than
        `number` if no more outputs obey the rules, or the whole beam has fewer distinct texts.

        Args:
          lines: the sources.
          number: the number of translations of each line, at most the beam size unless sampling.
          prefixes: see `translate`.
          distinct: of several hypotheses with the same text but different tokens, return only the best one. Samples are
            always returned as drawn.

        Raises:
          InputError: as `translate`, or if `number` exceeds the beam size.
        """
        return list(self.n_best_stream(lines, number, prefixes, distinct=distinct))

    def n_best_stream(
        self,
        lines: Iterable[str],
        number: int,
        prefixes: Iterable[Prefix] | None = None,
        *,
        distinct: bool = True,
        first: int = 1,
    ) -> Iterator[list[Hypothesis]]:
        """Yields several translations of each line in order; see `n_best`.

        `first` is the number of the first line. Samples depend on the number of their line, and messages contain it.
        """
        if isinstance(lines, str):
            raise InputError(f"translate({lines[:20]!r}): expects a list of lines, not a single string")
        if not self._samples() and number > self.config.beam_size:
            raise InputError(
                f"{number} translations of each line: must be at most decoding.beam_size = {self.config.beam_size}"
            )
        pairs = zip(lines, itertools.repeat("") if prefixes is None else prefixes, strict=prefixes is not None)
        distinct = distinct and number > 1 and not self._samples()
        searched = self.config.beam_size if distinct else number  # the beam replaces what is left out
        for start, window in self._windows(pairs, first, _WINDOW):
            for hypotheses in self._translate_window(window, start, searched):
                yield distinct_texts(hypotheses)[:number] if distinct else hypotheses

    def beam_tree(self, line: str, number: int = 1, prefix: Prefix = "") -> BeamTree:
        """Returns all hypotheses of the beam search for the translation of a line.

        This is the search of `n_best`, but it uses beam search even if the beam size is 1. `analysis.plot_beam_tree`
        draws the tree.

        Args:
          line: the source.
          number: the number of translations to search for. The search may end earlier if it is smaller.
          prefix: what the translation must begin with: a text, or token ids without those of tags.

        Raises:
          InputError: as `n_best`, or if the line is blank or the config asks for samples.
        """
        if self._samples():
            raise InputError(
                f"decoding.sampling.temperature = {self.config.sampling.temperature}: sampling has no beam; set it to 0"
            )
        if not 0 < number <= self.config.beam_size:
            raise InputError(f"number = {number}: must be from 1 to decoding.beam_size = {self.config.beam_size}")
        sentences = self._encode([(line, prefix)], 1)
        if not sentences:
            raise InputError(f"line = {line!r}: must not be blank")
        [batch] = self._batches(sentences)
        result, steps = jax.tree.map(self._rows.fetch, self._search(batch, 1, number, record=True))
        texts = self.tokenizer.token_texts(range(self.tokenizer.vocab_size))
        # The model may have more tokens than its tokenizer, and write them if it is not trained.
        texts += [""] * (self.model.config.vocab_size - len(texts))
        return make_beam_tree(jax.tree.map(lambda x: x[:, 0], steps), result.tokens[0], result.lengths[0], texts)

    @property
    def window(self) -> int:
        """The number of lines that are read ahead and sorted by length."""
        return _WINDOW * self.config.batch_size

    def _windows(self, items: Iterable[T], first: int, batches: int) -> Iterator[tuple[int, list[T]]]:
        """Yields the number of the first item and the items of each window; `first` is the number of the first."""
        items = iter(items)
        size = batches * self.config.batch_size
        for start in itertools.count(first, size):
            window = list(itertools.islice(items, size))
            if not window:
                return
            yield start, window

    def score(self, sources: Sequence[Line], targets: Sequence[Line]) -> list[Score]:
        """Returns the log-probability of each target given its source, and the score that decoding would give it.

        The score of a pair does not depend on the other pairs or the batch size. An empty line is scored as EOS only.
        If a pair has more tokens than decoding can read or write, its score is NaN, and a warning is logged.

        Args:
          sources: lines of text, or token ids with EOS at the end.
          targets: one for each source. Text may have other tokens than the ones that decoding wrote; pass token ids
            to score exactly these.

        Raises:
          InputError: if the numbers of sources and targets differ, or a token id is not in the vocabulary.
        """
        return list(self.score_stream(_paired(sources, targets)))

    def score_stream(self, pairs: Iterable[tuple[Line, Line]], *, first: int = 1) -> Iterator[Score]:
        """Yields the score of each pair in order, reading many pairs ahead; `first` is the number of the first pair."""
        models, params = zip(*self.members, strict=True)
        penalty = self.config.coverage_penalty
        run = functools.partial(log_probs_and_costs, params, models=models, coverage_penalty=penalty)
        make = functools.partial(make_score, config=self.config, tags=self.tokenizer.tags.target_ids)
        return self._on_pairs(pairs, first, _WINDOW, run, make, NOT_SCORED)

    def align(
        self, sources: Sequence[Line], targets: Sequence[Line], *, layer: int = -1, head: int | None = None
    ) -> list[Alignment]:
        """Returns the attention to each source token when the model writes each token of the target.

        If a pair has more tokens than decoding can read or write, its alignment is empty, and a warning is logged.

        Args:
          sources: lines of text, or token ids with EOS at the end.
          targets: one for each source.
          layer: index of the decoder layer. -1: the last.
          head: index of the head. None: the mean of all heads.

        Raises:
          InputError: as `score`, if there is no such layer or head, or if this is an ensemble.
        """
        return list(self.align_stream(_paired(sources, targets), layer=layer, head=head))

    def align_stream(
        self, pairs: Iterable[tuple[Line, Line]], *, layer: int = -1, head: int | None = None, first: int = 1
    ) -> Iterator[Alignment]:
        """Yields the alignment of each pair in order, reading several batches ahead; see `align`.

        `first` is the number of the first pair, for messages.
        """
        if len(self.members) > 1:
            raise InputError(
                f"an ensemble of {len(self.members)} models: alignments require a single model; use one run"
            )
        layer = check_layer_and_head(self.model.config, layer, head)
        run = functools.partial(cross_attention, self.params, model=self.model, layer=layer, head=head)
        return self._on_pairs(pairs, first, _MATRIX_WINDOW, run, make_alignment, NOT_ALIGNED)

    def _on_pairs(
        self,
        pairs: Iterable[tuple[Line, Line]],
        first: int,
        batches: int,
        run: Callable[[PairArrays], Any],
        make: Callable[[Pair, Any], T],
        too_long: T,
    ) -> Iterator[T]:
        """Yields `make` of each pair and its row of the results of `run`, in order; `too_long` for excluded pairs."""
        limits = self._longest_source(), self._longest_target()
        for start, window in self._windows(pairs, first, batches):
            kept = without_too_long(encode_pairs(self.tokenizer, window, start), limits, start)
            results = run_on_pairs(run, kept, self.config.batch_size, self._positions(), self._rows)
            made = {index: make(kept[index], row) for index, row in results}
            yield from (made.get(index, too_long) for index in range(len(window)))

    def _translate_window(self, pairs: list[tuple[str, Prefix]], first: int, number: int) -> list[list[Hypothesis]]:
        """Translates lines with their prefixes; `first` is the number of the first line."""
        translations: list[list[Hypothesis]] = [[] for _ in pairs]
        sentences = self._encode(pairs, first)
        for index, hypotheses in self._searched(sentences, first, number):
            translations[index] = hypotheses
            if not hypotheses:
                log.warning(
                    "line %d: no output satisfies all decoding constraints; its translation is empty",
                    self._line(first + index),
                )
        if self._glossary is not None:
            lines = {index: pairs[index][0].rstrip("\r\n") for index in sentences}
            self._term_writer(self._glossary, first, number).write(lines, sentences, translations)
        return translations

    def source_lengths(self, lines: Sequence[str], prefixes: Sequence[Prefix] | None = None) -> list[int]:
        """Returns the number of tokens of each line, including EOS; 0 if the line has no visible characters.

        Raises:
          InputError: for what `n_best` refuses, and if a line is so long that it would be truncated.
        """
        encoded = self.tokenizer.encode_batch([line.rstrip("\r\n") for line in lines])
        lengths, longest = [], self._longest_source()
        for number, (line, ids) in enumerate(zip(lines, encoded, strict=True), start=1):
            length = 0 if is_blank(line) or not ids else len(self.tokenizer.source_sequence(ids))
            if length > longest:
                raise InputError(f"line {number}: has {length} tokens, including EOS; at most {longest} are translated")
            if length:
                self._sentence(ids, prefixes[number - 1] if prefixes else "", number)
            lengths.append(length)
        return lengths

    def compile(self, rows: int, width: int, number: int = 1) -> None:
        """Compiles the program that `n_best` uses for `rows` lines whose longest has `width` tokens, including EOS."""
        config, longest = self.config, self._positions()
        width = min(padded_width(width), self._longest_source())
        source = np.full((rows, width), PAD_ID, np.int32)
        source[:, 0] = EOS_ID
        nothing = np.zeros(rows, np.int32)  # the search ends before its first step
        required = [self._rules.required] * rows if self._rules.required else None
        max_length = output_limit(width, config, longest)
        tags = max_length if required else len(self.tokenizer.tags.target_before)
        prefix = np.full((rows, padded_width(tags)), PAD_ID, np.int32) if tags else None
        batch = SentenceBatch([], source, nothing, prefix, required, max_length)
        jax.block_until_ready(self._search(batch, 1, number))

    def _term_writer(self, glossary: UsedGlossary, first: int, number: int) -> TermWriter:
        """Returns what writes terms; `first` is the number of the line with index 0."""
        first_member = copy.copy(self)
        first_member.members = self.members[:1]
        return TermWriter(
            glossary,
            self._rules,
            self.tokenizer,
            search=lambda sentences: self._searched(sentences, first, number),
            align=first_member.align,
            line=lambda index: self._line(first + index),
        )

    def _searched(
        self, sentences: Mapping[int, Sentence], first: int, number: int
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yields each sentence's index and hypotheses, in any order; `first` is the number of the line with index 0."""
        started = ((batch, self._search(batch, first, number)[0]) for batch in self._batches(sentences))
        for batch, result in started_ahead(started):
            yield from zip(batch.indices, self._hypotheses(result, len(batch.indices)), strict=True)
            between_batches.get()()

    def _encode(self, pairs: list[tuple[str, Prefix]], first: int) -> dict[int, Sentence]:
        """Returns the lines that have tokens, by index; `first` is the number of the first line."""
        texts = [line.rstrip("\r\n") for line, _ in pairs]
        indices = [index for index, text in enumerate(texts) if not is_blank(text)]
        encoded = self.tokenizer.encode_batch([texts[index] for index in indices])
        return {
            index: self._sentence(tokens, pairs[index][1], self._line(first + index))
            for index, tokens in zip(indices, encoded, strict=True)
            if tokens
        }

    def _line(self, number: int) -> int:
        """Returns the number of a line in messages."""
        return self._line_numbers[number - 1] if self._line_numbers else number

    def _sentence(self, ids: list[int], prefix: Prefix, line: int) -> Sentence:
        tokens, longest = self.tokenizer.source_sequence(ids), self._longest_source()
        if len(tokens) > longest:
            kept = max(1, longest - (len(tokens) - len(ids)))
            log.warning(
                "line %d: has %d tokens, including EOS; only the first %d are translated; split the line",
                *(line, len(tokens), kept),
            )
            tokens = self.tokenizer.source_sequence(ids[:kept])
        limit = output_limit(len(tokens), self.config, self._positions())
        start = [*self.tokenizer.tags.target_ids, *encode_prefix(prefix, self.tokenizer, self._rules, line)]
        needed = {
            f"its prefix {prefix!r}": len(start),
            f"the required words {self.config.required}": sum(word.tokens_needed for word in self._rules.required),
            f"decoding.min_length = {self.config.min_length}": self.config.min_length - 1,
        }
        for name, length in needed.items():
            if length + 1 > limit:
                raise InputError(
                    f"line {line}: {name}: {length + 1} tokens, including EOS, but the output is limited to {limit}; "
                    "raise decoding.extra_length or decoding.max_length"
                )
        return Sentence(tokens, limit, start, self._rules.required)

    def _positions(self) -> int | None:
        """Returns the number of positions that all members have; None: no limit."""
        configs = [model.config for model, _ in self.members]
        return min((config.max_length for config in configs if config.positions == "learned"), default=None)

    def _longest_source(self) -> int:
        return min(self.config.max_source_length, self._positions() or self.config.max_source_length)

    def _longest_target(self) -> int:
        """Returns the maximum number of tokens that decoding may write."""
        config = self.config
        longest = max(self._longest_source() + config.extra_length, config.min_length, config.max_length)
        return min(longest, self._positions() or longest)

    def _samples(self) -> bool:
        return self.config.sampling.temperature > 0

    def _batches(self, sentences: Mapping[int, Sentence]) -> Iterator[SentenceBatch]:
        return make_sentence_batches(sentences, self.config, self._positions(), self._rows.parts)

    def _search(
        self, batch: SentenceBatch, first: int, number: int, *, record: bool = False
    ) -> tuple[SearchResult, BeamSteps | None]:
        """Searches a batch; `first` is the number of the line with index 0. See `search_batch`."""
        lines = np.zeros(len(batch.limits), np.int32)
        lines[: len(batch.indices)] = np.asarray(batch.indices) + first
        seed = np.uint32(self.config.sampling.seed % 2**32)  # jax.random.key uses no more bits
        constraints = Constraints(
            limits=self._rows.put(batch.limits),
            prefix=None if batch.prefix is None else self._rows.put(batch.prefix),
            forbidden=self._rules.forbidden,
            required=self._required(batch),
        )
        models, params = zip(*self.members, strict=True)
        return search_batch(
            *(params, self._rows.put(batch.source), constraints, search_values(self.config, batch.max_length)),
            *(self._rows.put(lines), seed),
            models=models,
            config=compiled_part(self.config),
            max_length=batch.max_length,
            number=number,
            shrink=self._rows.sharding is None,
            record=record,
        )

    def _required(self, batch: SentenceBatch) -> RequiredWords | None:
        if batch.required is None:
            return None
        return required_words(batch.required, len(batch.limits), self._rows.put)

    def _hypotheses(self, result: SearchResult, rows: int) -> Iterator[list[Hypothesis]]:
        """Yields the hypotheses of each of the first `rows` rows."""
        tokens, scores, lengths = (self._rows.fetch(array)[:rows] for array in result)
        texts = iter(self.tokenizer.target_texts(tokens.reshape(-1, tokens.shape[-1]).tolist()))
        for row in range(rows):
            found = []
            for each, score, length in zip(tokens[row], scores[row], lengths[row], strict=True):
                text = as_line(next(texts))
                if length > 0:
                    found.append(Hypothesis(text, float(score), tuple(each[:length].tolist())))
            yield found


def started_ahead(items: Iterator[T], ahead: int = 1) -> Iterator[T]:
    """Yields the same items, each after the next `ahead` ones are made.

    The device is never idle. If more batches were started at once, it would take longer to interrupt them.
    """
    earlier: collections.deque[T] = collections.deque()
    for item in items:
        earlier.append(item)
        if len(earlier) > ahead:
            yield earlier.popleft()
    yield from earlier


def _paired(sources: Sequence[Line], targets: Sequence[Line]) -> list[tuple[Line, Line]]:
    for name, lines in (("sources", sources), ("targets", targets)):
        if isinstance(lines, str):
            raise InputError(f"{name} = {lines[:20]!r}: expects a list of lines, not a single string")
    if len(sources) != len(targets):
        raise InputError(f"{len(sources)} sources but {len(targets)} targets; the numbers must be equal")
    return list(zip(sources, targets, strict=True))


def _require_one_tokenizer(tokenizers: dict[str, Tokenizer]) -> None:
    """Raises InputError if the tokenizers are not all equal; the error names them by their keys."""
    if not tokenizers:
        raise InputError("an ensemble needs at least one translator")
    (first, tokenizer), *others = tokenizers.items()
    for name, other in others:
        if other.to_json() != tokenizer.to_json():
            raise InputError(
                f"{first} and {name} have different tokenizers and cannot form an ensemble; train one with "
                "data.tokenizer_file set to the other's tokenizer.json"
            )

"""Translation with CTranslate2, which computes with integers of 8 bits on CPUs."""

import functools
import importlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfmr.config import DecodingConfig, TransformerConfig
from tfmr.config.decoding import ComputeType
from tfmr.data.tags import Tags
from tfmr.data.tokenizer import EOS_ID
from tfmr.errors import InputError
from tfmr.interop.ctranslate2 import LONGEST, check_ctranslate2
from tfmr.interop.ctranslate2_cache import converted
from tfmr.nn.embedding import SINUSOIDS
from tfmr.runs.run_directory import RunDirectory
from tfmr.search.search import inverse_length_penalties
from tfmr.training.evaluation import between_batches
from tfmr.translation.glossary import Glossary
from tfmr.translation.hypotheses import Hypothesis, as_line
from tfmr.translation.model_step import Member
from tfmr.translation.padded_batches import Sentence
from tfmr.translation.translator import Translator, started_ahead


class CTranslate2Translator(Translator):
    """Translates lines of text with CTranslate2.

    The search is that of `Translator`; see `check_decoding` for the options that are missing. What CTranslate2 does not
    compute, such as scores of given translations and alignments, is computed with the parameters of the run, in JAX.
    """

    searches_in_jax = False

    def __init__(
        self,
        run: str | os.PathLike | RunDirectory,
        checkpoint: str = "",
        config: DecodingConfig | None = None,
        compute_type: ComputeType = "float32",
    ):
        """Converts the model of a run, unless that has been done already, and loads it.

        Args:
          run: the run directory.
          checkpoint: as in `Translator.from_runs`.
          config: how to search. None: as in the run's config.
          compute_type: the number type of the matrix products.

        Raises:
          InputError: as `Translator.from_runs`, or if CTranslate2 is not installed or lacks the model, an option of the
            search, or the number type on this CPU.
        """
        self._run, self._checkpoint = RunDirectory.open(run), checkpoint
        shape = self._run.config.model
        if not isinstance(shape, TransformerConfig):
            raise InputError(f"{self._run.path}: not a translation model; use tfmr generate for a language model")
        config = config or self._run.config.decoding
        check_ctranslate2(shape)
        check_decoding(config)
        _check_compute_type(compute_type)
        self._set_up(self._run.tokenizer, config, shape.vocab_size)
        self._most_positions = LONGEST if shape.positions in SINUSOIDS else shape.longest_sequence
        folder = converted(self._run, checkpoint)
        self._names: list[str] = json.loads((folder / "shared_vocabulary.json").read_text(encoding="utf-8"))
        self._ids = {name: number for number, name in enumerate(self._names)}
        self._engine = _load(folder, compute_type)

    @functools.cached_property
    def members(self) -> tuple[Member, ...]:
        """The model of the run and its parameters, which are read when they are first needed."""
        return Translator.from_run(self._run, self._checkpoint).members

    def with_config(self, config: DecodingConfig) -> Translator:
        """Returns a translator that searches in another way; raises InputError for an option that is missing."""
        check_decoding(config)
        return super().with_config(config)

    def compile(self, rows: int, width: int, number: int = 1) -> None:
        """Does nothing, because CTranslate2 compiles nothing."""

    def with_glossary(self, glossary: Glossary | None) -> Translator:
        """Raises InputError for a glossary, whose terms are required words."""
        if glossary is not None:
            raise InputError("--engine = 'ctranslate2': does not support --glossary; use --engine jax")
        return self

    def _positions(self) -> int | None:
        return self._most_positions

    def _searched(
        self, sentences: Mapping[int, Sentence], first: int, number: int
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        batches = _batches_of_one_length(sentences, self.config.batch_size)
        started = ((batch, self._start([sentences[index] for index in batch])) for batch in batches)
        for batch, results in started_ahead(started, ahead=_cores()):
            for index, result in zip(batch, results, strict=True):
                yield index, self._ranked(result.result(), sentences[index])[:number]
            between_batches.get()()

    def _start(self, sentences: Sequence[Sentence]) -> list[Any]:
        """Starts the search for sentences with sources of the same length; the result of each is available later."""
        appends_eos = self.tokenizer.tags == Tags()
        limit, config = sentences[0].limit, self.config
        return self._engine.translate_batch(
            [self._named(sentence.tokens[: -1 if appends_eos else None]) for sentence in sentences],
            [self._named(sentence.prefix) for sentence in sentences],
            asynchronous=True,
            beam_size=config.beam_size,
            num_hypotheses=config.beam_size,
            length_penalty=_exponent(config, sentences[0]),
            no_repeat_ngram_size=config.no_repeat_ngram,
            # Neither counts EOS.
            max_decoding_length=limit - 1,
            min_decoding_length=max(0, config.min_length - 1),
            max_input_length=0,
            return_scores=True,
            return_end_token=True,
        )

    def _named(self, tokens: Sequence[int]) -> list[str]:
        return [self._names[token] for token in tokens]

    def _ranked(self, result: Any, sentence: Sentence) -> list[Hypothesis]:
        """Returns the hypotheses of a sentence, best first, with tfmr's scores."""
        rows = [[self._ids[name] for name in names] for names in result.hypotheses]
        texts = self.tokenizer.target_texts(rows)
        found = []
        for row, text, score in zip(rows, texts, result.scores, strict=True):
            log_prob = score * len(row) ** _exponent(self.config, sentence)
            tokens = row if row[-1:] == [EOS_ID] else [*row, EOS_ID]  # cut at the limit
            weight = inverse_length_penalties(self.config, len(tokens) - len(sentence.prefix))[-1]
            found.append(Hypothesis(as_line(text), float(log_prob * weight), tuple(tokens)))
        return sorted(found, key=lambda hypothesis: -hypothesis.score)


def check_decoding(config: DecodingConfig) -> None:
    """Raises an InputError that lists the options of a search that CTranslate2 does not have."""
    missing = {
        f"decoding.{name}": getattr(config, name)
        for name in ("coverage_penalty", "diversity", "forbidden", "required")
        if getattr(config, name)
    }
    if config.sampling.temperature > 0:
        missing["decoding.sampling.temperature"] = config.sampling.temperature
    if config.max_length == 1:
        missing["decoding.max_length"] = 1
    if missing:
        options = ", ".join(f"{name} = {value!r}" for name, value in missing.items())
        raise InputError(f"--engine = 'ctranslate2': does not support {options}; use --engine jax")


def _check_compute_type(compute_type: str) -> None:
    known = importlib.import_module("ctranslate2").get_supported_compute_types("cpu")
    if compute_type not in known:
        raise InputError(
            f"--compute-type = {compute_type!r}: CTranslate2 does not support it on this CPU; choose one of "
            f"{', '.join(sorted(known))}"
        )


def _exponent(config: DecodingConfig, sentence: Sentence) -> float:
    """Returns the exponent of CTranslate2's length penalty, length^exponent.

    It does not affect the search, but which hypotheses are left out if more end than the beam has. For "gnmt", it is
    the one whose penalty grows alike at the length of the source. With 0, the search would end differently.
    """
    length = len(sentence.tokens)
    exponent = config.alpha * length / (5 + length) if config.length_penalty == "gnmt" else config.alpha
    return max(exponent, 1e-6)


def _cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load(folder: Path, compute_type: str) -> Any:
    try:
        # Batches in parallel need not wait for each other, as the threads of one batch do.
        threads = dict(inter_threads=_cores(), intra_threads=1)
        return importlib.import_module("ctranslate2").Translator(
            os.fspath(folder), compute_type=compute_type, **threads
        )
    except RuntimeError as error:
        raise InputError(
            f"{folder}: cannot be read by CTranslate2 ({str(error).splitlines()[0]}); remove this folder"
        ) from None


def _batches_of_one_length(sentences: Mapping[int, Sentence], size: int) -> Iterator[list[int]]:
    """Yields the indices of sentences in batches whose sources have the same number of tokens, longest first.

    CTranslate2 has one limit and one length penalty for all sentences of a batch, and both depend on this number. These
    batches also have no padding.
    """

    def length(index: int) -> int:
        return len(sentences[index].tokens)

    for _, group in itertools.groupby(sorted(sentences, key=length, reverse=True), length):
        indices = list(group)
        yield from (indices[start : start + size] for start in range(0, len(indices), size))

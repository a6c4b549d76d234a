"""The task of machine translation."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh

from tfmr.config import Config, DecodingConfig, PairsConfig
from tfmr.data.batching import LENGTH_MULTIPLE, Batch, Bucket, rows_of
from tfmr.data.corpora.lines import read_pairs
from tfmr.data.pairs import PairSplit, encode_pairs, evaluation_batches
from tfmr.data.prepare import PreparedPairs
from tfmr.data.token_arrays import TokenArrays
from tfmr.errors import InputError
from tfmr.models import Transformer
from tfmr.runs.outputs import UnwrittenOutput, check_output, output_file
from tfmr.runs.run_directory import RunDirectory
from tfmr.training.evaluation import mean_loss, perplexity
from tfmr.training.sharding import batch_parts, batch_sharding, logical_names_on
from tfmr.training.task import EvaluationOptions, TokenTask, Validation
from tfmr.translation.bleu_tokenizers import bleu_tokenizer, recommended_tokenizer
from tfmr.translation.comet import check_comet, comet_score
from tfmr.translation.engines import open_translator
from tfmr.translation.scores import corpus_scores, evaluate
from tfmr.translation.translator import Translator

log = logging.getLogger("tfmr")


class Translation(TokenTask):
    """Sentence pairs, scored by loss, BLEU and chrF."""

    def validation(self, model: Transformer, corpus: PreparedPairs, config: Config, mesh: Mesh) -> Validation:
        """Returns the function that computes `loss` and `perplexity` of the validation split, and `bleu` and `chrf`.

        These are of greedy translations of the first `config.training.bleu_sentences` sentences.
        """
        sources, references = corpus.text("validation")
        pairs = encode_pairs(corpus.tokenizer, sources, references)
        data: Any = config.data
        batches = evaluation_batches(pairs, max_length=data.max_length, rows_multiple=batch_parts(mesh))
        if (translated := config.training.bleu_sentences) >= 0:
            sources, references = sources[:translated], references[:translated]
        greedy = DecodingConfig(beam_size=1, max_source_length=config.decoding.max_source_length)
        tokenize = bleu_tokenizer(data) if sources else ""
        warnings: set[str] = set()

        def validate(params: Any) -> dict[str, float]:
            # All processes run the same programs over the whole mesh, each on the rows of its own devices. Sharded
            # parameters therefore stay where they are, however large, and every process learns the result.
            loss = mean_loss(model, params, batches, mesh)
            values = {"loss": loss, "perplexity": perplexity(loss)}
            if sources:
                with logical_names_on(mesh), _each_logged_once(warnings):
                    translator = Translator(model, params, corpus.tokenizer, greedy, batch_sharding(mesh))
                    translations = translator.translate(sources)
                scores = corpus_scores(translations, references, tokenize)
                values |= {name: scores[name] for name in ("bleu", "chrf")}
            return values

        return validate

    def has_evaluation_of(self, run: RunDirectory, corpus: PreparedPairs) -> bool:
        """Returns whether the validation sentences of the run, if it has any, are those of the corpus."""
        return not run.has_split("validation") or run.read_text_split("validation") == corpus.text("validation")

    def identity(self, corpus: PreparedPairs) -> dict[str, str]:
        """Returns the identity of the corpus, and the tokenizer for BLEU, which may be missing on one of the hosts."""
        recommended = recommended_tokenizer(corpus.manifest["target_language"])
        return {**super().identity(corpus), "the tokenizer for BLEU": recommended}

    def write_files(self, run: RunDirectory, corpus: PreparedPairs) -> None:
        """Writes the tokenizer, and the sentences of the validation and test splits."""
        run.write_tokenizer(corpus.tokenizer)
        for split in ("validation", "test"):
            run.write_text_split(split, *corpus.text(split))

    def evaluate(self, run: RunDirectory, options: EvaluationOptions) -> dict[str, Any]:
        """Translates a split, or `options.source`, and scores the translations.

        Raises:
          InputError: for wrong options, before any work.
          UnwrittenOutput: if `options.output` turns out not to be writable; it carries the scores.
        """
        if bool(options.source) != bool(options.target):
            raise InputError("--source and --target: give both or neither")
        if options.stride:
            raise InputError(f"--stride = {options.stride}: only language models support it; leave it out")
        if options.output:
            check_output(options.output, filter(None, (options.source, options.target)), (run.path,))
        sources, references = _pairs(run, options)
        data: Any = run.config.data
        tokenize = bleu_tokenizer(data, options.bleu_tokenizer)
        if options.comet:
            check_comet(options.comet)
        translator = open_translator(
            [run], options.checkpoint, options.decoding, engine=options.engine, compute_type=options.compute_type
        )
        pairs = encode_pairs(translator.tokenizer, sources, references)
        batches = evaluation_batches(pairs, max_length=data.max_length)
        translations = translator.translate(sources)
        unwritten = _write_lines(options.output, translations) if options.output else None
        scores = dataclasses.asdict(evaluate(translator, sources, references, batches, tokenize, translations))
        if options.comet:
            scores["comet"] = comet_score(options.comet, sources, translations, references)
        if unwritten:
            raise UnwrittenOutput(unwritten, scores)
        return scores

    def longest_batch(self, data: PairsConfig) -> tuple[PairSplit, Batch]:
        """Returns a batch of the longest bucket. Packed rows may be slightly longer, depending on the corpus."""
        length = -(-data.max_length // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
        nothing = TokenArrays(np.empty(0, np.int32), np.zeros(1, np.int64))
        bucket = Bucket(rows_of(data.tokens_per_batch, length), length, length)
        return PairSplit(nothing, nothing), Batch(bucket, np.empty(0, np.int64))


@contextlib.contextmanager
def _each_logged_once(messages: set[str]) -> Iterator[None]:
    """Adds what is logged to `messages`, and drops messages that are among them."""

    def is_new(record: logging.LogRecord) -> bool:
        new = record.getMessage() not in messages
        messages.add(record.getMessage())
        return new

    log.addFilter(is_new)
    try:
        yield
    finally:
        log.removeFilter(is_new)


def _write_lines(path: str, lines: list[str]) -> InputError | None:
    """Writes lines to a file; returns the error if that fails."""
    try:
        with output_file(path) as file:
            file.write("".join(line + "\n" for line in lines).encode())
    except InputError as error:
        return error
    return None


def _pairs(run: RunDirectory, options: EvaluationOptions) -> tuple[list[str], list[str]]:
    if not options.source:
        return run.read_text_split(options.split or "test")
    pairs = list(read_pairs(Path(options.source), Path(options.target)))
    if not pairs:
        raise InputError(f"{options.source}: is empty, so there are no sentences to evaluate")
    return [source for source, _ in pairs], [target for _, target in pairs]

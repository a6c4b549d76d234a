"""`tfmr evaluate RUN`: BLEU, chrF, loss and perplexity on a test set."""

import dataclasses
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro

from tfmr.cli.run_arguments import parse_with_run
from tfmr.config import DecodingConfig, RunningTextConfig
from tfmr.errors import InputError
from tfmr.run_directory import RunDirectory, write_text


@dataclass(frozen=True)
class Arguments:
    """Translates a test set and scores it; the last line of the output is one JSON object."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""
    split: Literal["test", "validation"] = "test"
    """Which split of the run's corpus."""
    source: str = ""
    """A file to translate in place of the split; with `target`."""
    target: str = ""
    """The reference translations of `source`, line by line."""
    output: str = ""
    """File to write the translations to."""
    stride: int = 0
    """Language models: tokens that each row predicts, its last ones, with the others of the row before them. 0: all, so
    that a token is predicted from half a row before it in the mean."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search; what is not given is as in the run's config."""


def main(arguments: list[str]) -> None:
    """Prints the scores; the last line is JSON."""
    options = parse_with_run(Arguments, arguments, "tfmr evaluate")
    if bool(options.source) != bool(options.target):
        raise InputError("--source and --target: give both or none")
    run = RunDirectory.open(options.run)
    if isinstance(run.read_config().data, RunningTextConfig):
        _evaluate_text(run, options)
        return
    from tfmr.data.loader import encode_pairs, evaluation_batches
    from tfmr.decoding import Translator
    from tfmr.evaluation import score_translations, scoring_tokenizer

    sources, references = _read_pairs(run, options)
    translator = Translator.from_run(options.run, options.checkpoint, options.decoding)
    translations = translator.translate(sources)
    if options.output:
        write_text(Path(options.output), "".join(line + "\n" for line in translations))
    batches = evaluation_batches(encode_pairs(translator.tokenizer, sources, references))
    tokenize = scoring_tokenizer(run.read_config().data)
    scores = score_translations(translator, translations, references, batches, tokenize)
    for name, value in dataclasses.asdict(scores).items():
        print(f"{name:11} {value:.4f}" if isinstance(value, float) else f"{name:11} {value}")
    print(json.dumps(dataclasses.asdict(scores)))


def _evaluate_text(run: RunDirectory, options: Arguments) -> None:
    """Prints the loss of a language model on the whole validation text, every token of it predicted once."""
    from tfmr.data.text_batches import crop_batches, evaluation_batches_of_text
    from tfmr.evaluation import evaluate_loss, negative_log_likelihood, perplexity
    from tfmr.models import build_model
    from tfmr.parameters import read_params

    config, text = run.read_config(), run.read_token_split("validation")
    data: Any = config.data
    params = read_params(run, config.model, options.checkpoint)
    sums = functools.partial(negative_log_likelihood, build_model(config.model), params)
    loss = evaluate_loss(sums, evaluation_batches_of_text(text, data, stride=options.stride))
    scores = {"loss": loss, "perplexity": perplexity(loss), "tokens": len(text.tokens)}
    if data.evaluation_crops:
        scores["crop_loss"] = evaluate_loss(sums, crop_batches(text, data))
    for name, value in scores.items():
        print(f"{name:11} {value:.4f}" if isinstance(value, float) else f"{name:11} {value}")
    print(json.dumps(scores))


def _read_pairs(run: RunDirectory, options: Arguments) -> tuple[list[str], list[str]]:
    if not options.source:
        return run.read_text_split(options.split)
    from tfmr.data.corpora.lines import read_pairs

    pairs = list(read_pairs(Path(options.source), Path(options.target)))
    if not pairs:
        raise InputError(f"{options.source}: is empty, there is nothing to evaluate")
    return [source for source, _ in pairs], [target for _, target in pairs]

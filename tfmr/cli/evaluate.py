"""`tfmr evaluate RUN`: BLEU, chrF, loss and perplexity on a test set."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from tfmr.cli.run_arguments import parse_with_run
from tfmr.config import DecodingConfig
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
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search; what is not given is as in the run's config."""


def main(arguments: list[str]) -> None:
    """Prints the scores; the last line is JSON."""
    options = parse_with_run(Arguments, arguments, "tfmr evaluate")
    if bool(options.source) != bool(options.target):
        raise InputError("--source and --target: give both or none")
    from tfmr.data.loader import encode_pairs, evaluation_batches
    from tfmr.decoding import Translator
    from tfmr.evaluation import score_translations, scoring_tokenizer

    run = RunDirectory.open(options.run)
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


def _read_pairs(run: RunDirectory, options: Arguments) -> tuple[list[str], list[str]]:
    if not options.source:
        return run.read_text_split(options.split)
    from tfmr.data.corpora.lines import read_pairs

    pairs = list(read_pairs(Path(options.source), Path(options.target)))
    if not pairs:
        raise InputError(f"{options.source}: is empty, there is nothing to evaluate")
    return [source for source, _ in pairs], [target for _, target in pairs]

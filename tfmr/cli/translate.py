"""`tfmr translate RUN`: lines in, their translations out, in order."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import tyro

from tfmr.cli.run_arguments import parse_with_run
from tfmr.config import DecodingConfig


@dataclass(frozen=True)
class Arguments:
    """Translates standard input, or a file, line by line."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""
    ensemble: tuple[str, ...] = ()
    """More run directories, with the same tokenizer: the mean of all models' probabilities decides."""
    input: str = ""
    """File to translate, plain or gzip; empty: standard input."""
    output: str = ""
    """File to write; empty: standard output."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search; what is not given is as in the run's config."""


def main(arguments: list[str]) -> None:
    """Writes one line for each line read; an empty line stays empty."""
    options = parse_with_run(Arguments, arguments, "tfmr translate")
    from tfmr.cli.text_streams import input_lines, output_file

    lines = input_lines(options.input)
    from tfmr.decoding import Translator  # slow to import: after what is wrong with the input was told

    runs = (options.run, *options.ensemble)
    translator = Translator.from_runs(runs, options.checkpoint, options.decoding)
    # Someone who types wants the answer to a line before the next.
    typed = not options.input and sys.stdin.isatty()
    groups: Iterable[Iterable[str]] = ([line] for line in lines) if typed else [lines]
    with output_file(options.output, options.input) as file:
        for group in groups:
            for translation in translator.translate_stream(group):
                file.write(translation.encode() + b"\n")
                file.flush()

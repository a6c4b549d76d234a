"""`tfmr translate RUN`: lines in, their translations out, in order."""

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from tfmr.cli.run_arguments import parse_with_run
from tfmr.config import DecodingConfig
from tfmr.errors import InputError


@dataclass(frozen=True)
class Arguments:
    """Translates standard input, or a file, line by line."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""
    input: str = ""
    """File to translate; empty: standard input."""
    output: str = ""
    """File to write; empty: standard output."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search; what is not given is as in the run's config."""


def main(arguments: list[str]) -> None:
    """Writes one line for each line read; an empty line stays empty."""
    options = parse_with_run(Arguments, arguments, "tfmr translate")
    if options.input and not Path(options.input).is_file():
        raise InputError(f"--input = {options.input!r}: no such file")
    from tfmr.data.corpora.lines import decode_lines
    from tfmr.decoding import Translator

    translator = Translator.from_run(options.run, options.checkpoint, options.decoding)
    with contextlib.ExitStack() as files:
        source = files.enter_context(open(options.input, "rb")) if options.input else sys.stdin.buffer
        target = files.enter_context(open(options.output, "wb")) if options.output else sys.stdout.buffer
        lines = decode_lines(source, options.input or "standard input")
        # Someone who types wants the answer to a line before the next.
        groups: Iterable[Iterable[str]] = ([line] for line in lines) if source.isatty() else [lines]
        for group in groups:
            for translation in translator.translate_stream(group):
                target.write(translation.encode() + b"\n")
                target.flush()

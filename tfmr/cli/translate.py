"""`tfmr translate RUN`: lines in, their translations out, in order."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import tyro

from tfmr.cli.run_arguments import parse_with_run
from tfmr.config import DecodingConfig
from tfmr.errors import InputError

if TYPE_CHECKING:
    from tfmr.translation import Hypothesis, Translator


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
    prefixes: str = ""
    """File with what the translations of `input` must begin with, line by line; an empty line leaves it free."""
    n_best: int = 0
    """Write so many translations of each line, as number of the line, score, text, with tabs; 0: the best as text."""
    output: str = ""
    """File to write; empty: standard output."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search; what is not given is as in the run's config."""


def main(arguments: list[str]) -> None:
    """Writes one line for each line read, an empty line for an empty one; or with `n_best` one for each translation."""
    options = parse_with_run(Arguments, arguments, "tfmr translate")
    if options.n_best < 0:
        raise InputError(f"--n-best = {options.n_best}: must be 0 or more")
    from tfmr.cli.progress import shown
    from tfmr.cli.text_streams import output_file

    pairs = _input(options)
    from tfmr.translation import Translator  # slow to import: after what is wrong with the input was told

    translator = Translator.from_runs((options.run, *options.ensemble), options.checkpoint, options.decoding)
    # Someone who types wants the answer to a line before the next.
    typed = not options.input and sys.stdin.isatty()
    groups: Iterable[Iterable[tuple[str, str]]] = ([pair] for pair in pairs) if typed else [pairs]
    translations = itertools.chain.from_iterable(_translate(translator, group, options) for group in groups)
    if not typed:
        translations = shown(translations, "lines", options.input)
    with output_file(options.output, options.input, options.prefixes) as file:
        for number, hypotheses in enumerate(translations, start=1):
            file.write(_written(number, hypotheses, options.n_best).encode())
            file.flush()


def _input(options: Arguments) -> Iterator[tuple[str, str]]:
    """Returns the lines with their prefixes, after the files were read once."""
    from tfmr.cli.text_streams import input_lines, input_pairs

    if not options.prefixes:
        return zip(input_lines(options.input), itertools.repeat(""), strict=False)
    if not options.input:
        raise InputError(f"--prefixes = {options.prefixes!r}: give --input with it")
    return input_pairs(options.input, options.prefixes)


def _translate(
    translator: "Translator", pairs: Iterable[tuple[str, str]], options: Arguments
) -> Iterator[list["Hypothesis"]]:
    lines, prefixes = itertools.tee(pairs)
    return translator.n_best_stream(
        (line for line, _ in lines), max(1, options.n_best), (prefix for _, prefix in prefixes)
    )


def _written(number: int, hypotheses: list["Hypothesis"], n_best: int) -> str:
    if n_best == 0:
        return f"{hypotheses[0].text if hypotheses else ''}\n"
    return "".join(f"{number}\t{hypothesis.score:.6f}\t{hypothesis.text}\n" for hypothesis in hypotheses)

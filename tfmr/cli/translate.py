"""`tfmr translate RUN`: translates lines, in order."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tfmr.cli.arguments import RunArguments, parse_with_run
from tfmr.config import DecodingConfig
from tfmr.errors import InputError

if TYPE_CHECKING:
    from tfmr.translation import Hypothesis, Translator


@dataclass(frozen=True)
class Arguments(RunArguments):
    """Translates a file or standard input, line by line, or a document."""

    ensemble: tuple[str, ...] = ()
    """More run directories with the same tokenizer. The probabilities of all models are averaged."""
    input: str = ""
    """File to translate, plain or compressed with gzip, bzip2, xz or zstd. Empty: standard input."""
    source_lang: str = ""
    """Language of the input, for a model that has many, such as eng_Latn. Empty: that of the run."""
    target_lang: str = ""
    """Language to translate into, for a model that has many. Empty: that of the run."""
    prefixes: str = ""
    """File with the required beginning of each translation, one per line. An empty line imposes no prefix."""
    line_by_line: bool = False
    """Translate each line of standard input before reading the next, as on a terminal. Otherwise the lines that have
    arrived are translated together when the input pauses."""
    n_best: int = 0
    """Write this many translations per line as line number, score and text, separated by tabs. 0: write only
    the text of the best translation."""
    distinct: bool = True
    """With `n_best`, write each text once, with its best score. The same text can consist of different tokens."""
    output: str = ""
    """File to write. Empty: standard output."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search. Options that are not given are taken from the run."""
    document: str = ""
    """Document to translate instead of lines: plain text (.txt), Markdown (.md), HTML (.html) or SubRip (.srt).
    Everything but its text stays as it is."""
    glossary: str = ""
    """TSV file of source term, target term and optionally a note. Where a source contains the term, its translation
    contains the target term."""


def main(arguments: list[str]) -> None:
    """Writes one line for each input line (empty for an empty line), or with `n_best` one for each translation."""
    options, run = parse_with_run(Arguments, arguments, "tfmr translate")
    if options.n_best < 0:
        raise InputError(f"--n-best = {options.n_best}: must be 0 or more")
    from tfmr.cli.text_streams import arriving, with_progress
    from tfmr.runs.outputs import check_output, output_file

    prefixes = (options.prefixes,) if options.prefixes else ()
    files = [name for name in (*prefixes, options.glossary) if name]
    check_output(options.output, (options.document or options.input, *files), (options.run, *options.ensemble))
    document = _document(options) if options.document else ""
    pairs = None if options.document else _input(options)
    run.tokenizer.with_languages(options.source_lang, options.target_lang).tags.check()
    from tfmr.translation import Glossary, Translator, translate_document  # slow, so the input is checked first
    from tfmr.translation.documents import check_document

    glossary = Glossary.from_file(options.glossary) if options.glossary else None
    if options.document:
        check_document(options.document, document)
    translator = Translator.from_runs((run, *options.ensemble), options.checkpoint, options.decoding)
    translator = translator.with_languages(options.source_lang, options.target_lang).with_glossary(glossary)
    if options.document:
        language = options.source_lang or getattr(run.config.data, "source_language", "")
        with output_file(options.output) as file:
            file.write(translate_document(translator, options.document, document, language=language).encode())
        return
    at_once = options.line_by_line or (not options.input and sys.stdin.isatty())
    groups = [(1, pairs)] if pairs else arriving(_without_prefixes, translator.window, at_once=at_once)
    translations = itertools.chain.from_iterable(_translate(translator, *group, options) for group in groups)
    if not at_once:
        translations = with_progress(translations, "lines", options.input)
    with output_file(options.output) as file:
        for number, hypotheses in enumerate(translations, start=1):
            file.write(_written(number, hypotheses, options.n_best).encode())
            file.flush()


def _input(options: Arguments) -> Iterator[tuple[str, str]] | None:
    """Returns the lines with their prefixes, after checking the files; None for standard input."""
    from tfmr.cli.text_streams import input_lines, input_pairs

    if options.line_by_line and options.input:
        raise InputError(f"--line-by-line: applies only to standard input; leave out --input {options.input!r}")
    if options.prefixes and not options.input:
        raise InputError(f"--prefixes = {options.prefixes!r}: requires --input")
    if options.prefixes:
        return input_pairs(options.input, options.prefixes)
    return zip(input_lines(options.input), itertools.repeat(""), strict=False) if options.input else None


def _document(options: Arguments) -> str:
    """Returns the text of the document, after checking its type."""
    for name in ("input", "prefixes", "line_by_line", "n_best"):
        if getattr(options, name):
            raise InputError(f"--document cannot be combined with --{name.replace('_', '-')}; leave it out")
    try:
        return Path(options.document).read_bytes().decode()
    except OSError as error:
        raise InputError(f"--document = {options.document!r}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"--document = {options.document!r}: is not UTF-8 (byte {error.start + 1}); save it as UTF-8"
        ) from None


def _without_prefixes(raw_lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    from tfmr.cli.text_streams import lines_of

    return zip(lines_of(raw_lines), itertools.repeat(""), strict=False)


def _translate(
    translator: "Translator", first: int, pairs: Iterable[tuple[str, str]], options: Arguments
) -> Iterator[list["Hypothesis"]]:
    lines, prefixes = itertools.tee(pairs)
    return translator.n_best_stream(
        (line for line, _ in lines),
        max(1, options.n_best),
        (prefix for _, prefix in prefixes),
        distinct=options.distinct,
        first=first,
    )


def _written(number: int, hypotheses: list["Hypothesis"], n_best: int) -> str:
    if n_best == 0:
        return f"{hypotheses[0].text if hypotheses else ''}\n"
    return "".join(f"{number}\t{hypothesis.score:.6f}\t{hypothesis.text}\n" for hypothesis in hypotheses)

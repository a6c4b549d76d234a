"""`tfmr translate RUN`: translates lines, in order."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfmr.cli.arguments import RunArguments, parse_with_run
from tfmr.config import DecodingConfig
from tfmr.config.decoding import ComputeType, Engine
from tfmr.errors import InputError

if TYPE_CHECKING:
    from tfmr.runs import RunDirectory
    from tfmr.translation import Hypothesis, Translator
    from tfmr.translation.choice import Choice


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
    engine: Engine = "jax"
    """What searches: jax, or ctranslate2 on the CPU, which converts the run once and does not support every option."""
    compute_type: ComputeType = "float32"
    """The number type of CTranslate2's matrix products; int8 is the fastest on most CPUs."""
    mbr: int = 0
    """Instead of searching, draw this many sample translations of each line and write the one most similar to all of
    them (minimum Bayes risk). 0: search."""
    mbr_metric: Literal["chrf", "bleu"] = "chrf"
    """How `mbr` compares samples: with sacreBLEU's chrF2, or with its sentence-level BLEU."""
    rescore: str = ""
    """Another run, whose score of each hypothesis in the beam also decides which is the best. It may have another
    tokenizer, and be trained with data.right_to_left."""
    rescore_weight: float = 0.5
    """The share of the other run's score, from 0 to 1."""


def main(arguments: list[str]) -> None:
    """Writes one line for each input line (empty for an empty line), or with `n_best` one for each translation."""
    options, run = parse_with_run(Arguments, arguments, "tfmr translate")
    if options.n_best < 0:
        raise InputError(f"--n-best = {options.n_best}: must be 0 or more")
    _check_choice(options)
    from tfmr.cli.text_streams import arriving, with_progress
    from tfmr.runs.outputs import check_output, output_file

    prefixes = (options.prefixes,) if options.prefixes else ()
    files = [name for name in (*prefixes, options.glossary) if name]
    runs = [name for name in (options.run, *options.ensemble, options.rescore) if name]
    check_output(options.output, (options.document or options.input, *files), runs)
    document = _document(options) if options.document else ""
    pairs = None if options.document else _input(options)
    run.tokenizer.with_languages(options.source_lang, options.target_lang).tags.check()
    from tfmr.translation import Glossary, open_translator, translate_document  # slow, so the input is checked first
    from tfmr.translation.documents import check_document

    glossary = Glossary.from_file(options.glossary) if options.glossary else None
    if options.document:
        check_document(options.document, document)
    translator = open_translator(
        *((run, *options.ensemble), options.checkpoint, options.decoding),
        engine=options.engine,
        compute_type=options.compute_type,
    )
    translator = translator.with_languages(options.source_lang, options.target_lang).with_glossary(glossary)
    if options.document:
        language = options.source_lang or getattr(run.config.data, "source_language", "")
        with output_file(options.output) as file:
            file.write(translate_document(translator, options.document, document, language=language).encode())
        return
    translator = _choosing(translator, run, options)
    at_once = options.line_by_line or (not options.input and sys.stdin.isatty())
    groups = [(1, pairs)] if pairs else arriving(_without_prefixes, translator.window, at_once=at_once)
    translations = itertools.chain.from_iterable(_translate(translator, *group, options) for group in groups)
    if not at_once:
        translations = with_progress(translations, "lines", options.input)
    with output_file(options.output) as file:
        for number, hypotheses in enumerate(translations, start=1):
            file.write(_written(number, hypotheses, options.n_best).encode())
            file.flush()


def _check_choice(options: Arguments) -> None:
    """Raises InputError for wrong options of `mbr` and `rescore`."""
    chosen = "--mbr" if options.mbr else "--rescore" if options.rescore else ""
    for name in ("document", "glossary"):
        if chosen and getattr(options, name):
            raise InputError(f"--{name} = {getattr(options, name)!r}: cannot be combined with {chosen}")
    if options.mbr < 0:
        raise InputError(f"--mbr = {options.mbr}: must be 0, or at least 2 samples")
    if options.mbr and options.rescore:
        raise InputError("--mbr: cannot be combined with --rescore")
    if options.mbr and options.n_best > options.mbr:
        raise InputError(f"--n-best = {options.n_best}: must be at most --mbr = {options.mbr}")
    if options.mbr and options.engine != "jax":
        raise InputError(f"--mbr: draws samples, which --engine {options.engine} does not support; use --engine jax")
    if options.mbr:
        from tfmr.translation.mbr import sampling_config

        sampling_config(options.decoding, options.mbr)
    if options.rescore:
        from tfmr.runs import RunDirectory
        from tfmr.translation.rescoring import check_weight

        RunDirectory.open(options.rescore)
        check_weight(options.rescore_weight)


def _choosing(translator: "Translator", run: "RunDirectory", options: Arguments) -> "Translator | Choice":
    """Returns the translator, or what chooses among its candidates."""
    if options.mbr:
        from tfmr.translation.bleu_tokenizers import bleu_tokenizer
        from tfmr.translation.mbr import MinimumBayesRisk

        data: Any = run.config.data
        tokenize = bleu_tokenizer(data) if options.mbr_metric == "bleu" else ""
        return MinimumBayesRisk(translator, options.mbr, options.mbr_metric, tokenize)
    if options.rescore:
        from tfmr.translation.rescoring import Rescored

        return Rescored.by_run(translator, options.rescore, options.rescore_weight)
    return translator


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
    translator: "Translator | Choice", first: int, pairs: Iterable[tuple[str, str]], options: Arguments
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

"""`tfmr prepare CONFIG [--report FOLDER] [--section.field VALUE ...]`: tokenises a corpus."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfmr.cli.arguments import parse, print_options, split_options
from tfmr.errors import InputError, require_packages

if TYPE_CHECKING:
    from tfmr.data.report import Report

PROG = "tfmr prepare"


@dataclass(frozen=True)
class Options:
    """What to write. All other options belong to the config."""

    report: str = ""
    """A new folder for a report on what may be wrong with the corpus, such as duplicates and pairs that do not belong
    together: report.txt, report.json and report.png."""


def main(arguments: list[str]) -> None:
    """Prepares the corpus of a config, and prints its folder and contents, and the report if there is one."""
    from tfmr.cli.config_file import parse_config, with_base

    own, rest = split_options(Options, arguments)
    if {"-h", "--help"} & set(arguments):
        print_options(Options, PROG)
    options = parse(Options, own, prog=PROG)
    config, tokenizer = with_base(parse_config(rest, PROG))
    from tfmr.data.corpus import prepare_corpus

    if not options.report:
        print(prepare_corpus(config.data, tokenizer).describe(config.data))
        return
    require_packages("matplotlib")
    from tfmr.data.files import new_folder

    # The folder is created before the work, so that a wrong one is found at once.
    with new_folder(options.report) as folder:
        corpus: Any = prepare_corpus(config.data, tokenizer)
        if not hasattr(corpus, "report"):
            kind = type(config.data).__name__
            raise InputError(f"--report = {options.report!r}: not supported for {kind}; omit this option")
        report: Report = corpus.report(config.data)
        (folder / "report.txt").write_text(report.to_text() + "\n", encoding="utf-8")
        (folder / "report.json").write_text(
            json.dumps(report.to_json(), indent=2, ensure_ascii=False), encoding="utf-8"
        )
        from tfmr.cli.report_picture import plot_report  # slow to import

        plot_report(report).savefig(folder / "report.png", dpi=120, format="png")
    print(corpus.describe(config.data), report.to_text(), f"Written to {options.report}", sep="\n\n")

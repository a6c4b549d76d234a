"""`tfmr score RUN`: computes the log-probabilities of given translations."""

from dataclasses import dataclass, field
from typing import Any

from tfmr.cli.arguments import RunArguments, parse_with_run
from tfmr.config import DecodingConfig


@dataclass(frozen=True)
class Arguments(RunArguments):
    """Writes one line per pair of sentences: the log-probability of the translation in nats, a tab, and the score that
    beam search ranks by: the log-probability divided by the length penalty, minus the coverage penalty if any."""

    ensemble: tuple[str, ...] = ()
    """More run directories with the same tokenizer. The probabilities of all models are averaged."""
    source: str = ""
    """File of sources or, without `target`, a TSV file of sources and targets. Empty: TSV on standard input."""
    target: str = ""
    """File of their translations, one per line."""
    tokens: bool = False
    """Write JSON lines that include the log-probability of each token."""
    output: str = ""
    """File to write. Empty: standard output."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """The length penalty. Options that are not given are taken from the run."""


def main(arguments: list[str]) -> None:
    """Writes one line for each pair."""
    options, run = parse_with_run(Arguments, arguments, "tfmr score")
    from tfmr.cli.text_streams import arriving, input_pairs, pairs_of
    from tfmr.runs.outputs import check_output, output_file

    targets = (options.target,) if options.target else ()
    check_output(options.output, (options.source, *targets), (options.run, *options.ensemble))
    pairs = input_pairs(options.source, options.target)
    from tfmr.runs.metrics import json_line
    from tfmr.translation import Translator  # slow to import, so the input is checked first

    translator = Translator.from_runs((run, *options.ensemble), options.checkpoint, options.decoding)
    groups = [(1, pairs)] if pairs else arriving(pairs_of, translator.window)
    scores = (score for first, group in groups for score in translator.score_stream(group, first=first))
    with output_file(options.output) as file:
        for score in scores:
            if options.tokens:
                values: dict[str, Any] = {"log_prob": round(score.log_prob, 6), "score": round(score.score, 6)}
                values["tokens"] = translator.tokenizer.token_texts(score.tokens)
                values["token_log_probs"] = [round(value, 6) for value in score.token_log_probs]
                line = json_line(values)  # of a pair that is too long the scores are null
            else:
                line = f"{score.log_prob:.6f}\t{score.score:.6f}"
            file.write(line.encode() + b"\n")
            file.flush()

"""`tfmr score RUN`: how probable a model finds given translations."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tyro

from tfmr.cli.run_arguments import parse_with_run
from tfmr.config import DecodingConfig

if TYPE_CHECKING:
    from tfmr.translation import Score


@dataclass(frozen=True)
class Arguments:
    """Writes a line for each pair: its log-probability in nats, a tab, and the score by which decoding ranks: that
    divided by the length penalty. Reads standard input, a tab between source and target, or files."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""
    ensemble: tuple[str, ...] = ()
    """More run directories, with the same tokenizer: the mean of all models' probabilities is taken."""
    source: str = ""
    """File of sources; without `target` a TSV of source and target; empty: standard input is that TSV."""
    target: str = ""
    """File of their translations, line by line."""
    tokens: bool = False
    """Write JSON with the log-probability of each token."""
    output: str = ""
    """File to write; empty: standard output."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """The length penalty; what is not given is as in the run's config."""


def main(arguments: list[str]) -> None:
    """Writes one line for each pair read."""
    options = parse_with_run(Arguments, arguments, "tfmr score")
    from tfmr.cli.text_streams import input_pairs, output_file

    pairs = input_pairs(options.source, options.target)
    from tfmr.translation import Translator  # slow to import: after what is wrong with the input was told

    runs = (options.run, *options.ensemble)
    translator = Translator.from_runs(runs, options.checkpoint, options.decoding)
    with output_file(options.output, options.source, options.target) as file:
        for score in translator.score_stream(pairs):
            pieces = translator.tokenizer.token_texts(score.tokens) if options.tokens else None
            line = _plain(score) if pieces is None else _with_tokens(score, pieces)
            file.write(line.encode() + b"\n")
            file.flush()


def _plain(score: "Score") -> str:
    return f"{score.log_prob:.6f}\t{score.score:.6f}"


def _with_tokens(score: "Score", pieces: Sequence[str]) -> str:
    # JSON has no NaN, which is the score of a pair that is too long.
    values: dict[str, Any] = {
        name: round(value, 6) if math.isfinite(value) else None
        for name, value in (("log_prob", score.log_prob), ("score", score.score))
    }
    token_log_probs = [round(value, 6) for value in score.token_log_probs]
    return json.dumps({**values, "tokens": pieces, "token_log_probs": token_log_probs}, ensure_ascii=False)

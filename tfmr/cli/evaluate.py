"""`tfmr evaluate RUN`: scores a trained model on a test set."""

import sys
from dataclasses import dataclass

from tfmr.cli.arguments import Run, parse_with_run
from tfmr.runs.metrics import json_line
from tfmr.runs.outputs import UnwrittenOutput
from tfmr.training.task import EvaluationOptions, task_for


@dataclass(frozen=True, kw_only=True)
class Arguments(EvaluationOptions):
    """Computes BLEU, chrF and the loss of a translation model, or the loss of a language model. The last line of the
    output is a JSON object."""

    run: Run
    """The run directory."""


def main(arguments: list[str]) -> None:
    """Prints the scores, and then again as JSON."""
    options, run = parse_with_run(Arguments, arguments, "tfmr evaluate")
    unwritten = None
    try:
        scores = task_for(run.config).evaluate(run, options)
    except UnwrittenOutput as error:
        unwritten, scores = error, error.scores
    for name, value in scores.items():
        print(f"{name:11} {value:.4f}" if isinstance(value, float) else f"{name:11} {value}")
    print(json_line(scores))
    if unwritten:
        sys.stdout.flush()
        raise unwritten

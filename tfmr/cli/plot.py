"""`tfmr plot RUN`: learning curve and attention maps, as PNG."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Arguments:
    """Draws a run's learning curve, and what the model attends to when it translates a sentence."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""
    sentence: str = ""
    """The sentence to translate; empty: the first of the test set."""
    output: str = ""
    """Folder for learning_curve.png and attention.png; empty: the run directory."""


def main(arguments: list[str]) -> None:
    """Writes the two pictures and prints their paths."""
    from tfmr.cli.arguments import parse

    options = parse(Arguments, arguments, prog="tfmr plot")
    from tfmr.run_directory import RunDirectory

    run = RunDirectory.open(options.run)
    folder = Path(options.output or options.run)
    folder.mkdir(parents=True, exist_ok=True)
    from tfmr.analysis import plot_learning_curves
    from tfmr.decoding import Translator

    pictures = {"learning_curve.png": plot_learning_curves([run.path])}
    translator = Translator.from_run(options.run, options.checkpoint)
    sentence = options.sentence or run.read_text_split("test")[0][0]
    pictures["attention.png"] = _attention_picture(translator, sentence)
    for name, figure in pictures.items():
        figure.savefig(folder / name, dpi=120)
        print(folder / name)


def _attention_picture(translator, sentence: str):
    raise NotImplementedError

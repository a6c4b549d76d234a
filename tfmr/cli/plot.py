"""`tfmr plot RUN`: pictures of a run, as PNG."""

from dataclasses import dataclass, field
from typing import Literal

import tyro

from tfmr.config import DecodingConfig


@dataclass(frozen=True)
class Arguments:
    """Draws a run: what `--what` names, each into a PNG of its own. Without it the learning curve, and where the
    model looks when it translates a sentence or reads a text."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    what: tuple[Literal["curves", "attention", "beam", "neighbours", "embeddings", "positions", "schedule"], ...] = (
        "curves",
        "attention",
    )
    """curves: learning curves. attention: where heads look. beam: the search for a translation, as a tree. neighbours:
    tokens with like embeddings, as bars; embeddings: the same as a map. positions: the vectors of positions, and how
    alike they are. schedule: the learning rate."""
    compare: tuple[str, ...] = ()
    """curves and schedule: other run directories, drawn over this one."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""
    sentence: str = ""
    """attention and beam: what is translated; empty: the first sentence of the test set. For a language model the text
    that it reads; empty: the beginning of the validation text."""
    target: str = ""
    """attention: a translation to draw instead of the model's own."""
    stack: Literal["encoder", "decoder", "cross"] = "cross"
    """attention: of the source to itself, of the target to itself, or of the target to the source."""
    layer: int = -1
    """attention: layer of the stack, from 0; -1: the last."""
    all_layers: bool = False
    """attention: every layer, in small."""
    head: int = -1
    """attention: head of the layer, from 0; -1: each."""
    tokens: tuple[str, ...] = ()
    """neighbours and embeddings: words, or parts of words, that are a token each; empty: the first such words of the
    sentence."""
    number: int = 8
    """neighbours and embeddings: how many of each."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How translations are searched for; what is not given is as in the run's config."""
    output: str = ""
    """Folder for the pictures; empty: the run directory."""


def main(arguments: list[str]) -> None:
    """Writes the pictures and prints their paths."""
    from tfmr.cli.run_arguments import parse_with_run

    options = parse_with_run(Arguments, arguments, prog="tfmr plot")
    from tfmr.cli.pictures import draw  # slow to import: after what is wrong with the command line was told
    from tfmr.runs.storage import storage_path

    folder = storage_path(options.output or options.run)
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in draw(options):
        with (folder / name).open("wb") as file:
            figure.savefig(file, dpi=120, format="png")
        print(folder / name)

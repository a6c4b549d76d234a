"""`tfmr plot RUN`: draws a run as PNG files."""

from dataclasses import dataclass, field
from typing import Literal

from tfmr.cli.arguments import RunArguments, parse_with_run
from tfmr.config import DecodingConfig


@dataclass(frozen=True)
class Arguments(RunArguments):
    """Draws the pictures named by `--what`, each to a PNG file. The default is the learning curve, and the attention of
    the model as it translates a sentence or reads a text."""

    what: tuple[Literal["curves", "attention", "beam", "neighbours", "embeddings", "positions", "schedule"], ...] = (
        "curves",
        "attention",
    )
    """curves: learning curves. attention: the weights of attention heads. beam: the beam search for a translation, as a
    tree. neighbours: tokens with similar embeddings, as bars. embeddings: the same tokens as a map. positions: the
    position vectors and their similarities. schedule: the learning rate."""
    compare: tuple[str, ...] = ()
    """curves and schedule: more run directories to draw in the same picture."""
    sentence: str = ""
    """attention and beam: the sentence to translate. Empty: the first sentence of the test split. For a language model:
    the text that it reads. Empty: the beginning of the validation text."""
    target: str = ""
    """attention: a translation to draw instead of the model's own."""
    stack: Literal["encoder", "decoder", "cross"] = "cross"
    """attention: encoder and decoder draw self-attention, cross draws the attention from the target to the source."""
    layer: int = -1
    """attention: layer of the stack, from 0. -1: the last layer."""
    all_layers: bool = False
    """attention: draw all layers in one picture."""
    head: int = -1
    """attention: head of the layer, from 0. -1: all heads."""
    tokens: tuple[str, ...] = ()
    """neighbours and embeddings: words or parts of words that are single tokens. Empty: the first such words of the
    sentence."""
    number: int = 8
    """neighbours and embeddings: number of neighbours of each token."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search for translations. Options that are not given are taken from the run."""
    output: str = ""
    """Folder for the pictures. Empty: the run directory."""


def main(arguments: list[str]) -> None:
    """Writes the pictures and prints their paths."""
    options, directory = parse_with_run(Arguments, arguments, prog="tfmr plot")
    from tfmr.cli.pictures import draw  # slow to import
    from tfmr.runs.outputs import output_folder

    folder = output_folder(options.output or options.run)
    for name, figure in draw(options, directory):
        with (folder / name).open("wb") as file:
            figure.savefig(file, dpi=120, format="png")
        print(folder / name)

"""`tfmr plot RUN`: learning curve and attention maps, as PNG."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from tfmr.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfmr.decoding import Translator


@dataclass(frozen=True)
class Arguments:
    """Draws a run's learning curve, and what the model attends to when it translates a sentence."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""
    sentence: str = ""
    """The sentence to translate; empty: the first of the test set."""
    target: str = ""
    """A translation of it to draw instead of the model's own."""
    layer: int = -1
    """Layer of the decoder whose attention to draw, from 0; -1: the last."""
    head: int = -1
    """Head of the layer, from 0; -1: each."""
    output: str = ""
    """Folder for learning_curve.png and attention.png; empty: the run directory."""


def main(arguments: list[str]) -> None:
    """Writes the two pictures and prints their paths."""
    from tfmr.cli.arguments import parse

    options = parse(Arguments, arguments, prog="tfmr plot")
    from tfmr.run_directory import RunDirectory
    from tfmr.storage import storage_path

    run = RunDirectory.open(options.run)
    folder = storage_path(options.output or options.run)
    folder.mkdir(parents=True, exist_ok=True)
    from tfmr.analysis import plot_learning_curves
    from tfmr.config import TransformerConfig
    from tfmr.decoding import Translator

    pictures = {"learning_curve.png": plot_learning_curves([run.path])}
    if isinstance(run.read_config().model, TransformerConfig):  # a language model translates nothing
        translator = Translator.from_run(options.run, options.checkpoint)
        sentence = options.sentence or run.read_text_split("test")[0][0]
        pictures["attention.png"] = _attention_picture(translator, sentence, options)
    for name, figure in pictures.items():
        with (folder / name).open("wb") as file:
            figure.savefig(file, dpi=120, format="png")
        print(folder / name)


def _attention_picture(translator: "Translator", sentence: str, options: Arguments) -> "Figure":
    """Draws a layer's attention from the translation to the sentence, head by head."""
    from tfmr.analysis import attention_weights, plot_attention
    from tfmr.data.tokenizer import BOS_ID, EOS_ID
    from tfmr.decoding.alignment import check_layer_and_head

    if not sentence.strip():
        raise InputError(f"--sentence = {sentence!r}: there is nothing to translate")
    tokenizer, config = translator.tokenizer, translator.model.config
    head = None if options.head == -1 else options.head
    layer = check_layer_and_head(config, options.layer, head)
    source = [*tokenizer.encode(sentence), EOS_ID]
    [target] = tokenizer.encode_targets([options.target or translator.translate([sentence])[0]])
    maps = attention_weights(config, translator.params, source, [BOS_ID, *target])
    # Row i is where the model looks when it writes token i.
    labels = [[*tokenizer.token_texts(tokens), "end"] for tokens in (target, source[:-1])]
    title = f"Decoder, layer {layer}: where each head looks in the source"
    return plot_attention(maps[f"decoder/layer_{layer}/cross_attention"], *labels, head=head, title=title)

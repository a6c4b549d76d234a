"""Draws the image of the README: a run's learning curve, and its decoder's attention as it translates a sentence.

    python docs/pictures/draw_translation.py runs/multi30k_en_de docs/pictures/translation.png \\
        --sentence "In the park a small dog is catching a red ball." --layer 2
"""

from dataclasses import dataclass

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfmr.analysis import Curve, attention_weights, read_metrics
from tfmr.data.tokenizer import BOS_ID, EOS_ID
from tfmr.translation import Translator

BLUE, ORANGE = "#1f5fa8", "#d9822b"


@dataclass(frozen=True)
class Arguments:
    """The command line."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    output: tyro.conf.Positional[str]
    """The PNG to write."""
    sentence: str
    """The sentence to translate."""
    layer: int = -1
    """Layer of the decoder, counted from 0; -1 is the last."""


def attention(options: Arguments) -> tuple[np.ndarray, list[str], list[str]]:
    """Returns a layer's mean cross-attention over its heads, and the tokens of the translation and the sentence."""
    translator = Translator.from_run(options.run)
    tokenizer, config = translator.tokenizer, translator.model.config
    source = [*tokenizer.encode(options.sentence), EOS_ID]
    [target] = tokenizer.encode_targets(translator.translate([options.sentence]))
    maps = attention_weights(config, translator.params, source, [BOS_ID, *target])
    layer = range(config.num_decoder_layers)[options.layer]
    words = [[*map(str.strip, tokenizer.token_texts(tokens)), "end"] for tokens in (target, source[:-1])]
    return maps[f"decoder/layer_{layer}/cross_attention"].mean(axis=0), *words


def draw_attention(axis: Axes, weights: np.ndarray, rows: list[str], columns: list[str]) -> None:
    """Draws one row per output token; the darker a cell, the more attention the source token gets."""
    axis.imshow(np.sqrt(weights), cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(columns)), columns, rotation=55, ha="left", rotation_mode="anchor")
    axis.set_yticks(range(len(rows)), rows)
    axis.xaxis.tick_top()
    axis.tick_params(length=0, labelsize=10)
    axis.set_xlabel("each row: where the decoder looks when it writes the token", fontsize=10)
    axis.set_xticks(np.arange(len(columns)) - 0.5, minor=True)
    axis.set_yticks(np.arange(len(rows)) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=0.8)
    axis.tick_params(which="minor", length=0)
    for spine in axis.spines.values():
        spine.set_color("0.8")


def draw_curve(axis: Axes, title: str, curve: Curve, colour: str) -> None:
    """Draws a curve and labels its last value."""
    axis.plot(*curve, color=colour, marker="o", markersize=3.5, linewidth=1.6)
    axis.annotate(f"{curve.values[-1]:.1f}", (curve.steps[-1], curve.values[-1]), (0, 7), textcoords="offset points")
    axis.set_title(title, fontsize=11, loc="left")
    axis.set_ylim(bottom=0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=9)


def main() -> None:
    """Draws and saves the image."""
    options = tyro.cli(Arguments)
    metrics = read_metrics(f"{options.run}/metrics.jsonl")
    figure = Figure(figsize=(10, 4.9), layout="constrained", facecolor="white")
    left, right = figure.subfigures(1, 2, width_ratios=(4, 5))
    left.set_facecolor("white")
    axes = left.subplots(2, 1, sharex=True)
    draw_curve(axes[0], "validation perplexity", metrics["validation/perplexity"], ORANGE)
    draw_curve(axes[1], "validation BLEU, while training", metrics["validation/bleu"], BLUE)
    axes[1].set_xlabel("step", fontsize=10)
    draw_attention(right.subplots(), *attention(options))
    figure.savefig(options.output, dpi=120)


if __name__ == "__main__":
    main()

"""What each head looks at: the attention weights of a model, and pictures of them (section 3.2, appendix)."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from tfmr.analysis.labels import visible_labels
from tfmr.config import TransformerConfig
from tfmr.errors import InputError
from tfmr.models import Transformer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def attention_weights(
    config: TransformerConfig, params: Any, source: Sequence[int], target_input: Sequence[int]
) -> dict[str, Float[np.ndarray, "heads query key"]]:
    """Returns the attention weights of every layer on one pair of sentences.

    Args:
      config: the shape of the model, looped or scanned.
      params: its parameters, without logical names.
      source: token ids of the source, as the model was trained on it (with its end mark).
      target_input: token ids that the decoder reads (with its begin mark).

    Returns:
      The weights by name: `encoder/layer_0/self_attention`, `decoder/layer_0/self_attention`,
      `decoder/layer_0/cross_attention`, ... The weights of a query sum to 1.
    """
    tokens = [jnp.asarray(ids, jnp.int32)[None] for ids in (source, target_input)]
    sentences = tokens[0], jnp.ones_like(tokens[0]), tokens[1], jnp.ones_like(tokens[1])
    _, sown = Transformer(config).apply({"params": params}, *sentences, mutable=["intermediates"])
    maps = {}
    for stack, num_layers in (("encoder", config.num_encoder_layers), ("decoder", config.num_decoder_layers)):
        layers = sown["intermediates"][stack]
        for i in range(num_layers):
            layer = layers["layers" if config.scan_layers else f"layer_{i}"]
            for name in ("self_attention", "cross_attention"):
                if name in layer:
                    (weights,) = layer[name]["attention_weights"]
                    weights = weights[i] if config.scan_layers else weights
                    maps[f"{stack}/layer_{i}/{name}"] = np.asarray(weights[0])
    return maps


def plot_attention(
    weights: Float[np.ndarray, "heads query key"],
    query_labels: Sequence[str],
    key_labels: Sequence[str],
    *,
    head: int | None = None,
    title: str = "",
) -> "Figure":
    """Draws what the heads of a layer look at: a row for each token that looks, a column for each looked at.

    Args:
      weights: of one layer, from `attention_weights`.
      query_labels: the tokens that look (the target's, for cross-attention), in any script.
      key_labels: the tokens that are looked at (the source's, for cross-attention).
      head: the head to draw alone; None: all, in a grid.
      title: stands above.

    Returns:
      A figure, which `figure.savefig("attention.png")` writes and a notebook shows. It belongs to no window.

    Raises:
      InputError: if the labels do not fit the weights, or there is no such head.
    """
    from matplotlib.colors import PowerNorm

    heads = _heads(weights, head, query_labels, key_labels)
    figure, axes, cell = _grid(len(heads), query_labels, key_labels)
    columns = axes.shape[1]
    # The square root of a weight is its colour, which keeps small weights apart from none.
    colours = dict(cmap="Blues", norm=PowerNorm(0.5, vmin=0.0, vmax=1.0))
    for axis in axes.flat[len(heads) :]:
        axis.set_axis_off()
    for place, (number, axis) in enumerate(zip(heads, axes.flat, strict=False)):
        axis.imshow(weights[number], interpolation="nearest", **colours)
        axis.set_title(f"head {number}", fontsize=10)
        _draw_cells(axis, weights.shape[1:])
        at_left, at_bottom = place % columns == 0, place + columns >= len(heads)
        _label(axis.yaxis, query_labels if at_left else [], cell)
        _label(axis.xaxis, key_labels if at_bottom else [], cell, rotation=90)
    _add_colour_bar(figure, axes)
    if title:
        (text,), families = visible_labels([title], longest=100)
        figure.suptitle(text, fontfamily=families, parse_math=False)
    return figure


def _heads(
    weights: np.ndarray, head: int | None, query_labels: Sequence[str], key_labels: Sequence[str]
) -> Sequence[int]:
    """Returns the heads to draw, after a check that everything fits."""
    for name, labels, length in (("query", query_labels, weights.shape[1]), ("key", key_labels, weights.shape[2])):
        if len(labels) != length:
            raise InputError(f"{name}_labels: {len(labels)} labels for weights of {length}: give one for each token")
    if head is None:
        return range(len(weights))
    if not 0 <= head < len(weights):
        raise InputError(f"head = {head}: must be from 0 to {len(weights) - 1}")
    return [head]


def _grid(num_heads: int, query_labels: Sequence[str], key_labels: Sequence[str]) -> tuple["Figure", np.ndarray, float]:
    """Returns a figure with room for the heads and labels, its axes, and the side of a cell in inches."""
    from matplotlib.figure import Figure

    longest = max(len(query_labels), len(key_labels))
    cell = min(max(5 / longest, 0.1), 0.2 if num_heads > 1 else 0.3)
    columns = min(num_heads, 4 if cell * len(key_labels) <= 3 else 2)
    rows = math.ceil(num_heads / columns)
    # A letter is at most about 0.7 of the font's size wide.
    beside, below = (
        max(len(text) for text in visible_labels(labels)[0]) * 0.7 * _points(cell) / 72
        for labels in (query_labels, key_labels)
    )
    width = columns * (cell * max(len(key_labels), 5) + 0.25) + beside + 1.2
    height = rows * (cell * max(len(query_labels), 3) + 0.35) + below + 0.8
    figure = Figure(figsize=(width, height), layout="compressed")
    return figure, figure.subplots(rows, columns, squeeze=False), cell


def _points(cell: float) -> float:
    """Returns the size of letters that fit a cell."""
    return min(55 * cell, 10.0)


def _draw_cells(axis: "Axes", shape: tuple[int, ...]) -> None:
    """Draws thin lines between the cells, and a frame."""
    axis.set_yticks(np.arange(1, shape[0]) - 0.5, minor=True)
    axis.set_xticks(np.arange(1, shape[1]) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=0.5)
    axis.tick_params(which="both", length=0)
    for spine in axis.spines.values():
        spine.set_color("0.8")


def _add_colour_bar(figure: "Figure", axes: np.ndarray) -> None:
    """Says what the colours mean, beside all axes."""
    bar = figure.colorbar(
        axes[0, 0].images[0], ax=axes, aspect=25, shrink=min(3 / figure.get_figheight(), 0.8), pad=0.015
    )
    bar.set_ticks([0, 0.05, 0.25, 0.5, 1], labels=["0", "0.05", "0.25", "0.5", "1"], fontsize=8)
    bar.set_label("attention weight", fontsize=9)
    bar.outline.set_visible(False)


def _label(axis: Any, labels: Sequence[str], cell: float, rotation: int = 0) -> None:
    """Writes a label beside each row or column, in letters that fit the cells."""
    texts, families = visible_labels(labels)
    # Without parse_math, a pair of $ would make a formula.
    style = dict(fontsize=_points(cell), fontfamily=families, parse_math=False)
    axis.set_ticks(range(len(texts)), texts, rotation=rotation, **style)

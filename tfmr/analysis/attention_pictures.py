"""Plots of attention weights, with one row per query and one column per key."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float

from tfmr.analysis.labels import visible_labels
from tfmr.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_attention(
    weights: Float[Array | np.ndarray, "heads query key"],
    query_labels: Sequence[str],
    key_labels: Sequence[str],
    *,
    head: int | None = None,
    title: str = "",
) -> "Figure":
    """Plots the attention weights of a layer, with one row per query and one column per key.

    Args:
      weights: the weights of one layer, from `attention_weights`.
      query_labels: the query tokens (of the target, for cross-attention), in any script.
      key_labels: the key tokens (of the source, for cross-attention).
      head: the head to plot. None: all heads, in a grid.
      title: the title of the figure.

    Raises:
      InputError: if the labels do not match the weights or the head does not exist.
    """
    heads = _heads(weights, head, query_labels, key_labels)
    fitting = max(5 / max(len(query_labels), len(key_labels)), 0.1)
    cell = min(fitting, 0.2 if len(heads) > 1 else 0.3)  # inches
    columns = min(len(heads), 4 if cell * len(key_labels) <= 3 else 2)
    panels = [_Panel(weights[number], f"head {number}") for number in heads]
    rows = [panels[first : first + columns] for first in range(0, len(panels), columns)]
    return _draw(rows, query_labels, key_labels, cell, title)


def plot_attention_layers(
    weights: Sequence[Float[Array | np.ndarray, "heads query key"]],
    query_labels: Sequence[str],
    key_labels: Sequence[str],
    *,
    head: int | None = None,
    title: str = "",
) -> "Figure":
    """Plots the attention weights of several layers in one grid, with one row of heads per layer and the first on top.

    Args:
      weights: the weights of each layer, from `attention_weights`.
      query_labels, key_labels, title: as for `plot_attention`.
      head: the head to plot for every layer. None: all heads.

    Raises:
      InputError: if there are no layers, the labels do not match the weights, or the head does not exist.
    """
    if not len(weights):
        raise InputError("weights: empty; there must be at least one layer")
    heads = _heads(weights[0], head, query_labels, key_labels)
    cell = min(max(10 / len(heads) / max(len(query_labels), len(key_labels)), 0.07), 0.14)
    rows = []
    for number, layer in enumerate(weights):
        heads = _heads(layer, head, query_labels, key_labels)
        rows.append([_Panel(layer[i], f"head {i}" if number == 0 else "", f"layer {number}") for i in heads])
    return _draw(rows, query_labels, key_labels, cell, title)


class _Panel(NamedTuple):
    """The plot of one head."""

    weights: Float[Array | np.ndarray, "query key"]
    title: str
    side: str = ""
    """The label on the left of a row's first panel."""


def _heads(
    weights: Array | np.ndarray, head: int | None, query_labels: Sequence[str], key_labels: Sequence[str]
) -> Sequence[int]:
    """Returns the heads to plot; raises InputError if labels or head do not match the weights."""
    for name, labels, length in (("query", query_labels, weights.shape[1]), ("key", key_labels, weights.shape[2])):
        if len(labels) != length:
            raise InputError(f"{name}_labels: {len(labels)} labels for {length} tokens; there must be one per token")
    if head is None:
        return range(len(weights))
    if not 0 <= head < len(weights):
        raise InputError(f"head = {head}: must be from 0 to {len(weights) - 1}")
    return [head]


def _draw(
    rows: Sequence[Sequence[_Panel]], query_labels: Sequence[str], key_labels: Sequence[str], cell: float, title: str
) -> "Figure":
    """Draws a grid of heads, whose last row may be shorter, with labels on the left and at the bottom."""
    from matplotlib.colors import PowerNorm

    figure, axes = _grid(len(rows), len(rows[0]), query_labels, key_labels, cell)
    # The colour is the square root of the weight, which distinguishes small weights from 0.
    colours: dict[str, Any] = dict(cmap="Blues", norm=PowerNorm(0.5, vmin=0.0, vmax=1.0))
    for row, line in enumerate(axes):
        for column, axis in enumerate(line):
            if column >= len(rows[row]):
                axis.set_axis_off()
                continue
            panel = rows[row][column]
            axis.imshow(panel.weights, interpolation="nearest", **colours)
            axis.set_title(panel.title, fontsize=10)
            _draw_cells(axis, panel.weights.shape)
            at_bottom = row + 1 == len(rows) or column >= len(rows[row + 1])
            _label(axis.yaxis, query_labels if column == 0 else [], cell)
            _label(axis.xaxis, key_labels if at_bottom else [], cell, rotation=90)
            if column == 0 and panel.side:
                axis.set_ylabel(panel.side, fontsize=10)
    _add_colour_bar(figure, axes)
    if title:
        (text,), families = visible_labels([title], longest=100)
        # A letter of size 12 is about 0.1 inches wide.
        lines = textwrap.fill(text, width=max(int(figure.get_figwidth() / 0.1), 20))
        figure.suptitle(lines, fontfamily=families, parse_math=False)
    return figure


def _grid(
    rows: int, columns: int, query_labels: Sequence[str], key_labels: Sequence[str], cell: float
) -> tuple["Figure", np.ndarray]:
    """Returns a figure that is large enough for the heads and labels, and its axes."""
    from matplotlib.figure import Figure

    # The width of a letter is at most about 0.7 of the font size.
    left, below = (
        max(len(text) for text in visible_labels(labels)[0]) * 0.7 * _points(cell) / 72
        for labels in (query_labels, key_labels)
    )
    width = columns * (cell * max(len(key_labels), 5) + 0.25) + left + 1.2
    height = rows * (cell * max(len(query_labels), 3) + 0.35) + below + 0.8
    figure = Figure(figsize=(width, height), layout="compressed")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _points(cell: float) -> float:
    """Returns the font size that fits a cell."""
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
    """Adds a legend of the colours to the right of all axes."""
    bar = figure.colorbar(
        axes[0, 0].images[0], ax=axes, aspect=25, shrink=min(3 / figure.get_figheight(), 0.8), pad=0.015
    )
    bar.set_ticks([0, 0.05, 0.25, 0.5, 1], labels=["0", "0.05", "0.25", "0.5", "1"], fontsize=8)
    bar.set_label("attention weight", fontsize=9)
    bar.outline.set_visible(False)


def _label(axis: Any, labels: Sequence[str], cell: float, rotation: int = 0) -> None:
    """Labels each row or column in a font size that fits the cells."""
    texts, families = visible_labels(labels)
    # With parse_math, text between two $ would become a formula.
    style = dict(fontsize=_points(cell), fontfamily=families, parse_math=False)
    axis.set_ticks(range(len(texts)), texts, rotation=rotation, **style)

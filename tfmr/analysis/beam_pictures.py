"""Pictures of beam search: the tree of all hypotheses that it held (section 6.1)."""

import itertools
import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tfmr.analysis.labels import visible_labels
from tfmr.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _GAP, _MARGIN = 0.5, 0.3, 0.2
"""Inches from row to row, between two columns, and at the sides."""
_START = 0.6
"""Width of the empty hypothesis's box in inches."""
_BEST, _ENDED, _HELD = "#08519c", "#e6550d", "#bdbdbd"
"""Colours of the best hypothesis, of others that ended, and of those that were given up."""


def plot_beam_tree(tree: Any, *, title: str = "", width: float = 12.0) -> "Figure":
    """Draws a beam search: a column for each step, a box for each hypothesis that the beam held or that ended.

    A box shows the newest token and the log-probability of the whole text up to it; one that ended shows its score. A
    line is the thicker the more probable the token is behind the text before it. The best translation is blue, others
    that ended are orange, and what has nothing behind it was given up.

    Args:
      tree: of `Translator.beam_tree`.
      title: stands above.
      width: of the figure in inches, or up to a fifth more; a longer tree goes on below.

    Returns:
      A figure, which `figure.savefig("beam.png")` writes and a notebook shows. It belongs to no window.

    Raises:
      InputError: if the search held nothing.
    """
    from matplotlib.figure import Figure

    if not tree.nodes:
        raise InputError("tree: holds no hypotheses: nothing was searched")
    best = tree.path(tree.outputs[0]) if tree.outputs else []
    boxes, families = _boxes(tree.nodes, best)
    rows = _rows(tree.nodes, best)
    bands = _bands([node.depth for node in tree.nodes], [box.width for box in boxes], width)
    tops = _tops([bands[node.depth].number for node in tree.nodes], rows)
    places = [
        (bands[node.depth].middle, tops[bands[node.depth].number] + _ROW * (row + 0.5))
        for node, row in zip(tree.nodes, rows, strict=True)
    ]
    above = 0.35 if title else 0.05
    right = max(band.right for band in bands) + _MARGIN
    bottom = tops[-1]
    figure = Figure(figsize=(right, bottom + above))
    axis = figure.add_axes((0, 0, 1, bottom / (bottom + above)), xlim=(0, right), ylim=(bottom, 0))
    axis.set_axis_off()
    start = bands[0].middle, _ROW * 0.5
    _draw_box(axis, start, _Box("start", "", _START, _BEST), families)
    for number, node in enumerate(tree.nodes):
        before = tree.nodes[node.parent].log_prob if node.parent >= 0 else 0.0
        origin, half = (places[node.parent], boxes[node.parent].width / 2) if node.parent >= 0 else (start, _START / 2)
        ends = [(origin[0] + half, origin[1]), (places[number][0] - boxes[number].width / 2, places[number][1])]
        line: dict[str, Any] = dict(
            linewidth=0.6 + 3.4 * min(math.exp(node.log_prob - before), 1.0), color=boxes[number].colour
        )
        line["zorder"] = 1.5 if number in best else 1.0
        down = tops[bands[node.depth].number] - tops[bands[node.depth - 1].number]
        if down:  # it goes on at the left of the next band, in the row that it left
            axis.plot([ends[0][0], right], [ends[0][1]] * 2, **line)
            ends[0] = 0.0, ends[0][1] + down
        _draw_line(axis, *ends, **line)
        _draw_box(axis, places[number], boxes[number], families)
    if title:
        (text,), families = visible_labels([title], longest=150)
        height = figure.get_figheight()
        figure.suptitle(text, fontfamily=families, fontsize=11, parse_math=False, y=1 - 0.08 / height, va="top")
    return figure


class _Box(NamedTuple):
    text: str
    below: str
    width: float
    """Inches."""
    colour: str


class _Column(NamedTuple):
    number: int
    """Of the band that the column stands in."""
    middle: float
    """Inches from the left."""
    right: float


def _boxes(nodes: Sequence[Any], best: Sequence[int]) -> tuple[list[_Box], list[str]]:
    """Returns what stands in each node's box, and the fonts for it."""
    texts, families = visible_labels(["end" if node.score is not None else node.text for node in nodes])
    boxes = []
    for number, (text, node) in enumerate(zip(texts, nodes, strict=True)):
        below = f"{node.log_prob:.2f}" if node.score is None else f"score {node.score:.2f}"
        colour = _BEST if number in best else _ENDED if node.score is not None else _HELD
        width = max(0.09 * _letters(text), 0.07 * len(below), 0.35) + 0.12
        boxes.append(_Box(text, below.replace("-", chr(0x2212)), width, colour))
    return boxes, families


def _letters(text: str) -> int:
    """Returns the width of a text in letters; East Asian ones are two wide."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _bands(depths: Sequence[int], widths: Sequence[float], most: float) -> list[_Column]:
    """Returns where each depth's column stands, from the start's at 0: beside the one before, or in a band below."""
    widest = [_START] + [0.0] * max(depths)
    for depth, width in zip(depths, widths, strict=True):
        widest[depth] = max(widest[depth], width)
    whole = sum(widest) + _GAP * (len(widest) - 1) + 2 * _MARGIN
    most = max(most, whole if whole <= 1.2 * most else 0.0)  # no band for the last few
    columns, number, left = [], 0, _MARGIN
    for width in widest:
        if left + width + _MARGIN > most and left > _MARGIN + _GAP:
            number, left = number + 1, _MARGIN + _GAP
        columns.append(_Column(number, left + width / 2, left + width))
        left += width + _GAP
    return columns


def _tops(bands: Sequence[int], rows: Sequence[int]) -> list[float]:
    """Returns how far from the top each band begins, in inches, and where the last one ends."""
    heights = [0] * (max(bands) + 1)
    for band, row in zip(bands, rows, strict=True):
        heights[band] = max(heights[band], row + 1)
    return [0.0, *itertools.accumulate(_ROW * height + _MARGIN for height in heights)]


def _rows(nodes: Sequence[Any], best: Sequence[int]) -> list[int]:
    """Returns the row of each node: the best hypothesis on top, each other branch in the nearest free row below."""
    children: dict[int, list[int]] = {}
    for number, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(number)
    reach = [node.depth for node in nodes]  # the depth to which a node's branch goes
    for number in reversed(range(len(nodes))):
        reach[number] = max([reach[child] for child in children.get(number, [])], default=nodes[number].depth)
    for below in children.values():
        below.sort(key=lambda child: (child not in best, -reach[child], -nodes[child].log_prob))
    rows, taken = [0] * len(nodes), set()

    def place(first: int, above: int) -> None:
        branch = [first]
        while branch[-1] in children:
            branch.append(children[branch[-1]][0])
        depths = range(nodes[first].depth - 1, nodes[branch[-1]].depth + 1)
        row = above
        while any((row, depth) in taken for depth in depths):
            row += 1
        taken.update((row, depth) for depth in depths[1:])
        for number in branch:
            rows[number] = row
        for number in reversed(branch):
            for child in children.get(number, [])[1:]:
                place(child, row + 1)

    first, *others = children[-1]
    place(first, 0)
    for other in others:
        place(other, 1)
    return rows


def _draw_line(axis: "Axes", start: tuple[float, float], end: tuple[float, float], **style: Any) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    points = [start, (start[0] + 0.6 * _GAP, start[1]), (end[0] - 0.6 * _GAP, end[1]), end]
    path = Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    axis.add_patch(PathPatch(path, fill=False, **style))


def _draw_box(axis: "Axes", middle: tuple[float, float], box: _Box, families: Sequence[str]) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = middle
    style: dict[str, Any] = dict(boxstyle="round,pad=0,rounding_size=0.06", facecolor="white", edgecolor=box.colour)
    axis.add_patch(FancyBboxPatch((x - box.width / 2, y - 0.19), box.width, 0.38, linewidth=1.2, zorder=2, **style))
    centred: dict[str, Any] = dict(ha="center", va="center", zorder=3)
    shift = 0.07 if box.below else 0.0
    axis.text(x, y - shift, box.text, fontsize=10, fontfamily=families, parse_math=False, color="0.1", **centred)
    axis.text(x, y + 0.1, box.below, fontsize=7, color="0.4", **centred)

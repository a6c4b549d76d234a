"""Plots of beam search as a tree of hypotheses (section 6.1)."""

import itertools
import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tfmr.analysis.labels import visible_labels
from tfmr.errors import InputError
from tfmr.search import BeamNode, BeamTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _GAP, _MARGIN = 0.5, 0.3, 0.2
"""Height of a row, space between columns, and margin, in inches."""
_START = 0.6
"""Width of the box of the empty hypothesis, in inches."""
_BEST, _ENDED, _DROPPED = "#08519c", "#e6550d", "#bdbdbd"
"""Colours of the best hypothesis, of other finished hypotheses, and of dropped ones."""


def plot_beam_tree(tree: BeamTree, *, title: str = "", width: float = 12.0) -> "Figure":
    """Plots a beam search, with one column per step and one box per hypothesis that was in the beam or finished.

    A box shows the newest token and the log-probability of the hypothesis, or the score of a finished hypothesis. Lines
    are thicker for tokens of higher probability, given the tokens before. The best translation is blue, other finished
    hypotheses are orange. Hypotheses without a successor were dropped from the beam.

    Args:
      tree: the result of `Translator.beam_tree`.
      title: the title of the figure.
      width: the width of the figure in inches, which may be exceeded by a fifth. Longer trees are wrapped.

    Raises:
      InputError: if the tree is empty.
    """
    from matplotlib.figure import Figure

    if not tree.nodes:
        raise InputError("tree: empty; there must be at least one hypothesis")
    best = tree.path(tree.outputs[0]) if tree.outputs else []
    boxes, families = _boxes(tree.nodes, best)
    rows = tree_rows(tree.nodes, best)
    bands = _bands([node.depth for node in tree.nodes], [box.width for box in boxes], width)
    tops = _tops([bands[node.depth].number for node in tree.nodes], rows)
    centres = [
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
        origin, half = (centres[node.parent], boxes[node.parent].width / 2) if node.parent >= 0 else (start, _START / 2)
        ends = [(origin[0] + half, origin[1]), (centres[number][0] - boxes[number].width / 2, centres[number][1])]
        line: dict[str, Any] = dict(
            linewidth=0.6 + 3.4 * min(math.exp(node.log_prob - before), 1.0), color=boxes[number].colour
        )
        line["zorder"] = 1.5 if number in best else 1.0
        down = tops[bands[node.depth].number] - tops[bands[node.depth - 1].number]
        if down:  # continued on the left of the next band, in the same row
            axis.plot([ends[0][0], right], [ends[0][1]] * 2, **line)
            ends[0] = 0.0, ends[0][1] + down
        _draw_line(axis, *ends, **line)
        _draw_box(axis, centres[number], boxes[number], families)
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
    """Number of the band that contains the column."""
    middle: float
    """Inches from the left edge of the figure."""
    right: float


def _boxes(nodes: Sequence[BeamNode], best: Sequence[int]) -> tuple[list[_Box], list[str]]:
    """Returns the box of each node, and the font families for its text."""
    texts, families = visible_labels(["end" if node.score is not None else node.text for node in nodes])
    boxes = []
    for number, (text, node) in enumerate(zip(texts, nodes, strict=True)):
        below = f"{node.log_prob:.2f}" if node.score is None else f"score {node.score:.2f}"
        colour = _BEST if number in best else _ENDED if node.score is not None else _DROPPED
        width = max(0.09 * _letters(text), 0.07 * len(below), 0.35) + 0.12
        boxes.append(_Box(text, below.replace("-", chr(0x2212)), width, colour))
    return boxes, families


def _letters(text: str) -> int:
    """Returns the width of a text in letters. East Asian characters count as two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _bands(depths: Sequence[int], widths: Sequence[float], limit: float) -> list[_Column]:
    """Returns the column of each depth, starting with the empty hypothesis at depth 0, wrapped into bands."""
    widest = [_START] + [0.0] * max(depths)
    for depth, width in zip(depths, widths, strict=True):
        widest[depth] = max(widest[depth], width)
    whole = sum(widest) + _GAP * (len(widest) - 1) + 2 * _MARGIN
    limit = max(limit, whole if whole <= 1.2 * limit else 0.0)  # no extra band for a few columns
    columns, number, left = [], 0, _MARGIN
    for width in widest:
        if left + width + _MARGIN > limit and left > _MARGIN + _GAP:
            number, left = number + 1, _MARGIN + _GAP
        columns.append(_Column(number, left + width / 2, left + width))
        left += width + _GAP
    return columns


def _tops(bands: Sequence[int], rows: Sequence[int]) -> list[float]:
    """Returns the distance of each band from the top in inches, and that of the end of the last band."""
    heights = [0] * (max(bands) + 1)
    for band, row in zip(bands, rows, strict=True):
        heights[band] = max(heights[band], row + 1)
    return [0.0, *itertools.accumulate(_ROW * height + _MARGIN for height in heights)]


def tree_rows(nodes: Sequence[BeamNode], best: Sequence[int]) -> list[int]:
    """Returns the row of each node: the best hypothesis is on top, other branches are in the nearest free row below."""
    children: dict[int, list[int]] = {}
    for number, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(number)
    reach = [node.depth for node in nodes]  # the largest depth below each node
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

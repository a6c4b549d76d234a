"""Which tokens have like embeddings: the nearest of each by cosine, and a map of them."""

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float, Int

from tfmr.analysis.labels import visible_labels
from tfmr.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Neighbours(NamedTuple):
    """The nearest tokens of some tokens, nearest first."""

    tokens: Int[np.ndarray, "tokens number"]
    cosines: Float[np.ndarray, "tokens number"]


def token_embeddings(params: Any, side: Literal["source", "target"] = "target") -> Float[np.ndarray, "vocab d_model"]:
    """Returns the vectors of all tokens; source and target have the same where they share one table.

    Args:
      params: of a model, without logical names.
      side: who reads the tokens: the encoder or the decoder. A language model's are the target's.
    """
    own = "source_embedding" if side == "source" and "source_embedding" in params else "embedding"
    return np.asarray(params[own]["embedding"])


def nearest_tokens(
    vectors: Float[Array | np.ndarray, "vocab d_model"],
    tokens: Sequence[int],
    number: int = 8,
    leave_out: Collection[int] = (),
) -> Neighbours:
    """Returns the tokens whose vectors have the largest cosine with those of the given ones, which are left out.

    Args:
      vectors: of all tokens; see `token_embeddings`.
      tokens: ids, whose neighbours are looked for.
      number: how many for each.
      leave_out: ids that are no neighbours, such as those of the marks.

    Raises:
      InputError: if there are not so many other tokens, or a token is none.
    """
    most = len(vectors) - len({*leave_out}) - 1
    if not 0 < number <= most:
        raise InputError(f"number = {number}: must be from 1 to {most}, the other tokens")
    for token in tokens:
        if not 0 <= token < len(vectors):
            raise InputError(f"token id {token}: must be from 0 to {len(vectors) - 1}")
    unit = _unit(vectors)
    cosines = unit[list(tokens)] @ unit.T
    cosines[:, list(leave_out)] = -np.inf
    cosines[np.arange(len(cosines)), list(tokens)] = -np.inf
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :number]
    return Neighbours(nearest, np.take_along_axis(cosines, nearest, axis=1))


def plot_neighbours(
    vectors: Float[Array | np.ndarray, "vocab d_model"],
    texts: Sequence[str],
    tokens: Sequence[int],
    *,
    number: int = 8,
    leave_out: Collection[int] = (),
) -> "Figure":
    """Draws the nearest tokens of some tokens as bars, as long as the cosine of the angle between their vectors.

    Args:
      vectors: of all tokens; see `token_embeddings`.
      texts: of all tokens, as `tokenizer.token_texts(range(tokenizer.vocab_size))`, in any script.
      tokens: ids, a panel for each.
      number: how many neighbours for each.
      leave_out: ids that are no neighbours, such as those of the marks.

    Returns:
      A figure, which `figure.savefig("neighbours.png")` writes and a notebook shows. It belongs to no window.

    Raises:
      InputError: as `nearest_tokens`, or if there is no token, or the texts do not fit the vectors.
    """
    from matplotlib.figure import Figure

    _check(vectors, texts, tokens)
    found = nearest_tokens(vectors, tokens, number, leave_out)
    columns = min(len(tokens), 4)
    rows = -(-len(tokens) // columns)
    figure = Figure(figsize=(2.9 * columns, (0.22 * number + 0.6) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    low = min(0.0, float(found.cosines.min()))
    for axis in axes.flat[len(tokens) :]:
        axis.set_axis_off()
    for token, nearest, cosines, axis in zip(tokens, *found, axes.flat, strict=False):
        labels, families = visible_labels([texts[int(place)] for place in (token, *nearest)])
        axis.barh(range(number), cosines, color="#6baed6", height=0.75)
        for place, cosine in enumerate(cosines):
            beside, align = (-0.02, "right") if cosine > 0.3 else (0.02, "left")
            axis.text(cosine + beside, place, f"{cosine:.2f}", va="center", ha=align, fontsize=7, color="0.1")
        axis.set_yticks(range(number), labels[1:], fontfamily=families, fontsize=9, parse_math=False)
        axis.invert_yaxis()
        axis.set_xlim(low, min(1.0, float(found.cosines.max()) + 0.1))
        axis.set_title(labels[0], fontfamily=families, fontsize=11, fontweight="bold", parse_math=False)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(axis="x", labelsize=7, labelbottom=True)
    return figure


def plot_embedding_map(
    vectors: Float[Array | np.ndarray, "vocab d_model"],
    texts: Sequence[str],
    tokens: Sequence[int],
    *,
    number: int = 8,
    leave_out: Collection[int] = (),
) -> "Figure":
    """Draws tokens and their nearest ones on a plane: the two directions in which these vectors differ the most.

    The vectors have length 1 before their first two principal components are taken, as for a cosine. Each token and its
    neighbours have a colour; what two tokens share has that of the first.

    Args:
      vectors: of all tokens; see `token_embeddings`.
      texts: of all tokens, as `tokenizer.token_texts(range(tokenizer.vocab_size))`, in any script.
      tokens: ids, drawn bold, with their neighbours.
      number: how many neighbours for each; 0: none.
      leave_out: ids that are no neighbours, such as those of the marks.

    Returns:
      A figure, as `plot_neighbours`.

    Raises:
      InputError: as `plot_neighbours`.
    """
    from matplotlib.figure import Figure

    _check(vectors, texts, tokens)
    groups = dict(zip(tokens, range(len(tokens)), strict=True))
    nearest = nearest_tokens(vectors, tokens, number, leave_out).tokens if number else np.zeros((len(tokens), 0), int)
    for group, others in enumerate(nearest.tolist()):
        for other in others:
            groups.setdefault(other, group)
    points, shares = _principal_components(_unit(vectors)[list(groups)])
    figure = Figure(figsize=(8, 6), layout="constrained")
    axis = figure.subplots()
    low, high = points.min(axis=0), points.max(axis=0)
    room = 0.1 * np.maximum(high - low, 1e-6)
    axis.set(xlim=(low[0] - room[0], high[0] + 2 * room[0]), ylim=(low[1] - room[1], high[1] + room[1]))
    labels, families = visible_labels([texts[token] for token in groups])
    in_points = (points - low) / np.maximum(high - low, 1e-6) * (430, 330)  # nearly: 72 to the inch
    offsets = _label_places(in_points, [(5.5 * len(label) + 2, 11.0) for label in labels])
    for (token, group), (x, y), label, offset in zip(groups.items(), points, labels, offsets, strict=True):
        marker, size, weight = (7, 10, "bold") if token in tokens else (4, 8, "normal")
        colour = f"C{group % 10}"
        axis.plot(x, y, "o", color=colour, markersize=marker)
        style: dict[str, Any] = dict(fontfamily=families, fontsize=size, fontweight=weight, color=colour)
        axis.annotate(label, (x, y), xytext=offset, textcoords="offset points", parse_math=False, **style)
    for name, share, set_label in zip(("first", "second"), shares, (axis.set_xlabel, axis.set_ylabel), strict=True):
        set_label(f"{name} principal component, {share:.0%} of the variance", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(color="0.93", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _unit(vectors: Float[Array | np.ndarray, "tokens d_model"]) -> Float[np.ndarray, "tokens d_model"]:
    vectors = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float64).tiny)


def _principal_components(
    vectors: Float[np.ndarray, "points d_model"],
) -> tuple[Float[np.ndarray, "points 2"], Float[np.ndarray, "2"]]:
    """Returns the vectors' first two principal components, and the shares of the variance that they have."""
    centred = vectors - vectors.mean(axis=0)
    left, sizes, _ = np.linalg.svd(np.pad(centred, ((0, 1), (0, 1))), full_matrices=False)  # two components at least
    total = max(float((sizes**2).sum()), np.finfo(np.float64).tiny)
    return (left[: len(vectors), :2] * sizes[:2]), sizes[:2] ** 2 / total


def _label_places(points: np.ndarray, sizes: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns where each label begins beside its point, so that it covers as little as can be of what is there."""
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    chosen = []
    for (x, y), (width, height) in zip(points.tolist(), sizes, strict=True):
        beside, middle = (5.0, -5.0 - width), -width / 2
        offsets = [(dx, dy) for dx in beside for dy in (2.0, -4.0, -12.0)] + [(middle, 6.0), (middle, -14.0)]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in offsets]
        covered = [sum(_overlap(box, other) for other in taken) for box in boxes]
        best = int(np.argmin(covered))
        chosen.append(offsets[best])
        taken.append(boxes[best])
    return chosen


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Returns the area that two boxes (left, bottom, right, top) share."""
    sides = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    return math.prod(max(side, 0.0) for side in sides)


def _check(vectors: Array | np.ndarray, texts: Sequence[str], tokens: Sequence[int]) -> None:
    if not len(tokens):
        raise InputError("tokens: holds none: give at least one")
    if len(texts) != len(vectors):
        raise InputError(f"{len(texts)} texts for {len(vectors)} vectors: give one for each token")

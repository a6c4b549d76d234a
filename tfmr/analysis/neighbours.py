"""Tokens with similar embeddings: nearest neighbours by cosine, and a map of them."""

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
    """The nearest neighbours of some tokens, nearest first."""

    tokens: Int[np.ndarray, "tokens number"]
    cosines: Float[np.ndarray, "tokens number"]


def token_embeddings(params: Any, side: Literal["source", "target"] = "target") -> Float[np.ndarray, "vocab d_model"]:
    """Returns the embeddings of all tokens. They are the same for source and target if the model ties them.

    Args:
      params: the parameters of a model, without logical axis names.
      side: the embeddings of the encoder (source) or decoder (target). A language model only has one table.
    """
    own = "source_embedding" if side == "source" and "source_embedding" in params else "embedding"
    return np.asarray(params[own]["embedding"])


def nearest_tokens(
    vectors: Float[Array | np.ndarray, "vocab d_model"],
    tokens: Sequence[int],
    number: int = 8,
    leave_out: Collection[int] = (),
) -> Neighbours:
    """Returns the other tokens whose embeddings have the largest cosine with those of the given tokens.

    Args:
      vectors: the embeddings of all tokens, from `token_embeddings`.
      tokens: the token ids.
      number: the number of neighbours of each token.
      leave_out: token ids that are never neighbours, such as those of special tokens.

    Raises:
      InputError: if there are fewer other tokens than `number`, or a token id is out of range.
    """
    most = len(vectors) - len({*leave_out}) - 1
    if not 0 < number <= most:
        raise InputError(f"number = {number}: must be from 1 to {most}, the number of other tokens")
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
    """Plots the nearest neighbours of some tokens as bars, whose lengths are the cosines of their embeddings.

    Args:
      vectors: the embeddings of all tokens, from `token_embeddings`.
      texts: the texts of all tokens, from `tokenizer.token_texts(range(tokenizer.vocab_size))`, in any script.
      tokens: the token ids, one panel each.
      number: the number of neighbours of each token.
      leave_out: token ids that are never neighbours, such as those of special tokens.

    Raises:
      InputError: like `nearest_tokens`, or if there are no tokens or the number of texts is not that of the vectors.
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
        labels, families = visible_labels([texts[int(index)] for index in (token, *nearest)])
        axis.barh(range(number), cosines, color="#6baed6", height=0.75)
        for row, cosine in enumerate(cosines):
            offset, align = (-0.02, "right") if cosine > 0.3 else (0.02, "left")
            axis.text(cosine + offset, row, f"{cosine:.2f}", va="center", ha=align, fontsize=7, color="0.1")
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
    """Plots tokens and their nearest neighbours in the plane of the first two principal components.

    The embeddings are normalised to length 1 first, as for the cosine. Each token and its neighbours have one colour; a
    neighbour of two tokens has the colour of the first.

    Args:
      vectors, texts, leave_out: as for `plot_neighbours`.
      tokens: the token ids, shown in bold.
      number: the number of neighbours of each token. 0: none.

    Raises:
      InputError: like `plot_neighbours`.
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
    in_points = (points - low) / np.maximum(high - low, 1e-6) * (430, 330)  # approximate size of the axes in points
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
    left, sizes, _ = np.linalg.svd(np.pad(centred, ((0, 1), (0, 1))), full_matrices=False)  # at least two components
    total = max(float((sizes**2).sum()), np.finfo(np.float64).tiny)
    return (left[: len(vectors), :2] * sizes[:2]), sizes[:2] ** 2 / total


def _label_places(points: np.ndarray, sizes: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the offset of each label from its point at which it overlaps least with the labels and points before."""
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    chosen = []
    for (x, y), (width, height) in zip(points.tolist(), sizes, strict=True):
        sides, middle = (5.0, -5.0 - width), -width / 2
        offsets = [(dx, dy) for dx in sides for dy in (2.0, -4.0, -12.0)] + [(middle, 6.0), (middle, -14.0)]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in offsets]
        covered = [sum(_overlap(box, other) for other in taken) for box in boxes]
        best = int(np.argmin(covered))
        chosen.append(offsets[best])
        taken.append(boxes[best])
    return chosen


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Returns the area of the intersection of two boxes (left, bottom, right, top)."""
    sides = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    return math.prod(max(side, 0.0) for side in sides)


def _check(vectors: Array | np.ndarray, texts: Sequence[str], tokens: Sequence[int]) -> None:
    if not len(tokens):
        raise InputError("tokens: empty; there must be at least one token id")
    if len(texts) != len(vectors):
        raise InputError(f"texts: {len(texts)} texts for {len(vectors)} vectors; there must be one per vector")

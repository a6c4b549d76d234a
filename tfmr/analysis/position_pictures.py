"""Plots of position encodings (section 3.5)."""

from typing import TYPE_CHECKING, Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from tfmr.config import CausalLMConfig, TransformerConfig
from tfmr.errors import InputError
from tfmr.nn.embedding import SINUSOIDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def position_vectors(
    config: TransformerConfig | CausalLMConfig,
    params: Any = None,
    length: int = 0,
    side: Literal["source", "target"] = "source",
) -> Float[np.ndarray, "positions d_model"]:
    """Returns the sinusoidal or learned position vectors of a model.

    Args:
      config: the model's configuration.
      params: the model's parameters. Not needed for sinusoids.
      length: the number of positions. 0: all learned positions, or 100 sinusoids.
      side: which learned positions of an encoder-decoder to return. A language model only has one table.

    Raises:
      InputError: if the model has fewer learned positions, or has learned positions and `params` is None, or if its
        positions are relative.
    """
    if config.positions in SINUSOIDS:
        return np.asarray(SINUSOIDS[config.positions](jnp.arange(length or 100), config.d_model))
    if config.positions.startswith("relative"):
        raise InputError(
            f"model.positions = {config.positions!r}: there are no position vectors, but a bias for each distance"
        )
    if params is None:
        raise InputError("params = None: must be the model's parameters, which contain the learned positions")
    if length > config.max_length:
        raise InputError(f"length = {length}: must be at most {config.max_length}, the number of learned positions")
    name = f"{side}_positions" if f"{side}_positions" in params else "positions"
    return np.asarray(params[name]["embedding"])[: length or config.max_length]


def plot_positions(vectors: Float[Array | np.ndarray, "positions d_model"], *, title: str = "") -> "Figure":
    """Plots position vectors as an image, with one row per position and one column per dimension.

    Args:
      vectors: the vectors, from `position_vectors` or `tfmr.nn.sinusoidal_positions(jnp.arange(100), d_model)`.
      title: the title of the figure.
    """
    from matplotlib.figure import Figure

    vectors = _checked(vectors)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    limit = float(np.abs(vectors).max())
    image = axis.imshow(vectors, aspect="auto", interpolation="nearest", cmap="RdBu", vmin=-limit, vmax=limit)
    axis.set_xlabel("dimension", fontsize=10)
    axis.set_ylabel("position", fontsize=10)
    figure.colorbar(image, ax=axis, aspect=25, pad=0.02).outline.set_visible(False)
    if title:
        figure.suptitle(title, parse_math=False)
    return figure


def plot_position_products(vectors: Float[Array | np.ndarray, "positions d_model"], *, title: str = "") -> "Figure":
    """Plots the dot products of all pairs of position vectors, and their median by distance.

    The dot product of two sinusoids depends on their distance only. That of learned vectors may vary: a band shows the
    range from the 10th to the 90th percentile.

    Args:
      vectors: the vectors, from `position_vectors` or `tfmr.nn.sinusoidal_positions(jnp.arange(100), d_model)`.
      title: the title of the figure.
    """
    from matplotlib.figure import Figure

    vectors = _checked(vectors)
    products = vectors @ vectors.T
    length = len(vectors)
    offsets = np.arange(-(length - 1), length)
    spread = np.array([np.percentile(np.diagonal(products, offset), (10, 50, 90)) for offset in offsets])
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
    image = left.imshow(products, interpolation="nearest", cmap="viridis")
    left.set_xlabel("position", fontsize=10)
    left.set_ylabel("position", fontsize=10)
    left.set_title("dot product of two positions", fontsize=10)
    figure.colorbar(image, ax=left, aspect=25, pad=0.02).outline.set_visible(False)
    right.fill_between(offsets, spread[:, 0], spread[:, 2], color="C0", alpha=0.2, linewidth=0)
    right.plot(offsets, spread[:, 1], color="C0", linewidth=1.4)
    right.set_xlabel("distance in positions", fontsize=10)
    right.set_title("dot product by distance", fontsize=10)
    right.grid(color="0.9", linewidth=0.8)
    right.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title, parse_math=False)
    return figure


def _checked(vectors: Any) -> Float[np.ndarray, "positions d_model"]:
    if not len(vectors):
        raise InputError("vectors: empty; there must be at least one position")
    return np.asarray(vectors, np.float64)

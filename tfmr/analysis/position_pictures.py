"""Pictures of what a model adds to a token to tell where it stands (section 3.5)."""

from typing import TYPE_CHECKING, Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from tfmr.config import ModelConfig, TransformerConfig
from tfmr.errors import InputError
from tfmr.nn import sinusoidal_positions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def position_vectors(
    config: ModelConfig, params: Any = None, length: int = 0, side: Literal["source", "target"] = "source"
) -> Float[np.ndarray, "positions d_model"]:
    """Returns the vectors that a model adds to its tokens, sinusoids or learned ones.

    Args:
      config: the shape of the model.
      params: its parameters; sinusoids need none.
      length: how many positions; 0: all that are learned, or 100 sinusoids.
      side: whose, if they are learned: source and target of a Transformer have their own.

    Raises:
      InputError: if there are fewer learned positions, or learned ones without parameters.
    """
    if config.positions == "sinusoidal":
        return np.asarray(sinusoidal_positions(jnp.arange(length or 100), config.d_model))
    if params is None:
        raise InputError("params = None: learned positions stand in the parameters: give them")
    if length > config.max_length:
        raise InputError(f"length = {length}: the model has learned {config.max_length} positions")
    name = f"{side}_positions" if isinstance(config, TransformerConfig) else "positions"
    return np.asarray(params[name]["embedding"])[: length or config.max_length]


def plot_positions(vectors: Float[Array | np.ndarray, "positions d_model"], *, title: str = "") -> "Figure":
    """Draws position vectors: a row for each position, a column for each dimension.

    Args:
      vectors: of `position_vectors`, or `tfmr.nn.sinusoidal_positions(jnp.arange(100), d_model)`.
      title: stands above.

    Returns:
      A figure, which `figure.savefig("positions.png")` writes and a notebook shows. It belongs to no window.
    """
    from matplotlib.figure import Figure

    vectors = _checked(vectors)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    most = float(np.abs(vectors).max())
    image = axis.imshow(vectors, aspect="auto", interpolation="nearest", cmap="RdBu", vmin=-most, vmax=most)
    axis.set_xlabel("dimension", fontsize=10)
    axis.set_ylabel("position", fontsize=10)
    figure.colorbar(image, ax=axis, aspect=25, pad=0.02).outline.set_visible(False)
    if title:
        figure.suptitle(title, parse_math=False)
    return figure


def plot_position_products(vectors: Float[Array | np.ndarray, "positions d_model"], *, title: str = "") -> "Figure":
    """Draws how alike position vectors are: the dot product of each two, and the median by how far they are apart.

    Sinusoids that are k positions apart have the same product wherever they stand. Learned vectors need not: a band
    holds the middle eight of ten.

    Args:
      vectors: of `position_vectors`, or `tfmr.nn.sinusoidal_positions(jnp.arange(100), d_model)`.
      title: stands above.

    Returns:
      A figure, as `plot_positions`.
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
    right.set_xlabel("how far apart", fontsize=10)
    right.set_title("dot product by distance", fontsize=10)
    right.grid(color="0.9", linewidth=0.8)
    right.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title, parse_math=False)
    return figure


def _checked(vectors: Any) -> Float[np.ndarray, "positions d_model"]:
    if not len(vectors):
        raise InputError("vectors: holds no positions: give at least one")
    return np.asarray(vectors, np.float64)

"""Token embeddings shared with the output (section 3.4) and positions (section 3.5)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from tfmr.nn.parameters import parameter


class TokenEmbedding(nn.Module):
    """One matrix that turns tokens into vectors and, transposed, vectors into logits.

    Attributes:
      vocab_size: number of tokens.
      d_model: width of a vector.
      dtype: type of the vectors; the matrix is float32.
      scaled: vectors are the rows times sqrt(d_model), as in the paper; GPT takes the rows as they are.
      initializer: of the matrix; None: normal, rows of expected length 1.
    """

    vocab_size: int
    d_model: int
    dtype: DTypeLike = jnp.float32
    scaled: bool = True
    initializer: Callable[..., Any] | None = None

    def setup(self):
        # Rows of expected length 1: times sqrt(d_model) they match the positions in size. The embed axis has a name
        # of its own, so that no mesh axis of the batch ever shards the table there (XLA would copy it whole).
        init = self.initializer or nn.initializers.normal(stddev=self.d_model**-0.5)
        self.embedding = parameter(self, "embedding", init, ("vocab", "table_embed"), (self.vocab_size, self.d_model))

    def __call__(self, tokens: Int[Array, "*batch"]) -> Float[Array, "*batch d_model"]:
        """Returns the tokens' rows, times sqrt(d_model) where they are scaled."""
        rows = self.embedding[tokens].astype(self.dtype)
        return rows * self.d_model**0.5 if self.scaled else rows

    def attend(self, x: Float[Array, "*batch d_model"]) -> Float[Array, "*batch vocab"]:
        """Returns the logits of every token, in float32: x times the matrix transposed."""
        table = self.embedding.astype(self.dtype)
        return jnp.einsum("...d,vd->...v", x, table, preferred_element_type=jnp.float32)


def sinusoidal_positions(positions: Int[Array, "*length"], d_model: int) -> Float[Array, "*length d_model"]:
    """Sinusoids of geometrically growing wavelengths, sine and cosine interleaved.

    PE(pos, 2i) = sin(pos / 10000^(2i / d_model)), PE(pos, 2i + 1) = cos(the same). `d_model` is even. Accurate to
    1e-6 for positions up to 1000, and to 1e-9 times the position beyond.
    """
    # Angles as turns in 32-bit fixed point: the product wraps around where the sine does, and what is left of it is
    # exact. A float32 angle is off by up to 6e-5 at position 1000.
    turns = 10_000.0 ** (-np.arange(0, d_model, 2) / d_model) / (2 * np.pi)
    product = positions[..., None].astype(jnp.uint32) * np.round(turns * 2**32).astype(np.uint32)
    angles = product.astype(jnp.int32) * (2 * np.pi / 2**32)
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(*positions.shape, d_model)


class LearnedPositions(nn.Module):
    """A learned vector for each place up to `max_length` (Table 3, row E).

    Attributes:
      max_length: number of places.
      d_model: width of a vector.
      initializer: of the matrix; None: normal, rows of expected length 1.
    """

    max_length: int
    d_model: int
    initializer: Callable[..., Any] | None = None

    @nn.compact
    def __call__(self, positions: Int[Array, "*length"]) -> Float[Array, "*length d_model"]:
        """Returns the vectors of the places. A place beyond the table is NaN, never a silent neighbour."""
        init = self.initializer or nn.initializers.normal(self.d_model**-0.5)
        table = parameter(self, "embedding", init, ("positions", "table_embed"), (self.max_length, self.d_model))
        return jnp.asarray(table).at[positions].get(mode="fill", fill_value=jnp.nan)

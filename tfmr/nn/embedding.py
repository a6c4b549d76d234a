"""Token embeddings, which the output layer may share (section 3.4), and position encodings (section 3.5)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from tfmr.nn.parameters import parameter, with_rank


class TokenEmbedding(nn.Module):
    """A matrix that maps tokens to vectors and, transposed, vectors to logits.

    Attributes:
      vocab_size: number of tokens.
      d_model: width of a vector.
      dtype: data type of the vectors; the matrix is float32.
      scaled: multiply the rows by sqrt(d_model), as in the paper. GPT does not.
      initializer: initialiser of the matrix; None: normal, with rows of expected length 1.
    """

    vocab_size: int
    d_model: int
    dtype: DTypeLike = jnp.float32
    scaled: bool = True
    initializer: Callable[..., Any] | None = None

    def setup(self):
        # Rows of expected length 1 match the position encodings in size after scaling by sqrt(d_model). The embed axis
        # has its own logical name, so that no mesh axis that shards the batch ever shards the table along it: XLA would
        # replicate the whole table.
        init = self.initializer or nn.initializers.normal(stddev=self.d_model**-0.5)
        self.embedding = parameter(self, "embedding", init, ("vocab", "table_embed"), (self.vocab_size, self.d_model))

    def __call__(self, tokens: Int[Array, "*batch"]) -> Float[Array, "*batch d_model"]:
        """Returns the rows of the tokens, multiplied by sqrt(d_model) if `scaled`."""
        rows = take_rows(self.embedding, tokens).astype(self.dtype)
        return rows * self.d_model**0.5 if self.scaled else rows

    def attend(self, x: Float[Array, "*batch d_model"]) -> Float[Array, "*batch vocab"]:
        """Returns the logits of all tokens, x @ embedding.T, in float32."""
        table = self.embedding.astype(self.dtype)
        return jnp.einsum("...d,vd->...v", x, table, preferred_element_type=jnp.float32)


def sinusoidal_positions(positions: Int[Array, "*length"], d_model: int) -> Float[Array, "*length d_model"]:
    """Returns sinusoids whose wavelengths grow geometrically, sine and cosine interleaved.

    PE(pos, 2i) = sin(pos / 10000^(2i / d_model)), PE(pos, 2i + 1) = cos(pos / 10000^(2i / d_model)). `d_model` must be
    even. The error is at most 1e-6 for positions up to 1000, and 1e-9 times the position beyond.
    """
    angles = _angles(positions, 10_000.0 ** (-np.arange(0, d_model, 2) / d_model))
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(*positions.shape, d_model)


def tensor2tensor_positions(positions: Int[Array, "*length"], d_model: int) -> Float[Array, "*length d_model"]:
    """Returns the sinusoids of tensor2tensor, which Marian has as well: all sines, then all cosines.

    They differ from the paper's in their order and in the wavelengths, 2 pi 10000^(i / (d_model / 2 - 1)). `d_model`
    must be even and at least 4.
    """
    half = d_model // 2
    angles = _angles(positions, 10_000.0 ** (-np.arange(half) / (half - 1)))
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def fairseq_positions(positions: Int[Array, "*length"], d_model: int) -> Float[Array, "*length d_model"]:
    """Returns the sinusoids of fairseq, as M2M100 and NLLB have them: tensor2tensor's, from position 2 on.

    The first two positions are those of fairseq's first two tokens. `d_model` must be even and at least 4.
    """
    return tensor2tensor_positions(positions + 2, d_model)


SINUSOIDS = {
    "sinusoidal": sinusoidal_positions,
    "tensor2tensor": tensor2tensor_positions,
    "fairseq": fairseq_positions,
}
"""The position encodings that are functions of the position, by the name in a model's configuration."""


def _angles(positions: Int[Array, "*length"], frequencies: Float[np.ndarray, " half"]) -> Float[Array, "*length half"]:
    """Returns positions times frequencies in radians, from -pi to pi."""
    # Angles are turns in 32-bit fixed point: the product wraps around where the sine does, so the remainder is exact.
    # A float32 angle is off by up to 6e-5 at position 1000.
    turns = frequencies / (2 * np.pi)
    steps = with_rank(jnp.asarray(np.round(turns * 2**32).astype(np.uint32)), positions.ndim + 1)
    product = positions[..., None].astype(jnp.uint32) * steps
    return product.astype(jnp.int32).astype(jnp.float32) * (2 * np.pi / 2**32)


class LearnedPositions(nn.Module):
    """A learned vector for each position below `max_length` (Table 3, row E).

    Attributes:
      max_length: number of positions.
      d_model: width of a vector.
      initializer: initialiser of the matrix; None: normal, with rows of expected length 1.
    """

    max_length: int
    d_model: int
    initializer: Callable[..., Any] | None = None

    @nn.compact
    def __call__(self, positions: Int[Array, "*length"]) -> Float[Array, "*length d_model"]:
        """Returns the vectors of the positions: NaN beyond the table, not the vector of another position."""
        init = self.initializer or nn.initializers.normal(self.d_model**-0.5)
        table = parameter(self, "embedding", init, ("positions", "table_embed"), (self.max_length, self.d_model))
        return take_rows(jnp.asarray(table), positions, mode="fill", fill_value=jnp.nan)


def take_rows(
    table: Float[Array, "rows width"], indices: Int[Array, "*batch"], **options: Any
) -> Float[Array, "*batch width"]:
    """Returns table[indices]. On a mesh with Explicit axes the result is sharded as the indices are.

    Args:
      table: the table.
      indices: the indices of rows.
      **options: of `table.at[indices].get`, such as what an index beyond the table returns.
    """
    sharding = jax.typeof(indices).sharding
    if jax.sharding.AxisType.Explicit in sharding.mesh.axis_types:
        options["out_sharding"] = jax.sharding.PartitionSpec(*sharding.spec, jax.typeof(table).sharding.spec[1])
    return table.at[indices].get(**options)

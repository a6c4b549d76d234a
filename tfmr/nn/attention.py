"""Scaled dot-product attention, multi-head attention, and its key/value cache (section 3.2)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Int

from tfmr.nn.dropout import Dropout
from tfmr.nn.parameters import parameter
from tfmr.nn.projection import project

_SHORTEST = 32
"""The fewest slots of a cache that a step reads, written or not."""


def scaled_dot_product_attention(
    query: Float[Array, "*batch heads query d_k"],
    key: Float[Array, "*batch heads key d_k"],
    value: Float[Array, "*batch heads key d_v"],
    mask: Bool[Array, "*#batch #heads #query #key"] | None = None,
    *,
    dropout: Callable[[Array], Array] | None = None,
) -> tuple[Float[Array, "*batch heads query d_v"], Float[Array, "*batch heads query key"]]:
    """softmax(Q K^T / sqrt(d_k)) V (section 3.2.1, equation 1).

    Args:
      query: the queries.
      key: the keys.
      value: the values, one for each key.
      mask: True where a query may attend to a key; None: everywhere. A query without any key gets the mean of
        the values.
      dropout: applied to the weights before they are multiplied by the values.

    Returns:
      The weighted sums of the values, and the weights (float32, before dropout).
    """
    scale = query.shape[-1] ** -0.5
    scores = jnp.einsum("...hqd,...hkd->...hqk", query * scale, key, preferred_element_type=jnp.float32)
    if mask is not None:
        # Finite, so that the softmax of a fully masked row is finite too.
        scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(scores, axis=-1)
    kept = weights if dropout is None else dropout(weights)
    return jnp.einsum("...hqk,...hkd->...hqd", kept.astype(value.dtype), value), weights


def causal_attention(
    query: Float[Array, "*batch heads length d_k"],
    key: Float[Array, "*batch heads length d_k"],
    value: Float[Array, "*batch heads length d_v"],
    mask: Bool[Array, "*#batch #heads #length #length"] | None = None,
    *,
    dropout: Callable[[Array], Array] | None = None,
) -> tuple[Float[Array, "*batch heads length d_v"], Float[Array, "*batch heads length length"]]:
    """Scaled dot-product attention in which no position attends to a later one (section 3.2.3).

    Arguments and results are those of `scaled_dot_product_attention`; the mask may exclude more keys. Long sequences
    are split into blocks of queries, and the scores after the end of a block are not computed; see `causal_scores`.
    """
    length = query.shape[-2]
    outputs, weights = [], []
    for start, end in causal_blocks(length):
        rows, columns = slice(start, end), slice(end)
        allowed = (jnp.arange(length)[rows, None] >= jnp.arange(length)[columns])[None]
        if mask is not None:
            allowed = allowed & jnp.broadcast_to(mask, (*mask.shape[:-2], length, length))[..., rows, columns]
        earlier = key[..., columns, :], value[..., columns, :]
        output, block = scaled_dot_product_attention(query[..., rows, :], *earlier, allowed, dropout=dropout)
        outputs.append(output)
        weights.append(jnp.pad(block, [(0, 0)] * (block.ndim - 1) + [(0, length - end)]))
    return jnp.concatenate(outputs, axis=-2), jnp.concatenate(weights, axis=-2)


def causal_scores(length: int) -> int:
    """Returns how many scores `causal_attention` computes for each head.

    It is length^2 for fewer than 128 positions, and 5/8 of length^2 from 256 positions on, rounded to whole blocks.
    """
    return sum((end - start) * end for start, end in causal_blocks(length))


def causal_blocks(length: int) -> list[tuple[int, int]]:
    """Returns the start and end of each block of queries: up to four blocks of at least 64."""
    count = max(1, min(4, length // 64))
    return [(length * i // count, length * (i + 1) // count) for i in range(count)]


@flax.struct.dataclass
class KeyValue:
    """The keys and values of a sequence, for each head."""

    key: Float[Array, "*batch heads length d_k"]
    value: Float[Array, "*batch heads length d_v"]


@flax.struct.dataclass
class KeyValueCache:
    """The keys and values of a sequence that grows token by token, one slot for each token.

    The slots are the last axis of `key`: on a CPU this makes the product of a few queries and many keys several times
    faster.
    """

    key: Float[Array, "*batch heads d_k length"]
    value: Float[Array, "*batch heads length d_v"]

    def write(self, new: KeyValue, index: Int[Array, ""]) -> "KeyValueCache":
        """Returns a copy with `new` in the slots from `index` on."""
        return KeyValueCache(
            key=lax.dynamic_update_slice_in_dim(self.key, new.key.swapaxes(-1, -2), index, axis=-1),
            value=lax.dynamic_update_slice_in_dim(self.value, new.value, index, axis=-2),
        )

    def first(self, length: int) -> KeyValue:
        """Returns the keys and values of the first `length` slots."""
        return KeyValue(key=self.key[..., :length].swapaxes(-1, -2), value=self.value[..., :length, :])


class MultiHeadAttention(nn.Module):
    """Attention in `num_heads` subspaces in parallel, combined by W^O (section 3.2.2).

    The attention weights are sown as `attention_weights` into the collection `intermediates`.

    Attributes:
      num_heads: number of heads, h.
      d_model: width of the inputs and of the output.
      d_k: width of the queries and keys of each head; None: d_model / num_heads.
      d_v: width of the values of each head; None: d_model / num_heads.
      dropout_rate: dropout rate for the attention weights.
      dtype: data type of the computation; parameters and softmax are float32.
      use_bias: add biases to the four projections. The paper's formulas have none.
      causal: no position attends to a later one; for self-attention only.
      input_init: initialiser of the query, key and value projections; None: Glorot uniform.
      output_init: initialiser of the output projection; None: Glorot uniform.
    """

    num_heads: int
    d_model: int
    d_k: int | None = None
    d_v: int | None = None
    dropout_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    use_bias: bool = False
    causal: bool = False
    input_init: Callable[..., Any] | None = None
    output_init: Callable[..., Any] | None = None

    def setup(self):
        d_k = self.d_k or self.d_model // self.num_heads
        d_v = self.d_v or self.d_model // self.num_heads
        self.query_kernel = self._input_kernel("query", d_k)
        self.key_kernel = self._input_kernel("key", d_k)
        self.value_kernel = self._input_kernel("value", d_v)
        glorot = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform", in_axis=(0, 1), out_axis=2)
        init = self.output_init or glorot
        shape = (self.num_heads, d_v, self.d_model)
        self.output_kernel = parameter(self, "output", init, ("heads", "kv", "embed"), shape)
        self.query_bias = self._bias("query_bias", ("heads", "kv"), (self.num_heads, d_k))
        self.key_bias = self._bias("key_bias", ("heads", "kv"), (self.num_heads, d_k))
        self.value_bias = self._bias("value_bias", ("heads", "kv"), (self.num_heads, d_v))
        self.output_bias = self._bias("output_bias", ("embed",), (self.d_model,))
        self.dropout = Dropout(self.dropout_rate)

    def _input_kernel(self, name: str, width: int) -> Float[Array, "d_model heads {width}"]:
        glorot = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform", in_axis=0, out_axis=(1, 2))
        init = self.input_init or glorot
        return parameter(self, name, init, ("embed", "heads", "kv"), (self.d_model, self.num_heads, width))

    def _bias(self, name: str, axes: tuple[str, ...], shape: tuple[int, ...]) -> Float[Array, "..."] | None:
        return parameter(self, name, nn.initializers.zeros, axes, shape) if self.use_bias else None

    def __call__(
        self,
        query_input: Float[Array, "*batch query d_model"],
        key_value_input: Float[Array, "*batch key d_model"] | None = None,
        mask: Bool[Array, "*#batch #heads #query #key"] | None = None,
        *,
        deterministic: bool = True,
        return_weights: bool = False,
    ) -> (
        Float[Array, "*batch query d_model"]
        | tuple[Float[Array, "*batch query d_model"], Float[Array, "*batch heads query key"]]
    ):
        """Attends from one sequence to another, or to itself.

        Args:
          query_input: the sequence that the queries are computed from.
          key_value_input: the sequence that the keys and values are computed from; None: query_input.
          mask: True where a query may attend to a key; None: everywhere.
          deterministic: False applies dropout to the attention weights, with the random stream `dropout`.
          return_weights: also return the attention weights, before dropout.
        """
        if key_value_input is None:
            key_value_input = query_input
        key_value = self.keys_values(key_value_input)
        output, weights = self.attend(query_input, key_value, mask, deterministic=deterministic)
        return (output, weights) if return_weights else output

    def keys_values(self, x: Float[Array, "*batch length d_model"]) -> KeyValue:
        """Returns the keys and values of a sequence, for `attend`."""
        return KeyValue(
            key=self._project(x, self.key_kernel, self.key_bias),
            value=self._project(x, self.value_kernel, self.value_bias),
        )

    def attend(
        self,
        query_input: Float[Array, "*batch query d_model"],
        key_value: KeyValue,
        mask: Bool[Array, "*#batch #heads #query #key"] | None = None,
        *,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "*batch query d_model"], Float[Array, "*batch heads query key"]]:
        """Attends to keys and values from `keys_values`; returns the output and the attention weights."""
        query = self._project(query_input, self.query_kernel, self.query_bias)
        dropout = None
        if self.dropout_rate > 0.0 and not deterministic:
            dropout = lambda weights: self.dropout(weights, deterministic=False)  # noqa: E731
        attention = causal_attention if self.causal else scaled_dot_product_attention
        heads, weights = attention(query, key_value.key, key_value.value, mask, dropout=dropout)
        self.sow("intermediates", "attention_weights", weights)
        return self._join(heads), weights

    def start_cache(self, batch: tuple[int, ...], length: int) -> KeyValueCache:
        """Returns an empty cache of `length` slots for self-attention."""
        d_k, d_v = self.key_kernel.shape[-1], self.value_kernel.shape[-1]
        return KeyValueCache(
            key=jnp.zeros((*batch, self.num_heads, d_k, length), self.dtype),
            value=jnp.zeros((*batch, self.num_heads, length, d_v), self.dtype),
        )

    def step(
        self,
        x: Float[Array, "*batch new d_model"],
        cache: KeyValueCache,
        index: Int[Array, ""],
        mask: Bool[Array, "*#batch #heads new length"] | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], KeyValueCache]:
        """Computes self-attention for new tokens, whose keys and values are written to the cache from `index` on.

        Args:
          x: the new tokens: a single one without a mask.
          cache: keys and values of the tokens so far.
          index: slot of the first new token.
          mask: True where a new token may attend to a slot, never after the new tokens' own slots. None: the new token
            attends to its own slot and all earlier ones.

        Returns:
          The output, and the cache with the new tokens written.
        """
        cache = cache.write(self.keys_values(x), index)
        new, length = x.shape[-2], cache.value.shape[-2]
        if mask is None:
            mask = (jnp.arange(length) <= index)[None, None, :]
        query = self._project(x, self.query_kernel, self.query_bias)

        def attend_to(length: int) -> Callable[[], Array]:
            def attend() -> Array:
                first = cache.first(length)
                return scaled_dot_product_attention(query, first.key, first.value, mask[..., :length])[0]

            return attend

        # Most of a cache is empty at first, so a step reads only the shortest of the doubling lengths that reaches the
        # new tokens.
        lengths = _doubling(_SHORTEST * new, length)
        chosen = sum((index + new > shorter).astype(int) for shorter in lengths[:-1])
        heads = lax.switch(chosen, [attend_to(length) for length in lengths])
        return self._join(heads), cache

    def _project(
        self,
        x: Float[Array, "*batch length d_model"],
        kernel: Float[Array, "d_model heads width"],
        bias: Float[Array, "heads width"] | None,
    ) -> Float[Array, "*batch heads length width"]:
        d_model, heads, width = kernel.shape
        projected = project(x.astype(self.dtype), kernel.astype(self.dtype).reshape(d_model, heads * width))
        projected = projected.reshape(*x.shape[:-1], heads, width)
        if bias is not None:
            projected = projected + bias.astype(self.dtype)
        return projected.swapaxes(-2, -3)

    def _join(self, heads: Float[Array, "*batch heads length d_v"]) -> Float[Array, "*batch length d_model"]:
        output_kernel = self.output_kernel.astype(self.dtype)
        heads = heads.swapaxes(-2, -3)
        output = project(heads.reshape(*heads.shape[:-2], -1), output_kernel.reshape(-1, self.d_model))
        return output if self.output_bias is None else output + self.output_bias.astype(self.dtype)


def _doubling(shortest: int, longest: int) -> list[int]:
    """Returns `shortest` and its doubles below `longest`, then `longest`."""
    lengths = []
    while shortest < longest:
        lengths.append(shortest)
        shortest *= 2
    return [*lengths, longest]

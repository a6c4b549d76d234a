"""Multi-head attention and its key/value cache (section 3.2.2)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Int

from tfmr.nn.attention_choice import AttentionName, fused_instead
from tfmr.nn.dot_product_attention import causal_attention, scaled_dot_product_attention
from tfmr.nn.dropout import Dropout
from tfmr.nn.masks import Segments
from tfmr.nn.parameters import parameter, resized, with_rank
from tfmr.nn.projection import project

_SHORTEST = 32
"""The fewest slots of a cache that a step reads, written or not."""


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

    def write(self, new: KeyValue, index: Int[Array, ""] | Int[Array, "*batch"]) -> "KeyValueCache":
        """Returns a copy with `new` in the slots from `index` on; each row of the batch may have its own index."""
        if index.ndim:
            return jax.vmap(KeyValueCache.write)(self, new, index)
        return KeyValueCache(
            key=lax.dynamic_update_slice_in_dim(self.key, new.key.swapaxes(-1, -2), index, axis=-1),
            value=lax.dynamic_update_slice_in_dim(self.value, new.value, index, axis=-2),
        )

    def resized(self, length: int) -> "KeyValueCache":
        """Returns a copy with `length` slots: the first ones, or all of them and then empty ones."""
        return KeyValueCache(key=resized(self.key, length, axis=-1), value=resized(self.value, length, axis=-2))

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
      scale_scores: divide the products of queries and keys by sqrt(d_k), as in the paper. T5 does not; the initial
        queries are then smaller by that factor.
      input_init: initialiser of the query, key and value projections; None: Glorot uniform.
      output_init: initialiser of the output projection; None: Glorot uniform.
      attention_function: computes attention from the queries, keys and values of all heads, called like
        `scaled_dot_product_attention` with an additional argument `causal`: whether no position attends to a later one.
        Without `scale_scores`, `scale` is an argument as well. It may return None for the weights. None: as `attention`
        says.
      attention: "xla": `causal_attention` or `scaled_dot_product_attention`; "auto": a kernel on TPUs and GPUs if one
        can serve, see `AttentionName`. Kernels cannot return weights, have no dropout, take `Segments` but no array as
        a mask, and have only a first derivative, in reverse mode; only cudnn takes a bias.

    Raises:
      ValueError: if d_model is not a multiple of num_heads and d_k or d_v is missing.
    """

    num_heads: int
    d_model: int
    d_k: int | None = None
    d_v: int | None = None
    dropout_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    use_bias: bool = False
    causal: bool = False
    scale_scores: bool = True
    input_init: Callable[..., Any] | None = None
    output_init: Callable[..., Any] | None = None
    attention_function: Callable[..., tuple[Array, Array | None]] | None = None
    attention: AttentionName = "xla"

    def setup(self):
        if self.d_model % self.num_heads and not (self.d_k and self.d_v):
            raise ValueError(
                f"d_model = {self.d_model}: not a multiple of num_heads = {self.num_heads}; set d_k and d_v"
            )
        d_k = self.d_k or self.d_model // self.num_heads
        d_v = self.d_v or self.d_model // self.num_heads
        # The scores of a new model have the same size with and without the division by sqrt(d_k).
        self.query_kernel = self._input_kernel("query", d_k, 1.0 if self.scale_scores else d_k**-0.5)
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

    def _input_kernel(self, name: str, width: int, factor: float = 1.0) -> Float[Array, "d_model heads {width}"]:
        glorot = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform", in_axis=0, out_axis=(1, 2))
        init = self.input_init or glorot
        if factor != 1.0:
            init = _times(factor, init)
        return parameter(self, name, init, ("embed", "heads", "kv"), (self.d_model, self.num_heads, width))

    def _bias(self, name: str, axes: tuple[str, ...], shape: tuple[int, ...]) -> Float[Array, "..."] | None:
        return parameter(self, name, nn.initializers.zeros, axes, shape) if self.use_bias else None

    def __call__(
        self,
        query_input: Float[Array, "*batch query d_model"],
        key_value_input: Float[Array, "*batch key d_model"] | None = None,
        mask: Bool[Array, "*#batch #heads #query #key"] | Segments | None = None,
        *,
        bias: Float[Array, "*#batch #heads #query #key"] | None = None,
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
          mask: True where a query may attend to a key, or the segments from which this follows; None: everywhere.
          bias: added to the scores; None: nothing.
          deterministic: False applies dropout to the attention weights, with the random stream `dropout`.
          return_weights: also return the attention weights, before dropout.
        """
        if key_value_input is None:
            key_value_input = query_input
        key_value = self.keys_values(key_value_input)
        options = dict(deterministic=deterministic, return_weights=return_weights)
        output, weights = self.attend(query_input, key_value, mask, bias=bias, **options)
        if not return_weights:
            return output
        if weights is None:
            raise ValueError(
                "return_weights = True: attention_function returns no weights; make it return them, or omit this option"
            )
        return output, weights

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
        mask: Bool[Array, "*#batch #heads #query #key"] | Segments | None = None,
        *,
        bias: Float[Array, "*#batch #heads #query #key"] | None = None,
        deterministic: bool = True,
        return_weights: bool = False,
    ) -> tuple[Float[Array, "*batch query d_model"], Float[Array, "*batch heads query key"] | None]:
        """Attends to keys and values from `keys_values`.

        Returns:
          The output, and the attention weights, which are None if `attention_function` does not return them, or if
          attention is fused; `return_weights` prevents that.
        """
        query = self._project(query_input, self.query_kernel, self.query_bias)
        dropout = None
        if self.dropout_rate > 0.0 and not deterministic:
            dropout = lambda weights: self.dropout(weights, deterministic=False)  # noqa: E731
        heads = None
        if self.attention_function is None:
            plain_because = self._needs_weights(return_weights, dropout)
            arrays = query, key_value.key, key_value.value, mask
            options: dict[str, Any] = dict(bias=bias, causal=self.causal, **self._scale())
            heads = fused_instead(self.attention, *arrays, **options, plain_because=plain_because)
        if heads is not None:
            return self._join(heads), None
        if isinstance(mask, Segments):
            mask = mask.mask()
        heads, weights = self._attention(query, key_value, mask, bias=bias, causal=self.causal, dropout=dropout)
        if weights is not None:
            self.sow("intermediates", "attention_weights", weights)
        return self._join(heads), weights

    def _scale(self) -> dict[str, float]:
        """Returns the argument `scale` of attention if it is not the default."""
        return {} if self.scale_scores else {"scale": 1.0}

    def _needs_weights(self, returned: bool, dropout: Callable | None) -> str | None:
        """Returns for what attention must compute its weights as arrays, or None if it need not."""
        if returned or self.is_mutable_collection("intermediates"):
            return "the weights are asked for"
        return None if dropout is None else "the weights have dropout"

    def _attention(
        self, query: Array, key_value: KeyValue, mask: Array | None, *, causal: bool, **options: Any
    ) -> tuple[Array, Any]:
        options |= self._scale()
        if self.attention_function is not None:
            return self.attention_function(query, key_value.key, key_value.value, mask, causal=causal, **options)
        attention = causal_attention if causal else scaled_dot_product_attention
        return attention(query, key_value.key, key_value.value, mask, **options)

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
        index: Int[Array, ""] | Int[Array, "*batch"],
        mask: Bool[Array, "*#batch #heads new length"] | None = None,
        *,
        bias: Float[Array, "*#batch #heads #new length"] | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], KeyValueCache]:
        """Computes self-attention for new tokens, whose keys and values are written to the cache from `index` on.

        Args:
          x: the new tokens: a single one without a mask.
          cache: keys and values of the tokens so far.
          index: slot of the first new token, the same in all rows of the batch, or one for each row.
          mask: True where a new token may attend to a slot, never after the new tokens' own slots. None: the new token
            attends to its own slot and all earlier ones.
          bias: added to the scores; None: nothing.

        Returns:
          The output, and the cache with the new tokens written.
        """
        cache = cache.write(self.keys_values(x), index)
        new, length = x.shape[-2], cache.value.shape[-2]
        if mask is None:
            slots = with_rank(jnp.arange(length), index.ndim + 1)
            mask = (slots <= index[..., None])[..., None, None, :]
        query = self._project(x, self.query_kernel, self.query_bias)

        def attend_to(length: int) -> Callable[[], Array]:
            def attend() -> Array:
                part = None if bias is None else bias[..., :length]
                options: dict[str, Any] = dict(bias=part, causal=False, dropout=None)
                return self._attention(query, cache.first(length), mask[..., :length], **options)[0]

            return attend

        # Most of a cache is empty at first, so a step reads only the shortest of the doubling lengths that reaches the
        # new tokens.
        lengths = _doubling(_SHORTEST * new, length)
        chosen = sum((index.max() + new > shorter).astype(int) for shorter in lengths[:-1])
        heads = lax.switch(chosen, [attend_to(length) for length in lengths])
        return self._join(heads), cache

    def _project(
        self,
        x: Float[Array, "*batch length d_model"],
        kernel: Float[Array, "d_model heads width"],
        bias: Float[Array, "heads width"] | None,
    ) -> Float[Array, "*batch heads length width"]:
        d_model, heads, width = kernel.shape
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if any(jax.typeof(kernel).sharding.spec):  # Explicit axes: heads that are sharded cannot be split off again
            projected = jnp.einsum("...d,dhw->...hw", x, kernel)
        else:
            projected = project(x, kernel.reshape(d_model, heads * width)).reshape(*x.shape[:-1], heads, width)
        if bias is not None:
            projected = projected + with_rank(bias.astype(self.dtype), projected.ndim)
        return projected.swapaxes(-2, -3)

    def _join(self, heads: Float[Array, "*batch heads length d_v"]) -> Float[Array, "*batch length d_model"]:
        output_kernel = self.output_kernel.astype(self.dtype)
        heads = heads.swapaxes(-2, -3)
        output = project(heads.reshape(*heads.shape[:-2], -1), output_kernel.reshape(-1, self.d_model))
        if self.output_bias is None:
            return output
        return output + with_rank(self.output_bias.astype(self.dtype), output.ndim)


def _times(factor: float, init: Callable[..., Any]) -> Callable[..., Any]:
    """Returns an initialiser whose values are those of another one times a factor."""
    return lambda *arguments: factor * init(*arguments)


def _doubling(shortest: int, longest: int) -> list[int]:
    """Returns `shortest` and its doubles below `longest`, then `longest`."""
    lengths = []
    while shortest < longest:
        lengths.append(shortest)
        shortest *= 2
    return [*lengths, longest]

"""Encoder and decoder layers: sub-layers with residual connections and norms (section 3.1)."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Int

from tfmr.nn.attention import KeyValue, KeyValueCache, MultiHeadAttention
from tfmr.nn.dropout import Dropout
from tfmr.nn.feed_forward import Activation, PositionwiseFeedForward
from tfmr.nn.layer_norm import LayerNorm


class TransformerLayer(nn.Module):
    """What encoder and decoder layers have in common.

    Attributes:
      num_heads: attention heads.
      d_model: width of the layer's input and output.
      d_ff: inner width of the feed-forward network.
      d_k: width of a head's queries and keys; None: d_model / num_heads.
      d_v: width of a head's values; None: d_model / num_heads.
      dropout_rate: dropout on every sub-layer's output (section 5.4).
      attention_dropout_rate: dropout on attention weights.
      norm: "post", LayerNorm(x + Sublayer(x)) as in the paper, or "pre", x + Sublayer(LayerNorm(x)).
      norm_epsilon: LayerNorm's epsilon.
      dtype: type of the computation; parameters are float32.
      attention_bias: biases on the projections of the attention blocks.
      activation: of the feed-forward network, see `PositionwiseFeedForward`.
      feed_forward_bias: biases in the feed-forward network.
      gated: the feed-forward network has a gate.
      norm_bias: the beta of the norms.
      kernel_init: initialiser of the matrices that read from the residual stream; None: as the blocks have it.
      residual_init: that of the two that write to it, attention's output and what goes down.
    """

    num_heads: int
    d_model: int
    d_ff: int
    d_k: int | None = None
    d_v: int | None = None
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    norm: Literal["post", "pre"] = "post"
    norm_epsilon: float = 1e-6
    dtype: DTypeLike = jnp.float32
    attention_bias: bool = False
    activation: Activation = "relu"
    feed_forward_bias: bool = True
    gated: bool = False
    norm_bias: bool = True
    kernel_init: Callable[..., Any] | None = None
    residual_init: Callable[..., Any] | None = None

    def _attention(self, causal: bool = False) -> MultiHeadAttention:
        return MultiHeadAttention(
            num_heads=self.num_heads,
            d_model=self.d_model,
            d_k=self.d_k,
            d_v=self.d_v,
            dropout_rate=self.attention_dropout_rate,
            dtype=self.dtype,
            use_bias=self.attention_bias,
            causal=causal,
            input_init=self.kernel_init,
            output_init=self.residual_init,
        )

    def _feed_forward(self) -> PositionwiseFeedForward:
        return PositionwiseFeedForward(
            d_ff=self.d_ff,
            dtype=self.dtype,
            activation=self.activation,
            use_bias=self.feed_forward_bias,
            gated=self.gated,
            up_init=self.kernel_init,
            down_init=self.residual_init,
        )

    def _norm(self) -> LayerNorm:
        return LayerNorm(self.norm_epsilon, self.dtype, self.norm_bias)

    def _attend(
        self,
        attention: MultiHeadAttention,
        x: Float[Array, "*batch query d_model"],
        memory: Float[Array, "*batch key d_model"],
        mask: Bool[Array, "*#batch #heads #query #key"] | None,
        deterministic: bool,
    ) -> Float[Array, "*batch query d_model"]:
        return attention.attend(x, attention.keys_values(memory), mask, deterministic=deterministic)[0]

    def _residual(
        self,
        x: Float[Array, "*batch length d_model"],
        norm: LayerNorm,
        sublayer: Callable[[Array], Array],
        deterministic: bool,
    ) -> Float[Array, "*batch length d_model"]:
        if self.norm == "pre":
            return x + self.dropout(sublayer(norm(x)), deterministic=deterministic)
        return norm(x + self.dropout(sublayer(x), deterministic=deterministic))


class EncoderLayer(TransformerLayer):
    """Self-attention, then feed-forward, each in a residual connection with a norm.

    Attributes:
      causal: no place looks at a later one.
    """

    causal: bool = False

    def setup(self):
        self.self_attention = self._attention(self.causal)
        self.self_attention_norm = self._norm()
        self.feed_forward = self._feed_forward()
        self.feed_forward_norm = self._norm()
        self.dropout = Dropout(self.dropout_rate)

    def __call__(
        self,
        x: Float[Array, "*batch length d_model"],
        mask: Bool[Array, "*#batch #heads #length #length"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "*batch length d_model"]:
        """Returns the layer's output; `deterministic=False` drops with the random stream `dropout`."""

        def attend(x: Array) -> Array:
            return self._attend(self.self_attention, x, x, mask, deterministic)

        x = self._residual(x, self.self_attention_norm, attend, deterministic)
        return self._residual(x, self.feed_forward_norm, self.feed_forward, deterministic)

    def start_cache(self, batch: tuple[int, ...], length: int) -> KeyValueCache:
        """Returns a cache for `length` places, for layers under a look-ahead mask."""
        return self.self_attention.empty_cache(batch, length)

    def step(
        self,
        x: Float[Array, "*batch new d_model"],
        cache: KeyValueCache,
        place: Int[Array, ""],
        mask: Bool[Array, "*#batch #heads new length"] | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], KeyValueCache]:
        """Returns the layer's output at new places, `place` the first of them, and the cache that now holds them.

        See `MultiHeadAttention.step` for the mask.
        """
        written = cache

        def attend(x: Array) -> Array:
            nonlocal written
            output, written = self.self_attention.step(x, cache, place, mask)
            return output

        x = self._residual(x, self.self_attention_norm, attend, True)
        return self._residual(x, self.feed_forward_norm, self.feed_forward, True), written


@flax.struct.dataclass
class DecoderLayerCache:
    """What a decoder layer keeps between two steps of decoding."""

    self_attention: KeyValueCache
    """Of the places decoded so far; zeros after them."""
    cross_attention: KeyValue
    """Of the encoder's output, computed once."""


class DecoderLayer(TransformerLayer):
    """Masked self-attention, attention to the encoder's output, then feed-forward."""

    def setup(self):
        self.self_attention = self._attention()
        self.self_attention_norm = self._norm()
        self.cross_attention = self._attention()
        self.cross_attention_norm = self._norm()
        self.feed_forward = self._feed_forward()
        self.feed_forward_norm = self._norm()
        self.dropout = Dropout(self.dropout_rate)

    def __call__(
        self,
        x: Float[Array, "*batch target d_model"],
        memory: Float[Array, "*batch source d_model"],
        self_mask: Bool[Array, "*#batch #heads #target #target"] | None = None,
        cross_mask: Bool[Array, "*#batch #heads #target #source"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "*batch target d_model"]:
        """Returns the layer's output for a whole target; the look-ahead mask is part of `self_mask`."""

        def attend_to_self(x: Array) -> Array:
            return self._attend(self.self_attention, x, x, self_mask, deterministic)

        def attend_to_memory(x: Array) -> Array:
            return self._attend(self.cross_attention, x, memory, cross_mask, deterministic)

        x = self._residual(x, self.self_attention_norm, attend_to_self, deterministic)
        x = self._residual(x, self.cross_attention_norm, attend_to_memory, deterministic)
        return self._residual(x, self.feed_forward_norm, self.feed_forward, deterministic)

    def start_cache(self, memory: Float[Array, "*batch source d_model"], length: int) -> DecoderLayerCache:
        """Returns a cache for targets of up to `length` places."""
        return DecoderLayerCache(
            self_attention=self.self_attention.empty_cache(memory.shape[:-2], length),
            cross_attention=self.cross_attention.keys_values(memory),
        )

    def step(
        self,
        x: Float[Array, "*batch new d_model"],
        cache: DecoderLayerCache,
        place: Int[Array, ""],
        cross_mask: Bool[Array, "*#batch #heads #new #source"] | None = None,
        self_mask: Bool[Array, "*#batch #heads new length"] | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], DecoderLayerCache]:
        """Returns the layer's output at one new place, the `position`-th, and the cache that now holds it."""
        written = cache.self_attention

        def attend_to_self(x: Array) -> Array:
            nonlocal written
            output, written = self.self_attention.step(x, cache.self_attention, place, self_mask)
            return output

        def attend_to_memory(x: Array) -> Array:
            return self.cross_attention.attend(x, cache.cross_attention, cross_mask)[0]

        x = self._residual(x, self.self_attention_norm, attend_to_self, True)
        x = self._residual(x, self.cross_attention_norm, attend_to_memory, True)
        x = self._residual(x, self.feed_forward_norm, self.feed_forward, True)
        return x, dataclasses.replace(cache, self_attention=written)

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
from tfmr.nn.attention_choice import AttentionName
from tfmr.nn.dropout import Dropout
from tfmr.nn.feed_forward import Activation, PositionwiseFeedForward
from tfmr.nn.layer_norm import LayerNorm
from tfmr.nn.masks import Segments
from tfmr.nn.relative_positions import Places, RelativePositionBias
from tfmr.nn.rms_norm import RMSNorm
from tfmr.nn.ssru import SSRU, SSRUCache


@dataclasses.dataclass(frozen=True)
class LayerConfig:
    """The shape and options of a layer, shared by all layers of a stack.

    Attributes:
      num_heads: number of attention heads.
      d_model: width of the layer's input and output.
      d_ff: inner width of the feed-forward network.
      d_k: width of the queries and keys of each head; None: d_model / num_heads.
      d_v: width of the values of each head; None: d_model / num_heads.
      dropout_rate: dropout rate for the output of every sub-layer (section 5.4).
      attention_dropout_rate: dropout rate for the attention weights.
      norm: "post", LayerNorm(x + Sublayer(x)), as in the paper; or "pre", x + Sublayer(LayerNorm(x)).
      norm_type: "layer", LayerNorm, as in the paper; or "rms", RMSNorm, which has neither a mean nor a beta.
      norm_epsilon: epsilon of the norms.
      dtype: data type of the computation; parameters are float32.
      attention_bias: whether the attention projections have biases.
      scale_scores: whether attention scores are divided by sqrt(d_k), see `MultiHeadAttention`.
      activation: activation of the feed-forward network, see `PositionwiseFeedForward`.
      feed_forward_bias: whether the feed-forward network has biases.
      gated: whether the feed-forward network has a gate.
      norm_bias: whether LayerNorm has a beta.
      kernel_init: initialiser of the matrices that read from the residual stream; None: the blocks' default.
      residual_init: initialiser of the two matrices that write to the residual stream, the output projection of
        attention and the down-projection; None: the blocks' default.
      feed_forward_dropout_rate: dropout rate inside the feed-forward network.
      attention_function: computes attention in place of the default, see `MultiHeadAttention`.
      attention: whether attention may be fused, see `MultiHeadAttention`.
      decoder_recurrence: "none", or "ssru": an `SSRU` in place of the decoder's self-attention.
      own_positions: each layer has its own bias for relative positions, which takes `Places` in place of a bias.
      relative_buckets: number of buckets of that bias, see `RelativePositionBias`.
      relative_max_distance: the distance from which on all keys share a bucket.
    """

    num_heads: int
    d_model: int
    d_ff: int
    d_k: int | None = None
    d_v: int | None = None
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    norm: Literal["post", "pre"] = "post"
    norm_type: Literal["layer", "rms"] = "layer"
    norm_epsilon: float = 1e-6
    dtype: DTypeLike = jnp.float32
    attention_bias: bool = False
    scale_scores: bool = True
    activation: Activation = "relu"
    feed_forward_bias: bool = True
    gated: bool = False
    norm_bias: bool = True
    kernel_init: Callable[..., Any] | None = None
    residual_init: Callable[..., Any] | None = None
    feed_forward_dropout_rate: float = 0.0
    attention_function: Callable[..., tuple[Array, Array | None]] | None = None
    attention: AttentionName = "xla"
    decoder_recurrence: Literal["none", "ssru"] = "none"
    own_positions: bool = False
    relative_buckets: int = 32
    relative_max_distance: int = 128


def make_relative_positions(config: Any, *, bidirectional: bool) -> RelativePositionBias:
    """Returns a new bias for relative positions, for a layer or for all layers of a stack."""
    return RelativePositionBias(
        config.num_heads,
        config.relative_buckets,
        config.relative_max_distance,
        bidirectional=bidirectional,
        initializer=nn.initializers.normal(config.d_model**-0.5),
    )


def make_norm(config: LayerConfig) -> LayerNorm | RMSNorm:
    """Returns a new norm of the configured type."""
    if config.norm_type == "rms":
        return RMSNorm(config.norm_epsilon, config.dtype)
    return LayerNorm(config.norm_epsilon, config.dtype, config.norm_bias)


class TransformerLayer(nn.Module):
    """The base class of encoder and decoder layers.

    Attributes:
      config: the layer's shape and options.
    """

    config: LayerConfig

    def _attention(self, causal: bool = False) -> MultiHeadAttention:
        config = self.config
        return MultiHeadAttention(
            num_heads=config.num_heads,
            d_model=config.d_model,
            d_k=config.d_k,
            d_v=config.d_v,
            dropout_rate=config.attention_dropout_rate,
            dtype=config.dtype,
            use_bias=config.attention_bias,
            causal=causal,
            scale_scores=config.scale_scores,
            input_init=config.kernel_init,
            output_init=config.residual_init,
            attention_function=config.attention_function,
            attention=config.attention,
        )

    def _feed_forward(self) -> PositionwiseFeedForward:
        config = self.config
        return PositionwiseFeedForward(
            d_ff=config.d_ff,
            dtype=config.dtype,
            activation=config.activation,
            use_bias=config.feed_forward_bias,
            gated=config.gated,
            up_init=config.kernel_init,
            down_init=config.residual_init,
            dropout_rate=config.feed_forward_dropout_rate,
        )

    def _norm(self) -> LayerNorm | RMSNorm:
        return make_norm(self.config)

    def _bias(self, bias: Array | Places | None) -> Array | None:
        """Returns the bias of self-attention: the one that is given, or the layer's own for the given positions."""
        return self.positions(*bias) if isinstance(bias, Places) else bias

    def _residual(
        self,
        x: Float[Array, "*batch length d_model"],
        norm: LayerNorm | RMSNorm,
        sublayer: Callable[[Array], Array],
        deterministic: bool,
    ) -> Float[Array, "*batch length d_model"]:
        x = x.astype(self.config.dtype)
        if self.config.norm == "pre":
            return x + self.dropout(sublayer(norm(x)), deterministic=deterministic)
        return norm(x + self.dropout(sublayer(x), deterministic=deterministic))


class EncoderLayer(TransformerLayer):
    """Self-attention and a feed-forward network, each with a residual connection and a norm.

    Attributes:
      causal: no position attends to a later one.
    """

    causal: bool = False

    def setup(self):
        self.self_attention = self._attention(self.causal)
        self.self_attention_norm = self._norm()
        if self.config.own_positions:
            self.positions = make_relative_positions(self.config, bidirectional=not self.causal)
        self.feed_forward = self._feed_forward()
        self.feed_forward_norm = self._norm()
        self.dropout = Dropout(self.config.dropout_rate)

    def __call__(
        self,
        x: Float[Array, "*batch length d_model"],
        *,
        mask: Bool[Array, "*#batch #heads #length #length"] | Segments | None = None,
        bias: Float[Array, "*#batch #heads #length #length"] | Places | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*batch length d_model"]:
        """Returns the layer's output. With `deterministic=False` dropout uses the random stream `dropout`.

        See `MultiHeadAttention` for the mask and the bias.
        """

        def attend(x: Array) -> Array:
            key_value = self.self_attention.keys_values(x)
            own = self._bias(bias)
            return self.self_attention.attend(x, key_value, mask, bias=own, deterministic=deterministic)[0]

        def feed_forward(x: Array) -> Array:
            return self.feed_forward(x, deterministic=deterministic)

        x = self._residual(x, self.self_attention_norm, attend, deterministic)
        return self._residual(x, self.feed_forward_norm, feed_forward, deterministic)

    def start_cache(self, batch: tuple[int, ...], length: int) -> KeyValueCache:
        """Returns an empty cache of `length` slots, for causal layers."""
        return self.self_attention.start_cache(batch, length)

    def step(
        self,
        x: Float[Array, "*batch new d_model"],
        cache: KeyValueCache,
        index: Int[Array, ""] | Int[Array, "*batch"],
        *,
        mask: Bool[Array, "*#batch #heads new length"] | None = None,
        bias: Float[Array, "*#batch #heads #new length"] | Places | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], KeyValueCache]:
        """Returns the layer's output for new tokens, and the cache with their keys and values written from `index` on.

        See `MultiHeadAttention.step` for the index, the mask and the bias.
        """
        written = cache

        def attend(x: Array) -> Array:
            nonlocal written
            output, written = self.self_attention.step(x, cache, index, mask, bias=self._bias(bias))
            return output

        x = self._residual(x, self.self_attention_norm, attend, True)
        return self._residual(x, self.feed_forward_norm, self.feed_forward, True), written


@flax.struct.dataclass
class DecoderLayerCache:
    """What a decoder layer keeps between decoding steps."""

    self_attention: KeyValueCache | SSRUCache
    """The keys and values, or the states of the recurrent unit in its place, for the target tokens so far; the
    slots after them are zero."""
    cross_attention: KeyValue
    """The keys and values of the encoder's output, computed once."""

    def resized(self, length: int) -> "DecoderLayerCache":
        """Returns a copy with `length` slots for target tokens: the first ones, or all and then empty ones."""
        return dataclasses.replace(self, self_attention=self.self_attention.resized(length))


class DecoderLayer(TransformerLayer):
    """Causal self-attention or a recurrent unit, attention to the encoder's output, and a feed-forward network."""

    def setup(self):
        if self.config.decoder_recurrence == "ssru":
            self.recurrence = SSRU(self.config.d_model, self.config.dtype, self.config.kernel_init)
            self.recurrence_norm = self._norm()
        else:
            self.self_attention = self._attention(causal=True)
            self.self_attention_norm = self._norm()
            if self.config.own_positions:
                self.positions = make_relative_positions(self.config, bidirectional=False)
        self.cross_attention = self._attention()
        self.cross_attention_norm = self._norm()
        self.feed_forward = self._feed_forward()
        self.feed_forward_norm = self._norm()
        self.dropout = Dropout(self.config.dropout_rate)

    def __call__(
        self,
        x: Float[Array, "*batch target d_model"],
        memory: Float[Array, "*batch source d_model"],
        *,
        self_mask: Bool[Array, "*#batch #heads #target #target"] | Segments | None = None,
        cross_mask: Bool[Array, "*#batch #heads #target #source"] | Segments | None = None,
        self_bias: Float[Array, "*#batch #heads #target #target"] | Places | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*batch target d_model"]:
        """Returns the layer's output for a whole target.

        No position attends to a later one; `self_mask` needs no look-ahead mask. See `SSRU` for what a recurrent unit
        makes of it.

        Raises:
          ValueError: if a bias is given to a recurrent unit.
        """

        def read_target(x: Array) -> Array:
            if self.config.decoder_recurrence == "ssru":
                return self.recurrence(x, self_mask)
            key_value = self.self_attention.keys_values(x)
            own = self._bias(self_bias)
            return self.self_attention.attend(x, key_value, self_mask, bias=own, deterministic=deterministic)[0]

        def attend_to_memory(x: Array) -> Array:
            key_value = self.cross_attention.keys_values(memory)
            return self.cross_attention.attend(x, key_value, cross_mask, deterministic=deterministic)[0]

        def feed_forward(x: Array) -> Array:
            return self.feed_forward(x, deterministic=deterministic)

        self._check_bias(self_bias)
        x = self._residual(x, self._target_norm(), read_target, deterministic)
        x = self._residual(x, self.cross_attention_norm, attend_to_memory, deterministic)
        return self._residual(x, self.feed_forward_norm, feed_forward, deterministic)

    def start_cache(self, memory: Float[Array, "*batch source d_model"], length: int) -> DecoderLayerCache:
        """Returns the cache of an empty target, with `length` slots."""
        first: Any = self.recurrence if self.config.decoder_recurrence == "ssru" else self.self_attention
        return DecoderLayerCache(
            self_attention=first.start_cache(memory.shape[:-2], length),
            cross_attention=self.cross_attention.keys_values(memory),
        )

    def step(
        self,
        x: Float[Array, "*batch new d_model"],
        cache: DecoderLayerCache,
        index: Int[Array, ""] | Int[Array, "*batch"],
        *,
        self_mask: Bool[Array, "*#batch #heads new length"] | None = None,
        cross_mask: Bool[Array, "*#batch #heads #new #source"] | None = None,
        self_bias: Float[Array, "*#batch #heads #new length"] | Places | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], DecoderLayerCache]:
        """Returns the layer's output for new tokens, and the cache with these tokens written from slot `index` on.

        See `MultiHeadAttention.step` or `SSRU.step` for the index, `self_mask` and `self_bias`.
        """
        written: Any = cache.self_attention

        def read_target(x: Array) -> Array:
            nonlocal written
            if self.config.decoder_recurrence == "ssru":
                output, written = self.recurrence.step(x, written, index, self_mask)
            else:
                own = self._bias(self_bias)
                output, written = self.self_attention.step(x, written, index, self_mask, bias=own)
            return output

        def attend_to_memory(x: Array) -> Array:
            return self.cross_attention.attend(x, cache.cross_attention, cross_mask)[0]

        self._check_bias(self_bias)
        x = self._residual(x, self._target_norm(), read_target, True)
        x = self._residual(x, self.cross_attention_norm, attend_to_memory, True)
        x = self._residual(x, self.feed_forward_norm, self.feed_forward, True)
        return x, dataclasses.replace(cache, self_attention=written)

    def _target_norm(self) -> LayerNorm | RMSNorm:
        return self.recurrence_norm if self.config.decoder_recurrence == "ssru" else self.self_attention_norm

    def _check_bias(self, self_bias: Array | Places | None) -> None:
        if self_bias is not None and self.config.decoder_recurrence == "ssru":
            raise ValueError("self_bias: a recurrent unit has no scores to add it to; omit it")

"""The encoder-decoder Transformer (section 3, figure 1)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from tfmr.config import TransformerConfig
from tfmr.models.model import Model, register_model
from tfmr.models.token_model import embed, layer_config, position_encoding, token_embedding
from tfmr.models.transformer.account import ACCOUNT
from tfmr.nn import (
    Decoder,
    DecoderLayerCache,
    Dropout,
    Encoder,
    LayerConfig,
    LayerNorm,
    RelativePositionBias,
    Segments,
    TokenEmbedding,
    padding_mask,
)
from tfmr.nn.layers import make_relative_positions
from tfmr.nn.parameters import parameter
from tfmr.nn.relative_positions import Places

_BOS_ID = 2
"""The first token of every target, `tfmr.data.special_tokens.BOS_ID`."""
_NEVER = -1e4
"""The bias of a token that is never written: its probability is 0 in float32."""


@flax.struct.dataclass
class DecodingCache:
    """What the model keeps between decoding steps. The batch is the first axis of every array."""

    layers: tuple[DecoderLayerCache, ...]
    """The keys and values of each layer."""
    cross_mask: Bool[Array, "batch 1 1 source"]
    """True where the source is not padding."""

    def resized(self, length: int) -> "DecodingCache":
        """Returns a copy with `length` slots for target tokens: the first ones, or all and then empty ones."""
        return dataclasses.replace(self, layers=tuple(layer.resized(length) for layer in self.layers))


class Transformer(Model):
    """Predicts, from a source and the target so far, the logits of the next token at every target position.

    All methods are used through `init` and `apply`. Segments are 0 for padding and 1 for the sentence, or 1, 2, 3, ...
    for the sentences of a packed row; a target attends only to its own segment of the source. None: all 1, without
    padding. Positions count from 0 in each segment. None: 0, 1, 2, ... They are not needed for relative positions: the
    tokens of a segment stand side by side, so that distances are differences of indices.

    Attributes:
      config: the model's shape; its `vocab_size` must be set.
    """

    config: TransformerConfig

    def setup(self):
        config = self.config
        has_output = config.tie_embeddings in ("inputs", "none")
        self.embedding = self._new_table(is_output=not has_output)
        if config.tie_embeddings in ("decoder", "none"):
            self.source_embedding = self._new_table()
        if has_output:
            self.output_embedding = self._new_table(is_output=True)
        if config.output_bias:
            zeros = nn.initializers.zeros
            self.output_bias = parameter(self, "output_bias", zeros, ("vocab",), (config.vocab_size,))
        self.source_positions = self._new_positions(bidirectional=True)
        self.target_positions = self._new_positions(bidirectional=False)
        layer = layer_config(config, own_positions=config.positions == "relative_by_layer")
        if config.embedding_norm:
            self.source_embedding_norm, self.target_embedding_norm = embedding_norm(layer), embedding_norm(layer)
        stack: dict[str, Any] = dict(final_norm=config.norm == "pre", scan=config.scan_layers, remat=config.remat)
        self.encoder = Encoder(layer, config.num_encoder_layers, **stack)
        self.decoder = Decoder(layer, config.num_decoder_layers, **stack)
        self.dropout = Dropout(config.dropout_rate)

    def _new_table(self, *, is_output: bool = False) -> TokenEmbedding:
        """Returns a table with which embeddings, or else the logits, start as large as with the paper's."""
        config = self.config
        unit = config.scale_output if is_output else not config.scale_embeddings
        init = nn.initializers.normal(1.0) if unit else None
        return token_embedding(config, scaled=config.scale_embeddings, initializer=init)

    def _new_positions(self, *, bidirectional: bool) -> Callable[..., Array] | None:
        """Returns the vectors or the bias of positions. None: each layer has its own."""
        config = self.config
        if config.positions == "relative_by_layer":
            return None
        if config.positions == "relative":
            return make_relative_positions(config, bidirectional=bidirectional)
        return position_encoding(config)

    @staticmethod
    def inputs_of(batch: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the model's arguments from the arrays of a batch, by name."""
        names = ("source", "target_input", "source_segments", "target_segments", "source_positions", "target_positions")
        return {name: batch[name] for name in names}

    def __call__(
        self,
        source: Int[Array, "batch source"],
        target_input: Int[Array, "batch target"],
        *,
        source_segments: Int[Array, "batch source"] | None = None,
        target_segments: Int[Array, "batch target"] | None = None,
        source_positions: Int[Array, "#batch source"] | None = None,
        target_positions: Int[Array, "#batch target"] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch target vocab"]:
        """Returns the logits of the token that follows each position of `target_input`.

        Args:
          source: token ids of the source.
          target_input: token ids of the target, shifted right by one behind the BOS token.
          source_segments, target_segments, source_positions, target_positions: see above.
          deterministic: False applies dropout, with the random stream `dropout`.
        """
        memory = self.encode(
            source, source_segments=source_segments, source_positions=source_positions, deterministic=deterministic
        )
        target = dict(
            source_segments=source_segments, target_segments=target_segments, target_positions=target_positions
        )
        return self.decode(target_input, memory, **target, deterministic=deterministic)

    def encode(
        self,
        source: Int[Array, "batch source"],
        *,
        source_segments: Int[Array, "batch source"] | None = None,
        source_positions: Int[Array, "#batch source"] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch source d_model"]:
        """Returns the encoder's output, the memory that the decoder attends to."""
        shared = self.config.tie_embeddings in ("all", "inputs")
        embedding = self.embedding if shared else self.source_embedding
        norm = self.source_embedding_norm if self.config.embedding_norm else None
        own: Any = dict(norm=norm, deterministic=deterministic)
        x = embed(source, source_positions, embedding, self._vectors(self.source_positions), self.dropout, **own)
        mask = None if source_segments is None else Segments(source_segments, source_segments)
        indices = jnp.arange(source.shape[1])
        bias = self._bias(self.source_positions, indices, indices)
        return self.encoder(x, mask=mask, bias=bias, deterministic=deterministic)

    def decode(
        self,
        target_input: Int[Array, "batch target"],
        memory: Float[Array, "batch source d_model"],
        *,
        source_segments: Int[Array, "batch source"] | None = None,
        target_segments: Int[Array, "batch target"] | None = None,
        target_positions: Int[Array, "#batch target"] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch target vocab"]:
        """Returns the logits of the token that follows each position of `target_input`."""
        target = dict(
            source_segments=source_segments, target_segments=target_segments, target_positions=target_positions
        )
        return self._logits(self.decoder_states(target_input, memory, **target, deterministic=deterministic))

    def decoder_states(
        self,
        target_input: Int[Array, "batch target"],
        memory: Float[Array, "batch source d_model"],
        *,
        source_segments: Int[Array, "batch source"] | None = None,
        target_segments: Int[Array, "batch target"] | None = None,
        target_positions: Int[Array, "#batch target"] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch target d_model"]:
        """Returns the decoder's output; the logits are its product with the output embedding."""
        x = self._embed_target(target_input, target_positions, deterministic)
        if source_segments is None:
            source_segments = jnp.ones(memory.shape[:2], jnp.int32)
        if target_segments is None:
            target_segments = jnp.ones_like(target_input)
        indices = jnp.arange(target_input.shape[1])
        return self.decoder(
            x,
            memory,
            self_mask=Segments(target_segments, target_segments),
            cross_mask=Segments(target_segments, source_segments),
            self_bias=self._bias(self.target_positions, indices, indices),
            deterministic=deterministic,
        )

    def states_and_output_table(
        self,
        source: Int[Array, "batch source"],
        target_input: Int[Array, "batch target"],
        *,
        source_segments: Int[Array, "batch source"] | None = None,
        target_segments: Int[Array, "batch target"] | None = None,
        source_positions: Int[Array, "#batch source"] | None = None,
        target_positions: Int[Array, "#batch target"] | None = None,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "batch target width"], Float[Array, "vocab width"]]:
        """Returns the two factors of the logits, for a loss that never materialises all logits at once.

        A bias of the logits adds a column to the table and a column of ones to the states.
        """
        memory = self.encode(
            source, source_segments=source_segments, source_positions=source_positions, deterministic=deterministic
        )
        target = dict(
            source_segments=source_segments, target_segments=target_segments, target_positions=target_positions
        )
        states = self._scaled(self.decoder_states(target_input, memory, **target, deterministic=deterministic))
        table, bias = self._output_embedding().embedding, self._output_bias()
        if self.config.start_token != _BOS_ID:
            table = table.at[_BOS_ID].set(0.0)  # so that label smoothing of BOS has no gradient
        if bias is not None:
            states = jnp.pad(states, ((0, 0), (0, 0), (0, 1)), constant_values=1)
            table = jnp.concatenate([table, bias[:, None]], axis=1)
        return states, table

    def start_cache(
        self,
        memory: Float[Array, "batch source d_model"],
        max_length: int,
        *,
        source_segments: Int[Array, "batch source"] | None = None,
    ) -> DecodingCache:
        """Returns the cache of empty targets with `max_length` slots, and the keys and values of cross-attention."""
        if source_segments is None:
            source_segments = jnp.ones(memory.shape[:2], jnp.int32)
        return DecodingCache(self.decoder.start_cache(memory, max_length), padding_mask(source_segments))

    def decode_step(
        self, token: Int[Array, " batch"], cache: DecodingCache, position: Int[Array, ""]
    ) -> tuple[Float[Array, "batch vocab"], DecodingCache]:
        """Returns the logits of the token that follows `token` at `position`, and the cache with `token` written."""
        logits, cache = self.decode_beam_step(token[:, None], cache, position)
        return logits[:, 0], cache

    def decode_beam_step(
        self,
        tokens: Int[Array, "batch beam"],
        cache: DecodingCache,
        position: Int[Array, ""],
        *,
        self_mask: Bool[Array, "batch 1 beam slots"] | None = None,
    ) -> tuple[Float[Array, "batch beam vocab"], DecodingCache]:
        """Makes a `decode_step` for `beam` targets of each source, which share a cache.

        Args:
          tokens: the newest token of each target.
          cache: the cache, with `beam` slots for each position.
          position: position of the tokens in their targets.
          self_mask: True where a target attends to a slot. None: `beam` is 1, and the target attends to all slots so
            far.
        """
        x, beam = self._embed_target(tokens, jnp.broadcast_to(position, tokens.shape), True), tokens.shape[1]
        masks: dict[str, Any] = dict(self_mask=self_mask, cross_mask=cache.cross_mask)
        if self.config.positions in ("relative", "relative_by_layer"):
            keys_values: Any = cache.layers[0].self_attention
            of_slots = jnp.arange(keys_values.value.shape[-2]) // beam
            masks["self_bias"] = self._bias(self.target_positions, position[None], of_slots)
        x, layers = self.decoder.step(x, cache.layers, position * beam, **masks)
        return self._logits(x), dataclasses.replace(cache, layers=layers)

    def _embed_target(
        self, tokens: Int[Array, "batch length"], positions: Int[Array, "#batch length"] | None, deterministic: bool
    ) -> Float[Array, "batch length d_model"]:
        config = self.config
        if config.start_token != _BOS_ID:
            tokens = jnp.where(tokens == _BOS_ID, config.start_token, tokens)
        own: Any = dict(norm=self.target_embedding_norm if config.embedding_norm else None, deterministic=deterministic)
        return embed(tokens, positions, self.embedding, self._vectors(self.target_positions), self.dropout, **own)

    def _vectors(self, positions: Callable[..., Array] | None) -> Callable[[Array], Array] | None:
        """Returns what is added to embeddings. None: nothing."""
        return None if isinstance(positions, RelativePositionBias) else positions

    def _bias(
        self, positions: Callable[..., Array] | None, queries: Int[Array, " query"], keys: Int[Array, " key"]
    ) -> Float[Array, "1 heads query key"] | Places | None:
        """Returns what is added to the scores of self-attention, or from what each layer computes it. None: nothing."""
        if self.config.positions == "relative_by_layer":
            return Places(queries[None], keys[None])
        return positions(queries[None], keys[None]) if isinstance(positions, RelativePositionBias) else None

    def _output_embedding(self) -> TokenEmbedding:
        return self.output_embedding if self.config.tie_embeddings in ("inputs", "none") else self.embedding

    def _scaled(self, states: Float[Array, "*batch d_model"]) -> Float[Array, "*batch d_model"]:
        return states * self.config.d_model**-0.5 if self.config.scale_output else states

    def _logits(self, states: Float[Array, "*batch d_model"]) -> Float[Array, "*batch vocab"]:
        logits, bias = self._output_embedding().attend(self._scaled(states)), self._output_bias()
        # Rounded to the type in which the loss multiplies the bias as a column of the table.
        return logits if bias is None else logits + bias.astype(self.config.dtype)

    def _output_bias(self) -> Float[Array, " vocab"] | None:
        """Returns what is added to the logits. None: nothing."""
        bias = self.output_bias if self.config.output_bias else None
        if self.config.start_token == _BOS_ID:
            return bias
        return (jnp.zeros(self.config.vocab_size) if bias is None else bias).at[_BOS_ID].set(_NEVER)


def embedding_norm(layer: LayerConfig) -> LayerNorm:
    """Returns a new norm of embeddings, with the options of a layer's norms."""
    return LayerNorm(layer.norm_epsilon, layer.dtype, layer.norm_bias)


register_model(TransformerConfig, Transformer, account=ACCOUNT)

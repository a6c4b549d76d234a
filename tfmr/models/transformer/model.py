"""The encoder-decoder Transformer (section 3, figure 1)."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from tfmr.config import TransformerConfig
from tfmr.models.model import Model, register_model
from tfmr.nn import (
    Decoder,
    DecoderLayer,
    DecoderLayerCache,
    Dropout,
    Encoder,
    EncoderLayer,
    LearnedPositions,
    TokenEmbedding,
    look_ahead_mask,
    padding_mask,
    segment_mask,
    sinusoidal_positions,
)
from tfmr.nn.parameters import parameter
from tfmr.nn.stacks import ACTIVATION_AXES


@flax.struct.dataclass
class DecodingCache:
    """What the model keeps between two steps of decoding. Every array has the batch as its first axis."""

    layers: tuple[DecoderLayerCache, ...]
    """Keys and values, layer by layer."""
    cross_mask: Bool[Array, "batch 1 1 source"]
    """Which places of the source are not padding."""


class Transformer(Model):
    """Turns a source and the target so far into logits of the next token, at every place of the target at once.

    All methods are used through `init` and `apply`. Segments are 0 for padding and 1 for the sentence, or
    1, 2, 3, ... for the sentences of a packed row; a place of the target looks at its own segment of the source.
    Positions count from 0 in each segment; None: 0, 1, 2, ...

    Attributes:
      config: the model's shape; its `vocab_size` must be set.
    """

    config: TransformerConfig

    def setup(self):
        config = self.config
        if config.vocab_size == 0:
            raise ValueError("TransformerConfig.vocab_size is 0: set it to the tokenizer's")
        dtype = jnp.dtype(config.dtype)
        embedding = functools.partial(TokenEmbedding, config.vocab_size, config.d_model, dtype)
        self.embedding = embedding()
        if config.tie_embeddings != "all":
            self.source_embedding = embedding()
        if config.tie_embeddings == "none":
            self.output_embedding = embedding()
        if config.output_bias:
            zeros = nn.initializers.zeros
            self.output_bias = parameter(self, "output_bias", zeros, ("vocab",), (config.vocab_size,))
        if config.positions == "learned":
            self.source_positions = LearnedPositions(config.max_length, config.d_model)
            self.target_positions = LearnedPositions(config.max_length, config.d_model)
        layer: dict[str, Any] = dict(
            num_heads=config.num_heads,
            d_model=config.d_model,
            d_ff=config.d_ff,
            d_k=config.d_k,
            d_v=config.d_v,
            dropout_rate=config.dropout_rate,
            attention_dropout_rate=config.attention_dropout_rate,
            norm=config.norm,
            norm_epsilon=config.norm_epsilon,
            dtype=dtype,
            attention_bias=config.attention_bias,
            activation=config.activation,
        )
        stack: dict[str, Any] = dict(final_norm=config.norm == "pre", scan=config.scan_layers, remat=config.remat)
        self.encoder = Encoder(functools.partial(EncoderLayer, **layer), config.num_encoder_layers, **stack)
        self.decoder = Decoder(functools.partial(DecoderLayer, **layer), config.num_decoder_layers, **stack)
        self.dropout = Dropout(config.dropout_rate)

    @staticmethod
    def inputs_of(batch: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arrays of a batch that the model takes, by the names of its arguments."""
        names = ("source", "target_input", "source_segments", "target_segments", "source_positions", "target_positions")
        return {name: batch[name] for name in names}

    @staticmethod
    def example_inputs() -> dict[str, Any]:
        """Returns the smallest inputs that the model can be initialised with."""
        token = jnp.ones((1, 1), jnp.int32)
        return dict(source=token, source_segments=token, target_input=token, target_segments=token)

    def __call__(
        self,
        source: Int[Array, "batch source"],
        source_segments: Int[Array, "batch source"],
        target_input: Int[Array, "batch target"],
        target_segments: Int[Array, "batch target"],
        source_positions: Int[Array, "batch source"] | None = None,
        target_positions: Int[Array, "batch target"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "batch target vocab"]:
        """Returns the logits of the token that follows each place of `target_input`."""
        memory = self.encode(source, source_segments, source_positions, deterministic=deterministic)
        return self.decode(
            target_input, memory, target_segments, source_segments, target_positions, deterministic=deterministic
        )

    def encode(
        self,
        source: Int[Array, "batch source"],
        source_segments: Int[Array, "batch source"],
        source_positions: Int[Array, "batch source"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "batch source d_model"]:
        """Returns the encoder's output, the memory that the decoder attends to."""
        embedding = self.embedding if self.config.tie_embeddings == "all" else self.source_embedding
        learned = self.source_positions if self.config.positions == "learned" else None
        x = self._embed(source, embedding, learned, source_positions, deterministic)
        return self.encoder(x, segment_mask(source_segments, source_segments), deterministic=deterministic)

    def decode(
        self,
        target_input: Int[Array, "batch target"],
        memory: Float[Array, "batch source d_model"],
        target_segments: Int[Array, "batch target"],
        source_segments: Int[Array, "batch source"],
        target_positions: Int[Array, "batch target"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "batch target vocab"]:
        """Returns the logits of the token that follows each place of `target_input`."""
        states = self.decoder_states(
            target_input, memory, target_segments, source_segments, target_positions, deterministic=deterministic
        )
        return self._logits(states)

    def decoder_states(
        self,
        target_input: Int[Array, "batch target"],
        memory: Float[Array, "batch source d_model"],
        target_segments: Int[Array, "batch target"],
        source_segments: Int[Array, "batch source"],
        target_positions: Int[Array, "batch target"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "batch target d_model"]:
        """Returns the decoder's output, which times the output embedding makes the logits."""
        learned = self.target_positions if self.config.positions == "learned" else None
        x = self._embed(target_input, self.embedding, learned, target_positions, deterministic)
        self_mask = segment_mask(target_segments, target_segments) & look_ahead_mask(target_input.shape[-1])
        cross_mask = segment_mask(target_segments, source_segments)
        return self.decoder(x, memory, self_mask, cross_mask, deterministic=deterministic)

    def states_and_output_table(
        self,
        source: Int[Array, "batch source"],
        source_segments: Int[Array, "batch source"],
        target_input: Int[Array, "batch target"],
        target_segments: Int[Array, "batch target"],
        source_positions: Int[Array, "batch source"] | None = None,
        target_positions: Int[Array, "batch target"] | None = None,
        *,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "batch target width"], Float[Array, "vocab width"]]:
        """Returns the two factors of the logits, for a loss that never holds all logits at once.

        An output bias is one more column of the table, and 1 one more of the states.
        """
        memory = self.encode(source, source_segments, source_positions, deterministic=deterministic)
        states = self.decoder_states(
            target_input, memory, target_segments, source_segments, target_positions, deterministic=deterministic
        )
        table = self._output_embedding().embedding
        if self.config.output_bias:
            states = jnp.pad(states, ((0, 0), (0, 0), (0, 1)), constant_values=1)
            table = jnp.concatenate([table, self.output_bias[:, None]], axis=1)
        return states, table

    def start_cache(
        self,
        memory: Float[Array, "batch source d_model"],
        source_segments: Int[Array, "batch source"],
        max_length: int,
    ) -> DecodingCache:
        """Returns the cache for targets of up to `max_length` places, with cross-attention's keys and values."""
        return DecodingCache(self.decoder.start_cache(memory, max_length), padding_mask(source_segments))

    def decode_step(
        self, token: Int[Array, " batch"], cache: DecodingCache, position: Int[Array, ""]
    ) -> tuple[Float[Array, "batch vocab"], DecodingCache]:
        """Returns the logits of what follows `token`, which stands at `position`, and the cache with it."""
        logits, cache = self.decode_beam_step(token[:, None], cache, position)
        return logits[:, 0], cache

    def decode_beam_step(
        self,
        tokens: Int[Array, "batch beam"],
        cache: DecodingCache,
        position: Int[Array, ""],
        self_mask: Bool[Array, "batch 1 beam places"] | None = None,
    ) -> tuple[Float[Array, "batch beam vocab"], DecodingCache]:
        """`decode_step` for several targets of each source, which share one cache.

        The cache has `beam` places for each position, all of which stand at `position`; `self_mask` says at which of
        the places each target looks. None: `beam` is 1, and all places so far are looked at.
        """
        learned = self.target_positions if self.config.positions == "learned" else None
        x = self._embed(tokens, self.embedding, learned, jnp.broadcast_to(position, tokens.shape), True)
        x, layers = self.decoder.step(x, cache.layers, position * tokens.shape[1], cache.cross_mask, self_mask)
        return self._logits(x), dataclasses.replace(cache, layers=layers)

    def _output_embedding(self) -> TokenEmbedding:
        return self.output_embedding if self.config.tie_embeddings == "none" else self.embedding

    def _logits(self, states: Float[Array, "*batch d_model"]) -> Float[Array, "*batch vocab"]:
        logits = self._output_embedding().attend(states)
        # In the type that the table is multiplied in, as the loss has it.
        return logits + self.output_bias.astype(self.config.dtype) if self.config.output_bias else logits

    def _embed(
        self,
        tokens: Int[Array, "batch length"],
        embedding: TokenEmbedding,
        learned_positions: LearnedPositions | None,
        positions: Int[Array, "batch length"] | None,
        deterministic: bool,
    ) -> Float[Array, "batch length d_model"]:
        if positions is None:
            positions = jnp.arange(tokens.shape[-1])[None, :]
        if learned_positions is None:
            position_vectors = sinusoidal_positions(positions, self.config.d_model)
        else:
            position_vectors = learned_positions(positions)
        x = embedding(tokens) + position_vectors.astype(embedding.dtype)
        return nn.with_logical_constraint(self.dropout(x, deterministic=deterministic), ACTIVATION_AXES)


register_model(TransformerConfig, Transformer)

"""The decoder alone: a language model, which predicts each token from those before it (GPT)."""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from tfmr.config import CausalLMConfig
from tfmr.models.model import Model, register_model
from tfmr.nn import (
    Dropout,
    Encoder,
    EncoderLayer,
    KeyValueCache,
    LearnedPositions,
    TokenEmbedding,
    segment_mask,
    sinusoidal_positions,
)
from tfmr.nn.stacks import ACTIVATION_AXES

LayerCaches = tuple[KeyValueCache, ...]


class CausalLM(Model):
    """Turns the tokens so far into logits of the next one, at every place at once.

    Its layers are the paper's encoder layers in which no place looks at a later one, which is the same as decoder
    layers without attention to an encoder. All methods are used through `init` and `apply`. Segments are 0 for padding
    and 1 for the text, or 1, 2, 3, ... for the documents of a packed row. Positions count from 0 in each segment.

    Attributes:
      config: the model's shape; its `vocab_size` must be set.
    """

    config: CausalLMConfig

    def setup(self):
        config = self.config
        if config.vocab_size == 0:
            raise ValueError("CausalLMConfig.vocab_size is 0: set it to the tokenizer's")
        dtype = jnp.dtype(config.dtype)
        init = nn.initializers.normal(config.init_std)
        # Each of the 2N sub-layers adds to the residual stream: so the sum at the end does not grow with N.
        residual_init = nn.initializers.normal(config.init_std / (2 * config.num_layers) ** 0.5)
        embedding = functools.partial(
            TokenEmbedding, config.vocab_size, config.d_model, dtype, scaled=config.scale_embeddings, initializer=init
        )
        self.embedding = embedding()
        if not config.tie_embeddings:
            self.output_embedding = embedding()
        if config.positions == "learned":
            self.positions = LearnedPositions(config.max_length, config.d_model, init)
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
            attention_bias=config.bias,
            activation=config.activation,
            feed_forward_bias=config.bias,
            gated=config.gated,
            norm_bias=config.bias,
            kernel_init=init,
            residual_init=residual_init,
            causal=True,
        )
        self.decoder = Encoder(
            functools.partial(EncoderLayer, **layer),
            config.num_layers,
            final_norm=config.norm == "pre",
            scan=config.scan_layers,
            remat=config.remat,
        )
        self.dropout = Dropout(config.dropout_rate)

    @staticmethod
    def inputs_of(batch: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arrays of a batch that the model takes, by the names of its arguments."""
        names = dict(tokens="target_input", segments="target_segments", positions="target_positions")
        return {argument: batch[name] for argument, name in names.items()}

    @staticmethod
    def example_inputs() -> dict[str, Any]:
        """Returns the smallest inputs that the model can be initialised with."""
        return dict(tokens=jnp.ones((1, 1), jnp.int32))

    def __call__(
        self,
        tokens: Int[Array, "batch length"],
        segments: Int[Array, "batch length"] | None = None,
        positions: Int[Array, "batch length"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "batch length vocab"]:
        """Returns the logits of the token that follows each place.

        Args:
          tokens: at most `config.max_length` to a segment.
          segments: see above; None: all 1.
          positions: see above; None: 0, 1, 2, ...
          deterministic: False drops, with the random stream `dropout`.
        """
        return self._output_embedding().attend(self.states(tokens, segments, positions, deterministic=deterministic))

    def states(
        self,
        tokens: Int[Array, "batch length"],
        segments: Int[Array, "batch length"] | None = None,
        positions: Int[Array, "batch length"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "batch length d_model"]:
        """Returns the last layer's output, which times the output embedding makes the logits."""
        if positions is None:
            positions = jnp.broadcast_to(jnp.arange(tokens.shape[-1]), tokens.shape)
        mask = None if segments is None else segment_mask(segments, segments)
        return self.decoder(self._embed(tokens, positions, deterministic), mask, deterministic=deterministic)

    def states_and_output_table(
        self,
        tokens: Int[Array, "batch length"],
        segments: Int[Array, "batch length"] | None = None,
        positions: Int[Array, "batch length"] | None = None,
        *,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "batch length d_model"], Float[Array, "vocab d_model"]]:
        """Returns the two factors of the logits, for a loss that never holds all logits at once."""
        return self.states(tokens, segments, positions, deterministic=deterministic), self._output_embedding().embedding

    def start_cache(self, batch: int, length: int) -> LayerCaches:
        """Returns each layer's keys and values, all zeros, of `batch` rows of `length` places."""
        return self.decoder.start_cache((batch,), length)

    def step(
        self,
        tokens: Int[Array, "batch new"],
        caches: LayerCaches,
        place: Int[Array, ""],
        positions: Int[Array, "batch new"],
        mask: Bool[Array, "batch 1 new places"],
    ) -> tuple[Float[Array, "batch vocab"], LayerCaches]:
        """Returns the logits of what follows the last of some new tokens, and the caches with all of them.

        Args:
          tokens: stand at the places of the cache from `place` on: one, or a whole prompt.
          caches: of `start_cache` or of the step before.
          place: the first new token's place in the cache.
          positions: of the new tokens in their text, which may begin anywhere in its row of the cache.
          mask: at which places of the cache each new token looks; none may be behind the new ones.
        """
        x, caches = self.decoder.step(self._embed(tokens, positions, True), caches, place, mask)
        return self._output_embedding().attend(x[:, -1]), caches

    def _output_embedding(self) -> TokenEmbedding:
        return self.embedding if self.config.tie_embeddings else self.output_embedding

    def _embed(
        self, tokens: Int[Array, "batch length"], positions: Int[Array, "batch length"], deterministic: bool
    ) -> Float[Array, "batch length d_model"]:
        if self.config.positions == "learned":
            vectors = self.positions(positions)
        else:
            vectors = sinusoidal_positions(positions, self.config.d_model)
        x = self.embedding(tokens) + vectors.astype(self.embedding.dtype)
        return nn.with_logical_constraint(self.dropout(x, deterministic=deterministic), ACTIVATION_AXES)


register_model(CausalLMConfig, CausalLM)

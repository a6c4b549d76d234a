"""The decoder-only language model, which predicts each token from the tokens before it (GPT)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
from jax import Array
from jaxtyping import Bool, Float, Int

from tfmr.config import CausalLMConfig
from tfmr.models.causal_lm.account import ACCOUNT
from tfmr.models.model import Model, register_model
from tfmr.models.token_model import embed, layer_config, position_encoding, token_embedding
from tfmr.nn import Dropout, Encoder, KeyValueCache, Segments, TokenEmbedding

LayerCaches = tuple[KeyValueCache, ...]


class CausalLM(Model):
    """Predicts the logits of the next token at every position.

    Its layers are causal encoder layers, which are the paper's decoder layers without attention to an encoder. All
    methods are used through `init` and `apply`. Segments are 0 for padding and 1 for the text, or 1, 2, 3, ... for the
    documents of a packed row. None: all 1, without padding. Positions count from 0 in each segment. None: 0, 1, 2, ...

    Attributes:
      config: the model's shape; its `vocab_size` must be set.
    """

    config: CausalLMConfig

    def setup(self):
        config = self.config
        init = nn.initializers.normal(config.init_std)
        # Each of the 2N sub-layers adds to the residual stream, so this keeps the size of the sum independent of N.
        residual_init = nn.initializers.normal(config.init_std / (2 * config.num_layers) ** 0.5)
        embedding: dict[str, Any] = dict(scaled=config.scale_embeddings, initializer=init)
        self.embedding = token_embedding(config, **embedding)
        if not config.tie_embeddings:
            self.output_embedding = token_embedding(config, **embedding)
        self.positions = position_encoding(config, init)
        biases = dict(attention_bias=config.bias, feed_forward_bias=config.bias, norm_bias=config.bias)
        self.decoder = Encoder(
            layer_config(config, **biases, kernel_init=init, residual_init=residual_init),
            config.num_layers,
            final_norm=config.norm == "pre",
            scan=config.scan_layers,
            remat=config.remat,
            causal=True,
        )
        self.dropout = Dropout(config.dropout_rate)

    @staticmethod
    def inputs_of(batch: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the model's arguments from the arrays of a batch, by name."""
        names = dict(tokens="target_input", segments="target_segments", positions="target_positions")
        return {argument: batch[name] for argument, name in names.items()}

    def __call__(
        self,
        tokens: Int[Array, "batch length"],
        *,
        segments: Int[Array, "batch length"] | None = None,
        positions: Int[Array, "#batch length"] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch length vocab"]:
        """Returns the logits of the token that follows each position.

        Args:
          tokens: token ids, at most `config.max_length` in each segment.
          segments, positions: see above.
          deterministic: False applies dropout, with the random stream `dropout`.
        """
        states = self.states(tokens, segments=segments, positions=positions, deterministic=deterministic)
        return self._output_embedding().attend(states)

    def states(
        self,
        tokens: Int[Array, "batch length"],
        *,
        segments: Int[Array, "batch length"] | None = None,
        positions: Int[Array, "#batch length"] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch length d_model"]:
        """Returns the last layer's output; the logits are its product with the output embedding."""
        mask = None if segments is None else Segments(segments, segments)
        return self.decoder(self._embed(tokens, positions, deterministic), mask=mask, deterministic=deterministic)

    def states_and_output_table(
        self,
        tokens: Int[Array, "batch length"],
        *,
        segments: Int[Array, "batch length"] | None = None,
        positions: Int[Array, "#batch length"] | None = None,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "batch length d_model"], Float[Array, "vocab d_model"]]:
        """Returns the two factors of the logits, for a loss that never materialises all logits at once."""
        states = self.states(tokens, segments=segments, positions=positions, deterministic=deterministic)
        return states, self._output_embedding().embedding

    def start_cache(self, batch: int, length: int) -> LayerCaches:
        """Returns an empty cache for each layer: `batch` rows of `length` slots."""
        return self.decoder.start_cache((batch,), length)

    def step(
        self,
        tokens: Int[Array, "batch new"],
        caches: LayerCaches,
        index: Int[Array, ""],
        *,
        positions: Int[Array, "batch new"],
        mask: Bool[Array, "batch 1 new slots"],
    ) -> tuple[Float[Array, "batch vocab"], LayerCaches]:
        """Returns the logits of the token that follows the last new token, and the caches with the new tokens written.

        Args:
          tokens: new tokens, written to the slots from `index` on: a single token of each row, or a whole prompt.
          caches: from `start_cache` or the previous step.
          index: slot of the first new token.
          positions: positions of the new tokens in their text, which may start at any slot of its row.
          mask: True where a new token attends to a slot, never after the new tokens' own slots.
        """
        x, caches = self.decoder.step(self._embed(tokens, positions, True), caches, index, mask=mask)
        return self._output_embedding().attend(x[:, -1]), caches

    def _output_embedding(self) -> TokenEmbedding:
        return self.embedding if self.config.tie_embeddings else self.output_embedding

    def _embed(
        self, tokens: Int[Array, "batch length"], positions: Int[Array, "#batch length"] | None, deterministic: bool
    ) -> Float[Array, "batch length d_model"]:
        return embed(tokens, positions, self.embedding, self.positions, self.dropout, deterministic=deterministic)


register_model(CausalLMConfig, CausalLM, account=ACCOUNT)

"""Sizes and weights of encoder-decoders under their names in transformers, and their form there.

Marian, M2M100, BART and mBART name the weights of their layers alike. They store matrices as [outputs, inputs], with
the heads flattened into one axis.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from tfmr.config import TransformerConfig
from tfmr.interop.weights import weight_shapes

EPSILON = 1e-5
"""Epsilon of LayerNorm in these models: PyTorch's default, which no config.json contains."""

ACTIVATIONS = {"relu": "relu", "gelu": "gelu_new", "gelu_exact": "gelu", "swish": "swish"}
"""The name of each activation in transformers."""
OUR_ACTIVATIONS: dict[str, Any] = {name: ours for ours, name in ACTIVATIONS.items()} | {
    "silu": "swish",
    "gelu_pytorch_tanh": "gelu",
}


@dataclass(frozen=True)
class Weight:
    """A weight in both models."""

    name: str
    """Its name in transformers."""
    residual_axis: int | None
    """The axis in tfmr that belongs to the residual stream. None: no axis."""
    num_inputs: int
    """Number of leading axes in tfmr that are a matrix's inputs, which transformers has last. 0: not transposed."""
    shape: tuple[int, ...] = ()
    """Its shape in tfmr."""
    rows_before: int = 0
    """Number of rows that transformers has before tfmr's first, and never uses."""

    @property
    def their_shape(self) -> tuple[int, ...]:
        """Its shape in transformers."""
        if self.num_inputs:
            return math.prod(self.shape[self.num_inputs :]), math.prod(self.shape[: self.num_inputs])
        if self.name == LOGITS_BIAS:
            return 1, *self.shape
        if self.residual_axis is None:
            return (math.prod(self.shape),)
        return self.shape[0] + self.rows_before, *self.shape[1:]

    def export(self, weight: np.ndarray, order: Int[np.ndarray, " d_model"] | None = None) -> np.ndarray:
        """Returns the weight of transformers from tfmr's.

        `order` is the dimension in tfmr of each of their dimensions of the residual stream. None: the same.
        """
        if self.residual_axis is not None and order is not None:
            weight = np.take(weight, order, self.residual_axis)
        if self.num_inputs:
            return weight.reshape(self.their_shape[::-1]).T
        if self.rows_before:
            return np.pad(weight, [(self.rows_before, 0), (0, 0)])
        return weight.reshape(self.their_shape)

    def read(self, weight: np.ndarray, order: Int[np.ndarray, " d_model"] | None = None) -> np.ndarray:
        """Returns tfmr's weight from that of transformers; see `export`."""
        weight = (weight.T if self.num_inputs else weight[self.rows_before :]).reshape(self.shape)
        if self.residual_axis is None or order is None:
            return weight
        return np.take(weight, np.argsort(order), self.residual_axis)


SHARED, SOURCE, TARGET, OUTPUT = (
    "model.shared.weight",
    "model.encoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight",
    "lm_head.weight",
)
"""The embedding tables."""
LOGITS_BIAS = "final_logits_bias"

_ATTENTION: dict[str, tuple[str, int | None, int]] = {
    "query": ("q_proj.weight", 0, 1),
    "query_bias": ("q_proj.bias", None, 0),
    "key": ("k_proj.weight", 0, 1),
    "key_bias": ("k_proj.bias", None, 0),
    "value": ("v_proj.weight", 0, 1),
    "value_bias": ("v_proj.bias", None, 0),
    "output": ("out_proj.weight", -1, 2),
    "output_bias": ("out_proj.bias", -1, 0),
}
_NORM: dict[str, tuple[str, int | None, int]] = {"gamma": ("weight", -1, 0), "beta": ("bias", -1, 0)}
_BLOCKS: dict[str, tuple[str, dict[str, tuple[str, int | None, int]]]] = {
    "self_attention": ("self_attn", _ATTENTION),
    "self_attention_norm": ("self_attn_layer_norm", _NORM),
    "cross_attention": ("encoder_attn", _ATTENTION),
    "cross_attention_norm": ("encoder_attn_layer_norm", _NORM),
    "feed_forward.up": ("fc1", {"kernel": ("weight", 0, 1), "bias": ("bias", None, 0)}),
    "feed_forward.down": ("fc2", {"kernel": ("weight", -1, 1), "bias": ("bias", -1, 0)}),
    "feed_forward_norm": ("final_layer_norm", _NORM),
}
"""For each block: its name, and the name, residual axis and number of input axes of each of its weights."""


def described_weights(
    config: TransformerConfig, weight_of: Callable[[str, TransformerConfig], Weight]
) -> dict[str, Weight]:
    """Returns all weights of a model under their flat names.

    Args:
      config: the model's configuration.
      weight_of: describes the weight with a flat name, apart from its shape.
    """
    return {name: replace(weight_of(name, config), shape=shape) for name, shape in weight_shapes(config).items()}


def bart_weight(name: str, config: TransformerConfig) -> Weight:
    """Describes a weight of Marian, M2M100, BART and mBART, apart from its shape."""
    outside_layers = {
        "embedding": (SHARED if config.tie_embeddings == "all" else TARGET, 0),
        "source_embedding": (SOURCE, 0),
        "output_embedding": (OUTPUT, 0),
        # The positions of padding and of the unknown token, from which fairseq counts.
        "source_positions": ("model.encoder.embed_positions.weight", 2),
        "target_positions": ("model.decoder.embed_positions.weight", 2),
    }
    norms = {
        "encoder.norm": "model.encoder.layer_norm",
        "decoder.norm": "model.decoder.layer_norm",
        "source_embedding_norm": "model.encoder.layernorm_embedding",
        "target_embedding_norm": "model.decoder.layernorm_embedding",
    }
    owner, _, leaf = name.rpartition(".")
    if name == "output_bias":
        return Weight(LOGITS_BIAS, None, 0)
    if owner in outside_layers:
        theirs, rows_before = outside_layers[owner]
        return Weight(theirs, -1, 0, rows_before=rows_before)
    if owner in norms:
        theirs, residual_axis, num_inputs = _NORM[leaf]
        return Weight(f"{norms[owner]}.{theirs}", residual_axis, num_inputs)
    stack, layer, block = owner.split(".", 2)
    their_block, leaves = _BLOCKS[block]
    theirs, residual_axis, num_inputs = leaves[leaf]
    number = layer.removeprefix("layer_")
    return Weight(f"model.{stack}.layers.{number}.{their_block}.{theirs}", residual_axis, num_inputs)


def tied_copies(config: TransformerConfig) -> dict[str, str]:
    """Returns the table that each name may repeat in a file."""
    if config.tie_embeddings == "all":
        return dict.fromkeys((SOURCE, TARGET, OUTPUT), SHARED)
    return {OUTPUT: TARGET} if config.tie_embeddings == "decoder" else {}


def check_copies(weights: Mapping[str, Float[np.ndarray, "..."]], config: TransformerConfig) -> list[str]:
    """Returns a reason for each table that differs from the one that it repeats."""
    return [
        f"{copy} differs from {table}, although its config.json ties them; copy both files again"
        for copy, table in tied_copies(config).items()
        if copy in weights and table in weights and not np.array_equal(weights[copy], weights[table])
    ]


def shape_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the sizes and dropout rates of a model from its config.json, as fields of `TransformerConfig`."""
    head = values["d_model"] // values["encoder_attention_heads"]
    return dict(
        vocab_size=values["vocab_size"],
        num_encoder_layers=values["encoder_layers"],
        num_decoder_layers=values["decoder_layers"],
        d_model=values["d_model"],
        d_ff=values["encoder_ffn_dim"],
        num_heads=values["encoder_attention_heads"],
        d_k=head,
        d_v=head,
        dropout_rate=values.get("dropout", 0.1),
        attention_dropout_rate=values.get("attention_dropout", 0.0),
        max_length=values.get("max_position_embeddings", 1024),
    )


def shape_values(config: TransformerConfig) -> dict[str, Any]:
    """Returns the values of config.json that say what `shape_of` reads, except the size of the vocabulary."""
    both = {"attention_heads": config.num_heads, "ffn_dim": config.d_ff}
    return {
        "is_encoder_decoder": True,
        "d_model": config.d_model,
        "encoder_layers": config.num_encoder_layers,
        "decoder_layers": config.num_decoder_layers,
        "num_hidden_layers": config.num_encoder_layers,
        **{f"{stack}_{name}": value for stack in ("encoder", "decoder") for name, value in both.items()},
        "activation_function": ACTIVATIONS[config.activation],
        "dropout": config.dropout_rate,
        "attention_dropout": config.attention_dropout_rate,
        "activation_dropout": 0.0,
        "max_position_embeddings": config.max_length,
    }

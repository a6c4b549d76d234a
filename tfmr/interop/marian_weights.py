"""Where each weight of ours is in Marian, under which name and in which form."""

import dataclasses
import math

import numpy as np

from tfmr.config import TransformerConfig
from tfmr.interop.weights import weight_shapes


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a weight of ours is in Marian."""

    marian: str
    """Its name there."""
    residual_axis: int | None
    """Its axis here that belongs to the residual stream: Marian's has all sines first."""
    num_inputs: int
    """How many of its first axes here are a matrix's inputs, which are the last axis there. 0: it is not turned."""
    shape: tuple[int, ...] = ()
    """Its shape here."""

    @property
    def marian_shape(self) -> tuple[int, ...]:
        """Its shape there."""
        if self.num_inputs:
            return math.prod(self.shape[self.num_inputs :]), math.prod(self.shape[: self.num_inputs])
        if self.marian == "final_logits_bias":
            return 1, *self.shape
        return self.shape if self.residual_axis is not None else (math.prod(self.shape),)

    def export(self, weight: np.ndarray) -> np.ndarray:
        """Returns Marian's form of our weight."""
        if self.residual_axis is not None:
            weight = np.take(weight, _sines_first(weight.shape[self.residual_axis]), self.residual_axis)
        return weight.reshape(self.marian_shape[::-1]).T if self.num_inputs else weight.reshape(self.marian_shape)

    def read(self, weight: np.ndarray) -> np.ndarray:
        """Returns our form of Marian's weight."""
        weight = (weight.T if self.num_inputs else weight).reshape(self.shape)
        if self.residual_axis is None:
            return weight
        return np.take(weight, np.argsort(_sines_first(weight.shape[self.residual_axis])), self.residual_axis)


def _sines_first(d_model: int) -> np.ndarray:
    """Returns which of our places of the residual stream stands at each of Marian's."""
    return np.concatenate([np.arange(0, d_model, 2), np.arange(1, d_model, 2)])


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
"""Marian's name of each block and of its weights, each with its residual axis and number of input axes here."""

SHARED, SOURCE, TARGET, OUTPUT = (
    "model.shared.weight",
    "model.encoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight",
    "lm_head.weight",
)
"""Marian's embedding tables."""

POSITIONS = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")
"""Marian's tables of sinusoids, which its files hold or leave out."""


def places(config: TransformerConfig) -> dict[str, Place]:
    """Returns where each weight of a post-norm model with all biases is in Marian, by its flat name."""
    return {
        name: dataclasses.replace(_place(name, config), shape=shape) for name, shape in weight_shapes(config).items()
    }


def _place(name: str, config: TransformerConfig) -> Place:
    whole = {
        "embedding.embedding": Place(SHARED if config.tie_embeddings == "all" else TARGET, -1, 0),
        "source_embedding.embedding": Place(SOURCE, -1, 0),
        "output_embedding.embedding": Place(OUTPUT, -1, 0),
        "output_bias": Place("final_logits_bias", None, 0),
    }
    if name in whole:
        return whole[name]
    stack, layer, rest = name.split(".", 2)
    block, _, leaf = rest.rpartition(".")
    marian_block, leaves = _BLOCKS[block]
    marian_leaf, residual_axis, num_inputs = leaves[leaf]
    number = layer.removeprefix("layer_")
    return Place(f"model.{stack}.layers.{number}.{marian_block}.{marian_leaf}", residual_axis, num_inputs)


def tied_copies(config: TransformerConfig) -> dict[str, str]:
    """Returns the names under which Marian's files may hold a table once more, and that of the table."""
    if config.tie_embeddings == "all":
        return dict.fromkeys((SOURCE, TARGET, OUTPUT), SHARED)
    return {OUTPUT: TARGET} if config.tie_embeddings == "decoder" else {}

"""Alignments: the decoder's attention to the source tokens for each token of the target."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Float

from tfmr.config import TransformerConfig
from tfmr.errors import InputError
from tfmr.models import Transformer
from tfmr.translation.pairs import Pair, PairArrays


class Alignment(NamedTuple):
    """Attention of a target to its source. Empty if the pair is too long for the model."""

    source: list[int]
    """Token ids, including EOS."""
    target: list[int]
    """Token ids; the last is EOS if the target was a line of text."""
    weights: Float[np.ndarray, "target source"]
    """Row i is the attention for token i of the target. Each row sums to 1."""

    def links(self) -> list[tuple[int, int]]:
        """Returns (source index, target index) for each token of the target and its source token of largest weight."""
        return [(int(index), i) for i, index in enumerate(self.weights.argmax(axis=1))] if self.target else []


NOT_ALIGNED = Alignment([], [], np.zeros((0, 0), np.float32))


def check_layer_and_head(config: TransformerConfig, layer: int, head: int | None) -> int:
    """Returns the index of the layer; -1 is the last. Raises InputError if there is no such layer or head."""
    for name, value, number in (("layer", layer, config.num_decoder_layers), ("head", head or 0, config.num_heads)):
        if not 0 <= value < number and (name, value) != ("layer", -1):
            raise InputError(f"{name} = {value}: must be from 0 to {number - 1}")
    return layer % config.num_decoder_layers


def make_alignment(pair: Pair, weights: Float[np.ndarray, "width width"]) -> Alignment:
    """Returns the alignment of a pair from its row of `cross_attention`."""
    return Alignment(pair.source, pair.target, weights[: len(pair.target), : len(pair.source)].copy())


@functools.partial(jax.jit, static_argnames=("model", "layer", "head"))
def cross_attention(
    params: dict, pairs: PairArrays, *, model: Transformer, layer: int, head: int | None
) -> Float[Array, "rows width width"]:
    """Returns the attention of target tokens to source tokens; `head` None: the mean of all heads."""
    apply: Any = model.apply
    # The compiler removes what is not returned: the logits and the weights of the other layers.
    _, sown = apply(
        {"params": params},
        pairs.source,
        pairs.target_input,
        source_segments=pairs.source_segments,
        target_segments=pairs.target_segments,
        method="states_and_output_table",
        mutable=["intermediates"],
    )
    (weights,) = sown["intermediates"]["decoder"][f"layer_{layer}"]["cross_attention"]["attention_weights"]
    return weights.mean(axis=1) if head is None else weights[:, head]

"""Alignments: the decoder's attention to the source tokens for each token of the target."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from tfmr.config import DecodingConfig, TransformerConfig
from tfmr.errors import InputError
from tfmr.models import Transformer
from tfmr.translation.model_step import Member
from tfmr.translation.padded_batches import make_pair_batches
from tfmr.translation.pairs import Pair
from tfmr.translation.rows import Rows


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


def align_pairs(
    member: Member,
    pairs: dict[int, Pair],
    config: DecodingConfig,
    longest: int | None,
    rows: Rows,
    *,
    layer: int,
    head: int | None,
) -> dict[int, Alignment]:
    """Returns the alignment of each pair, by index.

    Args:
      member: the model.
      pairs: token ids, at most `longest` of them on each side.
      config: determines the batch size.
      longest: the number of positions of the model. None: no limit.
      rows: where the rows of a batch live.
      layer: index of the decoder layer.
      head: index of the head. None: the mean of all heads.
    """
    batches = list(make_pair_batches(pairs, config.batch_size, longest, rows.parts))
    run = functools.partial(cross_attention, model=member.model, layer=layer, head=head)
    results = [run(member.params, *map(rows.put, batch[1:])) for batch in batches]
    alignments = {}
    for batch, result in zip(batches, results, strict=True):
        for index, weights in zip(batch.indices, rows.fetch(result), strict=False):
            source, target = pairs[index]
            alignments[index] = Alignment(source, target, weights[: len(target), : len(source)].copy())
    return alignments


@functools.partial(jax.jit, static_argnames=("model", "layer", "head"))
def cross_attention(
    params: dict,
    source: Int[Array, "rows width"],
    source_segments: Int[Array, "rows width"],
    target_input: Int[Array, "rows width"],
    target_output: Int[Array, "rows width"],
    target_segments: Int[Array, "rows width"],
    *,
    model: Transformer,
    layer: int,
    head: int | None,
) -> Float[Array, "rows width width"]:
    """Returns the attention of target tokens to source tokens in a batch of pairs; see `PairBatch`."""
    apply: Any = model.apply
    # The compiler removes what is not returned: the logits and the weights of the other layers.
    _, sown = apply(
        {"params": params},
        source,
        target_input,
        source_segments=source_segments,
        target_segments=target_segments,
        method="states_and_output_table",
        mutable=["intermediates"],
    )
    (weights,) = sown["intermediates"]["decoder"][f"layer_{layer}"]["cross_attention"]["attention_weights"]
    return weights.mean(axis=1) if head is None else weights[:, head]

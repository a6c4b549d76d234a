"""Alignments: where a head of the decoder looks in the source when the model writes each token of the target."""

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
from tfmr.translation.pairs import Pair, make_pair_batches
from tfmr.translation.rows import Rows


class Alignment(NamedTuple):
    """Attention of a target to its source. Of a pair that is too long for the model: nothing to nothing."""

    source: list[int]
    """Token ids, EOS included."""
    target: list[int]
    """Token ids; of a line of text EOS is the last."""
    weights: Float[np.ndarray, "target source"]
    """Row i is where the model looks when it writes token i of the target. Each row sums to 1."""

    def links(self) -> list[tuple[int, int]]:
        """Returns (source, target) indices: for each token of the target, the source's that it looks at the most."""
        return [(int(index), i) for i, index in enumerate(self.weights.argmax(axis=1))] if self.target else []


NOT_ALIGNED = Alignment([], [], np.zeros((0, 0), np.float32))


def check_layer_and_head(config: TransformerConfig, layer: int, head: int | None) -> int:
    """Returns the number of the layer, of which -1 is the last; raises InputError if there is no such layer or head."""
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
      pairs: token ids, none longer than `longest`.
      config: gives the batch's size.
      longest: the most tokens that the model has positions for; None: any number.
      rows: where a batch's rows live.
      layer: of the decoder, from 0.
      head: from 0; None: the mean of all.
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
    """Returns the attention of the target's indices to the source's in a batch of pairs; see `PairBatch`."""
    apply: Any = model.apply
    arrays = source, source_segments, target_input, target_segments
    # What is not returned is not computed: neither the logits nor the other layers' weights are kept.
    _, sown = apply({"params": params}, *arrays, method="states_and_output_table", mutable=["intermediates"])
    (weights,) = sown["intermediates"]["decoder"][f"layer_{layer}"]["cross_attention"]["attention_weights"]
    return weights.mean(axis=1) if head is None else weights[:, head]

"""Marian, the encoder-decoder of OPUS-MT and Hugging Face transformers: its weights and ours, in both directions.

The two compute the same function. What differs:
  - Marian's sinusoids are all sines, then all cosines; ours alternate (section 3.5). So each axis of a weight that
    belongs to the residual stream is put into the other order: a permutation, which changes no number.
  - Marian's matrices are [outputs, inputs], with all heads in one axis.
  - Marian's attention and logits have biases; those of a model without any are zeros.
  - Marian's LayerNorm has an epsilon of 1e-5; `_with_epsilon` says what becomes of another.
  - Marian begins a target with a token that is also another, mostly the padding; a model that is taken over gets a
    begin mark of its own, with that token's embedding.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from tfmr.config import TransformerConfig
from tfmr.errors import InputError
from tfmr.interop.marian_config import (
    BOS_ID,
    EOS_ID,
    EPSILON,
    PAD_ID,
    UNK_ID,
    check_exportable,
    from_marian_config,
    to_marian_config,
)
from tfmr.interop.marian_weights import POSITIONS, places, tied_copies
from tfmr.interop.weights import check_weights, flatten, unflatten

NEVER = np.float32(-1e4)
"""The bias of a token that is never to be written: its probability is 0 in float32."""


def to_marian(config: TransformerConfig, params: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns a model as Marian: the values of its config.json, and its weights by their names in transformers.

    Token ids stay what they are.

    Raises:
      InputError: that lists all reasons for which Marian cannot hold the model.
    """
    check_exportable(config)
    weights = _with_epsilon(config, flatten(params))
    where = places(dataclasses.replace(config, attention_bias=True, output_bias=True))
    zeros = {name: np.zeros(place.shape, np.float32) for name, place in where.items() if name not in weights}
    weights |= zeros
    return to_marian_config(config), {place.marian: place.export(weights[name]) for name, place in where.items()}


def _with_epsilon(config: TransformerConfig, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns weights with which norms of Marian's epsilon compute what those of the config's do.

    LayerNorm(s x) with s^2 epsilon is LayerNorm(x) with epsilon. So the residual stream of each stack is made s times
    as large between its norms, and what reads from it takes that back. Only what comes before a stack's first norm
    cannot be: sinusoids have a size of their own. The variance there is at least theirs, near 0.5, so that an epsilon
    of 1e-5 in place of 1e-6 changes the first norm's result by some 1e-5 of it.
    """
    scale = np.float32(math.sqrt(EPSILON / config.norm_epsilon))
    scaled = dict(weights)

    def multiply(factor: np.float32, sublayer: str, *names: str) -> None:
        found = [f"{sublayer}{name}" for name in names if f"{sublayer}{name}" in weights]
        scaled.update({name: weights[name] * factor for name in found})

    for stack, layers, blocks in (
        ("encoder", config.num_encoder_layers, ("self_attention", "feed_forward")),
        ("decoder", config.num_decoder_layers, ("self_attention", "cross_attention", "feed_forward")),
    ):
        sublayers = [f"{stack}.layer_{i}.{block}" for i in range(layers) for block in blocks]
        for number, sublayer in enumerate(sublayers):
            if number > 0:
                # A cross-attention's keys and values read the encoder's output, whose last norm is as it was.
                keys = () if sublayer.endswith("cross_attention") else (".key", ".value")
                multiply(1 / scale, sublayer, ".query", *keys, ".up.kernel")
                multiply(scale, sublayer, ".output", ".output_bias", ".down.kernel", ".down.bias")
            if number + 1 < len(sublayers):
                multiply(scale, sublayer, "_norm.gamma", "_norm.beta")
    return scaled


def from_marian(
    values: Mapping[str, Any], weights: Mapping[str, np.ndarray], unk_id: int, name: str = "this model"
) -> tuple[TransformerConfig, dict[str, Any], list[int]]:
    """Returns a Marian model as ours: its shape, its parameters, and Marian's id of each of our tokens.

    Args:
      values: what its config.json holds.
      weights: by their names in transformers.
      unk_id: its id of the unknown token, which its vocabulary says.
      name: what errors call it.

    Raises:
      InputError: that lists all reasons for which the model cannot be ours, or all weights that do not fit.
    """
    config = from_marian_config(values, name)
    ids = _token_order(values, unk_id, name)
    _check_copies(weights, config, name)
    where = places(config)
    own = {key: x for key, x in weights.items() if key not in (*POSITIONS, *tied_copies(config))}
    check_weights(own, {place.marian: place.marian_shape for place in where.values()}, name)
    found = {key: place.read(np.asarray(own[place.marian], np.float32)) for key, place in where.items()}
    tables = [key for key in found if key.endswith("embedding.embedding") or key == "output_bias"]
    found |= {key: found[key][ids] for key in tables}
    if ids.count(ids[BOS_ID]) > 1:
        found["output_bias"][BOS_ID] = NEVER  # the copy must not count in the sum of probabilities
    config = dataclasses.replace(config, vocab_size=len(ids))
    return config, unflatten(found, config, name), ids


def _token_order(values: Mapping[str, Any], unk_id: int, name: str) -> list[int]:
    """Returns Marian's id of each of our tokens: padding, unknown, begin and end, then all others in their order."""
    special = {
        PAD_ID: values["pad_token_id"],
        UNK_ID: unk_id,
        BOS_ID: values["decoder_start_token_id"],
        EOS_ID: values["eos_token_id"],
    }
    order = [special[number] for number in range(4)]
    vocab_size = values["vocab_size"]
    if max(order) >= vocab_size or len({special[PAD_ID], unk_id, special[EOS_ID]}) < 3:
        raise InputError(
            f"{name}: the ids of padding, unknown, start and end are {order}: all must be below vocab_size = "
            f"{vocab_size}, and those of padding, unknown and end differ"
        )
    return order + [token for token in range(vocab_size) if token not in order]


def _check_copies(weights: Mapping[str, np.ndarray], config: TransformerConfig, name: str) -> None:
    """Raises InputError where a file holds other positions than sinusoids, or tied tables that are not the same."""
    for copy, table in tied_copies(config).items():
        if copy in weights and table in weights and not np.array_equal(weights[copy], weights[table]):
            raise InputError(f"{name}: {copy} is not {table}, though its config.json says that they are tied")
    for positions in POSITIONS:
        if positions in weights and not _are_sinusoids(np.asarray(weights[positions], np.float32), config.d_model):
            raise InputError(f"{name}: {positions} are not the paper's sinusoids, all sines first")


def _are_sinusoids(table: Float[np.ndarray, "..."], d_model: int) -> bool:
    if table.ndim != 2 or table.shape[1] != d_model:
        return False
    angles = np.arange(len(table))[:, None] / 10_000.0 ** (np.arange(0, d_model, 2) / d_model)
    # As near as half precision comes.
    return bool(np.allclose(table, np.concatenate([np.sin(angles), np.cos(angles)], axis=1), atol=1e-3))

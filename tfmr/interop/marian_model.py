"""Marian, the encoder-decoder of OPUS-MT and Hugging Face transformers: config.json and weights, in both directions.

Both models compute the same function. They differ in this:
  - Marian's sinusoids are all sines, then all cosines; tfmr's alternate (section 3.5). Every axis that belongs to the
    residual stream is therefore permuted, which changes no number.
  - Marian stores matrices as [outputs, inputs], with the heads flattened into one axis.
  - Marian has biases in attention and on the logits. A model without them is exported with zeros.
  - Marian's LayerNorm has an epsilon of 1e-5. `_with_epsilon` converts models with another epsilon.
  - Marian starts a target with a token that has another use as well, usually padding. An imported model gets
    its own BOS token with the same embedding.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from tfmr.config import ModelConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tfmr.errors import InputError
from tfmr.interop import compatibility
from tfmr.interop.weight_names import (
    EPSILON,
    OUR_ACTIVATIONS,
    bart_weight,
    check_copies,
    described_weights,
    shape_of,
    shape_values,
    tied_copies,
)
from tfmr.interop.weights import check_weights, flatten, unflatten

NEVER = np.float32(-1e4)
"""The bias of a token that must never be written: its probability is 0 in float32."""
SPECIAL_IDS = {
    "pad_token_id": PAD_ID,
    "bos_token_id": BOS_ID,
    "eos_token_id": EOS_ID,
    "decoder_start_token_id": BOS_ID,
    "forced_eos_token_id": EOS_ID,
}
"""The special tokens of an exported model, in config.json and generation_config.json."""


def check_marian(config: ModelConfig) -> None:
    """Raises an InputError that lists every reason why Marian cannot represent a model."""
    model: TransformerConfig = compatibility.require_kind("marian", config)
    required = dict(
        norm="post",
        positions="sinusoidal",
        scale_embeddings=True,
        embedding_norm=False,
        start_token=BOS_ID,
        decoder_recurrence="none",
    )
    reasons = compatibility.wrong_fields(model, **required) + compatibility.wrong_layers(model)
    if model.tie_embeddings == "inputs":
        reasons.append("model.tie_embeddings = 'inputs', must be 'all', 'decoder' or 'none'")
    if model.norm_epsilon > 2 * EPSILON:
        reasons.append(f"model.norm_epsilon = {model.norm_epsilon:g}, must be at most {2 * EPSILON:g}")
    compatibility.refuse_export("Marian", reasons)


def to_marian_config(config: TransformerConfig) -> dict[str, Any]:
    """Returns the values of Marian's config.json for a model. Token ids do not change."""
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        **shape_values(config),
        "vocab_size": config.vocab_size,
        "decoder_vocab_size": config.vocab_size,
        "scale_embedding": True,
        "static_position_embeddings": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "share_encoder_decoder_embeddings": config.tie_embeddings == "all",
        "tie_word_embeddings": config.tie_embeddings != "none",
        **SPECIAL_IDS,
    }


def from_marian_config(values: Mapping[str, Any], name: str) -> TransformerConfig:
    """Returns the configuration of a Marian model, with Marian's vocab_size.

    Raises:
      InputError: listing everything in its config.json that tfmr does not support.
    """
    compatibility.refuse(f"{name}: cannot be converted to a tfmr model", _unsupported(values))
    shared = values.get("share_encoder_decoder_embeddings", True)
    return TransformerConfig(
        **shape_of(values),
        norm_epsilon=EPSILON,
        tie_embeddings="all" if shared else "decoder" if values.get("tie_word_embeddings", True) else "none",
        attention_bias=True,
        activation=OUR_ACTIVATIONS[values["activation_function"]],
        output_bias=True,
    )


def _unsupported(values: Mapping[str, Any]) -> list[str]:
    """Returns a reason for each value of Marian's config.json that tfmr does not support."""
    sizes = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "encoder_attention_heads")
    tokens = ("pad_token_id", "eos_token_id", "decoder_start_token_id")
    wrong = compatibility.wrong_counts(values, sizes) + compatibility.wrong_counts(values, tokens, least=0)
    required = {
        "model_type": "marian",
        "scale_embedding": True,
        "decoder_attention_heads": values.get("encoder_attention_heads"),
        "decoder_ffn_dim": values.get("encoder_ffn_dim"),
    }
    # Older versions of transformers write these options, in which Marian models may differ; newer ones do not.
    optional = {
        "static_position_embeddings": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "add_final_layer_norm": False,
        "decoder_vocab_size": values.get("vocab_size"),
    }
    reasons = wrong + compatibility.wrong_values(values, required, optional)
    reasons += compatibility.wrong_choice(values, "activation_function", OUR_ACTIVATIONS)
    if not wrong and (values["d_model"] % 2 or values["d_model"] % values["encoder_attention_heads"]):
        reasons.append(f"d_model = {values['d_model']}, must be even and divisible by encoder_attention_heads")
    return reasons


def to_marian(config: TransformerConfig, params: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns a model as Marian: the values of its config.json, and its weights under their names in transformers.

    Token ids do not change.

    Raises:
      InputError: listing every reason why Marian cannot represent the model.
    """
    check_marian(config)
    weights = _with_epsilon(config, flatten(params))
    described = described_weights(replace(config, attention_bias=True, output_bias=True), bart_weight)
    weights |= {name: np.zeros(x.shape, np.float32) for name, x in described.items() if name not in weights}
    order = _sines_first(config.d_model)
    return to_marian_config(config), {x.name: x.export(weights[name], order) for name, x in described.items()}


def _with_epsilon(config: TransformerConfig, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns weights that compute the same with Marian's epsilon as the given weights with the configuration's.

    LayerNorm(s x) with s^2 epsilon is LayerNorm(x) with epsilon. The residual stream of each stack is therefore made s
    times as large between its norms, and every block that reads from it divides by s. Only the input of a stack's first
    norm cannot be scaled, because the size of sinusoids is fixed. Its variance is at least that of the sinusoids, about
    0.5, so an epsilon of 1e-5 instead of 1e-6 changes the output of the first norm by a relative 1e-5.
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
                # Cross-attention reads keys and values from the encoder's output, whose last norm is not scaled.
                keys = () if sublayer.endswith("cross_attention") else (".key", ".value")
                multiply(1 / scale, sublayer, ".query", *keys, ".up.kernel")
                multiply(scale, sublayer, ".output", ".output_bias", ".down.kernel", ".down.bias")
            if number + 1 < len(sublayers):
                multiply(scale, sublayer, "_norm.gamma", "_norm.beta")
    return scaled


def from_marian(
    values: Mapping[str, Any], weights: Mapping[str, np.ndarray], unk_id: int, name: str = "this model"
) -> tuple[TransformerConfig, dict[str, Any], list[int]]:
    """Returns the configuration and parameters of a Marian model, and Marian's id of each of tfmr's tokens.

    Args:
      values: the content of its config.json.
      weights: its weights under their names in transformers.
      unk_id: Marian's id of the unknown token, from its vocabulary.
      name: how error messages refer to the model.

    Raises:
      InputError: listing every reason why tfmr does not have such a model, or every weight that does not fit.
    """
    config = from_marian_config(values, name)
    ids = _token_order(values, unk_id, name)
    _check_copies(weights, config, name)
    described, order = described_weights(config, bart_weight), _sines_first(config.d_model)
    own = {key: x for key, x in weights.items() if key not in (*_POSITIONS, *tied_copies(config))}
    check_weights(own, {x.name: x.their_shape for x in described.values()}, name)
    found = {key: x.read(np.asarray(own[x.name], np.float32), order) for key, x in described.items()}
    tables = [key for key in found if key.endswith("embedding.embedding") or key == "output_bias"]
    found |= {key: found[key][ids] for key in tables}
    if ids.count(ids[BOS_ID]) > 1:
        found["output_bias"][BOS_ID] = NEVER  # the copy must not count in the sum of probabilities
    config = replace(config, vocab_size=len(ids))
    return config, unflatten(found, config, name), ids


def _token_order(values: Mapping[str, Any], unk_id: int, name: str) -> list[int]:
    """Returns Marian's id of each of tfmr's tokens: the special tokens, then all others in their order."""
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
            f"{name}: ids of the padding, unknown, start and EOS tokens = {order}: all must be below vocab_size = "
            f"{vocab_size}, and those of padding, unknown and EOS must differ"
        )
    return order + [token for token in range(vocab_size) if token not in order]


def _check_copies(weights: Mapping[str, np.ndarray], config: TransformerConfig, name: str) -> None:
    """Raises InputError if positions in a file are not sinusoids, or tied tables differ."""
    compatibility.refuse(name, check_copies(weights, config))
    for positions in _POSITIONS:
        if positions in weights and not _are_sinusoids(np.asarray(weights[positions], np.float32), config.d_model):
            raise InputError(f"{name}: {positions} must be the paper's sinusoids, with all sines first")


def _are_sinusoids(table: Float[np.ndarray, "..."], d_model: int) -> bool:
    if table.ndim != 2 or table.shape[1] != d_model:
        return False
    angles = np.arange(len(table))[:, None] / 10_000.0 ** (np.arange(0, d_model, 2) / d_model)
    # The tolerance allows for half precision.
    return bool(np.allclose(table, np.concatenate([np.sin(angles), np.cos(angles)], axis=1), atol=1e-3))


def _sines_first(d_model: int) -> np.ndarray:
    """Returns the dimension in tfmr of each of Marian's dimensions of the residual stream."""
    return np.concatenate([np.arange(0, d_model, 2), np.arange(1, d_model, 2)])


_POSITIONS = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")
"""Marian's tables of sinusoids, which are optional in its files."""

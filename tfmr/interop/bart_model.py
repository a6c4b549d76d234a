"""M2M100 (and NLLB-200), BART and mBART of Hugging Face transformers: config.json and weights, in both directions.

The three come from fairseq and differ in few options of the same blocks, which `FAMILIES` lists. They differ from
tfmr's own models in this:
  - The special tokens are <s>, padding, </s> and unknown, from 0 on; tfmr's are padding, unknown, BOS and EOS.
  - A target starts with a token that has another use as well, </s> or a language. `start_token` is its id.
  - Tables of learned positions have two rows before the first position.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from tfmr.config import ModelConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tfmr.errors import InputError
from tfmr.interop import compatibility
from tfmr.interop.weight_names import (
    EPSILON,
    LOGITS_BIAS,
    OUR_ACTIVATIONS,
    bart_weight,
    check_copies,
    described_weights,
    shape_of,
    shape_values,
    tied_copies,
)
from tfmr.interop.weights import check_weights, flatten, unflatten

_PADDING = 1
"""The id of padding in these models, from which fairseq counts positions."""
_SINUSOIDS = ("model.encoder.embed_positions.weights", "model.decoder.embed_positions.weights")
"""Tables of sinusoids in older files of M2M100, which transformers does not read."""
_VERSIONS = ("encoder.version", "decoder.version", "model.encoder.version", "model.decoder.version")
"""Numbers in older files of BART, which transformers does not read."""


@dataclass(frozen=True)
class Family:
    """The options in which one of the three families differs from the others."""

    model_type: str
    title: str
    model_class: str
    """The class of transformers."""
    norm: Literal["post", "pre"]
    embedding_norm: bool
    positions: Literal["learned", "fairseq"]
    output_bias: bool


FAMILIES = {
    "m2m_100": Family("m2m_100", "M2M100", "M2M100ForConditionalGeneration", "pre", False, "fairseq", False),
    "bart": Family("bart", "BART", "BartForConditionalGeneration", "post", True, "learned", True),
    "mbart": Family("mbart", "mBART", "MBartForConditionalGeneration", "pre", True, "learned", True),
}
"""The families by their `model_type`."""


def check_bart(family: Family, config: ModelConfig) -> None:
    """Raises an InputError that lists every reason why a family cannot represent a model."""
    model: TransformerConfig = compatibility.require_kind(family.model_type, config)
    required: dict[str, Any] = dict(
        norm=family.norm,
        embedding_norm=family.embedding_norm,
        positions=family.positions,
        norm_epsilon=EPSILON,
        tie_embeddings="all",
        decoder_recurrence="none",
    )
    if not family.output_bias:
        required["output_bias"] = False
    reasons = compatibility.wrong_fields(model, **required) + compatibility.wrong_layers(model)
    compatibility.refuse_export(family.title, reasons)


def to_bart(
    family: Family, config: TransformerConfig, params: Any
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[int]]:
    """Returns the values of config.json, the weights under their names in transformers, and tfmr's id of each token.

    Raises:
      InputError: listing every reason why the family cannot represent the model.
    """
    check_bart(family, config)
    form = replace(config, attention_bias=True, output_bias=family.output_bias)
    described, weights = described_weights(form, bart_weight), flatten(params)
    weights |= {name: np.zeros(x.shape, np.float32) for name, x in described.items() if name not in weights}
    ids = exported_order(config)
    for name in _vocabulary_weights(weights):
        weights[name] = weights[name][ids]
    described = {name: replace(x, shape=weights[name].shape) for name, x in described.items()}
    values = _config_json(family, config, ids)
    return values, {x.name: x.export(weights[name]) for name, x in described.items()}, ids


def exported_order(config: TransformerConfig) -> list[int]:
    """Returns tfmr's id of each token of an exported model.

    Padding must be 1. BOS is left out if it is replaced by another token.
    """
    rest = list(range(EOS_ID + 1, config.vocab_size))
    first = BOS_ID if config.start_token == BOS_ID else rest.pop(0)
    return [first, PAD_ID, EOS_ID, UNK_ID, *rest]


def _config_json(family: Family, config: TransformerConfig, ids: Sequence[int]) -> dict[str, Any]:
    return {
        "architectures": [family.model_class],
        "model_type": family.model_type,
        **shape_values(config),
        "vocab_size": len(ids),
        "scale_embedding": config.scale_embeddings,
        "tie_word_embeddings": True,
        "pad_token_id": ids.index(PAD_ID),
        "bos_token_id": 0,
        "eos_token_id": ids.index(EOS_ID),
        "decoder_start_token_id": ids.index(config.start_token),
    }


def from_bart(
    family: Family,
    values: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    unk_id: int,
    start_id: int,
    name: str = "this model",
) -> tuple[TransformerConfig, dict[str, Any], list[int]]:
    """Returns the configuration and parameters of a model, and its own id of each of tfmr's tokens.

    Args:
      family: its family.
      values: the content of its config.json.
      weights: its weights under their names in transformers.
      unk_id: its id of the unknown token.
      start_id: its id of the first token of a target.
      name: how error messages refer to the model.

    Raises:
      InputError: listing every reason why tfmr does not have such a model, or every weight that does not fit.
    """
    compatibility.refuse(f"{name}: cannot be converted to a tfmr model", _unsupported(family, values))
    config = _our_config(family, values)
    ids = token_order(values, unk_id, start_id, name)
    weights = _with_prefix(weights)
    compatibility.refuse(name, check_copies(weights, config) + _wrong_sinusoids(weights, config))
    unread = {*tied_copies(config), *_VERSIONS, *_SINUSOIDS}
    own = {key: x for key, x in weights.items() if key not in unread}
    if family.output_bias and LOGITS_BIAS not in own:
        own[LOGITS_BIAS] = np.zeros((1, config.vocab_size), np.float32)
    described = described_weights(config, bart_weight)
    check_weights(own, {x.name: x.their_shape for x in described.values()}, name)
    found = {key: x.read(np.asarray(own[x.name], np.float32)) for key, x in described.items()}
    found |= {key: found[key][ids] for key in _vocabulary_weights(found)}
    uses = [number for number, token in enumerate(ids) if token == start_id and number != BOS_ID]
    config = replace(config, vocab_size=len(ids), start_token=uses[0] if uses else BOS_ID)
    return config, unflatten(found, config, name), ids


def _vocabulary_weights(weights: Mapping[str, np.ndarray]) -> list[str]:
    """Returns the names of the weights whose first axis is the vocabulary."""
    return [name for name in ("embedding.embedding", "output_bias") if name in weights]


def _with_prefix(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the weights under the names of a model with logits; some files are of the model without them."""
    own = ("model.", LOGITS_BIAS, "lm_head.")
    return {key if key.startswith(own) else f"model.{key}": x for key, x in weights.items()}


def _our_config(family: Family, values: Mapping[str, Any]) -> TransformerConfig:
    return TransformerConfig(
        **shape_of(values),
        norm=family.norm,
        norm_epsilon=EPSILON,
        positions=family.positions,
        scale_embeddings=values.get("scale_embedding", family.model_type == "m2m_100"),
        embedding_norm=family.embedding_norm,
        attention_bias=True,
        activation=OUR_ACTIVATIONS[values["activation_function"]],
        output_bias=family.output_bias,
    )


def _unsupported(family: Family, values: Mapping[str, Any]) -> list[str]:
    """Returns a reason for each value of config.json that tfmr does not support."""
    sizes = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "encoder_attention_heads")
    tokens = ("pad_token_id", "eos_token_id")
    wrong = compatibility.wrong_counts(values, sizes) + compatibility.wrong_counts(values, tokens, least=0)
    required = {
        "model_type": family.model_type,
        "decoder_attention_heads": values.get("encoder_attention_heads"),
        "decoder_ffn_dim": values.get("encoder_ffn_dim"),
    }
    if family.positions == "fairseq":
        required["pad_token_id"] = _PADDING
    # Older versions of transformers write these options, in which such models may differ; newer ones do not.
    pre_norm = family.norm == "pre"
    optional = {
        "normalize_before": pre_norm,
        "add_final_layer_norm": pre_norm,
        "normalize_embedding": family.embedding_norm,
        "static_position_embeddings": family.positions == "fairseq",
        "extra_pos_embeddings": 2,
        "tie_word_embeddings": True,
    }
    reasons = wrong + compatibility.wrong_values(values, required, optional)
    reasons += compatibility.wrong_choice(values, "activation_function", OUR_ACTIVATIONS)
    if not wrong and values["d_model"] % values["encoder_attention_heads"]:
        reasons.append(f"d_model = {values['d_model']}, must be divisible by encoder_attention_heads")
    return reasons


def token_order(values: Mapping[str, Any], unk_id: int, start_id: int, name: str) -> list[int]:
    """Returns a model's own id of each of tfmr's tokens: the special tokens, then all others in their order.

    The start token is there twice, as BOS and as itself, unless it is the model's BOS and has no other use.
    """
    special = [values["pad_token_id"], unk_id, start_id, values["eos_token_id"]]
    vocab_size = values["vocab_size"]
    if max(special) >= vocab_size or len({values["pad_token_id"], unk_id, values["eos_token_id"]}) < 3:
        raise InputError(
            f"{name}: ids of the padding, unknown, start and EOS tokens = {special}: all must be below vocab_size = "
            f"{vocab_size}, and those of padding, unknown and EOS must differ"
        )
    used = {*special} if start_id == values.get("bos_token_id") else {special[PAD_ID], unk_id, special[EOS_ID]}
    return special + [token for token in range(vocab_size) if token not in used]


def _wrong_sinusoids(weights: Mapping[str, np.ndarray], config: TransformerConfig) -> list[str]:
    """Returns a reason for each table of sinusoids in a file that is not fairseq's."""
    return [
        f"{name} must be the sinusoids of fairseq"
        for name in _SINUSOIDS
        if name in weights and not _are_sinusoids(np.asarray(weights[name], np.float32), config.d_model)
    ]


def _are_sinusoids(table: Float[np.ndarray, "..."], d_model: int) -> bool:
    if table.ndim != 2 or table.shape[1] != d_model:
        return False
    half = d_model // 2
    angles = np.arange(len(table))[:, None] / 10_000.0 ** (np.arange(half) / (half - 1))
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    expected[_PADDING] = 0.0
    return bool(np.allclose(table, expected, atol=1e-3))  # The tolerance allows for half precision.

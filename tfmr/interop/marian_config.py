"""Marian's config.json and tfmr's TransformerConfig, converted in both directions."""

from collections.abc import Mapping
from typing import Any

from tfmr.config import ModelConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tfmr.interop.compatibility import (
    refuse,
    require_kind,
    wrong_choice,
    wrong_counts,
    wrong_fields,
    wrong_heads,
    wrong_values,
)

EPSILON = 1e-5
"""Epsilon of Marian's LayerNorm: PyTorch's default, which no config.json contains."""

_ACTIVATIONS = {"relu": "relu", "gelu": "gelu_new", "swish": "swish"}
_OURS: dict[str, Any] = {name: ours for ours, name in _ACTIVATIONS.items()} | {
    "silu": "swish",
    "gelu_pytorch_tanh": "gelu",
}


def check_marian(config: ModelConfig) -> None:
    """Raises an InputError that lists every reason why Marian cannot store a model."""
    model: TransformerConfig = require_kind("marian", config)
    reasons = wrong_fields(model, norm="post", positions="sinusoidal") + wrong_heads(model)
    if model.norm_epsilon > 2 * EPSILON:
        reasons.append(f"model.norm_epsilon = {model.norm_epsilon:g}, must be at most {2 * EPSILON:g}")
    refuse("Marian cannot store this model", reasons)


def to_marian_config(config: TransformerConfig) -> dict[str, Any]:
    """Returns the values of Marian's config.json for a model. Token ids do not change."""
    both = {"attention_heads": config.num_heads, "ffn_dim": config.d_ff}
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "decoder_vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "encoder_layers": config.num_encoder_layers,
        "decoder_layers": config.num_decoder_layers,
        "num_hidden_layers": config.num_encoder_layers,
        **{f"{stack}_{name}": value for stack in ("encoder", "decoder") for name, value in both.items()},
        "activation_function": _ACTIVATIONS[config.activation],
        "dropout": config.dropout_rate,
        "attention_dropout": config.attention_dropout_rate,
        "activation_dropout": 0.0,
        "scale_embedding": True,
        "static_position_embeddings": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "max_position_embeddings": config.max_length,
        "share_encoder_decoder_embeddings": config.tie_embeddings == "all",
        "tie_word_embeddings": config.tie_embeddings != "none",
        **SPECIAL_IDS,
    }


SPECIAL_IDS = {
    "pad_token_id": PAD_ID,
    "bos_token_id": BOS_ID,
    "eos_token_id": EOS_ID,
    "decoder_start_token_id": BOS_ID,
    "forced_eos_token_id": EOS_ID,
}
"""The special tokens of an exported model, in config.json and generation_config.json."""


def from_marian_config(values: Mapping[str, Any], name: str) -> TransformerConfig:
    """Returns the configuration of a Marian model, with Marian's vocab_size.

    Raises:
      InputError: listing everything in its config.json that tfmr does not have.
    """
    refuse(f"{name}: cannot be converted to a tfmr model", _unsupported(values))
    head = values["d_model"] // values["encoder_attention_heads"]
    shared = values.get("share_encoder_decoder_embeddings", True)
    return TransformerConfig(
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
        norm_epsilon=EPSILON,
        max_length=values.get("max_position_embeddings", 1024),
        tie_embeddings="all" if shared else "decoder" if values.get("tie_word_embeddings", True) else "none",
        attention_bias=True,
        activation=_OURS[values["activation_function"]],
        output_bias=True,
    )


def _unsupported(values: Mapping[str, Any]) -> list[str]:
    """Returns a reason for each value of Marian's config.json that tfmr does not have."""
    sizes = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "encoder_attention_heads")
    tokens = ("pad_token_id", "eos_token_id", "decoder_start_token_id")
    wrong = wrong_counts(values, sizes) + wrong_counts(values, tokens, least=0)
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
    reasons = wrong + wrong_values(values, required, optional)
    reasons += wrong_choice(values, "activation_function", _OURS)
    if not wrong and (values["d_model"] % 2 or values["d_model"] % values["encoder_attention_heads"]):
        reasons.append(f"d_model = {values['d_model']}, must be even and divisible by encoder_attention_heads")
    return reasons

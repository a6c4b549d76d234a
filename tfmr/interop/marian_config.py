"""Marian's config.json and our TransformerConfig, and what one has that the other cannot hold."""

from collections.abc import Mapping
from typing import Any

from tfmr.config import ModelConfig, TransformerConfig
from tfmr.errors import InputError

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
"""Our special tokens, as in tfmr.data.tokenizer."""

EPSILON = 1e-5
"""Of Marian's LayerNorm: torch's, in no config."""

_ACTIVATIONS = {"relu": "relu", "gelu": "gelu_new", "swish": "swish"}
_OURS: dict[Any, Any] = {name: ours for ours, name in _ACTIVATIONS.items()} | {
    "silu": "swish",
    "gelu_pytorch_tanh": "gelu",
}


def check_exportable(config: ModelConfig) -> None:
    """Raises an InputError that lists all reasons for which Marian cannot hold a model."""
    if not isinstance(config, TransformerConfig):
        raise InputError("Marian cannot hold this model: it is a language model; export it as gpt2 or safetensors")
    head = config.d_model / config.num_heads
    reasons = {
        f"model.norm = {config.norm!r}, its norms come after the sum (post)": config.norm != "post",
        f"model.positions = {config.positions!r}, its are sinusoids": config.positions != "sinusoidal",
        f"model.d_k = {config.d_k}, its heads are d_model / num_heads = {head:g} wide": config.d_k != head,
        f"model.d_v = {config.d_v}, its heads are d_model / num_heads = {head:g} wide": config.d_v != head,
        f"model.norm_epsilon = {config.norm_epsilon:g}, its is {EPSILON:g}": config.norm_epsilon > 2 * EPSILON,
    }
    refused = [reason for reason, holds in reasons.items() if holds]
    if refused:
        raise InputError(f"Marian cannot hold this model: {'; '.join(refused)}")


def to_marian_config(config: TransformerConfig) -> dict[str, Any]:
    """Returns the values of Marian's config.json for a model of ours; token ids are ours."""
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
        "pad_token_id": PAD_ID,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "decoder_start_token_id": BOS_ID,
        "forced_eos_token_id": EOS_ID,
    }


def from_marian_config(values: Mapping[str, Any], name: str) -> TransformerConfig:
    """Returns the shape of a Marian model, its vocab_size Marian's own.

    Raises:
      InputError: that lists all in its config.json for which it cannot be ours.
    """
    refused = _not_ours(values)
    if refused:
        raise InputError(f"{name}: cannot become a model of tfmr: {'; '.join(refused)}")
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


def _not_ours(values: Mapping[str, Any]) -> list[str]:
    """Returns all in Marian's config.json for which the model cannot be ours."""
    sizes = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "encoder_attention_heads")
    tokens = ("pad_token_id", "eos_token_id", "decoder_start_token_id")
    wrong = [key for key in sizes if type(values.get(key)) is not int or values[key] < 1]
    wrong += [key for key in tokens if type(values.get(key)) is not int or values[key] < 0]
    refused = [f"{key} = {values.get(key)!r}, needed is a whole number" for key in wrong]
    always = {
        "model_type": "marian",
        "scale_embedding": True,
        "decoder_attention_heads": values.get("encoder_attention_heads"),
        "decoder_ffn_dim": values.get("encoder_ffn_dim"),
    }
    # Of older versions of transformers, which said more of what Marian can be, or left out.
    if_said = {
        "static_position_embeddings": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "add_final_layer_norm": False,
        "decoder_vocab_size": values.get("vocab_size"),
    }
    wanted = always | {key: value for key, value in if_said.items() if values.get(key) is not None}
    refused += [
        f"{key} = {values.get(key)!r}, must be {value!r}" for key, value in wanted.items() if values.get(key) != value
    ]
    activation = values.get("activation_function")
    if activation not in _OURS:
        refused.append(f"activation_function = {activation!r}, must be one of {', '.join(_OURS)}")
    if not wrong and (values["d_model"] % 2 or values["d_model"] % values["encoder_attention_heads"]):
        refused.append(f"d_model = {values['d_model']}, must be even and divide by the number of heads")
    return refused

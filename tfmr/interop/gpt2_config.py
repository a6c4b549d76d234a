"""GPT-2's config.json and our CausalLMConfig, and what one has that the other cannot hold."""

from collections.abc import Mapping
from typing import Any

from tfmr.config import CausalLMConfig, ModelConfig
from tfmr.errors import InputError

_ACTIVATIONS = {"relu": "relu", "gelu": "gelu_new", "swish": "silu"}
_OURS: dict[Any, Any] = {name: ours for ours, name in _ACTIVATIONS.items()} | {
    "swish": "swish",
    "gelu_pytorch_tanh": "gelu",
    "gelu_fast": "gelu",
}
"""Our names. transformers' "gelu" is the exact one, which differs from the tanh form by up to 5e-4."""

_SIZES = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")


def check_gpt2(config: ModelConfig) -> None:
    """Raises an InputError that lists all reasons for which GPT-2 cannot hold a model."""
    if not isinstance(config, CausalLMConfig):
        raise InputError("GPT-2 cannot hold this model: it translates; export it as marian, ctranslate2 or safetensors")
    head = config.d_model / config.num_heads
    reasons = {
        f"model.norm = {config.norm!r}, its norms come before the sub-layers (pre)": config.norm != "pre",
        f"model.gated = {config.gated}, its feed-forward networks have no gate": config.gated,
        f"model.d_k = {config.d_k}, its heads are d_model / num_heads = {head:g} wide": config.d_k != head,
        f"model.d_v = {config.d_v}, its heads are d_model / num_heads = {head:g} wide": config.d_v != head,
    }
    refused = [reason for reason, holds in reasons.items() if holds]
    if refused:
        raise InputError(f"GPT-2 cannot hold this model: {'; '.join(refused)}")


def is_tied(config: CausalLMConfig) -> bool:
    """Whether one table makes vectors and logits as GPT-2 does it: neither is scaled."""
    return config.tie_embeddings and not config.scale_embeddings


def to_gpt2_config(config: CausalLMConfig, bos_id: int, eos_id: int) -> dict[str, Any]:
    """Returns the values of GPT-2's config.json for a model of ours, and the ids of its marks."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_positions": config.max_length,
        "n_embd": config.d_model,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_inner": config.d_ff,
        "activation_function": _ACTIVATIONS[config.activation],
        "resid_pdrop": config.dropout_rate,
        "embd_pdrop": config.dropout_rate,
        "attn_pdrop": config.attention_dropout_rate,
        "layer_norm_epsilon": config.norm_epsilon,
        "initializer_range": config.init_std,
        "scale_attn_weights": True,
        "tie_word_embeddings": is_tied(config),
        "bos_token_id": bos_id,
        "eos_token_id": eos_id,
    }


def from_gpt2_config(values: Mapping[str, Any], name: str) -> CausalLMConfig:
    """Returns the shape of a GPT-2.

    Raises:
      InputError: that lists all in its config.json for which it cannot be ours.
    """
    refused = _not_ours(values)
    if refused:
        raise InputError(f"{name}: cannot become a model of tfmr: {'; '.join(refused)}")
    width = values["n_embd"]
    head = width // values["n_head"]
    return CausalLMConfig(
        vocab_size=values["vocab_size"],
        num_layers=values["n_layer"],
        d_model=width,
        d_ff=values.get("n_inner") or 4 * width,
        num_heads=values["n_head"],
        d_k=head,
        d_v=head,
        max_length=values["n_positions"],
        dropout_rate=float(values.get("resid_pdrop", 0.1)),
        attention_dropout_rate=float(values.get("attn_pdrop", 0.1)),
        norm_epsilon=values.get("layer_norm_epsilon", 1e-5),
        activation=_OURS[values.get("activation_function", "gelu_new")],
        tie_embeddings=values.get("tie_word_embeddings", True),
        init_std=values.get("initializer_range", 0.02),
    )


def _not_ours(values: Mapping[str, Any]) -> list[str]:
    """Returns all in GPT-2's config.json for which the model cannot be ours."""
    wrong = [key for key in _SIZES if not _is_count(values.get(key))]
    wrong += ["n_inner"] if values.get("n_inner") is not None and not _is_count(values["n_inner"]) else []
    refused = [f"{key} = {values.get(key)!r}, needed is a whole number" for key in wrong]
    refused += _wrong_numbers(values)
    wanted = {"model_type": "gpt2"}
    # Of older versions of transformers, or of variants of GPT-2.
    if_said = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False}
    wanted |= {key: value for key, value in if_said.items() if values.get(key) is not None}
    refused += [
        f"{key} = {values.get(key)!r}, must be {value!r}" for key, value in wanted.items() if values.get(key) != value
    ]
    if type(values.get("tie_word_embeddings", True)) is not bool:
        refused.append(f"tie_word_embeddings = {values['tie_word_embeddings']!r}, must be true or false")
    activation = values.get("activation_function", "gelu_new")
    if activation not in _OURS:
        refused.append(f"activation_function = {activation!r}, must be one of {', '.join(_OURS)}")
    if not wrong and values["n_embd"] % values["n_head"]:
        refused.append(f"n_embd = {values['n_embd']}, must divide by n_head = {values['n_head']}")
    return refused


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _wrong_numbers(values: Mapping[str, Any]) -> list[str]:
    """Returns what is said of numbers that have no place in our config."""
    found = []
    for key in ("resid_pdrop", "attn_pdrop", "layer_norm_epsilon", "initializer_range"):
        value, is_rate = values.get(key, 0.1), key.endswith("pdrop")
        if type(value) not in (int, float) or not (0 <= value < 1 if is_rate else value > 0):
            found.append(f"{key} = {value!r}, must be a number {'in [0, 1)' if is_rate else 'above 0'}")
    return found

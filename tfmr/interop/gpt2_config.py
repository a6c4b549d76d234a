"""GPT-2's config.json and tfmr's CausalLMConfig, converted in both directions."""

from collections.abc import Mapping
from typing import Any

from tfmr.config import CausalLMConfig, ModelConfig
from tfmr.interop.compatibility import (
    refuse,
    require_kind,
    wrong_choice,
    wrong_counts,
    wrong_fields,
    wrong_heads,
    wrong_values,
)

_ACTIVATIONS = {"relu": "relu", "gelu": "gelu_new", "swish": "silu"}
_OURS: dict[str, Any] = {name: ours for ours, name in _ACTIVATIONS.items()} | {
    "swish": "swish",
    "gelu_pytorch_tanh": "gelu",
    "gelu_fast": "gelu",
}
"""tfmr's names of the activations. The exact "gelu" of transformers is missing: it differs from the tanh approximation
by up to 5e-4."""

_SIZES = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")


def check_gpt2(config: ModelConfig) -> None:
    """Raises an InputError that lists every reason why GPT-2 cannot store a model."""
    model: CausalLMConfig = require_kind("gpt2", config)
    refuse("GPT-2 cannot store this model", wrong_fields(model, norm="pre", gated=False) + wrong_heads(model))


def is_tied(config: CausalLMConfig) -> bool:
    """Whether input and output share one unscaled table, as in GPT-2."""
    return config.tie_embeddings and not config.scale_embeddings


def to_gpt2_config(config: CausalLMConfig, bos_id: int, eos_id: int) -> dict[str, Any]:
    """Returns the values of GPT-2's config.json for a model and the ids of its BOS and EOS tokens."""
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
    """Returns the configuration of a GPT-2.

    Raises:
      InputError: listing everything in its config.json that tfmr does not have.
    """
    refuse(f"{name}: cannot be converted to a tfmr model", _unsupported(values))
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


def _unsupported(values: Mapping[str, Any]) -> list[str]:
    """Returns a reason for each value of GPT-2's config.json that tfmr does not have."""
    inner = ("n_inner",) if values.get("n_inner") is not None else ()
    wrong = wrong_counts(values, (*_SIZES, *inner))
    # These are from older versions of transformers or variants of GPT-2.
    optional = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False}
    reasons = wrong + _wrong_numbers(values) + wrong_values(values, {"model_type": "gpt2"}, optional)
    if type(values.get("tie_word_embeddings", True)) is not bool:
        reasons.append(f"tie_word_embeddings = {values['tie_word_embeddings']!r}, must be true or false")
    reasons += wrong_choice({"activation_function": "gelu_new", **values}, "activation_function", _OURS)
    if not wrong and values["n_embd"] % values["n_head"]:
        reasons.append(f"n_embd = {values['n_embd']}, must be divisible by n_head = {values['n_head']}")
    return reasons


def _wrong_numbers(values: Mapping[str, Any]) -> list[str]:
    """Returns a reason for each number that is not allowed in a CausalLMConfig."""
    reasons = []
    for key in ("resid_pdrop", "attn_pdrop", "layer_norm_epsilon", "initializer_range"):
        value, is_rate = values.get(key, 0.1), key.endswith("pdrop")
        if type(value) not in (int, float) or not (0 <= value < 1 if is_rate else value > 0):
            reasons.append(f"{key} = {value!r}, must be a number {'in [0, 1)' if is_rate else 'greater than 0'}")
    return reasons

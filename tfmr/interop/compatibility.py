"""Reasons why another format cannot represent a model, or tfmr cannot load one, collected into a single message."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tfmr.config import CausalLMConfig, ModelConfig, TransformerConfig, model_to_dict
from tfmr.errors import InputError

_KINDS: dict[str, type[ModelConfig]] = {
    "marian": TransformerConfig,
    "m2m_100": TransformerConfig,
    "bart": TransformerConfig,
    "mbart": TransformerConfig,
    "t5": TransformerConfig,
    "mt5": TransformerConfig,
    "umt5": TransformerConfig,
    "ctranslate2": TransformerConfig,
    "gpt2": CausalLMConfig,
    "safetensors": ModelConfig,
    "tfmr": ModelConfig,
}
"""The kind of model that each format stores."""


def require_kind(file_format: str, config: ModelConfig) -> Any:
    """Returns the configuration; raises InputError if the format stores another kind of model."""
    fitting = [name for name, kind in _KINDS.items() if isinstance(config, kind)]
    if file_format not in fitting:
        kind = model_to_dict(config)["kind"]
        raise InputError(f"{file_format}: cannot represent a model of kind {kind}; choose one of {', '.join(fitting)}")
    return config


def refuse_export(program: str, reasons: Sequence[str]) -> None:
    """Raises an InputError that lists the reasons why a program cannot represent a model, if there are any."""
    hint = ["export it with --format tfmr, which represents every model"] if reasons else []
    refuse(f"{program} cannot represent this model", [*reasons, *hint])


def refuse(subject: str, reasons: Sequence[str]) -> None:
    """Raises an InputError that lists the reasons, if there are any."""
    if reasons:
        raise InputError(f"{subject}: {'; '.join(reasons)}")


def wrong_fields(config: ModelConfig, **required: Any) -> list[str]:
    """Returns a reason for each field of a configuration that does not have the required value."""
    fields = {f"model.{name}": getattr(config, name) for name in required}
    return wrong_values(fields, {f"model.{name}": value for name, value in required.items()})


def wrong_heads(config: TransformerConfig | CausalLMConfig) -> list[str]:
    """Returns a reason for each width of a head that is not d_model / num_heads."""
    width = config.d_model / config.num_heads
    widths = {"d_k": config.d_k, "d_v": config.d_v}
    return [
        f"model.{name} = {value}, must be d_model / num_heads = {width:g}"
        for name, value in widths.items()
        if value != width
    ]


def wrong_layers(config: TransformerConfig) -> list[str]:
    """Returns a reason for each option of the layers that the paper's model and its near relatives do not have."""
    options = dict(norm_type="layer", scale_scores=True, gated=False, feed_forward_bias=True, scale_output=False)
    return wrong_fields(config, **options) + wrong_heads(config)


def wrong_values(
    values: Mapping[str, Any], required: Mapping[str, Any], if_present: Mapping[str, Any] | None = None
) -> list[str]:
    """Returns a reason for each value that is not the required one.

    Args:
      values: a JSON object.
      required: the values that it must have.
      if_present: the values that it must have if it has the key at all.
    """
    wanted = {**required, **{key: value for key, value in (if_present or {}).items() if values.get(key) is not None}}
    return [
        f"{key} = {values.get(key)!r}, must be {value!r}" for key, value in wanted.items() if values.get(key) != value
    ]


def wrong_counts(values: Mapping[str, Any], keys: Iterable[str], *, least: int = 1) -> list[str]:
    """Returns a reason for each key whose value is not an integer of at least `least`."""
    return [
        f"{key} = {values.get(key)!r}, must be an integer of at least {least}"
        for key in keys
        if type(values.get(key)) is not int or values[key] < least
    ]


def wrong_choice(values: Mapping[str, Any], key: str, choices: Collection[str]) -> list[str]:
    """Returns a reason if the value of a key is not one of the choices."""
    if values.get(key) in choices:
        return []
    return [f"{key} = {values.get(key)!r}, must be one of {', '.join(choices)}"]

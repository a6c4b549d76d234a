"""GPT-2 in Hugging Face transformers: config.json and weights, converted in both directions.

Both models compute the same function, and both store matrices as [inputs, outputs]. They differ in this:
  - GPT-2 stores queries, keys and values side by side in one matrix, with the heads flattened into one axis.
  - GPT-2 has biases everywhere. A model without biases is exported with zeros.
  - GPT-2 has a table of positions. Sinusoids are exported as a table.
  - GPT-2 does not scale embeddings. A model that does is exported with two tables, scaled for the input and unscaled
    for the output.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from tfmr.config import CausalLMConfig, ModelConfig
from tfmr.errors import InputError
from tfmr.interop import compatibility
from tfmr.interop.weights import check_weights, flatten, unflatten, weight_shapes
from tfmr.nn import sinusoidal_positions

_PREFIX, _TABLE, _OUTPUT = "transformer.", "wte.weight", "lm_head.weight"
_BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Masks in files written by older versions of transformers."""
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
    """Raises an InputError that lists every reason why GPT-2 cannot represent a model."""
    model: CausalLMConfig = compatibility.require_kind("gpt2", config)
    reasons = compatibility.wrong_fields(model, norm="pre", gated=False) + compatibility.wrong_heads(model)
    compatibility.refuse_export("GPT-2", reasons)


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
    """Returns the configuration of a GPT-2 model.

    Raises:
      InputError: listing everything in its config.json that tfmr does not support.
    """
    compatibility.refuse(f"{name}: cannot be converted to a tfmr model", _unsupported(values))
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
    """Returns a reason for each value of GPT-2's config.json that tfmr does not support."""
    inner = ("n_inner",) if values.get("n_inner") is not None else ()
    wrong = compatibility.wrong_counts(values, (*_SIZES, *inner))
    # These are from older versions of transformers or variants of GPT-2.
    optional = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False}
    reasons = wrong + _wrong_numbers(values) + compatibility.wrong_values(values, {"model_type": "gpt2"}, optional)
    if type(values.get("tie_word_embeddings", True)) is not bool:
        reasons.append(f"tie_word_embeddings = {values['tie_word_embeddings']!r}, must be true or false")
    reasons += compatibility.wrong_choice({"activation_function": "gelu_new", **values}, "activation_function", _OURS)
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


def to_gpt2(
    config: CausalLMConfig, params: Any, bos_id: int, eos_id: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns a model as GPT-2: the values of its config.json, and its weights under their names in transformers.

    Args:
      config: the model's configuration.
      params: its parameters.
      bos_id: the id of the BOS token; token ids do not change.
      eos_id: the id of the EOS token.

    Raises:
      InputError: listing every reason why GPT-2 cannot represent the model.
    """
    check_gpt2(config)
    found, tied = flatten(params), is_tied(config)
    if not tied and config.tie_embeddings:
        found["output_embedding.embedding"] = found["embedding.embedding"]
    if config.scale_embeddings:
        found["embedding.embedding"] = found["embedding.embedding"] * np.float32(config.d_model**0.5)
    if config.positions == "sinusoidal":
        positions = jnp.arange(config.max_length)
        found["positions.embedding"] = np.asarray(sinusoidal_positions(positions, config.d_model), np.float32)
    # The same model with all biases and learned positions, and without scaling.
    form = replace(
        config, bias=True, positions="learned", tie_embeddings=tied, scale_embeddings=False, scan_layers=False
    )
    found |= {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(form).items() if name not in found}
    weights = {
        (weight.name if weight.name == _OUTPUT else _PREFIX + weight.name): weight.export(found)
        for weight in _weights(form)
    }
    return to_gpt2_config(config, bos_id, eos_id), weights


def from_gpt2(
    values: Mapping[str, Any], weights: Mapping[str, np.ndarray], name: str = "this model"
) -> tuple[CausalLMConfig, dict[str, Any]]:
    """Returns the configuration and parameters of a GPT-2. Token ids do not change.

    Args:
      values: the content of its config.json.
      weights: its weights under their names in transformers, with or without the prefix `transformer.`.
      name: how error messages refer to the model.

    Raises:
      InputError: listing every reason why tfmr does not have such a model, or every weight that does not fit.
    """
    config = from_gpt2_config(values, name)
    own = {key.removeprefix(_PREFIX): x for key, x in weights.items() if not key.endswith(_BUFFERS)}
    if config.tie_embeddings and _OUTPUT in own:
        copy = own.pop(_OUTPUT)
        if _TABLE in own and not np.array_equal(copy, own[_TABLE]):
            raise InputError(
                f"{name}: {_OUTPUT} differs from {_TABLE}, although its config.json ties them; set its "
                "tie_word_embeddings to false, or copy both files again"
            )
    described = _weights(config)
    check_weights(own, {weight.name: weight.gpt2_shape for weight in described}, name)
    found: dict[str, np.ndarray] = {}
    for weight in described:
        found |= weight.read(np.asarray(own[weight.name], np.float32))
    return config, unflatten(found, config, name)


@dataclass(frozen=True)
class _Weight:
    """A weight of GPT-2, which contains one or several of tfmr's side by side."""

    name: str
    """Its name in GPT-2, without the prefix."""
    parts: dict[str, tuple[int, ...]]
    """The shapes of tfmr's weights by their flat names, in their order in GPT-2."""
    num_inputs: int
    """Number of leading axes of each part that are a matrix's inputs. 0 for a vector."""

    @property
    def gpt2_shape(self) -> tuple[int, ...]:
        """Its shape in GPT-2."""
        *inputs, outputs = self._flat(next(iter(self.parts.values())))
        return *inputs, outputs * len(self.parts)

    def export(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns GPT-2's weight from tfmr's."""
        return np.concatenate([weights[name].reshape(self._flat(shape)) for name, shape in self.parts.items()], axis=-1)

    def read(self, weight: np.ndarray) -> dict[str, np.ndarray]:
        """Returns tfmr's weights from GPT-2's."""
        arrays = np.split(weight, len(self.parts), axis=-1)
        return {name: x.reshape(shape) for x, (name, shape) in zip(arrays, self.parts.items(), strict=True)}

    def _flat(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        outputs = math.prod(shape[self.num_inputs :])
        return (math.prod(shape[: self.num_inputs]), outputs) if self.num_inputs else (outputs,)


_IN_LAYER: dict[str, tuple[tuple[str, ...], int]] = {
    "ln_1.weight": (("self_attention_norm.gamma",), 0),
    "ln_1.bias": (("self_attention_norm.beta",), 0),
    "attn.c_attn.weight": (("self_attention.query", "self_attention.key", "self_attention.value"), 1),
    "attn.c_attn.bias": (("self_attention.query_bias", "self_attention.key_bias", "self_attention.value_bias"), 0),
    "attn.c_proj.weight": (("self_attention.output",), 2),
    "attn.c_proj.bias": (("self_attention.output_bias",), 0),
    "ln_2.weight": (("feed_forward_norm.gamma",), 0),
    "ln_2.bias": (("feed_forward_norm.beta",), 0),
    "mlp.c_fc.weight": (("feed_forward.up.kernel",), 1),
    "mlp.c_fc.bias": (("feed_forward.up.bias",), 0),
    "mlp.c_proj.weight": (("feed_forward.down.kernel",), 1),
    "mlp.c_proj.bias": (("feed_forward.down.bias",), 0),
}
"""For each weight of a GPT-2 layer: tfmr's weights in it, and how many of their leading axes are inputs."""


def _weights(config: CausalLMConfig) -> list[_Weight]:
    """Returns all weights of a model that has GPT-2's form."""
    shapes = weight_shapes(config)
    found: dict[str, tuple[tuple[str, ...], int]] = {
        _TABLE: (("embedding.embedding",), 1),
        "wpe.weight": (("positions.embedding",), 1),
        "ln_f.weight": (("decoder.norm.gamma",), 0),
        "ln_f.bias": (("decoder.norm.beta",), 0),
    }
    if not config.tie_embeddings:
        found[_OUTPUT] = (("output_embedding.embedding",), 1)
    for i in range(config.num_layers):
        for name, (parts, num_inputs) in _IN_LAYER.items():
            found[f"h.{i}.{name}"] = tuple(f"decoder.layer_{i}.{part}" for part in parts), num_inputs
    return [_Weight(name, {part: shapes[part] for part in parts}, axes) for name, (parts, axes) in found.items()]

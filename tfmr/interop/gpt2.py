"""GPT-2 of Hugging Face transformers: its weights and ours, in both directions.

The two compute the same function, and both have matrices as [inputs, outputs]. What differs:
  - GPT-2 has queries, keys and values in one matrix, side by side, each with all heads in one axis.
  - GPT-2 has biases everywhere; those of a model without any are zeros.
  - GPT-2's positions are a table: sinusoids are written out.
  - GPT-2 does not scale embeddings: the table of a model that does is written twice, scaled for the input and as it is
    for the output.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from tfmr.config import CausalLMConfig
from tfmr.errors import InputError
from tfmr.interop.gpt2_config import check_gpt2, from_gpt2_config, is_tied, to_gpt2_config
from tfmr.interop.weights import check_weights, flatten, unflatten, weight_shapes
from tfmr.nn import sinusoidal_positions

_PREFIX, _TABLE, _OUTPUT = "transformer.", "wte.weight", "lm_head.weight"
_BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Masks that files of older versions of transformers hold."""


def to_gpt2(
    config: CausalLMConfig, params: Any, bos_id: int, eos_id: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns a model as GPT-2: the values of its config.json, and its weights by their names in transformers.

    Args:
      config: the shape of the model.
      params: its parameters.
      bos_id: the token that begins a document; token ids stay what they are.
      eos_id: the one that ends it.

    Raises:
      InputError: that lists all reasons for which GPT-2 cannot hold the model.
    """
    check_gpt2(config)
    found = flatten(params)
    if not is_tied(config) and config.tie_embeddings:
        found["output_embedding.embedding"] = found["embedding.embedding"]
    if config.scale_embeddings:
        found["embedding.embedding"] = found["embedding.embedding"] * np.float32(config.d_model**0.5)
    if config.positions == "sinusoidal":
        places = jnp.arange(config.max_length)
        found["positions.embedding"] = np.asarray(sinusoidal_positions(places, config.d_model), np.float32)
    form = _form(config)
    shapes = weight_shapes(form)
    found |= {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name not in found}
    weights = {place.gpt2: place.export(found) for place in _places(form)}
    return to_gpt2_config(config, bos_id, eos_id), {_named(name): weights[name] for name in weights}


def from_gpt2(
    values: Mapping[str, Any], weights: Mapping[str, np.ndarray], name: str = "this model"
) -> tuple[CausalLMConfig, dict[str, Any]]:
    """Returns a GPT-2 as a model of ours: its shape and its parameters. Token ids stay what they are.

    Args:
      values: what its config.json holds.
      weights: by their names in transformers, with or without `transformer.` before them.
      name: what errors call it.

    Raises:
      InputError: that lists all reasons for which the model cannot be ours, or all weights that do not fit.
    """
    config = from_gpt2_config(values, name)
    own = {key.removeprefix(_PREFIX): x for key, x in weights.items() if not key.endswith(_BUFFERS)}
    if config.tie_embeddings and _OUTPUT in own:
        copy = own.pop(_OUTPUT)
        if _TABLE in own and not np.array_equal(copy, own[_TABLE]):
            raise InputError(f"{name}: {_OUTPUT} is not {_TABLE}, though its config.json says that they are tied")
    places = _places(config)
    check_weights(own, {place.gpt2: place.gpt2_shape for place in places}, name)
    found: dict[str, np.ndarray] = {}
    for place in places:
        found |= place.read(np.asarray(own[place.gpt2], np.float32))
    return config, unflatten(found, config, name)


def _form(config: CausalLMConfig) -> CausalLMConfig:
    """Returns what a model of ours is as a GPT-2: with all biases, learned positions, and no scale."""
    return replace(
        config,
        bias=True,
        positions="learned",
        tie_embeddings=is_tied(config),
        scale_embeddings=False,
        scan_layers=False,
    )


def _named(name: str) -> str:
    return name if name == _OUTPUT else _PREFIX + name


@dataclass(frozen=True)
class _Place:
    """Where weights of ours are in GPT-2: one, or several side by side."""

    gpt2: str
    """Its name there, without a prefix."""
    shapes: dict[str, tuple[int, ...]]
    """Our weights by their flat names, in their order there."""
    num_inputs: int
    """How many of the first axes of each are a matrix's inputs; 0 for a vector."""

    @property
    def gpt2_shape(self) -> tuple[int, ...]:
        """Its shape there."""
        *inputs, outputs = next(iter(map(self._flat, self.shapes.values())))
        return *inputs, outputs * len(self.shapes)

    def export(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns GPT-2's form of our weights."""
        return np.concatenate(
            [weights[name].reshape(self._flat(shape)) for name, shape in self.shapes.items()], axis=-1
        )

    def read(self, weight: np.ndarray) -> dict[str, np.ndarray]:
        """Returns our form of GPT-2's weight."""
        parts = np.split(weight, len(self.shapes), axis=-1)
        return {name: part.reshape(shape) for part, (name, shape) in zip(parts, self.shapes.items(), strict=True)}

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
"""Of each weight of a layer in GPT-2: ours, and how many of their first axes are inputs."""


def _places(config: CausalLMConfig) -> list[_Place]:
    """Returns where all weights of a model in GPT-2's form are."""
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
        for gpt2, (names, num_inputs) in _IN_LAYER.items():
            found[f"h.{i}.{gpt2}"] = tuple(f"decoder.layer_{i}.{name}" for name in names), num_inputs
    return [
        _Place(gpt2, {name: shapes[name] for name in names}, num_inputs) for gpt2, (names, num_inputs) in found.items()
    ]

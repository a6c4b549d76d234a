"""Weights as NumPy arrays by flat names, for files, other programs and other JAX code.

A name is the path in the tree of parameters, joined by dots: `encoder.layer_0.self_attention.query`. Layers are always
apart, also those of a model that scans over stacked ones. docs/interchange.md lists all names with their shapes.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.typing import ArrayLike

from tfmr.config import ModelConfig
from tfmr.errors import InputError
from tfmr.models import build_model, init_params
from tfmr.nn.stacks import stack_layers, unstack_layers


def flatten(params: Any) -> dict[str, np.ndarray]:
    """Returns the parameters of a model by flat names; `unflatten` is the way back."""
    leaves = jax.tree.leaves_with_path(unstack_layers(nn.unbox(params)))
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(x) for path, x in leaves}


def unflatten(weights: Mapping[str, ArrayLike], config: ModelConfig, name: str = "weights") -> dict[str, Any]:
    """Returns weights by flat names as the parameters of a model, in float32; its layers stacked if it scans over them.

    Args:
      weights: all of the model's, no others.
      config: the shape of the model, its vocab_size set.
      name: what an error calls them.

    Raises:
      InputError: that lists every weight that is missing, not the model's, misshapen or not made of numbers.
    """
    check_weights(weights, weight_shapes(config), name)
    params: dict[str, Any] = {}
    for path, value in weights.items():
        *folders, last = path.split(".")
        branch = params
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[last] = np.asarray(value, np.float32)
    return stack_layers(params) if config.scan_layers else params


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each weight of a model by its flat name."""
    model = build_model(dataclasses.replace(config, scan_layers=False))
    params = nn.unbox(jax.eval_shape(lambda key: init_params(model, key), jax.random.key(0)))
    leaves = jax.tree.leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): tuple(x.shape) for path, x in leaves}


def check_weights(weights: Mapping[str, ArrayLike], shapes: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Raises an InputError that lists every weight that is missing, unknown, misshapen or not made of numbers."""
    found = {path: np.shape(value) for path, value in weights.items()}
    faults = {
        "missing": [f"{path} {shape}" for path, shape in shapes.items() if path not in found],
        "not the model's": [f"{path} {shape}" for path, shape in found.items() if path not in shapes],
        "misshapen": [
            f"{path} {found[path]} instead of {shape}"
            for path, shape in shapes.items()
            if path in found and found[path] != shape
        ],
        "not real numbers": [path for path, value in weights.items() if not _is_real(value)],
    }
    told = "; ".join(f"{fault}: {', '.join(paths)}" for fault, paths in faults.items() if paths)
    if told:
        raise InputError(f"{name}: not the weights of this model: {told}")


def _is_real(value: ArrayLike) -> bool:
    return bool(jax.numpy.issubdtype(np.asarray(value).dtype, np.floating))  # NumPy alone does not know bfloat16

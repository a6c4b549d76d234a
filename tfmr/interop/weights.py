"""Weights as NumPy arrays under flat names, in memory and in safetensors files.

A name is the path in the parameter tree, joined by dots: `encoder.layer_0.self_attention.query`. Layers are always
separate, even if the model scans over stacked layers. docs/interchange.md lists all names and shapes.
"""

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.typing import ArrayLike

from tfmr.config import Config, ModelConfig, model_from_dict, model_to_dict
from tfmr.data.files import new_path
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.interop.compatibility import refuse
from tfmr.interop.run_config import exported_config, imported_config
from tfmr.models import abstract_params, build_model
from tfmr.nn import stack_layers, unstack_layers

_CONFIG = "tfmr.model"
"""Metadata key of a safetensors file under which the model's configuration is stored as JSON."""
_TOKENIZER = "tfmr.tokenizer"
"""The same for the fingerprint of its tokenizer."""
_RUN = "tfmr.run"
"""The same for the configuration of its run, as JSON."""


def flatten(params: Any) -> dict[str, np.ndarray]:
    """Returns the parameters of a model under flat names. `unflatten` is the inverse."""
    return {name: np.asarray(x) for name, x in flatten_dict(unstack_layers(nn.unbox(params)), sep=".").items()}


def unflatten(weights: Mapping[str, ArrayLike], config: ModelConfig, name: str = "weights") -> dict[str, Any]:
    """Returns the parameters of a model from weights under flat names.

    Args:
      weights: all weights of the model and no others.
      config: the model's configuration, with vocab_size set.
      name: how error messages refer to the weights.

    Returns:
      The parameter tree in float32, with layers stacked if the model scans over them.

    Raises:
      InputError: listing every weight that is missing, unknown or not numeric, or that has the wrong shape.
    """
    check_weights(weights, weight_shapes(config), name)
    params = unflatten_dict({name: np.asarray(x, np.float32) for name, x in weights.items()}, sep=".")
    is_stacked = jax.tree.structure(params) != jax.tree.structure(_shapes(config))
    return stack_layers(params) if is_stacked else params


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each weight of a model under its flat name."""
    params: Any = flatten_dict(jax.eval_shape(unstack_layers, _shapes(config)), sep=".")
    return {name: tuple(x.shape) for name, x in params.items()}


@functools.lru_cache(maxsize=8)
def _shapes(config: ModelConfig) -> Any:
    return abstract_params(build_model(config))


def check_weights(weights: Mapping[str, ArrayLike], shapes: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Raises an InputError that lists every weight that is missing, unknown, of the wrong shape or not numeric."""
    found = {path: np.shape(value) for path, value in weights.items()}
    faults = {
        "missing": [f"{path} {shape}" for path, shape in shapes.items() if path not in found],
        "unknown": [f"{path} {shape}" for path, shape in found.items() if path not in shapes],
        "wrong shape": [
            f"{path} {found[path]} instead of {shape}"
            for path, shape in shapes.items()
            if path in found and found[path] != shape
        ],
        "not real numbers": [path for path, value in weights.items() if not _is_real(value)],
    }
    refuse(
        f"{name}: the weights do not fit this model",
        [f"{fault}: {', '.join(paths)}" for fault, paths in faults.items() if paths],
    )


def _is_real(value: ArrayLike) -> bool:
    return bool(jax.numpy.issubdtype(np.asarray(value).dtype, np.floating))  # NumPy alone does not know bfloat16


def save_safetensors(
    file: str | os.PathLike,
    config: ModelConfig,
    params: Any,
    tokenizer: Tokenizer | None = None,
    run: Config | None = None,
) -> None:
    """Writes the weights of a model under flat names, with its configuration in the metadata.

    The file appears only when it is complete.

    Args:
      file: the file to write.
      config: the model's configuration.
      params: its parameters.
      tokenizer: its tokenizer, whose fingerprint the metadata then contains. `tfmr import` recognises the tokenizer of
        another model by it.
      run: the configuration of its run, which the metadata then contains as well. `tfmr import` restores it.

    Raises:
      InputError: if the file already exists or cannot be written.
    """
    metadata = {_CONFIG: json.dumps(model_to_dict(config))}
    metadata |= {_TOKENIZER: tokenizer.fingerprint} if tokenizer else {}
    metadata |= {_RUN: json.dumps(exported_config(run))} if run else {}
    write_arrays(file, flatten(params), metadata)


def load_safetensors(file: str | os.PathLike, config: ModelConfig | None = None) -> tuple[ModelConfig, dict[str, Any]]:
    """Returns the configuration of a model and its parameters in float32.

    Args:
      file: a file with flat names, as written by `save_safetensors`.
      config: the model's configuration. None: taken from the file's metadata.

    Raises:
      InputError: if the file is missing or damaged or contains no configuration; or listing every weight that is
        missing, unknown or of the wrong shape.
    """
    weights, metadata = read_arrays(file)
    if config is None:
        config = _read_config(file, metadata)
    return config, unflatten(weights, config, str(file))


def tokenizer_fingerprint(file: str | os.PathLike) -> str:
    """Returns the fingerprint of the tokenizer of the model in a readable file; empty if the file does not have it."""
    return _metadata(file).get(_TOKENIZER, "")


def run_config(file: str | os.PathLike) -> Config | None:
    """Returns the configuration of the run of the model in a readable file; None if the file does not have it.

    Raises:
      InputError: if it is damaged.
    """
    content = _metadata(file).get(_RUN)
    return None if content is None else imported_config(content, f"{file}: its metadata {_RUN}")


def _metadata(file: str | os.PathLike) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        return opened.metadata() or {}


def _read_config(file: str | os.PathLike, metadata: Mapping[str, str]) -> ModelConfig:
    if _CONFIG not in metadata:
        raise InputError(f"{file}: its metadata has no {_CONFIG}, the model's configuration; pass config=")
    try:
        return model_from_dict(json.loads(metadata[_CONFIG]))
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: its metadata {_CONFIG} is not a model configuration ({error})") from None


def write_arrays(file: str | os.PathLike, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes arrays to a new safetensors file; raises InputError if it already exists or cannot be written."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with new_path(file) as temporary:
        try:
            save_file({name: np.ascontiguousarray(x) for name, x in arrays.items()}, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from None


def read_arrays(file: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the arrays of a safetensors file by name, and its metadata; raises InputError if it cannot be read."""
    from safetensors import SafetensorError, safe_open

    if not Path(file).is_file():
        raise InputError(f"{file}: file not found")
    try:
        with safe_open(file, framework="numpy") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{file}: cannot be read as safetensors ({reason}); copy or convert it again") from None

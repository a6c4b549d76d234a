"""Weights in safetensors files, which hold arrays and text and nothing that could be executed."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfmr.config import ModelConfig, model_from_dict, model_to_dict
from tfmr.errors import InputError
from tfmr.interop.weights import flatten, unflatten

_CONFIG = "tfmr.model"
"""The key of a file's metadata that holds the shape of the model, as JSON."""


def save_safetensors(file: str | os.PathLike, config: ModelConfig, params: Any) -> None:
    """Writes the weights of a model by their flat names, and its shape in the metadata; whole or not at all.

    Raises:
      InputError: if there is such a file already, or it cannot be written.
    """
    write_arrays(file, flatten(params), {_CONFIG: json.dumps(model_to_dict(config))})


def load_safetensors(file: str | os.PathLike, config: ModelConfig | None = None) -> tuple[ModelConfig, dict[str, Any]]:
    """Returns the shape of a model and its parameters, float32.

    Args:
      file: with flat names, as `save_safetensors` writes it.
      config: the shape of the model; None: as the file's metadata says.

    Raises:
      InputError: if the file is missing, damaged, or says nothing of the model's shape; with all weights that are
        missing, not the model's, or misshapen.
    """
    weights, metadata = read_arrays(file)
    if config is None:
        config = _read_config(file, metadata)
    return config, unflatten(weights, config, str(file))


def _read_config(file: str | os.PathLike, metadata: Mapping[str, str]) -> ModelConfig:
    if _CONFIG not in metadata:
        raise InputError(f"{file}: its metadata has no {_CONFIG}, the shape of the model: give the config as well")
    try:
        return model_from_dict(json.loads(metadata[_CONFIG]))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: its metadata {_CONFIG} is no shape of a model ({error})") from None


def write_arrays(file: str | os.PathLike, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes arrays by name to a safetensors file that is not there yet; raises InputError where that fails."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    file = Path(file)
    if file.exists():
        raise InputError(f"{file}: is there already: remove it, or give another name")
    temporary = file.with_name(f".{file.name}.tmp-{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: np.ascontiguousarray(x) for name, x in arrays.items()}, temporary, metadata)
        os.replace(temporary, file)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file}: cannot be written ({error}); make room, or give another place") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_arrays(file: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the arrays of a safetensors file by name, and its metadata; raises InputError where it is damaged."""
    from safetensors import SafetensorError, safe_open

    with _reading(file, (OSError, SafetensorError)), safe_open(file, framework="numpy") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118


@contextlib.contextmanager
def _reading(file: str | os.PathLike, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    if not Path(file).is_file():
        raise InputError(f"{file}: no such file")
    try:
        yield
    except errors as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{file}: cannot be read as safetensors ({reason}): copy or convert it again") from None

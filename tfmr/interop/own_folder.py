"""Model folders in tfmr's own format, which represents every model: configuration, weights and tokenizer."""

import os
from pathlib import Path
from typing import Any

from tfmr.config import Config
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.interop import folders
from tfmr.interop.run_config import exported_config, imported_config
from tfmr.interop.weights import load_safetensors, save_safetensors, tokenizer_fingerprint

_MODEL_TYPE = "tfmr"
_TOKENIZER = "tokenizer.json"


def write_tfmr(folder: str | os.PathLike, config: Config, params: Any, tokenizer: Tokenizer) -> None:
    """Writes the model of a run to an existing folder, with the run's configuration.

    Raises:
      InputError: if a file already exists or cannot be written.
    """
    folder = Path(folder)
    save_safetensors(folder / folders.WEIGHTS, config.model, params, tokenizer)
    (folder / _TOKENIZER).write_text(tokenizer.to_json(), encoding="utf-8")
    (folder / "config.json").write_bytes(folders.to_json({"model_type": _MODEL_TYPE, **exported_config(config)}))


def read_tfmr(folder: str | os.PathLike) -> tuple[Config, Tokenizer, dict[str, Any]]:
    """Returns the run's configuration, tokenizer and parameters from a folder that `write_tfmr` has written.

    Raises:
      InputError: if the folder is of another kind or incomplete, a file is damaged, or the weights do not fit.
    """
    folder = Path(folder)
    folders.model_type(folder)
    needed = ("config.json", folders.WEIGHTS, _TOKENIZER)
    if missing := folders.missing_files(folder, needed):
        raise InputError(f"{folder}: has no {' and no '.join(missing)}; export the model again")
    config = imported_config((folder / "config.json").read_bytes(), str(folder / "config.json"))
    _, params = load_safetensors(folder / folders.WEIGHTS, config.model)
    tokenizer = Tokenizer.from_file(folder / _TOKENIZER)
    if tokenizer_fingerprint(folder / folders.WEIGHTS) != tokenizer.fingerprint:
        raise InputError(f"{folder / _TOKENIZER}: is not the tokenizer of this model; export the model again")
    return config, tokenizer, params


folders.register_format(
    "tfmr", "its own models", check=lambda _: None, write=write_tfmr, read=read_tfmr, model_type=_MODEL_TYPE
)

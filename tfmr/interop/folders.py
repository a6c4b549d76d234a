"""Model folders as transformers and the Hugging Face hub use them: weights, configuration and tokenizer files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfmr.errors import InputError
from tfmr.interop.weights import write_arrays

WEIGHTS = "model.safetensors"


def write_model_folder(folder: Path, weights: Mapping[str, np.ndarray], files: Mapping[str, bytes]) -> None:
    """Writes weights and other files to an existing folder; raises InputError if that fails."""
    write_arrays(folder / WEIGHTS, weights, {"format": "pt"})
    for name, data in files.items():
        (folder / name).write_bytes(data)


def missing_files(folder: Path, names: Sequence[str]) -> list[str]:
    """Returns the names that are not files of a folder; raises InputError if the folder does not exist."""
    if not folder.is_dir():
        raise InputError(f"{folder}: folder not found")
    return [name for name in names if not (folder / name).is_file()]


def require_no_missing(folder: Path, missing: Sequence[str], needed: str, model_class: str) -> None:
    """Raises an InputError that lists the missing files and says how to get them.

    Args:
      folder: the model's folder.
      missing: the names of the missing files.
      needed: the files that such a folder needs, in words.
      model_class: the class of transformers that can convert the weights.
    """
    if not missing:
        return
    hint = f"it needs {needed}"
    if WEIGHTS in missing and (folder / "pytorch_model.bin").is_file():
        hint = (
            "tfmr does not unpickle pytorch_model.bin; convert it where torch and transformers are installed: "
            f'python -c "from transformers import {model_class} as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    elif WEIGHTS in missing and (folder / f"{WEIGHTS}.index.json").is_file():
        hint = "its weights are split into several files; merge them with save_pretrained(..., max_shard_size='99GB')"
    raise InputError(f"{folder}: has no {' and no '.join(missing)}; {hint}")


def read_json(file: Path) -> dict[str, Any]:
    """Returns the JSON object in a file; raises InputError if the file is missing or damaged, or not an object."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error}); copy it again") from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: contains a {type(values).__name__}; it must contain a JSON object")
    return values


def read_optional_json(file: Path) -> dict[str, Any]:
    """Returns the JSON object in a file, or an empty one if the file does not exist."""
    return read_json(file) if file.is_file() else {}


def to_json(values: Mapping[str, Any]) -> bytes:
    """Returns an object as the content of a JSON file."""
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()

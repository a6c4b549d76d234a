"""The folder of one model, as transformers and the Hugging Face hub hand it round: weights, and files beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfmr.errors import InputError
from tfmr.interop.weight_files import write_arrays

WEIGHTS = "model.safetensors"


def write_model_folder(folder: Path, weights: Mapping[str, np.ndarray], files: Mapping[str, bytes]) -> None:
    """Writes weights and files, by name, into a folder that is there; raises InputError as `write_arrays`."""
    write_arrays(folder / WEIGHTS, weights, {"format": "pt"})
    for name, data in files.items():
        (folder / name).write_bytes(data)


def missing_files(folder: Path, names: Sequence[str]) -> list[str]:
    """Returns those of the names that are no files of a folder; raises InputError where there is no such folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    return [name for name in names if not (folder / name).is_file()]


def require_no_missing(folder: Path, missing: Sequence[str], needed: str, model_class: str) -> None:
    """Raises an InputError that lists the files that a folder misses, and says where to get them.

    Args:
      folder: of the model.
      missing: names of files.
      needed: what a folder of this kind holds, in words.
      model_class: the class of transformers that can write the weights anew.
    """
    if not missing:
        return
    hint = f"it needs all of {needed}"
    if WEIGHTS in missing and (folder / "pytorch_model.bin").is_file():
        hint = (
            "of pytorch_model.bin nothing is unpickled here; where torch and transformers are installed, make the "
            f'other file from it: python -c "from transformers import {model_class} as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    elif WEIGHTS in missing and (folder / f"{WEIGHTS}.index.json").is_file():
        hint = "its weights lie in several files: put them into one, by save_pretrained(..., max_shard_size='99GB')"
    raise InputError(f"{folder}: has no {', no '.join(missing)}; {hint}")

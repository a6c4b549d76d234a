"""The model of a run as CTranslate2 reads it, converted once and kept in the run directory."""

import hashlib
import os
from pathlib import Path
from typing import Any

from tfmr.config import model_to_dict
from tfmr.data.corpora.corpus import fingerprint
from tfmr.data.files import UNWRITABLE, remove_abandoned, replacing
from tfmr.errors import InputError
from tfmr.interop.ctranslate2 import write_ctranslate2
from tfmr.runs.checkpoint_items import parameters_item, read_checksum
from tfmr.runs.parameters import load_run
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import find_checkpoint
from tfmr.runs.storage import AnyPath, is_remote

_FORMAT = 1
"""Changes whenever the same run is converted to other files."""


def converted(run: RunDirectory, checkpoint: str = "") -> Path:
    """Returns a folder with the model of a run for CTranslate2; writes it if there is none of the same parameters.

    Folders that have not been used for a week are removed.

    Args:
      run: the run directory.
      checkpoint: as in `read_params`.

    Raises:
      InputError: as `load_run` and `write_ctranslate2`, or if the run directory is remote or cannot be written to.
    """
    if is_remote(run.path):
        raise InputError(f"{run.path}: CTranslate2 reads local files only; copy the run to this machine")
    cache = Path(run.ctranslate2)
    folder = cache / fingerprint(_identity(run, find_checkpoint(run, checkpoint)))[:16]
    try:
        if not folder.is_dir():
            cache.mkdir(exist_ok=True)
            _write(folder, run, checkpoint)
        os.utime(folder)
        remove_abandoned(cache, "*")
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise InputError(
            f"{cache}: cannot be written to ({error.strerror}); copy the run to a folder of your own"
        ) from None
    return folder


def _write(folder: Path, run: RunDirectory, checkpoint: str) -> None:
    config, tokenizer, params = load_run(run, checkpoint)
    model: Any = config.model
    try:
        with replacing(folder) as temporary:
            temporary.mkdir()
            write_ctranslate2(temporary, model, params, tokenizer.to_json())
    except OSError:
        if not folder.is_dir():  # another process has not written it either
            raise


def _identity(run: RunDirectory, checkpoint: AnyPath) -> dict[str, Any]:
    """Returns what determines the files of a converted model."""
    item = parameters_item(checkpoint)
    return {
        "format": _FORMAT,
        "checkpoint": f"{checkpoint.parent.name}/{checkpoint.name}",
        "item": item,
        "checksum": read_checksum(checkpoint, item),
        "base": run.read_base() if item.endswith("lora") else None,
        "model": model_to_dict(run.config.model),
        "tokenizer": hashlib.sha256(run.tokenizer.to_json().encode()).hexdigest(),
    }

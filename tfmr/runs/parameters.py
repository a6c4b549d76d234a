"""Parameters for inference from the checkpoints of a run.

A folder of checkpoints contains one folder per step, written by orbax. Its item `params` contains the parameters, and
`ema_params` their exponential moving average, if there is one.
"""

import logging
import os
from typing import Any

import jax
import orbax.checkpoint as ocp

from tfmr.config import Config, ModelConfig
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.models import abstract_params, build_model
from tfmr.runs.checkpoint_items import read_arrays, read_tokenizer_fingerprint
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.storage import AnyPath

log = logging.getLogger("tfmr")


def load_run(directory: str | os.PathLike | RunDirectory, checkpoint: str = "") -> tuple[Config, Tokenizer, Any]:
    """Returns the configuration, tokenizer and parameters of a run; see `read_params` for the checkpoint.

    Raises:
      InputError: if there is no such run or checkpoint, or its architecture differs from config.json.
    """
    run = RunDirectory.open(directory)
    return run.config, run.tokenizer, read_params(run, run.config.model, checkpoint)


def state_steps(run: RunDirectory) -> list[int]:
    """Returns the steps of the run's complete states, ascending."""
    return _steps(run.checkpoints)


def newest_steps(run: RunDirectory) -> dict[str, int]:
    """Returns the newest step of each kind of parameters that the run has, by the name that selects it."""
    folders = dict(averaged=run.averaged, best=run.best, last=run.checkpoints)
    return {name: steps[-1] for name, folder in folders.items() if (steps := _steps(folder))}


def read_params(run: RunDirectory, config: ModelConfig, checkpoint: str = "", *, moving_average: bool = True) -> Any:
    """Returns parameters for inference, on the first device.

    Args:
      run: the run directory.
      config: the shape of the model; `vocab_size` must be set.
      checkpoint: "averaged", "best", "last", or a step. Empty: the first of these that exists, except an average
        that is older than the newest checkpoint.
      moving_average: for "last" or a step, return the exponential moving average if there is one.

    Raises:
      InputError: if there is no such checkpoint, its architecture differs, or it has another tokenizer than the run.
    """
    folder = _find(run, checkpoint)
    saved = read_tokenizer_fingerprint(folder)
    if saved and run.tokenizer_fingerprint not in ("", saved):
        raise InputError(
            f"{run.tokenizer_file}: is not the tokenizer that {folder} was trained with; restore it from a backup"
        )
    items = {item.name for item in folder.iterdir()}
    name = "ema_params" if moving_average and "ema_params" in items else "params"
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), abstract_params(build_model(config))
    )
    return read_arrays(folder, {name: target})[name]


def _find(run: RunDirectory, checkpoint: str) -> AnyPath:
    folders = dict(averaged=run.averaged, best=run.best, last=run.checkpoints)
    newest = newest_steps(run)
    if not checkpoint and newest:
        checkpoint = _default(run, newest)
    if checkpoint in newest:
        return folders[checkpoint] / str(newest[checkpoint])
    steps = state_steps(run)
    if checkpoint.isdecimal() and int(checkpoint) in steps:
        return run.checkpoints / str(int(checkpoint))
    known = ", ".join([*newest, *map(str, steps)]) or "none"
    raise InputError(f"{run.path}: has no checkpoint {checkpoint!r} (available: {known})")


def _default(run: RunDirectory, newest: dict[str, int]) -> str:
    """Returns the checkpoint to use by default: not an average from before the run was continued."""
    first, *others = newest
    if first == "averaged" and others and newest["averaged"] < newest.get("last", 0):
        log.warning(
            "%s: the average of step %d is older than the newest checkpoint %d; using %s (update it with tfmr average)",
            *(run.averaged, newest["averaged"], newest["last"], others[0]),
        )
        return others[0]
    return first


def _steps(folder: AnyPath) -> list[int]:
    return sorted(ocp.utils.checkpoint_steps(folder)) if folder.is_dir() else []

"""The steps of which a run directory has checkpoints.

A folder of checkpoints contains one folder per step, written by orbax.
"""

import logging

import orbax.checkpoint as ocp

from tfmr.errors import InputError
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.storage import AnyPath

log = logging.getLogger("tfmr")


def state_steps(run: RunDirectory) -> list[int]:
    """Returns the steps of the run's complete states, ascending."""
    return _steps(run.checkpoints)


def newest_steps(run: RunDirectory) -> dict[str, int]:
    """Returns the newest step of each kind of parameters that the run has, by the name that selects it."""
    folders = dict(averaged=run.averaged, best=run.best, last=run.checkpoints)
    return {name: steps[-1] for name, folder in folders.items() if (steps := _steps(folder))}


def find_checkpoint(run: RunDirectory, checkpoint: str = "") -> AnyPath:
    """Returns the folder of a checkpoint.

    Args:
      run: the run directory.
      checkpoint: "averaged", "best", "last", or a step. Empty: the first of these that exists, except an average
        that is older than the newest checkpoint.

    Raises:
      InputError: if there is no such checkpoint.
    """
    folders = dict(averaged=run.averaged, best=run.best, last=run.checkpoints)
    newest = newest_steps(run)
    if not checkpoint and newest:
        checkpoint = _default(run, newest)
    if checkpoint in newest:
        return folders[checkpoint] / str(newest[checkpoint])
    steps = state_steps(run)
    if checkpoint.isdecimal() and int(checkpoint) in steps:
        return run.checkpoints / str(int(checkpoint))
    if not newest:
        raise InputError(f"{run.path}: has no checkpoint; train it first, or choose another run")
    known = ", ".join([*newest, *map(str, steps)])
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

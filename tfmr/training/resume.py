"""Checks that a run is continued with the same configuration, and that all hosts agree on it."""

from typing import Any

import flax.traverse_util
import jax

import tfmr
from tfmr.config import Config, config_to_dict
from tfmr.errors import InputError
from tfmr.runs.parameters import has_checkpoints
from tfmr.runs.run_directory import RunDirectory

FREE = {
    "workdir",
    "mesh",
    "decoding",
    "distributed",
    "training.steps",
    "training.log_every",
    "training.evaluate_every",
    "training.bleu_sentences",
    "training.checkpoint_every",
    "training.keep_last",
    "training.keep_every",
    "training.patience",
    "training.accumulation",
    "training.loss_chunk",
    "model.remat",
}
"""Sections and fields that may change, since they do not affect what a step computes."""


def check_same_run(run: RunDirectory, config: Config) -> None:
    """Raises InputError, naming both values, if a run directory was created with another configuration.

    A run without checkpoints can be continued with any configuration.
    """
    if not run.config_file.exists() or not has_checkpoints(run):
        return
    before = _fields(run.config)
    # The cosine schedule ends at the last step, so another number of steps changes the learning rate of every step.
    free = FREE - {"training.steps"} if config.training.schedule == "cosine" else FREE
    free |= {f"data.{name}" for name in config.data.may_change}
    for name, value in _fields(config).items():
        if name in free or name.split(".")[0] in free or before.get(name) == value:
            continue
        raise InputError(
            f"{name} = {value!r}: {run.path} was created with {before.get(name)!r}; use that value or another --workdir"
        )


def what_must_agree(config: Config, identity: dict[str, str]) -> dict[str, Any]:
    """Returns, by name, what must be the same in all processes of a run.

    Paths may differ between hosts; `identity`, from `Task.identity`, compares the content instead.
    """
    local = {"workdir", "distributed", *(f"data.{name}" for name in config.data.local_paths)}
    same = {name: value for name, value in _fields(config).items() if not {name, name.split(".")[0]} & local}
    return {**same, **identity, "the version of jax": jax.__version__, "the version of tfmr": tfmr.__version__}


def _fields(config: Config) -> dict[str, Any]:
    """Returns the JSON values of all fields, by their names joined by dots."""
    return flax.traverse_util.flatten_dict(config_to_dict(config), sep=".")

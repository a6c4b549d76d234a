"""Checks that a run is continued with the same configuration, and that all hosts agree on it."""

import logging
from typing import Any

import flax.traverse_util
import jax

import tfmr
from tfmr.config import Config, config_to_dict
from tfmr.data.corpus import Corpus
from tfmr.errors import InputError
from tfmr.runs.base import Base
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import newest_steps, state_steps
from tfmr.training.task import Task

log = logging.getLogger("tfmr")

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
    "training.profile_steps",
    "training.patience",
    "training.accumulation",
    "training.loss_chunk",
    "training.corpus_may_change",
    "model.attention",
    "model.remat",
}
"""Sections and fields that may change, since they do not affect what a step computes."""


def check_may_train(run: RunDirectory) -> None:
    """Raises InputError if training in a folder would overwrite or delete files that training did not write.

    Training writes config.json first, and writes a state before any best parameters.
    """
    if not run.config_file.exists():
        others = (run.tokenizer_file, run.metrics_file, run.checkpoints, run.best, run.averaged)
        found = [path.name for path in others if path.exists()]
        if found:
            raise InputError(
                f"{run.path}: contains {' and '.join(found)} but no config.json, so it is not a run that can be "
                "continued; choose another --workdir"
            )
        return
    try:
        _ = run.config
    except InputError as error:
        raise InputError(f"{error}; training would replace {run.config_file}; choose another --workdir") from None
    if not state_steps(run) and (newest := newest_steps(run)):
        found = " and ".join(f"{name}/{step}" for name, step in newest.items())
        raise InputError(
            f"{run.path}: has parameters ({found}) but no training state in checkpoints/, so training would start over "
            f"and delete them; to continue training from them, choose another --workdir and add --init-from {run.path}"
        )


def check_same_run(run: RunDirectory, config: Config, *, is_complete: bool = True) -> None:
    """Raises InputError, naming both values, if a run directory was created with another configuration.

    A run without checkpoints can be continued with any configuration.

    Args:
      run: the run directory.
      config: the configuration to continue with.
      is_complete: whether `Task.complete` has set what only the corpus determines. If not, fields of the model that
        are not set are not compared.
    """
    if not run.config_file.exists() or not state_steps(run):
        return
    before = _fields(run.config)
    _check_same_base(run, config)
    # The cosine schedule ends at the last step, so another number of steps changes the learning rate of every step.
    free = FREE - {"training.steps"} if config.training.schedule == "cosine" else FREE
    # The content of the corpus is compared instead of its paths, if the run has recorded it.
    paths = config.data.local_paths if run.corpus_file.exists() else frozenset()
    free |= {f"data.{name}" for name in config.data.may_change | paths}
    # Where the base is now: `recorded_base` compares the content.
    free |= {"fine_tuning.init_from"} if config.fine_tuning.lora_rank else set()
    for name, value in _fields(config).items():
        if name in free or name.split(".")[0] in free or before.get(name) == value:
            continue
        if not (is_complete or value) and name.startswith("model."):
            continue
        raise InputError(
            f"{name} = {value!r}: {run.path} was created with {before.get(name)!r}; use that value or another --workdir"
        )


def _check_same_base(run: RunDirectory, config: Config) -> None:
    """Raises InputError if a run is to continue with or without a base, unlike before."""
    before, now = run.config.fine_tuning.init_from, config.fine_tuning.init_from
    if bool(before) == bool(now):
        return
    fix = f"add --init-from {before}" if before else "leave out --init-from"
    raise InputError(f"fine_tuning.init_from = {now!r}: {run.path} was created with {before!r}; {fix}")


def corpus_has_changed(run: RunDirectory, task: Task, corpus: Corpus, config: Config) -> bool:
    """Returns whether a run continues on a different corpus.

    Raises:
      InputError: if so, unless `training.corpus_may_change` is set.
    """
    if not state_steps(run):
        return False
    recorded = run.read_corpus_hash()
    same = recorded == corpus.content_hash() if recorded else task.has_evaluation_of(run, corpus)
    if same:
        return False
    if not config.training.corpus_may_change:
        raise InputError(
            f"{run.path}: the corpus is not the one that this run was trained on; restore the original corpus, "
            "choose another --workdir, or continue on this one with --training.corpus-may-change"
        )
    log.warning("%s: continuing on a different corpus", run.path)
    return True


def what_must_agree(config: Config, identity: dict[str, str], base: Base | None = None) -> dict[str, Any]:
    """Returns, by name, what must be the same in all processes of a run.

    Paths may differ between hosts; `identity`, from `Task.identity`, and the checksum of the base compare the content
    instead.
    """
    if base is not None:
        identity = {**identity, "the parameters to start from": str(base.checksum)}
    local = {"workdir", "distributed", "fine_tuning.init_from", *(f"data.{name}" for name in config.data.local_paths)}
    same = {name: value for name, value in _fields(config).items() if not {name, name.split(".")[0]} & local}
    return {**same, **identity, "the version of jax": jax.__version__, "the version of tfmr": tfmr.__version__}


def _fields(config: Config) -> dict[str, Any]:
    """Returns the JSON values of all fields, by their names joined by dots."""
    return flax.traverse_util.flatten_dict(config_to_dict(config), sep=".")

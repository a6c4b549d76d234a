"""Checkpoints, by orbax: whole states to continue from, and parameters alone to translate with."""

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import orbax.checkpoint as ocp

from tfmr.config import TransformerConfig
from tfmr.errors import InputError
from tfmr.models import Transformer
from tfmr.run_directory import RunDirectory
from tfmr.training.state import TrainState

PARAMS_CHOICES = ("averaged", "best", "last")


class Checkpointer:
    """Saves and restores the states of a run, and keeps the best parameters.

    A checkpoint is written beside its place and renamed when it is whole. It is written while training goes on.
    """

    def __init__(self, run: RunDirectory, keep_last: int):
        """Opens the checkpoints of a run; the newest `keep_last` states are kept."""
        self._states = _manager(run.checkpoints, keep_last)
        self._best = _manager(run.best, 1)

    def latest_step(self) -> int | None:
        """Returns the step of the newest state; None where there is none."""
        return self._states.latest_step()

    def save(self, step: int, state: TrainState, place: dict[str, Any]) -> None:
        """Saves a state, and what else continuing needs, as JSON. Does nothing if this step is already there."""
        if step in self._states.all_steps():
            return
        items = dict(params=state.params, optimizer=(state.step, state.opt_state))
        if state.ema_params is not None:
            items["ema_params"] = state.ema_params
        saved = {name: ocp.args.StandardSave(item) for name, item in items.items()}
        self._states.save(step, args=ocp.args.Composite(**saved, place=ocp.args.JsonSave(place)))

    def restore(self, like: TrainState, sharding: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Returns the newest state, living where `sharding` says, and what was saved with it.

        Args:
          like: a state of the same form; only its shapes are used.
          sharding: the shardings of the state.

        Raises:
          InputError: if the checkpoint is of another architecture.
        """
        step = self._states.latest_step()
        target = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), like, sharding)
        items = dict(params=target.params, optimizer=(target.step, target.opt_state))
        if target.ema_params is not None:
            items["ema_params"] = target.ema_params
        _check_params(self._states, step, target.params)
        wanted = {name: ocp.args.StandardRestore(item) for name, item in items.items()}
        found = self._states.restore(step, args=ocp.args.Composite(**wanted, place=ocp.args.JsonRestore()))
        for later in [s for s in self._best.all_steps() if s > step]:
            self._best.delete(later)  # that evaluation is made again
        state = TrainState(found["optimizer"][0], found["params"], found["optimizer"][1], found.get("ema_params"))
        return state, found["place"]

    def save_best(self, step: int, params: Any) -> None:
        """Saves the parameters of the best evaluation so far, in place of the ones before."""
        self._best.save(step, args=ocp.args.Composite(params=ocp.args.StandardSave(params)))

    def close(self) -> None:
        """Waits until all is written."""
        self._states.close()
        self._best.close()


def save_averaged(run: RunDirectory, step: int, params: Any) -> None:
    """Saves parameters as the average of a run, in place of an earlier average."""
    manager = _manager(run.averaged, 1)
    for old in manager.all_steps():
        manager.delete(old)
    manager.save(step, args=ocp.args.Composite(params=ocp.args.StandardSave(params)))
    manager.close()


def state_steps(run: RunDirectory) -> list[int]:
    """Returns the steps of the run's whole states, ascending."""
    return sorted(ocp.utils.checkpoint_steps(run.checkpoints)) if run.checkpoints.is_dir() else []


def read_params(
    run: RunDirectory, config: TransformerConfig, checkpoint: str = "", *, moving_average: bool = True
) -> Any:
    """Returns parameters to translate with, on the first device.

    Args:
      run: the run directory.
      config: the shape of the model, its vocab_size set.
      checkpoint: "averaged", "best", "last", or a step; empty: the first of these that is there.
      moving_average: of "last" or a step, the exponential moving average where one is kept.

    Raises:
      InputError: if there is no such checkpoint, or it is of another architecture.
    """
    folder, step = _find(run, checkpoint)
    manager = _manager(folder, None)
    items = {item.name for item in (folder / str(step)).iterdir()}
    name = "ema_params" if moving_average and "ema_params" in items else "params"
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), abstract_params(config))
    _check_params(manager, step, target)
    found = manager.restore(step, args=ocp.args.Composite(**{name: ocp.args.StandardRestore(target)}))
    manager.close()
    return found[name]


def abstract_params(config: TransformerConfig) -> Any:
    """Returns the shapes of a model's parameters."""
    tokens = jax.ShapeDtypeStruct((1, 1), "int32")
    variables = jax.eval_shape(Transformer(config).init, jax.random.key(0), tokens, tokens, tokens, tokens)
    return nn.unbox(variables["params"])


def _manager(folder: Path, keep: int | None) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(max_to_keep=keep)
    return ocp.CheckpointManager(folder.absolute(), options=options)


def _find(run: RunDirectory, checkpoint: str) -> tuple[Path, int]:
    folders = dict(averaged=run.averaged, best=run.best, last=run.checkpoints)
    newest = {
        name: max(ocp.utils.checkpoint_steps(folder), default=None)
        for name, folder in folders.items()
        if folder.is_dir()
    }
    newest = {name: step for name, step in newest.items() if step is not None}
    if not checkpoint and newest:
        checkpoint = next(iter(newest))
    if checkpoint in newest:
        return folders[checkpoint], newest[checkpoint]
    steps = state_steps(run)
    if checkpoint.isdecimal() and int(checkpoint) in steps:
        return run.checkpoints, int(checkpoint)
    known = ", ".join([*newest, *map(str, steps)]) or "none yet"
    raise InputError(f"{run.path}: has no checkpoint {checkpoint!r} (there is: {known})")


def _check_params(manager: ocp.CheckpointManager, step: int, target: Any) -> None:
    """Raises InputError where the saved parameters are not of the target's names and shapes."""
    metadata = ocp.StandardCheckpointer().metadata(manager.directory / str(step) / "params")
    saved, wanted = _shapes(metadata.item_metadata.tree), _shapes(target)
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            raise InputError(
                f"{manager.directory}: checkpoint {step} is of another architecture than the config: "
                f"{name} is {saved.get(name, 'missing')} there, {wanted.get(name, 'missing')} in the config"
            )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(x.shape) for path, x in leaves}

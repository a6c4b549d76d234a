"""Checkpoints, by orbax: whole states to continue from, and parameters alone to translate with."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from tfmr.parameters import check_params, damage_named, open_manager
from tfmr.run_directory import RunDirectory
from tfmr.training.state import TrainState


class Checkpointer:
    """Saves and restores the states of a run, and keeps the best parameters.

    A checkpoint is written beside its place and renamed when it is whole. It is written while training goes on.
    """

    def __init__(self, run: RunDirectory, keep_last: int):
        """Opens the checkpoints of a run; the newest `keep_last` states are kept."""
        self._states = open_manager(run.checkpoints, keep_last)
        self._best = open_manager(run.best, 1)

    def latest_step(self) -> int | None:
        """Returns the step of the newest state; None where there is none."""
        return self._states.latest_step()

    def save(self, step: int, state: TrainState, place: dict[str, Any]) -> None:
        """Saves a state, and what else continuing needs, as JSON. Does nothing if this step is already there."""
        if step in self._states.all_steps():
            return
        counts = state.step, state.skipped, state.skipped_in_a_row
        items = dict(params=state.params, optimizer=(counts, state.opt_state))
        if state.ema_params is not None:
            items["ema_params"] = state.ema_params
        saved = {name: ocp.args.StandardSave(item) for name, item in items.items()}
        self._states.save(step, args=ocp.args.Composite(**saved, place=ocp.args.JsonSave(place)))

    def restore(self, step: int, like: TrainState, sharding: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Returns the state of a step, living where `sharding` says, and what was saved with it.

        Args:
          step: a step that was saved.
          like: a state of the same form; only its shapes are used.
          sharding: the shardings of the state.

        Raises:
          InputError: if the checkpoint is of another architecture, or damaged.
        """
        target = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), like, sharding)
        counts = target.step, target.skipped, target.skipped_in_a_row
        items = dict(params=target.params, optimizer=(counts, target.opt_state))
        if target.ema_params is not None:
            items["ema_params"] = target.ema_params
        wanted = {name: ocp.args.StandardRestore(item) for name, item in items.items()}
        with damage_named(Path(self._states.directory) / str(step)):
            check_params(self._states, step, target.params)
            found = self._states.restore(step, args=ocp.args.Composite(**wanted, place=ocp.args.JsonRestore()))
        (steps, skipped, in_a_row), opt_state = found["optimizer"]
        state = TrainState(steps, skipped, in_a_row, found["params"], opt_state, found.get("ema_params"))
        return state, found["place"]

    def save_best(self, step: int, params: Any) -> None:
        """Saves the parameters of the best evaluation so far, in place of the ones before."""
        # Of a run that was killed and makes these steps again. Left until now, so that there always is a best one;
        # left longer, orbax would say nothing and not save.
        for later in [s for s in self._best.all_steps() if s >= step]:
            self._best.delete(later)
        self._best.save(step, args=ocp.args.Composite(params=ocp.args.StandardSave(params)))

    def close(self) -> None:
        """Waits until all is written."""
        self._states.close()
        self._best.close()


def save_averaged(run: RunDirectory, step: int, params: Any) -> None:
    """Saves parameters as the average of a run, in place of an earlier average."""
    manager = open_manager(run.averaged, 1)
    for old in manager.all_steps():
        manager.delete(old)
    manager.save(step, args=ocp.args.Composite(params=ocp.args.StandardSave(params)))
    manager.close()

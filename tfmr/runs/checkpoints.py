"""Checkpoints, written by orbax: complete states to continue from, and parameters alone for inference."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, EveryNSteps, LatestN

from tfmr.errors import InputError
from tfmr.runs.checkpoint_items import DamagedCheckpoint, read_arrays, read_values, save_args, write_amended
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import state_steps
from tfmr.runs.storage import AnyPath, is_remote, write_text, writing_named

log = logging.getLogger("tfmr")

SMALLEST_PART = 1 << 20
"""Bytes. Devices that hold the same array each write a part of it of at least this size: cutting and writing many small
parts would block training for longer."""


class Checkpointer:
    """Saves and restores the states of a run, and keeps the best parameters.

    A checkpoint is written under a temporary name, in the background of training, and renamed when it is complete.
    """

    def __init__(self, run: RunDirectory, keep_last: int, keep_every: int = 0):
        """Opens the checkpoints of a run.

        The `keep_last` newest states are kept. Those of steps that are multiples of `keep_every`, if it is not 0, are
        kept permanently.
        """
        self._run = run
        self._tokenizer = run.tokenizer_fingerprint
        with self._writing():
            self._states = _open_manager(run.checkpoints, keep_last, keep_every)
            self._best = _open_manager(run.best, 1)

    def latest_step(self) -> int | None:
        """Returns the step of the newest state, or None."""
        return self._states.latest_step()

    def save(self, step: int, items: dict[str, Any], values: dict[str, Any]) -> None:
        """Saves trees of arrays by name, and JSON values. Does nothing if this step has been saved already.

        Raises:
          InputError: if this save or the previous one failed; older checkpoints remain.
        """
        with self._writing():
            # A state that records a best evaluation must not exist without the parameters of that evaluation.
            self._best.wait_until_finished()
            self._states.wait_until_finished()
            if step in self._states.all_steps():
                return
            if not self._states.save(step, args=save_args(items, self._tokenizer, **{VALUES: values})):
                raise InputError(
                    f"{self._run.checkpoints}: already has a checkpoint newer than step {step}; move it away, or "
                    "choose another --workdir"
                )

    def amend(self, step: int, values: dict[str, Any]) -> None:
        """Replaces the JSON values of a step once the best parameters are complete. Ignores unsaved steps."""
        with self._writing():
            if step not in self._states.all_steps():
                return
            self._best.wait_until_finished()
            self._states.wait_until_finished()
            if jax.process_index() == 0:
                write_amended(self._run.checkpoints / str(step), VALUES, values)

    def restore(self, step: int, targets: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the arrays and the JSON values of a step that was saved.

        The `targets` are the shapes, types and shardings of the trees to read, by name.

        Raises:
          DamagedCheckpoint: if the checkpoint is damaged.
          InputError: if its architecture differs.
        """
        folder = self._run.checkpoints / str(step)
        values = read_values(folder, VALUES)
        return read_arrays(folder, targets), values

    def restore_newest(self, targets: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Returns the newest checkpoint that can be read, as `restore` does; None if there is none at all.

        Newer checkpoints that are damaged are reported and set aside: their steps will be run and saved again.

        Raises:
          InputError: if all of them are damaged, or if the architecture of one differs.
        """
        damaged: list[DamagedCheckpoint] = []
        for step in sorted(self._states.all_steps(), reverse=True):
            try:
                found = self.restore(step, targets)
            except DamagedCheckpoint as error:
                damaged.append(error)
                continue
            self._set_aside(damaged)
            return found
        if damaged:
            reasons = ", ".join(f"{error.checkpoint.name} ({error.reason})" for error in damaged)
            raise InputError(
                f"{self._run.checkpoints}: every checkpoint is damaged: {reasons}; "
                "restore a backup, or move this folder away to start over"
            )
        return None

    def save_best(self, step: int, params: Any, item: str = "params") -> None:
        """Saves the parameters of the best evaluation so far as an item, replacing the previous ones."""
        with self._writing():
            # A run that has the best parameters but no state cannot be continued.
            self._states.wait_until_finished()
            self._best.wait_until_finished()
            if step in self._best.all_steps():  # the run was killed and has repeated this step
                self._best.delete(step)
            # Forced, since the previous one may be of a later step of such a run. It is deleted afterwards.
            self._best.save(step, args=save_args({item: params}, self._tokenizer), force=True)

    def raise_failed_save(self) -> None:
        """Raises the InputError of a save that has failed; does not wait for a save in progress."""
        for manager in (self._states, self._best):
            if not manager.is_saving_in_progress():
                with self._writing():
                    manager.wait_until_finished()

    def close(self) -> None:
        """Waits until everything is written; raises InputError if that fails."""
        with self._writing(), contextlib.ExitStack() as stack:
            stack.callback(self._states.close)
            stack.callback(self._best.close)

    def _set_aside(self, damaged: list[DamagedCheckpoint]) -> None:
        if not damaged:
            return
        for error in damaged:
            folder = _free_name(self._run.damaged, error.checkpoint.name)
            log.warning("%s: damaged (%s); moved to %s", error.checkpoint, error.reason, folder)
            if jax.process_index() == 0:
                with writing_named(self._run.damaged):
                    self._run.damaged.mkdir(exist_ok=True)
                    # A folder of an object store exists only if it contains something.
                    write_text(folder.with_name(f"{folder.name}.txt"), f"{error.checkpoint}: {error.reason}\n")
                    error.checkpoint.rename(folder)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("damaged checkpoints are set aside")
        # Otherwise orbax believes that these steps exist, and silently refuses to save them again.
        self._states.reload()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        def what_is_left() -> str:
            steps = state_steps(self._run)
            return f"the checkpoint of step {steps[-1]} is complete" if steps else "there is no checkpoint yet"

        with writing_named(self._run.path, what_is_left):
            yield


def save_params(folder: AnyPath, step: int, params: Any) -> None:
    """Saves parameters alone as the only checkpoint of a folder of a run directory, which has its tokenizer already."""
    with writing_named(folder):
        manager = _open_manager(folder, 1)
        for old in manager.all_steps():
            manager.delete(old)
        manager.save(step, args=save_args({"params": params}, RunDirectory(folder.parent).tokenizer_fingerprint))
        manager.close()


ARRAYS = ("params", "optimizer", "ema_params", "lora", "ema_lora")
"""The items of a checkpoint that are trees of arrays."""
VALUES = "place"
"""The item with the JSON values."""


def _free_name(folder: AnyPath, name: str) -> AnyPath:
    tries = 1
    while (found := folder / (name if tries == 1 else f"{name}.{tries}")).exists():
        tries += 1
    return found


def _open_manager(folder: AnyPath, keep_last: int, keep_every: int = 0) -> ocp.CheckpointManager:
    """Returns orbax's manager of a folder of checkpoints. It removes incomplete checkpoints of killed processes."""
    kept = [LatestN(keep_last), *([EveryNSteps(keep_every)] if keep_every else [])]
    # Barriers are named after steps: without a prefix, two managers that save the same step would share them.
    barriers = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=folder.name)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=AnyPreservationPolicy(kept),
        cleanup_tmp_directories=True,
        multiprocessing_options=barriers,
    )
    handlers = ocp.handlers.create_default_handler_registry(**{name: _array_handler() for name in ARRAYS})
    path = folder if is_remote(folder) else folder.absolute()
    return ocp.CheckpointManager(path, options=options, handler_registry=handlers)


def _array_handler() -> ocp.PyTreeCheckpointHandler:
    arrays = ocp.type_handlers.ArrayHandler(min_slice_bytes_for_replica_parallel=SMALLEST_PART)
    kinds = (jax.Array, arrays), (np.ndarray, ocp.type_handlers.NumpyHandler())
    return ocp.PyTreeCheckpointHandler(type_handler_registry=ocp.type_handlers.create_type_handler_registry(*kinds))

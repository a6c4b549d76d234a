"""The average of a run's last checkpoints (section 6.1: 5 of the base model, 20 of the big one)."""

from typing import Any

import jax
import numpy as np

from tfmr.errors import InputError
from tfmr.runs.checkpoints import save_params
from tfmr.runs.lock import locked
from tfmr.runs.parameters import read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import state_steps


def average_checkpoints(run: RunDirectory, last: int | None = None, steps: list[int] | None = None) -> list[int]:
    """Averages the parameters of checkpoints and saves the result as the checkpoint "averaged" of the run.

    The raw parameters are averaged even if the run has an exponential moving average, which is an average already. A
    previous "averaged" is replaced.

    Args:
      run: the run directory.
      last: number of newest checkpoints to average. None: all of them.
      steps: average the checkpoints of these steps instead.

    Returns:
      The steps that were averaged, ascending.

    Raises:
      InputError: if there are no or too few checkpoints, the architecture of one differs from config.json, or another
        process is averaging.
    """
    with locked(run.path / "averaged.lock", "averaging"):
        return _average(run, _chosen_steps(run, last, steps))


def _average(run: RunDirectory, chosen: list[int]) -> list[int]:
    config = run.config.model
    total: Any = None
    for step in chosen:
        params = read_params(run, config, str(step), moving_average=False)
        params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
        # In float64, and one checkpoint at a time: hardly any rounding, and memory for two.
        total = params if total is None else jax.tree.map(np.add, total, params)
    average = jax.tree.map(lambda x: (x / len(chosen)).astype(np.float32), total)
    # Named by the run's newest step, so that the average is recognised as outdated when the run is continued.
    save_params(run.averaged, state_steps(run)[-1], average)
    return chosen


def _chosen_steps(run: RunDirectory, last: int | None, steps: list[int] | None) -> list[int]:
    there = state_steps(run)
    listed = ", ".join(map(str, there)) or "none"
    if last is not None and steps is not None:
        raise InputError(f"last = {last} and steps = {steps}: give only one of them")
    if steps is not None:
        missing = sorted(set(steps) - set(there))
        if missing or not steps:
            problem = f"has no checkpoint {' or '.join(map(str, missing))}" if missing else "no checkpoints were given"
            raise InputError(f"{run.path}: {problem} to average (available: {listed})")
        return sorted(set(steps))
    if last is not None and last < 1:
        raise InputError(f"last = {last}: must be 1 or greater")
    if not there or len(there) < (last or 1):
        raise InputError(
            f"{run.path}: has too few checkpoints to average: {len(there)} instead of {last or 1} (available: "
            f"{listed}); training.keep_last sets how many are kept"
        )
    return there[-(last or len(there)) :]

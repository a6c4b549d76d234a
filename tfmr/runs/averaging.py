"""The average of a run's last checkpoints (section 6.1: 5 of the base model, 20 of the big one)."""

from typing import Any

import jax
import numpy as np

from tfmr.errors import InputError
from tfmr.runs.checkpoints import save_averaged
from tfmr.runs.parameters import read_params, state_steps
from tfmr.runs.run_directory import RunDirectory


def average_checkpoints(run: RunDirectory, last: int | None = None, steps: list[int] | None = None) -> list[int]:
    """Averages the parameters of checkpoints and saves the result as the run's checkpoint "averaged".

    It is the parameters themselves that are averaged, also where a moving average of them is kept: that one is an
    average already. An earlier "averaged" is replaced.

    Args:
      run: the run directory.
      last: average so many of the newest checkpoints; None: all that are there.
      steps: average the checkpoints of these steps instead.

    Returns:
      The steps that went into the average, ascending.

    Raises:
      InputError: if there are fewer checkpoints than asked for, none, or one of another architecture than config.json.
    """
    chosen = _chosen_steps(run, last, steps)
    config = run.config.model
    total: Any = None
    for step in chosen:
        params = read_params(run, config, str(step), moving_average=False)
        params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
        # float64 and one checkpoint at a time: no rounding to speak of, and memory for two.
        total = params if total is None else jax.tree.map(np.add, total, params)
    average = jax.tree.map(lambda x: (x / len(chosen)).astype(np.float32), total)
    # Named by where the run stands, not by what went in: a run that is continued then shows that it is old.
    save_averaged(run, state_steps(run)[-1], average)
    return chosen


def _chosen_steps(run: RunDirectory, last: int | None, steps: list[int] | None) -> list[int]:
    there = state_steps(run)
    listed = ", ".join(map(str, there)) or "none yet"
    if last is not None and steps is not None:
        raise InputError(f"last = {last} and steps = {steps}: give one of them")
    if steps is not None:
        missing = sorted(set(steps) - set(there))
        if missing or not steps:
            named = ", ".join(map(str, missing)) or "for no step"
            raise InputError(f"{run.path}: has no checkpoint {named} to average (there is: {listed})")
        return sorted(set(steps))
    if last is not None and last < 1:
        raise InputError(f"last = {last}: must be 1 or more")
    if not there or len(there) < (last or 1):
        raise InputError(
            f"{run.path}: has {len(there)} checkpoints (there is: {listed}), fewer than the {last or 1} to average; "
            "training.keep_last says how many are kept"
        )
    return there[-(last or len(there)) :]

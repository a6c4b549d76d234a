"""Plots of learning rate schedules (section 5.3)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from tfmr.analysis.labels import visible_labels
from tfmr.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_schedules(schedules: Mapping[str, Callable[[int], ArrayLike]], steps: int | Mapping[str, int]) -> "Figure":
    """Plots the learning rates of one or several schedules in the same axes.

    Args:
      schedules: the schedules by their names in the legend. Each is a function of the number of previous updates, such
        as `tfmr.training.make_schedule(config.training, config.model.d_model)` or a schedule of optax.
      steps: the number of updates to plot, for all schedules or by name.

    Returns:
      A matplotlib figure without a window. Notebooks show it; `figure.savefig("schedule.png")` writes it to a file.

    Raises:
      InputError: if there are no schedules, or the number of steps is less than 1.
    """
    from matplotlib.figure import Figure

    lengths = dict(steps) if isinstance(steps, Mapping) else dict.fromkeys(schedules, steps)
    if not schedules:
        raise InputError("schedules: empty, must contain at least one schedule")
    for name in schedules:
        if lengths.get(name, 0) < 1:
            raise InputError(f"steps of schedule {name!r} = {lengths.get(name)}: must be at least 1")
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axis = figure.subplots()
    names, families = visible_labels(schedules, longest=60)
    for name, (key, schedule) in zip(names, schedules.items(), strict=True):
        counts = np.unique(np.linspace(0, lengths[key] - 1, min(lengths[key], 500)).astype(int))
        rates = [float(np.asarray(schedule(int(count)))) for count in counts]
        axis.plot(counts + 1, rates, label=name, linewidth=1.6)
    axis.set_xlabel("step", fontsize=10)
    axis.set_ylabel("learning rate", fontsize=10)
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.10g}")
    axis.grid(color="0.9", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    if len(names) > 1 or names[0]:
        legend = axis.legend(frameon=False, prop=dict(family=families, size=10))
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure

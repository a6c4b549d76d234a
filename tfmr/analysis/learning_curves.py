"""Curves over the steps of training: the metrics of one or several runs, and learning rates (section 5.3)."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from tfmr.analysis.labels import visible_labels
from tfmr.errors import InputError
from tfmr.runs.metrics import read_metric_lines
from tfmr.runs.storage import storage_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Curve(NamedTuple):
    """The values of a metric by step."""

    steps: Int[np.ndarray, " points"]
    """In ascending order, without duplicates."""
    values: Float[np.ndarray, " points"]
    """The value at each step."""


def read_metrics(file: str | os.PathLike) -> dict[str, Curve]:
    """Returns the curves of a metrics.jsonl by the name of the metric, such as `loss` or `validation/bleu`.

    If a resumed run repeated a step, the later line counts. Lines that were truncated when a run was killed and values
    that are not numbers are skipped.

    Raises:
      InputError: if the file does not exist or contains no metrics.
    """
    path = storage_path(file)
    if not path.is_file():
        raise InputError(f"{path}: file not found; choose a run directory in which train.py has written metrics")
    points: dict[str, dict[int, float]] = {}
    for line in read_metric_lines(path):
        for name, value in line.items():
            if name != "step" and isinstance(value, int | float):
                points.setdefault(name, {})[line["step"]] = float(value)
    if not points:
        raise InputError(f"{path}: contains no metrics yet; wait for the first logged step")
    return {name: _curve(by_step) for name, by_step in points.items()}


def _curve(by_step: dict[int, float]) -> Curve:
    steps = sorted(by_step)
    return Curve(np.array(steps, np.int64), np.array([by_step[step] for step in steps], np.float64))


class Panel(NamedTuple):
    """The plot of one quantity."""

    title: str
    training: tuple[str, ...]
    """Training metrics. The first one that a run has is drawn as a line."""
    validation: str = ""
    """Validation metric, drawn as a line with a marker at each evaluation."""
    crops: str = ""
    """Validation metric on random crops, which language models may have, drawn as a dashed line."""
    scale: str = "linear"
    smooth: bool = True
    """Whether to draw a moving mean of the training metric over its values."""


PANELS = (
    # The training loss has label smoothing; its cross-entropy is comparable with the validation loss.
    Panel("loss (nats per token)", ("cross_entropy", "loss"), "validation/loss", "validation/crop_loss"),
    Panel("validation perplexity", (), "validation/perplexity", scale="log"),
    Panel("validation BLEU", (), "validation/bleu"),
    Panel("learning rate", ("learning_rate",), smooth=False),
    Panel("gradient norm", ("gradient_norm",), scale="log"),
    Panel("tokens per second", ("tokens_per_second",)),
    Panel("model FLOP utilisation", ("mfu",)),
)


def plot_learning_curves(runs: Sequence[str | os.PathLike], names: Sequence[str] | None = None) -> "Figure":
    """Plots the learning curves of several runs in the same axes.

    Args:
      runs: run directories, or their metrics.jsonl files.
      names: the names of the runs in the legend. None: the names of the directories.

    Raises:
      InputError: if there are no runs, a run has no metrics, or the number of names is not that of the runs.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    files = [path / "metrics.jsonl" if (path := storage_path(run)).is_dir() else path for run in runs]
    names = [file.parent.name or file.absolute().parent.name for file in files] if names is None else list(names)
    if not files or len(names) != len(files):
        raise InputError(f"{len(files)} runs and {len(names)} names: pass at least one run, and one name per run")
    metrics = [read_metrics(file) for file in files]
    known = {name for curves in metrics for name in curves}
    panels = [panel for panel in PANELS if known & {*panel.training, panel.validation}]
    if not panels:
        raise InputError(f"{files[0]}: contains no metrics that can be plotted, only {', '.join(sorted(known))}")
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.2 * columns, 2.9 * rows + 0.4), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for panel, axis in zip(panels, axes.flat, strict=False):
        for number, curves in enumerate(metrics):
            _draw(axis, panel, curves, f"C{number % 10}")
        _style(axis, panel)
    _add_run_legend(figure, names)
    _add_line_legend(axes.flat[0], panels[0], known)
    return figure


def _draw(axis: "Axes", panel: Panel, curves: dict[str, Curve], colour: str) -> None:
    """Draws the curves of one run in a panel."""
    trained = next((curves[name] for name in panel.training if name in curves), None)
    if trained is not None:
        values = _moving_mean(trained.values) if panel.smooth else trained.values
        if panel.smooth:
            axis.plot(*trained, color=colour, linewidth=0.6, alpha=0.25)
        axis.plot(trained.steps, values, color=colour, linewidth=1.4)
    if panel.validation in curves:
        axis.plot(*curves[panel.validation], color=colour, linewidth=1.4, marker="o", markersize=3.5)
    if panel.crops in curves:
        axis.plot(*curves[panel.crops], color=colour, linewidth=1.2, linestyle="--")


def _moving_mean(values: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Returns the mean of a window around each point, about a fiftieth of all points wide."""
    window = np.ones(2 * (len(values) // 100) + 1)
    share = np.convolve(np.ones(len(values)), window, mode="same")
    return np.convolve(values, window, mode="same") / share


def _style(axis: "Axes", panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_title(panel.title, fontsize=11)
    axis.set_xlabel("step", fontsize=9)
    if panel.scale == "log":
        axis.set_yscale("log")
        low, high = axis.get_ylim()
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 8 * low else (1, 1.5, *range(2, 10))))
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    if panel.title == "tokens per second":
        axis.set_ylim(bottom=0)
    axis.grid(color="0.9", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8, labelbottom=True)


def _add_run_legend(figure: "Figure", names: Sequence[str]) -> None:
    """Adds a legend of the runs' colours above all panels."""
    from matplotlib.lines import Line2D

    texts, families = visible_labels(names, longest=60)
    lines = [Line2D([], [], color=f"C{number % 10}", linewidth=2) for number in range(len(names))]
    prop = dict(family=families, size=10)
    legend = figure.legend(lines, texts, loc="outside upper left", ncols=min(len(names), 4), frameon=False, prop=prop)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _add_line_legend(axis: "Axes", panel: Panel, known: set[str]) -> None:
    """Adds a legend of training and validation lines, if a panel has both."""
    from matplotlib.lines import Line2D

    kinds = {
        "training": ({*panel.training}, dict(linewidth=1.4)),
        "validation": ({panel.validation}, dict(linewidth=1.4, marker="o", markersize=3.5)),
        "validation, random crops": ({panel.crops}, dict(linewidth=1.2, linestyle="--")),
    }
    present = {
        name: Line2D([], [], color="0.4", **style) for name, (metrics, style) in kinds.items() if metrics & known
    }
    if len(present) > 1:
        axis.legend(list(present.values()), list(present), frameon=False, fontsize=9)


def plot_schedules(schedules: Mapping[str, Callable[[int], ArrayLike]], steps: int | Mapping[str, int]) -> "Figure":
    """Plots the learning rates of one or several schedules in the same axes.

    Args:
      schedules: the schedules by their names in the legend. Each is a function of the number of previous updates, such
        as `tfmr.training.make_schedule(config.training, config.model.d_model)` or a schedule of optax.
      steps: the number of updates to plot, for all schedules or by name.

    Raises:
      InputError: if there are no schedules, or the number of steps is less than 1.
    """
    from matplotlib.figure import Figure

    lengths = dict(steps) if isinstance(steps, Mapping) else dict.fromkeys(schedules, steps)
    if not schedules:
        raise InputError("schedules: empty; there must be at least one schedule")
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

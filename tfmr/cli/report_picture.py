"""The picture of `tfmr prepare --report`."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tfmr.analysis.labels import visible_labels
from tfmr.data.report import Histogram, Report

_NUMBERS = FuncFormatter(lambda value, _: f"{value:,.10g}")


def plot_report(report: Report) -> Figure:
    """Plots the distributions of a report, and how many pairs or lines have what was found."""
    found = [finding for finding in report.findings if finding.count]
    height = 3.4 + 0.28 * max(len(found), 1)
    figure = Figure(figsize=(10, height), layout="constrained")
    (title,), fonts = visible_labels([f"{report.title}: {report.total:,} {report.unit}"], longest=100)
    figure.suptitle(title, fontsize=11, fontfamily=fonts, parse_math=False)
    # Figures of their own, so that the long labels below do not shift the histograms.
    parts: Any = figure.subfigures(2, 1, height_ratios=[3.0, height - 3.0])
    axes = parts[0].subplots(1, len(report.histograms), squeeze=False)
    for axis, histogram in zip(axes.flat, report.histograms, strict=True):
        _draw(axis, histogram, report.unit)
    axis = parts[1].subplots()
    _style(axis)
    if not found:
        axis.set_axis_off()
        axis.text(0.5, 0.5, "Nothing was found that may be wrong.", ha="center", va="center")
        return figure
    counts = [finding.count for finding in found]
    bars = axis.barh([finding.what for finding in found], counts, color="C3", height=0.6)
    axis.bar_label(bars, [f"{count:,} ({count / report.total:.2%})" for count in counts], padding=3, fontsize=8)
    axis.set_xscale("log")
    axis.set_xlim(0.5, 8 * max(counts))
    axis.xaxis.set_major_formatter(_NUMBERS)
    axis.tick_params(which="minor", bottom=False)
    axis.set_xlabel(f"number of {report.unit}", fontsize=9)
    axis.grid(visible=False, axis="y")
    axis.invert_yaxis()
    return figure


def _draw(axis: Axes, histogram: Histogram, unit: str) -> None:
    for number, (name, counts) in enumerate(histogram.counts.items()):
        axis.stairs(counts, histogram.edges, fill=True, alpha=0.35, color=f"C{number}", label=name)
        axis.stairs(counts, histogram.edges, color=f"C{number}")
    for number, (name, value) in enumerate(histogram.marks.items()):
        style = "-" if number == 0 else "--"
        axis.axvline(value, color="0.3", linewidth=1, linestyle=style, label=name)
    if len(histogram.counts) > 1 or histogram.marks:
        axis.legend(frameon=False, fontsize=8)
    axis.set_title(histogram.title, fontsize=10)
    axis.set_ylabel(f"number of {unit}", fontsize=9)
    axis.set_xlim(0, histogram.edges[-1])
    axis.yaxis.set_major_formatter(_NUMBERS)
    _style(axis)


def _style(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.grid(color="0.9", linewidth=0.8)
    axis.set_axisbelow(True)

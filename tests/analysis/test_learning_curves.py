"""Learning curves are read from what a run has written, and drawn."""

import io
import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmr.analysis import plot_learning_curves, read_metrics
from tfmr.errors import InputError


def write(folder, *lines, end="\n"):
    folder.mkdir(exist_ok=True)
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "metrics.jsonl").write_bytes((text + end).encode())
    return folder


def a_run(folder, scale=1.0):
    lines = []
    for step in range(10, 301, 10):
        lines.append({"step": step, "loss": scale * 9 / step, "cross_entropy": scale * 8 / step, "learning_rate": 0.1})
        if step % 100 == 0:
            lines.append({"step": step, "validation/loss": scale * 7 / step, "validation/bleu": step / 10})
    return write(folder, *lines)


class TestReadMetrics:
    def test_gives_a_curve_for_each_metric(self, tmp_path):
        curves = read_metrics(a_run(tmp_path / "run") / "metrics.jsonl")
        assert set(curves) == {"loss", "cross_entropy", "learning_rate", "validation/loss", "validation/bleu"}
        np.testing.assert_array_equal(curves["loss"].steps, np.arange(10, 301, 10))
        np.testing.assert_allclose(curves["loss"].values, 9 / np.arange(10, 301, 10))
        assert curves["validation/bleu"].steps.tolist() == [100, 200, 300]

    def test_the_later_line_of_a_repeated_step_counts(self, tmp_path):
        lines = [{"step": step, "loss": step} for step in (1, 2, 3, 4)]
        again = [{"step": step, "loss": step + 0.5} for step in (3, 4, 5)]
        curve = read_metrics(write(tmp_path, *lines, *again) / "metrics.jsonl")["loss"]
        assert curve.steps.tolist() == [1, 2, 3, 4, 5]
        assert curve.values.tolist() == [1, 2, 3.5, 4.5, 5.5]

    @settings(max_examples=25, deadline=None)
    @given(cut=st.integers(0, 60))
    def test_a_line_that_was_cut_off_is_left_out(self, cut, tmp_path_factory):
        folder = tmp_path_factory.mktemp("run")
        lines = json.dumps({"step": 1, "loss": 2.0}), json.dumps({"step": 2, "loss": 1.0, "name": "ü\u2028"})
        cut = min(cut, len(lines[1]) - 1)
        # At the end, and in the middle as it is when the run went on.
        for lines_ in ([lines[0], lines[1][:cut]], [lines[1][:cut], lines[0]]):
            curves = read_metrics(write(folder, *lines_, end="") / "metrics.jsonl")
            assert {name: curve.values.tolist() for name, curve in curves.items()} == {"loss": [2.0]}

    def test_what_is_no_number_is_left_out_and_nan_is_kept(self, tmp_path):
        lines = '{"step": 1, "loss": NaN, "note": "x", "empty": null}', "[1]", '{"loss": 3}', "7"
        curves = read_metrics(write(tmp_path, *lines) / "metrics.jsonl")
        assert list(curves) == ["loss"]
        assert np.isnan(curves["loss"].values).tolist() == [True]

    def test_a_missing_or_empty_file_is_named(self, tmp_path):
        with pytest.raises(InputError, match=r"nothing/metrics\.jsonl: file not found"):
            read_metrics(tmp_path / "nothing" / "metrics.jsonl")
        with pytest.raises(InputError, match=r"metrics\.jsonl: contains no metrics yet"):
            read_metrics(write(tmp_path, end="") / "metrics.jsonl")


class TestPlotLearningCurves:
    def drawn(self, *arguments):
        figure = plot_learning_curves(*arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.savefig(io.BytesIO(), dpi=40)
        return figure, {axis.get_title(): axis for axis in figure.axes if axis.get_title()}

    def test_draws_what_there_is(self, tmp_path):
        figure, panels = self.drawn([a_run(tmp_path / "one")])
        assert list(panels) == ["loss (nats per token)", "validation BLEU", "learning rate"]
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["one"]
        points, mean, validation = panels["loss (nats per token)"].lines
        # The cross-entropy, not the smoothed loss, beside the validation loss.
        np.testing.assert_allclose(points.get_ydata(), 8 / np.arange(10, 301, 10))
        np.testing.assert_allclose(mean.get_ydata(), 8 / np.arange(10, 301, 10))
        np.testing.assert_allclose(validation.get_ydata(), [0.07, 0.035, 7 / 300])

    def test_draws_runs_over_each_other_each_in_its_colour(self, tmp_path):
        runs = [a_run(tmp_path / "one"), a_run(tmp_path / "two", 2.0) / "metrics.jsonl"]
        figure, panels = self.drawn(runs, ["$a$", "b"])
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["$a$", "b"]
        bleu = panels["validation BLEU"].lines
        assert [line.get_color() for line in bleu] == ["C0", "C1"]

    def test_a_language_models_loss_on_random_crops_is_drawn_beside(self, tmp_path):
        losses = {"validation/loss": 2.0, "validation/crop_loss": 2.5, "validation/perplexity": 7.4}
        lines = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.8}, {"step": 2, **losses}]
        _, panels = self.drawn([write(tmp_path / "text", *lines), a_run(tmp_path / "pairs")])
        panel = panels["loss (nats per token)"]
        crops = [line for line in panel.lines if line.get_linestyle() == "--"]
        assert [line.get_ydata().tolist() for line in crops] == [[2.5]]
        legend = [text.get_text() for text in panel.get_legend().get_texts()]
        assert legend == ["training", "validation", "validation, random crops"]

    def test_the_moving_mean_keeps_the_mean_of_a_long_run(self, tmp_path):
        lines = [{"step": step, "loss": 5 + (-1) ** step} for step in range(1, 1001)]
        _, panels = self.drawn([write(tmp_path / "long", *lines)])
        mean = panels["loss (nats per token)"].lines[1].get_ydata()
        assert len(mean) == 1000
        assert np.abs(np.asarray(mean) - 5).max() < 0.1

    def test_no_runs_or_unfit_names_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="0 runs and 0 names"):
            plot_learning_curves([])
        with pytest.raises(InputError, match="1 runs and 2 names"):
            plot_learning_curves([a_run(tmp_path / "one")], ["a", "b"])
        with pytest.raises(InputError, match="contains no metrics that can be plotted, only other"):
            plot_learning_curves([write(tmp_path / "two", {"step": 1, "other": 2})])

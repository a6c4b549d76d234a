"""metrics.jsonl: valid JSON whatever the numbers are, and every evaluation once."""

import json
import math

import pytest

from tfmr.runs.metrics import MetricsWriter, json_line, read_metric_lines


def strict(text):
    """Returns what JSON says; its standard has no NaN and no Infinity."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_what_is_not_finite_is_null_however_deep():
    values = {"loss": math.nan, "of": [1.5, math.inf, (-math.inf, 2)], "each": {"bleu": 0.1, "name": "ü"}, "n": 3}
    expected = {"loss": None, "of": [1.5, None, [None, 2]], "each": {"bleu": 0.1, "name": "ü"}, "n": 3}
    assert strict(json_line(values)) == expected


@pytest.mark.parametrize("evaluated", [True, False])
def test_an_evaluation_that_is_repeated_is_written_once(tmp_path, evaluated):
    file = tmp_path / "metrics.jsonl"
    writer = MetricsWriter(file, 0)
    for step in (1, 2, 3):
        writer.write(step, {"loss": math.nan})
        writer.write(step, {"validation/loss": float(step)})
    writer.close()
    MetricsWriter(file, 2, evaluated=evaluated).close()
    assert [strict(line) for line in file.read_text().splitlines()] == read_metric_lines(file)
    found = [(line["step"], line.get("validation/loss")) for line in read_metric_lines(file)]
    assert found == [(1, None), (1, 1.0), (2, None), (2, 2.0)][: 4 if evaluated else 3]

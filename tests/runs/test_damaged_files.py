"""Small files of a run directory that are damaged are refused in one line."""

import json

import numpy as np
import pytest

from tfmr.data.text_batches import TextSplit
from tfmr.errors import InputError
from tfmr.runs.metrics import read_metric_lines
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.storage import first_line

NESTED = "[" * 100_000
"""JSON that is nested more deeply than Python reads."""


@pytest.mark.parametrize(
    ("content", "expected"),
    {
        "the last line is cut": (b"a\nb", "last line is incomplete"),
        "a line is missing": (b"a\n", "2 source and 1 target lines"),
        "not UTF-8": (b"a\nb\xff\n", "can't decode byte 0xff"),
    }.values(),
)
def test_evaluation_sentences(tmp_path, content, expected):
    run = RunDirectory(tmp_path)
    run.write_text_split("test", ["x", "y"], ["a", "b"])
    assert run.read_text_split("test") == (["x", "y"], ["a", "b"])
    (run.evaluation / "test.target.txt").write_bytes(content)
    with pytest.raises(InputError, match=expected) as error:
        run.read_text_split("test")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_evaluation_tokens(tmp_path, share):
    run = RunDirectory(tmp_path)
    text = TextSplit(np.arange(203, dtype=np.int32), np.array([0, 203]))
    run.write_token_split("validation", text)
    assert (run.read_token_split("validation").tokens == text.tokens).all()
    [file] = run.evaluation.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="missing or damaged"):
        run.read_token_split("validation")


@pytest.mark.parametrize("name", ["config.json", "corpus.json", "tokenizer.json"])
def test_deeply_nested_json(tmp_path, name):
    run = RunDirectory(tmp_path)
    (tmp_path / name).write_text(NESTED)
    read = {
        "config.json": lambda: run.config,
        "corpus.json": run.read_corpus_hash,
        "tokenizer.json": lambda: run.tokenizer,
    }
    with pytest.raises(InputError, match=name):
        read[name]()


def test_metrics_without_lines_that_are_not_json(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{NESTED}\n{{"step": 2\n[]\n{{"step": 3}}\n')
    assert [line["step"] for line in read_metric_lines(tmp_path / "metrics.jsonl")] == [1, 3]


def test_the_reason_of_an_error_is_told_without_the_name_of_its_class(tmp_path):
    def reason(act):
        with pytest.raises(Exception) as error:  # noqa: PT011
            act()
        return first_line(error.value)

    missing = tmp_path / "missing"
    assert reason(missing.read_text) == f"No such file or directory: {missing}"
    assert reason(lambda: {}["params"]) == "no 'params'"
    assert reason(lambda: json.loads("")) == "Expecting value: line 1 column 1 (char 0)"

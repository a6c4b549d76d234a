"""`tfmr score` and `tfmr align` as a user calls them, and odd input for them and for `tfmr translate`."""

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tfmr.cli import _dispatch, run
from tfmr.errors import InputError
from tfmr.runs import outputs
from tfmr.runs.run_directory import RunDirectory
from tfmr.translation import Translator

SOURCES = ["one two three", "", "four 5", "eight"]
TARGETS = ["3 ONE TWO", "7", "", "11 EIGHT SEVEN"]


def lines_of(*arguments: object) -> list[str]:
    """Runs a command with `--output` and returns the lines of that file."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        _dispatch([*map(str, arguments), "--output", str(output)])
        written = output.read_bytes()
    assert written.endswith(b"\n") or not written
    return written.decode().split("\n")[:-1]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / name for name in ("source", "target", "tsv")}
    paths["source"].write_text("".join(f"{line}\n" for line in SOURCES))
    paths["target"].write_text("".join(f"{line}\n" for line in TARGETS))
    paths["tsv"].write_text("".join(f"{pair[0]}\t{pair[1]}\n" for pair in zip(SOURCES, TARGETS, strict=True)))
    return paths


def test_score_writes_what_the_translator_says(trained: str, files: dict[str, Path]):
    lines = lines_of("score", trained, "--source", files["source"], "--target", files["target"])
    expected = Translator.from_run(trained).score(SOURCES, TARGETS)
    found = [[float(value) for value in line.split("\t")] for line in lines]
    np.testing.assert_allclose(found, [score[:2] for score in expected], atol=1e-5)
    assert lines_of("score", trained, "--source", files["tsv"]) == lines


def test_score_reads_pairs_from_standard_input(
    trained: str, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(files["tsv"].read_bytes())))
    _dispatch(["score", trained])
    assert capfdbinary.readouterr().out.decode().split("\n")[:-1] == lines_of(
        "score", trained, "--source", files["tsv"]
    )


def test_score_with_tokens_adds_up(trained: str, files: dict[str, Path]):
    options = ("score", trained, "--source", files["tsv"])
    with_tokens = lines_of(*options[:2], "--tokens", *options[2:])
    for line, plain, target in zip(with_tokens, lines_of(*options), TARGETS, strict=True):
        values = json.loads(line)
        assert [values["log_prob"], values["score"]] == [float(value) for value in plain.split("\t")]
        assert sum(values["token_log_probs"]) == pytest.approx(values["log_prob"], abs=1e-4)
        assert values["tokens"][-1] == "</s>"
        assert "".join(values["tokens"][:-1]).lstrip(" ") == target
        assert len(values["tokens"]) == len(values["token_log_probs"])


def test_a_run_with_itself_is_no_other(trained: str, files: dict[str, Path]):
    for command, option in (("score", "--source"), ("translate", "--input")):
        file = files["tsv" if command == "score" else "source"]
        assert lines_of(command, trained, "--ensemble", trained, trained, option, file) == lines_of(
            command, trained, option, file
        )


def test_align_writes_the_weights_or_their_links(trained: str, files: dict[str, Path]):
    options = ("align", trained, "--layer", "0", "--head", "1", "--source", files["source"], "--target")
    expected = Translator.from_run(trained).align(SOURCES, TARGETS, layer=0, head=1)
    for line, alignment in zip(lines_of(*options, files["target"]), expected, strict=True):
        values = json.loads(line)
        np.testing.assert_allclose(values["weights"], alignment.weights, atol=1e-6)
        assert [len(values["target"]), len(values["source"])] == list(alignment.weights.shape)
    links = lines_of(*options[:2], "--format", "links", *options[2:], files["target"])
    for line, alignment in zip(links, expected, strict=True):
        places = alignment.weights.argmax(axis=1)[:-1]  # the end mark has no link
        assert line == " ".join(f"{place}-{i}" for i, place in enumerate(places))


def test_plot_draws_a_given_pair_layer_and_head(trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Translator, "translate", None)  # a given target is not translated
    arguments = ["--sentence", "one two", "--target", "2 ONE", "--layer", "0", "--head", "1"]
    _dispatch(["plot", trained, *arguments, "--output", str(tmp_path)])
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")


ODD = {
    "empty file": b"",
    "control characters": "a\rb\nc\x0bd\x0c\ne\u2028f\x85g\n\x00\n\x0b\n\x1b[1m\x07\r\n\ufeff\n".encode(),
    "emoji": "😀👩‍👩‍👧\n🇩🇪\n".encode(),
    "no line feed at the end": b"one\ntwo",
    "a very long word": b"one\n" + b"a" * 100_000 + b"\ntwo\n",
    "a very long line": b"one\n" + b"one two " * 12_500 + b"\ntwo\n",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_lines_are_answered_line_by_line(name: str, trained: str, tmp_path: Path):
    (tmp_path / "in").write_bytes(ODD[name])
    number = len(ODD[name].removesuffix(b"\n").split(b"\n")) if ODD[name] else 0
    limit = ("--decoding.max-source-length", "24")
    translations = lines_of("translate", trained, *limit, "--input", tmp_path / "in")
    assert len(translations) == number
    assert not any("\r" in line for line in translations)
    assert len(lines_of("score", trained, *limit, "--source", tmp_path / "in", "--target", tmp_path / "in")) == number


def test_of_a_very_long_line_a_warning_tells(trained: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "in").write_bytes(ODD["a very long line"])
    with caplog.at_level("WARNING", "tfmr"):
        lines_of("translate", trained, "--input", tmp_path / "in", "--decoding.max-source-length", "24")
        scores = lines_of("score", trained, "--source", tmp_path / "in", "--target", tmp_path / "in")
    assert [record.getMessage()[:7] for record in caplog.records] == ["line 2:", "pair 2:"]
    assert scores[1] == "nan\tnan"


WRONG = {
    "bytes that are not UTF-8": (["translate", "{run}", "--input", "{bad}"], "bad: line 2 is not UTF-8"),
    "in pairs too": (["score", "{run}", "--source", "{bad}", "--target", "{good}"], "bad: line 2 is not UTF-8"),
    "unequal files": (["score", "{run}", "--source", "{good}", "--target", "{one}"], "2 lines but"),
    "no tab": (["align", "{run}", "--source", "{good}"], "line 1 has 0 tabs"),
    "a target alone": (["score", "{run}", "--target", "{good}"], ": requires --source"),
    "no such file": (["score", "{run}", "--source", "{good}x", "--target", "{good}"], "did you mean 'good'?"),
    "no such layer": (["align", "{run}", "--source", "{tsv}", "--layer", "1"], "layer = 1: must be from 0 to 0"),
    "no such head": (["plot", "{run}", "--head", "2"], "head = 2: must be from 0 to 1"),
    "no such run": (["score", "{run}", "--ensemble", "{run}x", "--source", "{tsv}"], ": not a run directory"),
}
PAIR = ["--source", "{good}", "--target", "{other}"]
OUTPUTS = {
    "the input": (["translate", "{run}", "--input", "{good}", "--output", "{good}"], "is also an input"),
    "a link to it": (["translate", "{run}", "--input", "{good}", "--output", "{link}"], "is also an input"),
    "the prefixes": (
        ["translate", "{run}", "--input", "{good}", "--prefixes", "{other}", "--output", "{other}"],
        "is also an input",
    ),
    "the source": (["score", "{run}", *PAIR, "--output", "{good}"], "is also an input"),
    "the target": (["align", "{run}", *PAIR, "--output", "{other}"], "is also an input"),
    "the reference": (["evaluate", "{run}", *PAIR, "--output", "{other}"], "is also an input"),
    "the run's reference": (["evaluate", "{run}", "--output", "{run}/evaluation/test.target.txt"], "part of the run"),
    "the run's config": (["translate", "{run}", "--input", "{good}", "--output", "{run}/config.json"], "is part of"),
    "the run's weights": (["score", "{run}", *PAIR, "--output", "{run}/best/x"], "is part of the run"),
    "a folder": (["evaluate", "{run}", "--output", "{run}"], "is a folder; choose a file name"),
    "no such folder": (["evaluate", "{run}", "--output", "{good}x/out"], "good"),
    "a file as a folder": (["align", "{run}", *PAIR, "--output", "{good}/out"], "cannot be written (Not a directory)"),
    "a file for pictures": (["plot", "{run}", "--output", "{good}"], "cannot be written to (Not a directory)"),
    "a model in a file": (["export", "{run}", "--output", "{good}/model"], "cannot be written (Not a directory)"),
    "a model over a file": (["export", "{run}", "--output", "{good}"], "already exists"),
    "a run in a file": (["import", "{good}", "{good}/run"], "cannot be written (Not a directory)"),
}


def files_in(folder: Path) -> dict[Path, tuple[int, int]]:
    """Returns the size and the time of change of every file in a folder."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_is_checked_before_any_work(name: str, trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    places = {file: str(tmp_path / file) for file in ("good", "other", "link")}
    for file in ("good", "other"):
        (tmp_path / file).write_bytes(b"one\ntwo\n")
    (tmp_path / "link").symlink_to(tmp_path / "good")
    before = [files_in(folder) for folder in (Path(trained), tmp_path)]
    for module in ("translation.translator", "language_model.task", "runs.parameters"):
        monkeypatch.setattr(f"tfmr.{module}.read_params", None)  # no weights are read
    arguments, expected = OUTPUTS[name]
    with pytest.raises(InputError) as error:
        _dispatch([argument.format(run=trained, **places) for argument in arguments])
    assert expected in str(error.value)
    assert [files_in(folder) for folder in (Path(trained), tmp_path)] == before


def test_standard_output_and_input_count_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    both = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    for name in ("_STDIN", "_STDOUT"):
        monkeypatch.setattr(outputs, name, both)
    for output, read in (("", ""), ("", str(tmp_path / "file")), (str(tmp_path / "file"), "")):
        with pytest.raises(InputError, match="is also an input"):
            outputs.check_output(output, [read])
    outputs.check_output(str(tmp_path / "new"), [""])
    os.close(both)
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_scores_are_printed_whatever_happens_to_the_output(trained: str, capsys: pytest.CaptureFixture[str]):
    _dispatch(["evaluate", trained])
    scores = capsys.readouterr().out
    with pytest.raises(InputError, match="'/dev/full': cannot be written"):
        _dispatch(["evaluate", trained, "--output", "/dev/full"])
    assert capsys.readouterr().out == scores


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_a_full_disk_is_told_in_one_line():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", "from tfmr.cli import main; main()", "--help"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (
        2,
        "error: standard output: cannot be written (No space left on device); free up space\n",
    )


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_one_line(name: str, trained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    contents = {"good": b"one\ntwo\n", "bad": b"fine\nbad \xe9\n", "one": b"one\n", "tsv": b"one\tONE\n"}
    for file, content in contents.items():
        (tmp_path / file).write_bytes(content)
    arguments, expected = WRONG[name]
    places = {file: str(tmp_path / file) for file in contents}
    output = [] if "--output" in arguments else ["--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as exit_:
        run(_dispatch, [argument.format(run=trained, **places) for argument in arguments] + output)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert expected in error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == contents


def test_runs_with_other_tokenizers_are_no_ensemble(trained: str, tmp_path: Path):
    other = RunDirectory(tmp_path / "other")
    config = RunDirectory.open(trained).config
    other.write_config(config)
    other.write_tokenizer(type(RunDirectory.open(trained).tokenizer).train("characters", ["abc"], 20))
    with pytest.raises(ValueError, match=r"run and .*other have different tokenizers"):
        _dispatch(["translate", trained, "--ensemble", str(tmp_path / "other")])

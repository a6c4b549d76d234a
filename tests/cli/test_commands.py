"""The commands as a user calls them: what they print, and one clear line for what is wrong."""

import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands_config import CONFIG

from tfmr.cli import _dispatch, run
from tfmr.cli.config_file import parse_config
from tfmr.cli.train import main as train_main
from tfmr.errors import InputError
from tfmr.runs.run_directory import RunDirectory

REPOSITORY = Path(__file__).resolve().parents[2]


def test_train_leaves_all_that_later_commands_need(trained: str, workspace: Path):
    run_directory = RunDirectory.open(trained)
    assert run_directory.config.training == CONFIG.training
    steps = [json.loads(line)["step"] for line in run_directory.metrics_file.read_text().splitlines()]
    assert steps == [1, 2, 2, 3, 4, 4]
    assert list(Path(trained, "tensorboard").glob("events*"))
    for split in ("validation", "test"):
        sources, references = run_directory.read_text_split(split)
        assert len(sources) == len(references) > 0
    assert not list(Path(trained).rglob("*.tmp*"))


def test_evaluate_ends_in_one_json_line(trained: str, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    _dispatch(["evaluate", trained, "--output", str(tmp_path / "out.txt")])
    last = capsys.readouterr().out.rstrip("\n").split("\n")[-1]
    scores = json.loads(last)
    assert set(scores) == {"bleu", "chrf", "loss", "perplexity", "signature", "sentences"}
    assert scores["sentences"] == len(RunDirectory(Path(trained)).read_text_split("test")[0])
    assert (tmp_path / "out.txt").read_text().count("\n") == scores["sentences"]
    assert "tok:13a" in scores["signature"]


def test_evaluate_takes_other_files(trained: str, workspace: Path, capsys: pytest.CaptureFixture[str]):
    files = ["--source", str(workspace / "corpus.en"), "--target", str(workspace / "corpus.de")]
    _dispatch(["evaluate", trained, *files, "--bleu-tokenizer", "char"])
    scores = json.loads(capsys.readouterr().out.rstrip("\n").split("\n")[-1])
    assert scores["sentences"] == 60
    assert "|tok:char|" in scores["signature"]


def translate(trained: str, text: bytes, tmp_path: Path, *options: str) -> bytes:
    (tmp_path / "in.txt").write_bytes(text)
    _dispatch(["translate", trained, "--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out"), *options])
    return (tmp_path / "out").read_bytes()


def test_translate_writes_a_line_for_each_line(trained: str, tmp_path: Path):
    # A line ends at a line feed only, and an empty or blank line stays empty.
    out = translate(trained, "one two\n\n  \nthree\u2028four\r\nfive".encode(), tmp_path)
    lines = out.decode().split("\n")
    assert len(lines) == 6
    assert lines[-1] == ""
    assert lines[1] == lines[2] == ""


def test_translate_refuses_bytes_that_are_not_utf8(trained: str, tmp_path: Path):
    with pytest.raises(InputError, match=r"line 2.*0xff"):
        translate(trained, b"one\ntwo \xff\n", tmp_path)


def test_translate_reads_standard_input(
    trained: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one two three\n\n")))
    _dispatch(["translate", trained, "--decoding.beam-size", "1"])
    assert capfdbinary.readouterr().out.count(b"\n") == 2


def test_average_is_then_what_is_used(trained: str, capsys: pytest.CaptureFixture[str]):
    _dispatch(["average", trained, "--last", "2"])
    assert "2, 4" in capsys.readouterr().out
    assert (Path(trained) / "averaged").is_dir()


def test_prepare_tells_what_is_there(workspace: Path, capsys: pytest.CaptureFixture[str]):
    _dispatch(["prepare", str(workspace / "tiny.py")])
    out = capsys.readouterr().out
    assert "train" in out
    assert "padding" in out


def test_prepare_writes_a_report(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["prepare", str(workspace / "tiny.py"), "--report", str(tmp_path / "new" / "report")]
    _dispatch(arguments)
    out = capsys.readouterr().out
    folder = tmp_path / "new" / "report"
    assert sorted(path.name for path in folder.iterdir()) == ["report.json", "report.png", "report.txt"]
    assert (folder / "report.txt").read_text() in out.replace(f"\n\nWritten to {folder}", "")
    total = json.loads((folder / "report.json").read_text())["total"]
    assert f"train       {total} pairs" in out
    before = (folder / "report.txt").stat().st_mtime_ns
    with pytest.raises(InputError, match="report: already exists; remove it or choose another path"):
        _dispatch(arguments)
    assert (folder / "report.txt").stat().st_mtime_ns == before


def test_a_failed_preparation_leaves_no_report(workspace: Path, tmp_path: Path):
    files = ["--data.source-file", str(tmp_path / "none")]
    with pytest.raises(InputError, match="none: no such file"):
        _dispatch(["prepare", str(workspace / "tiny.py"), *files, "--report", str(tmp_path / "report")])
    assert list(tmp_path.iterdir()) == []


def test_inspect_adds_up(trained: str, capsys: pytest.CaptureFixture[str]):
    _dispatch(["inspect", trained])
    counts = {}
    for line in capsys.readouterr().out.splitlines():
        name, _, value = line.partition("  ")
        if value.split() and value.split()[0].replace(",", "").isdigit():
            counts[name.strip()] = int(value.split()[0].replace(",", ""))
    total = counts.pop("total")
    assert sum(counts.values()) == total > 0


def test_plot_writes_pictures(trained: str, tmp_path: Path):
    _dispatch(["plot", trained, "--output", str(tmp_path)])
    for name in ("learning_curve.png", "attention.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_plot_writes_each_picture_that_is_named(trained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = {
        "attention": ["attention.png"],
        "beam": ["beam.png"],
        "curves": ["learning_curve.png"],
        "embeddings": ["embeddings.png"],
        "neighbours": ["neighbours.png"],
        "positions": ["positions.png", "position_products.png"],
        "schedule": ["schedule.png"],
    }
    options = ["--stack", "encoder", "--all-layers", "--decoding.beam-size", "3", "--tokens", "1", "o", "--number", "2"]
    _dispatch(["plot", trained, "--what", *names, *options, "--compare", trained, "--output", str(tmp_path)])
    written = capsys.readouterr().out.split()
    assert written == [str(tmp_path / name) for names_ in names.values() for name in names_]
    assert all(Path(name).read_bytes().startswith(b"\x89PNG") for name in written)


WRONG = {
    "unknown command": (["translat"], "'translat' (did you mean 'translate'?)"),
    "no config": (["prepare"], "no config file given; it comes first"),
    "missing config": (["prepare", "{folder}/tinny.py"], "tiny.py"),
    "unknown key": (["prepare", "{config}", "--training.stepz", "3"], "did you mean '--training.step"),
    "wrong section": (["prepare", "{config}", "--steps", "3"], "did you mean '--training.steps'?"),
    "wrong type": (["prepare", "{config}", "--training.steps", "many"], "--training.steps = 'many': must be a whole"),
    "wrong choice": (["prepare", "{config}", "--model.norm", "pots"], "post, pre (did you mean 'post'?)"),
    "no folder": (["prepare", "{config}", "--report"], "--report: needs a value"),
    "weights": (["prepare", "{config}", "--data.weights", "1", "2"], "must have one weight for each name in data.sour"),
    "no value": (["prepare", "{config}", "--training.steps"], "--training.steps: needs a value"),
    "impossible": (["prepare", "{config}", "--data.max-length", "9999"], "data.tokens_per_batch = 256"),
    "missing file": (["prepare", "{config}", "--data.source-file", "{folder}/corpus.eng"], "corpus.en"),
    "unequal files": (["prepare", "{config}", "--data.source-file", "{folder}/tiny.py"], "lines but"),
    "bad utf-8": (["prepare", "{config}", "--data.source-file", "{folder}/bad.en"], "line 2 is not UTF-8"),
    "nothing to export": (["export", "--format", "marian", "--output", "x"], "missing RUN; usage: tfmr export RUN"),
    "nowhere to import to": (
        ["import", "x", "--tokenizer", "y"],
        "usage: tfmr import SOURCE RUN",
    ),
    "no run": (["translate", "{folder}/nothing"], "nothing: not a run directory"),
    "no checkpoint": (["translate", "{run}", "--checkpoint", "99"], "no checkpoint '99'"),
    "no input": (["translate", "{run}", "--input", "{folder}/nothing.txt"], "nothing.txt"),
    "no such picture": (["plot", "{run}", "--what", "curves", "beem"], "'beem': must be one of curves,"),
    "no run to compare": (["plot", "{run}", "--what", "schedule", "--compare", "{folder}/x"], "x: not a run directory"),
    "several tokens": (
        ["plot", "{run}", "--what", "neighbours", "--tokens", "xyxy"],
        "--tokens 'xyxy': consists of 5 tokens",
    ),
    "a name that is too long": (["translate", "{run}", "--input", "x" * 300], "File name too long; check this path"),
    "a name of two lines": (["translate", "{run}", "--input", "a\nb"], "a\\nb: no such file"),
    "an empty name": (["export", "{run}", "--output="], "--output: missing"),
    "no new name": (["import", "{config}", ""], "the output path is empty"),
    "one file": (["evaluate", "{run}", "--source", "{folder}/corpus.en"], "give both or neither"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_one_line(
    name: str, trained: str, workspace: Path, capsys: pytest.CaptureFixture[str]
):
    (workspace / "bad.en").write_bytes(b"fine\nbad \xe9\n")
    before = sorted(workspace.rglob("*"))
    arguments, expected = WRONG[name]
    places = dict(folder=workspace, config=workspace / "tiny.py", run=trained)
    with pytest.raises(SystemExit) as exit_:
        run(_dispatch, [argument.format(**places) for argument in arguments])
    assert exit_.value.code == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert expected in output.err
    assert not output.out
    assert not [p for p in workspace.rglob("*") if p not in before and "tmp" in p.name], "something half-written"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")]
)
def test_too_little_memory_is_told_in_one_line(error: Exception, capsys: pytest.CaptureFixture[str]):
    def fails(arguments: list[str]) -> None:
        raise error

    with pytest.raises(SystemExit) as exit_:
        run(fails, [])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("error: out of memory; use ")
    error = RuntimeError("a mistake of ours")
    with pytest.raises(RuntimeError, match=r"^a mistake of ours$"):
        run(fails, [])


def test_another_architecture_is_refused(trained: str, workspace: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_:
        run(train_main, [str(workspace / "tiny.py"), "--model.d-ff", "64", "--training.steps", "6"])
    assert exit_.value.code == 2
    last = capsys.readouterr().err.rstrip("\n").split("\n")[-1]
    assert "model.d_ff = 64" in last
    assert "32" in last


def test_a_wrong_config_file_is_told_in_one_line(tmp_path: Path):
    cases = {
        "from tfmr import *\ndef get_config(): return Config(training=TrainingConfig(stepp=3))": "mean 'steps'",
        "def get_config(): return 3": "must return a tfmr.Config",
        "def get_confg(): return 3": "get_config",
        "def get_config(:": "SyntaxError",
        "from tfmr import *\ndef get_config(): return Config(training=TrainingConfig(steps=0))": "training.steps = 0",
    }
    for text, expected in cases.items():
        (tmp_path / "config.py").write_text(text)
        with pytest.raises(InputError, match=expected) as error:
            parse_config([str(tmp_path / "config.py")], "tfmr prepare")
        assert "\n" not in str(error.value)


def test_help_shows_each_field_with_its_meaning(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_:
        parse_config(["--help"], "python train.py")
    assert exit_.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--training.warmup-steps" in out
    assert "Steps of linear warmup" in out


def test_top_level_help_is_quick():
    command = [sys.executable, "-c", "import sys; sys.argv = ['tfmr', '--help']; import tfmr.cli; tfmr.cli.main()"]
    best = min(_seconds(command) for _ in range(3))
    assert best < 1.0


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "translate" in result.stdout
    return time.perf_counter() - start


@pytest.mark.parametrize("path", sorted(str(p) for p in (REPOSITORY / "configs").glob("*.py")))
def test_every_recipe_loads(path: str):
    config = parse_config([path], "python train.py")
    assert config.workdir == str(Path("runs") / Path(path).stem)


def test_translate_keeps_the_structure_of_a_document(trained: str, tmp_path: Path):
    (tmp_path / "page.html").write_bytes(b"<h1>One</h1>\r\n<p class=a>one <b>two</b> three.</p>\r\n")
    (tmp_path / "terms.tsv").write_text("one\tONE\n")
    names = ["--document", str(tmp_path / "page.html"), "--output", str(tmp_path / "out.html")]
    _dispatch(["translate", trained, *names, "--glossary", str(tmp_path / "terms.tsv")])
    found = (tmp_path / "out.html").read_bytes().decode()
    pattern = r"<h1>([^<>]*)</h1>\r\n<p class=a>([^<>]*<b>[^<>]*</b>[^<>]*)</p>\r\n"
    heading, text = re.fullmatch(pattern, found).groups()
    assert "ONE" in heading
    assert "ONE" in text


def test_documents_that_cannot_be_translated_are_refused_before_any_work(trained: str, tmp_path: Path):
    (tmp_path / "a.srt").write_text("Hello.\n")
    (tmp_path / "a.pdf").write_text("Hello.\n")
    (tmp_path / "b.txt").write_bytes(b"a \xff")
    (tmp_path / "terms.tsv").write_text("one\n")
    for options, message in [
        (["--document", f"{tmp_path}/a.srt"], "line 1: not SubRip"),
        (["--document", f"{tmp_path}/a.pdf"], "a.pdf': not a known type of document; the types are text, markdown"),
        (["--document", f"{tmp_path}/b.txt"], r"b.txt': is not UTF-8 \(byte 3\); save it as UTF-8"),
        (["--document", f"{tmp_path}/c.txt"], r"c.txt': cannot be read \(No such file"),
        (["--document", f"{tmp_path}/b.txt", "--n-best", "2"], "--document cannot be combined with --n-best"),
        (["--document", f"{tmp_path}/b.txt", "--input", "x"], "--document cannot be combined with --input"),
        (["--document", f"{tmp_path}/a.pdf", "--output", f"{tmp_path}/a.pdf"], "is also an input"),
        (["--input", f"{tmp_path}/a.srt", "--glossary", f"{tmp_path}/terms.tsv"], "terms.tsv, line 1: has 1 fields"),
        (["--input", f"{tmp_path}/a.srt", "--glossary", f"{tmp_path}/no.tsv"], "no.tsv': no such file"),
    ]:
        with pytest.raises(InputError, match=message):
            _dispatch(["translate", trained, *options])

"""`tfmr translate --mbr` and `--rescore`, and the options of other engines and scores, as a user calls them."""

from pathlib import Path

import pytest
from small_translators import make_translator

from tfmr.cli import _dispatch
from tfmr.config import Config, DecodingConfig
from tfmr.errors import InputError
from tfmr.runs import RunDirectory
from tfmr.runs.checkpoints import save_params
from tfmr.translation import Translator
from tfmr.translation.mbr import MinimumBayesRisk
from tfmr.translation.rescoring import Rescored

DECODING = DecodingConfig(extra_length=4)
LINES = ["abc", "", "jihg"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, str]:
    """Two runs of small models of letters, the second from right to left."""
    folder, made = tmp_path_factory.mktemp("choice"), {}
    for seed, name in enumerate(("first", "second")):
        translator, run = make_translator(DECODING, seed=seed), RunDirectory(folder / name)
        turned = translator.tokenizer.from_right_to_left()
        run.write_tokenizer(turned if name == "second" else translator.tokenizer)
        save_params(run.best, 0, translator.params)
        run.write_config(Config(model=translator.model.config, decoding=DECODING))
        made[name] = str(folder / name)
    return made


def written(runs: dict[str, str], folder: Path, *options: str) -> list[str]:
    (folder / "in").write_text("".join(line + "\n" for line in LINES))
    output = ["--input", str(folder / "in"), "--output", str(folder / "out")]
    _dispatch(["translate", runs["first"], *output, *options])
    return (folder / "out").read_text().split("\n")[:-1]


def refused(*arguments: str) -> str:
    with pytest.raises(InputError) as raised:
        _dispatch([*arguments])
    assert "\n" not in str(raised.value)
    return str(raised.value)


def rows(found) -> list[str]:
    return [f"{number}\t{x.score:.6f}\t{x.text}" for number, each in enumerate(found, start=1) for x in each]


def test_mbr_writes_the_samples_by_their_expected_score(runs, tmp_path):
    expected = MinimumBayesRisk(Translator.from_run(runs["first"]), 8).n_best(LINES, 3)
    assert written(runs, tmp_path, "--mbr", "8", "--n-best", "3") == rows(expected)
    assert written(runs, tmp_path, "--mbr", "8") == [each[0].text if each else "" for each in expected]
    bleu = MinimumBayesRisk(Translator.from_run(runs["first"]), 8, "bleu").n_best(LINES, 3)
    assert (
        written(runs, tmp_path, "--mbr", "8", "--mbr-metric", "bleu", "--n-best", "3") == rows(bleu) != rows(expected)
    )


def test_rescore_writes_the_beam_by_the_mean_score(runs, tmp_path):
    translators = [Translator.from_run(runs[name]) for name in ("first", "second")]
    expected = Rescored(*translators, 0.8).n_best(LINES, 4)
    options = ["--rescore", runs["second"], "--rescore-weight", "0.8"]
    assert written(runs, tmp_path, *options, "--n-best", "4") == rows(expected)
    assert written(runs, tmp_path, *options) == [each[0].text if each else "" for each in expected]
    assert expected != translators[0].n_best(LINES, 4)


def test_mistakes_are_one_line_before_any_work(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(Translator, "from_runs", None)
    translate = ["translate", runs["first"], "--input", str(tmp_path / "none")]
    for options, message in (
        (["--mbr", "-1"], "--mbr = -1: must be 0, or at least 2 samples"),
        (["--mbr", "1"], "--mbr = 1: must be 2 or more samples"),
        (["--mbr", "8", "--rescore", runs["second"]], "--mbr: cannot be combined with --rescore"),
        (
            ["--mbr", "8", "--engine", "ctranslate2"],
            "--mbr: draws samples, which --engine ctranslate2 does not support",
        ),
        (["--mbr", "8", "--n-best", "9"], "--n-best = 9: must be at most --mbr = 8"),
        (
            ["--mbr", "8", "--decoding.required", "a"],
            "--mbr = 8: draws samples, which cannot be combined with decoding.re",
        ),
        (["--rescore", str(tmp_path)], "not a run directory"),
        (["--rescore", runs["second"], "--rescore-weight", "2"], "--rescore-weight = 2.0: must be from 0 to 1"),
        (["--engine", "ctranslate3"], "--engine = 'ctranslate3': must be one of jax, ctranslate2"),
    ):
        assert message in refused(*translate, *options)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "needs the program comet-score" in refused(
        "evaluate", runs["first"], "--comet", "some/model", *pairs(tmp_path)
    )


def pairs(folder: Path) -> list[str]:
    for name in ("source", "target"):
        (folder / name).write_text("abc\n")
    return ["--source", str(folder / "source"), "--target", str(folder / "target")]


def test_other_formats_cannot_represent_right_to_left(runs, tmp_path):
    output = ["--output", str(tmp_path / "out")]
    assert "cannot represent a run that writes from right to left" in refused(
        "export", runs["second"], "--format", "marian", *output
    )
    _dispatch(["export", runs["second"], "--format", "tfmr", *output])
    _dispatch(["import", str(tmp_path / "out"), str(tmp_path / "again")])
    assert RunDirectory(tmp_path / "again").tokenizer.tags.right_to_left

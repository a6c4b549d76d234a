"""`tfmr compile` and the training account of `tfmr inspect`, as a user calls them."""

import importlib.util
import re
from pathlib import Path

import pytest

from tfmr.cli import _dispatch, run
from tfmr.cli import compile as command

TINY = """\
from tfmr import *


def get_config():
    layers = dict(num_encoder_layers=1, num_decoder_layers=1)
    model = TransformerConfig(d_model=16, d_ff=32, num_heads=2, d_k=8, d_v=8, **layers)
    return Config(model=model, data=PairsConfig(vocab_size=300, tokens_per_batch=512, max_length=16))
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "tiny.py").write_text(TINY, encoding="utf-8")
    return str(tmp_path / "tiny.py")


def value(name: str, text: str) -> float:
    """Returns the number behind a name."""
    match = re.search(rf"^ *{re.escape(name)} +([\d.e+,]+)", text, re.MULTILINE)
    assert match, f"{name} is not in\n{text}"
    return float(match[1].replace(",", ""))


def test_the_whole_account_for_host_devices(config: str, capsys: pytest.CaptureFixture[str]):
    _dispatch(["compile", config, "--topology", "cpu:8", "--mesh.fsdp", "2", "--model.vocab-size=40"])
    out = capsys.readouterr().out
    assert "8 x CPU device, mesh data=4 fsdp=2 tensor=1" in out
    assert "32 rows of 16 source and 16 target tokens" in out
    assert re.search(r"all-gather +2 ", out)
    assert re.search(r"all-reduce +8 ", out)
    # No row is empty, and nothing is recomputed; the loss has a few products of vectors.
    assert value("FLOPs of matrix products", out) == pytest.approx(value("FLOPs required by the model", out), rel=0.02)
    assert "roofline" not in out
    assert re.search(r"compiled in \d+ s", out)


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu: pip install 'tfmr[tpu]'")
def test_tpus_that_are_not_here(config: str, capsys: pytest.CaptureFixture[str]):
    _dispatch(["compile", config, "--topology", "v5e:2x2", "--model.dtype", "bfloat16"])
    out = capsys.readouterr().out
    assert "4 x v5e, mesh data=4" in out
    assert re.search(r"peak +[\d.]+ of 16.00 \(\d+%\)", out)
    assert re.search(r"all-reduce +4 ", out)
    assert re.search(r"full overlap +step .* ms, MFU .*%, [\d,]+ target tokens/s", out)


WRONG = {
    "no topology": ([], "name the chips, as in: tfmr compile"),
    "no value": (["--topology"], "--topology: needs a value"),
    "unknown chip": (["--topology", "v5x:4x4"], "choose one of v4, v5e, v5p, v6e, a100, h100, h200, cpu"),
    "no shape": (["--topology", "v5e"], "must give the shape of the v5e devices, as in v5e:16x16"),
    "wrong shape": (["--topology", "v5p:4x4"], "the shape of the v5p devices, as in v5p:4x4x4"),
    "too many": (["--topology", "cpu:99"], "this process has only 8 CPU devices"),
    "mesh": (["--topology", "cpu:8", "--mesh.data", "3"], "does not fit 8 devices"),
    "division": (["--topology", "cpu:8", "--mesh.tensor", "8"], "(16, 2, 8) cannot be sharded"),
    "unknown key": (["--topology", "cpu:8", "--mesh.tensr", "8"], "did you mean '--mesh.tensor'?"),
}


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        run(_dispatch, arguments)
    assert exit_.value.code == 2
    output = capsys.readouterr()
    assert not output.out
    assert re.fullmatch(r"error: .*\n", output.err)
    return output.err


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_before_compiling(
    name: str, config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    import tfmr.analysis.compile

    monkeypatch.setattr(tfmr.analysis.compile, "compile_step", lambda _: pytest.fail("it compiles"))
    arguments, expected = WRONG[name]
    assert expected in error_of(["compile", config, *arguments], capsys)


def test_without_libtpu_it_says_what_to_install(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    assert "pip install 'tfmr[tpu]'" in error_of(["compile", config, "--topology", "v5e:4x4"], capsys)


@pytest.mark.slow
def test_a_step_that_does_not_fit_ends_with_what_to_change(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from tfmr.models.chips import CHIPS, Chip

    monkeypatch.setattr(command, "parse_topology", lambda topology: ("toy", (8,)))
    monkeypatch.setattr(command, "_prepare_environment", lambda chip, shape: None)
    monkeypatch.setattr("tfmr.analysis.topologies.topology_devices", lambda chip, shape: __import__("jax").devices())
    for memory in (10**9, 10**4):
        monkeypatch.setitem(CHIPS, "toy", Chip("toy", 1e12, memory, 1e9, 1e9))
        if memory == 10**9:
            _dispatch(["compile", config, "--topology", "toy:8"])
            assert "MFU" in capsys.readouterr().out
            continue
        with pytest.raises(SystemExit) as exit_:
            run(_dispatch, ["compile", config, "--topology", "toy:8"])
        assert exit_.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("error: does not fit")
        for change in ("--data.tokens-per-batch", "--training.accumulation", "--model.remat", "--mesh.fsdp"):
            assert change in error


def test_inspect_tells_how_long_training_takes(config: str, capsys: pytest.CaptureFixture[str]):
    def hours(*options: str) -> float:
        _dispatch(["inspect", config, *options])
        return value("hours for 100,000 steps", capsys.readouterr().out)

    _dispatch(["inspect", config, "--data.tokens-per-batch", "1000000"])
    out = capsys.readouterr().out
    per_step = 1e6 * value("training FLOPs per target token", out)
    assert value("training FLOPs per step", out) == pytest.approx(per_step, rel=1e-3)
    large = ("--data.tokens-per-batch", "2000000000")
    expected = 2e3 * per_step * 100_000 / (918e12 * 4 * 0.5) / 3600
    assert hours("--chip", "v6e", "--chips", "4", "--mfu", "0.5", *large) == pytest.approx(expected, rel=0.01)
    for wrong, told in {"--chip": "unknown chip", "--chips": "must be 1 or more", "--mfu": "must be in"}.items():
        assert told in error_of(["inspect", config, wrong, "0"], capsys)

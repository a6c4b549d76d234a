"""The engine CTranslate2 against tfmr's own search, and against transformers, where ctranslate2 is installed."""

import dataclasses
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from exported_runs import LINES, make_run

from tfmr.cli import _dispatch
from tfmr.config import DecodingConfig, SamplingConfig
from tfmr.errors import InputError
from tfmr.interop import ctranslate2_cache
from tfmr.interop.ctranslate2_cache import converted
from tfmr.interop.ctranslate2_engine import CTranslate2Translator
from tfmr.runs import RunDirectory, load_run
from tfmr.runs.checkpoints import save_params
from tfmr.translation import Translator
from tfmr.translation.engines import open_translator

pytest.importorskip("ctranslate2")

GOLDEN = Path(__file__).parent / "golden"
FAMILIES = ["bart", "madlad", "mbart50", "nllb", "t5"]
ALIKE = [pytest.param(name, marks=pytest.mark.slow) for name in ("m2m100", "mbart", "mt5")]
BEAM = DecodingConfig(
    beam_size=4, alpha=0.6, extra_length=8, batch_size=32
)  # the penalty is gnmt, which CTranslate2 does not have


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> str:
    """The run of an imported model that was trained."""
    run = str(tmp_path_factory.mktemp("trained") / "run")
    _dispatch(["import", str(GOLDEN / "marian"), run])
    return run


@pytest.fixture(scope="module")
def random(tmp_path_factory) -> str:
    """The run of a model with random weights."""
    return make_run(tmp_path_factory.mktemp("random") / "run")


@pytest.fixture
def copied(random, tmp_path) -> str:
    """A run that a test may change: the model with random weights, without what was converted before."""
    config, tokenizer, params = load_run(random)
    run = RunDirectory(tmp_path / "copy")
    run.write_tokenizer(tokenizer)
    run.write_config(config)
    save_params(run.best, 0, params)
    return str(run.path)


def engine_of(run: str, config: DecodingConfig | None = None, **options) -> CTranslate2Translator:
    return CTranslate2Translator(run, config=config, **options)


class TestSame:
    def test_texts_tokens_and_scores_are_the_same_with_a_penalty_that_ctranslate2_does_not_have(self, trained):
        config = dataclasses.replace(BEAM, max_length=60, extra_length=60)
        ours = Translator.from_run(trained, config=config).n_best(LINES[:16], 1)
        theirs = engine_of(trained, config).n_best(LINES[:16], 1)
        pairs = [(mine, other) for [mine], [other] in zip(ours, theirs, strict=True)]
        # At the limit, CTranslate2 does not ask what the end would cost.
        pairs = [pair for pair in pairs if max(len(hypothesis.tokens) for hypothesis in pair) < 60]
        assert len({mine.text for mine, _ in pairs}) > 8
        for mine, other in pairs:
            assert (other.text, other.tokens) == (mine.text, mine.tokens)
            np.testing.assert_allclose(other.score, mine.score, atol=2e-3)

    @pytest.mark.parametrize("family", FAMILIES + ALIKE)
    def test_each_family_translates_as_in_transformers(self, family, tmp_path):
        _dispatch(["import", str(GOLDEN / family), str(tmp_path / "run")])
        cases = json.loads((GOLDEN / family / "translations.json").read_text())
        cases = [case for case in cases if "beam" in case][:4]
        config = dataclasses.replace(RunDirectory.open(tmp_path / "run").config.decoding, beam_size=4, extra_length=60)
        found = engine_of(str(tmp_path / "run"), config).translate([case["source"] for case in cases])
        assert found == [case["beam"] for case in cases]
        assert len(set(found)) > 2

    def test_options_that_no_family_has_compute_the_same(self, tmp_path):
        changes = dict(norm_type="rms", gated=True, activation="swish", d_k=12, d_v=12, scale_scores=False)
        changes |= dict(positions="tensor2tensor", tie_embeddings="none", start_token=3, feed_forward_bias=False)
        run = make_run(tmp_path / "run", norm_epsilon=0.01, **changes)
        # Random models seldom end by themselves: all outputs have one length.
        config = DecodingConfig(beam_size=1, min_length=16, max_length=16, batch_size=16)
        expected = Translator.from_run(run, config=config).translate(LINES[:16])
        assert engine_of(run, config).translate(LINES[:16]) == expected
        assert len(set(expected)) > 8

    def test_prefixes_limits_and_repetition_are_as_ours(self, random):
        config = DecodingConfig(beam_size=1, min_length=9, max_length=12, no_repeat_ngram=2, batch_size=8)
        lines, prefixes = [*LINES[:7], ""], ["The old", "", "A", "", "Three small", "", "The", ""]
        ours = Translator.from_run(random, config=config).n_best(lines, 1, prefixes)
        theirs = engine_of(random, config).n_best(lines, 1, prefixes)
        assert theirs[-1] == ours[-1] == []
        texts = [[best.text for best in each] for each in ours]
        assert [[best.text for best in each] for each in theirs] == texts
        assert all(each[0].text.startswith(prefix) for each, prefix in zip(theirs[:-1], prefixes, strict=False))
        lengths = [len(each[0].tokens) for each in theirs[:-1]]
        assert lengths == [len(each[0].tokens) for each in ours[:-1]]
        assert min(lengths) >= 9
        assert max(lengths) == 12

    def test_batches_do_not_matter_and_a_long_line_is_cut_with_a_warning(self, trained, caplog):
        config = dataclasses.replace(BEAM, max_source_length=12)
        with caplog.at_level(logging.WARNING, "tfmr"):
            found = [engine_of(trained, dataclasses.replace(config, batch_size=size)) for size in (1, 64)]
            one, many = (engine.translate(LINES[:9]) for engine in found)
        assert one == many
        assert "only the first 11 are translated" in caplog.text

    def test_scores_of_given_translations_are_those_of_the_run(self, random):
        pairs = [LINES[0]], ["Der Hund."]
        assert engine_of(random, BEAM).score(*pairs) == Translator.from_run(random, config=BEAM).score(*pairs)


class TestCache:
    def test_a_run_is_converted_once_and_again_when_its_parameters_change(self, copied):
        run = RunDirectory(copied)
        first = converted(run)
        written = (first / "model.bin").stat().st_mtime_ns
        assert converted(run) == first
        assert (first / "model.bin").stat().st_mtime_ns == written
        texts = engine_of(copied).translate(LINES[:5])
        params = load_run(copied)[2]
        params["embedding"]["embedding"] = params["embedding"]["embedding"][::-1].copy()
        save_params(run.best, 1, params)
        assert converted(run) != first
        assert engine_of(copied).translate(LINES[:5]) != texts
        assert {path.name for path in run.ctranslate2.iterdir()} == {first.name, converted(run).name}

    def test_an_unused_conversion_is_removed_after_a_week(self, copied):
        run = RunDirectory(copied)
        first = converted(run)
        os.utime(first, (1e9, 1e9))
        save_params(run.best, 1, load_run(copied)[2])
        second = converted(run)
        assert [path.name for path in run.ctranslate2.iterdir()] == [second.name] != [first.name]

    def test_a_conversion_that_fails_leaves_nothing(self, copied, monkeypatch):
        def fail(folder, *_):
            (folder / "model.bin").write_bytes(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(ctranslate2_cache, "write_ctranslate2", fail)
        with pytest.raises(KeyboardInterrupt):
            converted(RunDirectory(copied))
        assert list(RunDirectory(copied).ctranslate2.iterdir()) == []

    def test_a_damaged_conversion_is_named(self, copied):
        (converted(RunDirectory(copied)) / "model.bin").write_bytes(b"")
        with pytest.raises(InputError, match=r"cannot be read by CTranslate2 .*; remove this folder"):
            engine_of(copied)


class TestRefused:
    @pytest.mark.parametrize(
        "options",
        [
            {"coverage_penalty": 0.2},
            {"diversity": 0.5},
            {"forbidden": ("Hund",)},
            {"required": ("Hund",)},
            {"sampling": SamplingConfig(temperature=0.5)},
            {"max_length": 1},
        ],
        ids=lambda options: next(iter(options)),
    )
    def test_an_option_that_is_missing_is_named(self, random, options):
        [name] = options
        with pytest.raises(InputError, match=rf"ctranslate2': does not support decoding\.{name}.*; use --engine jax"):
            engine_of(random, DecodingConfig(**options))
        with pytest.raises(InputError, match=name):
            engine_of(random, BEAM).with_config(DecodingConfig(**options))

    def test_a_model_is_refused_before_its_parameters_are_read(self, copied, monkeypatch):
        run = RunDirectory(copied)
        config = run.config
        run.write_config(dataclasses.replace(config, model=dataclasses.replace(config.model, d_v=4)))
        monkeypatch.setattr(ctranslate2_cache, "load_run", None)
        with pytest.raises(
            InputError, match=r"CTranslate2 cannot represent this model: model.d_v = 4, must be model.d_k"
        ):
            engine_of(copied)

    def test_other_mistakes_are_one_line(self, random):
        for arguments, message in (
            (
                dict(engine="ctranslate2", compute_type="int8_float16"),
                "--compute-type = 'int8_float16': .*choose one of .*int8",
            ),
            (dict(compute_type="int8"), "--compute-type = 'int8': requires --engine ctranslate2"),
        ):
            with pytest.raises(InputError, match=message):
                open_translator([random], **arguments)
        with pytest.raises(InputError, match="cannot be combined with --ensemble"):
            open_translator([random, random], engine="ctranslate2")


def test_the_commands_take_the_engine(trained, tmp_path, capsys):
    source, target, out = (tmp_path / name for name in ("source", "target", "out"))
    source.write_text("".join(line + "\n" for line in LINES[:5]))
    expected = engine_of(trained, compute_type="int8").translate(LINES[:5])
    target.write_text("".join(line + "\n" for line in expected))
    options = ["--engine", "ctranslate2", "--compute-type", "int8"]
    _dispatch(["translate", trained, "--input", str(source), "--output", str(out), *options])
    assert out.read_text() == target.read_text()
    _dispatch(["evaluate", trained, "--source", str(source), "--target", str(target), *options])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["bleu"] == pytest.approx(100)

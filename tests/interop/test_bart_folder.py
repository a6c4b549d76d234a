"""Folders of M2M100, NLLB, BART and mBART against what transformers computed with them: made by make_golden_bart.py."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from tfmr.cli import _dispatch
from tfmr.data.tokenizer import BOS_ID, PAD_ID
from tfmr.interop import flatten
from tfmr.interop.bart_model import FAMILIES, from_bart
from tfmr.interop.folders import read_json, read_weights
from tfmr.interop.tagged_tokenizers import our_ids, read_tokenizer
from tfmr.models import Transformer
from tfmr.runs import load_run
from tfmr.translation import Translator

GOLDEN = Path(__file__).resolve().parent / "golden"
NAMES = ("nllb", "m2m100", "bart", "mbart50", "mbart")


@pytest.fixture(scope="module", params=NAMES)
def name(request) -> str:
    if request.param == "m2m100":
        pytest.importorskip("sentencepiece")
    return request.param


@pytest.fixture(scope="module")
def run(name, tmp_path_factory) -> str:
    """The run directory of an imported model."""
    folder = str(tmp_path_factory.mktemp("imported") / "run")
    _dispatch(["import", str(GOLDEN / name), folder])
    return folder


@pytest.fixture(scope="module")
def cases(name) -> list[dict]:
    """Lines, and what transformers made of them."""
    return json.loads((GOLDEN / name / "translations.json").read_text())


def model_of(name):
    """Returns an imported model's configuration, parameters, and its own id of each of tfmr's tokens."""
    folder = GOLDEN / name
    values = read_json(folder / "config.json")
    family = FAMILIES[values["model_type"]]
    return from_bart(family, values, read_weights(folder), 3, values["decoder_start_token_id"], name)


def test_logits_are_those_of_transformers(name):
    config, params, order = model_of(name)
    golden, ours = np.load(GOLDEN / name / "logits.npz", allow_pickle=False), our_ids(order)
    source, target = (np.vectorize(ours.get)(golden[side]).astype(np.int32) for side in ("source", "target"))
    target[:, 0] = BOS_ID  # another name of the token there
    segments = (source != PAD_ID).astype(np.int32)
    assert not segments.all()
    logits = jax.jit(Transformer(config).apply)({"params": params}, source, target, source_segments=segments)
    logits = np.asarray(logits)
    known = [number for number in range(len(order)) if number != BOS_ID]
    theirs = golden["logits"][..., [order[number] for number in known]]
    assert np.ptp(theirs) > 5
    np.testing.assert_allclose(logits[..., known], theirs, rtol=0, atol=1e-4)
    assert (logits[..., BOS_ID] < -9000).all()


def test_a_line_has_the_tokens_that_transformers_gives_it(name, run, cases):
    _, tokenizer, _ = load_run(run)
    order = model_of(name)[2]
    for case in cases:
        found = tokenizer.source_sequence(tokenizer.encode(case["source"]))
        assert [order[number] for number in found] == case["ids"], case["source"]


def test_50_greedy_tokens_are_those_of_transformers(name, run, cases):
    decoding = dataclasses.replace(load_run(run)[0].decoding, beam_size=1, extra_length=60)
    order = model_of(name)[2]
    cases = cases[:6] + cases[-2:]  # one shape, which never shrinks
    found = Translator.from_run(run, config=decoding).n_best([case["source"] for case in cases], 1)
    for (best,), case in zip(found, cases, strict=True):
        assert [order[number] for number in best.tokens] == case["greedy"][1:]
        assert best.text == case["text"]
    assert sum(len(best.tokens) for (best,) in found) > 100
    assert len({best.text for (best,) in found}) > len(found) / 2


def test_beam_search_is_that_of_transformers(run, cases):
    decoding = dataclasses.replace(load_run(run)[0].decoding, extra_length=60)
    assert (decoding.beam_size, decoding.length_penalty, decoding.alpha) == (4, "power", 1.0)
    cases = [case for case in cases if "beam" in case][:8]
    found = Translator.from_run(run, config=decoding).translate([case["source"] for case in cases])
    assert found == [case["beam"] for case in cases]
    assert len(set(found)) > 3


@pytest.mark.parametrize("file_format", ["own", "tfmr"])
def test_an_imported_model_that_is_exported_comes_back_whole(name, run, file_format, tmp_path):
    config, tokenizer, params = load_run(run)
    kind = read_json(GOLDEN / name / "config.json")["model_type"]
    _dispatch(["export", run, "--format", kind if file_format == "own" else "tfmr", "--output", str(tmp_path / "out")])
    if file_format == "own":
        theirs, again = read_weights(GOLDEN / name), read_weights(tmp_path / "out")
        for weight, x in again.items():
            start = 2 if weight.endswith("embed_positions.weight") else 0  # the first two are never used
            np.testing.assert_array_equal(x[start:], theirs[weight][start:], err_msg=weight)
        size = theirs["model.shared.weight"].shape[0]
        before, after = (read_tokenizer(folder, size) for folder in (GOLDEN / name, tmp_path / "out"))
        assert after.ids == before.ids
        assert after.languages == before.languages
    _dispatch(["import", str(tmp_path / "out"), str(tmp_path / "again")])
    same, other, weights = load_run(tmp_path / "again")
    assert same == config
    assert json.loads(other.to_json()) == json.loads(tokenizer.to_json())
    for weight, x in flatten(params).items():
        np.testing.assert_array_equal(flatten(weights)[weight], x, err_msg=weight)

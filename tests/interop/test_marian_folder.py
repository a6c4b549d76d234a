"""A Marian model's folder against what transformers computed with it: golden/, made by make_golden.py."""

import base64
import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from tfmr.cli import _dispatch
from tfmr.config import DecodingConfig
from tfmr.data.pairs import encode_pairs, evaluation_batches
from tfmr.data.tokenizer import BOS_ID, PAD_ID
from tfmr.errors import InputError
from tfmr.interop import flatten, from_marian, read_marian, write_marian
from tfmr.interop.generation_settings import from_generation, to_generation
from tfmr.interop.weights import read_arrays
from tfmr.models import Transformer
from tfmr.runs import load_run
from tfmr.translation import Translator
from tfmr.translation.scores import evaluate

GOLDEN = Path(__file__).resolve().parent / "golden"
FOLDER = GOLDEN / "marian"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    """The run directory of the imported model."""
    pytest.importorskip("sentencepiece")
    folder = str(tmp_path_factory.mktemp("imported") / "run")
    _dispatch(["import", str(FOLDER), folder])
    return folder


def test_logits_are_those_of_transformers():
    values = json.loads((FOLDER / "config.json").read_text())
    config, params, ids = from_marian(values, read_arrays(FOLDER / "model.safetensors")[0], 1)
    golden = np.load(GOLDEN / "logits.npz", allow_pickle=False)
    ours = {theirs: number for number, theirs in reversed(list(enumerate(ids)))}
    source, target = (np.vectorize(ours.get)(golden[side]).astype(np.int32) for side in ("source", "target"))
    assert (target[:, 0] == PAD_ID).all()
    target[:, 0] = BOS_ID  # the same vector
    segments = (source != PAD_ID).astype(np.int32)
    assert not segments.all()
    apply = jax.jit(Transformer(config).apply)
    logits = np.asarray(apply({"params": params}, source, target, source_segments=segments))
    known = [number for number in range(len(ids)) if number != BOS_ID]
    theirs = golden["logits"][..., [ids[number] for number in known]]
    assert np.ptp(theirs) > 5
    np.testing.assert_allclose(logits[..., known], theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_translations_are_those_of_transformers(run, search):
    cases = json.loads((GOLDEN / "translations.json").read_text())
    decoding = load_run(run)[0].decoding
    assert decoding == DecodingConfig(beam_size=4, length_penalty="power", alpha=1.0)
    beam = 4 if search == "beam" else 1
    decoding = dataclasses.replace(decoding, beam_size=beam, extra_length=40, batch_size=64)  # one shape
    found = Translator.from_run(run, config=decoding).translate([case["source"] for case in cases])
    assert found == [case[search] for case in cases]
    assert len(set(found)) > len(found) / 2


def test_a_line_has_the_pieces_that_transformers_gives_it(run):
    _, tokenizer, _ = load_run(run)
    vocabulary = json.loads((FOLDER / "vocab.json").read_text())
    names = {number: piece for piece, number in vocabulary.items()}
    for case in json.loads((GOLDEN / "translations.json").read_text()):
        pieces = json.loads(tokenizer.to_json())["model"]["vocab"]
        expected = [pieces[names[number]] for number in case["ids"][:-1]]  # the last ends the line
        assert tokenizer.encode(case["source"]) == expected


def test_an_imported_model_is_evaluated(run):
    translator = Translator.from_run(run, config=DecodingConfig(beam_size=1, extra_length=4))
    pairs = [("The sun shines.", "Die Sonne scheint."), ("A dog.", "Ein Hund.")]
    sources, targets = map(list, zip(*pairs, strict=True))
    batches = evaluation_batches(encode_pairs(translator.tokenizer, sources, targets))
    scores = evaluate(translator, sources, targets, batches)
    assert 0 < scores.loss < 20


def test_an_imported_model_goes_out_as_it_came(run, tmp_path):
    config, tokenizer, params = load_run(run)
    write_marian(tmp_path, config.model, params, tokenizer.to_json(), config.decoding)
    again = read_marian(tmp_path)
    assert again.config == config.model
    for name, x in flatten(params).items():
        np.testing.assert_array_equal(flatten(again.params)[name], x, err_msg=name)
    before = read_marian(FOLDER)
    mine, theirs = (json.loads(model.tokenizer_json)["model"] for model in (again, before))
    assert mine == {**theirs, "vocab": {**theirs["vocab"], "<s>": BOS_ID}}
    for side in ("source", "target"):
        assert base64.b64decode(mine[side]) == (FOLDER / f"{side}.spm").read_bytes()
    assert again.decoding == dataclasses.replace(before.decoding, max_length=511)  # transformers needs a limit
    assert before.languages == ("eng", "deu")


@pytest.mark.parametrize("file_format", ["marian", "tfmr"])
def test_an_imported_model_that_is_exported_comes_back_whole(run, file_format, tmp_path):
    _dispatch(["export", run, "--format", file_format, "--output", str(tmp_path / "out")])
    _dispatch(["import", str(tmp_path / "out"), str(tmp_path / "again")])
    (config, tokenizer, params), (same, again, weights) = load_run(run), load_run(tmp_path / "again")
    assert same == config
    assert (config.data.source_language, config.data.target_language) == ("eng", "deu")
    assert again.to_json() == tokenizer.to_json()
    for name, x in flatten(params).items():
        np.testing.assert_array_equal(flatten(weights)[name], x, err_msg=name)


def test_decoding_settings_are_those_of_transformers():
    """Lengths there count the first token of the decoder's input as well."""
    values = {"num_beams": 6, "length_penalty": 0.8, "max_length": 100, "min_length": 3, "no_repeat_ngram_size": 2}
    found = from_generation(values)
    assert found == DecodingConfig(6, "power", 0.8, max_length=99, min_length=3, no_repeat_ngram=2)
    assert to_generation(found) == values
    assert from_generation(to_generation(DecodingConfig(min_length=600))).max_length == 600
    assert from_generation({}) == DecodingConfig(beam_size=1, length_penalty="power", alpha=1.0)


class TestWrongFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        return Path(shutil.copytree(FOLDER, tmp_path / "marian"))

    def refused(self, folder) -> str:
        with pytest.raises(InputError) as raised:
            read_marian(folder)
        message = str(raised.value)
        assert "\n" not in message
        return message

    def test_missing_files_are_all_named(self, folder):
        assert "folder not found" in self.refused(folder / "nowhere")
        for name in ("config.json", "target.spm"):
            (folder / name).unlink()
        assert "has no config.json and no target.spm; it needs config.json" in self.refused(folder)

    def test_a_pickle_is_not_read_but_what_to_do_is_said(self, folder):
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        message = self.refused(folder)
        assert "has no model.safetensors; tfmr does not unpickle pytorch_model.bin" in message
        assert f"save_pretrained('{folder}')" in message

    @pytest.mark.parametrize("content", ["", "[1]", "{", '{"a": 1}', "\x00"])
    @pytest.mark.parametrize("name", ["config.json", "vocab.json"])
    def test_damaged_json_is_named(self, folder, name, content):
        (folder / name).write_text(content)
        assert str(folder) in self.refused(folder)

    def test_damaged_weights_are_named(self, folder):
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        assert "cannot be read as safetensors" in self.refused(folder)

    def test_a_vocabulary_larger_than_the_models_is_named(self, folder):
        vocabulary = json.loads((folder / "vocab.json").read_text())
        (folder / "vocab.json").write_text(json.dumps(vocabulary | {"more": 5000}))
        assert "has ids [5000]; ids must be below vocab_size" in self.refused(folder)

    def test_a_damaged_sentence_piece_model_is_named_and_nothing_is_left(self, folder, tmp_path):
        pytest.importorskip("sentencepiece")
        (folder / "target.spm").write_bytes(b"no model")
        with pytest.raises(InputError, match=r"marian, target: not a SentencePiece model"):
            _dispatch(["import", str(folder), str(tmp_path / "run")])
        assert [path.name for path in tmp_path.iterdir()] == ["marian"]

"""What M2M100, BART and mBART cannot be, in both directions, and wrong folders: one line each, with every reason."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tfmr.cli import _dispatch
from tfmr.errors import InputError
from tfmr.interop import check_marian, read_bart
from tfmr.interop.bart_model import FAMILIES, check_bart, from_bart
from tfmr.interop.folders import read_json, read_weights
from tfmr.interop.tagged_tokenizers import read_tokenizer
from tfmr.interop.weights import write_arrays
from tfmr.models import TransformerConfig
from tfmr.runs import load_run

GOLDEN = Path(__file__).resolve().parent / "golden"
FAIRSEQ = TransformerConfig(
    vocab_size=9, norm="pre", positions="fairseq", norm_epsilon=1e-5, scale_embeddings=False, start_token=3
)


def refused(call, *arguments) -> str:
    with pytest.raises(InputError) as raised:
        call(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("kind", "changes", "reasons"),
    [
        ("m2m_100", {"output_bias": True}, ["output_bias = True, must be False"]),
        ("m2m_100", {"norm": "post", "embedding_norm": True}, ["norm = 'post'", "embedding_norm = True"]),
        ("bart", {}, ["norm = 'pre'", "positions = 'fairseq', must be 'learned'", "embedding_norm = False"]),
        ("mbart", {"tie_embeddings": "none", "d_k": 32}, ["tie_embeddings = 'none'", "d_k = 32", "positions"]),
        ("mbart", {"norm_epsilon": 1e-6}, ["norm_epsilon = 1e-06, must be 1e-05"]),
    ],
)
def test_all_reasons_why_a_family_cannot_hold_a_model_are_given_at_once(kind, changes, reasons):
    message = refused(check_bart, FAMILIES[kind], dataclasses.replace(FAIRSEQ, **changes))
    assert f"{FAMILIES[kind].title} cannot represent this model" in message
    for reason in reasons:
        assert f"model.{reason}" in message


def test_a_model_of_m2m100_is_one():
    check_bart(FAMILIES["m2m_100"], FAIRSEQ)


def test_marian_refuses_the_options_of_fairseq():
    config = dataclasses.replace(FAIRSEQ, embedding_norm=True)
    message = refused(check_marian, config)
    for reason in ("positions = 'fairseq'", "scale_embeddings = False", "embedding_norm = True", "start_token = 3"):
        assert f"model.{reason}, must be" in message


def test_all_reasons_why_a_model_cannot_be_ours_are_given_at_once():
    values = read_json(GOLDEN / "nllb" / "config.json")
    wrong = {
        "model_type": "bart",
        "decoder_ffn_dim": 7,
        "activation_function": "tanh",
        "pad_token_id": 0,
        "normalize_before": False,
        "tie_word_embeddings": False,
    }
    message = refused(from_bart, FAMILIES["m2m_100"], values | wrong, {}, 3, 2, "folder")
    for name, value in wrong.items():
        assert f"{name} = {value!r}" in message


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("bart", {"model.encoder.layernorm_embedding.weight": None}, "missing: model.encoder.layernorm_embedding"),
        ("bart", {"model.encoder.embed_positions.weight": np.zeros((7, 16), np.float32)}, "instead of (130, 16)"),
        ("bart", {"lm_head.weight": np.zeros((3, 16), np.float32)}, "lm_head.weight differs from model.shared.weight"),
        ("nllb", {"model.encoder.embed_positions.weights": np.zeros((9, 16), np.float32)}, "the sinusoids of fairseq"),
        ("nllb", {"final_logits_bias": np.zeros((1, 125), np.float32)}, "unknown: final_logits_bias"),
    ],
)
def test_weights_that_do_not_fit_are_named(name, changes, reason):
    values, weights = read_json(GOLDEN / name / "config.json"), read_weights(GOLDEN / name)
    weights = {key: x for key, x in (weights | changes).items() if x is not None}
    assert reason in refused(from_bart, FAMILIES[values["model_type"]], values, weights, 3, 2)


def test_the_weights_of_a_model_without_logits_are_read_too():
    """As in facebook/bart-base: no prefix, no bias of the logits, each table once for each use, and two numbers."""
    values, weights = read_json(GOLDEN / "bart" / "config.json"), read_weights(GOLDEN / "bart")
    bare = {key.removeprefix("model."): x for key, x in weights.items() if key != "final_logits_bias"}
    bare |= {f"{stack}.embed_tokens.weight": bare["shared.weight"] for stack in ("encoder", "decoder")}
    bare |= {"encoder.version": np.zeros(1, np.float32)}
    _, params, _ = from_bart(FAMILIES["bart"], values, bare, 3, 2)
    _, expected, order = from_bart(FAMILIES["bart"], values, weights, 3, 2)
    assert not params["output_bias"].any()
    np.testing.assert_array_equal(params["embedding"]["embedding"], expected["embedding"]["embedding"])
    np.testing.assert_array_equal(params["embedding"]["embedding"], weights["model.shared.weight"][order])


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        return Path(shutil.copytree(GOLDEN / "nllb", tmp_path / "nllb"))

    def test_weights_in_several_files_are_the_same_model(self, folder, tmp_path):
        weights = read_weights(folder)
        names = sorted(weights)
        (folder / "model.safetensors").unlink()
        where = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(names)}
        for file in set(where.values()):
            write_arrays(folder / file, {name: weights[name] for name in names if where[name] == file}, {})
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
        for source, run in ((folder, "a"), (GOLDEN / "nllb", "b")):
            _dispatch(["import", str(source), str(tmp_path / run)])
        (config, _, params), (same, _, expected) = load_run(tmp_path / "a"), load_run(tmp_path / "b")
        assert config == same
        np.testing.assert_array_equal(params["embedding"]["embedding"], expected["embedding"]["embedding"])
        (folder / "model-1.safetensors").unlink()
        assert "1 of the 2 weight files" in refused(read_bart, folder)

    def test_missing_files_are_all_named(self, folder):
        (folder / "tokenizer.json").unlink()
        message = refused(read_bart, folder)
        assert "has no tokenizer.json and no sentencepiece.bpe.model; it needs config.json, model.saf" in message
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        message = refused(read_bart, folder)
        assert "has no model.safetensors and no tokenizer.json" in message
        assert "import M2M100ForConditionalGeneration as M" in message

    def test_damaged_tokenizers_are_named(self, folder):
        content = json.loads((folder / "tokenizer.json").read_text())
        for damaged, reason in (
            ({"model": {}}, "not a tokenizer.json of the tokenizers library"),
            (
                {**content, "added_tokens": [{"id": 900, "content": "x"}]},
                "has token id 900; ids must be below vocab_size",
            ),
            ({"model": {**content["model"], "vocab": {"a": 0}}}, "has no token <s> and no <pad> and no </s>"),
        ):
            (folder / "tokenizer.json").write_text(json.dumps(damaged))
            assert reason in refused(read_bart, folder)

    def test_a_folder_of_another_family_is_named(self):
        assert "has model_type 'gpt2'; it must be one of m2m_100, bart, mbart" in refused(read_bart, GOLDEN / "gpt2")

    def test_a_model_whose_first_token_is_unknown_is_refused(self, folder):
        for file in ("config.json", "generation_config.json"):
            values = json.loads((folder / file).read_text())
            (folder / file).write_text(json.dumps({**values, "decoder_start_token_id": None}))
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "tgt_lang": None}))
        assert "decoder_start_token_id = None in its config.json; it must be the id" in refused(read_bart, folder)

    def test_bart_is_read_from_vocab_and_merges(self, tmp_path):
        folder = Path(shutil.copytree(GOLDEN / "bart", tmp_path / "bart"))
        content = json.loads((folder / "tokenizer.json").read_text())
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
        merges = [" ".join(pair) for pair in content["model"]["merges"]]
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges))
        for source, run in ((folder, "a"), (GOLDEN / "bart", "b")):
            _dispatch(["import", str(source), str(tmp_path / run)])
        tokenizer, expected = load_run(tmp_path / "a")[1], load_run(tmp_path / "b")[1]
        assert tokenizer.tags == expected.tags
        for line in ("The sun shines.", " two  spaces ", "a </s> b <mask>", "Ünknown 漢"):
            assert tokenizer.encode(line) == expected.encode(line)

    def test_a_sentence_piece_model_alone_has_the_ids_of_fairseq(self, tmp_path):
        """As mBART-50 on the hub: <s>, <pad>, </s>, <unk>, the model's pieces from its third on, languages, <mask>."""
        pytest.importorskip("sentencepiece")
        shutil.copy(GOLDEN / "m2m100" / "sentencepiece.bpe.model", tmp_path)
        assert "the tokens of its languages are in neither" in refused(read_tokenizer, tmp_path, 200)
        listed = {"additional_special_tokens": ["en_XX", "de_DE"]}
        (tmp_path / "special_tokens_map.json").write_text(json.dumps(listed))
        found = read_tokenizer(tmp_path, 200)
        pieces = read_json(GOLDEN / "m2m100" / "vocab.json")  # in the same order
        size = len(pieces)
        assert found.ids == {**pieces, "en_XX": size, "de_DE": size + 1, "<mask>": size + 2}
        assert found.languages == {"en_XX": size, "de_DE": size + 1}
        (tmp_path / "sentencepiece.bpe.model").write_bytes(b"no model")
        assert "sentencepiece.bpe.model: not a SentencePiece model" in refused(read_tokenizer, tmp_path, 200)

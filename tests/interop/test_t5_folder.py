"""Folders of T5, mT5 and MADLAD-400 against what transformers computed with them: see make_golden_t5.py."""

import base64
import dataclasses
import functools
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from tfmr.cli import _dispatch
from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.interop import flatten, read_t5
from tfmr.interop.t5_model import check_t5, from_t5, to_t5
from tfmr.interop.unigram import from_sentence_piece
from tfmr.models import Transformer, TransformerConfig
from tfmr.runs import load_run
from tfmr.translation import Translator

GOLDEN = Path(__file__).resolve().parent / "golden"
FAMILIES = pytest.mark.parametrize("family", ["t5", "mt5", "madlad"])
THEIR_IDS = {"t5": [0, 2, None, 1, 3], "mt5": [0, 2, None, 1, 3], "madlad": [1, 0, None, 2, 3]}
"""The ids of the first tokens in tfmr's order."""


@functools.cache
def imported(family) -> Any:
    return read_t5(GOLDEN / family)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, str]:
    """The run directories of the imported models."""
    folder = tmp_path_factory.mktemp("imported")
    for family in THEIR_IDS:
        _dispatch(["import", str(GOLDEN / family), str(folder / family)])
    return {family: str(folder / family) for family in THEIR_IDS}


def results(family):
    """Returns what transformers computed, with tfmr's token ids, and the ids of transformers in tfmr's order."""
    found = dict(np.load(GOLDEN / family / "results.npz", allow_pickle=False))
    size = found["logits"].shape[-1]
    order = THEIR_IDS[family] + list(range(4, size))
    ours = {theirs: number for number, theirs in enumerate(order) if theirs is not None}
    for name in ("source", "target", "greedy"):
        found[name] = np.vectorize(ours.get)(found[name]).astype(np.int32)
    return found, order


@FAMILIES
def test_logits_are_those_of_transformers(family):
    config, _, params = imported(family)
    golden, order = results(family)
    assert config.model.start_token == (UNK_ID if family == "madlad" else PAD_ID)
    assert (golden["target"][:, 0] == config.model.start_token).all()
    golden["target"][:, 0] = BOS_ID  # which stands for it
    segments = (golden["source"] != PAD_ID).astype(np.int32)
    assert not segments.all()
    apply = jax.jit(Transformer(config.model).apply)
    logits = np.asarray(apply({"params": params}, golden["source"], golden["target"], source_segments=segments))
    known = [number for number in range(len(order)) if number != BOS_ID]
    theirs = golden["logits"][..., [order[number] for number in known]]
    assert np.ptp(theirs) > 5
    np.testing.assert_allclose(logits[:, ::4][..., known], theirs, rtol=0, atol=1e-4)  # those of every fourth place
    assert (logits[..., BOS_ID] < -1000).all()


@FAMILIES
def test_50_greedy_tokens_are_those_of_transformers(runs, family):
    config, tokenizer, _ = load_run(runs[family])
    decoding = dataclasses.replace(config.decoding, beam_size=1, min_length=51, max_length=51, batch_size=64)
    translator = Translator.from_run(runs[family], config=decoding)
    golden, _ = results(family)
    cases = json.loads((GOLDEN / family / "translations.json").read_text())
    lines = {case["source"]: tokenizer.encode(case["source"]) for case in cases}
    ids = [[token for token in row if token not in (PAD_ID, EOS_ID)] for row in golden["source"].tolist()]
    texts = [next(text for text, tokens in lines.items() if tokens == row) for row in ids if row in lines.values()]
    assert len(texts) > 1
    expected = [row for row, tokens in zip(golden["greedy"].tolist(), ids, strict=True) if tokens in lines.values()]
    for (best,), tokens in zip(translator.n_best(texts, 1), expected, strict=True):
        assert list(best.tokens[:50]) == tokens
    assert len(set(map(tuple, expected))) > 1


@pytest.mark.parametrize("search", ["greedy", "beam"])
@FAMILIES
def test_translations_are_those_of_transformers(runs, family, search):
    cases = json.loads((GOLDEN / family / "translations.json").read_text())
    decoding = load_run(runs[family])[0].decoding
    assert decoding == DecodingConfig(beam_size=1, length_penalty="power", alpha=1.0)
    # No hypothesis of the beam is as long as the limit. A greedy one may be, to which EOS is added here.
    own = dict(beam_size=4, extra_length=40) if search == "beam" else dict(beam_size=1, extra_length=41)
    decoding = dataclasses.replace(decoding, batch_size=64, **own)
    found = Translator.from_run(runs[family], config=decoding).translate([case["source"] for case in cases])
    assert found == [case[search] for case in cases]
    assert len(set(found)) > len(found) / 2


@FAMILIES
def test_a_line_has_the_tokens_that_transformers_gives_it(runs, family):
    _, tokenizer, _ = load_run(runs[family])
    _, order = results(family)
    for case in json.loads((GOLDEN / family / "translations.json").read_text()):
        assert [order[token] for token in tokenizer.encode(case["source"])] == case["ids"][:-1]  # the last is EOS


def test_a_language_and_a_sentinel_are_one_token_and_special_tokens_are_text():
    tokenizer = imported("madlad")[1]
    names = tokenizer.token_texts(range(tokenizer.vocab_size))
    assert names[:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    language, *rest = tokenizer.encode("<2pt> the sun")
    assert names[language] == "<2pt>"
    assert rest == tokenizer.encode("the sun")
    assert [names[token] for token in tokenizer.encode("<2de><extra_id_3>")] == ["<2de>", "<extra_id_3>"]
    for text in ("</s>", "a <pad> b", "<s>", "<unk>"):
        assert not {PAD_ID, BOS_ID, EOS_ID} & set(tokenizer.encode(text))
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.encode("<2pt> the </s> sun") == tokenizer.encode("<2pt> the </s> sun")
    ids = tokenizer.encode("the old  dog")
    assert tokenizer.decode([BOS_ID, *ids, EOS_ID, PAD_ID]) == "the old dog"
    assert b"".join(tokenizer.pieces()[token] for token in ids) == b" the old dog"


def test_the_language_of_the_target_can_be_chosen_or_named_in_the_text(runs, tmp_path):
    plain = imported("madlad")[1]
    line = plain.encode("the sun")
    assert list(plain.tags.languages) == ["de", "pt"]
    german, portuguese = plain.encode("<2de>") + plain.encode("<2pt>")
    chosen = plain.with_languages(target="de")
    assert plain.source_sequence(line) == [*line, EOS_ID]
    assert chosen.source_sequence(line) == [german, *line, EOS_ID]
    assert chosen.source_sequence(plain.encode("<2pt> the sun")) == [portuguese, *line, EOS_ID]
    assert chosen.target_sequence(line) == [*line, EOS_ID]
    assert imported("t5")[1].tags.languages == {}
    # The command does the same, and so does an import that names the language.
    (tmp_path / "in").write_text("The sun shines.\n")
    (tmp_path / "named").write_text("<2pt> The sun shines.\n")
    _dispatch(["import", str(GOLDEN / "madlad"), str(tmp_path / "run"), "--target-lang", "pt"])
    commands = {
        "chosen": [runs["madlad"], "--input", str(tmp_path / "in"), "--target-lang", "pt"],
        "in the text": [runs["madlad"], "--input", str(tmp_path / "named")],
        "both": [runs["madlad"], "--input", str(tmp_path / "named"), "--target-lang", "de"],
        "imported": [str(tmp_path / "run"), "--input", str(tmp_path / "in")],
        "none": [runs["madlad"], "--input", str(tmp_path / "in")],
    }
    found = {}
    for name, command in commands.items():
        _dispatch(["translate", *command, "--output", str(tmp_path / name)])
        found[name] = (tmp_path / name).read_text()
    assert found["chosen"] == found["in the text"] == found["both"] == found["imported"] != found["none"]
    with pytest.raises(InputError, match=r"target_lang = 'xx': is not a language of this model; .* are de, pt"):
        _dispatch(["translate", *commands["none"], "--target-lang", "xx"])


@FAMILIES
def test_a_tag_can_be_added(family):
    tokenizer = imported(family)[1]
    larger = tokenizer.with_tokens(["<2xy>"])
    assert larger.source_sequence(larger.encode("<2xy> the sun")) == [
        tokenizer.vocab_size,
        *tokenizer.encode("the sun"),
        EOS_ID,
    ]
    assert larger.tags == tokenizer.tags
    assert not {PAD_ID, BOS_ID, EOS_ID} & set(larger.encode("</s> <s>"))


def test_a_sentence_piece_model_keeps_its_normalization():
    """A field that the golden files do not have, since it is large: here a table of one entry is added to one."""
    data = (GOLDEN / "mt5" / "spiece.model").read_bytes()
    assert from_sentence_piece(data, 2, "x")["normalizer"] is None
    settings = b"\x12\x03abc"  # field 2, of three bytes
    content = from_sentence_piece(data + b"\x1a" + bytes([len(settings)]) + settings, 2, "x")
    assert base64.b64decode(content["normalizer"]["precompiled_charsmap"]) == b"abc"
    assert [piece for piece, _ in content["model"]["vocab"][-2:]] == ["<extra_id_1>", "<extra_id_0>"]


@FAMILIES
def test_an_imported_model_goes_out_as_it_came(runs, family, tmp_path):
    name = "mt5" if family == "mt5" else "t5"
    _dispatch(["export", runs[family], "--format", name, "--output", str(tmp_path / "out")])
    _dispatch(["import", str(tmp_path / "out"), str(tmp_path / "again")])
    (config, tokenizer, params), (same, again, weights) = load_run(runs[family]), load_run(tmp_path / "again")
    assert same == config
    assert again.to_json() == tokenizer.to_json()
    for key, x in flatten(params).items():
        np.testing.assert_array_equal(flatten(weights)[key], x, err_msg=key)
    values = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (values["pad_token_id"], values["eos_token_id"]) == (0, 1)
    assert values["decoder_start_token_id"] == (2 if family == "madlad" else 0)


SMALL = TransformerConfig(
    vocab_size=19, num_encoder_layers=1, num_decoder_layers=2, d_model=8, d_ff=12, num_heads=2, d_k=3, d_v=3,
    norm="pre", norm_type="rms", positions="relative", relative_buckets=8, relative_max_distance=30,
    scale_embeddings=False, scale_scores=False, feed_forward_bias=False, attention_dropout_rate=0.1,
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"scale_output": True, "activation": "gelu"},
        {"tie_embeddings": "inputs", "gated": True, "activation": "gelu", "start_token": UNK_ID},
        {"gated": True, "activation": "swish", "scan_layers": True, "start_token": PAD_ID},
        {"tie_embeddings": "inputs", "scale_output": True, "activation": "gelu_exact"},
        {"positions": "relative_by_layer", "scale_output": True, "start_token": PAD_ID},
    ],
    ids=["tied", "untied", "tied-unscaled", "untied-scaled", "umt5"],
)
def test_our_models_go_out_and_in(changes):
    model_type = "umt5" if "positions" in changes else "t5"
    config = dataclasses.replace(SMALL, **changes)
    params = jax.jit(Transformer(config).init)(jax.random.key(0), *2 * [np.ones((1, 1), np.int32)])["params"]
    values, weights, ids = to_t5(model_type, config, params)
    assert ids[:4] == [PAD_ID, EOS_ID, UNK_ID, *([BOS_ID] if config.start_token == BOS_ID else [4])]
    found, again, order = from_t5(values, weights, ids.index(UNK_ID))
    own = dataclasses.replace(config, scan_layers=False)
    if config.start_token != BOS_ID:
        assert found == own
        assert [ids[number] for number in order if number is not None] == [PAD_ID, UNK_ID, EOS_ID, *range(4, 19)]
        before, after = flatten(params), flatten(again)
        assert before.keys() == after.keys()
        for name, x in before.items():
            rows = np.arange(len(x)) != BOS_ID if name.startswith(("embedding", "output")) else slice(None)
            np.testing.assert_array_equal(after[name][rows], x[rows], err_msg=name)
    else:  # the token that starts a target is then not BOS, for which there is one row more
        assert found == dataclasses.replace(own, vocab_size=20, start_token=found.start_token)
        assert order[found.start_token] == ids.index(BOS_ID)


def test_all_reasons_why_t5_cannot_represent_a_model_are_given_at_once():
    config = TransformerConfig(vocab_size=9, d_v=32, tie_embeddings="decoder", output_bias=True)
    with pytest.raises(InputError) as raised:
        check_t5("t5", config)
    message = str(raised.value)
    assert message.startswith("t5 cannot represent this model: model.norm = 'post', must be 'pre'; ")
    assert "\n" not in message
    for name in ("norm_type", "positions", "scale_scores", "feed_forward_bias", "output_bias", "d_v", "tie_embeddings"):
        assert f"model.{name} = " in message
    with pytest.raises(InputError, match=r"mt5 cannot .* model\.scale_output = True, must be False"):
        check_t5("mt5", dataclasses.replace(SMALL, scale_output=True))
    with pytest.raises(InputError, match=r"umt5 cannot .* model\.positions = 'relative', must be 'relative_by_layer'"):
        check_t5("umt5", SMALL)
    gated = dataclasses.replace(SMALL, gated=True, activation="gelu_exact")
    with pytest.raises(InputError, match=r"gelu_exact.* does not have with gates"):
        check_t5("t5", gated)


@pytest.mark.parametrize("format_name", ["marian", "bart"])
def test_other_formats_refuse_t5s_options_by_name(runs, tmp_path, format_name):
    with pytest.raises(InputError) as raised:
        _dispatch(["export", runs["madlad"], "--format", format_name, "--output", str(tmp_path / "out")])
    for name in ("norm_type", "positions", "scale_embeddings", "scale_scores", "gated", "feed_forward_bias"):
        assert f"model.{name} = " in str(raised.value) or (format_name, name) == ("bart", "scale_embeddings"), name
    assert "model.tie_embeddings = " in str(raised.value)
    assert list(tmp_path.iterdir()) == []


class TestWrongFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        return Path(shutil.copytree(GOLDEN / "mt5", tmp_path / "mt5"))

    def refused(self, folder) -> str:
        with pytest.raises(InputError) as raised:
            read_t5(folder)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    def changed(self, folder, **values) -> str:
        (folder / "generation_config.json").unlink(missing_ok=True)  # it also has token ids, which count
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **values}))
        return self.refused(folder)

    def test_missing_files_are_all_named(self, folder):
        (folder / "spiece.model").unlink()
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        message = self.refused(folder)
        assert "has no model.safetensors and no tokenizer.json; tfmr does not unpickle pytorch_model.bin" in message

    def test_values_that_are_not_supported_are_all_named(self, folder):
        wrong = dict(feed_forward_proj="gated-tanh", d_kv=0, layer_norm_epsilon=None, eos_token_id=[1, 2])
        message = self.changed(folder, **wrong)
        assert "feed_forward_proj = 'gated-tanh', must be one of relu, " in message
        for name in ("d_kv = 0", "layer_norm_epsilon = None", "eos_token_id = [1, 2]"):
            assert name in message

    def test_ids_and_sizes_that_do_not_fit_are_named(self, folder):
        assert "ids of padding, EOS, start of a target and unknown = [0, 0, 0, 2]" in self.changed(
            folder, eos_token_id=0
        )
        assert "wrong shape: shared.weight" in self.changed(folder, eos_token_id=1, vocab_size=90)

    @pytest.mark.parametrize("content", [b"", b"text", b"\x0a\xff\xff"])
    def test_a_damaged_tokenizer_is_named(self, folder, content):
        (folder / "spiece.model").write_bytes(content)
        assert "spiece.model: " in self.refused(folder)

    def test_another_kind_of_tokenizer_is_named(self, folder):
        Tokenizer.train("bpe", ["a b"], 300).save(folder / "tokenizer.json")
        assert "must be a unigram tokenizer with an unknown token" in self.refused(folder)

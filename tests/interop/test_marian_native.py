"""Models in Marian's binary format against what Marian computes with them: marian_files.py."""

import re
from pathlib import Path

import jax
import marian_files
import numpy as np
import pytest
from marian_files import (
    FLOAT32,
    MODEL,
    OPTIONS,
    SELF_ATTENTION,
    UNTIED,
    Marian,
    file_of,
    float_items,
    int8_items,
    options_item,
    write_firefox_folder,
)

from tfmr.cli import _dispatch
from tfmr.config import DecodingConfig
from tfmr.data.corpora.grammar import sentence_pairs
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tfmr.errors import InputError
from tfmr.interop import from_marian_native, read_marian_binary
from tfmr.models import Transformer
from tfmr.runs import load_run
from tfmr.translation import Translator

PIECES = 60
IDS = [-1, 1, -1, 0, *range(2, PIECES)]
LINES = [source for source, _ in sentence_pairs("test", 30)]
BASE = OPTIONS | {"dim-vocabs": [PIECES, PIECES]}


def model_file(folder: Path, options: dict, items: list) -> Path:
    file = folder / "model.bin"
    file.write_bytes(file_of([*items, options_item(options)]))
    return file


@pytest.mark.parametrize(
    ("changes", "eight_bits"),
    [
        ({}, True),
        ({}, False),
        (SELF_ATTENTION, True),
        (SELF_ATTENTION | UNTIED, False),
        (UNTIED | {"tied-embeddings": True}, False),
    ],
    ids=["ssru int8", "ssru", "self-attention int8", "untied", "decoder tied"],
)
def test_the_logits_are_marians(changes, eight_bits, tmp_path):
    options = BASE | changes
    weights = marian_files.random_weights(options, PIECES)
    items, weights = int8_items(weights) if eight_bits else (float_items(weights), weights)
    found, arrays = read_marian_binary(model_file(tmp_path, options, items))
    assert found == options
    config, params = from_marian_native(found, arrays, IDS)
    assert config.decoder_recurrence == ("none" if changes.get("transformer-decoder-autoreg") else "ssru")
    ours = {theirs: number for number, theirs in enumerate(IDS)}
    random = np.random.default_rng(1)
    source, target = [*random.integers(2, PIECES, 8), 0], list(random.integers(2, PIECES, 11))
    arrays = [[ours[i] for i in source]], [[BOS_ID, *(ours[i] for i in target)]]
    logits = jax.jit(Transformer(config).apply)({"params": params}, *(np.array(x, np.int32) for x in arrays))
    expected = Marian(weights).logits(source, target)
    known = [number for number in range(len(IDS)) if number not in (PAD_ID, BOS_ID)]
    np.testing.assert_allclose(logits[0][:, known], expected[:, [IDS[i] for i in known]], rtol=0, atol=2e-5)
    assert np.ptp(expected) > 5
    assert not jax.nn.softmax(logits)[..., [PAD_ID, BOS_ID]].any()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("marian") / "enxx"
    write_firefox_folder(folder, LINES * 5)
    return folder


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory) -> str:
    run = str(tmp_path_factory.mktemp("run") / "run")
    _dispatch(["import", str(folder), run])
    return run


def test_the_texts_are_marians(folder, run):
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(str(folder / "vocab.enxx.spm"))
    weights = read_marian_binary(folder / MODEL)[1]
    expected = [pieces.decode(Marian(weights).greedy([*pieces.encode(line), 0], 0, 12)).strip() for line in LINES[:6]]
    config, tokenizer, _ = load_run(run)
    assert config.decoding == DecodingConfig(beam_size=1, length_penalty="power", alpha=0.7)
    assert tokenizer.vocab_size == config.model.vocab_size == pieces.get_piece_size() + 2
    decoding = DecodingConfig(beam_size=1, max_length=13)
    assert Translator.from_run(run, config=decoding).translate(LINES[:6]) == expected
    assert len(set(expected)) > 3


@pytest.mark.parametrize("file_format", ["safetensors", "tfmr"])
def test_an_imported_model_that_is_exported_translates_the_same(run, file_format, tmp_path):
    output, again = tmp_path / "out", tmp_path / "again"
    _dispatch(["export", run, "--format", file_format, "--output", str(output)])
    tokenizer = ["--tokenizer", f"{run}/tokenizer.json"] if file_format == "safetensors" else []
    _dispatch(["import", str(output), str(again), *tokenizer])
    assert load_run(again)[0] == load_run(run)[0]
    decoding = DecodingConfig(beam_size=1, max_length=13)
    first, second = (Translator.from_run(each, config=decoding).translate(LINES[:6]) for each in (run, str(again)))
    assert first == second


def refused(*arguments) -> str:
    with pytest.raises(InputError) as raised:
        _dispatch([str(argument) for argument in arguments])
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("file_format", ["marian", "ctranslate2"])
def test_formats_without_recurrent_decoders_refuse_it_by_name(run, file_format, tmp_path):
    message = refused("export", run, "--format", file_format, "--output", tmp_path / "out")
    assert "model.decoder_recurrence = 'ssru', must be 'none'" in message


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"type": "s2s"}, "type = 's2s', must be 'transformer'"),
            ({"enc-depth": "6"}, "enc-depth = '6', must be an integer"),
            ({"dec-cell": "gru"}, "dec-cell = 'gru', must be 'ssru'"),
            ({"transformer-decoder-autoreg": "average-attention"}, "must be 'self-attention' or 'rnn'"),
            ({"transformer-preprocess": "n"}, "transformer-preprocess = 'n', must be ''"),
            ({"transformer-postprocess": "dhn"}, "transformer-postprocess = 'dhn', must be 'dan'"),
            ({"transformer-postprocess-top": "n"}, "transformer-postprocess-top = 'n', must be ''"),
            ({"transformer-ffn-activation": "gelu"}, "transformer-ffn-activation = 'gelu', must be one of relu, swish"),
            ({"transformer-ffn-depth": 3}, "transformer-ffn-depth = 3, must be 2"),
            ({"transformer-decoder-dim-ffn": 99}, "transformer-decoder-dim-ffn = 99, must be 0 or 24"),
            ({"transformer-tied-layers": [1, 1]}, "transformer-tied-layers = [1, 1], must be []"),
            ({"transformer-train-position-embeddings": True}, "embeddings = True, must be False"),
            ({"transformer-rnn-projection": True}, "transformer-rnn-projection = True, must be False"),
            ({"right-left": True}, "right-left = True, must be False"),
            ({"dim-vocabs": [60, 61]}, "dim-vocabs = [60, 61], must be [60, 60], one vocabulary for both languages"),
            (UNTIED | {"tied-embeddings-src": True}, "tied-embeddings-src = True, must be False"),
            ({"transformer-heads": 3}, "dim-emb = 16, must be even and divisible by transformer-heads"),
        ],
    )
    def test_an_option_that_tfmr_does_not_have_is_named(self, changes, message):
        with pytest.raises(InputError, match=re.escape(message)) as raised:
            from_marian_native(BASE | changes, {}, IDS, "theirs")
        assert str(raised.value).startswith("theirs: ")
        assert "\n" not in str(raised.value)

    def test_all_reasons_are_given_at_once(self):
        with pytest.raises(InputError, match=r"ffn-depth = 1, .*; right-left = True, .*; .*activation = 'gelu'"):
            from_marian_native(
                BASE | {"transformer-ffn-depth": 1, "right-left": True, "transformer-ffn-activation": "gelu"}, {}, IDS
            )

    def test_weights_that_do_not_fit_are_named(self):
        weights = marian_files.random_weights(BASE, PIECES)
        del weights["decoder_l1_rnn_Wf"]
        weights |= {"decoder_l1_rnn_Wo": np.zeros((16, 16)), "Wemb": np.zeros((9, 16))}
        with pytest.raises(InputError) as raised:
            from_marian_native(BASE, weights, IDS)
        message = str(raised.value)
        assert "missing: decoder_l1_rnn_Wf (16, 16)" in message
        assert "unknown: decoder_l1_rnn_Wo (16, 16)" in message
        assert "wrong shape: Wemb (9, 16) instead of (60, 16)" in message

    def test_a_layout_of_one_processor_is_named(self, tmp_path):
        items = [("encoder_l1_self_Wq", 0x1801, (4, 4), bytes(64))]
        with pytest.raises(
            InputError, match="encoder_l1_self_Wq has the type 0x1801, a layout for one kind of processor"
        ):
            read_marian_binary(model_file(tmp_path, BASE, items))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is not a file in Marian's binary format"),
            (b"PK\x03\x04" + bytes(60), "convert an .npz with marian-conv"),
            (file_of([options_item(BASE)], version=2), r"its version is 2, but must be 1"),
            (file_of([]), "contains no special:model.yml"),
            (file_of([("a", FLOAT32, (3, 2), bytes(20))]), r"a has the shape \(3, 2\) in 20 bytes"),
            (file_of([("a", FLOAT32, (-1, 2), bytes(20))]), r"a has the shape \(-1, 2\)"),
            (file_of([("a", marian_files.INT8, (2, 2), bytes(8))]), r"a has the multiplier 0\.0"),
            (file_of([("special:model.yml", marian_files.BYTES, (4,), b"a: [")]), "cannot be read as YAML"),
            (file_of([("special:model.yml", marian_files.BYTES, (3,), b"- a")]), "contains a list"),
            (file_of([("special:model.yml", marian_files.BYTES, (9,), b"a: !!python/object:os.system x")]), "as YAML"),
        ],
    )  # fmt: skip
    def test_odd_files_are_refused_in_one_line(self, content, message, tmp_path):
        (tmp_path / "model.bin").write_bytes(content)
        with pytest.raises(InputError, match=message) as raised:
            read_marian_binary(tmp_path / "model.bin")
        assert "\n" not in str(raised.value)

    def test_half_a_download_is_refused_wherever_it_ends(self, tmp_path):
        items = int8_items(marian_files.random_weights(BASE, PIECES))[0]
        whole = file_of([*items, options_item(BASE)])
        for size in [0, 7, 8, 15, 16, 17, 100, 1000, 3000, 5000, *np.linspace(6000, len(whole) - 1, 20).astype(int)]:
            (tmp_path / "model.bin").write_bytes(whole[:size])
            with pytest.raises(InputError, match=r"is truncated or damaged|is not a file in Marian's") as raised:
                read_marian_binary(tmp_path / "model.bin")
            assert "\n" not in str(raised.value)

    def test_a_damaged_header_raises_nothing_but_input_errors(self, tmp_path):
        whole = file_of([*float_items({"a": np.ones((2, 3), np.float32)}), options_item(BASE)])
        random, messages = np.random.default_rng(0), []
        for _ in range(200):
            content = bytearray(whole)
            for place in random.integers(0, 180, 3):
                content[place] = random.integers(0, 256)
            (tmp_path / "model.bin").write_bytes(content)
            try:
                read_marian_binary(tmp_path / "model.bin")
            except InputError as error:
                messages.append(str(error))
        assert len(messages) > 100
        assert not any("\n" in message for message in messages)

    def test_a_folder_with_several_models_or_vocabularies_asks_for_one(self, folder, tmp_path):
        for name in ("a.bin", "b.bin"):
            (tmp_path / name).write_bytes((folder / MODEL).read_bytes())
        run = tmp_path / "run"
        message = refused("import", tmp_path, run)
        assert f"has 2 Marian models; give one of {tmp_path / 'a.bin'}, {tmp_path / 'b.bin'}" in message
        assert "has no vocab.spm; add it, or give it with --tokenizer" in refused("import", tmp_path / "a.bin", run)
        (tmp_path / "source.spm").write_bytes((folder / "vocab.enxx.spm").read_bytes())
        (tmp_path / "target.spm").write_bytes(b"another")
        assert "has the vocabularies source.spm, target.spm; tfmr needs a single one" in refused(
            "import", tmp_path / "a.bin", run
        )
        missing = tmp_path / "no.spm"
        assert f"{missing}: file not found" in refused("import", tmp_path / "a.bin", run, "--tokenizer", missing)
        assert not run.exists()
        _dispatch(["import", str(tmp_path / "a.bin"), str(run), "--tokenizer", str(tmp_path / "source.spm")])
        assert load_run(run)[1].eos_id == EOS_ID

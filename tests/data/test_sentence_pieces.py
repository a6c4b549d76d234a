"""The tokenizer of an imported model, of two small SentencePiece models that stand beside the tests of interop."""

import base64
import json
from pathlib import Path

import pytest

from tfmr.config import DecodingConfig, PairsConfig
from tfmr.data.pairs import encode_pairs
from tfmr.data.prepare import prepare_pairs
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, SentencePieceTokenizer, Tokenizer
from tfmr.errors import InputError
from tfmr.translation.pairs import encode_pairs as pairs_to_score
from tfmr.translation.rules import WordRules, encode_prefix

sentencepiece = pytest.importorskip("sentencepiece")

FILES = Path(__file__).resolve().parents[1] / "interop" / "golden" / "marian"
SOURCE, TARGET = ((FILES / f"{side}.spm").read_bytes() for side in ("source", "target"))
LINE = "The old woman sees the small dog."


@pytest.fixture(scope="module")
def pieces() -> dict[str, int]:
    """Our ids of the pieces of the vocabulary."""
    names = [name for name in json.loads((FILES / "vocab.json").read_text()) if name not in ("<pad>", "<unk>", "</s>")]
    return {"<pad>": PAD_ID, "<unk>": UNK_ID, "</s>": EOS_ID, **{name: 4 + i for i, name in enumerate(names)}}


@pytest.fixture(scope="module")
def tokenizer(pieces):
    return SentencePieceTokenizer(pieces, SOURCE, TARGET)


def test_each_side_is_cut_by_its_own_model(tokenizer, pieces):
    for encode, model in ((tokenizer.encode_batch, SOURCE), (tokenizer.encode_targets, TARGET)):
        cut = sentencepiece.SentencePieceProcessor(model_proto=model).encode(LINE, out_type=str)
        assert encode([LINE]) == [[pieces.get(piece, UNK_ID) for piece in cut]]
    assert tokenizer.encode(LINE) == tokenizer.encode_batch([LINE])[0] != tokenizer.encode_targets([LINE])[0]


def test_every_place_that_encodes_a_target_uses_its_model(tokenizer, tmp_path):
    """Preparing, validation and evaluation, scoring and alignment, prefixes, and required words."""
    [source], [target] = tokenizer.encode_batch([LINE]), tokenizer.encode_targets([LINE])
    assert source != target
    for split, count in (("train", 3), ("validation", 1), ("test", 1)):
        (tmp_path / f"{split}.tsv").write_text(f"{LINE}\t{LINE}\n" * count)
    tokenizer.save(tmp_path / "tokenizer.json")
    config = PairsConfig(
        corpus="text", dir=str(tmp_path), cache=str(tmp_path), tokenizer_file=str(tmp_path / "tokenizer.json")
    )
    prepared = prepare_pairs(config)
    for split in ("train", "validation", "test"):
        arrays = prepared.split(split)
        assert [arrays.source[0].tolist(), arrays.target[0].tolist()] == [[*source, EOS_ID], [*target, EOS_ID]]
    in_memory = encode_pairs(tokenizer, [LINE], [LINE])
    assert [in_memory.source[0].tolist(), in_memory.target[0].tolist()] == [[*source, EOS_ID], [*target, EOS_ID]]
    assert pairs_to_score(tokenizer, [(LINE, LINE)], 1) == [([*source, EOS_ID], [*target, EOS_ID])]
    german = "Die alte Frau sieht den Hund."
    [source], [target] = tokenizer.encode_batch([german]), tokenizer.encode_targets([german])
    assert len(source) != len(target)
    rules = WordRules(DecodingConfig(required=(german,)), tokenizer, tokenizer.vocab_size)
    assert [word.tokens_needed for word in rules.required] == [len(target)]
    assert encode_prefix(german, tokenizer, rules, 1) == target


def test_a_language_in_front_is_one_token(tokenizer, pieces):
    assert tokenizer.encode(f">>deu<< {LINE}") == [pieces[">>deu<<"], *tokenizer.encode(LINE)]
    assert tokenizer.encode(">>xyz<< a") == [UNK_ID, *tokenizer.encode("a")]
    assert tokenizer.encode(">>deu") == tokenizer.encode(">>deu ")


def test_decoding_joins_pieces_and_leaves_marks_and_unknowns_out(tokenizer):
    text = "Die alte Frau sieht den Hund."
    ids = tokenizer.encode_targets([text])[0]
    assert UNK_ID not in ids
    assert tokenizer.decode([BOS_ID, *ids, UNK_ID, EOS_ID, PAD_ID]) == text
    assert tokenizer.decode_batch([ids, []]) == [text, ""]
    assert tokenizer.unkept(text) == []
    assert tokenizer.unkept("Die ≠ Frau") == ["≠"]
    assert tokenizer.unkept("Die  Frau") == ["Die  Frau"]
    added = tokenizer.pieces()
    assert b"".join(added[token] for token in [BOS_ID, *ids, UNK_ID, EOS_ID, PAD_ID]).decode() == f" {text}"
    assert len(added) == tokenizer.vocab_size


def test_it_comes_back_from_its_tokenizer_json(tokenizer, tmp_path):
    again = Tokenizer.from_json(tokenizer.to_json())
    assert isinstance(again, SentencePieceTokenizer)
    assert (again.kind, again.vocab_size) == ("sentencepiece", tokenizer.vocab_size)
    assert again.encode_batch([LINE]) == tokenizer.encode_batch([LINE])
    assert again.to_json() == tokenizer.to_json()
    tokenizer.save(tmp_path / "tokenizer.json")
    assert Tokenizer.from_file(tmp_path / "tokenizer.json").encode(LINE) == tokenizer.encode(LINE)


def test_damage_is_named(tokenizer):
    content = json.loads(tokenizer.to_json())
    text = base64.b64encode(b"text").decode()
    for key, wrong in (("source", None), ("target", "%"), ("vocab", [1]), ("vocab", {"a": "b"})):
        with pytest.raises(InputError, match="x: is damaged"):
            Tokenizer.from_json(json.dumps({"model": {**content["model"], key: wrong}}), "x")
    with pytest.raises(InputError, match="x, source: not a SentencePiece model"):
        Tokenizer.from_json(json.dumps({"model": {**content["model"], "source": text}}), "x")
    with pytest.raises(InputError, match="its vocabulary must contain"):
        Tokenizer.from_json(json.dumps({"model": {**content["model"], "vocab": {"a": 4}}}), "x")

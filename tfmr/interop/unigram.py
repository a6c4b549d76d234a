"""Unigram tokenizers, as T5's families have them: SentencePiece models and tokenizer.json files, and the order of ids.

A model of such a family may order its tokens in any way; in tfmr the special tokens come first. In text, tokens such as
`<extra_id_0>` and `<2de>` are read as tokens. Padding, unknown, BOS and EOS are not, as everywhere in tfmr: `</s>` in a
line is text.
"""

import base64
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfmr.data.tags import Tags
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, SPECIAL_TOKENS, UNK_ID
from tfmr.errors import InputError

_WORD_START = "▁"
_SPECIAL_AS_TEXT = {
    "type": "Split",
    # Cut in two, the name of a special token is no piece.
    "pattern": {"Regex": "<(?=(pad|unk|s|/s)>)"},
    "behavior": "Isolated",
    "invert": False,
}
"""The last stage of the pre-tokenizer."""
_UNIGRAM, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
"""The types of SentencePiece models and pieces that matter here."""


def from_sentence_piece(data: bytes, extra_ids: int, name: str) -> dict[str, Any]:
    """Returns the content of the tokenizer.json that transformers makes of T5's spiece.model.

    Args:
      data: the content of the file.
      extra_ids: number of tokens `<extra_id_N>`, which follow the pieces with the last number first.
      name: how error messages refer to the file.

    Raises:
      InputError: if it is not a unigram model of SentencePiece.
    """
    try:
        pieces, trainer, normalizer = _parse_sentence_piece(data)
    except (ValueError, LookupError, TypeError, AttributeError, struct.error):
        raise InputError(f"{name}: not a SentencePiece model; copy it again") from None
    if not pieces or trainer.get(3, _UNIGRAM) != _UNIGRAM:
        raise InputError(f"{name}: must be a SentencePiece unigram model")
    vocabulary = [[piece, score] for piece, score, _ in pieces]
    added = [
        _added_token(number, piece, special=kind in (_UNKNOWN, _CONTROL))
        for number, (piece, _, kind) in enumerate(pieces)
        if kind in (_UNKNOWN, _CONTROL, _USER_DEFINED)
    ]
    for number in reversed(range(extra_ids)):
        added.append(_added_token(len(vocabulary), f"<extra_id_{number}>"))
        vocabulary.append([f"<extra_id_{number}>", 0.0])
    charsmap = normalizer.get(2, b"")
    words = {"type": "Metaspace", "replacement": _WORD_START, "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
        if charsmap
        else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, words]},
        "post_processor": None,
        "decoder": words,
        "model": {
            "type": "Unigram",
            "unk_id": next((number for number, (_, _, kind) in enumerate(pieces) if kind == _UNKNOWN), None),
            "vocab": vocabulary,
            "byte_fallback": False,
        },
    }


def _added_token(number: int, content: str, *, special: bool = False) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, **flags, "special": special}


def _parse_sentence_piece(data: bytes) -> tuple[list[tuple[str, float, int]], dict[int, Any], dict[int, Any]]:
    """Returns the pieces of a SentencePiece model with their scores and types, and the fields of its two settings."""
    pieces, settings = [], {2: {}, 3: {}}
    for field, value in _fields(data):
        if field == 1:
            piece = dict(_fields(value))
            score = struct.unpack("<f", piece.get(2, bytes(4)))[0]
            pieces.append((piece[1].decode(), score, piece.get(3, 1)))
        elif field in settings:
            settings[field] = dict(_fields(value))
    return pieces, settings[2], settings[3]


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yields the number and value of each field of a protocol buffer: an integer or bytes."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place, value, shift = place + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while place < len(data):
        field, kind = divmod(varint(), 8)
        if kind == 0:
            yield field, varint()
            continue
        length = {1: 8, 5: 4}[kind] if kind != 2 else varint()
        if place + length > len(data):
            raise ValueError("truncated")
        yield field, data[place : place + length]
        place += length


def unknown_id(content: Mapping[str, Any], name: str) -> int:
    """Returns the id of the unknown token of a unigram tokenizer.json; raises InputError for another tokenizer."""
    model = content.get("model") or {}
    if model.get("type") != "Unigram" or type(model.get("unk_id")) is not int:
        raise InputError(f"{name}: must be a unigram tokenizer with an unknown token")
    return model["unk_id"]


def in_our_order(content: Mapping[str, Any], ids: Sequence[int | None]) -> dict[str, Any]:
    """Returns a tokenizer.json with tfmr's ids and special tokens.

    Args:
      content: the content of a tokenizer.json whose ids are those of another model.
      ids: the other model's id of each of tfmr's tokens. None: a token that the other model does not have.
    """
    theirs: dict[int | None, list[Any]] = {**_vocabulary(content)}
    last = max(place for place, number in enumerate(ids) if number in theirs)
    vocabulary = [theirs.get(number, [f"<unused {place}>", 0.0]) for place, number in enumerate(ids[: last + 1])]
    # Another special token of the same name is a token without text.
    vocabulary = [
        [f"<unused {place}>", score] if piece in SPECIAL_TOKENS else [piece, score]
        for place, (piece, score) in enumerate(vocabulary)
    ]
    vocabulary[: len(SPECIAL_TOKENS)] = [[token, 0.0] for token in SPECIAL_TOKENS]
    ours = {number: place for place, number in enumerate(ids) if number is not None}
    added = [_added_token(number, token, special=True) for number, token in enumerate(SPECIAL_TOKENS)]
    for token in content.get("added_tokens") or []:
        place = ours.get(token["id"], 0)
        if place > EOS_ID and vocabulary[place][0] == token["content"]:
            added.append({**token, "id": place, "special": False})
    before = content.get("pre_tokenizer")
    stages = (before["pretokenizers"] if before["type"] == "Sequence" else [before]) if before else []
    stages = [*(stage for stage in stages if stage != _SPECIAL_AS_TEXT), _SPECIAL_AS_TEXT]
    return {
        **content,
        "tags": Tags(control=(PAD_ID, BOS_ID, EOS_ID)).to_json(),
        "truncation": None,
        "padding": None,
        "post_processor": None,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": stages},
        "model": {**content["model"], "vocab": vocabulary, "unk_id": UNK_ID},
    }


def _vocabulary(content: Mapping[str, Any]) -> dict[int, list[Any]]:
    """Returns the piece and score of each id."""
    pieces = dict(enumerate(content["model"]["vocab"]))
    added = {token["id"]: [token["content"], 0.0] for token in content.get("added_tokens") or []}
    return {**added, **pieces}


def in_their_order(content: Mapping[str, Any], ids: Sequence[int]) -> dict[str, Any]:
    """Returns a tokenizer.json of tfmr whose token ids are the places of `ids`, which are tfmr's.

    A token whose id is missing from `ids` is left out.
    """
    places = {number: place for place, number in enumerate(ids)}
    model = content["model"]
    added = [{**token, "id": places[token["id"]]} for token in content["added_tokens"] if token["id"] in places]
    if model["type"] == "Unigram":
        kept = [number for number in ids if number < len(model["vocab"])]
        renumbered = {"vocab": [model["vocab"][number] for number in kept], "unk_id": places[UNK_ID]}
    else:
        renumbered = {"vocab": {token: places[number] for token, number in model["vocab"].items() if number in places}}
    theirs = {key: value for key, value in content.items() if key not in ("marks", "tags")}
    return {**theirs, "added_tokens": sorted(added, key=lambda token: token["id"]), "model": {**model, **renumbered}}

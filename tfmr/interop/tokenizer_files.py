"""A run's tokenizer.json in the forms that other programs read."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from tfmr.data.tokenizer import EOS_ID, SENTENCE_PIECE, SPECIAL_TOKENS
from tfmr.interop.folders import to_json

_SPECIAL = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token"), SPECIAL_TOKENS, strict=True))
_END = SPECIAL_TOKENS[EOS_ID]


def token_ids(content: Mapping[str, Any]) -> dict[str, int]:
    """Returns the id of each token of a tokenizer.json."""
    added = {token["content"]: token["id"] for token in content.get("added_tokens") or []}
    return {**content["model"]["vocab"], **added}


def token_names(tokenizer_json: str) -> dict[int, str]:
    """Returns the text of each token by its id."""
    return {number: token for token, number in token_ids(json.loads(tokenizer_json)).items()}


def vocabulary(tokenizer_json: str, vocab_size: int) -> list[str]:
    """Returns the text of each token id. Ids that the model has but the tokenizer does not are `<unused N>`."""
    names = token_names(tokenizer_json)
    return [names.get(number, f"<unused {number}>") for number in range(vocab_size)]


def own_files(tokenizer_json: str) -> dict[str, bytes]:
    """Returns the tokenizer's files by name: tokenizer.json, or source.spm and target.spm."""
    model = json.loads(tokenizer_json)["model"]
    if model["type"] != SENTENCE_PIECE:
        return {"tokenizer.json": tokenizer_json.encode()}
    return {f"{side}.spm": base64.b64decode(model[side]) for side in ("source", "target")}


def transformers_files(tokenizer_json: str) -> dict[str, bytes]:
    """Returns the files, by name, from which `transformers.AutoTokenizer` loads a tokenizer that appends </s>."""
    content: dict[str, Any] = json.loads(tokenizer_json)
    if content["model"]["type"] == SENTENCE_PIECE:
        settings = {"tokenizer_class": "MarianTokenizer", "separate_vocabs": False, **_SPECIAL}
        files = own_files(tokenizer_json) | {"vocab.json": to_json(content["model"]["vocab"])}
        return files | {"tokenizer_config.json": to_json(settings)}
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": _END, "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {_END: {"id": _END, "ids": [EOS_ID], "tokens": [_END]}},
    }
    # Special tokens in text are read as text.
    behaviour = {"clean_up_tokenization_spaces": False, "split_special_tokens": True}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **_SPECIAL, **behaviour}
    return {"tokenizer.json": to_json(content), "tokenizer_config.json": to_json(settings)}

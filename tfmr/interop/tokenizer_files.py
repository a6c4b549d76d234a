"""A run's tokenizer.json as other engines want it."""

import base64
import json
from typing import Any

from tfmr.interop.json_files import to_json
from tfmr.interop.marian_config import EOS_ID

_SENTENCE_PIECE = "SentencePiece"
"""The kind of model in the tokenizer.json of an imported model, which holds the files of its tokenizer."""

_SPECIAL = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


def vocabulary(tokenizer_json: str, vocab_size: int) -> list[str]:
    """Returns the tokens as text in the order of their ids; the model's rows beyond the tokenizer's are named so."""
    content = json.loads(tokenizer_json)
    ids: dict[str, int] = dict(content["model"]["vocab"])
    ids |= {token["content"]: token["id"] for token in content.get("added_tokens") or []}
    names = {number: token for token, number in ids.items()}
    return [names.get(number, f"<unused {number}>") for number in range(vocab_size)]


def own_files(tokenizer_json: str) -> dict[str, bytes]:
    """Returns the files by name that cut text into tokens: tokenizer.json, or source.spm and target.spm."""
    model = json.loads(tokenizer_json)["model"]
    if model["type"] != _SENTENCE_PIECE:
        return {"tokenizer.json": tokenizer_json.encode()}
    return {f"{side}.spm": base64.b64decode(model[side]) for side in ("source", "target")}


def transformers_files(tokenizer_json: str) -> dict[str, bytes]:
    """Returns the files by name from which `transformers.AutoTokenizer` makes the tokenizer: its lines end in </s>."""
    content: dict[str, Any] = json.loads(tokenizer_json)
    if content["model"]["type"] == _SENTENCE_PIECE:
        settings = {"tokenizer_class": "MarianTokenizer", "separate_vocabs": False, **_SPECIAL}
        files = own_files(tokenizer_json) | {"vocab.json": to_json(content["model"]["vocab"])}
        return files | {"tokenizer_config.json": to_json(settings)}
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [EOS_ID], "tokens": ["</s>"]}},
    }
    # What looks like a special token in text is text.
    behaviour = {"clean_up_tokenization_spaces": False, "split_special_tokens": True}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **_SPECIAL, **behaviour}
    return {"tokenizer.json": to_json(content), "tokenizer_config.json": to_json(settings)}

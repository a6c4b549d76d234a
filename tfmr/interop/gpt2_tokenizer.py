"""GPT-2's byte-level BPE as a tokenizer.json of ours, and ours as transformers reads it.

The ids of its marks stand beside it, in the `marks` of our tokenizer.json: GPT-2 has neither padding nor unknown
tokens, and one mark both begins and ends a document.
"""

import json
from pathlib import Path
from typing import Any

from tfmr.errors import InputError
from tfmr.interop.json_files import read_json, to_json
from tfmr.interop.marian_config import BOS_ID, EOS_ID, PAD_ID, UNK_ID

_OURS = {"<pad>": PAD_ID, "<unk>": UNK_ID, "<s>": BOS_ID, "</s>": EOS_ID}
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def marks_of(tokenizer_json: str) -> dict[str, Any]:
    """Returns the ids of a tokenizer's marks, `pad`, `unk`, `bos` and `eos`, None for one that there is not; and
    whether a text `begins` with one."""
    ours = {"pad": PAD_ID, "unk": UNK_ID, "bos": BOS_ID, "eos": EOS_ID, "begins": True}
    return json.loads(tokenizer_json).get("marks") or ours


def token_names(tokenizer_json: str) -> dict[int, str]:
    """Returns the tokens by their ids."""
    return {number: token for token, number in _ids(json.loads(tokenizer_json)).items()}


def gpt2_tokenizer_files(tokenizer_json: str, max_length: int, has_documents: bool) -> dict[str, bytes]:
    """Returns the files by name from which `transformers.AutoTokenizer` makes the tokenizer of a language model.

    Args:
      tokenizer_json: the text of the run's tokenizer.json.
      max_length: the model's context.
      has_documents: whether texts begin with a mark.
    """
    content: dict[str, Any] = json.loads(tokenizer_json)
    is_ours = content.pop("marks", None) is None
    names, marks = token_names(tokenizer_json), marks_of(tokenizer_json)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{mark}_token": names[marks[mark]] for mark in ("pad", "unk", "bos", "eos") if marks[mark] is not None},
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",  # so that a batch of prompts goes on where each of them ends
    }
    if is_ours:
        content["post_processor"] = _begin_mark(names[BOS_ID]) if has_documents else None
        settings["split_special_tokens"] = True  # what looks like a special token in text is text
    return {"tokenizer.json": to_json(content), "tokenizer_config.json": to_json(settings)}


def read_gpt2_tokenizer(folder: Path, bos_id: int, eos_id: int) -> str:
    """Returns the text of our tokenizer.json of a folder's tokenizer.json, or its vocab.json and merges.txt.

    Raises:
      InputError: if they are damaged, or are no byte-level BPE with these marks.
    """
    file = folder / "tokenizer.json"
    content = read_json(file) if file.is_file() else _from_merges(folder, bos_id, eos_id)
    try:
        ids, decoder = _ids(content), (content.get("decoder") or {}).get("type")
        kind = content["model"]["type"]
        begins = _begins_with(content.get("post_processor") or {}, bos_id)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: is no tokenizer.json of the tokenizers library ({error!r})") from None
    if {token: ids.get(token) for token in _OURS} == _OURS and (bos_id, eos_id) == (BOS_ID, EOS_ID):
        return json.dumps(content, ensure_ascii=False)
    if (kind, decoder) != ("BPE", "ByteLevel"):
        raise InputError(f"{file}: holds a {kind} model with the decoder {decoder}: needed is a byte-level BPE")
    wrong = sorted({bos_id, eos_id} - set(ids.values()))
    if wrong:
        raise InputError(
            f"{folder}: its tokenizer has no token of id {', '.join(map(str, wrong))}, a mark of its model"
        )
    marks = {"pad": None, "unk": None, "bos": bos_id, "eos": eos_id, "begins": begins}
    return json.dumps({"marks": marks, **content}, ensure_ascii=False)


def _ids(content: dict[str, Any]) -> dict[str, int]:
    added = {token["content"]: token["id"] for token in content.get("added_tokens") or []}
    return {**content["model"]["vocab"], **added}


def _begin_mark(token: str) -> dict[str, Any]:
    """Returns the post-processor that puts our begin mark before a text."""
    begin, text = {"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [begin, text],
        "pair": [begin, text, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {token: {"id": token, "ids": [BOS_ID], "tokens": [token]}},
    }


def _begins_with(post_processor: dict[str, Any], bos_id: int) -> bool:
    """Whether a post-processor puts the begin mark before a text."""
    if post_processor.get("type") == "Sequence":
        return any(_begins_with(processor, bos_id) for processor in post_processor["processors"])
    if post_processor.get("type") != "TemplateProcessing":
        return False
    first = post_processor["single"][0].get("SpecialToken")
    return first is not None and post_processor["special_tokens"][first["id"]]["ids"][0] == bos_id


def _from_merges(folder: Path, bos_id: int, eos_id: int) -> dict[str, Any]:
    """Returns the content of the tokenizer.json that vocab.json and merges.txt stand for."""
    vocab = read_json(folder / "vocab.json")
    names = {number: token for token, number in vocab.items()}
    added = {names[mark]: mark for mark in (bos_id, eos_id) if mark in names}
    if (folder / "added_tokens.json").is_file():
        added |= read_json(folder / "added_tokens.json")
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **flags, "special": number in (bos_id, eos_id)}
            for token, number in sorted(added.items(), key=lambda item: item[1])
        ],
        "normalizer": None,
        "pre_tokenizer": _BYTE_LEVEL,
        "post_processor": None,
        "decoder": _BYTE_LEVEL,
        "model": {"type": "BPE", "vocab": vocab, "merges": _read_merges(folder / "merges.txt")},
    }


def _read_merges(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from None
    lines = [line for line in lines[lines[0].startswith("#version") :] if line.strip()]
    for line in lines:
        if len(line.split(" ")) != 2:
            raise InputError(f"{file}: {line[:40]!r} is no merge: needed are two tokens with a space between them")
    return lines

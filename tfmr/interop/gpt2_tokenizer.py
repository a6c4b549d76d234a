"""GPT-2's byte-level BPE as tfmr's tokenizer.json, and tfmr's tokenizers for transformers.

GPT-2 has neither a padding nor an unknown token, and one token is both BOS and EOS. The ids of these special tokens are
stored under the key `marks` of tfmr's tokenizer.json.
"""

import json
from pathlib import Path
from typing import Any

from tfmr.data.tokenizer import BOS_ID, EOS_ID, SPECIAL_TOKENS, Marks
from tfmr.errors import InputError
from tfmr.interop.folders import read_json, to_json
from tfmr.interop.tokenizer_files import token_ids, token_names

_OURS = {token: number for number, token in enumerate(SPECIAL_TOKENS)}
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def special_ids(tokenizer_json: str) -> Marks:
    """Returns the ids of a tokenizer's special tokens."""
    return Marks(**(json.loads(tokenizer_json).get("marks") or {}))


def gpt2_tokenizer_files(tokenizer_json: str, max_length: int, has_documents: bool) -> dict[str, bytes]:
    """Returns the files, by name, from which `transformers.AutoTokenizer` loads the tokenizer of a language model.

    Args:
      tokenizer_json: the text of the run's tokenizer.json.
      max_length: the model's context window in tokens.
      has_documents: whether texts begin with the BOS token.
    """
    content: dict[str, Any] = json.loads(tokenizer_json)
    is_ours = content.pop("marks", None) is None
    names, special = token_names(tokenizer_json), special_ids(tokenizer_json)._asdict()
    del special["begins"]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{name}_token": names[token] for name, token in special.items() if token is not None},
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",  # so that each prompt of a batch is continued right where it ends
    }
    if is_ours:
        content["post_processor"] = _prepend(names[BOS_ID]) if has_documents else None
        settings["split_special_tokens"] = True  # special tokens in text are read as text
    return {"tokenizer.json": to_json(content), "tokenizer_config.json": to_json(settings)}


def read_gpt2_tokenizer(folder: Path, bos_id: int, eos_id: int) -> str:
    """Returns the text of tfmr's tokenizer.json for a folder's tokenizer.json, or its vocab.json and merges.txt.

    Raises:
      InputError: if the files are damaged, or not a byte-level BPE with these special tokens.
    """
    file = folder / "tokenizer.json"
    content = read_json(file) if file.is_file() else _from_merges(folder, bos_id, eos_id)
    try:
        ids, decoder = token_ids(content), (content.get("decoder") or {}).get("type")
        kind = content["model"]["type"]
        begins = _begins_with(content.get("post_processor") or {}, bos_id)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: not a tokenizer.json of the tokenizers library ({error!r}); copy it again") from None
    if {token: ids.get(token) for token in _OURS} == _OURS and (bos_id, eos_id) == (BOS_ID, EOS_ID):
        return json.dumps(content, ensure_ascii=False)
    if (kind, decoder) != ("BPE", "ByteLevel"):
        raise InputError(f"{file}: is a {kind} model with a {decoder} decoder; it must be a byte-level BPE")
    wrong = sorted({bos_id, eos_id} - set(ids.values()))
    if wrong:
        raise InputError(
            f"{folder}: its tokenizer has no token with id {' or '.join(map(str, wrong))}, which config.json gives as "
            "bos_token_id or eos_token_id"
        )
    marks = Marks(pad=None, unk=None, bos=bos_id, eos=eos_id, begins=begins)
    return json.dumps({"marks": marks._asdict(), **content}, ensure_ascii=False)


def _prepend(token: str) -> dict[str, Any]:
    """Returns the post-processor that puts the BOS token before a text."""
    begin, text = {"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [begin, text],
        "pair": [begin, text, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {token: {"id": token, "ids": [BOS_ID], "tokens": [token]}},
    }


def _begins_with(post_processor: dict[str, Any], bos_id: int) -> bool:
    """Whether a post-processor puts the BOS token before a text."""
    if post_processor.get("type") == "Sequence":
        return any(_begins_with(processor, bos_id) for processor in post_processor["processors"])
    if post_processor.get("type") != "TemplateProcessing":
        return False
    first = post_processor["single"][0].get("SpecialToken")
    return first is not None and post_processor["special_tokens"][first["id"]]["ids"][0] == bos_id


def _from_merges(folder: Path, bos_id: int, eos_id: int) -> dict[str, Any]:
    """Returns the content of the tokenizer.json that is equivalent to vocab.json and merges.txt."""
    vocab = read_json(folder / "vocab.json")
    names = {number: token for token, number in vocab.items()}
    added = {names[token]: token for token in (bos_id, eos_id) if token in names}
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
        raise InputError(f"{file}: cannot be read ({error}); copy it again") from None
    lines = [line for line in lines[lines[0].startswith("#version") :] if line.strip()]
    for line in lines:
        if len(line.split(" ")) != 2:
            raise InputError(f"{file}: {line[:40]!r} is not a merge; it must be two tokens separated by a space")
    return lines

"""GPT-2 model folders, as transformers and the Hugging Face hub use them.

GPT-2 has neither a padding nor an unknown token, and one token is both BOS and EOS. The ids of these special tokens are
stored under the key `marks` of tfmr's tokenizer.json.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmr.config import CausalLMConfig, Config, RunningTextConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, SPECIAL_TOKENS, Marks, Tokenizer
from tfmr.errors import InputError
from tfmr.interop import compatibility, folders
from tfmr.interop.gpt2_model import check_gpt2, from_gpt2, to_gpt2

_OURS = {token: number for number, token in enumerate(SPECIAL_TOKENS)}
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@dataclass(frozen=True)
class GPT2Model:
    """The content of a GPT-2 folder, converted."""

    config: CausalLMConfig
    """The model's configuration."""
    params: dict[str, Any]
    """The model's parameters."""
    tokenizer_json: str
    """The text of the tokenizer.json, with the ids of the special tokens."""
    end_of_text: str
    """The token that ends a document."""
    has_documents: bool
    """Whether the model writes that token."""


def write_gpt2(
    folder: str | os.PathLike, config: CausalLMConfig, params: Any, tokenizer_json: str, *, has_documents: bool
) -> None:
    """Writes a model to an existing folder, for `transformers.GPT2LMHeadModel.from_pretrained`.

    Args:
      folder: the folder.
      config: the model's configuration.
      params: its parameters.
      tokenizer_json: the text of the run's tokenizer.json. Token ids do not change.
      has_documents: whether the model was trained on documents with BOS and EOS tokens.

    Raises:
      InputError: listing every reason why GPT-2 cannot represent the model.
    """
    special = _special_ids(tokenizer_json)
    values, weights = to_gpt2(config, params, special.bos, special.eos)
    generation = _generation(config, special, folders.token_names(tokenizer_json), has_documents)
    files = _tokenizer_files(tokenizer_json, config.max_length, has_documents)
    files |= {"config.json": folders.to_json(values), "generation_config.json": folders.to_json(generation)}
    folders.write_model_folder(Path(folder), weights, files)


def read_gpt2(folder: str | os.PathLike) -> GPT2Model:
    """Reads config.json, model.safetensors, and tokenizer.json or vocab.json and merges.txt from a folder.

    Raises:
      InputError: if the folder is of another kind, or listing every missing file, every reason why tfmr does not
        support such a model, or every weight that does not fit.
    """
    folder = Path(folder)
    folders.model_type(folder)
    _check_files(folder)
    values = folders.read_json(folder / "config.json")
    bos_id, eos_id = _bos_and_eos(values, str(folder))
    tokenizer_json = _read_tokenizer(folder, bos_id, eos_id)
    config, params = from_gpt2(values, folders.read_weights(folder), str(folder))
    names = folders.token_names(tokenizer_json)
    if max(names) >= config.vocab_size:
        raise InputError(
            f"{folder}: its tokenizer has token id {max(names)}; ids must be below vocab_size = {config.vocab_size} "
            "in its config.json"
        )
    suppressed = folders.read_optional_json(folder / "generation_config.json").get("suppress_tokens") or []
    return GPT2Model(config, params, tokenizer_json, names[eos_id], eos_id not in suppressed)


def _generation(
    config: CausalLMConfig, special: Marks, names: Mapping[int, str], has_documents: bool
) -> dict[str, Any]:
    """Returns the values of generation_config.json: special tokens, and the tokens that tfmr never writes."""
    pad, unk, bos, eos = special[:4]
    special_tokens = (pad, unk, bos if bos != eos else None, None if has_documents else eos)
    unwritten = {token for token in special_tokens if token is not None}
    unwritten |= {token for token in range(config.vocab_size) if token not in names}
    values = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": eos if pad is None else pad}
    return values | ({"suppress_tokens": sorted(unwritten)} if unwritten else {})


def _bos_and_eos(values: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Returns the ids of the BOS and EOS tokens. If config.json contains only one, it is both."""
    ids = [values.get(key) for key in ("bos_token_id", "eos_token_id")]
    bos_id, eos_id = (own if own is not None else other for own, other in zip(ids, ids[::-1], strict=True))
    if type(bos_id) is not int or type(eos_id) is not int:
        raise InputError(f"{name}: bos_token_id and eos_token_id = {ids} in its config.json; each must be one token id")
    return bos_id, eos_id


def _check_files(folder: Path) -> None:
    missing = folders.missing_files(folder, ("config.json", folders.WEIGHTS))
    if not (folder / "tokenizer.json").is_file():
        pair = folders.missing_files(folder, ("vocab.json", "merges.txt"))
        missing += ["tokenizer.json"] if len(pair) == 2 else pair
    needed = f"config.json, {folders.WEIGHTS}, and tokenizer.json or vocab.json and merges.txt"
    folders.require_no_missing(folder, missing, needed, "GPT2LMHeadModel")


def _special_ids(tokenizer_json: str) -> Marks:
    """Returns the ids of a tokenizer's special tokens."""
    return Marks(**(json.loads(tokenizer_json).get("marks") or {}))


def _tokenizer_files(tokenizer_json: str, max_length: int, has_documents: bool) -> dict[str, bytes]:
    """Returns the files, by name, from which `transformers.AutoTokenizer` loads the tokenizer of a language model."""
    content: dict[str, Any] = json.loads(tokenizer_json)
    is_ours = content.pop("marks", None) is None
    names, special = folders.token_names(tokenizer_json), _special_ids(tokenizer_json)._asdict()
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
    return {"tokenizer.json": folders.to_json(content), "tokenizer_config.json": folders.to_json(settings)}


def _read_tokenizer(folder: Path, bos_id: int, eos_id: int) -> str:
    """Returns the text of tfmr's tokenizer.json for a folder's tokenizer.json, or its vocab.json and merges.txt.

    Raises:
      InputError: if the files are damaged, or not a byte-level BPE with these special tokens.
    """
    file = folder / "tokenizer.json"
    content = folders.read_json(file) if file.is_file() else _from_merges(folder, bos_id, eos_id)
    try:
        ids, decoder = folders.token_ids(content), (content.get("decoder") or {}).get("type")
        kind = content["model"]["type"]
        begins = _begins_with(content.get("post_processor") or {}, bos_id)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: not a tokenizer.json of the tokenizers library ({error!r}); copy it again") from None
    if {token: ids.get(token) for token in _OURS} == _OURS and (bos_id, eos_id) == (BOS_ID, EOS_ID):
        return json.dumps({**content, "post_processor": None}, ensure_ascii=False)  # it adds BOS for transformers
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
    vocab = folders.read_json(folder / "vocab.json")
    names = {number: token for token, number in vocab.items()}
    special = {names[token]: token for token in (bos_id, eos_id) if token in names}
    return byte_level_bpe(folder, vocab, special)


def byte_level_bpe(folder: Path, vocab: dict[str, int], special: Mapping[str, int]) -> dict[str, Any]:
    """Returns the content of the tokenizer.json that is equivalent to vocab.json and merges.txt.

    Args:
      folder: their folder.
      vocab: the content of vocab.json.
      special: the special tokens and their ids. The folder's added_tokens.json may have more tokens.
    """
    added = {**special, **folders.read_optional_json(folder / "added_tokens.json")}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **flags, "special": token in special}
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


def _write_run(folder: Path, config: Config, params: Any, tokenizer: Tokenizer) -> None:
    model, data = compatibility.require_kind("gpt2", config.model), config.data
    has_documents = getattr(data, "has_documents", False)
    write_gpt2(folder, model, params, tokenizer.to_json(), has_documents=has_documents)
    folders.write_run_config(folder, config)


def _read_run(folder: Path) -> folders.RunParts:
    model = read_gpt2(folder)
    tokenizer = Tokenizer.from_json(model.tokenizer_json, str(folder))
    length = model.config.max_length
    data = RunningTextConfig(
        document_separator=model.end_of_text if model.has_documents else "",
        max_length=length,
        tokens_per_batch=max(4096, length),
    )
    return Config(model=model.config, data=data), tokenizer, model.params


folders.register_format("gpt2", "GPT-2 models", check=check_gpt2, write=_write_run, read=_read_run, model_type="gpt2")

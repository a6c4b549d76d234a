"""The folder of a GPT-2, as transformers and the Hugging Face hub hand them round."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmr.config import CausalLMConfig
from tfmr.errors import InputError
from tfmr.interop.gpt2 import from_gpt2, to_gpt2
from tfmr.interop.gpt2_tokenizer import gpt2_tokenizer_files, marks_of, read_gpt2_tokenizer, token_names
from tfmr.interop.json_files import read_json, to_json
from tfmr.interop.model_folder import WEIGHTS, missing_files, require_no_missing, write_model_folder
from tfmr.interop.weight_files import read_arrays


@dataclass(frozen=True)
class GPT2Model:
    """What a GPT-2's folder holds, in our terms."""

    config: CausalLMConfig
    """Its shape."""
    params: dict[str, Any]
    """Its parameters."""
    tokenizer_json: str
    """The text of its tokenizer.json, with the ids of its marks."""
    end_of_text: str
    """The token that ends a document."""
    has_documents: bool
    """Whether it writes that token."""


def write_gpt2(
    folder: str | os.PathLike, config: CausalLMConfig, params: Any, tokenizer_json: str, *, has_documents: bool
) -> None:
    """Writes a model as `transformers.GPT2LMHeadModel.from_pretrained` reads it, into a folder that is there.

    Args:
      folder: where to.
      config: the shape of the model.
      params: its parameters.
      tokenizer_json: the text of the run's tokenizer.json; token ids stay as they are.
      has_documents: whether it was trained on documents with begin and end marks.

    Raises:
      InputError: that lists all reasons for which GPT-2 cannot hold the model.
    """
    marks = marks_of(tokenizer_json)
    values, weights = to_gpt2(config, params, marks["bos"], marks["eos"])
    files = gpt2_tokenizer_files(tokenizer_json, config.max_length, has_documents)
    files["config.json"] = to_json(values)
    files["generation_config.json"] = to_json(_generation(config, marks, token_names(tokenizer_json), has_documents))
    write_model_folder(Path(folder), weights, files)


def read_gpt2(folder: str | os.PathLike) -> GPT2Model:
    """Reads config.json, model.safetensors, and tokenizer.json or vocab.json and merges.txt of a folder.

    Raises:
      InputError: that lists all files that are missing, all reasons for which the model cannot be ours, or all weights
        that do not fit.
    """
    folder = Path(folder)
    _check_files(folder)
    values = read_json(folder / "config.json")
    bos_id, eos_id = _marks_of_model(values, str(folder))
    tokenizer_json = read_gpt2_tokenizer(folder, bos_id, eos_id)
    config, params = from_gpt2(values, read_arrays(folder / WEIGHTS)[0], str(folder))
    names = token_names(tokenizer_json)
    if max(names) >= config.vocab_size:
        raise InputError(
            f"{folder}: its tokenizer has the id {max(names)}, which config.json's vocab_size = {config.vocab_size} "
            "leaves out"
        )
    generation = folder / "generation_config.json"
    suppressed = (read_json(generation) if generation.is_file() else {}).get("suppress_tokens") or []
    return GPT2Model(config, params, tokenizer_json, names[eos_id], eos_id not in suppressed)


def _generation(
    config: CausalLMConfig, marks: Mapping[str, Any], names: Mapping[int, str], has_documents: bool
) -> dict[str, Any]:
    """Returns what `generate` reads: the marks, and the tokens that tfmr never writes."""
    begin = marks["bos"] if marks["bos"] != marks["eos"] else None
    end = None if has_documents else marks["eos"]
    unwritten = {marks["pad"], marks["unk"], begin, end} - {None}
    unwritten |= {number for number in range(config.vocab_size) if number not in names}
    pad = marks["eos"] if marks["pad"] is None else marks["pad"]
    values = {"bos_token_id": marks["bos"], "eos_token_id": marks["eos"], "pad_token_id": pad}
    return values | ({"suppress_tokens": sorted(unwritten)} if unwritten else {})


def _marks_of_model(values: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Returns the ids of the begin and end marks: where config.json names only one, it is both."""
    ids = [values.get(key) for key in ("bos_token_id", "eos_token_id")]
    bos_id, eos_id = (own if own is not None else other for own, other in zip(ids, ids[::-1], strict=True))
    if type(bos_id) is not int or type(eos_id) is not int:
        raise InputError(f"{name}: bos_token_id and eos_token_id = {ids}: needed in config.json is a token id for each")
    return bos_id, eos_id


def _check_files(folder: Path) -> None:
    missing = missing_files(folder, ("config.json", WEIGHTS))
    if not (folder / "tokenizer.json").is_file():
        pair = missing_files(folder, ("vocab.json", "merges.txt"))
        missing += ["tokenizer.json"] if len(pair) == 2 else pair
    needed = f"config.json, {WEIGHTS}, and tokenizer.json or vocab.json and merges.txt"
    require_no_missing(folder, missing, needed, "GPT2LMHeadModel")

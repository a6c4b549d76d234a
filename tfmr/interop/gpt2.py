"""GPT-2 model folders, as transformers and the Hugging Face hub use them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmr.config import CausalLMConfig
from tfmr.data.tokenizer import Marks
from tfmr.errors import InputError
from tfmr.interop.folders import (
    WEIGHTS,
    missing_files,
    read_json,
    read_optional_json,
    require_no_missing,
    to_json,
    write_model_folder,
)
from tfmr.interop.gpt2_model import from_gpt2, to_gpt2
from tfmr.interop.gpt2_tokenizer import gpt2_tokenizer_files, read_gpt2_tokenizer, special_ids
from tfmr.interop.tokenizer_files import token_names
from tfmr.interop.weights import read_arrays


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
      InputError: listing every reason why GPT-2 cannot store the model.
    """
    special = special_ids(tokenizer_json)
    values, weights = to_gpt2(config, params, special.bos, special.eos)
    generation = _generation(config, special, token_names(tokenizer_json), has_documents)
    files = gpt2_tokenizer_files(tokenizer_json, config.max_length, has_documents)
    files |= {"config.json": to_json(values), "generation_config.json": to_json(generation)}
    write_model_folder(Path(folder), weights, files)


def read_gpt2(folder: str | os.PathLike) -> GPT2Model:
    """Reads config.json, model.safetensors, and tokenizer.json or vocab.json and merges.txt from a folder.

    Raises:
      InputError: listing every missing file, every reason why tfmr does not have such a model, or every weight that
        does not fit.
    """
    folder = Path(folder)
    _check_files(folder)
    values = read_json(folder / "config.json")
    bos_id, eos_id = _bos_and_eos(values, str(folder))
    tokenizer_json = read_gpt2_tokenizer(folder, bos_id, eos_id)
    config, params = from_gpt2(values, read_arrays(folder / WEIGHTS)[0], str(folder))
    names = token_names(tokenizer_json)
    if max(names) >= config.vocab_size:
        raise InputError(
            f"{folder}: its tokenizer has token id {max(names)}; ids must be below vocab_size = {config.vocab_size} "
            "in its config.json"
        )
    suppressed = read_optional_json(folder / "generation_config.json").get("suppress_tokens") or []
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
    missing = missing_files(folder, ("config.json", WEIGHTS))
    if not (folder / "tokenizer.json").is_file():
        pair = missing_files(folder, ("vocab.json", "merges.txt"))
        missing += ["tokenizer.json"] if len(pair) == 2 else pair
    needed = f"config.json, {WEIGHTS}, and tokenizer.json or vocab.json and merges.txt"
    require_no_missing(folder, missing, needed, "GPT2LMHeadModel")

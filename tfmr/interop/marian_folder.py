"""The folder of a Marian model, as transformers and the OPUS-MT project hand them round."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmr.config import DecodingConfig, TransformerConfig
from tfmr.errors import InputError
from tfmr.interop.json_files import read_json, to_json
from tfmr.interop.marian import from_marian, to_marian
from tfmr.interop.marian_config import BOS_ID, EOS_ID, PAD_ID
from tfmr.interop.model_folder import WEIGHTS, missing_files, require_no_missing, write_model_folder
from tfmr.interop.tokenizer_files import transformers_files
from tfmr.interop.weight_files import read_arrays


@dataclass(frozen=True)
class MarianModel:
    """What a Marian model's folder holds, in our terms."""

    config: TransformerConfig
    """Its shape."""
    params: dict[str, Any]
    """Its parameters."""
    vocabulary: dict[str, int]
    """Our id of each of its pieces."""
    source_spm: bytes
    """The SentencePiece model of its source language."""
    target_spm: bytes
    """The SentencePiece model of its target language."""
    decoding: DecodingConfig
    """How it searches: its beam and its length penalty."""
    languages: tuple[str, str]
    """Its source and target language, as it names them; empty where it does not."""


def write_marian(
    folder: str | os.PathLike, config: TransformerConfig, params: Any, tokenizer_json: str, decoding: DecodingConfig
) -> None:
    """Writes a model as `transformers.MarianMTModel.from_pretrained` reads it, into a folder that is there.

    Args:
      folder: where to.
      config: the shape of the model.
      params: its parameters.
      tokenizer_json: the text of the run's tokenizer.json; token ids stay as they are.
      decoding: `generate` searches so, as far as it can: its length penalty is length^alpha only.

    Raises:
      InputError: that lists all reasons for which Marian cannot hold the model.
    """
    values, weights = to_marian(config, params)
    power = decoding.length_penalty == "power"
    search = {
        "num_beams": decoding.beam_size,
        "length_penalty": decoding.alpha if power else 1.0,
        "early_stopping": True,
        "max_length": 512,
        "bad_words_ids": [[PAD_ID], [BOS_ID]],
        "pad_token_id": PAD_ID,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "decoder_start_token_id": BOS_ID,
        "forced_eos_token_id": EOS_ID,
    }
    files = {"config.json": to_json(values), "generation_config.json": to_json(search)}
    write_model_folder(Path(folder), weights, files | transformers_files(tokenizer_json))


def read_marian(folder: str | os.PathLike) -> MarianModel:
    """Reads config.json, model.safetensors, vocab.json, source.spm and target.spm of a folder.

    Raises:
      InputError: that lists all files that are missing, all reasons for which the model cannot be ours, or all weights
        that do not fit.
    """
    folder = Path(folder)
    needed = ("config.json", WEIGHTS, "vocab.json", "source.spm", "target.spm")
    require_no_missing(folder, missing_files(folder, needed), "{}, {}, {}, {} and {}".format(*needed), "MarianMTModel")
    values = read_json(folder / "config.json")
    vocabulary = read_json(folder / "vocab.json")
    if type(vocabulary.get("<unk>")) is not int:
        raise InputError(f"{folder / 'vocab.json'}: has no '<unk>', the unknown token")
    weights, _ = read_arrays(folder / WEIGHTS)
    config, params, ids = from_marian(values, weights, vocabulary["<unk>"], str(folder))
    ours = {theirs: number for number, theirs in reversed(list(enumerate(ids)))}
    beyond = sorted(set(vocabulary.values()) - set(ours))
    if beyond:
        raise InputError(f"{folder / 'vocab.json'}: has ids that config.json's vocab_size leaves out: {beyond[:9]}")
    generation = folder / "generation_config.json"
    search = values | (read_json(generation) if generation.is_file() else {})
    tokenizer = folder / "tokenizer_config.json"
    names = read_json(tokenizer) if tokenizer.is_file() else {}
    return MarianModel(
        config,
        params,
        {piece: ours[theirs] for piece, theirs in vocabulary.items()},
        (folder / "source.spm").read_bytes(),
        (folder / "target.spm").read_bytes(),
        _decoding(search),
        (names.get("source_lang") or "", names.get("target_lang") or ""),
    )


def _decoding(search: Mapping[str, Any]) -> DecodingConfig:
    beams, penalty = search.get("num_beams") or 1, search.get("length_penalty")
    return DecodingConfig(beam_size=beams, length_penalty="power", alpha=1.0 if penalty is None else penalty)

"""Marian model folders, as transformers and the OPUS-MT project use them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmr.config import DecodingConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, PAD_ID
from tfmr.errors import InputError
from tfmr.interop import folders
from tfmr.interop.marian_model import SPECIAL_IDS, from_marian, to_marian
from tfmr.interop.weights import read_arrays


@dataclass(frozen=True)
class MarianModel:
    """The content of a Marian folder, converted."""

    config: TransformerConfig
    """The model's configuration."""
    params: dict[str, Any]
    """The model's parameters."""
    vocabulary: dict[str, int]
    """tfmr's id of each piece."""
    source_spm: bytes
    """The SentencePiece model of the source language."""
    target_spm: bytes
    """The SentencePiece model of the target language."""
    decoding: DecodingConfig
    """The beam size and length penalty of the model."""
    languages: tuple[str, str]
    """The model's names of its source and target language. Empty if it has none."""


def write_marian(
    folder: str | os.PathLike, config: TransformerConfig, params: Any, tokenizer_json: str, decoding: DecodingConfig
) -> None:
    """Writes a model to an existing folder, for `transformers.MarianMTModel.from_pretrained`.

    Args:
      folder: the folder.
      config: the model's configuration.
      params: its parameters.
      tokenizer_json: the text of the run's tokenizer.json. Token ids do not change.
      decoding: the settings for `generate`, which supports a length penalty of length^alpha only.

    Raises:
      InputError: listing every reason why Marian cannot represent the model.
    """
    values, weights = to_marian(config, params)
    search = {
        "num_beams": decoding.beam_size,
        "length_penalty": decoding.alpha if decoding.length_penalty == "power" else 1.0,
        "early_stopping": True,
        "max_length": 512,
        "bad_words_ids": [[PAD_ID], [BOS_ID]],
        **SPECIAL_IDS,
    }
    files = {"config.json": folders.to_json(values), "generation_config.json": folders.to_json(search)}
    folders.write_model_folder(Path(folder), weights, files | folders.transformers_files(tokenizer_json))


def read_marian(folder: str | os.PathLike) -> MarianModel:
    """Reads config.json, model.safetensors, vocab.json, source.spm and target.spm from a folder.

    Raises:
      InputError: if the folder is of another kind, or listing every missing file, every reason why tfmr does not
        support such a model, or every weight that does not fit.
    """
    folder = Path(folder)
    folders.model_type(folder)
    needed = ("config.json", folders.WEIGHTS, "vocab.json", "source.spm", "target.spm")
    folders.require_no_missing(
        folder, folders.missing_files(folder, needed), "{}, {}, {}, {} and {}".format(*needed), "MarianMTModel"
    )
    values = folders.read_json(folder / "config.json")
    vocabulary = folders.read_json(folder / "vocab.json")
    if type(vocabulary.get("<unk>")) is not int:
        raise InputError(f"{folder / 'vocab.json'}: has no '<unk>', the unknown token")
    weights, _ = read_arrays(folder / folders.WEIGHTS)
    config, params, ids = from_marian(values, weights, vocabulary["<unk>"], str(folder))
    ours = {theirs: number for number, theirs in reversed(list(enumerate(ids)))}
    beyond = sorted(set(vocabulary.values()) - set(ours))
    if beyond:
        raise InputError(
            f"{folder / 'vocab.json'}: has ids {beyond[:9]}; ids must be below vocab_size in its config.json"
        )
    search = values | folders.read_optional_json(folder / "generation_config.json")
    alpha = 1.0 if search.get("length_penalty") is None else search["length_penalty"]
    names = folders.read_optional_json(folder / "tokenizer_config.json")
    return MarianModel(
        config,
        params,
        {piece: ours[theirs] for piece, theirs in vocabulary.items()},
        (folder / "source.spm").read_bytes(),
        (folder / "target.spm").read_bytes(),
        DecodingConfig(beam_size=search.get("num_beams") or 1, length_penalty="power", alpha=alpha),
        (names.get("source_lang") or "", names.get("target_lang") or ""),
    )

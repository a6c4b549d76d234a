"""Marian model folders, as transformers and the OPUS-MT project use them."""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmr.config import Config, DecodingConfig, PairsConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, PAD_ID, SENTENCE_PIECE, UNK_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.interop import compatibility, folders
from tfmr.interop.generation_settings import read_decoding, to_generation
from tfmr.interop.marian_model import SPECIAL_IDS, check_marian, from_marian, to_marian

_SENTENCE_PIECE_FILES = ("vocab.json", "source.spm", "target.spm")


@dataclass(frozen=True)
class MarianModel:
    """The content of a Marian folder, converted."""

    config: TransformerConfig
    """The model's configuration."""
    params: dict[str, Any]
    """The model's parameters."""
    tokenizer_json: str
    """The text of the tokenizer.json."""
    decoding: DecodingConfig
    """The decoding settings in generation_config.json."""
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
        **to_generation(decoding),
        "early_stopping": True,
        "bad_words_ids": [[PAD_ID], [BOS_ID]],
        **SPECIAL_IDS,
    }
    files = {"config.json": folders.to_json(values), "generation_config.json": folders.to_json(search)}
    folders.write_model_folder(Path(folder), weights, files | folders.transformers_files(tokenizer_json))


def read_marian(folder: str | os.PathLike) -> MarianModel:
    """Reads config.json, model.safetensors, and vocab.json, source.spm and target.spm from a folder.

    A folder that tfmr has written may have a tokenizer.json instead of the last three.

    Raises:
      InputError: if the folder is of another kind, or listing every missing file, every reason why tfmr does not
        support such a model, or every weight that does not fit.
    """
    folder = Path(folder)
    folders.model_type(folder)
    has_own_tokenizer = _check_files(folder)
    values = folders.read_json(folder / "config.json")
    unk_id = UNK_ID if has_own_tokenizer else _unknown_token(folder)
    config, params, ids = from_marian(values, folders.read_weights(folder), unk_id, str(folder))
    names = folders.read_optional_json(folder / "tokenizer_config.json")
    return MarianModel(
        config,
        params,
        _own_tokenizer(folder, ids) if has_own_tokenizer else _sentence_piece(folder, ids),
        read_decoding(folder, values),
        (names.get("source_lang") or "", names.get("target_lang") or ""),
    )


def _check_files(folder: Path) -> bool:
    """Returns whether a folder has a tokenizer.json instead of SentencePiece models.

    Raises:
      InputError: listing every missing file.
    """
    missing = folders.missing_files(folder, ("config.json", folders.WEIGHTS))
    no_pieces = folders.missing_files(folder, _SENTENCE_PIECE_FILES)
    is_own = len(no_pieces) == len(_SENTENCE_PIECE_FILES) and (folder / "tokenizer.json").is_file()
    missing += [] if is_own else no_pieces
    needed = f"config.json, {folders.WEIGHTS}, {', '.join(_SENTENCE_PIECE_FILES[:2])} and {_SENTENCE_PIECE_FILES[2]}"
    folders.require_no_missing(folder, missing, needed, "MarianMTModel")
    return is_own


def _unknown_token(folder: Path) -> int:
    """Returns Marian's id of the unknown token."""
    file = folder / "vocab.json"
    number = folders.read_json(file).get("<unk>")
    if type(number) is not int:
        raise InputError(f"{file}: has no '<unk>', the unknown token; copy it again")
    return number


def _sentence_piece(folder: Path, ids: Sequence[int]) -> str:
    """Returns the text of tfmr's tokenizer.json for the vocabulary and SentencePiece models of a folder.

    Args:
      folder: the model's folder.
      ids: Marian's id of each of tfmr's tokens.
    """
    vocabulary = folders.read_json(folder / "vocab.json")
    ours = {theirs: number for number, theirs in reversed(list(enumerate(ids)))}
    beyond = sorted(set(vocabulary.values()) - set(ours))
    if beyond:
        raise InputError(
            f"{folder / 'vocab.json'}: has ids {beyond[:9]}; ids must be below vocab_size in its config.json"
        )
    pieces = {piece: ours[theirs] for piece, theirs in vocabulary.items()}
    models = {side: base64.b64encode((folder / f"{side}.spm").read_bytes()).decode() for side in ("source", "target")}
    return json.dumps({"model": {"type": SENTENCE_PIECE, "vocab": pieces, **models}}, ensure_ascii=False)


def _own_tokenizer(folder: Path, ids: Sequence[int]) -> str:
    """Returns the text of tfmr's tokenizer.json for the one in a folder, which appends EOS for transformers.

    Args:
      folder: the model's folder.
      ids: Marian's id of each of tfmr's tokens.
    """
    file = folder / "tokenizer.json"
    content = {**folders.read_json(file), "post_processor": None}
    tokenizer = Tokenizer.from_json(json.dumps(content, ensure_ascii=False), str(file))
    if list(ids) != list(range(len(ids))) or tokenizer.vocab_size > len(ids):
        raise InputError(
            f"{file}: its token ids do not match config.json; give the folder that tfmr export wrote, or vocab.json, "
            "source.spm and target.spm"
        )
    return tokenizer.to_json()


def _write_run(folder: Path, config: Config, params: Any, tokenizer: Tokenizer) -> None:
    model = compatibility.require_kind("marian", config.model)
    write_marian(folder, model, params, tokenizer.to_json(), config.decoding)
    folders.write_run_config(folder, config)


def _read_run(folder: Path) -> folders.RunParts:
    model = read_marian(folder)
    tokenizer = Tokenizer.from_json(model.tokenizer_json, str(folder))
    source, target = model.languages
    data = PairsConfig(corpus="text", source_language=source, target_language=target)
    return Config(model=model.config, data=data, decoding=model.decoding), tokenizer, model.params


folders.register_format(
    "marian",
    "Marian models (such as OPUS-MT)",
    check=check_marian,
    write=_write_run,
    read=_read_run,
    model_type="marian",
)

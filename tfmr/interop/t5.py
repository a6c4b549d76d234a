"""Model folders of T5, T5 v1.1, mT5, umT5 and MADLAD-400, as transformers and the Hugging Face hub use them."""

import dataclasses
import functools
import json
import os
import re
from pathlib import Path
from typing import Any

from tfmr.config import Config, PairsConfig
from tfmr.data.tokenizer import BOS_ID, PAD_ID, SENTENCE_PIECE, Tokenizer
from tfmr.errors import InputError
from tfmr.interop import folders, unigram
from tfmr.interop.generation_settings import read_decoding, to_generation
from tfmr.interop.t5_model import MODEL_CLASSES, check_t5, from_t5, to_t5

_LANGUAGE = re.compile(r"<2([\w-]+)>")
"""The token of a language in MADLAD-400."""
_EXTRA_IDS = 100
"""Number of tokens `<extra_id_N>` if tokenizer_config.json does not say."""


def read_t5(folder: str | os.PathLike) -> folders.RunParts:
    """Returns the configuration of a run, the tokenizer and the parameters of a T5, mT5 or umT5 model.

    The folder contains config.json, model.safetensors (or several files with an index), and tokenizer.json or
    spiece.model.

    Raises:
      InputError: if the folder is of another kind, or listing every missing file, every reason why tfmr does not
        support such a model, or every weight that does not fit.
    """
    folder = Path(folder)
    missing = folders.missing_files(folder, ("config.json", folders.WEIGHTS))
    if not any((folder / file).is_file() for file in ("tokenizer.json", "spiece.model")):
        missing.append("tokenizer.json")
    needed = f"config.json, {folders.WEIGHTS}, and tokenizer.json or spiece.model"
    folders.require_no_missing(folder, missing, needed, "T5ForConditionalGeneration")
    values = folders.read_json(folder / "config.json")
    values = {**values, **folders.read_optional_json(folder / "generation_config.json")}
    theirs = _read_tokenizer(folder)
    unk_id = unigram.unknown_id(theirs, str(folder))
    model, params, ids = from_t5(values, folders.read_weights(folder), unk_id, str(folder))
    ours = json.dumps(unigram.in_our_order(theirs, ids), ensure_ascii=False)
    config = Config(model=model, data=PairsConfig(corpus="text"), decoding=read_decoding(folder, values))
    return config, _with_languages(Tokenizer.from_json(ours, str(folder))), params


def _with_languages(tokenizer: Tokenizer) -> Tokenizer:
    """Returns a tokenizer that knows the languages that the tokens of MADLAD-400 name, such as <2pt>; T5 has none."""
    names = folders.token_names(tokenizer.to_json())
    found = {number: _LANGUAGE.fullmatch(token) for number, token in names.items()}
    languages = {match[1]: number for number, match in found.items() if match}
    if not languages:
        return tokenizer
    code, number = next(iter(languages.items()))
    text = tokenizer.encode("a")
    named = tokenizer.encode(f"<2{code}> a")
    before = named[: len(named) - len(text)]
    if named != [*before, *text] or before[-1:] != [number]:
        return tokenizer  # the token is not one in a text
    tags = dataclasses.replace(
        tokenizer.tags, source_before=(*before[:-1], "target"), languages=languages, in_text=True
    )
    return tokenizer.with_tags(tags)


def _read_tokenizer(folder: Path) -> dict[str, Any]:
    """Returns the content of tokenizer.json, or of the one that spiece.model corresponds to."""
    if (folder / "tokenizer.json").is_file():
        return folders.read_json(folder / "tokenizer.json")
    extra_ids = folders.read_optional_json(folder / "tokenizer_config.json").get("extra_ids", _EXTRA_IDS)
    file = folder / "spiece.model"
    return unigram.from_sentence_piece(file.read_bytes(), extra_ids, str(file))


def write_t5(model_type: str, folder: Path, config: Config, params: Any, tokenizer: Tokenizer) -> None:
    """Writes the model of a run to an existing folder, for the class of a `model_type` in transformers.

    Raises:
      InputError: listing every reason why such a model cannot represent it.
    """
    content = json.loads(tokenizer.to_json())
    if content["model"]["type"] == SENTENCE_PIECE:
        raise InputError(
            f"{model_type}: the tokenizer of this run has a SentencePiece model for each language, but T5 has a single "
            "one; use --format tfmr"
        )
    model: Any = config.model
    values, weights, ids = to_t5(model_type, model, params)
    generation = {
        **to_generation(config.decoding),
        "early_stopping": True,
        "bad_words_ids": [[ids.index(token)] for token in (PAD_ID, BOS_ID) if token in ids],
        **{name: values[name] for name in values if name.endswith("_token_id")},
    }
    files = {"config.json": folders.to_json(values), "generation_config.json": folders.to_json(generation)}
    files |= folders.transformers_files(json.dumps(unigram.in_their_order(content, ids), ensure_ascii=False))
    folders.write_model_folder(folder, weights, files)
    folders.write_run_config(folder, config)


_TITLES = {"t5": "T5 models (such as MADLAD-400)", "mt5": "mT5 models", "umt5": "umT5 models"}
for _model_type in MODEL_CLASSES:
    folders.register_format(
        _model_type,
        _TITLES[_model_type],
        check=functools.partial(check_t5, _model_type),
        write=functools.partial(write_t5, _model_type),
        read=read_t5,
        model_type=_model_type,
    )

"""Model folders: weights, configuration and tokenizer files, as transformers and the Hugging Face hub use them."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmr.config import Config, ModelConfig
from tfmr.data.tokenizer import EOS_ID, SENTENCE_PIECE, SPECIAL_TOKENS, Tokenizer
from tfmr.errors import InputError
from tfmr.interop.run_config import exported_config, imported_config
from tfmr.interop.weights import read_arrays, write_arrays

RunParts = tuple[Config, Tokenizer, Any]
"""Configuration, tokenizer and parameters."""
WEIGHTS = "model.safetensors"
_INDEX = f"{WEIGHTS}.index.json"
"""Lists the files of weights that are split into several."""
_POINTER = b"version https://git-lfs"
"""How the files begin that stand for large files in a repository of Git LFS."""
_RUN_CONFIG = "tfmr.json"
"""The configuration of the run in folders of other formats, which cannot represent all of it. Only tfmr reads it."""
_SPECIAL = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token"), SPECIAL_TOKENS, strict=True))
_END = SPECIAL_TOKENS[EOS_ID]


@dataclass(frozen=True)
class Format:
    """A format of model folders."""

    name: str
    """Its name in `tfmr export --format`."""
    title: str
    """The models whose folders these are."""
    check: Callable[[ModelConfig], None]
    """Raises an InputError that lists every reason why the format cannot represent a model."""
    write: Callable[[Path, Config, Any, Tokenizer], None]
    """Writes the configuration of a run, its parameters and its tokenizer to an existing folder."""
    read: Callable[[Path], RunParts] | None = None
    """Returns the model of a folder as a run. None: cannot be imported."""
    model_type: str = ""
    """The `model_type` in config.json of such folders. Empty: they have none."""


FORMATS: dict[str, Format] = {}
"""The registered formats by name."""


def register_format(name: str, title: str, **functions: Any) -> None:
    """Adds a format to `tfmr import` and `tfmr export`; the arguments are the fields of `Format`."""
    FORMATS[name] = Format(name, title, **functions)


def read_run(folder: Path) -> RunParts:
    """Returns the model of a folder of any registered format, as a run.

    Raises:
      InputError: if it is a folder of another kind, which the message names, or as the format's reader.
    """
    kind = model_type(folder)
    if not kind:
        missing = missing_files(folder, ("config.json", WEIGHTS))
        lacks = f"has no {' and no '.join(missing)}" if missing else "its config.json has no model_type"
        raise InputError(f"{folder}: {lacks}; {_importable()}")
    read = _readers()[kind].read
    assert read is not None
    return read(folder)


def _readers() -> dict[str, Format]:
    """Returns the formats that can be imported, by the type of the model."""
    return {each.model_type: each for each in FORMATS.values() if each.read and each.model_type}


def _importable() -> str:
    *others, last = sorted((each.title for each in _readers().values()), key=str.casefold)
    return f"tfmr imports folders of {', '.join(others)} and {last}"


def write_model_folder(folder: Path, weights: Mapping[str, np.ndarray], files: Mapping[str, bytes]) -> None:
    """Writes weights and other files to an existing folder; raises InputError if that fails."""
    write_arrays(folder / WEIGHTS, weights, {"format": "pt"})
    for name, data in files.items():
        (folder / name).write_bytes(data)


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Returns the weights of a folder by name, from one file or from all files that an index lists.

    Raises:
      InputError: if a file is missing or damaged, or a weight of the index is in none of them.
    """
    if (folder / WEIGHTS).is_file() or not (folder / _INDEX).is_file():
        return read_arrays(folder / WEIGHTS)[0]
    weights: dict[str, np.ndarray] = {}
    shards = read_json(folder / _INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise InputError(f"{folder / _INDEX}: has no weight_map of weights to files; copy it again")
    files = sorted(set(shards.values()))
    if elsewhere := [name for name in files if Path(name).name != name]:
        raise InputError(f"{folder / _INDEX}: {elsewhere[0]!r} is not the name of a file in the same folder")
    if missing := missing_files(folder, files):
        raise InputError(
            f"{folder}: {len(missing)} of the {len(files)} weight files that {_INDEX} lists are missing: "
            f"{', '.join(missing)}; download them"
        )
    for name in files:
        weights |= read_arrays(folder / name)[0]
    if lost := sorted(set(shards) - set(weights)):
        raise InputError(f"{folder}: {lost[0]} is not in {shards[lost[0]]}, where {_INDEX} says it is; copy both again")
    return weights


def model_type(folder: Path) -> str:
    """Returns the type of the model in a folder, such as "marian"; empty if its files do not say.

    Raises:
      InputError: if it is a folder of another kind, which the message names.
    """
    if kind := _other_kind(folder):
        raise InputError(f"{folder}: is {kind}; {_importable()}")
    return read_optional_json(folder / "config.json").get("model_type") or ""


def _other_kind(folder: Path) -> str:
    """Returns what a folder is if it is known not to be a model that can be imported."""
    values = read_optional_json(folder / "config.json")
    kind = values.get("model_type")
    if kind is None and {"model", "data", "training"} <= set(values):
        return "a run directory of tfmr, which the commands use as it is"
    if kind is not None and kind not in _readers():
        return f"a model of type {kind!r}"
    if (folder / "model.bin").is_file() and any(folder.glob("*vocabulary.*")):
        return "a CTranslate2 model; import the model that it was converted from"
    if (folder / "decoder.yml").is_file():
        return "a model in Marian's .npz format; convert it with marian-conv -f model.npz -t model.bin"
    if (folder / "snapshots").is_dir():
        return "a folder of the Hugging Face cache; give one of the folders in its snapshots"
    return ""


def write_run_config(folder: Path, config: Config) -> None:
    """Adds the configuration of a run to a folder of another format."""
    (folder / _RUN_CONFIG).write_bytes(to_json(exported_config(config)))


def read_run_config(folder: Path) -> Config | None:
    """Returns the configuration of the run that a folder was exported from. None: tfmr did not write the folder.

    Raises:
      InputError: if the file is damaged.
    """
    file = folder / _RUN_CONFIG
    return imported_config(file.read_bytes(), str(file)) if file.is_file() else None


def missing_files(folder: Path, names: Sequence[str]) -> list[str]:
    """Returns the names that are not files of a folder.

    Weights may be split into several files, which an index lists.

    Raises:
      InputError: if the folder does not exist, or a file is only a pointer to what Git LFS has not downloaded.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: folder not found")
    present = {name for name in names if (folder / name).is_file()}
    for name in sorted(present):
        with (folder / name).open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise InputError(f"{folder / name}: is a Git LFS pointer, not the file; run git lfs pull in {folder}")
    if (folder / _INDEX).is_file():
        present.add(WEIGHTS)
    return [name for name in names if name not in present]


def require_no_missing(folder: Path, missing: Sequence[str], needed: str, model_class: str) -> None:
    """Raises an InputError that lists the missing files and says how to get them.

    Args:
      folder: the model's folder.
      missing: the names of the missing files.
      needed: the files that such a folder needs, in words.
      model_class: the class of transformers that can convert the weights.
    """
    if not missing:
        return
    hint = f"it needs {needed}"
    if WEIGHTS in missing and (pickles := sorted(folder.glob("pytorch_model*.bin"))):
        hint = (
            f"tfmr does not unpickle {pickles[0].name}; convert it where torch and transformers are installed: "
            f'python -c "from transformers import {model_class} as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    raise InputError(f"{folder}: has no {' and no '.join(missing)}; {hint}")


def read_json(file: Path) -> dict[str, Any]:
    """Returns the JSON object in a file; raises InputError if the file is missing or damaged, or not an object."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error}); copy it again") from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: contains a {type(values).__name__}; it must contain a JSON object")
    return values


def read_optional_json(file: Path) -> dict[str, Any]:
    """Returns the JSON object in a file, or an empty one if the file does not exist."""
    return read_json(file) if file.is_file() else {}


def to_json(values: Mapping[str, Any]) -> bytes:
    """Returns an object as the content of a JSON file."""
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()


def token_ids(content: Mapping[str, Any]) -> dict[str, int]:
    """Returns the id of each token of a tokenizer.json."""
    added = {token["content"]: token["id"] for token in content.get("added_tokens") or []}
    vocab = content["model"]["vocab"]
    if isinstance(vocab, list):  # a Unigram model's pieces and scores
        vocab = {piece: number for number, (piece, _) in enumerate(vocab)}
    return {**vocab, **added}


def token_names(tokenizer_json: str) -> dict[int, str]:
    """Returns the text of each token by its id."""
    return {number: token for token, number in token_ids(json.loads(tokenizer_json)).items()}


def vocabulary(tokenizer_json: str, vocab_size: int) -> list[str]:
    """Returns the text of each token id. Ids that the model has but the tokenizer does not are `<unused N>`."""
    names = token_names(tokenizer_json)
    return [names.get(number, f"<unused {number}>") for number in range(vocab_size)]


def own_files(tokenizer_json: str) -> dict[str, bytes]:
    """Returns the tokenizer's files by name: tokenizer.json, or source.spm and target.spm."""
    model = json.loads(tokenizer_json)["model"]
    if model["type"] != SENTENCE_PIECE:
        return {"tokenizer.json": tokenizer_json.encode()}
    target = model.get("target", model["source"])  # none: one model for all languages
    return {"source.spm": base64.b64decode(model["source"]), "target.spm": base64.b64decode(target)}


def transformers_files(tokenizer_json: str) -> dict[str, bytes]:
    """Returns the files, by name, from which `transformers.AutoTokenizer` loads a tokenizer that appends </s>."""
    content: dict[str, Any] = json.loads(tokenizer_json)
    if content["model"]["type"] == SENTENCE_PIECE:
        settings = {"tokenizer_class": "MarianTokenizer", "separate_vocabs": False, **_SPECIAL}
        files = own_files(tokenizer_json) | {"vocab.json": to_json(content["model"]["vocab"])}
        return files | {"tokenizer_config.json": to_json(settings)}
    ids = {token["content"]: token["id"] for token in content["added_tokens"]}
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": _END, "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {_END: {"id": _END, "ids": [ids[_END]], "tokens": [_END]}},
    }
    # Special tokens in text are read as text.
    behaviour = {"clean_up_tokenization_spaces": False, "split_special_tokens": True}
    special = {name: token for name, token in _SPECIAL.items() if token in ids}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **special, **behaviour}
    return {"tokenizer.json": to_json(content), "tokenizer_config.json": to_json(settings)}

"""Model folders of M2M100 (and NLLB-200), BART and mBART, as transformers and the Hugging Face hub use them."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfmr.config import Config, PairsConfig
from tfmr.data.tokenizer import BOS_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.interop import folders
from tfmr.interop.bart_model import FAMILIES, Family, check_bart, from_bart, to_bart
from tfmr.interop.generation_settings import read_decoding, to_generation
from tfmr.interop.tagged_tokenizers import missing_tokenizer, our_tokenizer, read_tokenizer, tags_of, their_files


def read_bart(folder: str | os.PathLike) -> folders.RunParts:
    """Returns the configuration of a run, the tokenizer and the parameters of an M2M100, BART or mBART model.

    The folder contains config.json, model.safetensors (or several files with an index), and tokenizer.json,
    sentencepiece.bpe.model (M2M100: with vocab.json) or, for BART, vocab.json and merges.txt.

    Raises:
      InputError: if the folder is of another kind, or listing every missing file, every reason why tfmr does not
        support such a model, or every weight that does not fit.
    """
    folder = Path(folder)
    kind = folders.model_type(folder)
    if kind not in FAMILIES:
        raise InputError(f"{folder}: its config.json has model_type {kind!r}; it must be one of {', '.join(FAMILIES)}")
    family = FAMILIES[kind]
    missing = folders.missing_files(folder, ("config.json", folders.WEIGHTS)) + missing_tokenizer(folder, kind)
    own = "vocab.json and merges.txt" if kind == "bart" else "sentencepiece.bpe.model"
    needed = f"config.json, {folders.WEIGHTS}, and tokenizer.json or {own}"
    folders.require_no_missing(folder, missing, needed, family.model_class)
    values = folders.read_json(folder / "config.json")
    values = {**values, **folders.read_optional_json(folder / "generation_config.json")}
    theirs = read_tokenizer(folder, _vocab_size(values, folder))
    start_id = _start(values, theirs.ids, theirs.settings.get("tgt_lang"), str(folder))
    weights = folders.read_weights(folder)
    model, params, order = from_bart(family, values, weights, theirs.ids["<unk>"], start_id, str(folder))
    tags = tags_of(theirs, kind, values, order)
    tokenizer = our_tokenizer(theirs, order, tags, str(folder))
    longest = min(PairsConfig.max_length, model.longest_sequence or PairsConfig.max_length)
    languages: dict[str, Any] = dict(source_language=tags.source, target_language=tags.target)
    data = PairsConfig(corpus="text", max_length=longest, **languages)
    return Config(model=model, data=data, decoding=read_decoding(folder, values)), tokenizer, params


def _vocab_size(values: Mapping[str, Any], folder: Path) -> int:
    size = values.get("vocab_size")
    if type(size) is not int:
        raise InputError(f"{folder / 'config.json'}: vocab_size = {size!r}, must be an integer of at least 1")
    return size


def _start(values: Mapping[str, Any], ids: Mapping[str, int], target: str | None, name: str) -> int:
    """Returns the id of the first token of a target: mBART's own is a language."""
    start = values.get("decoder_start_token_id")
    start = ids.get(target or "") if start is None else start
    if type(start) is not int:
        raise InputError(
            f"{name}: decoder_start_token_id = {start!r} in its config.json; it must be the id of the token that "
            "starts a target, such as that of the language to write"
        )
    return start


def write_bart(family: Family, folder: Path, config: Config, params: Any, tokenizer: Tokenizer) -> None:
    """Writes the model of a run to an existing folder, for the family's class of transformers.

    Raises:
      InputError: listing every reason why the family cannot represent the model.
    """
    model: Any = config.model
    values, weights, order = to_bart(family, model, params)
    tags = tokenizer.tags
    forced = tags.target_ids if tags.target or "target" not in tags.target_before else []
    if len(forced) > 1:
        raise InputError(f"{family.title} cannot represent {len(forced)} tokens before a target; use --format tfmr")
    start = {} if not forced else {"forced_bos_token_id": order.index(forced[0])}
    unwritten = [[values["pad_token_id"]], *([[0]] if model.start_token == BOS_ID else [])]
    names = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
    generation = {
        **to_generation(config.decoding),
        "early_stopping": True,
        "bad_words_ids": unwritten,
        **{name: values[name] for name in names},
        "forced_eos_token_id": values["eos_token_id"],
        **start,
    }
    files = {"config.json": folders.to_json(values), "generation_config.json": folders.to_json(generation)}
    files |= their_files(tokenizer, family.model_type, order)
    folders.write_model_folder(folder, weights, files)
    folders.write_run_config(folder, config)


_TITLES = {"m2m_100": "M2M100 and NLLB-200 models", "bart": "BART models", "mbart": "mBART models"}
for _family in FAMILIES.values():
    folders.register_format(
        _family.model_type,
        _TITLES[_family.model_type],
        check=functools.partial(check_bart, _family),
        write=functools.partial(write_bart, _family),
        read=read_bart,
        model_type=_family.model_type,
    )

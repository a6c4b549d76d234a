"""What may change between a run and its continuation."""

import hashlib
from typing import Any

import jax

import tfmr
from tfmr.config import Config, config_to_dict
from tfmr.data.prepare import Prepared
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.parameters import has_checkpoints
from tfmr.run_directory import RunDirectory

FREE = {
    "workdir",
    "mesh",
    "decoding",
    "distributed",
    "data.cache",
    "data.dir",
    "data.evaluation_crops",
    "training.steps",
    "training.log_every",
    "training.evaluate_every",
    "training.bleu_sentences",
    "training.checkpoint_every",
    "training.keep_last",
    "training.keep_every",
    "training.patience",
    "training.accumulation",
    "training.loss_chunk",
    "model.remat",
}
"""Sections and fields that do not change what a step computes, or only how long and how often."""


def check_same_run(run: RunDirectory, config: Config) -> None:
    """Raises InputError where a run directory was made with another configuration, naming both values.

    A run without any checkpoint has nothing yet that another configuration could not continue.
    """
    if not run.config_file.exists() or not has_checkpoints(run):
        return
    before = flatten(config_to_dict(run.read_config()))
    # Cosine ends at the last step: with another number of steps the rate of every step is another.
    free = FREE - {"training.steps"} if config.training.schedule == "cosine" else FREE
    for name, value in flatten(config_to_dict(config)).items():
        if name in free or name.split(".")[0] in free or before[name] == value:
            continue
        raise InputError(
            f"{name} = {value!r}: {run.path} was made with {before[name]!r}; give that, or another --workdir"
        )


def check_same_tokenizer(run: RunDirectory, tokenizer: Tokenizer) -> None:
    """Raises InputError where the corpus was changed since, so that its tokenizer gives tokens another meaning."""
    file = run.tokenizer_file
    if file.exists() and has_checkpoints(run) and run.read_tokenizer().to_json() != tokenizer.to_json():
        raise InputError(
            f"{file}: the corpus was changed since the run began and has another tokenizer now; give another --workdir"
        )


HOST_SPECIFIC = {
    "workdir",
    "distributed",
    "data.cache",
    "data.dir",
    "data.source_file",
    "data.target_file",
    "data.files",
    "data.validation_files",
    "data.tokenizer_file",
}
"""Sections and fields that each host may have its own of: names of folders, whose content is compared instead."""


def what_must_agree(config: Config, corpus: Prepared) -> dict[str, Any]:
    """Returns by name what must be the same in all processes of a run, as plain values."""
    fields = flatten(config_to_dict(config))
    same = {name: v for name, v in fields.items() if not {name, name.split(".")[0]} & HOST_SPECIFIC}
    return {
        **same,
        "the corpus": corpus.content_hash(),
        "the tokenizer": hashlib.blake2b(corpus.tokenizer.to_json().encode(), digest_size=16).hexdigest(),
        "the version of jax": jax.__version__,
        "the version of tfmr": tfmr.__version__,
    }


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested dictionaries as one, its keys joined by dots."""
    flat = {}
    for name, value in values.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat

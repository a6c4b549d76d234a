"""`tfmr import SOURCE RUN`: creates a run directory from an exported model, or one that another program has trained."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import tyro

from tfmr.cli.arguments import Run, parse
from tfmr.config import Config, ModelConfig, PairsConfig, RunningTextConfig
from tfmr.data.tokenizer import OURS, Tokenizer
from tfmr.errors import InputError

if TYPE_CHECKING:
    from tfmr.interop.folders import RunParts

_COMMANDS: dict[type, str] = {PairsConfig: "tfmr translate {}", RunningTextConfig: "tfmr generate {} --prompt TEXT"}
"""A command that uses the run, by its kind of data."""


@dataclass(frozen=True)
class Arguments:
    """Creates a run directory from a model that `tfmr export` has written, or from a folder of Hugging Face
    transformers: Marian, M2M100, NLLB-200, BART, mBART, T5, mT5, umT5, MADLAD-400 or GPT-2."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    """A folder that tfmr export has written, except CTranslate2's; a folder of transformers with config.json,
    model.safetensors (or several files with an index) and the tokenizer's files, such as tokenizer.json, spiece.model,
    sentencepiece.bpe.model, source.spm and target.spm, or vocab.json and merges.txt; a model of Marian itself, such as
    Firefox's: a file in its binary format with a vocab.spm beside it, or the folder of both; or a safetensors file with
    flat names."""
    run: Run
    """The run directory to create. It must not exist."""
    source_lang: str = ""
    """For a model of many languages: the language of its input unless translate names another, such as eng_Latn."""
    target_lang: str = ""
    """For a model of many languages: the language to translate into unless translate names another."""
    tokenizer: str = ""
    """For a safetensors file: its tokenizer.json. For a model of Marian itself: its vocab.spm, if the folder has
    several."""


def main(arguments: list[str]) -> None:
    """Creates the complete run directory, or nothing if an error occurs."""
    options = parse(Arguments, arguments, prog="tfmr import")
    from tfmr.interop import new_folder
    from tfmr.runs.outputs import check_new_path

    check_new_path(options.run)
    from tfmr.runs import RunDirectory
    from tfmr.runs.checkpoints import save_params

    config, tokenizer, params = _read(options)
    with new_folder(options.run) as folder:
        run = RunDirectory(folder)
        run.write_tokenizer(tokenizer)
        save_params(run.best, 0, params)
        run.write_config(config)
    command = _COMMANDS.get(type(config.data), "tfmr evaluate {}")
    print(f"created {options.run}; to use it: {command.format(shlex.quote(options.run))}")


def _read(options: Arguments) -> "RunParts":
    from tfmr.interop import find_marian_binary, read_marian_native

    if file := find_marian_binary(options.source):
        return read_marian_native(file, options.tokenizer)
    return _read_file(options) if Path(options.source).is_file() else _read_folder(options)


def _read_folder(options: Arguments) -> "RunParts":
    from tfmr.interop.folders import read_run, read_run_config

    folder = Path(options.source)
    if options.tokenizer:
        raise InputError(
            f"--tokenizer = {options.tokenizer!r}: the model folder contains its own tokenizer; omit this option"
        )
    config, tokenizer, params = read_run(folder)
    if run := read_run_config(folder):
        config, params = _as_in_run(run, config, params, str(folder))
    if options.source_lang or options.target_lang:
        tokenizer = tokenizer.with_languages(options.source_lang, options.target_lang)
        tags, data = tokenizer.tags, cast(PairsConfig, config.data)
        data = replace(data, source_language=tags.source, target_language=tags.target)
        config = replace(config, data=data)
    return config, tokenizer, params


def _as_in_run(run: Config, config: Config, params: Any, source: str) -> tuple[Config, Any]:
    """Returns a converted model's configuration and parameters with what its format cannot represent.

    Args:
      run: the configuration of the run that the model was exported from.
      config: that of the converted model.
      params: the converted model's parameters.
      source: how error messages refer to the model.
    """
    from tfmr.interop import flatten, unflatten, weight_shapes

    before: Any = run.model
    model: Any = config.model
    if type(before) is not type(model):
        raise InputError(f"{source}: its tfmr.json belongs to another kind of model; remove that file")
    model = replace(model, scan_layers=before.scan_layers, remat=before.remat, dtype=before.dtype)
    weights = flatten(params)
    # The formats have biases. The export writes zeros for those that the run does not have.
    biases = [name for name in ("bias", "attention_bias", "output_bias") if getattr(before, name, None) is False]
    own_form = replace(model, **dict.fromkeys(biases, False))
    added = weights.keys() - weight_shapes(own_form)
    if not any(weights[name].any() for name in added):
        model, weights = own_form, {name: x for name, x in weights.items() if name not in added}
    return replace(run, model=model, decoding=config.decoding), unflatten(weights, model)


def _read_file(options: Arguments) -> "RunParts":
    from tfmr.interop import load_safetensors
    from tfmr.interop.weights import run_config, tokenizer_fingerprint

    if not options.tokenizer:
        raise InputError("--tokenizer: missing; give the tokenizer.json that belongs to the safetensors file")
    model, params = load_safetensors(options.source)
    config = run_config(options.source) or _config_for(model, options.source)
    tokenizer = Tokenizer.from_file(options.tokenizer)
    if tokenizer.vocab_size > model.vocab_size:
        raise InputError(
            f"--tokenizer = {options.tokenizer!r}: has {tokenizer.vocab_size} tokens, but the model in "
            f"{options.source} has {model.vocab_size}; give the model's tokenizer"
        )
    if tokenizer_fingerprint(options.source) not in ("", tokenizer.fingerprint):
        raise InputError(
            f"--tokenizer = {options.tokenizer!r}: is not the tokenizer of the model in {options.source}; give the "
            "tokenizer.json of the run that was exported"
        )
    if isinstance(config.data, PairsConfig) and tokenizer.marks != OURS:
        raise InputError(
            f"--tokenizer = {options.tokenizer!r}: belongs to a language model, but "
            f"{options.source} is a translation model"
        )
    return config, tokenizer, params


def _config_for(model: ModelConfig, source: str) -> Config:
    """Returns the configuration of a run for a model of which only the shape is known."""
    if type(model) not in PairsConfig.models:
        raise InputError(
            f"{source}: is not a translation model and does not say how its data was prepared; export it again with "
            "--format tfmr"
        )
    longest = PairsConfig.max_length
    return Config(
        model=model, data=PairsConfig(corpus="text", max_length=min(longest, model.longest_sequence or longest))
    )

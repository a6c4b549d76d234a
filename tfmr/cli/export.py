"""`tfmr export RUN`: a model for other programs: transformers, CTranslate2, or weights in a file."""

from dataclasses import dataclass
from typing import Literal

import tyro

from tfmr.errors import InputError


@dataclass(frozen=True)
class Arguments:
    """Writes a run's model as other programs read it."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    format: Literal["marian", "gpt2", "ctranslate2", "safetensors"] = "safetensors"
    """marian: a folder for Hugging Face transformers (post-norm models with sinusoids). gpt2: likewise, of a language
    model (pre-norm, no gates). ctranslate2: a folder for CTranslate2. safetensors: one file of weights by flat
    names."""
    output: str = ""
    """The folder or file to write, which must not be there yet."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""


def main(arguments: list[str]) -> None:
    """Writes the model whole or not at all."""
    from tfmr.cli.arguments import parse

    options = parse(Arguments, arguments, prog="tfmr export")
    if not options.output:
        raise InputError("--output: is missing: give the folder or file to write")
    from tfmr.interop import check_ctranslate2, check_gpt2, check_marian, save_safetensors
    from tfmr.runs.run_directory import RunDirectory, load_run

    model = RunDirectory.open(options.run).config.model
    # Before the weights are read, which takes a while.
    checks = {"marian": check_marian, "gpt2": check_gpt2, "ctranslate2": check_ctranslate2}
    checks.get(options.format, lambda _: None)(model)
    config, tokenizer, params = load_run(options.run, options.checkpoint)
    if options.format == "safetensors":
        save_safetensors(options.output, model, params)
    else:
        _write_folder(options, config, tokenizer.to_json(), params)
    print(f"wrote {options.output}")


def _write_folder(options: Arguments, config, tokenizer_json: str, params) -> None:
    from tfmr.interop import new_folder, write_ctranslate2, write_gpt2, write_marian

    with new_folder(options.output) as folder:
        if options.format == "marian":
            write_marian(folder, config.model, params, tokenizer_json, config.decoding)
        elif options.format == "gpt2":
            write_gpt2(folder, config.model, params, tokenizer_json, has_documents=config.data.has_documents)
        else:
            write_ctranslate2(folder, config.model, params, tokenizer_json)

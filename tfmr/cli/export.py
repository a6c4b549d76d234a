"""`tfmr export RUN`: writes a model for transformers or CTranslate2, or its weights to a file."""

from dataclasses import dataclass
from typing import Literal

from tfmr.cli.arguments import RunArguments, parse
from tfmr.errors import InputError


@dataclass(frozen=True)
class Arguments(RunArguments):
    """Writes the model of a run in the format of another program."""

    format: Literal["tfmr", "marian", "gpt2", "ctranslate2", "safetensors"] = "safetensors"
    """tfmr: a folder that represents every model, with its tokenizer and configuration, for tfmr import. marian: a
    folder for Hugging Face transformers (post-norm translation models with sinusoids). gpt2: a folder for transformers
    (pre-norm language models without gates). ctranslate2: a folder for CTranslate2. safetensors: a single file of
    weights with flat names."""
    output: str = ""
    """The folder or file to write. It must not exist."""


def main(arguments: list[str]) -> None:
    """Writes the complete model, or nothing if an error occurs."""
    options = parse(Arguments, arguments, prog="tfmr export")
    if not options.output:
        raise InputError("--output: missing; give the folder or file to write")
    from tfmr.interop import check_ctranslate2, check_gpt2, check_marian, save_safetensors
    from tfmr.runs import RunDirectory, load_run
    from tfmr.runs.outputs import check_new_path

    run = RunDirectory.open(options.run)
    model = run.config.model
    # Reading the weights takes a while, so check first.
    check_new_path(options.output)
    checks = {"marian": check_marian, "gpt2": check_gpt2, "ctranslate2": check_ctranslate2}
    checks.get(options.format, lambda _: None)(model)
    config, tokenizer, params = load_run(run, options.checkpoint)
    if options.format == "safetensors":
        save_safetensors(options.output, model, params, tokenizer, config)
    else:
        _write_folder(options, config, tokenizer, params)
    print(f"wrote {options.output}")


def _write_folder(options: Arguments, config, tokenizer, params) -> None:
    from tfmr.interop import new_folder, write_ctranslate2, write_gpt2, write_marian, write_tfmr
    from tfmr.interop.folders import write_run_config

    model, tokenizer_json = config.model, tokenizer.to_json()
    with new_folder(options.output) as folder:
        if options.format == "tfmr":
            write_tfmr(folder, config, params, tokenizer)
        elif options.format == "marian":
            write_marian(folder, model, params, tokenizer_json, config.decoding)
            write_run_config(folder, config)
        elif options.format == "gpt2":
            write_gpt2(folder, model, params, tokenizer_json, has_documents=config.data.has_documents)
            write_run_config(folder, config)
        else:
            write_ctranslate2(folder, model, params, tokenizer_json)

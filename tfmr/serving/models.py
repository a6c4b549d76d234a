"""Loads the models of run directories."""

from typing import Any

from tfmr.config import CausalLMConfig, DecodingConfig
from tfmr.config.decoding import ComputeType, Engine
from tfmr.errors import InputError
from tfmr.language_model import Generator
from tfmr.runs import RunDirectory
from tfmr.serving.service import ServedModel
from tfmr.translation import Glossary, open_translator


def load_model(
    run: RunDirectory,
    checkpoint: str = "",
    decoding: DecodingConfig | None = None,
    *,
    engine: Engine = "jax",
    compute_type: ComputeType = "float32",
    glossary: Glossary | None = None,
) -> ServedModel:
    """Returns the model of a run, under the name of its folder.

    Args:
      run: the run directory.
      checkpoint, decoding, engine, compute_type: as in `tfmr.translation.open_translator`.
      glossary: for a translation model, the terms that it uses.

    Raises:
      InputError: if there is no such checkpoint, or the engine lacks the model or an option.
    """
    name = run.path.resolve().name if hasattr(run.path, "resolve") else run.path.name
    if isinstance(run.config.model, CausalLMConfig):
        if engine != "jax" or glossary is not None:
            option = "--glossary" if engine == "jax" else f"--engine = {engine!r}"
            raise InputError(f"{option}: is for translation models, but {run.path} is a language model")
        return ServedModel(name, Generator.from_run(run, checkpoint), run=run)
    translator = open_translator([run], checkpoint, decoding, engine=engine, compute_type=compute_type)
    translator = translator.with_glossary(glossary)
    languages = tuple(sorted(translator.tokenizer.tags.languages))
    data: Any = run.config.data
    source, target = languages or (data.source_language,), languages or (data.target_language,)
    return ServedModel(name, translator, source, target, run)

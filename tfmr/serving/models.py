"""Loads the models of run directories."""

from collections.abc import Sequence
from typing import Any

from tfmr.config import CausalLMConfig, DecodingConfig
from tfmr.config.decoding import ComputeType, Engine
from tfmr.errors import InputError
from tfmr.language_model import Generator
from tfmr.runs import RunDirectory
from tfmr.serving.service import ServedGenerator, ServedTranslator
from tfmr.translation import Glossary, open_translator


def load_models(
    runs: Sequence[RunDirectory],
    checkpoint: str = "",
    decodings: Sequence[DecodingConfig] = (),
    *,
    engine: Engine = "jax",
    compute_type: ComputeType = "float32",
    glossary: Glossary | None = None,
) -> tuple[list[ServedTranslator], list[ServedGenerator]]:
    """Returns the translation models and the language models of runs, under the names of their folders.

    Args:
      runs: the run directories.
      checkpoint, engine, compute_type: as in `tfmr.translation.open_translator`.
      decodings: how to search with each run. Empty: as in their configs.
      glossary: the terms that translation models use.

    Raises:
      InputError: if there is no such checkpoint, or the engine lacks a model or an option.
    """
    translators, generators = [], []
    for run, decoding in zip(runs, decodings or [None] * len(runs), strict=True):
        name = run.path.resolve().name if hasattr(run.path, "resolve") else run.path.name
        if isinstance(run.config.model, CausalLMConfig):
            if engine != "jax" or glossary is not None:
                option = "--glossary" if engine == "jax" else f"--engine = {engine!r}"
                raise InputError(f"{option}: is for translation models, but {run.path} is a language model")
            generators.append(ServedGenerator(name, Generator.from_run(run, checkpoint), run))
            continue
        translator = open_translator([run], checkpoint, decoding, engine=engine, compute_type=compute_type)
        translator = translator.with_glossary(glossary)
        languages = tuple(sorted(translator.tokenizer.tags.languages))
        data: Any = run.config.data
        source, target = languages or (data.source_language,), languages or (data.target_language,)
        translators.append(ServedTranslator(name, translator, source, target, run))
    return translators, generators

"""Loads the models of run directories."""

from typing import Any

from tfmr.config import CausalLMConfig, DecodingConfig
from tfmr.language_model import Generator
from tfmr.runs import RunDirectory
from tfmr.serving.service import ServedModel
from tfmr.translation import Translator


def load(run: RunDirectory, checkpoint: str, decoding: DecodingConfig) -> ServedModel:
    """Returns the model of a run; raises InputError as `Translator.from_run` does."""
    name = run.path.name
    if isinstance(run.config.model, CausalLMConfig):
        return ServedModel(name, Generator.from_run(run, checkpoint), run=run)
    translator = Translator.from_run(run, checkpoint, decoding)
    data: Any = run.config.data
    languages = tuple(sorted(translator.tokenizer.tags.languages))
    return ServedModel(
        name, translator, languages or (data.source_language,), languages or (data.target_language,), run
    )

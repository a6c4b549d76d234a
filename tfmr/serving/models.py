"""Loads the models of run directories."""

from typing import Any

from tfmr.config import CausalLMConfig, DecodingConfig
from tfmr.language_model import Generator
from tfmr.runs import RunDirectory
from tfmr.serving.service import ServedModel
from tfmr.translation import Translator


def load_model(run: RunDirectory, checkpoint: str = "", decoding: DecodingConfig | None = None) -> ServedModel:
    """Returns the model of a run, under the name of its folder.

    Raises:
      InputError: if there is no such checkpoint.
    """
    name = run.path.resolve().name if hasattr(run.path, "resolve") else run.path.name
    if isinstance(run.config.model, CausalLMConfig):
        return ServedModel(name, Generator.from_run(run, checkpoint), run=run)
    translator = Translator.from_run(run, checkpoint, decoding)
    languages = tuple(sorted(translator.tokenizer.tags.languages))
    data: Any = run.config.data
    source, target = languages or (data.source_language,), languages or (data.target_language,)
    return ServedModel(name, translator, source, target, run)

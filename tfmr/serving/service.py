"""What the server serves: the models, the thread that runs them, and the batches."""

import functools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tfmr.config import ServingConfig
from tfmr.errors import InputError, nearest
from tfmr.language_model import Generator
from tfmr.runs import RunDirectory
from tfmr.serving.batcher import Batcher
from tfmr.serving.errors import RequestError
from tfmr.serving.metrics import Metrics
from tfmr.serving.text_batcher import TextBatcher
from tfmr.serving.worker import Worker
from tfmr.translation import Glossary, Translator


@dataclass(frozen=True)
class ServedTranslator:
    """A translation model of the server.

    Attributes:
      name: the name by which requests choose it: that of its run directory.
      model: how it is used.
      source, target: the codes of the languages that it reads and writes.
      run: its run directory, if it has one.
    """

    name: str
    model: Translator
    source: tuple[str, ...]
    target: tuple[str, ...]
    run: RunDirectory | None = None


@dataclass(frozen=True)
class ServedGenerator:
    """A language model of the server; see `ServedTranslator`."""

    name: str
    model: Generator
    run: RunDirectory | None = None


ServedModel = ServedTranslator | ServedGenerator
Served = TypeVar("Served", bound=ServedModel)


class Service:
    """The models and what runs them. Request handlers find it as `request.app.state.service`.

    Attributes:
      translators, generators: the models.
      settings: the limits.
      metrics: the counters.
      worker: the thread that runs the models; no other does, so that no two of them compete for the device.
      reader: the thread that reads texts without a model: it detects their languages and parses documents.
      batcher: translates lines of many requests together.
      texts: generates texts of many requests together.
      compiling: whether programs for the usual sizes are still being compiled.
      with_terms: returns a translator with the terms of a glossary, always the same object for the same ones that are
        used often, as batches are made for one. Raises InputError if a term is empty or has two translations.
      started: the time at which the server started, in seconds since 1970.
    """

    def __init__(
        self,
        translators: Sequence[ServedTranslator] = (),
        generators: Sequence[ServedGenerator] = (),
        settings: ServingConfig | None = None,
    ):
        """Takes the models and the limits.

        Raises:
          InputError: if two models have the same name.
        """
        self.translators, self.generators = tuple(translators), tuple(generators)
        names = [served.name for served in self.models]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two models are named {name!r}; rename one of the run directories")
        self.settings = settings or ServingConfig()
        self.metrics = Metrics()
        self.worker = Worker()
        self.reader = Worker("reader")
        self.batcher = Batcher(self.worker, self.settings, self.metrics)
        self.texts = TextBatcher(self.worker, self.settings, self.metrics)
        self.started = int(time.time())
        self.compiling = True
        self._between: dict[tuple[str, str, str], Translator] = {}
        self.with_terms = functools.lru_cache(_MOST_GLOSSARIES)(_with_terms)

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """All models."""
        return (*self.translators, *self.generators)

    def check_length(self, texts: Iterable[str], field: str) -> None:
        """Raises RequestError if texts have too many characters together."""
        length, most = sum(map(len, texts)), self.settings.max_characters
        if length > most:
            raise RequestError(400, f"{field}: has {length} characters; at most {most} are allowed", field=field)

    def served(self, models: Sequence[Served], name: str) -> Served:
        """Returns the model with a name; raises RequestError if there is none."""
        for served in models:
            if served.name == name:
                return served
        names = [served.name for served in models]
        raise RequestError(404, f"model = {name[:60]!r}: is not served{nearest(name[:60], names)}", field="model")

    def sources(self, target: str = "", name: str = "") -> list[str]:
        """Returns the languages that can be translated into a target, by the model with a name; empty: any.

        Raises:
          RequestError: if there is no such model, or no model translates into the target.
        """
        models = self._translators(name)
        if not models:
            raise RequestError(400, "no translation model is served")
        target = target and _only("target", target, [code for served in models for code in served.target])
        fitting = [served for served in models if target in ("", *served.target)]
        return list(dict.fromkeys(code for served in fitting for code in served.source))

    def translator(self, source: str = "", target: str = "", name: str = "") -> Translator:
        """Returns the first translation model with these languages and this name. Empty: the only one.

        Raises:
          RequestError: if there is none, or if a language is left out that can be more than one.
        """
        models = self._translators(name)
        source = _only("source", source, [code for served in models for code in served.source])
        fitting = [served for served in models if source in served.source]
        target = _only("target", target, [code for served in fitting for code in served.target])
        served = next(served for served in fitting if target in served.target)
        return self._translator_between(served, source, target)

    def _translators(self, name: str) -> Sequence[ServedTranslator]:
        return [self.served(self.translators, name)] if name else self.translators

    def _translator_between(self, served: ServedTranslator, source: str, target: str) -> Translator:
        """Returns always the same object for the same model and languages, as batches are made for one."""
        if not served.model.tokenizer.tags.languages:
            return served.model
        key = served.name, source, target
        if key not in self._between:
            self._between[key] = served.model.with_languages(source, target)
        return self._between[key]


_MOST_GLOSSARIES = 16
"""The number of glossaries of requests that are kept. Their tables take up to 4 bytes a term and token of the
vocabulary."""


def _with_terms(translator: Translator, terms: tuple[tuple[str, str], ...]) -> tuple[Translator, Glossary]:
    glossary = Glossary.from_lines(f"{source}\t{target}" for source, target in terms)
    return translator.with_glossary(glossary), glossary


def _only(field: str, code: str, codes: Sequence[str]) -> str:
    """Returns a language, or the only one if it is left out; raises RequestError if it is none of those given."""
    codes = sorted(set(codes))
    if code in codes:
        return code
    some = ", ".join(codes[:5]) + (f", ... ({len(codes)} in all)" if len(codes) > 5 else "")
    if not codes:
        raise RequestError(400, f"{field}: no translation model is served", field=field)
    if code:
        raise RequestError(
            400, f"{field} = {code[:60]!r}: is not a language of the models; they have {some}", field=field
        )
    if len(codes) > 1:
        raise RequestError(400, f"{field}: missing; must be one of {some}", field=field)
    return codes[0]

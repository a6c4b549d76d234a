"""What the server serves: the models, the thread that runs them, and the batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from tfmr.errors import nearest
from tfmr.language_model import Generator
from tfmr.runs import RunDirectory
from tfmr.serving.batcher import Batcher
from tfmr.serving.errors import RequestError
from tfmr.serving.settings import ServerSettings
from tfmr.serving.worker import Worker
from tfmr.translation import Translator


@dataclass(frozen=True)
class ServedModel:
    """A model of the server.

    Attributes:
      name: the name by which requests choose it: that of its run directory.
      model: how it is used.
      source, target: for a translation model, the codes of the languages that it reads and writes.
      run: its run directory, if it has one.
    """

    name: str
    model: Translator | Generator
    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    run: RunDirectory | None = None


class Service:
    """The models and what runs them. Request handlers find it as `request.app.state.service`.

    Attributes:
      models: the models.
      settings: the limits.
      worker: the thread that runs the models.
      batcher: translates lines of many requests together.
    """

    def __init__(self, models: Sequence[ServedModel], settings: ServerSettings | None = None):
        """See the attributes."""
        self.models = tuple(models)
        self.settings = settings or ServerSettings()
        self.worker = Worker()
        self.batcher = Batcher(self.worker, self.settings)

    @property
    def translators(self) -> list[ServedModel]:
        """The translation models."""
        return [served for served in self.models if isinstance(served.model, Translator)]

    @property
    def generators(self) -> list[ServedModel]:
        """The language models."""
        return [served for served in self.models if isinstance(served.model, Generator)]

    def translator(self, source: str = "", target: str = "", name: str = "") -> tuple[ServedModel, Translator]:
        """Returns the first translation model with these languages and this name; empty: any.

        Raises:
          RequestError: if there is none.
        """
        for served in self.translators:
            fits = name in ("", served.name)
            if fits and (source in ("", *served.source)) and (target in ("", *served.target)):
                return served, _between(served, source, target)
        raise self._none_fits(source, target, name)

    def _none_fits(self, source: str, target: str, name: str) -> RequestError:
        names = [served.name for served in self.translators]
        if name and name not in names:
            return RequestError(404, f"model = {name!r}: is not served{nearest(name, names)}", field="model")
        pairs = [f"{s} to {t}" for served in self.translators for s in served.source for t in served.target]
        some = ", ".join(pairs[:3]) + (f", ... ({len(pairs)} in all)" if len(pairs) > 3 else "")
        return RequestError(400, f"source = {source!r}, target = {target!r}: no model translates this; there is {some}")


def _between(served: ServedModel, source: str, target: str) -> Translator:
    assert isinstance(served.model, Translator)
    has_languages = served.model.tokenizer.tags.languages
    return served.model.with_languages(source, target) if has_languages else served.model

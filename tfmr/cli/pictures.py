"""The pictures of `tfmr plot`; `options` are its arguments."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from matplotlib.figure import Figure

from tfmr import analysis
from tfmr.config import PairsConfig, RunningTextConfig
from tfmr.errors import InputError
from tfmr.language_model import Generator
from tfmr.runs import RunDirectory
from tfmr.training import make_schedule
from tfmr.translation import Translator

_TEXT = 40
"""Tokens of a validation text whose attention is drawn."""
_WORDS = 8
"""Words of a sentence whose neighbours are drawn."""

_Pictures = Iterator[tuple[str, Figure]]
"""File names and figures."""


def draw(options: Any, directory: RunDirectory) -> _Pictures:
    """Yields the pictures one by one; raises InputError for one that the run cannot show."""
    run = _RUNS.get(type(directory.config.data), _Run)(options, directory)
    if not options.what:
        raise InputError(f"--what: no pictures given; choose from {', '.join(run.pictures)}")
    assert run.runs  # opens all of them before anything is drawn
    missing = [what for what in options.what if what not in run.pictures]
    if missing:
        raise InputError(f"--what {missing[0]}: {run.reason}; choose from {', '.join(run.pictures)}")
    for what in dict.fromkeys(options.what):
        yield from getattr(run, what)()


class _Run:
    """A run of any kind. Only what a picture needs is read."""

    pictures: tuple[str, ...] = ("curves", "schedule")
    """The names of its pictures, each of which is a method."""
    reason = "can be drawn only for translation models and language models"

    def __init__(self, options: Any, directory: RunDirectory):
        self.options, self.directory, self.config = options, directory, directory.config

    @cached_property
    def runs(self) -> dict[str, RunDirectory]:
        """This run and those to compare it with, by distinct names."""
        runs = [self.directory, *map(RunDirectory.open, self.options.compare)]
        names = [run.path.absolute().name for run in runs]
        if len(set(names)) < len(names):
            names = [str(run.path) for run in runs]
        return dict(zip(names, runs, strict=True))

    def curves(self) -> _Pictures:
        paths = [run.path for run in self.runs.values()]
        yield "learning_curve.png", analysis.plot_learning_curves(paths, list(self.runs))

    def schedule(self) -> _Pictures:
        configs = {name: run.config for name, run in self.runs.items()}
        schedules = {name: make_schedule(config.training, config.model.d_model) for name, config in configs.items()}
        steps = {name: config.training.steps for name, config in configs.items()}
        yield "schedule.png", analysis.plot_schedules(schedules, steps)


class _TokenRun(_Run):
    """A run whose model reads tokens. Subclasses have a `model`, a `sentence` that it reads, and `attention`."""

    pictures = (*_Run.pictures, "attention", "neighbours", "embeddings", "positions")
    model: Any
    sentence: str

    def __init__(self, options: Any, directory: RunDirectory):
        super().__init__(options, directory)
        self.layer = None if options.all_layers else options.layer
        self.head = None if options.head == -1 else options.head

    def words(self) -> list[str]:
        """Returns the words of the sentence that may be single tokens."""
        return []

    def tokens(self) -> list[int]:
        """Returns the tokens whose neighbours are drawn."""
        tokenizer, words = self.model.tokenizer, self.options.tokens
        if not words:
            encoded = [tokenizer.encode(word) for word in self.words()]
            single = dict.fromkeys(ids[0] for ids in encoded if len(ids) == 1)
            return list(single or dict.fromkeys(tokenizer.encode(self.sentence)))[:_WORDS]
        texts = tokenizer.token_texts(range(tokenizer.vocab_size))
        return [_token(word, tokenizer.encode(word), texts) for word in words]

    def neighbours(self) -> _Pictures:
        yield "neighbours.png", self._plot_tokens(analysis.plot_neighbours)

    def embeddings(self) -> _Pictures:
        yield "embeddings.png", self._plot_tokens(analysis.plot_embedding_map)

    def _plot_tokens(self, plot: Callable[..., Figure]) -> Figure:
        tokenizer = self.model.tokenizer
        texts = tokenizer.token_texts(range(tokenizer.vocab_size))
        vectors = analysis.token_embeddings(self.model.params, "source")[: len(texts)]
        own = tokenizer.marks
        special = [token for token in (own.pad, own.unk, own.bos, own.eos) if token is not None]
        return plot(vectors, texts, self.tokens(), number=self.options.number, leave_out=special)

    def positions(self) -> _Pictures:
        model: Any = self.config.model
        vectors = analysis.position_vectors(model, self.model.params if model.positions == "learned" else None)
        title = f"Positions, {model.positions}"
        yield "positions.png", analysis.plot_positions(vectors, title=title)
        yield "position_products.png", analysis.plot_position_products(vectors, title=title)


class _TranslationRun(_TokenRun):
    """A run that translates."""

    pictures = (*_TokenRun.pictures, "beam")

    @cached_property
    def model(self) -> Translator:
        return Translator.from_run(self.directory, self.options.checkpoint, self.options.decoding)

    @cached_property
    def sentence(self) -> str:
        """The sentence to translate."""
        return self.options.sentence or self.directory.read_text_split("test")[0][0]

    def words(self) -> list[str]:
        return self.sentence.split()

    def attention(self) -> _Pictures:
        pair, stack = (self.sentence, self.options.target or None), self.options.stack
        figure = analysis.plot_sentence_attention(self.model, *pair, stack=stack, layer=self.layer, head=self.head)
        yield "attention.png", figure

    def beam(self) -> _Pictures:
        yield "beam.png", analysis.plot_beam_tree(self.model.beam_tree(self.sentence), title=self.sentence)


class _TextRun(_TokenRun):
    """A run of a language model."""

    reason = "a language model samples its tokens instead of searching for them"

    @cached_property
    def model(self) -> Generator:
        return Generator.from_run(self.directory, self.options.checkpoint)

    @cached_property
    def sentence(self) -> str:
        """The text to read."""
        if self.options.sentence:
            return self.options.sentence
        text = self.directory.read_token_split("validation")
        return self.model.tokenizer.decode(text.tokens[: min(_TEXT, self.config.data.max_length - 1)])

    def attention(self) -> _Pictures:
        yield "attention.png", analysis.plot_text_attention(self.model, self.sentence, layer=self.layer, head=self.head)


_RUNS: dict[type, type[_Run]] = {PairsConfig: _TranslationRun, RunningTextConfig: _TextRun}
"""The class for each kind of data. Runs of any other kind have only curves and a schedule."""


def _token(word: str, ids: list[int], texts: list[str]) -> int:
    """Returns the token of a word, or else the token with exactly this text, which is a part of words."""
    if len(ids) == 1:
        return ids[0]
    if word in texts:
        return texts.index(word)
    pieces = ", ".join(repr(texts[token]) for token in ids)
    raise InputError(f"--tokens {word!r}: consists of {len(ids)} tokens ({pieces}); give words that are single tokens")

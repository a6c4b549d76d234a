"""What `tfmr plot` draws, from a run directory and the options of the command."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from tfmr import analysis
from tfmr.cli.plot import Arguments
from tfmr.config import Config, TransformerConfig
from tfmr.errors import InputError
from tfmr.language_model import Generator
from tfmr.runs.run_directory import RunDirectory
from tfmr.translation import Translator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEXT = 40
"""Tokens of a validation text of which the attention is drawn."""
_WORDS = 8
"""Words of a sentence whose neighbours are drawn."""


def draw(options: Arguments) -> Iterator[tuple[str, "Figure"]]:
    """Yields the file names and figures that are asked for, one after the other.

    Raises:
      InputError: for what the run cannot show.
    """
    if not options.what:
        raise InputError(f"--what: names no picture: give some of {', '.join(_PICTURES)}")
    run = _Run(options)
    assert run.runs  # all are opened before anything is drawn
    if not run.translates and "beam" in options.what:
        raise InputError(
            f"--what beam: {options.run} is a language model, which draws its tokens and searches for none"
        )
    for what in dict.fromkeys(options.what):
        yield from _PICTURES[what](run)


class _Run:
    """A run, of which only that is read which a picture needs."""

    def __init__(self, options: Arguments):
        self.options = options
        self.directory = RunDirectory.open(options.run)
        self.config: Config = self.directory.config
        self.translates = isinstance(self.config.model, TransformerConfig)

    @cached_property
    def runs(self) -> dict[str, RunDirectory]:
        """This run and those that it is compared with, by names that differ."""
        runs = [self.directory, *map(RunDirectory.open, self.options.compare)]
        names = [run.path.absolute().name for run in runs]
        if len(set(names)) < len(names):
            names = [str(run.path) for run in runs]
        return dict(zip(names, runs, strict=True))

    @cached_property
    def model(self) -> Translator | Generator:
        """What translates or goes on with text."""
        if self.translates:
            return Translator.from_run(self.options.run, self.options.checkpoint, self.options.decoding)
        return Generator.from_run(self.options.run, self.options.checkpoint)

    @cached_property
    def sentence(self) -> str:
        """What is translated, or read."""
        if self.options.sentence or self.translates:
            return self.options.sentence or self.directory.read_text_split("test")[0][0]
        text = self.directory.read_token_split("validation")
        return self.model.tokenizer.decode(text.tokens[: min(_TEXT, self.config.model.max_length - 1)])

    @cached_property
    def tokens(self) -> list[int]:
        """The tokens whose neighbours are looked for."""
        tokenizer, words = self.model.tokenizer, self.options.tokens
        if not words:
            encoded = [tokenizer.encode(word) for word in self.sentence.split()] if self.translates else []
            single = dict.fromkeys(ids[0] for ids in encoded if len(ids) == 1)
            return list(single or dict.fromkeys(tokenizer.encode(self.sentence)))[:_WORDS]
        texts = tokenizer.token_texts(range(tokenizer.vocab_size))
        return [_token(word, tokenizer.encode(word), texts) for word in words]


def _token(word: str, ids: list[int], texts: list[str]) -> int:
    """Returns the one token that a word is, or else the one that is written just so: a part of words."""
    if len(ids) == 1:
        return ids[0]
    if word in texts:
        return texts.index(word)
    pieces = ", ".join(repr(texts[token]) for token in ids)
    raise InputError(f"--tokens {word!r}: is {len(ids)} tokens, {pieces}: give words that are one each")


def _curves(run: _Run) -> Iterator[tuple[str, "Figure"]]:
    yield "learning_curve.png", analysis.plot_learning_curves([each.path for each in run.runs.values()], list(run.runs))


def _schedule(run: _Run) -> Iterator[tuple[str, "Figure"]]:
    from tfmr.training import make_schedule

    configs = {name: each.config for name, each in run.runs.items()}
    schedules = {name: make_schedule(config.training, config.model.d_model) for name, config in configs.items()}
    steps = {name: config.training.steps for name, config in configs.items()}
    yield "schedule.png", analysis.plot_schedules(schedules, steps)


def _attention(run: _Run) -> Iterator[tuple[str, "Figure"]]:
    options, model = run.options, run.model
    layer = None if options.all_layers else options.layer
    head = None if options.head == -1 else options.head
    if isinstance(model, Generator):
        yield "attention.png", analysis.plot_text_attention(model, run.sentence, layer=layer, head=head)
        return
    pair = run.sentence, options.target or None
    yield "attention.png", analysis.plot_sentence_attention(model, *pair, stack=options.stack, layer=layer, head=head)


def _beam(run: _Run) -> Iterator[tuple[str, "Figure"]]:
    assert isinstance(run.model, Translator)
    yield "beam.png", analysis.plot_beam_tree(run.model.beam_tree(run.sentence), title=run.sentence)


def _neighbours(run: _Run) -> Iterator[tuple[str, "Figure"]]:
    yield "neighbours.png", _plot_embeddings(run, analysis.plot_neighbours)


def _map(run: _Run) -> Iterator[tuple[str, "Figure"]]:
    yield "embeddings.png", _plot_embeddings(run, analysis.plot_embedding_map)


def _plot_embeddings(run: _Run, plot: Callable[..., "Figure"]) -> "Figure":
    tokenizer = run.model.tokenizer
    texts = tokenizer.token_texts(range(tokenizer.vocab_size))
    vectors = analysis.token_embeddings(run.model.params, "source")[: len(texts)]
    own = tokenizer.marks
    marks = [mark for mark in (own.pad, own.unk, own.bos, own.eos) if mark is not None]
    return plot(vectors, texts, run.tokens, number=run.options.number, leave_out=marks)


def _positions(run: _Run) -> Iterator[tuple[str, "Figure"]]:
    learned = run.config.model.positions == "learned"
    vectors = analysis.position_vectors(run.config.model, run.model.params if learned else None)
    title = f"Positions, {run.config.model.positions}"
    yield "positions.png", analysis.plot_positions(vectors, title=title)
    yield "position_products.png", analysis.plot_position_products(vectors, title=title)


_PICTURES = {
    "curves": _curves,
    "attention": _attention,
    "beam": _beam,
    "neighbours": _neighbours,
    "embeddings": _map,
    "positions": _positions,
    "schedule": _schedule,
}

"""A language model that goes on with texts: raw text in, raw text out, token by token."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, Key

from tfmr.config import CausalLMConfig, GenerationConfig, SamplingConfig
from tfmr.data.tokenizer import Marks, Tokenizer
from tfmr.errors import InputError
from tfmr.language_model.streamed_text import StreamedText
from tfmr.models import CausalLM
from tfmr.models.causal_lm.model import LayerCaches
from tfmr.nn.stacks import unstack_layers
from tfmr.runs.parameters import load_run
from tfmr.runs.run_directory import RunDirectory
from tfmr.search.sampling import draw
from tfmr.search.search import Allowed, continuations

_WIDTH = 16
"""Widths of prompts and lengths of caches are multiples of this, so that few shapes are compiled."""

Ending = Literal["end", "stop", "length"]


class Continuation(NamedTuple):
    """What a model wrote after a prompt."""

    text: str
    """Without the prompt, and without the text that ended it."""
    tokens: tuple[int, ...]
    """All that were drawn, the end mark included."""
    log_prob: float
    """Their log-probability by the model, at temperature 1 and among all tokens."""
    ending: Ending
    """end: the end mark was drawn; stop: one of `config.stop` came; length: `config.max_new_tokens` are written."""


class Piece(NamedTuple):
    """Some new text of one continuation, or its end."""

    prompt: int
    """Number of the prompt."""
    sample: int
    """Number of the continuation among those of its prompt."""
    text: str
    """May be empty."""
    continuation: Continuation | None = None
    """The whole of it, with its last piece."""


class Generator:
    """Goes on with texts.

    What follows a prompt depends on neither the other prompts nor the batch's size.

    Attributes:
      model: the language model, its layers in a loop.
      params: its parameters.
      tokenizer: of running text.
      config: how to draw, and when to end.
      has_documents: whether the model was trained on documents with begin and end marks: a prompt is then the
        beginning of one, and has the mark before it if the tokenizer's marks say so.
    """

    def __init__(
        self,
        model: CausalLM,
        params: dict,
        tokenizer: Tokenizer,
        config: GenerationConfig | None = None,
        *,
        has_documents: bool = False,
    ):
        """Keeps what generating needs."""
        if model.config.scan_layers:
            model = CausalLM(dataclasses.replace(model.config, scan_layers=False))
            params = unstack_layers(params)
        self.model = model
        self.params = params
        self.tokenizer = tokenizer
        self.config = config or GenerationConfig()
        self.has_documents = has_documents
        self._pieces = tokenizer.pieces()
        # Another seed or length compiles nothing anew.
        drawing = {field.name: getattr(self.config, field.name) for field in dataclasses.fields(SamplingConfig)}
        self._sampling = SamplingConfig(**{**drawing, "seed": 0})

    @classmethod
    def from_run(
        cls, directory: str | os.PathLike | RunDirectory, checkpoint: str = "", config: GenerationConfig | None = None
    ) -> "Generator":
        """Loads the generator of a run directory.

        Args:
          directory: where training wrote.
          checkpoint: "averaged", "best", "last", or a step; empty: the first of these that is there.
          config: how to draw, and when to end.

        Raises:
          InputError: if there is no such run or checkpoint, or it is no language model.
        """
        run = RunDirectory.open(directory)
        if not isinstance(run.config.model, CausalLMConfig):
            raise InputError(f"{run.path}: not a language model; use tfmr translate for a translation model")
        run_config, tokenizer, params = load_run(run, checkpoint)
        has_documents: bool = run_config.data.has_documents  # type: ignore[union-attr]
        return cls(CausalLM(run_config.model), params, tokenizer, config, has_documents=has_documents)

    def generate(self, prompts: Iterable[str], samples: int = 1) -> list[list[Continuation]]:
        """Returns `samples` continuations of each prompt, in the order drawn.

        Raises:
          InputError: as `stream`.
        """
        prompts = list(prompts)
        found: list[list[Any]] = [[None] * samples for _ in prompts]
        for piece in self.stream(prompts, samples):
            if piece.continuation is not None:
                found[piece.prompt][piece.sample] = piece.continuation
        return found

    def stream(self, prompts: Iterable[str], samples: int = 1) -> Iterator[Piece]:
        """Yields the continuations piece by piece, as their tokens are drawn.

        Raises:
          InputError: before the first piece, if a prompt is empty where the model knows no beginnings, cannot be
            written, or is too long for the context with what is to follow it; see `config.window`.
        """
        if isinstance(prompts, str):
            raise InputError(f"generate({prompts[:20]!r}): takes prompts, not one string: put it in a list")
        if samples < 1:
            raise InputError(f"samples = {samples}: must be 1 or more")
        encoded = [self._encode(prompt, number) for number, prompt in enumerate(prompts)]
        return self._stream(encoded, samples)

    def _encode(self, prompt: str, number: int) -> list[int]:
        tokens = self.tokenizer.encode(prompt)
        marks = self.tokenizer.marks
        if marks.unk in tokens:
            unknown = ", ".join(map(repr, dict.fromkeys(self.tokenizer.unkept(prompt))))
            raise InputError(f"prompt {number + 1}: the tokenizer does not know {unknown}")
        if not tokens and not self.has_documents:
            raise InputError(
                f"prompt {number + 1}: is empty, and a model of one running text knows no beginning; give a line feed"
            )
        if self.has_documents and (marks.begins or not tokens):
            tokens = [marks.bos, *tokens]
        context, new = self.model.config.max_length, self.config.max_new_tokens
        # The last token that is written is not looked at.
        if not self.config.window and len(tokens) + new - 1 > context:
            raise InputError(
                f"prompt {number + 1}: {len(tokens)} tokens and max_new_tokens = {new} are more than the model's "
                f"context of {context}; give window (--window) to go on with the last half of it whenever it is full"
            )
        return tokens

    def _stream(self, encoded: list[list[int]], samples: int) -> Iterator[Piece]:
        prompts_together = max(1, self.config.batch_size // samples)
        for first in range(0, len(encoded), prompts_together):
            rows = [
                _Row(first + number, sample, tokens, StreamedText(self.config.stop))
                for number, tokens in enumerate(encoded[first : first + prompts_together])
                for sample in range(samples)
            ]
            yield from self._write(rows)

    def _write(self, rows: list["_Row"]) -> Iterator[Piece]:
        """Goes on with all rows until each has ended."""
        while not all(row.ending for row in rows):
            rows = [row for row in rows if not row.ending]
            for row in rows:
                row.forget(self.model.config.max_length)
            for log_probs, tokens in self._tokens(rows):
                for row, log_prob, token in zip(rows, log_probs.tolist(), tokens.tolist(), strict=True):
                    if not row.ending:
                        is_end = token == self.tokenizer.marks.eos
                        text = row.add(token, log_prob, self._pieces[token], is_end, self.config.max_new_tokens)
                        yield Piece(row.prompt, row.sample, text, row.result() if row.ending else None)
                full = any(row.is_full(self.model.config.max_length) for row in rows if not row.ending)
                if full or all(row.ending for row in rows):
                    break

    def _tokens(self, rows: list["_Row"]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields log-probabilities and tokens of all rows, one for each at a time: from what they hold now on."""
        windows = [row.tokens[row.start :] for row in rows]
        longest = max(map(len, windows))
        width = _round_up(longest)
        left = max(self.config.max_new_tokens - row.written for row in rows)
        length = width + _round_up(min(left, self.model.config.max_length - min(map(len, windows)) + 1))
        prompt = np.zeros((len(rows), width), np.int32)
        for row, window in enumerate(windows):
            prompt[row, width - len(window) :] = window
        pads = jnp.asarray([width - len(window) for window in windows], jnp.int32)
        keys = _keys(self.config.seed, jnp.asarray([row.sample for row in rows]))
        written = jnp.asarray([row.written for row in rows], jnp.int32)
        run = functools.partial(
            _next_tokens,
            model=self.model,
            sampling=self._sampling,
            has_documents=self.has_documents,
            known=self.tokenizer.vocab_size,
            marks=self.tokenizer.marks,
        )
        caches: Any = self.model.apply({"params": self.params}, len(rows), length, method="start_cache")
        tokens = jnp.asarray(prompt)
        index = jnp.int32(0)
        for number in itertools.count():
            log_probs, new, caches = run(self.params, tokens, caches, index, pads, keys, written + number)
            yield np.asarray(log_probs), np.asarray(new)
            index, tokens = jnp.int32(width + number), new[:, None]


@dataclasses.dataclass
class _Row:
    """A text that is being written."""

    prompt: int
    sample: int
    prompt_tokens: Sequence[int]
    text: StreamedText

    def __post_init__(self):
        self.tokens = list(self.prompt_tokens)
        self.start = 0
        """The first token that the model still sees."""
        self.written = 0
        self.ending: Ending | None = None
        self._log_prob = 0.0
        self._parts: list[str] = []

    def is_full(self, context: int) -> bool:
        """Whether the model sees as many tokens as it can; one more does not fit."""
        return len(self.tokens) - self.start > context

    def forget(self, context: int) -> None:
        """Leaves all but the last half of the context behind where it is full."""
        if self.is_full(context):
            self.start = len(self.tokens) - max(context // 2, 1)

    def add(self, token: int, log_prob: float, piece: bytes, is_end: bool, max_new_tokens: int) -> str:
        """Adds a token; returns the text that is certain now."""
        self.tokens.append(token)
        self.written += 1
        self._log_prob += log_prob
        text = self.text.add(piece)
        if is_end:
            self.ending = "end"
        elif self.text.stopped:
            self.ending = "stop"
        elif self.written == max_new_tokens:
            self.ending = "length"
        text += self.text.finish() if self.ending else ""
        self._parts.append(text)
        return text

    def result(self) -> Continuation:
        """Returns all that was written."""
        assert self.ending
        new = tuple(self.tokens[len(self.prompt_tokens) :])
        return Continuation("".join(self._parts), new, self._log_prob, self.ending)


def _round_up(number: int) -> int:
    return -(-number // _WIDTH) * _WIDTH


def _keys(seed: int, samples: Int[Array, " rows"]) -> Key[Array, " rows"]:
    """Returns the random key of each row: the same for a sample in whatever batch it stands."""
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), samples)


@functools.partial(
    jax.jit, static_argnames=("model", "sampling", "has_documents", "known", "marks"), donate_argnames="caches"
)
def _next_tokens(
    params: dict,
    tokens: Int[Array, "rows new"],
    caches: LayerCaches,
    index: Int[Array, ""],
    pads: Int[Array, " rows"],
    keys: Key[Array, " rows"],
    written: Int[Array, " rows"],
    *,
    model: CausalLM,
    sampling: SamplingConfig,
    has_documents: bool,
    known: int,
    marks: Marks,
) -> tuple[Float[Array, " rows"], Int[Array, " rows"], LayerCaches]:
    """Writes tokens to the caches and draws the ones that follow.

    Args:
      params: the model's parameters.
      tokens: stand at `place` and after it: the prompts, or one token of each row. All rows end at the same place.
      caches: of the places before.
      place: the first of the tokens' places.
      pads: places before each row's text, at which nothing is looked at.
      keys: a random key for each row.
      written: tokens that were written in each row.
      model: the model.
      sampling: how to draw.
      has_documents: whether texts may end.
      known: tokens that the tokenizer knows; the model may have more.
      marks: those of them that are no text.
    """
    here = index + jnp.arange(tokens.shape[1])
    mask = _look_back(here, pads, caches[0].value.shape[-2])
    positions = jnp.maximum(here - pads[:, None], 0)
    apply: Any = model.apply
    logits, caches = apply({"params": params}, tokens, caches, index, positions, mask, method="step")
    numbers = jnp.arange(logits.shape[-1])
    unknown = numbers >= known
    if marks.unk is not None:
        unknown = unknown | (numbers == marks.unk)
    unknown = jnp.broadcast_to(unknown, logits.shape)
    allowed = Allowed(end=None if has_documents else jnp.zeros(len(keys), bool), banned=unknown)
    if sampling.temperature == 0:
        log_probs, chosen = continuations(logits, 1, allowed, marks)
        return log_probs[:, 0], chosen[:, 0], caches
    log_probs, chosen = draw(jax.vmap(jax.random.fold_in)(keys, written), logits, allowed, sampling, marks)
    return log_probs, chosen, caches


def _look_back(here: Int[Array, " new"], pads: Int[Array, " rows"], length: int) -> Bool[Array, "rows 1 new {length}"]:
    """Where each new token looks: at its own place and those before it, as far as its row's text begins."""
    indices = jnp.arange(length)
    mask = (indices <= here[:, None]) & (indices >= pads[:, None, None])
    return mask[:, None]

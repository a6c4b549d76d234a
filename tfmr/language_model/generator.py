"""Text generation: raw text in, raw text out, token by token."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, Key

from tfmr.config import CausalLMConfig, GenerationConfig, SamplingConfig
from tfmr.data.tokenizer import Marks, Tokenizer
from tfmr.errors import InputError
from tfmr.language_model.streamed_text import StreamedText
from tfmr.models import CausalLM, build_model
from tfmr.models.causal_lm.model import LayerCaches
from tfmr.nn.stacks import unstack_layers
from tfmr.runs.parameters import read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.search.sampling import RowSampling, draw, draw_for_rows
from tfmr.search.search import Allowed, continuations

_WIDTH = 16
"""Widths of prompts and lengths of caches are multiples of this, to limit the number of compiled programs."""

_COARSE = 4
"""Factor between the widths, the lengths and the numbers of rows of texts that are generated together."""

Ending = Literal["end", "stop", "length"]


class Continuation(NamedTuple):
    """The text that a model generated after a prompt."""

    text: str
    """The text, without the prompt and the stop text."""
    tokens: tuple[int, ...]
    """Ids of all tokens drawn, including EOS."""
    log_prob: float
    """Log-probability of the tokens under the model, at temperature 1 and without filtering."""
    ending: Ending
    """Why the text ended. end: at EOS; stop: at a text of `config.stop`; length: after `config.max_new_tokens`."""


class Piece(NamedTuple):
    """A piece of a continuation."""

    prompt: int
    """Index of the prompt."""
    sample: int
    """Index of the continuation among those of the prompt."""
    text: str
    """The new text; may be empty."""
    continuation: Continuation | None = None
    """The whole continuation, only in its last piece."""


class TextRequest(NamedTuple):
    """A text to generate together with others; see `Generator.stream_together`."""

    prompt: str
    """The beginning."""
    config: GenerationConfig
    """How to go on. `top_k`, `min_p` and `window` are not supported."""
    sample: int = 0
    """Its number among the samples of the prompt: each is another text for the same seed."""


class Generator:
    """Generates text after prompts.

    The continuation of a prompt does not depend on the other prompts or the batch size.

    Attributes:
      model: the language model, without `scan_layers`.
      params: its parameters.
      tokenizer: the tokenizer.
      config: how to draw tokens, and when to end.
      has_documents: whether the model was trained on separate documents. A prompt is then the beginning of a document,
        preceded by BOS if `tokenizer.marks.begins`, and a text may end in EOS.
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
        """Prepares a model for generation; see the attributes for the arguments."""
        if model.config.scan_layers:
            model = CausalLM(dataclasses.replace(model.config, scan_layers=False))
            params = unstack_layers(params)
        self.model = model
        self.params = params
        self.tokenizer = tokenizer
        self.config = config or GenerationConfig()
        self.has_documents = has_documents
        self._pieces = tokenizer.pieces()
        # Without the seed and the lengths, so that a change of these does not compile the program again.
        drawing = {field.name: getattr(self.config, field.name) for field in dataclasses.fields(SamplingConfig)}
        self._sampling = SamplingConfig(**{**drawing, "seed": 0})

    @classmethod
    def from_run(
        cls, directory: str | os.PathLike | RunDirectory, checkpoint: str = "", config: GenerationConfig | None = None
    ) -> "Generator":
        """Loads the generator of a run directory; see `tfmr.runs.read_params` for the checkpoint.

        Raises:
          InputError: if there is no such run or checkpoint, or the run is not a language model.
        """
        run = RunDirectory.open(directory)
        if not isinstance(run.config.model, CausalLMConfig):
            raise InputError(f"{run.path}: not a language model; use tfmr translate for a translation model")
        data: Any = run.config.data
        params = read_params(run, run.config.model, checkpoint)
        return cls(build_model(run.config.model), params, run.tokenizer, config, has_documents=data.has_documents)

    def generate(self, prompts: Iterable[str], samples: int = 1) -> list[list[Continuation]]:
        """Returns `samples` continuations of each prompt.

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
          InputError: immediately, if a prompt contains unknown characters, is empty although the model was not trained
            on documents, or is too long for the context together with its continuation; see `config.window`.
        """
        if isinstance(prompts, str):
            raise InputError(f"generate({prompts[:20]!r}): expects a list of prompts, not a single string")
        if samples < 1:
            raise InputError(f"samples = {samples}: must be at least 1")
        encoded = [self._encode(prompt, number, self.config) for number, prompt in enumerate(prompts)]
        return self._stream(encoded, samples)

    def stream_together(
        self, requests: Sequence[TextRequest], wanted: Callable[[int], bool] = lambda request: True
    ) -> Iterator[list[Piece]]:
        """Yields a piece of each unfinished text at a time, for texts that are generated in different ways.

        The programs that this compiles are few, whatever the requests are. A text is the one that `stream` generates.

        Args:
          requests: the texts to generate. `Piece.prompt` is an index into them.
          wanted: whether the text with this index is still needed. It is ended if not.

        Raises:
          InputError: immediately, as `stream`, or if a request has a setting that is not supported.
        """
        for name, off in (("top_k", 0), ("min_p", 0.0), ("window", False)):
            for request in requests:
                if getattr(request.config, name) != off:
                    raise InputError(
                        f"{name} = {getattr(request.config, name)}: not supported when several texts are generated "
                        "together"
                    )
        encoded = [self._encode(request.prompt, number, request.config) for number, request in enumerate(requests)]
        rows = [
            _Row(number, request.sample, tokens, self._streamed_text(request.config), request.config)
            for number, (request, tokens) in enumerate(zip(requests, encoded, strict=True))
        ]
        return self._write(rows, together=True, wanted=wanted)

    def count_tokens(self, prompt: str) -> int:
        """Returns the number of tokens of a prompt of any length, including BOS if the model reads one before it.

        Raises:
          InputError: if a prompt contains unknown characters, or is empty although it must not be.
        """
        return len(self.prompt_tokens(prompt))

    def compile_together(self, rows: int, width: int, new: int) -> None:
        """Compiles the programs of `stream_together` for `rows` prompts of `width` tokens and `new` further tokens."""
        config = GenerationConfig(max_new_tokens=new)
        row = _Row(0, 0, [self.tokenizer.marks.eos] * width, StreamedText(), config)
        for _ in itertools.islice(
            self._tokens([row] * rows, True), 2
        ):  # one for the prompt, one for each further token
            pass

    def _streamed_text(self, config: GenerationConfig) -> StreamedText:
        return StreamedText([self.tokenizer.normalize(text) for text in config.stop])

    def prompt_tokens(self, prompt: str, number: int = 0) -> list[int]:
        """Returns the token ids that the model reads for a prompt; `number` is its index, for messages.

        Raises:
          InputError: if the prompt contains unknown characters, or is empty although the model was not trained on
            documents.
        """
        tokens = self.tokenizer.encode(prompt.lstrip("\ufeff"))  # a byte order mark is not text
        marks = self.tokenizer.marks
        if marks.unk in tokens:
            unknown = ", ".join(map(repr, dict.fromkeys(self.tokenizer.unkept(prompt))))
            raise InputError(f"prompt {number + 1}: the tokenizer does not know {unknown}")
        if not tokens and not self.has_documents:
            raise InputError(
                f"prompt {number + 1}: must not be empty, as the model was not trained on documents; try a line feed"
            )
        if self.has_documents and (marks.begins or not tokens):
            tokens = [marks.bos, *tokens]
        return tokens

    def _encode(self, prompt: str, number: int, config: GenerationConfig) -> list[int]:
        tokens = self.prompt_tokens(prompt, number)
        context, new = self.model.config.max_length, config.max_new_tokens
        # The last new token is not an input.
        if not config.window and len(tokens) + new - 1 > context:
            raise InputError(
                f"prompt {number + 1}: {len(tokens)} tokens and max_new_tokens = {new} exceed the model's context of "
                f"{context}; set window (--window) to keep only the last half of the context whenever it is full"
            )
        return tokens

    def _stream(self, encoded: list[list[int]], samples: int) -> Iterator[Piece]:
        prompts_together = max(1, self.config.batch_size // samples)
        for first in range(0, len(encoded), prompts_together):
            rows = [
                _Row(first + number, sample, tokens, self._streamed_text(self.config), self.config)
                for number, tokens in enumerate(encoded[first : first + prompts_together])
                for sample in range(samples)
            ]
            yield from itertools.chain.from_iterable(self._write(rows))

    def _write(
        self, rows: list["_Row"], *, together: bool = False, wanted: Callable[[int], bool] = lambda prompt: True
    ) -> Iterator[list[Piece]]:
        """Continues all rows until each has ended, or is not wanted any more. Yields the new piece of each row."""
        while not all(row.ending for row in rows):
            rows = [row for row in rows if not row.ending]
            for row in rows:
                row.forget(self.model.config.max_length)
            for log_probs, tokens in self._tokens(rows, together):
                pieces = []
                for row, log_prob, token in zip(rows, log_probs.tolist(), tokens.tolist(), strict=True):
                    if not row.ending:
                        is_end = token == self.tokenizer.marks.eos
                        text = row.add(token, log_prob, self._pieces[token], is_end)
                        pieces.append(Piece(row.prompt, row.sample, text, row.result() if row.ending else None))
                yield pieces
                for row in rows:
                    row.ending = row.ending or (None if wanted(row.prompt) else "stop")
                full = any(row.is_full(self.model.config.max_length) for row in rows if not row.ending)
                if full or all(row.ending for row in rows):
                    break

    def _tokens(self, rows: list["_Row"], together: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the log-probability and the id of the next token of all rows, again and again."""
        number, round_up = len(rows), _round_up
        if together:
            rows = [*rows, *[rows[0]] * (_round_coarsely(number, 1) - number)]
            round_up = _round_coarsely
        windows = [row.tokens[row.start :] for row in rows]
        width = round_up(max(map(len, windows)))
        left = max(row.config.max_new_tokens - row.written for row in rows)
        length = round_up(width + min(left, self.model.config.max_length - min(map(len, windows)) + 1))
        prompt = np.zeros((len(rows), width), np.int32)
        for row, window in enumerate(windows):
            prompt[row, width - len(window) :] = window
        pads = jax.device_put(np.asarray([width - len(window) for window in windows], np.int32))
        # Keys that do not depend on the batch.
        samples = jax.device_put(np.asarray([row.sample for row in rows], np.int32))
        seeds = jax.device_put(np.asarray([row.config.seed for row in rows], np.uint32))
        keys = jax.vmap(jax.random.fold_in)(jax.vmap(jax.random.key)(seeds), samples)
        written = jax.device_put(np.asarray([row.written for row in rows], np.int32))
        run = functools.partial(
            _next_tokens,
            model=self.model,
            sampling=self._sampling,
            has_documents=self.has_documents,
            known=self.tokenizer.vocab_size,
            marks=self.tokenizer.marks,
            of_rows=_sampling_of(rows) if together else None,
        )
        caches: Any = self.model.apply({"params": self.params}, len(rows), length, method="start_cache")
        tokens = jax.device_put(prompt)
        index = jnp.int32(0)
        for step in itertools.count():
            log_probs, new, caches = run(self.params, tokens, caches, index, pads, keys, written + step)
            yield np.asarray(log_probs)[:number], np.asarray(new)[:number]
            index, tokens = jnp.int32(width + step), new[:, None]


@dataclasses.dataclass
class _Row:
    """A text that is being generated."""

    prompt: int
    sample: int
    prompt_tokens: Sequence[int]
    text: StreamedText
    config: GenerationConfig

    def __post_init__(self):
        self.tokens = list(self.prompt_tokens)
        self.start = 0
        """Index of the first token in the model's context."""
        self.written = 0
        self.ending: Ending | None = None
        self._log_prob = 0.0
        self._parts: list[str] = []

    def is_full(self, context: int) -> bool:
        """Returns whether the tokens exceed the context."""
        return len(self.tokens) - self.start > context

    def forget(self, context: int) -> None:
        """Removes all but the last half of the context if it is full."""
        if self.is_full(context):
            self.start = len(self.tokens) - max(context // 2, 1)

    def add(self, token: int, log_prob: float, piece: bytes, is_end: bool) -> str:
        """Adds a token; returns the text that is now final."""
        self.tokens.append(token)
        self.written += 1
        self._log_prob += log_prob
        text = self.text.add(piece)
        if is_end:
            self.ending = "end"
        elif self.text.stopped:
            self.ending = "stop"
        elif self.written == self.config.max_new_tokens:
            self.ending = "length"
        text += self.text.finish() if self.ending else ""
        self._parts.append(text)
        return text

    def result(self) -> Continuation:
        """Returns the whole continuation."""
        assert self.ending
        new = tuple(self.tokens[len(self.prompt_tokens) :])
        return Continuation("".join(self._parts), new, self._log_prob, self.ending)


def _round_up(number: int) -> int:
    return -(-number // _WIDTH) * _WIDTH


def _round_coarsely(number: int, smallest: int = _WIDTH) -> int:
    """Returns the smallest power of `_COARSE`, times `smallest`, that is at least `number`."""
    while smallest < number:
        smallest *= _COARSE
    return smallest


def _sampling_of(rows: Sequence[_Row]) -> RowSampling:
    temperature = np.asarray([row.config.temperature for row in rows], np.float32)
    top_p = np.asarray([row.config.top_p for row in rows], np.float32)
    return RowSampling(jax.device_put(temperature), jax.device_put(top_p) if (top_p < 1).any() else None)


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
    of_rows: RowSampling | None,
) -> tuple[Float[Array, " rows"], Int[Array, " rows"], LayerCaches]:
    """Runs the model on new tokens and draws the next token of each row.

    Args:
      params, model, sampling, marks: those of the generator.
      tokens: the prompts, padded on the left, or the newest token of each row.
      caches: of the previous tokens.
      index: the cache index of the first new token.
      pads: the number of padding tokens before the text of each row.
      keys: a random key for each row.
      written: the number of tokens generated in each row so far.
      has_documents: whether EOS may be drawn.
      known: the size of the tokenizer's vocabulary; the model's may be larger.
      of_rows: how to draw for each row, instead of `sampling`.
    """
    here, slots = index + jnp.arange(tokens.shape[1]), jnp.arange(caches[0].value.shape[-2])
    # Each new token attends to itself and the previous tokens, except padding.
    mask = ((slots <= here[:, None]) & (slots >= pads[:, None, None]))[:, None]
    positions = jnp.maximum(here - pads[:, None], 0)
    apply: Any = model.apply
    logits, caches = apply({"params": params}, tokens, caches, index, positions=positions, mask=mask, method="step")
    numbers = jnp.arange(logits.shape[-1])
    unknown = numbers >= known
    if marks.unk is not None:
        unknown = unknown | (numbers == marks.unk)
    unknown = jnp.broadcast_to(unknown, logits.shape)
    allowed = Allowed(end=None if has_documents else jnp.zeros(len(keys), bool), banned=unknown)
    if of_rows is not None:
        new_keys = jax.vmap(jax.random.fold_in)(keys, written)
        log_probs, chosen = draw_for_rows(new_keys, logits, allowed, of_rows, marks)
        return log_probs, chosen, caches
    if sampling.temperature == 0:
        log_probs, chosen = continuations(logits, 1, allowed, marks)
        return log_probs[:, 0], chosen[:, 0], caches
    log_probs, chosen = draw(jax.vmap(jax.random.fold_in)(keys, written), logits, allowed, sampling, marks)
    return log_probs, chosen, caches

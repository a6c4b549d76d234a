"""Rules for outputs, as restrictions on the next token."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, PAD_ID
from tfmr.search.search import Allowed


class ForbiddenWords(NamedTuple):
    """One table of all forbidden words; see `tfmr.translation.words.WordTable`."""

    next_state: Int[Array, "states vocab"]
    needs: Int[Array, "states vocab"]
    """The least number of tokens, including EOS, to end the text after each token without a forbidden word. Very large
    if that is impossible."""


class RequiredWords(NamedTuple):
    """The words that each row must contain, and their tables; see `tfmr.translation.words.WordTable`.

    Tokens between which no state of a table distinguishes form a class. The tables have different sizes, and their
    cells, one for each state and class, follow one another: the cell of a state and a class is their sum, and what
    belongs to a state alone is in its first cell. Rows with fewer words than others are padded with word 0, which every
    text contains.
    """

    words: Int[Array, "batch words"]
    """The table of each word of a row."""
    classes: Int[Array, "tables vocab"]
    """The class of each token."""
    start: Int[Array, " tables"]
    """The state at the start of the text."""
    all_progress: Int[Array, " tables"]
    """The progress when the text contains the word."""
    next_state: Int[Array, " cells"]
    breaks: Bool[Array, " cells"]
    """Tokens that turn the word at the end of the text into part of a longer word."""
    suggested: Int[Array, " cells"]
    """The token that leads towards the word, or -1; for each state."""
    progress: Int[Array, " cells"]
    """The number of tokens of the word that the text ends with; all of them once the text contains the word."""

    @property
    def total(self) -> Int[Array, "batch 1 words"]:
        """The progress of each word when the text contains it."""
        return self.all_progress[self._tables]

    @property
    def _tables(self) -> Int[Array, "batch 1 words"]:
        return self.words[:, None]

    def start_states(self, beam: int) -> Int[Array, "batch {beam} words"]:
        """Returns the states of empty hypotheses."""
        return jnp.repeat(self.start[self._tables], beam, axis=1)

    def follow(
        self, states: Int[Array, "batch beam words"], tokens: Int[Array, "batch beam"]
    ) -> Int[Array, "batch beam words"]:
        """Returns the states of hypotheses after one more token."""
        return self.next_state[states + self.classes[self._tables, tokens[..., None]]]

    def progress_of(self, states: Int[Array, "batch beam words"]) -> Int[Array, "batch beam words"]:
        """Returns the progress of each word in each hypothesis."""
        return self.progress[states]

    def all_met(self, states: Int[Array, "batch beam words"]) -> Bool[Array, "batch beam"]:
        """Returns whether each hypothesis contains all words if it ends here."""
        return (self.progress_of(states) == self.total).all(axis=-1)

    def breaking(self, states: Int[Array, "batch beam words"]) -> Bool[Array, "batch beam vocab"]:
        """Returns the tokens that turn a word at the end of a hypothesis into part of a longer word."""
        return self.breaks[states[..., None] + self.classes[self._tables]].any(axis=-2)

    def suggestions(self, states: Int[Array, "batch beam words"]) -> Int[Array, "batch beam words"]:
        """Returns a token that leads towards each word; -1 if there is none or none is needed."""
        return self.suggested[states]

    def take_rows(self, rows: Int[Array, " rows"]) -> "RequiredWords":
        """Returns the words of the rows with these indices."""
        return self._replace(words=self.words[rows])


class Constraints(NamedTuple):
    """The rules for a batch. None: no rule of this type."""

    limits: Int[Array, " batch"]
    """The maximum number of output tokens, including EOS. 0: no output."""
    prefix: Int[Array, "batch prefix"] | None = None
    """Tokens that each output must begin with, then PAD."""
    forbidden: ForbiddenWords | None = None
    required: RequiredWords | None = None

    @property
    def prefix_lengths(self) -> Int[Array, " batch"]:
        """The number of tokens of each prefix."""
        if self.prefix is None:
            return jnp.zeros_like(self.limits)
        return (self.prefix != PAD_ID).sum(axis=1, dtype=self.limits.dtype)

    def take_rows(self, rows: Int[Array, " rows"]) -> "Constraints":
        """Returns the rules for the rows with these indices."""
        prefix = None if self.prefix is None else self.prefix[rows]
        required = None if self.required is None else self.required.take_rows(rows)
        return self._replace(limits=self.limits[rows], prefix=prefix, required=required)


class WordStates(NamedTuple):
    """States of the word tables after each hypothesis. None: there are no such words."""

    forbidden: Int[Array, "*rows"] | None
    required: Int[Array, "*rows words"] | None


def start_words(constraints: Constraints, beam: int) -> WordStates:
    """Returns the states of empty hypotheses, `beam` for each row."""
    return WordStates(
        forbidden=None if constraints.forbidden is None else jnp.zeros((len(constraints.limits), beam), jnp.int32),
        required=None if constraints.required is None else constraints.required.start_states(beam),
    )


def follow_words(constraints: Constraints, states: WordStates, tokens: Int[Array, "*rows"]) -> WordStates:
    """Returns the states after one more token."""
    forbidden, required = states
    if constraints.forbidden is not None:
        forbidden = constraints.forbidden.next_state[forbidden, tokens]
    if constraints.required is not None and required is not None:
        required = constraints.required.follow(required, tokens)
    return WordStates(forbidden, required)


def allowed_next(
    config: DecodingConfig,
    constraints: Constraints,
    tokens: Int[Array, "batch beam length"],
    words: WordStates,
    position: Int[Array, ""],
    vocab_size: int,
) -> Allowed:
    """Returns the restrictions on the token after the first `position` tokens of each hypothesis."""
    shape = tokens.shape[:2]
    left = jnp.broadcast_to((constraints.limits - position)[:, None], shape)
    only = jnp.where(left == 1, EOS_ID, -1).astype(tokens.dtype)
    if constraints.prefix is not None:
        index = jnp.minimum(position, constraints.prefix.shape[1] - 1)
        given = lax.dynamic_index_in_dim(constraints.prefix, index, axis=1)
        only = jnp.where((position == index) & (given != PAD_ID), given.astype(tokens.dtype), only)
    end = None
    if config.min_length > 0:
        end = jnp.broadcast_to(position + 1 >= config.min_length, shape)
    if constraints.required is not None and words.required is not None:
        met = constraints.required.all_met(words.required)
        end = met if end is None else met & end
    banned = None
    if constraints.forbidden is not None:
        banned = constraints.forbidden.needs[words.forbidden] >= left[..., None]
    if config.no_repeat_ngram > 0:
        repeats = _repeats(tokens, position, config.no_repeat_ngram, vocab_size)
        banned = repeats if banned is None else banned | repeats
    return Allowed(only, end, banned)


def _repeats(
    tokens: Int[Array, "batch beam length"], position: Int[Array, ""], size: int, vocab_size: int
) -> Bool[Array, "batch beam {vocab_size}"]:
    """Returns the tokens that would complete an n-gram of length `size` that the hypothesis already contains."""
    batch, beam, length = tokens.shape
    last = lax.dynamic_slice_in_dim(
        jnp.pad(tokens, ((0, 0), (0, 0), (size, 0))), position + 1, size - 1, axis=2
    )  # the newest size - 1 tokens; PAD before the first token
    ends = jnp.arange(length)  # the last position of each earlier n-gram
    same = ends < position
    for back in range(1, size):
        earlier = jnp.roll(tokens, back, axis=2)
        same = same & (ends >= back) & (earlier == last[:, :, size - 1 - back, None])
    rows = jnp.arange(batch)[:, None, None], jnp.arange(beam)[:, None]
    return jnp.zeros((batch, beam, vocab_size), bool).at[(*rows, tokens)].max(same)

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
    """One table for each required word, padded to the same size; see `tfmr.translation.words.WordTable`."""

    next_state: Int[Array, "words states vocab"]
    suggested: Int[Array, "words states"]
    """The token that leads towards the word, or -1."""
    progress: Int[Array, "words states"]
    """The number of tokens of the word that the text ends with; all of them once the text contains the word."""
    breaks: Bool[Array, "words states vocab"]
    """Tokens that turn the word at the end of the text into part of a longer word."""

    @property
    def total(self) -> Int[Array, " words"]:
        """The progress of each word when the text contains it."""
        return self.progress.max(axis=1)

    @property
    def words(self) -> Int[Array, " words"]:
        """Indices of the words."""
        return jnp.arange(len(self.progress))

    def follow(self, states: Int[Array, "*rows words"], tokens: Int[Array, "*rows"]) -> Int[Array, "*rows words"]:
        """Returns the states of hypotheses after one more token."""
        return self.next_state[self.words, states, tokens[..., None]]

    def progress_of(self, states: Int[Array, "*rows words"]) -> Int[Array, "*rows words"]:
        """Returns the progress of each word in each hypothesis."""
        return self.progress[self.words, states]

    def all_met(self, states: Int[Array, "*rows words"]) -> Bool[Array, "*rows"]:
        """Returns whether each hypothesis contains all words if it ends here."""
        return (self.progress_of(states) == self.total).all(axis=-1)

    def breaking(self, states: Int[Array, "*rows words"]) -> Bool[Array, "*rows vocab"]:
        """Returns the tokens that turn a word at the end of a hypothesis into part of a longer word."""
        return self.breaks[self.words, states].any(axis=-2)

    def suggestions(self, states: Int[Array, "*rows words"]) -> Int[Array, "*rows words"]:
        """Returns a token that leads towards each word; -1 if there is none or none is needed."""
        return self.suggested[self.words, states]


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
        return self._replace(limits=self.limits[rows], prefix=prefix)


class WordStates(NamedTuple):
    """States of the word tables after each hypothesis. None: there are no such words."""

    forbidden: Int[Array, "*rows"] | None
    required: Int[Array, "*rows words"] | None


def start_words(constraints: Constraints, rows: tuple[int, ...]) -> WordStates:
    """Returns the states of empty hypotheses."""
    required = constraints.required
    return WordStates(
        forbidden=None if constraints.forbidden is None else jnp.zeros(rows, jnp.int32),
        required=None if required is None else jnp.zeros((*rows, len(required.words)), jnp.int32),
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

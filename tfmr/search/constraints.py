"""Rules about what an output must and must not hold, as what may come next."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, PAD_ID
from tfmr.search.search import Allowed


class ForbiddenWords(NamedTuple):
    """One table of all words that no output may hold; see `translation.words.WordTable`."""

    next_state: Int[Array, "states vocab"]
    needs: Int[Array, "states vocab"]
    """How many tokens it takes to end after each token without completing a word, EOS included; very many: never."""


class RequiredWords(NamedTuple):
    """A table for each word that every output must hold; see `translation.words`. Tables are padded to one size."""

    next_state: Int[Array, "words states vocab"]
    suggested: Int[Array, "words states"]
    progress: Int[Array, "words states"]
    breaks: Bool[Array, "words states vocab"]
    """Tokens after which a word that stood at the end of the text is part of a longer one."""

    @property
    def total(self) -> Int[Array, " words"]:
        """The progress of a word that stands in the text."""
        return self.progress.max(axis=1)

    @property
    def words(self) -> Int[Array, " words"]:
        """Their numbers."""
        return jnp.arange(len(self.progress))

    def follow(self, states: Int[Array, "*rows words"], tokens: Int[Array, "*rows"]) -> Int[Array, "*rows words"]:
        """Returns the states of hypotheses with one more token each."""
        return self.next_state[self.words, states, tokens[..., None]]

    def progress_of(self, states: Int[Array, "*rows words"]) -> Int[Array, "*rows words"]:
        """Returns how many tokens of each word stand in a hypothesis."""
        return self.progress[self.words, states]

    def all_met(self, states: Int[Array, "*rows words"]) -> Bool[Array, "*rows"]:
        """Returns whether all words stand in a hypothesis, if it ends now."""
        return (self.progress_of(states) == self.total).all(axis=-1)

    def breaking(self, states: Int[Array, "*rows words"]) -> Bool[Array, "*rows vocab"]:
        """Returns the tokens with which a hypothesis loses a word that it holds."""
        return self.breaks[self.words, states].any(axis=-2)

    def suggestions(self, states: Int[Array, "*rows words"]) -> Int[Array, "*rows words"]:
        """Returns a token that brings each word nearer; -1 where there is none, or none is needed."""
        return self.suggested[self.words, states]


class Constraints(NamedTuple):
    """The rules for a batch; None: there is no such rule."""

    limits: Int[Array, " batch"]
    """The longest output in tokens, EOS included; 0: no output."""
    prefix: Int[Array, "batch prefix"] | None = None
    """What each output begins with; PAD after it."""
    forbidden: ForbiddenWords | None = None
    required: RequiredWords | None = None

    def take_rows(self, rows: Int[Array, " rows"]) -> "Constraints":
        """Returns the rules for some of the rows."""
        prefix = None if self.prefix is None else self.prefix[rows]
        return self._replace(limits=self.limits[rows], prefix=prefix)


class WordStates(NamedTuple):
    """How much of each word stands at the end of hypotheses; None where there are no such words."""

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
    """Returns the states with one more token each."""
    forbidden, required = states
    if constraints.forbidden is not None:
        forbidden = constraints.forbidden.next_state[forbidden, tokens]
    if constraints.required is not None and required is not None:
        required = constraints.required.follow(required, tokens)
    return WordStates(forbidden, required)


def take_rows(state: Any, rows: Int[Array, " rows"]) -> Any:
    """Returns a search's state for some of its rows: all of it goes by rows but `position` and words' tables."""
    kept = {"position": state.position, "constraints": state.constraints.take_rows(rows)}
    rest = state._replace(position=None, constraints=None)
    return jax.tree.map(lambda x: x[rows], rest)._replace(**kept)


def allowed_next(
    config: DecodingConfig,
    constraints: Constraints,
    tokens: Int[Array, "batch beam length"],
    words: WordStates,
    position: Int[Array, ""],
    vocab_size: int,
) -> Allowed:
    """Returns what may follow the first `position` tokens of each hypothesis."""
    shape = tokens.shape[:2]
    left = jnp.broadcast_to((constraints.limits - position)[:, None], shape)
    only = jnp.where(left == 1, EOS_ID, -1)
    if constraints.prefix is not None:
        index = jnp.minimum(position, constraints.prefix.shape[1] - 1)
        given = lax.dynamic_index_in_dim(constraints.prefix, index, axis=1)
        only = jnp.where((position == index) & (given != PAD_ID), given, only)
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
    """Returns the tokens that would make the last `size` tokens of a hypothesis ones that it holds already."""
    batch, beam, length = tokens.shape
    last = lax.dynamic_slice_in_dim(
        jnp.pad(tokens, ((0, 0), (0, 0), (size, 0))), position + 1, size - 1, axis=2
    )  # the size - 1 newest, PAD before the first
    ends = jnp.arange(length)  # where an earlier sequence ends
    same = ends < position
    for back in range(1, size):
        earlier = jnp.roll(tokens, back, axis=2)
        same = same & (ends >= back) & (earlier == last[:, :, size - 1 - back, None])
    rows = jnp.arange(batch)[:, None, None], jnp.arange(beam)[:, None]
    return jnp.zeros((batch, beam, vocab_size), bool).at[(*rows, tokens)].max(same)

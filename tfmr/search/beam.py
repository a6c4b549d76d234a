"""Beam search (section 6.1).

The beam of a row contains its k best unfinished hypotheses. Each step selects the 2k best of all their continuations.
Of the first k of these, the ones that end in EOS are finished. The best k of the others form the next beam. A row is
done when k hypotheses are finished, or earlier if no hypothesis in the beam can become one of the requested best.
A beam of size 1 is greedy search, and a beam as wide as the number of hypotheses finds the best of all.

Continuations are ordered by probability, with two exceptions. If words are required, the beam is divided between
hypotheses with different numbers of the required tokens (Post and Vilar 2018). With `diversity`, the second, third, ...
continuation of the same hypothesis is penalized (Li et al. 2016).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, PAD_ID
from tfmr.search.constraints import (
    Constraints,
    RequiredWords,
    WordStates,
    allowed_next,
    follow_words,
    start_words,
)
from tfmr.search.search import (
    Allowed,
    Cache,
    SearchResult,
    Step,
    continuations,
    coverage_costs,
    newest,
    run_until_done,
    scored,
)
from tfmr.search.values import SearchValues, search_values


class _Beam(NamedTuple):
    """Unfinished hypotheses. A log-probability of -inf marks an empty slot."""

    tokens: Int[Array, "batch beam length"]
    origins: Int[Array, "batch beam length"]
    """The beam slot in which the token of each position was written to the cache."""
    log_probs: Float[Array, "batch beam"]
    words: WordStates
    coverage: Float[Array, "batch beam source"] | None
    """The attention that each source token has received. None before the first step and without a coverage penalty."""

    def take(self, parents: Int[Array, "batch chosen"]) -> "_Beam":
        """Returns the hypotheses in these slots."""

        def take(x: Array) -> Array:
            return jnp.take_along_axis(x, parents.reshape(*parents.shape, *[1] * (x.ndim - 2)), axis=1)

        return jax.tree.map(take, self)

    def write(self, tokens: Int[Array, "batch beam"], position: Int[Array, ""]) -> "_Beam":
        """Returns the hypotheses, each extended by one token."""
        return self._replace(tokens=lax.dynamic_update_index_in_dim(self.tokens, tokens, position, axis=2))


class _Continuations(NamedTuple):
    """Candidates for the next beam of each row, in any order."""

    log_probs: Float[Array, "batch candidates"]
    """Log-probability of the whole hypothesis; -inf if there is no candidate."""
    keys: Float[Array, "batch candidates"]
    """Sort keys; the largest is the best."""
    tokens: Int[Array, "batch candidates"]
    parents: Int[Array, "batch candidates"]

    def take(self, indices: Int[Array, "batch chosen"]) -> "_Continuations":
        """Returns the candidates with these indices."""
        return jax.tree.map(lambda x: jnp.take_along_axis(x, indices, axis=1), self)

    def fill(self, number: int) -> "_Continuations":
        """Pads to at least `number` candidates; the padding has log-probability -inf."""
        missing = ((0, 0), (0, max(0, number - self.keys.shape[1])))
        return _Continuations(
            log_probs=jnp.pad(self.log_probs, missing, constant_values=-jnp.inf),
            keys=jnp.pad(self.keys, missing, constant_values=-jnp.inf),
            tokens=jnp.pad(self.tokens, missing, constant_values=PAD_ID),
            parents=jnp.pad(self.parents, missing),
        )


class BeamSteps(NamedTuple):
    """What each step of a search selected. A `parent` is a slot of the beam before the step."""

    ended_parents: Int[Array, "*steps batch beam"]
    """Parents of the hypotheses that ended."""
    ended_log_probs: Float[Array, "*steps batch beam"]
    ended_scores: Float[Array, "*steps batch beam"]
    """-inf if no hypothesis ended."""
    tokens: Int[Array, "*steps batch beam"]
    """The newest token in each slot of the next beam."""
    parents: Int[Array, "*steps batch beam"]
    log_probs: Float[Array, "*steps batch beam"]
    """Log-probabilities of the whole hypotheses; -inf if the slot is empty or the search is done."""


class _State(NamedTuple):
    position: Int[Array, ""]
    beam: _Beam
    cache: Cache
    finished: SearchResult
    num_finished: Int[Array, " batch"]
    constraints: Constraints


def beam_search(
    step: Step,
    cache: Cache,
    constraints: Constraints,
    max_length: int,
    config: DecodingConfig,
    num_hypotheses: int = 1,
    *,
    values: SearchValues | None = None,
    shrink: bool = True,
) -> SearchResult:
    """Returns the best hypotheses of each row.

    Args:
      step: the model. With a coverage penalty, its output must include the attention.
      cache: the initial cache of `step`.
      constraints: its limits must not exceed `max_length`.
      max_length: the length of the arrays, static.
      config: beam size, penalties, and the rules that are not in `constraints`.
      num_hypotheses: number of hypotheses to return, at most the beam size. The first n do not depend on it.
      values: replaces the values of the config. None: those of the config.
      shrink: continue with a smaller batch as soon as few rows are running.
    """

    values = search_values(config, max_length) if values is None else values

    def advance(state: _State) -> _State:
        return _advance(step, config, values, state)[0]

    return run_until_done(
        advance,
        running=_running,
        results=lambda state: state.finished,
        state=advance(_start(cache, constraints, max_length, num_hypotheses)),
        shrink=shrink,
    )


def record_beam_search(
    step: Step,
    cache: Cache,
    constraints: Constraints,
    max_length: int,
    config: DecodingConfig,
    num_hypotheses: int = 1,
    *,
    values: SearchValues | None = None,
) -> tuple[SearchResult, BeamSteps]:
    """Same as `beam_search`, but also returns what each step selected."""
    values = search_values(config, max_length) if values is None else values
    advance = functools.partial(_advance, step, config, values)
    state, first = advance(_start(cache, constraints, max_length, num_hypotheses))
    nothing = jax.tree.map(lambda x: jnp.full_like(x, -jnp.inf if x.dtype == jnp.float32 else PAD_ID), first)

    def advance_or_rest(state: _State, _: None) -> tuple[_State, BeamSteps]:
        return lax.cond(_running(state).any(), advance, lambda state: (state, nothing), state)

    state, rest = lax.scan(advance_or_rest, state, length=max_length - 1)
    steps = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), first, rest)
    return state.finished, steps


def _running(state: _State) -> Bool[Array, " batch"]:
    return (state.beam.log_probs > -jnp.inf).any(axis=1)


def _advance(step: Step, config: DecodingConfig, values: SearchValues, state: _State) -> tuple[_State, BeamSteps]:
    """Runs one step; returns the new state and what the step selected."""
    position, size, prefix_lengths = state.position, config.beam_size, state.constraints.prefix_lengths
    inverse_penalties = jnp.asarray(values.inverse_penalties)
    beam, cache, candidates = _extend(step, state, config)
    best = candidates.take(_top(candidates.keys, 2 * size))
    ends = best.tokens == EOS_ID

    first = best.take(jnp.broadcast_to(jnp.arange(size), (len(ends), size)))
    finishing = ends[:, :size] & (first.log_probs > -jnp.inf)
    ended = beam.take(first.parents).write(first.tokens, position)
    scores = first.log_probs * inverse_penalties[position + 1 - prefix_lengths][:, None]
    if ended.coverage is not None:
        scores = scores - coverage_costs(ended.coverage, config.coverage_penalty)
    scores = jnp.where(finishing, scores, -jnp.inf)
    finished = _keep_best(state.finished, ended.tokens, scores, position + 1)
    num_finished = state.num_finished + finishing.sum(axis=1, dtype=jnp.int32)

    best = best.take(_top(jnp.where(ends, -jnp.inf, best.keys), size))
    log_probs = jnp.where(best.tokens == EOS_ID, -jnp.inf, best.log_probs)
    # An upper bound of the final scores: no further loss of log-probability, and the largest length penalty.
    longest = jnp.maximum(state.constraints.limits - prefix_lengths, 0)
    best_possible = log_probs.max(axis=1) * inverse_penalties[longest]
    done = (num_finished >= size) | (best_possible <= finished.scores[:, -1])
    beam = beam.take(best.parents).write(best.tokens, position)
    beam = beam._replace(
        log_probs=jnp.where(done[:, None], -jnp.inf, log_probs),
        words=follow_words(state.constraints, beam.words, best.tokens),
    )
    taken = BeamSteps(first.parents, first.log_probs, scores, best.tokens, best.parents, beam.log_probs)
    return _State(position + 1, beam, cache, finished, num_finished, state.constraints), taken


def _start(cache: Cache, constraints: Constraints, max_length: int, num_hypotheses: int) -> _State:
    batch = constraints.limits.shape[0]
    # One empty hypothesis instead of k copies of it.
    beam = _Beam(
        tokens=jnp.full((batch, 1, max_length), PAD_ID, jnp.int32),
        origins=jnp.zeros((batch, 1, max_length), jnp.int32),
        log_probs=jnp.where(constraints.limits > 0, 0.0, -jnp.inf).astype(jnp.float32)[:, None],
        words=start_words(constraints, 1),
        coverage=None,
    )
    return _State(
        position=jnp.int32(0),
        beam=beam,
        cache=cache,
        finished=SearchResult(
            tokens=jnp.full((batch, num_hypotheses, max_length), PAD_ID, jnp.int32),
            scores=jnp.full((batch, num_hypotheses), -jnp.inf, jnp.float32),
            lengths=jnp.zeros((batch, num_hypotheses), jnp.int32),
        ),
        num_finished=jnp.zeros(batch, jnp.int32),
        constraints=constraints,
    )


def _extend(step: Step, state: _State, config: DecodingConfig) -> tuple[_Beam, Cache, _Continuations]:
    """Runs the model; returns the beam with updated origins and coverage, the cache and the candidates."""
    position, beam, cache = state.position, state.beam, state.cache
    batch, slots = beam.log_probs.shape
    size = config.beam_size
    here = jnp.broadcast_to(jnp.arange(slots, dtype=jnp.int32), (batch, slots))
    beam = beam._replace(origins=lax.dynamic_update_index_in_dim(beam.origins, here, position, axis=2))
    logits, cache, attention = step(newest(beam.tokens, position), beam.origins, cache, position)
    if attention is not None:
        beam = beam._replace(coverage=attention if beam.coverage is None else beam.coverage + attention)
    allowed = allowed_next(config, state.constraints, beam.tokens, beam.words, position, logits.shape[-1])
    # At most one continuation of a hypothesis ends, so k + 1 of each hypothesis are enough to fill the next beam.
    each = size + 1 if slots > 1 else 2 * size
    log_probs, tokens = continuations(logits, min(each, logits.shape[-1] - 2), allowed)
    log_probs = scored(log_probs, state.constraints, position)
    keys = log_probs - config.diversity * jnp.arange(tokens.shape[-1], dtype=jnp.float32)
    required, states = state.constraints.required, beam.words.required
    if required is not None and states is not None:
        suggested, suggested_log_probs = _suggest(required, states, logits, allowed, tokens)
        tokens = jnp.concatenate([tokens, suggested], axis=2)
        log_probs = jnp.concatenate([log_probs, suggested_log_probs], axis=2)
        keys = jnp.concatenate([keys, suggested_log_probs], axis=2)
    before = beam.log_probs[..., None]
    parents = jnp.broadcast_to(here[..., None], tokens.shape)
    candidates = _Continuations(before + log_probs, before + keys, tokens, parents)
    candidates = jax.tree.map(lambda x: x.reshape(batch, -1), candidates).fill(2 * size)
    if required is not None and states is not None:
        candidates = _in_turns(required, states, candidates)
    return beam, cache, candidates


def _suggest(
    required: RequiredWords,
    states: Int[Array, "batch beam words"],
    logits: Float[Array, "batch beam vocab"],
    allowed: Allowed,
    taken: Int[Array, "batch beam continuations"],
) -> tuple[Int[Array, "batch beam suggestions"], Float[Array, "batch beam suggestions"]]:
    """Returns further tokens that the required words need, and their log-probabilities.

    These are, for each hypothesis, one token per required word that leads towards the word, and the most probable
    token that breaks none of the words. The log-probability is -inf for tokens already in `taken`.
    """
    nearer = required.suggestions(states)
    nearer_log_probs = jnp.take_along_axis(logits, jnp.maximum(nearer, 0), axis=2)
    nearer_log_probs = jnp.minimum(nearer_log_probs - jax.nn.logsumexp(logits, axis=2, keepdims=True), 0.0)
    use = nearer >= 0
    if allowed.only is not None:
        use = use & (allowed.only < 0)[..., None]
    if allowed.banned is not None:
        use = use & ~jnp.take_along_axis(allowed.banned, jnp.maximum(nearer, 0), axis=2)
    breaking = required.breaking(states)
    kept = allowed._replace(banned=breaking if allowed.banned is None else breaking | allowed.banned)
    keeping_log_probs, keeping = continuations(logits, 1, kept)
    tokens = jnp.concatenate([jnp.maximum(nearer, 0), keeping], axis=2)
    log_probs = jnp.concatenate([jnp.where(use, nearer_log_probs, -jnp.inf), keeping_log_probs], axis=2)
    twice = (tokens[..., None] == taken[:, :, None]).any(axis=-1)
    twice = twice | jnp.tril(tokens[..., :, None] == tokens[..., None, :], k=-1).any(axis=-1)
    return tokens, jnp.where(twice, -jnp.inf, log_probs)


def _in_turns(
    required: RequiredWords, states: Int[Array, "batch beam words"], candidates: _Continuations
) -> _Continuations:
    """Orders candidates by rank among those with the same number of required tokens, then by that number.

    The best candidate with the most required tokens is first, then the best with fewer, and so on; after the best of
    each number come the second best of each.
    """
    states = jnp.take_along_axis(states, candidates.parents[..., None], axis=1)
    progress = required.progress_of(required.follow(states, candidates.tokens)).sum(axis=-1)
    mine, other = candidates.keys[:, :, None], candidates.keys[:, None, :]
    earlier = jnp.tril(jnp.ones((mine.shape[1],) * 2, bool), k=-1)
    better = (other > mine) | ((other == mine) & earlier)
    rank = (better & (progress[:, :, None] == progress[:, None, :])).sum(axis=2)
    turn = rank * (required.total.sum(axis=-1) + 1) - progress
    return candidates._replace(keys=jnp.where(candidates.keys > -jnp.inf, -turn.astype(jnp.float32), -jnp.inf))


def _keep_best(
    finished: SearchResult,
    tokens: Int[Array, "batch beam length"],
    scores: Float[Array, "batch beam"],
    length: Int[Array, ""],
) -> SearchResult:
    """Returns the best of the old and new finished hypotheses. Ties go to the one that finished earlier."""
    merged = SearchResult(
        tokens=jnp.concatenate([finished.tokens, tokens], axis=1),
        scores=jnp.concatenate([finished.scores, scores], axis=1),
        lengths=jnp.concatenate([finished.lengths, jnp.full_like(scores, length, dtype=jnp.int32)], axis=1),
    )
    scores, best = lax.top_k(merged.scores, finished.scores.shape[1])
    found: Bool[Array, "batch hypotheses"] = scores > -jnp.inf
    return SearchResult(
        tokens=jnp.where(found[..., None], jnp.take_along_axis(merged.tokens, best[..., None], axis=1), PAD_ID),
        scores=scores,
        lengths=jnp.where(found, jnp.take_along_axis(merged.lengths, best, axis=1), 0),
    )


def _top(keys: Float[Array, "batch candidates"], number: int) -> Int[Array, "batch {number}"]:
    return lax.top_k(keys, number)[1]

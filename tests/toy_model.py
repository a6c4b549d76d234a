"""Models that are small enough to enumerate all that they can write."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tfmr.search import Constraints, StepOutput, beam_search, greedy_search, sample

CONTEXTS = 997


def make_logits(seed: int, vocab: int, sharpness: float = 1.5) -> np.ndarray:
    """One row of logits for each of many contexts; every history leads to one of them."""
    return np.random.default_rng(seed).normal(0, sharpness, (CONTEXTS, vocab)).astype(np.float32)


def next_context(context, token, position):
    """Which row of the logits a history leads to."""
    return (context * 31 + token * 7 + position + 1) % CONTEXTS


def start_contexts(contexts, beam_size, max_length):
    """A cache of the context after each position, in the order of the beam; the start's comes last."""
    empty = jnp.zeros((len(contexts), beam_size, max_length), int)
    return jnp.concatenate([empty, jnp.broadcast_to(contexts[:, None, None], (*empty.shape[:2], 1))], axis=2)


def write_context(cache, tokens, origins, position):
    """The cache with the context after `tokens`, found from where the hypotheses' last tokens were written."""
    origin = jnp.where(position == 0, 0, origins[:, :, position - 1])
    context = next_context(jnp.take_along_axis(cache[:, :, position - 1], origin, axis=1), tokens, position)
    return cache.at[:, : tokens.shape[1], position].set(context), context


def make_step(logits, attention=None):
    """The step of a search: what comes next depends on the whole history, which only the cache knows."""

    def step(tokens, origins, cache, position):
        cache, context = write_context(cache, tokens, origins, position)
        return StepOutput(logits[context], cache, None if attention is None else attention[context])

    return step


def make_attention(sources: int) -> np.ndarray:
    """Where the newest token of each context looks among `sources` source tokens."""
    rows = np.random.default_rng(1).dirichlet(np.full(sources, 0.4), CONTEXTS)
    return rows.astype(np.float32)


@functools.partial(jax.jit, static_argnames=("max_length", "config", "number"))
def run(logits, contexts, constraints, max_length, config, number=None, attention=None, keys=None):
    """Searches; row b starts in contexts[b]. Without a number: greedy. With keys: samples."""
    size = keys.shape[1] if keys is not None else config.beam_size
    step = make_step(logits, attention)
    cache = start_contexts(contexts, size, max_length)
    if keys is not None:
        return sample(step, cache, constraints, keys, max_length, config)
    if number is None:
        return greedy_search(step, cache, constraints, max_length, config)
    return beam_search(step, cache, constraints, max_length, config, number)


def search_arrays(logits, limits, config, number=None, *, max_length=None, first_row=0, **rest):
    """`run` with plain lists; what `Constraints` knows besides limits may be given too."""
    rules = {name: rest.pop(name) for name in ("prefix", "forbidden", "required") if name in rest}
    contexts = jnp.arange(5 + first_row, 5 + first_row + len(limits))
    constraints = Constraints(jnp.array(limits), **rules)
    return run(logits, contexts, constraints, max_length or max(limits), config, number, **rest)


def hypotheses(result, row):
    """The tokens, up to EOS, and scores of a row's hypotheses."""
    tokens, scores, lengths = (np.asarray(x)[row] for x in result)
    return [(tuple(t[:n].tolist()), float(s)) for t, s, n in zip(tokens, scores, lengths, strict=True) if n > 0]


def search(logits, limits, config, number=None, **rest):
    """The hypotheses of each row: their tokens, EOS included, and scores."""
    result = search_arrays(logits, limits, config, number, **rest)
    return [hypotheses(result, row) for row in range(len(limits))]


def contexts_of(row: int, tokens) -> list[int]:
    """The contexts in which each of the tokens was written."""
    contexts, context = [], 5 + row
    for position, token in enumerate([BOS_ID, *tokens[:-1]]):
        context = next_context(context, token, position)
        contexts.append(context)
    return contexts


def log_probability(logits, row: int, tokens) -> float:
    """In float64."""
    rows = log_softmax(logits[contexts_of(row, tokens)].astype(np.float64), axis=1)
    return float(rows[np.arange(len(tokens)), list(tokens)].sum())


def every_text(vocab: int, limit: int):
    """All that can be written with at most so many tokens, EOS included."""
    written = [token for token in range(vocab) if token not in (PAD_ID, BOS_ID, EOS_ID)]
    for length in range(limit):
        for body in itertools.product(written, repeat=length):
            yield (*body, EOS_ID)


def penalty(length: int, config: DecodingConfig) -> float:
    """Of the length."""
    return ((5 + length) / 6) ** config.alpha if config.length_penalty == "gnmt" else length**config.alpha


def ranked(logits, row: int, limit: int, config: DecodingConfig, allowed=lambda tokens: True):
    """All allowed texts with their scores, best first."""
    texts = [tokens for tokens in every_text(logits.shape[1], limit) if allowed(tokens)]
    scored = [(tokens, log_probability(logits, row, tokens) / penalty(len(tokens), config)) for tokens in texts]
    return sorted(scored, key=lambda item: -item[1])


def assert_same(found, expected):
    """The same texts in the same order, with the same scores to float32's rounding."""
    assert [tokens for tokens, _ in found] == [tokens for tokens, _ in expected]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], rtol=2e-5)

"""A text that a language model continues, with the distribution from which each token is drawn."""

import functools
from collections.abc import Sequence
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from tfmr.config import SamplingConfig
from tfmr.errors import InputError
from tfmr.language_model import Generator
from tfmr.models import CausalLM
from tfmr.search.sampling import draw
from tfmr.search.search import Allowed, continuations
from tfmr.serving.explore.tokens import LOWEST, Candidate, Token, candidates_of, tokens_of
from tfmr.translation.padded_batches import next_power, padded_width

CANDIDATES = 40
"""The number of tokens that are shown for each place."""
TEMPERATURES = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""The temperatures for which the page can draw a distribution: 0.1 to 2."""


class Distribution(TypedDict):
    """What may come next at a place, among the tokens that may be written."""

    candidates: list[Candidate]
    """The most probable tokens at temperature 1, most probable first."""
    log_normalisers: list[float]
    """At each of `TEMPERATURES`, the log of the sum of exp(log_prob / T) over the vocabulary: a token's probability at
    temperature T is exp(log_prob / T - log_normaliser)."""


class Text(TypedDict):
    """Tokens and distributions. Distribution i is of the token after the first `first` + i + 1 tokens."""

    tokens: list[Candidate]
    """The tokens from index `first` on. The log-probability of the first token of all has no meaning and is 0."""
    first: int
    distributions: list[Distribution]
    context: int
    """The maximum number of tokens."""
    drawn: Token | None
    """The next token, at random; None if the text is at its end or fills the context."""
    ended: bool


def continue_text(
    generator: Generator,
    tokens: Sequence[int],
    *,
    first: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> Text:
    """Returns the distributions at the places of a text from `first` on, and draws its next token.

    Args:
      generator: the language model.
      tokens: token ids, from `Generator.prompt_tokens` and drawn or chosen after it.
      first: index of the first token of interest, since the page knows what came before.
      temperature, top_p, seed: how to draw; see `SamplingConfig`. Temperature 0: the most probable token.

    Raises:
      InputError: if there are no tokens, more than the model's context, or one that is not in the vocabulary.
    """
    tokenizer, context = generator.tokenizer, generator.model.config.max_length
    if not 0 < len(tokens) <= context:
        raise InputError(f"text of {len(tokens)} tokens: must have from 1 to {context}, the model's context")
    if wrong := [token for token in tokens if not 0 <= token < tokenizer.vocab_size]:
        raise InputError(f"token id {wrong[0]}: must be from 0 to {tokenizer.vocab_size - 1}")
    if not 0 <= first < len(tokens):
        raise InputError(f"first = {first}: must be from 0 to {len(tokens) - 1}")
    sampling = SamplingConfig(temperature=temperature, top_p=top_p if temperature else 1.0, seed=seed)
    start = max(first - 1, 0)  # the distribution before the first token of interest has its probability
    logits = _logits(generator, tokens, start)
    allowed = ~_banned(generator, logits.shape[-1])
    log_probs = np.where(allowed, logits, -np.inf)
    log_probs = log_probs - np.logaddexp.reduce(log_probs, axis=-1, keepdims=True)
    own = [float(log_probs[index - 1 - start, tokens[index]]) if index else 0.0 for index in range(first, len(tokens))]
    ended = tokens[-1] == tokenizer.marks.eos and len(tokens) > 1
    full = ended or len(tokens) == context
    return {
        "tokens": candidates_of(tokenizer, tokens[first:], own),
        "first": first,
        "distributions": [_distribution(generator, row) for row in log_probs[first - start :]],
        "context": context,
        "drawn": None if full else _drawn(generator, logits[-1:], ~allowed, sampling, len(tokens)),
        "ended": ended,
    }


def _logits(generator: Generator, tokens: Sequence[int], start: int) -> Float[np.ndarray, "places vocab"]:
    """Returns the logits after each token from index `start` on."""
    count, context = len(tokens) - start, generator.model.config.max_length
    width = min(padded_width(len(tokens)), context)
    places = min(next_power(2, count), width)
    padded = np.zeros((1, width), np.int32)
    padded[0, : len(tokens)] = tokens
    segments = (np.arange(width) < len(tokens)).astype(np.int32)[None]
    begin = min(start, width - places)
    arguments = jax.device_put((padded, segments, np.int32(begin)))
    found = _logits_after(generator.params, *arguments, model=generator.model, places=places)
    return np.asarray(found)[start - begin : start - begin + count]


@functools.partial(jax.jit, static_argnames=("model", "places"))
def _logits_after(
    params: dict,
    tokens: Int[Array, "1 width"],
    segments: Int[Array, "1 width"],
    begin: Int[Array, ""],
    *,
    model: CausalLM,
    places: int,
) -> Float[Array, "{places} vocab"]:
    apply: Any = model.apply
    states, table = apply({"params": params}, tokens, segments=segments, method="states_and_output_table")
    wanted = lax.dynamic_slice_in_dim(states[0], begin, places)
    return jnp.einsum("pd,vd->pv", wanted, table.astype(states.dtype), preferred_element_type=jnp.float32)


def _banned(generator: Generator, vocab: int) -> Bool[np.ndarray, " vocab"]:
    """Returns the tokens that are never drawn, as `Generator` has it."""
    marks, numbers = generator.tokenizer.marks, np.arange(vocab)
    banned = (numbers >= generator.tokenizer.vocab_size) | np.isin(numbers, marks.unwritten)
    if marks.unk is not None:
        banned |= numbers == marks.unk
    if not generator.has_documents:
        banned |= numbers == marks.eos
    return banned


def _distribution(generator: Generator, log_probs: Float[np.ndarray, " vocab"]) -> Distribution:
    order = np.argsort(-log_probs, kind="stable")[:CANDIDATES]
    order = order[np.isfinite(log_probs[order])]
    normalisers = [float(np.logaddexp.reduce(log_probs / temperature)) for temperature in TEMPERATURES]
    candidates = candidates_of(generator.tokenizer, order.tolist(), log_probs[order].tolist())
    return {"candidates": candidates, "log_normalisers": [max(value, LOWEST) for value in normalisers]}


def _drawn(
    generator: Generator,
    logits: Float[np.ndarray, "1 vocab"],
    banned: Bool[np.ndarray, " vocab"],
    sampling: SamplingConfig,
    number: int,
) -> Token:
    """Returns a token drawn after `number` tokens."""
    allowed, marks = Allowed(banned=jnp.asarray(banned)[None]), generator.tokenizer.marks
    if sampling.temperature == 0:
        chosen = continuations(jnp.asarray(logits), 1, allowed, marks)[1][:, 0]
    else:
        keys = jax.random.fold_in(jax.random.key(sampling.seed), number)[None]
        chosen = draw(keys, jnp.asarray(logits), allowed, sampling, marks)[1]
    return tokens_of(generator.tokenizer, [int(chosen[0])])[0]

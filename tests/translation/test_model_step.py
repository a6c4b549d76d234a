"""The Transformer as a step: cached and uncached decoding are one, and a score is what the model says."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tfmr.config import DecodingConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID
from tfmr.models import Transformer, init_params
from tfmr.search import Constraints, StepOutput, beam_search, greedy_search
from tfmr.translation.model_step import model_step

VOCAB, MAX_LENGTH = 12, 9
SOURCE = jnp.array([[4, 5, 6, 7, 3], [8, 9, 3, 0, 0], [10, 3, 0, 0, 0]])
SEGMENTS = (SOURCE > 0).astype(int)
LIMITS = jnp.array([9, 7, 3])


def make_model(**changes):
    config = dict(vocab_size=VOCAB, num_encoder_layers=1, num_decoder_layers=2, d_model=16, d_ff=32, num_heads=2)
    model = Transformer(TransformerConfig(**{**config, "d_k": 8, "d_v": 8, **changes}))
    return model, jax.jit(lambda: init_params(model, jax.random.key(1)))()


def uncached_step(model, params, beam_size):
    """A step that decodes the whole text anew each time; its cache is the tokens."""

    def step(tokens, origins, written, position):
        written = written.at[:, : tokens.shape[1], position].set(tokens)
        text = jnp.take_along_axis(written, origins, axis=1).reshape(-1, MAX_LENGTH)
        source, segments = (jnp.repeat(x, tokens.shape[1], axis=0) for x in (SOURCE, SEGMENTS))
        logits = model.apply({"params": params}, source, text, source_segments=segments)
        return StepOutput(logits[:, position].reshape(*tokens.shape, VOCAB), written)

    return step, jnp.zeros((SOURCE.shape[0], beam_size, MAX_LENGTH), int)


@functools.partial(jax.jit, static_argnames=("model", "config", "cached"))
def search(model, params, config, cached):
    make_step = functools.partial(model_step, source=SOURCE, source_segments=SEGMENTS, max_length=MAX_LENGTH)
    step, cache = (make_step if cached else uncached_step)(model, params, beam_size=config.beam_size)
    if config.beam_size == 1:
        return greedy_search(step, cache, Constraints(LIMITS), MAX_LENGTH, config)
    return beam_search(step, cache, Constraints(LIMITS), MAX_LENGTH, config, config.beam_size)


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {"tie_embeddings": "none"},
        {"norm": "pre", "positions": "learned", "max_length": 16, "d_v": 4},
        {"decoder_recurrence": "ssru"},
    ],
)
def test_cached_decoding_equals_uncached_decoding(beam_size, changes):
    model, params = make_model(**changes)
    config = DecodingConfig(beam_size=beam_size)
    cached, uncached = (search(model, params, config, cached) for cached in (True, False))
    np.testing.assert_array_equal(cached.tokens, uncached.tokens)
    np.testing.assert_array_equal(cached.lengths, uncached.lengths)
    np.testing.assert_allclose(cached.scores, uncached.scores, rtol=1e-5)


def test_a_score_is_the_models_log_probability_divided_by_the_penalty():
    model, params = make_model(tie_embeddings="none")
    config = DecodingConfig(beam_size=3, alpha=0.6)
    tokens, scores, lengths = (np.asarray(x) for x in search(model, params, config, cached=True))
    target_input = jnp.concatenate([jnp.full((3, 3, 1), BOS_ID), tokens[..., :-1]], axis=2).reshape(9, MAX_LENGTH)
    source, segments = jnp.repeat(SOURCE, 3, axis=0), jnp.repeat(SEGMENTS, 3, axis=0)
    logits = jax.jit(model.apply)({"params": params}, source, target_input, source_segments=segments)
    log_probs = np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), tokens.reshape(9, -1, 1), axis=2)
    for each, score, length in zip(log_probs[..., 0], scores.reshape(-1), lengths.reshape(-1), strict=True):
        assert score == pytest.approx(each[:length].sum() / ((5 + length) / 6) ** 0.6, rel=1e-5)

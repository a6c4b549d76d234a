"""The log-probability of each token of a target, without all logits at once."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from small_transformers import BASE, BATCH, CONFIGS, SENTENCES, TARGET, VOCAB, logits_of, params_of, tokens

from tfmr.models import Transformer, likelihood, token_log_probs
from tfmr.search.ensemble import log_of_mean

OUTPUT = tokens(BATCH, TARGET, seed=2)
INPUTS = *SENTENCES, OUTPUT


@CONFIGS
def test_is_the_logarithm_of_the_softmax(config):
    logits = np.asarray(logits_of(config, params_of(config), *SENTENCES), np.float64)
    expected = np.take_along_axis(log_softmax(logits, axis=-1), np.asarray(OUTPUT)[..., None], axis=-1)[..., 0]
    found = jax.jit(functools.partial(token_log_probs, Transformer(config)))(params_of(config), *INPUTS)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("at_once", [1, 16, 24, 1000])
def test_few_logits_exist_at_once(at_once, monkeypatch):
    expected = token_log_probs(Transformer(BASE), params_of(BASE), *INPUTS)
    monkeypatch.setattr(likelihood, "_TOKENS_AT_ONCE", at_once)
    run = jax.jit(functools.partial(token_log_probs, Transformer(BASE)))
    np.testing.assert_allclose(run(params_of(BASE), *INPUTS), expected, rtol=1e-5)
    lowered = run.lower(params_of(BASE), *INPUTS).as_text()
    with_logits = [
        np.prod([int(n) for n in shape.split("x")]) // VOCAB
        for shape in re.findall(rf"tensor<((?:\d+x)+{VOCAB})xf32>", lowered)
    ]
    assert max(with_logits) == min(max(at_once // BATCH, 1), TARGET) * BATCH


def test_a_certain_token_has_no_positive_log_probability():
    params = jax.tree.map(lambda x: x * 30, params_of(BASE))
    logits = logits_of(BASE, params, *SENTENCES)
    certain = jnp.argmax(logits, axis=-1)
    found = token_log_probs(Transformer(BASE), params, *SENTENCES, certain)
    assert float(found.max()) <= 0.0


def test_log_of_mean():
    probabilities = np.array([[0.5, 1.0, 1e-30], [0.25, 0.5, 3e-30]])
    found = log_of_mean([jnp.log(jnp.float32(row)) for row in probabilities])
    np.testing.assert_allclose(found, np.log(probabilities.mean(axis=0)), rtol=1e-6)

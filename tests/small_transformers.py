"""Small Transformers with different options, their parameters, and a batch of sentences."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import random_parameters

from tfmr.models import Transformer, TransformerConfig

BATCH, SOURCE, TARGET, VOCAB = 8, 7, 5, 19
BASE = TransformerConfig(
    dropout_rate=0.0,
    vocab_size=VOCAB,
    num_encoder_layers=1,
    num_decoder_layers=1,
    d_model=16,
    d_ff=24,
    num_heads=3,
    d_k=4,
    d_v=6,
)
LEARNED = dataclasses.replace(BASE, norm="pre", positions="learned", max_length=12, tie_embeddings="decoder")
UNTIED = dataclasses.replace(BASE, norm="pre", tie_embeddings="none", num_encoder_layers=2)
BIASED = dataclasses.replace(BASE, attention_bias=True, activation="swish", output_bias=True, tie_embeddings="none")
T5 = dataclasses.replace(
    BASE,
    norm="pre",
    norm_type="rms",
    positions="relative",
    relative_buckets=8,
    relative_max_distance=6,  # so that some distances share a bucket
    scale_embeddings=False,
    scale_scores=False,
    feed_forward_bias=False,
    scale_output=True,
)
T5_GATED = dataclasses.replace(
    T5, gated=True, activation="gelu", tie_embeddings="inputs", scale_output=False, num_encoder_layers=2
)
UMT5 = dataclasses.replace(T5_GATED, positions="relative_by_layer", num_decoder_layers=2)
RECURRENT = dataclasses.replace(BASE, decoder_recurrence="ssru", positions="tensor2tensor", num_decoder_layers=2)
CONFIGS = pytest.mark.parametrize(
    "config",
    [BASE, LEARNED, UNTIED, BIASED, T5, T5_GATED, UMT5, RECURRENT],
    ids=["base", "learned", "untied", "biased", "t5", "t5-gated", "umt5", "recurrent"],
)


def tokens(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(4, VOCAB, shape), jnp.int32)


SOURCES, TARGETS = tokens(BATCH, SOURCE), tokens(BATCH, TARGET, seed=1)
SENTENCES = SOURCES, TARGETS


@functools.cache
def params_of(config):
    return random_parameters(Transformer(config), *SENTENCES)


@functools.partial(jax.jit, static_argnums=0)
def logits_of(config, params, *sentences, **segments_and_positions):
    return Transformer(config).apply({"params": params}, *sentences, **segments_and_positions)


def padded(lengths, length):
    """Segments of sentences with padding after them."""
    return (jnp.arange(length) < jnp.asarray(lengths)[:, None]).astype(jnp.int32)

"""The paper's models have the paper's shapes, compile, and learn."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_form import closed_form

from tfmr.analysis import parameter_count
from tfmr.models import TABLE_3, Transformer, t5_small, transformer_base, transformer_big


def test_base_and_big_are_the_papers():
    base = transformer_base()
    assert (base.num_encoder_layers, base.num_decoder_layers, base.d_model, base.d_ff) == (6, 6, 512, 2048)
    assert (base.num_heads, base.d_k, base.d_v, base.dropout_rate) == (8, 64, 64, 0.1)
    big = transformer_big()
    assert (big.num_encoder_layers, big.num_decoder_layers, big.d_model, big.d_ff) == (6, 6, 1024, 4096)
    assert (big.num_heads, big.d_k, big.d_v, big.dropout_rate) == (16, 64, 64, 0.3)
    french = transformer_big(vocab_size=32_000, dropout_rate=0.1)
    assert (french.vocab_size, french.dropout_rate) == (32_000, 0.1)
    for config in (base, big):
        assert (config.norm, config.positions, config.tie_embeddings) == ("post", "sinusoidal", "all")
        assert (config.vocab_size, config.attention_dropout_rate) == (37_000, 0.0)


def test_t5s_have_the_published_numbers_of_parameters():
    """T5 v1.1 small; T5 small, with 8 heads, 6 layers, no gate, and one table; mT5 small."""
    small = t5_small()
    assert parameter_count(small) == 76_961_152
    layers = dict(num_encoder_layers=6, num_decoder_layers=6, num_heads=8, d_ff=2048)
    first = dataclasses.replace(small, **layers, gated=False, tie_embeddings="all", scale_output=True)
    assert parameter_count(first) == 60_506_624
    assert parameter_count(t5_small(vocab_size=250_112)) == 300_176_768


def test_table_3_has_every_row_and_what_it_changes():
    base = TABLE_3["base"]
    changes = {}
    for name, row in TABLE_3.items():
        model = dataclasses.asdict(row.config).items() - dataclasses.asdict(base.config).items()
        training = {("label_smoothing", row.label_smoothing), ("steps", row.steps)} - {
            ("label_smoothing", 0.1),
            ("steps", 100_000),
        }
        changes[name] = dict(model | training)
    assert changes == {
        "base": {},
        "A/h=1": {"num_heads": 1, "d_k": 512, "d_v": 512},
        "A/h=4": {"num_heads": 4, "d_k": 128, "d_v": 128},
        "A/h=16": {"num_heads": 16, "d_k": 32, "d_v": 32},
        "A/h=32": {"num_heads": 32, "d_k": 16, "d_v": 16},
        "B/d_k=16": {"d_k": 16},
        "B/d_k=32": {"d_k": 32},
        "C/N=2": {"num_encoder_layers": 2, "num_decoder_layers": 2},
        "C/N=4": {"num_encoder_layers": 4, "num_decoder_layers": 4},
        "C/N=8": {"num_encoder_layers": 8, "num_decoder_layers": 8},
        "C/d_model=256": {"d_model": 256, "d_k": 32, "d_v": 32},
        "C/d_model=1024": {"d_model": 1024, "d_k": 128, "d_v": 128},
        "C/d_ff=1024": {"d_ff": 1024},
        "C/d_ff=4096": {"d_ff": 4096},
        "D/dropout=0.0": {"dropout_rate": 0.0},
        "D/dropout=0.2": {"dropout_rate": 0.2},
        "D/label_smoothing=0.0": {"label_smoothing": 0.0},
        "D/label_smoothing=0.2": {"label_smoothing": 0.2},
        "E/learned": {"positions": "learned"},
        "big": {"d_model": 1024, "d_ff": 4096, "num_heads": 16, "dropout_rate": 0.3, "steps": 300_000},
    }
    assert sum(row.perplexity for row in TABLE_3.values()) == pytest.approx(101.87)
    assert sum(row.bleu for row in TABLE_3.values()) == pytest.approx(507.7)


@pytest.mark.parametrize("name", TABLE_3)
def test_every_row_lowers_with_the_parameters_of_the_closed_form(name):
    row = TABLE_3[name]
    # Base and big in full; the others scanned, which have the same parameters and are traced sooner.
    model = Transformer(dataclasses.replace(row.config, scan_layers=name not in ("base", "big")))
    tokens = 2 * [jax.ShapeDtypeStruct((2, 8), jnp.int32)]
    lowered = jax.jit(lambda *x: model.init_with_output(*x)).lower(jax.random.key(0), *tokens)
    logits, variables = lowered.out_info
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))
    assert count == parameter_count(row.config) == sum(closed_form(row.config).values())
    if row.parameters:
        assert count / 1e6 == pytest.approx(row.parameters, rel=0.07)
    assert (logits.shape, logits.dtype) == ((2, 8, 37_000), jnp.float32)


# The big model is scanned, because its loop would take most of a minute to compile.
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(transformer_base(), id="base", marks=pytest.mark.slow),
        pytest.param(dataclasses.replace(transformer_big(), scan_layers=True), id="big", marks=pytest.mark.slow),
    ],
)
def test_base_and_big_are_trained_whole(config):
    """On a pair of 8 tokens every parameter gets a gradient, and all gradients are finite."""
    tokens = 4 + jnp.arange(8)[None]
    sentences = tokens, tokens
    model = Transformer(config)
    noise = 0.03 * np.random.default_rng(0).standard_normal(1_000_003).astype(np.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), *sentences)["params"]
    # The same noise repeated, because drawing 214 million numbers would take longer than the step.
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.resize(noise, leaf.shape) + np.float32(path[-1].key == "gamma"), shapes
    )

    @jax.jit
    def loss_and_gradients(params):
        def loss(params):
            logits = model.apply({"params": params}, *sentences)
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[..., None], axis=-1).mean()

        return jax.value_and_grad(loss)(params)

    loss, gradients = loss_and_gradients(params)
    assert float(loss) > 0
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(gradient).all(), path
        assert np.any(gradient), path

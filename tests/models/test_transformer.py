"""The whole model against the paper's formulas, step by step, with dropout, and its parameters."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference import double, relative_error
from small_transformers import (
    BASE,
    BATCH,
    BIASED,
    CONFIGS,
    LEARNED,
    RECURRENT,
    SENTENCES,
    SOURCE,
    SOURCES,
    T5,
    T5_GATED,
    TARGET,
    TARGETS,
    UNTIED,
    logits_of,
    padded,
    params_of,
)
from transformations import check_transformations

from tfmr.config import TransformerConfig
from tfmr.data.tokenizer import BOS_ID
from tfmr.models import Transformer
from tfmr.nn import stack_layers
from tfmr.training.sharding import LOGICAL_AXIS_RULES


@CONFIGS
def test_equals_the_formulas(config):
    logits = logits_of(config, params_of(config), *SENTENCES)
    assert logits.dtype == jnp.float32
    for b in range(2):
        expected = reference.transformer(
            double(params_of(config)), config, np.asarray(SOURCES[b]), np.asarray(TARGETS[b])
        )
        assert relative_error(logits[b], expected) < 1e-6


def test_is_the_same_under_jit_vmap_and_pmap():
    def logits(params, *inputs):
        if inputs[0].ndim == 1:
            return logits(params, *(x[None] for x in inputs))[0]
        names = "source", "target_input", "source_segments", "target_segments"
        return Transformer(BASE).apply({"params": params}, **dict(zip(names, inputs, strict=True)))

    segments = padded([7, 3, 5, 1, 2, 7, 6, 4], SOURCE), padded([1, 5, 2, 4, 3, 5, 5, 5], TARGET)
    check_transformations(logits, params_of(BASE), *SENTENCES, *segments)


def test_without_segments_all_tokens_are_of_one_sentence():
    segments = dict(source_segments=jnp.ones_like(SOURCES), target_segments=jnp.ones_like(TARGETS))
    expected = logits_of(BASE, params_of(BASE), *SENTENCES, **segments)
    for given in ({}, *({name: array} for name, array in segments.items())):
        assert relative_error(logits_of(BASE, params_of(BASE), *SENTENCES, **given), expected) < 1e-6


class TestDecodeStep:
    @pytest.mark.parametrize(
        "config", [BASE, LEARNED, BIASED, T5, RECURRENT], ids=["base", "learned", "biased", "t5", "recurrent"]
    )
    def test_every_step_equals_decoding_the_whole_prefix(self, config):
        model, params = Transformer(config), {"params": params_of(config)}
        source_segments = padded([7, 3, 5, 1, 2, 7, 6, 4], SOURCE)
        memory = model.apply(params, SOURCES, source_segments=source_segments, method="encode")
        whole = logits_of(config, params_of(config), *SENTENCES, source_segments=source_segments)
        cache = model.apply(params, memory, TARGET + 2, source_segments=source_segments, method="start_cache")
        step = jax.jit(lambda *a: model.apply(params, *a, method="decode_step"))
        for t in range(TARGET):
            logits, cache = step(TARGETS[:, t], cache, jnp.int32(t))
            assert relative_error(logits, whole[:, t]) < 1e-6

    def test_rows_of_the_cache_can_be_reordered(self):
        model, params = Transformer(BASE), {"params": params_of(BASE)}
        memory = model.apply(params, SOURCES, method="encode")
        cache = model.apply(params, memory, TARGET, method="start_cache")
        assert {leaf.shape[0] for leaf in jax.tree.leaves(cache)} == {BATCH}
        step = jax.jit(lambda *a: model.apply(params, *a, method="decode_step"))
        _, cache = step(TARGETS[:, 0], cache, jnp.int32(0))
        rows = jnp.array([3, 3, 0, 1, 7, 7, 7, 2])
        logits, _ = step(TARGETS[:, 1], cache, jnp.int32(1))
        moved, _ = step(TARGETS[rows, 1], jax.tree.map(lambda x: x[rows], cache), jnp.int32(1))
        np.testing.assert_array_equal(moved, logits[rows])


class TestDropout:
    config = dataclasses.replace(BASE, dropout_rate=0.3)

    @staticmethod
    def run(config, seed):
        return TestDropout.encode(config, params_of(BASE), seed)

    @staticmethod
    @functools.partial(jax.jit, static_argnums=0)
    def encode(config, params, seed):
        """Returns the memory, and the embedded source after its dropout."""
        memory, captured = Transformer(config).apply(
            {"params": params},
            SOURCES,
            deterministic=False,
            rngs={"dropout": jax.random.key(seed)},
            capture_intermediates=lambda module, _: module.name == "dropout",
            mutable=["intermediates"],
            method="encode",
        )
        return memory, captured["intermediates"]["dropout"]["__call__"][0]

    def test_embeddings_plus_positions_lose_their_share_and_keep_their_mean(self):
        found, whole = self.run(self.config, 0)[1], self.run(BASE, 0)[1]
        dropped = np.asarray(found) == 0
        assert dropped.mean() == pytest.approx(self.config.dropout_rate, abs=0.06)
        np.testing.assert_allclose(found, np.where(dropped, 0, np.asarray(whole) / 0.7), rtol=1e-6)

    def test_deterministic_is_not_random_and_the_key_decides_otherwise(self):
        config = dataclasses.replace(self.config, attention_dropout_rate=0.3)
        plain = jax.make_jaxpr(functools.partial(logits_of, BASE))(params_of(BASE), *SENTENCES)
        other = jax.make_jaxpr(functools.partial(logits_of, config))(params_of(BASE), *SENTENCES)
        assert str(other) == str(plain)
        np.testing.assert_array_equal(self.run(self.config, 1)[0], self.run(self.config, 1)[0])
        assert not np.array_equal(self.run(self.config, 1)[0], self.run(self.config, 2)[0])

    def test_attention_dropout_is_on_without_any_other(self):
        config = dataclasses.replace(BASE, attention_dropout_rate=0.3)
        outputs, plain = [self.run(config, seed)[0] for seed in (1, 2)], self.run(BASE, 0)[0]
        assert min(relative_error(outputs[0], outputs[1]), relative_error(outputs[0], plain)) > 1e-3


class TestParameters:
    @staticmethod
    def boxed(config):
        with nn.logical_axis_rules(LOGICAL_AXIS_RULES):
            return jax.eval_shape(lambda: Transformer(config).init(jax.random.key(0), *SENTENCES))["params"]

    def test_names_are_as_published(self):
        """Checkpoints hold these names: changing one breaks every saved run."""
        attention = {"query", "key", "value", "output"}
        norm, dense = {"gamma", "beta"}, {"kernel", "bias"}
        encoder = {
            "self_attention": attention,
            "self_attention_norm": norm,
            "feed_forward": {"up": dense, "down": dense},
            "feed_forward_norm": norm,
        }
        decoder = {**encoder, "cross_attention": attention, "cross_attention_norm": norm}

        def names(tree):
            below = {key: names(value) for key, value in tree.items() if isinstance(value, dict)}
            return below or set(tree)

        assert names(self.boxed(BASE)) == {
            "embedding": {"embedding"},
            "encoder": {"layer_0": encoder},
            "decoder": {"layer_0": decoder},
        }
        assert names(self.boxed(LEARNED)) == {
            **{name: {"embedding"} for name in ("embedding", "source_embedding")},
            **{name: {"embedding"} for name in ("source_positions", "target_positions")},
            "encoder": {"layer_0": encoder, "norm": norm},
            "decoder": {"layer_0": decoder, "norm": norm},
        }
        assert names(self.boxed(UNTIED)) == {
            **{name: {"embedding"} for name in ("embedding", "source_embedding", "output_embedding")},
            "encoder": {"layer_0": encoder, "layer_1": encoder, "norm": norm},
            "decoder": {"layer_0": decoder, "norm": norm},
        }
        biased = attention | {f"{name}_bias" for name in attention}
        recurrent = {
            "recurrence": {"input", "forget", "forget_bias"},
            "recurrence_norm": norm,
            **{name: block for name, block in decoder.items() if not name.startswith("self_attention")},
        }
        assert names(self.boxed(RECURRENT))["decoder"] == {"layer_0": recurrent, "layer_1": recurrent}
        encoder |= {"self_attention": biased}
        tree = self.boxed(BIASED)
        assert isinstance(tree.pop("output_bias"), nn.LogicallyPartitioned)
        assert names(tree) == {
            **{name: {"embedding"} for name in ("embedding", "source_embedding", "output_embedding")},
            "encoder": {"layer_0": encoder},
            "decoder": {"layer_0": {**decoder, "self_attention": biased, "cross_attention": biased}},
        }

    @pytest.mark.parametrize("scan", [False, True])
    @CONFIGS
    def test_every_parameter_is_float32_and_names_its_axes(self, config, scan):
        config = dataclasses.replace(config, scan_layers=scan, dtype="bfloat16")
        leaves = jax.tree.leaves(self.boxed(config), is_leaf=lambda x: isinstance(x, nn.LogicallyPartitioned))
        known = {"vocab", "table_embed", "embed", "heads", "kv", "mlp", "positions", "layers"}
        for box in leaves:
            assert box.value.dtype == jnp.float32
            assert len(box.names) == box.value.ndim
            assert set(box.names) <= known

    def test_scanned_layers_are_the_loops_stacked(self):
        config = LEARNED
        scan = dataclasses.replace(config, scan_layers=True, remat=True)
        stacked = stack_layers(params_of(config))
        shapes = jax.tree.map(jnp.shape, nn.unbox(self.boxed(scan)))
        assert jax.tree.map(jnp.shape, stacked) == shapes
        expected = logits_of(config, params_of(config), *SENTENCES)
        assert relative_error(logits_of(scan, stacked, *SENTENCES), expected) < 1e-6

    def test_no_vocabulary_is_refused(self):
        with pytest.raises(ValueError, match="vocab_size is 0"):
            self.boxed(dataclasses.replace(BASE, vocab_size=0))


@pytest.mark.slow
def test_a_new_t5_has_embeddings_and_logits_as_large_as_a_new_model_of_the_paper():
    """Unscaled rows of variance 1, and logits of about that size although T5's table is not small."""
    for config in (BASE, T5, T5_GATED):
        config = dataclasses.replace(config, vocab_size=500, d_model=64)
        model = Transformer(config)
        params = jax.jit(model.init)(jax.random.key(0), *SENTENCES)["params"]
        table = np.asarray(params["embedding"]["embedding"])
        assert np.std(table) == pytest.approx(64**-0.5 if config.scale_embeddings else 1, rel=0.05)
        assert 0.5 < np.std(logits_of(config, params, *SENTENCES)) < 2


@CONFIGS
def test_states_times_the_output_table_are_the_logits(config):
    states, table = Transformer(config).apply(
        {"params": params_of(config)}, *SENTENCES, method="states_and_output_table"
    )
    expected = logits_of(config, params_of(config), *SENTENCES)
    assert relative_error(jnp.einsum("btd,vd->btv", states, table), expected) < 1e-6


FAIRSEQ = dataclasses.replace(
    BASE, norm="pre", positions="fairseq", embedding_norm=True, scale_embeddings=False, start_token=3
)


@pytest.mark.parametrize("bias", [False, True])
def test_bos_stands_for_the_start_token_and_is_never_written(bias):
    config = dataclasses.replace(FAIRSEQ, output_bias=bias)
    params, (sources, targets) = params_of(config), SENTENCES
    bos, start = (logits_of(config, params, sources, targets.at[:, 0].set(token)) for token in (2, 3))
    np.testing.assert_array_equal(bos, start)
    assert not np.exp(np.asarray(bos)[..., 2] - np.asarray(bos).max(axis=-1)).any()
    states, table = Transformer(config).apply(
        {"params": params}, sources, targets.at[:, 0].set(2), method="states_and_output_table"
    )
    product, others = jnp.einsum("btd,vd->btv", states, table), np.arange(config.vocab_size) != 2
    assert relative_error(product[..., others], bos[..., others]) < 1e-6
    assert (product[..., 2] < -9000).all()


def test_the_start_token_is_the_one_of_the_vocabulary():
    assert TransformerConfig().start_token == BOS_ID


def test_bfloat16_computes_in_bfloat16_and_gives_float32_logits():
    config = dataclasses.replace(BASE, dtype="bfloat16")
    states, table = jax.eval_shape(
        lambda *x: Transformer(config).apply(*x, method="states_and_output_table"),
        {"params": params_of(BASE)},
        *SENTENCES,
    )
    assert (states.dtype, table.dtype) == (jnp.bfloat16, jnp.float32)
    logits = logits_of(config, params_of(BASE), *SENTENCES)
    assert logits.dtype == jnp.float32
    assert 1e-4 < relative_error(logits, logits_of(BASE, params_of(BASE), *SENTENCES)) < 5e-2


def test_a_position_beyond_the_learned_ones_is_nan_not_wrong():
    positions = jnp.broadcast_to(jnp.arange(SOURCE), SOURCES.shape) + LEARNED.max_length - SOURCE
    params = params_of(LEARNED)
    assert np.isfinite(logits_of(LEARNED, params, *SENTENCES, source_positions=positions)).all()
    assert np.isnan(logits_of(LEARNED, params, *SENTENCES, source_positions=positions + 1)).all()


def test_attention_weights_of_every_layer_are_sown():
    _, sown = Transformer(BASE).apply({"params": params_of(BASE)}, *SENTENCES, mutable=["intermediates"])
    shapes = {
        "/".join(key.key for key in path[:3]): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(sown["intermediates"])
    }
    assert shapes == {
        "encoder/layer_0/self_attention": (BATCH, 3, SOURCE, SOURCE),
        "decoder/layer_0/self_attention": (BATCH, 3, TARGET, TARGET),
        "decoder/layer_0/cross_attention": (BATCH, 3, TARGET, SOURCE),
    }

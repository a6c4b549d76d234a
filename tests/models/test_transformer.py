"""The whole model against the paper's formulas, and what must not change its output."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.models import Transformer, TransformerConfig
from tfmr.nn import stack_layers

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
CONFIGS = pytest.mark.parametrize("config", [BASE, LEARNED, UNTIED], ids=["base", "learned", "untied"])


def tokens(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(4, VOCAB, shape), jnp.int32)


SOURCES, TARGETS = tokens(BATCH, SOURCE), tokens(BATCH, TARGET, seed=1)
SENTENCES = SOURCES, jnp.ones_like(SOURCES), TARGETS, jnp.ones_like(TARGETS)


@functools.cache
def params_of(config):
    return random_parameters(Transformer(config), *SENTENCES)


@functools.partial(jax.jit, static_argnums=0)
def logits_of(config, params, *inputs):
    return Transformer(config).apply({"params": params}, *inputs)


def padded(lengths, length):
    """Segments of sentences with padding after them."""
    return (jnp.arange(length) < jnp.asarray(lengths)[:, None]).astype(jnp.int32)


@jax.jit
def places_with_gradient(source_segments, target_segments, weights):
    """Returns the places of source and target that the logits, weighted by place, have any gradient at."""

    def loss(params):
        logits = Transformer(LEARNED).apply({"params": params}, SOURCES, source_segments, TARGETS, target_segments)
        return (jnp.square(logits) * weights[..., None]).sum()

    gradients = jax.grad(loss)(params_of(LEARNED))
    return [(gradients[f"{side}_positions"]["embedding"] != 0).any(axis=-1) for side in ("source", "target")]


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
        return Transformer(BASE).apply({"params": params}, *inputs)

    segments = padded([7, 3, 5, 1, 2, 7, 6, 4], SOURCE), padded([1, 5, 2, 4, 3, 5, 5, 5], TARGET)
    check_transformations(logits, params_of(BASE), SOURCES, segments[0], TARGETS, segments[1])


class TestLookAhead:
    """A place sees itself and what stands before it, exactly."""

    @pytest.mark.parametrize("place", range(TARGET))
    def test_a_later_token_changes_no_bit_before_it(self, place):
        changed = TARGETS.at[:, place].set((TARGETS[:, place] + 1) % VOCAB)
        before = logits_of(BASE, params_of(BASE), *SENTENCES)
        after = logits_of(BASE, params_of(BASE), *SENTENCES[:2], changed, SENTENCES[3])
        np.testing.assert_array_equal(after[:, :place], before[:, :place])
        assert (np.abs(after - before)[:, place:].max(axis=(0, 2)) > 0).all()

    def test_the_gradient_from_before_is_exactly_zero(self):
        for place in range(TARGET):
            weights = jnp.zeros_like(TARGETS).at[:, place].set(1)
            _, target = places_with_gradient(SENTENCES[1], SENTENCES[3], weights)
            np.testing.assert_array_equal(target, np.arange(LEARNED.max_length) <= place)


class TestPadding:
    lengths = [7, 3, 5, 1, 2, 7, 6, 4], [1, 5, 2, 4, 3, 5, 5, 5]
    segments = padded(lengths[0], SOURCE), padded(lengths[1], TARGET)

    @CONFIGS
    def test_what_stands_in_padding_changes_no_bit(self, config):
        source = jnp.where(self.segments[0] == 0, 0, SOURCES)
        target = jnp.where(self.segments[1] == 0, 0, TARGETS)
        one = logits_of(config, params_of(config), source, self.segments[0], target, self.segments[1])
        other = logits_of(config, params_of(config), SOURCES, self.segments[0], TARGETS, self.segments[1])
        sentence = np.asarray(self.segments[1]) == 1
        np.testing.assert_array_equal(np.asarray(one)[sentence], np.asarray(other)[sentence])
        assert np.isfinite(one).all()

    def test_padding_gets_exactly_no_gradient(self):
        segments = padded([4] * BATCH, SOURCE), padded([3] * BATCH, TARGET)
        source, target = places_with_gradient(*segments, segments[1])
        np.testing.assert_array_equal(source, np.arange(LEARNED.max_length) < 4)
        np.testing.assert_array_equal(target, np.arange(LEARNED.max_length) < 3)

    def test_a_sentence_alone_without_padding_is_the_same(self):
        whole = logits_of(BASE, params_of(BASE), SOURCES, self.segments[0], TARGETS, self.segments[1])
        for b in (1, 2):
            source, target = SOURCES[b : b + 1, : self.lengths[0][b]], TARGETS[b : b + 1, : self.lengths[1][b]]
            alone = reference.transformer(double(params_of(BASE)), BASE, np.asarray(source[0]), np.asarray(target[0]))
            # Not bit-equal: sums over more places, though the others are zero, are taken in another order.
            assert relative_error(whole[b, : self.lengths[1][b]], alone) < 1e-6


class TestPacking:
    """Rows [3, 2, 1 of padding] and [4, 2] of sources; [2, 3], [1, 3, 1 of padding] of targets."""

    source_segments = jnp.array([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 2, 2]])
    source_positions = jnp.array([[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 0, 1]])
    target_segments = jnp.array([[1, 1, 2, 2, 2], [1, 2, 2, 2, 0]])
    target_positions = jnp.array([[0, 1, 0, 1, 2], [0, 0, 1, 2, 0]])

    def logits(self, config, source, target):
        positions = self.source_positions, self.target_positions
        return logits_of(
            config, params_of(config), source, self.source_segments, target, self.target_segments, *positions
        )

    @pytest.mark.parametrize("config", [BASE, LEARNED], ids=["base", "learned"])
    def test_packed_sentences_are_as_alone(self, config):
        source, target = tokens(2, 6), tokens(2, 5, seed=1)
        logits = self.logits(config, source, target)
        for row in range(2):
            for segment in (1, 2):
                here = np.asarray(self.target_segments[row] == segment)
                alone = source[row][self.source_segments[row] == segment], target[row][here]
                expected = reference.transformer(double(params_of(config)), config, *map(np.asarray, alone))
                assert relative_error(logits[row][here], expected) < 1e-6

    def test_the_neighbour_changes_no_bit(self):
        source, target = tokens(2, 6), tokens(2, 5, seed=1)
        one = self.logits(BASE, source, target)
        source = jnp.where(self.source_segments == 2, source, tokens(2, 6, seed=3))
        target = jnp.where(self.target_segments == 2, target, tokens(2, 5, seed=4))
        other = self.logits(BASE, source, target)
        second = np.asarray(self.target_segments == 2)
        np.testing.assert_array_equal(np.asarray(one)[second], np.asarray(other)[second])
        assert not np.array_equal(np.asarray(one)[~second], np.asarray(other)[~second])


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(SOURCE)))
def test_only_the_positions_tell_the_encoder_the_order(order):
    """With the positions moved along, moving the source's tokens changes nothing for the decoder."""
    order = np.array(order)
    positions = (
        jnp.broadcast_to(jnp.arange(SOURCE)[order], SOURCES.shape),
        jnp.broadcast_to(jnp.arange(TARGET), TARGETS.shape),
    )
    moved = logits_of(BASE, params_of(BASE), SOURCES[:, order], *SENTENCES[1:], *positions)
    assert relative_error(moved, logits_of(BASE, params_of(BASE), *SENTENCES)) < 2e-6


class TestDecodeStep:
    @pytest.mark.parametrize("config", [BASE, LEARNED], ids=["base", "learned"])
    def test_every_step_equals_decoding_the_whole_prefix(self, config):
        model, params = Transformer(config), {"params": params_of(config)}
        source_segments = padded([7, 3, 5, 1, 2, 7, 6, 4], SOURCE)
        memory = model.apply(params, SOURCES, source_segments, method="encode")
        whole = logits_of(config, params_of(config), SOURCES, source_segments, *SENTENCES[2:])
        cache = model.apply(params, memory, source_segments, TARGET + 2, method="start_cache")
        step = jax.jit(lambda *a: model.apply(params, *a, method="decode_step"))
        for t in range(TARGET):
            logits, cache = step(TARGETS[:, t], cache, jnp.int32(t))
            assert relative_error(logits, whole[:, t]) < 1e-6

    def test_rows_of_the_cache_can_be_reordered(self):
        model, params = Transformer(BASE), {"params": params_of(BASE)}
        memory = model.apply(params, *SENTENCES[:2], method="encode")
        cache = model.apply(params, memory, SENTENCES[1], TARGET, method="start_cache")
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
    @functools.partial(jax.jit, static_argnums=0)
    def run(config, seed):
        """Returns the memory, and the embedded source after its dropout."""
        memory, captured = Transformer(config).apply(
            {"params": params_of(BASE)},
            *SENTENCES[:2],
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


@CONFIGS
def test_states_times_the_output_table_are_the_logits(config):
    states, table = Transformer(config).apply(
        {"params": params_of(config)}, *SENTENCES, method="states_and_output_table"
    )
    expected = logits_of(config, params_of(config), *SENTENCES)
    assert relative_error(jnp.einsum("btd,vd->btv", states, table), expected) < 1e-6


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


def test_a_place_beyond_the_learned_positions_is_nan_not_wrong():
    positions = jnp.broadcast_to(jnp.arange(SOURCE), SOURCES.shape), jnp.broadcast_to(jnp.arange(TARGET), TARGETS.shape)
    room = LEARNED.max_length - SOURCE
    assert np.isfinite(logits_of(LEARNED, params_of(LEARNED), *SENTENCES, positions[0] + room, positions[1])).all()
    assert np.isnan(logits_of(LEARNED, params_of(LEARNED), *SENTENCES, positions[0] + room + 1, positions[1])).all()


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

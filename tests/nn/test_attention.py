"""Attention against the paper's formulas, its dropout, its cache and its invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import boxed_parameters, double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.analysis.matrix_products import matrix_product_flops
from tfmr.nn import MultiHeadAttention, causal_attention, look_ahead_mask, scaled_dot_product_attention
from tfmr.nn.dot_product_attention import causal_scores

RNG = np.random.default_rng(0)
BATCH, QUERIES, KEYS, D_MODEL, HEADS, D_K, D_V = 8, 5, 7, 12, 3, 6, 10


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def some_mask(*shape):
    """At least one key for each query."""
    return jnp.asarray(RNG.random(shape) < 0.5).at[..., 0].set(True)


@pytest.fixture(scope="module")
def block():
    return MultiHeadAttention(HEADS, D_MODEL, D_K, D_V)


@pytest.fixture(scope="module")
def params(block):
    return random_parameters(block, jnp.zeros((1, 2, D_MODEL)))


class TestScaledDotProductAttention:
    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_equation_1(self, masked):
        query, key, value = draw(2, 3, QUERIES, D_K), draw(2, 3, KEYS, D_K, seed=1), draw(2, 3, KEYS, D_V, seed=2)
        mask = some_mask(2, 1, QUERIES, KEYS) if masked else None
        output, weights = scaled_dot_product_attention(query, key, value, mask)
        for b in range(2):
            for h in range(3):
                one_mask = np.asarray(mask[b, 0]) if masked else None
                expected = reference.attention(*double((query[b, h], key[b, h], value[b, h])), one_mask)
                assert relative_error(output[b, h], expected[0]) < 1e-6
                assert relative_error(weights[b, h], expected[1]) < 1e-6

    def test_a_masked_key_has_weight_exactly_zero(self):
        mask = some_mask(1, 1, QUERIES, KEYS)
        _, weights = scaled_dot_product_attention(
            100 * draw(1, 1, QUERIES, D_K), draw(1, 1, KEYS, D_K, seed=1), draw(1, 1, KEYS, D_V, seed=2), mask
        )
        assert (np.asarray(weights)[~np.asarray(mask)] == 0).all()
        np.testing.assert_allclose(np.sum(weights, axis=-1), 1, rtol=1e-6)

    def test_a_query_without_any_key_gets_zeros_and_finite_gradients(self):
        query, key, value = draw(1, QUERIES, D_K), draw(1, KEYS, D_K, seed=1), draw(1, KEYS, D_V, seed=2)
        mask = some_mask(1, QUERIES, KEYS).at[:, 2].set(False)
        output, weights = scaled_dot_product_attention(query, key, value, mask)
        np.testing.assert_array_equal(np.flatnonzero((np.asarray(output) == 0).all(axis=(0, 2))), [2])
        np.testing.assert_allclose(np.sum(weights, axis=-1), [[1, 1, 0, 1, 1]], rtol=1e-6)
        gradients = jax.grad(lambda *x: scaled_dot_product_attention(*x, mask)[0].sum(), (0, 1, 2))(query, key, value)
        assert all(bool(jnp.isfinite(g).all()) for g in gradients)

    def test_a_bias_is_added_to_the_scores(self):
        query, key, value = draw(2, QUERIES, D_K), draw(2, KEYS, D_K, seed=1), draw(2, KEYS, D_V, seed=2)
        bias, mask = draw(1, QUERIES, KEYS, seed=3), some_mask(1, QUERIES, KEYS)
        _, weights = scaled_dot_product_attention(query, key, value, mask, bias=bias)
        scores = double(query) @ double(key).swapaxes(1, 2) / np.sqrt(D_K) + double(bias)
        exponentials = np.where(mask, np.exp(scores), 0)
        assert relative_error(weights, exponentials / exponentials.sum(axis=-1, keepdims=True)) < 1e-6

    def test_large_scores_do_not_overflow(self):
        query, key = 1e18 * draw(1, QUERIES, D_K), 1e18 * draw(1, KEYS, D_K, seed=1)
        output, weights = scaled_dot_product_attention(query, key, draw(1, KEYS, D_V, seed=2))
        assert bool(jnp.isfinite(output).all())
        np.testing.assert_array_equal(weights.max(axis=-1), 1)

    @settings(max_examples=10, deadline=None)
    @given(keys=st.permutations(range(KEYS)), queries=st.permutations(range(QUERIES)))
    def test_the_order_of_keys_does_not_matter_and_that_of_queries_is_kept(self, keys, queries):
        keys, queries = np.array(keys), np.array(queries)
        query, key, value = draw(1, QUERIES, D_K), draw(1, KEYS, D_K, seed=1), draw(1, KEYS, D_V, seed=2)
        mask = jnp.tri(QUERIES, KEYS, 2, dtype=bool)[None]
        expected, expected_weights = scaled_dot_product_attention(query, key, value, mask)
        output, weights = scaled_dot_product_attention(
            query[:, queries], key[:, keys], value[:, keys], mask[:, queries][:, :, keys]
        )
        assert relative_error(output, expected[:, queries]) < 1e-6
        assert relative_error(weights, expected_weights[:, queries][:, :, keys]) < 1e-6


class TestCausalAttention:
    # One block, two of the same and of different lengths, four.
    LENGTHS = pytest.mark.parametrize("length", [1, 63, 128, 131, 257])

    @staticmethod
    def sequences(length):
        return draw(2, 3, length, D_K), draw(2, 3, length, D_K, seed=1), draw(2, 3, length, D_V, seed=2)

    @LENGTHS
    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_attention_under_a_look_ahead_mask(self, length, masked):
        """With a mask and a bias too; some queries may not attend to anything."""
        ahead, mask, bias = look_ahead_mask(length)[None], None, None
        if masked:
            mask = jnp.asarray(RNG.random((2, 1, length, length)) < 0.3).at[..., -1, 0].set(True)
            bias = draw(1, 3, 1, length, seed=3)
        both = ahead if mask is None else ahead & mask
        expected = scaled_dot_product_attention(*self.sequences(length), both, bias=bias)
        found = causal_attention(*self.sequences(length), mask, bias=bias)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            assert relative_error(one, other) < 1e-6

    @LENGTHS
    def test_a_later_position_has_no_gradient(self, length):
        position = length // 2

        def output(key, value):
            return causal_attention(self.sequences(length)[0], key, value)[0][..., position, :].sum()

        for gradient in jax.jit(jax.grad(output, argnums=(0, 1)))(*self.sequences(length)[1:]):
            assert (gradient[..., position + 1 :, :] == 0).all()
            assert (gradient[..., : position + 1, :] != 0).any(axis=-1).all() or length == 1

    def test_long_sequences_need_five_eighths_of_the_scores(self):
        shares = {length: causal_scores(length) / length**2 for length in (1, 127, 128, 192, 256, 4096)}
        assert shares == {1: 1, 127: 1, 128: 3 / 4, 192: 2 / 3, 256: 5 / 8, 4096: 5 / 8}

    @LENGTHS
    def test_no_more_scores_are_computed_than_said(self, length):
        query, key, value = self.sequences(length)
        traced = matrix_product_flops(jax.make_jaxpr(causal_attention)(query, key, value))
        assert traced == 2 * 3 * 2 * (D_K + D_V) * causal_scores(length)

    def test_blocks_do_not_drop_alike(self):
        block = MultiHeadAttention(1, 4, dropout_rate=0.5, causal=True)
        x = jnp.ones((1, 128, 4))
        params = random_parameters(block, x)
        outputs = block.apply({"params": params}, x, deterministic=False, rngs={"dropout": jax.random.key(0)})
        # All values are alike, so an output tells how many weights were dropped.
        assert relative_error(outputs[0, :64], outputs[0, 64:]) > 0.01


class TestMultiHeadAttention:
    def test_equals_the_formula_with_d_k_and_d_v_free_of_d_model(self, block, params):
        x, memory, mask = draw(2, QUERIES, D_MODEL), draw(2, KEYS, D_MODEL, seed=1), some_mask(2, 1, QUERIES, KEYS)
        output, weights = block.apply({"params": params}, x, memory, mask, return_weights=True)
        for b in range(2):
            expected = reference.multi_head_attention(
                double(params), *double((x[b], memory[b])), np.asarray(mask[b, 0])
            )
            assert relative_error(output[b], expected[0]) < 1e-6
            assert relative_error(weights[b], expected[1]) < 1e-6

    def test_biases_are_zero_at_first_and_added_to_every_projection(self):
        block = MultiHeadAttention(HEADS, D_MODEL, D_K, D_V, use_bias=True)
        x, memory = draw(QUERIES, D_MODEL), draw(KEYS, D_MODEL, seed=1)
        boxed = boxed_parameters(block, x)
        biases = {name: box.names for name, box in boxed.items() if name.endswith("bias")}
        assert biases == {
            **{f"{x}_bias": ("heads", "kv") for x in ("query", "key", "value")},
            "output_bias": ("embed",),
        }
        assert not any(np.any(boxed[name].value) for name in biases)
        params = random_parameters(block, x)
        output, weights = block.apply({"params": params}, x, memory, return_weights=True)
        expected = reference.multi_head_attention(double(params), *double((x, memory)))
        assert relative_error(output, expected[0]) < 1e-6
        assert relative_error(weights, expected[1]) < 1e-6

    def test_without_a_second_sequence_attends_to_itself(self, block, params):
        x = draw(QUERIES, D_MODEL)
        expected, _ = reference.multi_head_attention(double(params), double(x), double(x))
        assert relative_error(block.apply({"params": params}, x), expected) < 1e-6

    def test_heads_are_d_model_over_h_wide_unless_told(self):
        block = MultiHeadAttention(num_heads=4, d_model=20)
        shapes = jax.tree.map(jnp.shape, random_parameters(block, jnp.zeros((2, 20))), is_leaf=lambda x: False)
        assert shapes == {"query": (20, 4, 5), "key": (20, 4, 5), "value": (20, 4, 5), "output": (4, 5, 20)}

    def test_the_initial_kernels_are_uniform_with_glorots_variance(self):
        block = MultiHeadAttention(num_heads=8, d_model=64, d_k=16, d_v=16)
        params = block.init(jax.random.key(0), jnp.zeros((2, 64)))["params"]
        for name, kernel in params.items():
            limit = np.sqrt(6 / (64 + 8 * 16))
            assert np.abs(kernel).max() <= limit, name
            assert np.std(kernel) == pytest.approx(limit / np.sqrt(3), rel=0.02), name

    def test_weights_are_sown_when_asked_for(self, block, params):
        x = draw(2, QUERIES, D_MODEL)
        (_, weights), sown = block.apply({"params": params}, x, return_weights=True, mutable=["intermediates"])
        assert weights.shape == (2, HEADS, QUERIES, QUERIES)
        np.testing.assert_array_equal(sown["intermediates"]["attention_weights"][0], weights)

    def test_is_the_same_under_jit_vmap_and_pmap(self, block, params):
        def attend(params, x, memory, mask):
            return block.apply({"params": params}, x, memory, mask)

        inputs = draw(BATCH, QUERIES, D_MODEL), draw(BATCH, KEYS, D_MODEL, seed=1), some_mask(BATCH, 1, QUERIES, KEYS)
        check_transformations(attend, params, *inputs)

    def test_keys_and_values_written_one_by_one_give_causal_attention(self, block, params):
        x = draw(2, KEYS, D_MODEL)
        expected = block.apply({"params": params}, x, mask=look_ahead_mask(KEYS))
        # Longer than needed: slots that were never written must not be attended to.
        cache = block.apply({"params": params}, (2,), KEYS + 3, method="start_cache")
        step = jax.jit(lambda *a: block.apply({"params": params}, *a, method="step"))
        for t in range(KEYS):
            output, cache = step(x[:, t : t + 1], cache, jnp.int32(t))
            assert relative_error(output[:, 0], expected[:, t]) < 1e-6
        assert not np.asarray(cache.key[..., KEYS:]).any()

    def test_bfloat16_computes_in_bfloat16_from_float32_parameters(self, params):
        block = MultiHeadAttention(HEADS, D_MODEL, D_K, D_V, dtype=jnp.bfloat16)
        x = draw(2, QUERIES, D_MODEL)
        created = block.init(jax.random.key(0), x)["params"]
        assert {leaf.dtype for leaf in jax.tree.leaves(created)} == {jnp.dtype("float32")}
        output, weights = block.apply({"params": params}, x, return_weights=True)
        assert (output.dtype, weights.dtype) == (jnp.bfloat16, jnp.float32)
        expected, _ = reference.multi_head_attention(double(params), double(x[0]), double(x[0]))
        assert 1e-5 < relative_error(output[0], expected) < 2e-2

    def test_every_parameter_names_its_axes(self, block):
        boxed = boxed_parameters(block, jnp.zeros((1, 2, D_MODEL)))
        assert {name: box.names for name, box in boxed.items()} == {
            "query": ("embed", "heads", "kv"),
            "key": ("embed", "heads", "kv"),
            "value": ("embed", "heads", "kv"),
            "output": ("heads", "kv", "embed"),
        }


class TestDropoutOfTheWeights:
    """One head whose values are the unit vectors, so that the output is the weights that were kept."""

    rate = 0.25

    def kept(self, deterministic=False, seed=0):
        n = 64
        block = MultiHeadAttention(1, n, d_k=2, d_v=n, dropout_rate=self.rate)
        params = random_parameters(block, jnp.zeros((1, n)))
        params |= {"value": jnp.eye(n)[:, None], "output": jnp.eye(n)[None]}
        queries, keys = draw(4, n, n), jnp.broadcast_to(jnp.eye(n), (4, n, n))
        rngs = None if deterministic else {"dropout": jax.random.key(seed)}
        return block.apply(
            {"params": params}, queries, keys, deterministic=deterministic, return_weights=True, rngs=rngs
        )

    def test_a_weight_is_dropped_or_scaled_up(self):
        kept, weights = self.kept()
        dropped = np.asarray(kept) == 0
        assert dropped.mean() == pytest.approx(self.rate, abs=0.02)
        expected = np.where(dropped, 0, np.asarray(weights)[:, 0] / (1 - self.rate))
        np.testing.assert_allclose(kept, expected, rtol=1e-6)
        np.testing.assert_allclose(np.sum(weights, axis=-1), 1, rtol=1e-6)

    def test_every_query_drops_other_keys(self):
        dropped = np.asarray(self.kept()[0]) == 0
        assert len({row.tobytes() for row in dropped.reshape(-1, 64)}) == 4 * 64

    def test_the_key_decides_and_deterministic_needs_none(self):
        np.testing.assert_array_equal(self.kept(seed=3)[0], self.kept(seed=3)[0])
        assert not np.array_equal(self.kept(seed=3)[0], self.kept(seed=4)[0])
        kept, weights = self.kept(deterministic=True)
        np.testing.assert_allclose(kept, weights[:, 0], rtol=1e-6)

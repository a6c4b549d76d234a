"""Token embeddings and positions against the formulas of sections 3.4 and 3.5."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import boxed_parameters, double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.nn import LearnedPositions, TokenEmbedding, sinusoidal_positions, tensor2tensor_positions
from tfmr.nn.embedding import fairseq_positions

VOCAB, D_MODEL = 11, 6
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, VOCAB, (8, 5)), jnp.int32)
EMBEDDING = TokenEmbedding(VOCAB, D_MODEL)


@pytest.fixture(scope="module")
def params():
    return random_parameters(EMBEDDING, TOKENS)


class TestTokenEmbedding:
    def test_looks_up_rows_times_the_root_of_d_model(self, params):
        expected = double(params["embedding"])[TOKENS] * np.sqrt(D_MODEL)
        assert relative_error(EMBEDDING.apply({"params": params}, TOKENS), expected) < 1e-6

    def test_logits_are_products_with_the_same_matrix(self, params):
        x = jnp.asarray(np.random.default_rng(1).standard_normal((2, 3, D_MODEL)), jnp.float32)
        logits = EMBEDDING.apply({"params": params}, x, method="attend")
        assert relative_error(logits, double(x) @ double(params["embedding"]).T) < 1e-6

    def test_rows_start_with_expected_length_1(self):
        boxed = boxed_parameters(TokenEmbedding(2000, 32), TOKENS)["embedding"]
        assert boxed.names == ("vocab", "table_embed")
        assert np.square(boxed.value).sum(axis=-1).mean() == pytest.approx(1, rel=0.02)

    def test_is_the_same_under_jit_vmap_and_pmap(self, params):
        def there_and_back(params, tokens):
            bound = EMBEDDING.bind({"params": params})
            return bound.attend(bound(tokens))

        check_transformations(there_and_back, params, TOKENS)

    def test_bfloat16_vectors_and_float32_logits_from_a_float32_matrix(self, params):
        block = TokenEmbedding(VOCAB, D_MODEL, jnp.bfloat16)
        assert block.init(jax.random.key(0), TOKENS)["params"]["embedding"].dtype == jnp.float32
        vectors = block.apply({"params": params}, TOKENS)
        logits = block.apply({"params": params}, vectors, method="attend")
        assert (vectors.dtype, logits.dtype) == (jnp.bfloat16, jnp.float32)
        # The sum is float32 too: its error is the inputs' rounding only, so no logit was rounded to 8 bits.
        table = double(params["embedding"].astype(jnp.bfloat16))
        assert relative_error(logits, double(vectors) @ table.T) < 1e-6


class TestSinusoidalPositions:
    def test_exact_values(self):
        table = sinusoidal_positions(jnp.arange(3), 4)
        expected = [
            [0, 1, 0, 1],
            [np.sin(1), np.cos(1), np.sin(0.01), np.cos(0.01)],
            [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)],
        ]
        np.testing.assert_allclose(table, expected, atol=1e-6)

    @pytest.mark.parametrize("d_model", [2, 16, 512])
    def test_equals_the_formula_at_long_positions_too(self, d_model):
        positions = np.r_[0:64, 100:4096:111]
        found = jax.jit(sinusoidal_positions, static_argnums=1)(jnp.asarray(positions), d_model)
        expected = reference.sinusoids(positions, d_model)
        assert relative_error(found, expected) < 1e-6
        assert np.abs(found[positions <= 1000] - expected[positions <= 1000]).max() < 1e-6

    @pytest.mark.parametrize("d_model", [4, 512])
    def test_those_of_fairseq_equal_their_formula(self, d_model):
        """PE(p) is [sin((p + 2) w_i), cos((p + 2) w_i)] with w_i = 10000^(-i / (d_model / 2 - 1))."""
        positions, half = np.r_[0:64, 100:4096:111], d_model // 2
        angles = (positions[:, None] + 2) * np.exp(-np.log(10_000) * np.arange(half) / (half - 1))
        expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        assert relative_error(fairseq_positions(jnp.asarray(positions), d_model), expected) < 1e-6

    @pytest.mark.parametrize("d_model", [4, 256])
    def test_tensor2tensors_equal_its_formula(self, d_model):
        positions = np.r_[0:64, 100:1000:111]
        found = tensor2tensor_positions(jnp.asarray(positions), d_model)
        assert np.abs(found - reference.tensor2tensor_sinusoids(positions, d_model)).max() < 1e-6

    @settings(max_examples=20, deadline=None)
    @given(position=st.integers(0, 500), offset=st.integers(0, 500))
    def test_an_offset_is_a_rotation_that_does_not_depend_on_the_position(self, position, offset):
        """Section 3.5: PE(pos + k) is a linear function of PE(pos)."""
        sine, cosine = (
            np.asarray(sinusoidal_positions(jnp.array([position, position + offset]), 8))
            .T.reshape(4, 2, 2)
            .swapaxes(0, 1)
        )
        turn = offset / 10_000 ** (np.arange(0, 8, 2) / 8)
        np.testing.assert_allclose(sine[:, 1], sine[:, 0] * np.cos(turn) + cosine[:, 0] * np.sin(turn), atol=3e-6)
        np.testing.assert_allclose(cosine[:, 1], cosine[:, 0] * np.cos(turn) - sine[:, 0] * np.sin(turn), atol=3e-6)

    def test_any_shape_of_positions(self):
        positions = jnp.array([[0, 1, 2, 0, 1], [5, 6, 0, 0, 0]])
        table = sinusoidal_positions(positions, 8)
        assert table.shape == (2, 5, 8)
        np.testing.assert_array_equal(table[0, 3:], table[0, :2])

    def test_is_the_same_under_jit_vmap_and_pmap(self):
        check_transformations(lambda _, positions: sinusoidal_positions(positions, 8), None, 3 * TOKENS)


class TestLearnedPositions:
    block = LearnedPositions(max_length=9, d_model=D_MODEL)

    def test_looks_up_rows(self):
        positions = jnp.array([[0, 8, 3]])
        params = random_parameters(self.block, positions)
        np.testing.assert_array_equal(self.block.apply({"params": params}, positions), params["embedding"][positions])

    def test_a_place_beyond_the_table_is_nan(self):
        positions = jnp.array([[8, 9]])
        output = self.block.apply({"params": random_parameters(self.block, positions)}, positions)
        assert np.isfinite(output[0, 0]).all()
        assert np.isnan(output[0, 1]).all()

    def test_is_the_same_under_jit_vmap_and_pmap(self):
        positions = TOKENS % 9
        params = random_parameters(self.block, positions)
        check_transformations(lambda params, x: self.block.apply({"params": params}, x), params, positions)

    def test_its_axes_have_names(self):
        boxed = boxed_parameters(self.block, TOKENS)["embedding"]
        assert boxed.names == ("positions", "table_embed")

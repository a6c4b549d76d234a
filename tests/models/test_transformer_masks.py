"""Later tokens, padding and the neighbours in a packed row must not change a bit of the model's output."""

import itertools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import double, relative_error
from small_transformers import (
    BASE,
    BATCH,
    CONFIGS,
    LEARNED,
    RECURRENT,
    SENTENCES,
    SOURCE,
    SOURCES,
    T5,
    TARGET,
    TARGETS,
    UNTIED,
    VOCAB,
    logits_of,
    padded,
    params_of,
    tokens,
)

from tfmr.models import Transformer


def positions_with_gradient(weights, **segments):
    """Returns the positions of source and target at which the weighted logits have any gradient."""
    return _positions_with_gradient(params_of(LEARNED), weights, segments)


@jax.jit
def _positions_with_gradient(params, weights, segments):
    def loss(params):
        logits = Transformer(LEARNED).apply({"params": params}, *SENTENCES, **segments)
        return (jnp.square(logits) * weights[..., None]).sum()

    gradients = jax.grad(loss)(params)
    return [(gradients[f"{side}_positions"]["embedding"] != 0).any(axis=-1) for side in ("source", "target")]


class TestLookAhead:
    """A position depends on itself and on earlier positions, and on nothing else."""

    @pytest.mark.parametrize("position", range(TARGET))
    def test_a_later_token_changes_no_bit_before_it(self, position):
        changed = TARGETS.at[:, position].set((TARGETS[:, position] + 1) % VOCAB)
        before = logits_of(BASE, params_of(BASE), *SENTENCES)
        after = logits_of(BASE, params_of(BASE), SOURCES, changed)
        np.testing.assert_array_equal(after[:, :position], before[:, :position])
        assert (np.abs(after - before)[:, position:].max(axis=(0, 2)) > 0).all()

    def test_the_gradient_from_before_is_exactly_zero(self):
        for position in range(TARGET):
            weights = jnp.zeros_like(TARGETS).at[:, position].set(1)
            _, target = positions_with_gradient(weights)
            np.testing.assert_array_equal(target, np.arange(LEARNED.max_length) <= position)


class TestPadding:
    lengths = [7, 3, 5, 1, 2, 7, 6, 4], [1, 5, 2, 4, 3, 5, 5, 5]
    segments: ClassVar = dict(source_segments=padded(lengths[0], SOURCE), target_segments=padded(lengths[1], TARGET))

    @CONFIGS
    def test_the_tokens_in_padding_change_no_bit(self, config):
        source = jnp.where(self.segments["source_segments"] == 0, 0, SOURCES)
        target = jnp.where(self.segments["target_segments"] == 0, 0, TARGETS)
        one = logits_of(config, params_of(config), source, target, **self.segments)
        other = logits_of(config, params_of(config), *SENTENCES, **self.segments)
        sentence = np.asarray(self.segments["target_segments"]) == 1
        np.testing.assert_array_equal(np.asarray(one)[sentence], np.asarray(other)[sentence])
        assert np.isfinite(one).all()

    def test_padding_gets_exactly_no_gradient(self):
        segments: ClassVar = dict(
            source_segments=padded([4] * BATCH, SOURCE), target_segments=padded([3] * BATCH, TARGET)
        )
        source, target = positions_with_gradient(segments["target_segments"], **segments)
        np.testing.assert_array_equal(source, np.arange(LEARNED.max_length) < 4)
        np.testing.assert_array_equal(target, np.arange(LEARNED.max_length) < 3)

    def test_a_sentence_alone_without_padding_is_the_same(self):
        whole = logits_of(BASE, params_of(BASE), *SENTENCES, **self.segments)
        for b in (1, 2):
            source, target = SOURCES[b : b + 1, : self.lengths[0][b]], TARGETS[b : b + 1, : self.lengths[1][b]]
            alone = reference.transformer(double(params_of(BASE)), BASE, np.asarray(source[0]), np.asarray(target[0]))
            # Not bit-equal: longer sums are computed in another order, even if the additional terms are zero.
            assert relative_error(whole[b, : self.lengths[1][b]], alone) < 1e-6


class TestPacking:
    """Rows [3, 2, 1 of padding] and [4, 2] of sources; [2, 3], [1, 3, 1 of padding] of targets."""

    source_segments = jnp.array([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 2, 2]])
    source_positions = jnp.array([[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 0, 1]])
    target_segments = jnp.array([[1, 1, 2, 2, 2], [1, 2, 2, 2, 0]])
    target_positions = jnp.array([[0, 1, 0, 1, 2], [0, 0, 1, 2, 0]])

    def logits(self, config, source, target):
        names = "source_segments", "target_segments", "source_positions", "target_positions"
        return logits_of(config, params_of(config), source, target, **{name: getattr(self, name) for name in names})

    @pytest.mark.parametrize("config", [BASE, LEARNED, T5, RECURRENT], ids=["base", "learned", "t5", "recurrent"])
    def test_packed_sentences_are_as_alone(self, config):
        source, target = tokens(2, 6), tokens(2, 5, seed=1)
        logits = self.logits(config, source, target)
        for row in range(2):
            for segment in (1, 2):
                here = np.asarray(self.target_segments[row] == segment)
                alone = source[row][self.source_segments[row] == segment], target[row][here]
                expected = reference.transformer(double(params_of(config)), config, *map(np.asarray, alone))
                assert relative_error(logits[row][here], expected) < 1e-6

    def test_the_gradient_from_one_sentence_to_another_is_exactly_zero(self):
        # No row repeats a token, so the gradient of a token's embedding is the gradient at its position.
        source, target = jnp.arange(6)[None] + 4, jnp.arange(5)[None] + 4

        @jax.jit
        def tokens_with_gradient(segment, row):
            """The tokens with a gradient: of the source from the encoder, of source and target from the decoder."""
            arrays = {name: array[None] for name, array in row.items()}
            source_arrays = {name: array for name, array in arrays.items() if name.startswith("source")}

            def through_encoder(params):
                memory = Transformer(UNTIED).apply({"params": params}, source, **source_arrays, method="encode")
                return (jnp.square(memory) * (arrays["source_segments"] == segment)[..., None]).sum()

            def through_decoder(params):
                states, _ = Transformer(UNTIED).apply(
                    {"params": params}, source, target, **arrays, method="states_and_output_table"
                )
                return (jnp.square(states) * (arrays["target_segments"] == segment)[..., None]).sum()

            encoder, decoder = jax.grad(through_encoder)(params), jax.grad(through_decoder)(params)
            tables = (encoder, "source_embedding"), (decoder, "source_embedding"), (decoder, "embedding")
            return [(gradient[name]["embedding"] != 0).any(axis=-1) for gradient, name in tables]

        params = params_of(UNTIED)
        names = "source_segments", "target_segments", "source_positions", "target_positions"
        for row, segment in itertools.product((0, 1), (1, 2)):
            arrays = {name: getattr(self, name)[row] for name in names}
            by_encoder, by_decoder, by_target = tokens_with_gradient(segment, arrays)
            # All tokens of the sentence have a gradient, and no others.
            np.testing.assert_array_equal(by_encoder[source[0]], self.source_segments[row] == segment)
            np.testing.assert_array_equal(by_decoder[source[0]], self.source_segments[row] == segment)
            np.testing.assert_array_equal(by_target[target[0]], self.target_segments[row] == segment)

    @pytest.mark.parametrize("config", [BASE, RECURRENT], ids=["base", "recurrent"])
    def test_the_neighbour_changes_no_bit(self, config):
        source, target = tokens(2, 6), tokens(2, 5, seed=1)
        one = self.logits(config, source, target)
        source = jnp.where(self.source_segments == 2, source, tokens(2, 6, seed=3))
        target = jnp.where(self.target_segments == 2, target, tokens(2, 5, seed=4))
        other = self.logits(config, source, target)
        second = np.asarray(self.target_segments == 2)
        np.testing.assert_array_equal(np.asarray(one)[second], np.asarray(other)[second])
        assert not np.array_equal(np.asarray(one)[~second], np.asarray(other)[~second])


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(SOURCE)))
def test_only_the_positions_tell_the_encoder_the_order(order):
    """If the positions move with the source's tokens, moving them changes nothing for the decoder."""
    order = np.array(order)
    positions = jnp.broadcast_to(jnp.arange(SOURCE)[order], SOURCES.shape)
    moved = logits_of(BASE, params_of(BASE), SOURCES[:, order], TARGETS, source_positions=positions)
    assert relative_error(moved, logits_of(BASE, params_of(BASE), *SENTENCES)) < 2e-6

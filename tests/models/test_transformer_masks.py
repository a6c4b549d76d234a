"""What must not change the model's output, to the last bit: what comes later, padding, neighbours in a packed row."""

import itertools

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
    SENTENCES,
    SOURCE,
    SOURCES,
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


def places_with_gradient(source_segments, target_segments, weights):
    """Returns the places of source and target that the logits, weighted by place, have any gradient at."""
    return _places_with_gradient(params_of(LEARNED), source_segments, target_segments, weights)


@jax.jit
def _places_with_gradient(params, source_segments, target_segments, weights):
    def loss(params):
        logits = Transformer(LEARNED).apply({"params": params}, SOURCES, source_segments, TARGETS, target_segments)
        return (jnp.square(logits) * weights[..., None]).sum()

    gradients = jax.grad(loss)(params)
    return [(gradients[f"{side}_positions"]["embedding"] != 0).any(axis=-1) for side in ("source", "target")]


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

    def test_the_gradient_from_one_sentence_to_another_is_exactly_zero(self):
        # No token stands twice in a row, so the gradient of a token's embedding is that of the place it stands at.
        source, target = jnp.arange(6)[None] + 4, jnp.arange(5)[None] + 4

        @jax.jit
        def places_seen(segment, *rows):
            """The places with a gradient: of the source from the encoder, of source and target from the decoder."""
            source_segments, target_segments, source_positions, target_positions = (row[None] for row in rows)

            def through_encoder(params):
                inputs = {"params": params}, source, source_segments, source_positions
                memory = Transformer(UNTIED).apply(*inputs, method="encode")
                return (jnp.square(memory) * (source_segments == segment)[..., None]).sum()

            def through_decoder(params):
                inputs = source, source_segments, target, target_segments, source_positions, target_positions
                states, _ = Transformer(UNTIED).apply({"params": params}, *inputs, method="states_and_output_table")
                return (jnp.square(states) * (target_segments == segment)[..., None]).sum()

            encoder, decoder = jax.grad(through_encoder)(params), jax.grad(through_decoder)(params)
            tables = (encoder, "source_embedding"), (decoder, "source_embedding"), (decoder, "embedding")
            return [(gradient[name]["embedding"] != 0).any(axis=-1) for gradient, name in tables]

        params = params_of(UNTIED)
        arrays = self.source_segments, self.target_segments, self.source_positions, self.target_positions
        for row, segment in itertools.product((0, 1), (1, 2)):
            by_encoder, by_decoder, by_target = places_seen(segment, *(array[row] for array in arrays))
            # All of the sentence is seen, and nothing else.
            np.testing.assert_array_equal(by_encoder[source[0]], self.source_segments[row] == segment)
            np.testing.assert_array_equal(by_decoder[source[0]], self.source_segments[row] == segment)
            np.testing.assert_array_equal(by_target[target[0]], self.target_segments[row] == segment)

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

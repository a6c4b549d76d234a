"""Attention weights of a model, and their pictures."""

import dataclasses
import io
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference import double, random_parameters, relative_error

from tfmr.analysis import attention_weights, plot_attention
from tfmr.errors import InputError
from tfmr.models import Transformer, TransformerConfig
from tfmr.nn import stack_layers

CONFIG = TransformerConfig(
    vocab_size=19, num_encoder_layers=2, num_decoder_layers=2, d_model=16, d_ff=24, num_heads=3, d_k=4, d_v=6
)
SOURCE, TARGET = [5, 9, 11, 4, 3], [2, 7, 8, 13]


@pytest.fixture(scope="module")
def params():
    tokens = jnp.ones((1, 2), jnp.int32)
    return random_parameters(Transformer(CONFIG), tokens, tokens)


@pytest.fixture(scope="module")
def maps(params):
    return attention_weights(CONFIG, params, SOURCE, TARGET)


class TestAttentionWeights:
    def test_has_every_attention_of_every_layer(self, maps):
        shapes = {"encoder/self": (3, 5, 5), "decoder/self": (3, 4, 4), "decoder/cross": (3, 4, 5)}
        assert {name: weights.shape for name, weights in maps.items()} == {
            f"{kind.split('/')[0]}/layer_{i}/{kind.split('/')[1]}_attention": shape
            for kind, shape in shapes.items()
            for i in (0, 1)
        }

    def test_are_the_formulas(self, maps, params):
        layer = double(params)["encoder"]["layer_0"]
        rows = double(params)["embedding"]["embedding"][SOURCE]
        x = rows * np.sqrt(CONFIG.d_model) + reference.sinusoids(range(5), CONFIG.d_model)
        _, expected = reference.multi_head_attention(layer["self_attention"], x, x)
        assert relative_error(maps["encoder/layer_0/self_attention"], expected) < 1e-5

    def test_the_weights_of_a_query_sum_to_1_and_the_decoder_looks_back_only(self, maps):
        for name, weights in maps.items():
            np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
            if name.startswith("decoder") and name.endswith("self_attention"):
                assert not np.triu(weights, k=1).any()

    def test_scanned_layers_give_the_same(self, maps, params):
        scanned = attention_weights(dataclasses.replace(CONFIG, scan_layers=True), stack_layers(params), SOURCE, TARGET)
        assert list(scanned) == list(maps)
        for name, weights in maps.items():
            assert relative_error(scanned[name], weights) < 1e-5


def weights_of(heads, queries, keys):
    draws = np.random.default_rng(0).random((heads, queries, keys)).astype(np.float32)
    return draws / draws.sum(axis=-1, keepdims=True)


def drawn(figure):
    """Returns the axes that show a head, after the figure was written without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), dpi=40)
    return [axis for axis in figure.axes if axis.images and axis.get_title().startswith("head")]


def texts(labels):
    return [label.get_text() for label in labels]


class TestPlotAttention:
    def test_draws_every_head_with_labels_at_the_left_and_the_bottom(self):
        weights = weights_of(6, 3, 4)
        axes = drawn(plot_attention(weights, ["a", "b", "c"], ["x", "y", "z", "$"], title="a $ b $"))
        assert [axis.get_title() for axis in axes] == [f"head {i}" for i in range(6)]
        for head, axis in enumerate(axes):
            np.testing.assert_array_equal(axis.images[0].get_array(), weights[head])
            assert texts(axis.get_yticklabels()) == (["a", "b", "c"] if head in (0, 4) else [])
            # Heads 2 and 3 have nothing below them: the grid has 4 columns.
            assert texts(axis.get_xticklabels()) == (["x", "y", "z", "$"] if head >= 2 else [])

    def test_draws_one_head_alone(self):
        weights = weights_of(6, 3, 4)
        (axis,) = drawn(plot_attention(weights, ["a", "b", "c"], ["x", "y", "z", "$"], head=5))
        np.testing.assert_array_equal(axis.images[0].get_array(), weights[5])

    @pytest.mark.parametrize("size", [1, 2, 60])
    def test_any_length_fits(self, size):
        figure = plot_attention(weights_of(2, size, size), ["token"] * size, ["Wort"] * size)
        assert len(drawn(figure)) == 2
        assert max(figure.get_size_inches()) < 30

    def test_any_script_and_mark_can_be_drawn(self):
        labels = ["собака", " ქართული", "كلب أسود", "中文", "हिन्दी", "😀", "\n", "$", "", "\u0301", "\ud800"]
        drawn(plot_attention(weights_of(1, len(labels), len(labels)), labels, labels, title="".join(labels)))

    @pytest.mark.parametrize(
        ("labels", "head", "message"),
        [
            ((["a"], ["x", "y"]), None, "query_labels: 1 labels for 3 tokens"),
            ((["a", "b", "c"], ["x"]), None, "key_labels: 1 labels for 2 tokens"),
            ((["a", "b", "c"], ["x", "y"]), 4, "head = 4: must be from 0 to 3"),
            ((["a", "b", "c"], ["x", "y"]), -1, "head = -1"),
        ],
    )
    def test_what_does_not_fit_is_named(self, labels, head, message):
        with pytest.raises(InputError, match=message):
            plot_attention(weights_of(4, 3, 2), *labels, head=head)

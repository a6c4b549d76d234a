"""Attention to text: the tokens, marks and labels are those of the model, and the right layer is drawn."""

import dataclasses
import functools
import io

import jax.numpy as jnp
import numpy as np
import pytest
import reference
import small_translators
from reference import double, random_parameters, relative_error

from tfmr.analysis import attention_weights, plot_sentence_attention, plot_text_attention, sentence_attention
from tfmr.data.tokenizer import BOS_ID, EOS_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.language_model import Generator
from tfmr.models import CausalLM, CausalLMConfig
from tfmr.nn import stack_layers

SHAPE = dict(num_layers=2, d_model=16, d_ff=24, num_heads=3, d_k=4, d_v=6, max_length=8)


make_translator = functools.cache(small_translators.make_translator)


@functools.cache
def make_generator(**options) -> Generator:
    tokenizer = Tokenizer.train("characters", ["abc \n"], 20)
    model = CausalLM(CausalLMConfig(vocab_size=tokenizer.vocab_size, **SHAPE))
    return Generator(model, random_parameters(model, jnp.ones((1, 2), jnp.int32)), tokenizer, **options)


def heads(figure):
    """The pictures of heads, after the figure was written."""
    figure.savefig(io.BytesIO(), dpi=30)
    return [axis for axis in figure.axes if axis.images]


def drawn(figure):
    """The weights that are drawn, and the labels of the rows and columns of the last picture."""
    axes = heads(figure)
    rows, columns = axes[0].get_yticklabels(), axes[-1].get_xticklabels()
    return [np.asarray(axis.images[0].get_array()) for axis in axes], *(
        [label.get_text() for label in labels] for labels in (rows, columns)
    )


class TestSentence:
    def test_a_recurrent_decoder_has_attention_to_the_source_alone(self):
        translator = make_translator(decoder_recurrence="ssru")
        weights = sentence_attention(translator, "abc", "de").weights
        assert {name.partition("/")[0] for name in weights if name.endswith("self_attention")} == {"encoder"}
        assert sum(name.startswith("decoder") and name.endswith("cross_attention") for name in weights) == 2
        with pytest.raises(InputError, match="stack = 'decoder': this model has a recurrent unit"):
            plot_sentence_attention(translator, "abc", "de", stack="decoder")

    def test_the_tokens_are_those_that_the_model_reads_and_writes(self):
        translator = make_translator()
        found = sentence_attention(translator, "abc", "de")
        ids = {letter: translator.tokenizer.encode(letter)[-1] for letter in "abcde"}
        space = translator.tokenizer.encode("a")[:-1]  # where the tokenizer puts one before a line
        source = [*space, *(ids[letter] for letter in "abc"), EOS_ID]
        target_input = [BOS_ID, *space, *(ids[letter] for letter in "de")]
        expected = attention_weights(translator.model.config, translator.params, source, target_input)
        assert list(found.weights) == list(expected)
        for name in expected:
            np.testing.assert_array_equal(found.weights[name], expected[name])
        assert "".join(found.source).strip(" ") == "abcend"
        assert found.target_input[0] == "start"
        assert found.target_input[1:] == found.target_output[:-1]
        assert "".join(found.target_output).strip(" ") == "deend"

    def test_without_a_target_it_is_the_translation(self):
        translator = make_translator()
        assert (
            sentence_attention(translator, "cab")[3]
            == (sentence_attention(translator, "cab", translator.translate(["cab"])[0])[3])
        )

    @pytest.mark.parametrize(
        ("stack", "name", "rows", "columns"),
        [
            ("encoder", "encoder/layer_0/self_attention", "source", "source"),
            ("decoder", "decoder/layer_1/self_attention", "target_input", "target_input"),
            ("cross", "decoder/layer_1/cross_attention", "target_output", "source"),
        ],
    )
    def test_draws_each_stack_with_its_own_tokens(self, stack, name, rows, columns):
        translator = make_translator()
        expected = sentence_attention(translator, "abc", "ed")
        weights, *labels = drawn(plot_sentence_attention(translator, "abc", "ed", stack=stack))
        np.testing.assert_array_equal(weights, expected.weights[name])
        letters = [[text.replace(" ", "·") for text in getattr(expected, side)] for side in (rows, columns)]
        assert labels == letters

    def test_draws_all_layers_or_one_head(self):
        translator = make_translator()
        maps = sentence_attention(translator, "abc", "ed").weights
        layers = [maps[f"decoder/layer_{i}/cross_attention"] for i in (0, 1)]
        figure = plot_sentence_attention(translator, "abc", "ed", layer=None)
        np.testing.assert_array_equal(drawn(figure)[0], np.concatenate(layers))
        titles = [(axis.get_ylabel(), axis.get_title()) for axis in heads(figure)]
        assert titles == [("layer 0", "head 0"), ("", "head 1"), ("layer 1", ""), ("", "")]
        weights = drawn(plot_sentence_attention(translator, "abc", "ed", layer=None, head=1))[0]
        np.testing.assert_array_equal(weights, [layer[1] for layer in layers])
        weights = drawn(plot_sentence_attention(translator, "abc", "ed", layer=0, head=1))[0]
        np.testing.assert_array_equal(weights, [layers[0][1]])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"layer": 2}, "layer = 2: must be from 0 to 1"),
            ({"stack": "encoder", "layer": 1}, "layer = 1: must be from 0 to 0"),
            ({"head": 2}, "head = 2: must be from 0 to 1"),
            ({"source": " "}, "sentence ' ': must not be blank"),
        ],
    )
    def test_what_is_not_there_is_named_before_any_work(self, options, message, monkeypatch):
        translator = make_translator()
        monkeypatch.setattr(translator, "translate", None)
        with pytest.raises(InputError, match=message):
            plot_sentence_attention(translator, **{"source": "a", **options})

    def test_too_long_for_learned_positions_is_named(self):
        translator = make_translator(positions="learned", max_length=4)
        with pytest.raises(InputError, match="must have at least 1 and at most 4"):
            sentence_attention(translator, "abcabc", "a")


class TestText:
    def test_are_the_formulas(self):
        generator = make_generator()
        config, params = generator.model.config, double(generator.params)
        tokens = [5, 4, 6, 5, 7]
        maps = attention_weights(config, generator.params, tokens)
        layer = params["decoder"]["layer_0"]
        x = params["embedding"]["embedding"][tokens] + params["positions"]["embedding"][:5]
        x = reference.layer_norm(layer["self_attention_norm"], x, config.norm_epsilon)
        _, expected = reference.multi_head_attention(layer["self_attention"], x, x, np.tril(np.ones((5, 5), bool)))
        assert relative_error(maps["decoder/layer_0/self_attention"], expected) < 1e-5
        assert list(maps) == ["decoder/layer_0/self_attention", "decoder/layer_1/self_attention"]
        scanned = dataclasses.replace(config, scan_layers=True)
        for name, weights in attention_weights(scanned, stack_layers(generator.params), tokens).items():
            assert relative_error(weights, maps[name]) < 1e-5

    @pytest.mark.parametrize("has_documents", [False, True])
    def test_a_document_begins_with_its_mark(self, has_documents):
        generator = make_generator(has_documents=has_documents)
        weights, *labels = drawn(plot_text_attention(generator, "ab\nc"))
        start = ["start"] if has_documents else []
        assert labels == [[*start, "a", "b", "↵", "c"]] * 2
        tokens = [BOS_ID] * has_documents + generator.tokenizer.encode("ab\nc")
        maps = attention_weights(generator.model.config, generator.params, tokens)
        np.testing.assert_array_equal(weights, maps["decoder/layer_1/self_attention"])
        assert len(drawn(plot_text_attention(generator, "ab\nc", layer=None))[0]) == 6

    @pytest.mark.parametrize(
        ("text", "options", "message"),
        [
            ("", {}, "must have at least one token"),
            ("abcabcabc", {}, "text of 9 tokens: must have at least 1 and at most 8"),
            ("a", {"layer": -2}, "layer = -2: must be from 0 to 1"),
            ("a", {"head": 3}, "head = 3: must be from 0 to 2"),
        ],
    )
    def test_what_is_not_there_is_named(self, text, options, message):
        with pytest.raises(InputError, match=message):
            plot_text_attention(make_generator(), text, **options)

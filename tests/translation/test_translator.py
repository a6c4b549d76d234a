"""The translator: every line gets its own translation, whatever stands beside it."""

import functools
import itertools
import logging
import random
import re

import jax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tfmr.config import DecodingConfig, SamplingConfig, TransformerConfig
from tfmr.data.tokenizer import EOS_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.models import Transformer, init_params
from tfmr.nn.stacks import stack_layers
from tfmr.translation import Translator, translator

LETTERS = "abcdefghij "


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train("characters", [LETTERS], 40)


@pytest.fixture(scope="module")
def make_translator(tokenizer):
    def make(decoding: DecodingConfig, **changes) -> Translator:
        config = dict(vocab_size=tokenizer.vocab_size, num_encoder_layers=1, num_decoder_layers=1, d_model=16, d_ff=32)
        config = dict(config, num_heads=2, d_k=8, d_v=8, tie_embeddings="none")
        model = Transformer(TransformerConfig(**{**config, **changes}))
        params = jax.tree.map(lambda x: x, initial_params(model))
        # Sharper than at the start, so that no two tokens are nearly equal and the text depends on the line.
        params["output_embedding"] = jax.tree.map(lambda x: x * 3, params["output_embedding"])
        params["decoder"] = jax.tree_util.tree_map_with_path(
            lambda path, x: x * 4 if "cross_attention" in str(path) and x.ndim == 3 else x, params["decoder"]
        )
        return Translator(model, params, tokenizer, decoding)

    return make


@functools.cache
def initial_params(model):
    return jax.jit(lambda: init_params(model, jax.random.key(8)))()


def random_lines(number, seed=0, longest=14):
    generator = random.Random(seed)
    return ["".join(generator.choices(LETTERS[:-1], k=generator.randint(1, longest))) for _ in range(number)]


@pytest.mark.parametrize("beam_size", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_translation_depends_on_neither_batch_nor_order_nor_padding(make_translator, beam_size):
    lines = random_lines(70)
    shuffled = random.Random(1).sample(lines, len(lines))
    translations = {}
    for batch_size in (1, 7, 64):
        decoding = DecodingConfig(beam_size=beam_size, extra_length=4, batch_size=batch_size)
        each = make_translator(decoding)
        translations[batch_size] = each.translate(lines)
        assert dict(zip(shuffled, each.translate(shuffled), strict=True)) == dict(
            zip(lines, translations[batch_size], strict=True)
        )
    assert translations[1] == translations[7] == translations[64]
    assert len(set(translations[1])) > 25  # the lines matter

    long = "abcdefghij" * 4  # makes every other line of the batch padded to its width
    decoding = DecodingConfig(beam_size=beam_size, extra_length=4, batch_size=64)
    assert make_translator(decoding).translate([*lines[:20], long])[:20] == translations[1][:20]


def test_rows_and_parameters_spread_over_devices_change_no_translation(make_translator):
    lines = random_lines(11)
    alone = make_translator(DecodingConfig(beam_size=3, extra_length=4, batch_size=4))
    mesh = jax.make_mesh((4, 2), ("rows", "model"), axis_types=(AxisType.Auto,) * 2)
    params = jax.device_put(alone.params, NamedSharding(mesh, PartitionSpec()))
    table = NamedSharding(mesh, PartitionSpec(None, "model"))  # the table's rows need not divide
    params["output_embedding"] = jax.tree.map(lambda x: jax.device_put(x, table), params["output_embedding"])
    spread = Translator(alone.model, params, alone.tokenizer, alone.config, NamedSharding(mesh, PartitionSpec("rows")))
    assert spread.translate(lines) == alone.translate(lines)


def test_empty_and_blank_lines_stay_empty_and_need_no_model(make_translator, monkeypatch):
    each = make_translator(DecodingConfig(beam_size=1, extra_length=4))
    text = each.translate(["abc"])[0]
    assert text
    assert each.translate(["", "abc", "  \t", "abc\n", "\n"]) == ["", text, "", text, ""]
    monkeypatch.setattr(each, "_search", None)
    assert each.translate(["", " "]) == ["", ""]
    assert each.translate([]) == []


def test_streaming_keeps_the_order_and_reads_a_window_at_a_time(make_translator, monkeypatch):
    monkeypatch.setattr(translator, "_WINDOW", 2)
    each = make_translator(DecodingConfig(beam_size=1, extra_length=4, batch_size=4))
    lines, read = random_lines(20), []
    stream = each.translate_stream(read.append(line) or line for line in lines)
    first = next(stream)
    assert len(read) == 8
    assert [first, *stream] == list(itertools.chain(*(each.translate([line]) for line in lines)))


def test_an_output_is_at_most_extra_length_longer_than_its_line(make_translator, tokenizer):
    each = make_translator(DecodingConfig(beam_size=1, extra_length=4))
    each.params["output_embedding"]["embedding"] = each.params["output_embedding"]["embedding"].at[EOS_ID].set(0.0)
    lines = random_lines(16)
    longer = [
        len(tokenizer.encode(text)) - len(tokenizer.encode(line))
        for line, text in zip(lines, each.translate(lines), strict=True)
    ]
    assert max(longer) == 4


def test_few_shapes_are_compiled(make_translator):
    each = make_translator(DecodingConfig(beam_size=1, extra_length=5, batch_size=4, no_repeat_ngram=40))
    before = translator.search_batch._cache_size()
    each.translate(random_lines(60, longest=30))
    assert translator.search_batch._cache_size() - before == 3  # widths 16, 24, 32
    each.translate(random_lines(80, seed=1, longest=30))
    assert translator.search_batch._cache_size() - before == 3


def test_other_words_and_numbers_compile_nothing_anew(make_translator):
    def translate(forbidden, alpha=0.8, **drawing):
        sampling = SamplingConfig(**{"temperature": 3.0, "top_p": 0.9, **drawing})
        rest = dict(beam_size=1, extra_length=5, no_repeat_ngram=41)
        decoding = DecodingConfig(alpha=alpha, forbidden=(forbidden,), sampling=sampling, **rest)
        return make_translator(decoding).n_best(random_lines(9), 1)

    before = translator.search_batch._cache_size()
    first = translate("a")
    others = [translate("b"), translate("a", seed=1), translate("a", temperature=2.0), translate("a", top_p=0.5)]
    others.append(translate("a", alpha=0.0))
    assert all(other != first for other in others)
    assert translator.search_batch._cache_size() == before + 1


@pytest.mark.parametrize(
    ("limit", "changes"), [(20, {}), (1024, {"positions": "learned", "max_length": 20}), (1024, None)]
)
def test_of_a_line_that_is_too_long_the_beginning_is_translated_and_a_warning_says_so(
    make_translator, caplog, limit, changes
):
    each = make_translator(DecodingConfig(beam_size=2, extra_length=4, max_source_length=limit), **(changes or {}))
    too_long = "abcdefghij" * 2
    fits = too_long[:19]
    with caplog.at_level(logging.WARNING, "tfmr"):
        translations = each.translate([fits, too_long])
    if changes is None:
        assert not caplog.records
        return
    assert translations[1] == translations[0]
    (record,) = caplog.records
    assert re.match("line 2: has 21 tokens.*only the first 19 are translated", record.getMessage())


def test_sinusoids_take_any_length(make_translator):
    each = make_translator(DecodingConfig(beam_size=1, extra_length=4), max_length=20)
    assert isinstance(each.translate(["a" * 150])[0], str)


def test_scanned_layers_are_unstacked(make_translator, tokenizer):
    decoding = DecodingConfig(beam_size=1, extra_length=4)
    looped = make_translator(decoding, num_decoder_layers=2)
    scanned_model = Transformer(TransformerConfig(**{**vars(looped.model.config), "scan_layers": True}))
    scanned = Translator(scanned_model, stack_layers(looped.params), tokenizer, decoding)
    lines = random_lines(5)
    assert scanned.translate(lines) == looped.translate(lines)


def test_one_string_is_not_taken_for_lines(make_translator):
    with pytest.raises(InputError, match="not a single string"):
        make_translator(DecodingConfig()).translate("a line")


def test_a_lines_end_in_a_translation_does_not_make_two_lines(make_translator, monkeypatch):
    each = make_translator(DecodingConfig(beam_size=1, extra_length=4))
    monkeypatch.setattr(each.tokenizer, "decode_batch", lambda ids: ["a\nb\rc" for _ in ids])
    assert each.translate(["abc", "", "ab"]) == ["a b c", "", "a b c"]

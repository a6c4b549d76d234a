"""tfmr's own model folders: every model that a configuration allows comes back whole."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmr.config import (
    CausalLMConfig,
    Config,
    DecodingConfig,
    ModelConfig,
    PairsConfig,
    RunningTextConfig,
    SamplingConfig,
    TransformerConfig,
)
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.interop import new_folder, read_tfmr, unflatten, weight_shapes, write_tfmr

LINES = ["the old woman sees the small dog", "a dog runs", "ein Hund sieht die Katze"] * 9
SHORT = 24
"""Fewer positions than the default maximum length of training sentences."""
DECODING = DecodingConfig(
    beam_size=3,
    length_penalty="power",
    alpha=0.7,
    coverage_penalty=0.1,
    diversity=0.2,
    extra_length=7,
    max_source_length=99,
    min_length=2,
    max_length=40,
    no_repeat_ngram=3,
    forbidden=("dog", "Hund"),
    required=("Katze",),
    sampling=SamplingConfig(seed=3),
    batch_size=5,
)
PAIRS = PairsConfig(
    corpus="text",
    source_language="fr",
    target_language="zh",
    source_file=("a.fr", "b.fr"),
    target_file="c.zh",
    bleu_tokenizer="char",
    normalization="nfkc",
    tokenizer="characters",
    max_length=SHORT,
)
TEXT = RunningTextConfig(files=("a.txt", "b.txt"), document_separator="\n", max_length=SHORT, batching="packed")


def values_of(name: str, kind: Any) -> st.SearchStrategy:
    """Returns values for a field of a model's configuration."""
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is float:
        return st.floats(1e-6, 0.5)
    return {bool: st.booleans(), int: st.sampled_from([1, 2, 3])}[kind]


def models(kind: type[ModelConfig], vocab_size: int) -> st.SearchStrategy:
    """Returns models in which every option has any of its values."""
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.name != "vocab_size"]
    fields = {name: values_of(name, hints[name]) for name in names}
    fields |= {"d_model": st.sampled_from([4, 6, 8]), "max_length": st.sampled_from([SHORT, SHORT + 1])}
    if kind is TransformerConfig:
        fields |= {"relative_buckets": st.sampled_from([4, 6]), "relative_max_distance": st.sampled_from([7, 8])}
    fields |= {"vocab_size": st.integers(vocab_size, vocab_size + 2)}
    return st.fixed_dictionaries(fields).filter(fit_together).map(lambda values: kind(**values))


def fit_together(values: dict[str, Any]) -> bool:
    """Relative positions are a bias on scores, which recurrent decoders do not have."""
    return not values["positions"].startswith("relative") or values["decoder_recurrence"] == "none"


def random_params(model: ModelConfig) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return unflatten(
        {name: rng.standard_normal(shape, np.float32) for name, shape in weight_shapes(model).items()}, model
    )


@pytest.fixture(scope="module")
def tokenizers() -> dict[type, Tokenizer]:
    return {
        TransformerConfig: Tokenizer.train("characters", LINES, 40, normalization="nfkc"),
        CausalLMConfig: Tokenizer.train("bpe", LINES, 270, running_text=True),
    }


@pytest.mark.parametrize("kind", [TransformerConfig, CausalLMConfig])
def test_every_model_comes_back_bit_for_bit(kind, tokenizers, tmp_path):
    tokenizer, folders = tokenizers[kind], iter(range(1000))

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(models(kind, tokenizer.vocab_size))
    def comes_back(model):
        data = PAIRS if kind is TransformerConfig else TEXT
        config, params = Config("runs/mine", model, data, decoding=DECODING), random_params(model)
        with new_folder(tmp_path / str(next(folders))) as folder:
            write_tfmr(folder, config, params, tokenizer)
            found, same_tokenizer, same_params = read_tfmr(folder)
        assert found == dataclasses.replace(config, workdir="")
        assert same_tokenizer.to_json() == tokenizer.to_json()
        assert jax.tree.structure(same_params) == jax.tree.structure(params)
        for x, same in zip(jax.tree.leaves(params), jax.tree.leaves(same_params), strict=True):
            assert x.dtype == same.dtype
            np.testing.assert_array_equal(same, x)

    comes_back()


def test_no_decoding_setting_here_is_a_default():
    """So that none could be lost above without being noticed."""
    for field in dataclasses.fields(DecodingConfig):
        assert getattr(DECODING, field.name) != getattr(DecodingConfig(), field.name), field.name


class TestWrongFolders:
    @pytest.fixture
    def folder(self, tokenizers, tmp_path) -> Path:
        model = TransformerConfig(vocab_size=40, d_model=4, d_ff=3, num_heads=1, num_decoder_layers=1)
        write_tfmr(tmp_path, Config(model=model), random_params(model), tokenizers[TransformerConfig])
        return tmp_path

    def refused(self, folder) -> str:
        with pytest.raises(InputError) as raised:
            read_tfmr(folder)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    def test_missing_files_are_all_named(self, folder):
        assert "folder not found" in self.refused(folder / "nowhere")
        for name in ("config.json", "tokenizer.json"):
            (folder / name).unlink()
        assert "has no config.json and no tokenizer.json" in self.refused(folder)

    @pytest.mark.parametrize(
        "content", ["", "{", "\x00", "[1]", "{}", '{"model": 1}', '{"data": {"corpus": 1}}', '{"model": {"width": 3}}']
    )
    def test_a_damaged_configuration_is_named(self, folder, content):
        (folder / "config.json").write_text(content)
        assert str(folder) in self.refused(folder)

    def test_another_shape_is_refused(self, folder):
        values = json.loads((folder / "config.json").read_text())
        values["model"]["num_decoder_layers"] = 2
        (folder / "config.json").write_text(json.dumps(values))
        assert "missing: decoder.layer_1." in self.refused(folder)

    def test_the_tokenizer_of_another_model_is_refused(self, folder):
        Tokenizer.train("characters", ["other"], 40).save(folder / "tokenizer.json")
        assert "tokenizer.json: is not the tokenizer of this model" in self.refused(folder)

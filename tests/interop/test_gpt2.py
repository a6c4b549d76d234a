"""Our models as GPT-2 and back. What transformers computes: test_gpt2_folder.py (stored) and test_live.py."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import random_parameters, relative_error

from tfmr.errors import InputError
from tfmr.interop import check_gpt2, flatten, from_gpt2, to_gpt2
from tfmr.interop.gpt2_model import from_gpt2_config
from tfmr.models import CausalLM, CausalLMConfig, TransformerConfig, gpt2_small

VOCAB, LENGTH = 23, 9
GPT = CausalLMConfig(
    vocab_size=VOCAB,
    num_layers=2,
    d_model=12,
    d_ff=20,
    num_heads=3,
    d_k=4,
    d_v=4,
    max_length=LENGTH,
    dropout_rate=0.0,
    attention_dropout_rate=0.25,
    norm_epsilon=0.01,
    init_std=0.1,
)
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, LENGTH)).astype(np.int32)
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu_new": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


def gpt2(values, weights, tokens):
    """Radford et al. 2019 for one text, in float64, with weights as transformers names them: logits [length vocab]."""
    weights = {name: np.asarray(x, np.float64) for name, x in weights.items()}
    heads, width = values["n_head"], values["n_embd"] // values["n_head"]
    act = ACTIVATIONS[values["activation_function"]]

    def linear(x, name):
        return x @ weights[f"transformer.{name}.weight"] + weights[f"transformer.{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(axis=1, keepdims=True)
        centred /= np.sqrt((centred**2).mean(axis=1, keepdims=True) + values["layer_norm_epsilon"])
        return centred * weights[f"transformer.{name}.weight"] + weights[f"transformer.{name}.bias"]

    def attention(x, name):
        query, key, value = np.split(linear(x, f"{name}.c_attn"), 3, axis=1)
        mixed = np.zeros_like(x)
        for h in range(heads):
            own = slice(h * width, (h + 1) * width)
            for t in range(len(x)):
                scores = key[: t + 1, own] @ query[t, own] / np.sqrt(width)
                shares = np.exp(scores - scores.max())
                mixed[t, own] = shares / shares.sum() @ value[: t + 1, own]
        return linear(mixed, f"{name}.c_proj")

    x = weights["transformer.wte.weight"][tokens] + weights["transformer.wpe.weight"][: len(tokens)]
    for i in range(values["n_layer"]):
        x = x + attention(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn")
        x = x + linear(act(linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")), f"h.{i}.mlp.c_proj")
    table = "transformer.wte.weight" if values["tie_word_embeddings"] else "lm_head.weight"
    return norm(x, "ln_f") @ weights[table].T


@functools.cache
def params_of(config):
    return random_parameters(CausalLM(config), TOKENS)


@functools.partial(jax.jit, static_argnums=0)
def logits_of(config, params):
    return CausalLM(config).apply({"params": params}, jnp.asarray(TOKENS))


def exported(config):
    return to_gpt2(config, params_of(config), 2, 3)


def theirs():
    """A GPT-2 that is not made from one of ours: its values and random weights, named and shaped as transformers'."""
    values = {"model_type": "gpt2", "vocab_size": VOCAB, "n_positions": LENGTH, "n_embd": 12, "n_layer": 2, "n_head": 3}
    values |= {"activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True}
    shapes = {"wte.weight": (VOCAB, 12), "wpe.weight": (LENGTH, 12), "ln_f.weight": (12,), "ln_f.bias": (12,)}
    layer = {"attn.c_attn": (12, 36), "attn.c_proj": (12, 12), "mlp.c_fc": (12, 48), "mlp.c_proj": (48, 12)}
    for i in range(2):
        for name, shape in layer.items():
            shapes |= {f"h.{i}.{name}.weight": shape, f"h.{i}.{name}.bias": shape[1:]}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"h.{i}.{name}.weight": (12,), f"h.{i}.{name}.bias": (12,)}
    rng = np.random.default_rng(1)
    return values, {f"transformer.{x}": rng.normal(0, 0.5, shape).astype(np.float32) for x, shape in shapes.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bias": False, "activation": "swish"},
        {"positions": "sinusoidal", "activation": "relu"},
        {"scale_embeddings": True},
        {"tie_embeddings": False},
        {"tie_embeddings": False, "scale_embeddings": True, "scan_layers": True},
    ],
    ids=lambda changes: "-".join(changes) or "gpt",
)
def test_the_formula_of_gpt2_gives_our_logits_and_what_comes_back_computes_the_same(changes):
    config = dataclasses.replace(GPT, **changes)
    values, weights = exported(config)
    logits = logits_of(config, params_of(config))
    for row, tokens in enumerate(TOKENS):
        assert relative_error(logits[row], gpt2(values, weights, tokens)) < 1e-6
    again, params = from_gpt2(values, weights)
    assert relative_error(logits_of(again, params), logits) < 1e-6


@pytest.mark.parametrize("tied", [True, False])
def test_out_and_in_again_is_bit_for_bit_the_same(tied):
    config = dataclasses.replace(GPT, tie_embeddings=tied)
    found, params = from_gpt2(*exported(config))
    assert found == config
    for name, x in flatten(params_of(config)).items():
        np.testing.assert_array_equal(flatten(params)[name], x, err_msg=name)


def test_a_gpt2_gives_the_logits_of_the_formula_and_goes_out_as_it_came():
    values, weights = theirs()
    config, params = from_gpt2(values, weights)
    assert (config.d_ff, config.norm_epsilon, config.bias) == (48, 1e-5, True)
    logits = logits_of(config, params)
    for row, tokens in enumerate(TOKENS):
        assert relative_error(logits[row], gpt2(values, weights, tokens)) < 1e-6
    found, back = to_gpt2(config, params, 5, 6)
    assert {name: found[name] for name in values} == values
    assert (found["bos_token_id"], found["eos_token_id"]) == (5, 6)
    assert back.keys() == weights.keys()
    for name, x in weights.items():
        np.testing.assert_array_equal(back[name], x, err_msg=name)


def test_the_forms_in_which_files_come():
    """The hub's have no prefix; older ones hold masks; some hold the tied table twice."""
    values, weights = theirs()
    expected = flatten(from_gpt2(values, weights)[1])
    bare = {name.removeprefix("transformer."): x for name, x in weights.items()}
    masks = {f"h.{i}.attn.bias": np.tril(np.ones((1, 1, LENGTH, LENGTH), np.uint8)) for i in range(2)}
    masks |= {f"transformer.h.{i}.attn.masked_bias": np.float32(-1e4) for i in range(2)}
    twice = {"lm_head.weight": weights["transformer.wte.weight"]}
    halves = {name: x.astype(jnp.bfloat16) for name, x in weights.items()}
    for found in (bare, bare | masks, weights | masks | twice, bare | twice):
        for name, x in flatten(from_gpt2(values, found)[1]).items():
            np.testing.assert_array_equal(x, expected[name])
    for name, x in flatten(from_gpt2(values, halves)[1]).items():
        np.testing.assert_array_equal(x, expected[name].astype(jnp.bfloat16).astype(np.float32))
    untied = values | {"tie_word_embeddings": False}
    config, params = from_gpt2(untied, bare | {"lm_head.weight": 2 * bare["wte.weight"]})
    assert not config.tie_embeddings
    np.testing.assert_array_equal(params["output_embedding"]["embedding"], 2 * bare["wte.weight"])


def test_the_preset_is_the_shape_of_the_published_config():
    published = {
        "activation_function": "gelu_new",
        "attn_pdrop": 0.1,
        "bos_token_id": 50256,
        "embd_pdrop": 0.1,
        "eos_token_id": 50256,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 1024,
        "n_embd": 768,
        "n_head": 12,
        "n_layer": 12,
        "n_positions": 1024,
        "resid_pdrop": 0.1,
        "vocab_size": 50257,
    }
    assert from_gpt2_config(published, "gpt2") == gpt2_small()


def test_all_reasons_why_gpt2_cannot_hold_a_model_are_given_at_once():
    config = dataclasses.replace(GPT, norm="post", gated=True, d_k=5, d_v=6)
    for refuse in (check_gpt2, lambda config: to_gpt2(config, {}, 2, 3)):
        with pytest.raises(InputError) as raised:
            refuse(config)
        assert str(raised.value).splitlines() == [str(raised.value)]
        for reason in ("model.norm = 'post'", "model.gated = True", "model.d_k = 5", "model.d_v = 6"):
            assert reason in str(raised.value)
    with pytest.raises(
        InputError,
        match="kind transformer; choose one of marian, m2m_100, bart, mbart, t5, mt5, umt5, ctranslate2, safetensors",
    ):
        check_gpt2(TransformerConfig())


def test_all_reasons_why_a_gpt2_cannot_be_ours_are_given_at_once():
    values, weights = theirs()
    wrong = {
        "model_type": "gptj",
        "n_layer": 0,
        "n_embd": 13,
        "n_inner": 2.5,
        "activation_function": "gelu",
        "scale_attn_weights": False,
        "scale_attn_by_inverse_layer_idx": True,
        "add_cross_attention": True,
        "tie_word_embeddings": "no",
        "resid_pdrop": 1.0,
        "attn_pdrop": None,
        "layer_norm_epsilon": 0,
    }
    with pytest.raises(InputError) as raised:
        from_gpt2(values | wrong, weights, "theirs")
    assert str(raised.value).splitlines() == [str(raised.value)]
    assert str(raised.value).startswith("theirs: ")
    for name, value in wrong.items():
        if name != "n_embd":
            assert f"{name} = {value!r}, " in str(raised.value)
    with pytest.raises(InputError, match="n_embd = 13, must be divisible by n_head = 3"):
        from_gpt2(values | {"n_embd": 13}, weights)


def test_all_weights_that_do_not_fit_are_named_at_once():
    values, weights = theirs()
    del weights["transformer.h.1.mlp.c_fc.bias"], weights["transformer.wpe.weight"]
    weights["transformer.h.0.attn.c_attn.weight"] = np.zeros((36, 12), np.float32)
    weights["transformer.h.2.ln_1.bias"] = np.zeros(12, np.float32)
    weights["transformer.ln_f.bias"] = np.zeros(12, int)
    with pytest.raises(InputError) as raised:
        from_gpt2(values, weights, "theirs")
    assert "\n" not in str(raised.value)
    for fault in (
        f"missing: wpe.weight ({LENGTH}, 12), h.1.mlp.c_fc.bias (48,)",
        "unknown: h.2.ln_1.bias (12,)",
        "wrong shape: h.0.attn.c_attn.weight (36, 12) instead of (12, 36)",
        "not real numbers: ln_f.bias",
    ):
        assert fault in str(raised.value)


def test_a_tied_table_that_is_there_twice_must_be_the_same():
    values, weights = theirs()
    with pytest.raises(InputError, match=r"lm_head\.weight differs from wte\.weight, although"):
        from_gpt2(values, weights | {"lm_head.weight": 2 * weights["transformer.wte.weight"]})
    with pytest.raises(InputError, match=r"missing: lm_head\.weight"):
        from_gpt2(values | {"tie_word_embeddings": False}, weights)

"""The language model: its formulas, causality, decoding step by step, initial weights and parameter count."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from closed_form import closed_form
from reference import double, random_parameters, relative_error

from tfmr.analysis import parameter_count, parameter_table
from tfmr.config import CausalLMConfig
from tfmr.models import (
    CausalLM,
    characters,
    characters_small,
    gpt2_large,
    gpt2_medium,
    gpt2_small,
    gpt2_xl,
    gpt3,
    init_params,
)
from tfmr.nn import stack_layers
from tfmr.training.sharding import LOGICAL_AXIS_RULES

BATCH, LENGTH, VOCAB = 3, 9, 23
SHAPE = dict(vocab_size=VOCAB, num_layers=2, d_model=16, d_ff=24, num_heads=3, d_k=4, d_v=6, max_length=12)
GPT = CausalLMConfig(dropout_rate=0.0, attention_dropout_rate=0.0, **SHAPE)
BARE = dataclasses.replace(GPT, bias=False)
OTHER = dataclasses.replace(
    GPT,
    norm="post",
    positions="sinusoidal",
    activation="swish",
    gated=True,
    tie_embeddings=False,
    scale_embeddings=True,
)
CONFIGS = pytest.mark.parametrize("config", [GPT, BARE, OTHER], ids=["gpt", "bare", "other"])
TOKENS = jnp.asarray(np.random.default_rng(0).integers(4, VOCAB, (BATCH, LENGTH)), jnp.int32)


@functools.cache
def params_of(config):
    return random_parameters(CausalLM(config), TOKENS)


@functools.partial(jax.jit, static_argnums=0)
def logits_of(config, params, tokens, **arrays):
    return CausalLM(config).apply({"params": params}, tokens, **arrays)


@CONFIGS
def test_equals_the_formulas(config):
    logits = logits_of(config, params_of(config), TOKENS)
    assert logits.dtype == jnp.float32
    for b in range(BATCH):
        expected = reference.causal_lm(double(params_of(config)), config, np.asarray(TOKENS[b]))
        assert relative_error(logits[b], expected) < 1e-6


def test_a_later_token_changes_nothing_before_it():
    """No bit of the logits moves, and the gradient is exactly zero."""
    t = 5
    params = params_of(GPT)
    changed = TOKENS.at[:, t].set((TOKENS[:, t] - 3) % (VOCAB - 4) + 4)
    before, after = logits_of(GPT, params, TOKENS), logits_of(GPT, params, changed)
    np.testing.assert_array_equal(before[:, :t], after[:, :t])
    assert (np.abs(before - after)[:, t:].max(axis=-1) > 1e-4).all()

    def some_logits(positions):  # each row of the table belongs to one position of the text
        return jnp.sin(logits_of(GPT, {**params, "positions": {"embedding": positions}}, TOKENS)[:, :t]).sum()

    gradient = np.abs(jax.grad(some_logits)(params["positions"]["embedding"])).max(axis=-1)
    assert (gradient[:t] > 0).all()
    assert (gradient[t:] == 0).all()


def test_documents_of_a_packed_row_see_only_themselves():
    params = params_of(GPT)
    lengths = [4, 3]
    segments = jnp.asarray([[1] * 4 + [2] * 3 + [0] * 2])
    positions = jnp.asarray([[*range(4), *range(3), 0, 0]])
    packed = logits_of(GPT, params, TOKENS[:1], segments=segments, positions=positions)[0]
    for start, length in zip((0, 4), lengths, strict=True):
        alone = logits_of(GPT, params, TOKENS[:1, start : start + length])[0]
        assert relative_error(packed[start : start + length], alone) < 1e-6


@CONFIGS
def test_step_by_step_after_a_prompt_in_one_pass_equals_the_whole_text(config):
    """Prompts of different lengths end at the same slot of the cache."""
    model, params = CausalLM(config), {"params": params_of(config)}
    whole = logits_of(config, params_of(config), TOKENS)
    lengths, width, slots = np.array([5, 2, 4]), 6, 10
    pads = width - lengths
    prompt = np.zeros((BATCH, width), np.int32)
    for row in range(BATCH):
        prompt[row, pads[row] :] = TOKENS[row, : lengths[row]]

    @jax.jit
    def step(tokens, caches, index):
        new = index + jnp.arange(tokens.shape[1])
        mask = (jnp.arange(slots) <= new[:, None]) & (jnp.arange(slots) >= pads[:, None, None])
        positions = jnp.maximum(new - pads[:, None], 0)
        return model.apply(params, tokens, caches, index, positions=positions, mask=mask[:, None], method="step")

    caches = model.apply(params, BATCH, slots, method="start_cache")
    logits, caches = step(jnp.asarray(prompt), caches, jnp.int32(0))
    for index in range(width, slots):
        for row, length in enumerate(lengths):
            assert relative_error(logits[row], whole[row, length - 1]) < 1e-6
        following = TOKENS[np.arange(BATCH), lengths][:, None]
        lengths = lengths + 1
        logits, caches = step(following, caches, jnp.int32(index))


def test_scanned_layers_are_the_loops_stacked():
    scan = dataclasses.replace(GPT, scan_layers=True, remat=True)
    expected = logits_of(GPT, params_of(GPT), TOKENS)
    assert relative_error(logits_of(scan, stack_layers(params_of(GPT)), TOKENS), expected) < 1e-6
    with pytest.raises(ValueError, match="step by step"):
        CausalLM(scan).apply({"params": stack_layers(params_of(GPT))}, 1, 4, method="start_cache")


def test_a_position_beyond_the_context_is_nan_not_wrong():
    positions = jnp.broadcast_to(jnp.arange(LENGTH), TOKENS.shape)
    room = GPT.max_length - LENGTH
    assert np.isfinite(logits_of(GPT, params_of(GPT), TOKENS, positions=positions + room)).all()
    assert np.isnan(logits_of(GPT, params_of(GPT), TOKENS, positions=positions + room + 1)).any()


def test_dropout_is_where_it_was_asked_for():
    def run(seed, **rates):
        config = dataclasses.replace(GPT, **rates)
        rngs = {"dropout": jax.random.key(seed)}
        return CausalLM(config).apply({"params": params_of(GPT)}, TOKENS, deterministic=False, rngs=rngs)

    plain = logits_of(GPT, params_of(GPT), TOKENS)
    assert relative_error(run(0), plain) < 1e-6
    for rates in (dict(dropout_rate=0.3), dict(attention_dropout_rate=0.3)):
        assert min(relative_error(run(1, **rates), plain), relative_error(run(1, **rates), run(2, **rates))) > 1e-3


def test_initial_weights():
    config = dataclasses.replace(GPT, num_layers=8, d_model=64, d_ff=96, vocab_size=400, gated=True, init_std=0.03)
    params = init_params(CausalLM(config), jax.random.key(0))
    seen = set()
    for path, leaf in jax.tree.leaves_with_path(params):
        name = "/".join(key.key for key in path if not key.key.startswith("layer_"))
        if name.endswith(("bias", "beta")):
            assert (leaf == 0).all()
        elif name.endswith("gamma"):
            assert (leaf == 1).all()
        else:
            writes = name in ("decoder/self_attention/output", "decoder/feed_forward/down/kernel")
            expected = 0.03 / 4 if writes else 0.03
            # The standard error of a standard deviation is 1 / sqrt(2 n) of it.
            assert np.std(leaf) == pytest.approx(expected, rel=5 / np.sqrt(2 * leaf.size)), name
            assert abs(np.mean(leaf)) < 5 * expected / np.sqrt(leaf.size), name
            seen.add(writes)
    assert seen == {True, False}


@pytest.mark.parametrize("scan_layers", [False, True])
@CONFIGS
def test_every_part_has_the_size_of_its_parameters(config, scan_layers):
    config = dataclasses.replace(config, scan_layers=scan_layers)
    assert parameter_table(config) == closed_form(config)


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (gpt2_small(), 124_439_808),
        (gpt2_medium(), 354_823_168),
        (gpt2_large(), 774_030_080),
        (gpt2_xl(), 1_557_611_200),
        (gpt3(), None),
        (characters(65), None),
        (characters_small(65), None),
    ],
    ids=["gpt2", "medium", "large", "xl", "gpt3", "characters", "characters_small"],
)
def test_the_presets_have_the_published_sizes(config, published):
    total = parameter_count(config)
    assert total == sum(closed_form(config).values())
    assert published in (None, total)


@pytest.mark.parametrize("scan_layers", [False, True])
@CONFIGS
def test_every_parameter_is_float32_and_names_its_axes(config, scan_layers):
    config = dataclasses.replace(config, scan_layers=scan_layers, dtype="bfloat16")
    with nn.logical_axis_rules(LOGICAL_AXIS_RULES):
        boxed = jax.eval_shape(lambda: init_params(CausalLM(config), jax.random.key(0)))
    known = {"vocab", "table_embed", "embed", "heads", "kv", "mlp", "positions", "layers"}
    for box in jax.tree.leaves(boxed, is_leaf=lambda x: isinstance(x, nn.LogicallyPartitioned)):
        assert box.value.dtype == jnp.float32
        assert len(box.names) == box.value.ndim
        assert set(box.names) <= known

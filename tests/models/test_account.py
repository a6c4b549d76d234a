"""The closed forms against the real parameter trees and the compiler's own count."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmr.analysis import forward_flops, parameter_count, parameter_table, training_flops_per_token
from tfmr.models import Transformer, TransformerConfig, transformer_base, transformer_big

SMALL = TransformerConfig(
    vocab_size=37,
    num_encoder_layers=2,
    num_decoder_layers=3,
    d_model=10,
    d_ff=23,
    num_heads=3,
    d_k=5,
    d_v=7,
    max_length=11,
)


def tree_table(config: TransformerConfig) -> dict[str, int]:
    """Returns the sizes of the real parameters, summed over layers and under the account's names."""
    tokens = 4 * [jax.ShapeDtypeStruct((1, 1), jnp.int32)]
    params = nn.unbox(jax.eval_shape(Transformer(config).init, jax.random.key(0), *tokens))["params"]
    table = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        names = [key.key for key in path if not key.key.startswith("layer")]
        if len(names) > 2:
            names[-1] = names[-1].removesuffix("_bias")  # an attention block's
        if names[-1] in ("gamma", "beta"):
            names = [names[0], "norms"]
        elif "feed_forward" in names:
            names = names[:-1]
        elif names[-1] == "embedding":
            names = ["positions"] if names[0].endswith("_positions") else names[:1]
        table["/".join(names)] = table.get("/".join(names), 0) + leaf.size
    return table


@settings(max_examples=10, deadline=None)
@given(
    norm=st.sampled_from(["post", "pre"]),
    positions=st.sampled_from(["sinusoidal", "learned"]),
    tie_embeddings=st.sampled_from(["all", "decoder", "none"]),
    scan_layers=st.booleans(),
    attention_bias=st.booleans(),
    output_bias=st.booleans(),
    layers=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    widths=st.tuples(*[st.integers(1, 40) for _ in range(4)]),
)
def test_every_part_has_the_size_of_its_parameters(layers, widths, **options):
    options |= dict(zip(("num_encoder_layers", "num_decoder_layers"), layers, strict=True))
    options |= dict(zip(("d_ff", "num_heads", "d_k", "d_v"), widths, strict=True))
    config = dataclasses.replace(SMALL, **options)
    assert parameter_table(config) == tree_table(config)


def test_base_and_big():
    assert parameter_count(transformer_base()) == 63_045_632
    assert parameter_count(transformer_big()) == 214_171_648


def test_forward_flops_are_the_compilers():
    config = dataclasses.replace(SMALL, vocab_size=1000, d_model=128, d_ff=512, num_heads=4, d_k=32, d_v=48)
    batch, source, target = 2, 48, 32
    tokens = [jax.ShapeDtypeStruct((batch, n), jnp.int32) for n in (source, source, target, target)]
    model = Transformer(config)
    variables = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), *tokens))
    compiled = jax.jit(model.apply).lower(variables, *tokens).compile().cost_analysis()["flops"]
    ours = batch * sum(forward_flops(config, source, target).values())
    # The compiler counts softmax, norms, biases and residual sums as well: 1% at this size, less at a larger one.
    assert 1.0 < compiled / ours < 1.02


def test_training_is_three_times_forward_and_about_six_operations_a_weight():
    config = transformer_base()
    forward = sum(forward_flops(config, 32, 32).values())
    assert training_flops_per_token(config) == 3 * forward / 32
    # Both stacks and the output matrix are passed once a target token when source and target are equally long, and
    # the scores of sentences of 32 tokens cost next to nothing.
    assert training_flops_per_token(config) == pytest.approx(6 * parameter_count(config), rel=0.02)


def test_scores_grow_with_the_square_of_the_length_and_the_rest_in_proportion():
    one, two = forward_flops(SMALL, 8, 6), forward_flops(SMALL, 16, 12)
    for name in one:
        assert two[name] == (4 if name.endswith("attention") else 2) * one[name], name

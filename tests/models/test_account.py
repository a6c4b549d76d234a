"""The counted parameters against closed forms, and the operations against the compiler's count."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from closed_form import closed_form
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tfmr.analysis import (
    attention_share,
    cache_bytes,
    forward_flops,
    parameter_count,
    parameter_table,
    training_bytes,
    training_flops_per_token,
    weight_breakdown,
)
from tfmr.errors import InputError
from tfmr.models import (
    Account,
    Model,
    ModelConfig,
    Transformer,
    TransformerConfig,
    gpt2_small,
    register_model,
    transformer_base,
    transformer_big,
)
from tfmr.nn import LayerNorm, TokenEmbedding

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


@settings(max_examples=10, deadline=None)
@given(
    norm=st.sampled_from(["post", "pre"]),
    positions=st.sampled_from(["sinusoidal", "learned", "relative"]),
    norm_type=st.sampled_from(["layer", "rms"]),
    gated=st.booleans(),
    feed_forward_bias=st.booleans(),
    tie_embeddings=st.sampled_from(["all", "decoder", "inputs", "none"]),
    decoder_recurrence=st.sampled_from(["none", "ssru"]),
    scan_layers=st.booleans(),
    attention_bias=st.booleans(),
    output_bias=st.booleans(),
    layers=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    widths=st.tuples(*[st.integers(1, 40) for _ in range(4)]),
)
def test_every_part_has_the_size_of_its_parameters(layers, widths, **options):
    options |= dict(zip(("num_encoder_layers", "num_decoder_layers"), layers, strict=True))
    options |= dict(zip(("d_ff", "num_heads", "d_k", "d_v"), widths, strict=True))
    assume(options["positions"] != "relative" or options["decoder_recurrence"] == "none")
    config = dataclasses.replace(SMALL, **options)
    table = parameter_table(config)
    assert table == closed_form(config)
    assert list(table) == list(closed_form(config)), "the order in which the table is printed"


def test_base_and_big():
    assert parameter_count(transformer_base()) == 63_045_632
    assert parameter_count(transformer_big()) == 214_171_648


@pytest.mark.parametrize(
    ("source", "target", "changes"),
    [
        (48, 32, {}),
        (48, 130, {}),
        (20, 256, {}),
        (48, 32, dict(gated=True, positions="relative", norm_type="rms")),
        (48, 130, dict(decoder_recurrence="ssru")),
    ],
)
def test_forward_flops_are_the_compilers(source, target, changes):
    sizes = dict(vocab_size=1000, d_model=128, d_ff=512, num_heads=4, d_k=32, d_v=48)
    config = dataclasses.replace(SMALL, **sizes, **changes)
    batch = 2
    tokens = [jax.ShapeDtypeStruct((batch, n), jnp.int32) for n in (source, target)]
    model = Transformer(config)
    variables = jax.eval_shape(model.init, jax.random.key(0), *tokens)
    compiled = jax.jit(model.apply).lower(variables, *tokens).compile().cost_analysis()["flops"]
    ours = batch * sum(forward_flops(config, source, target).values())
    # The compiler counts softmax, norms, biases and residual sums as well: 1% at this size, less at a larger one.
    assert 1.0 < compiled / ours < 1.02


def test_causal_attention_of_long_texts_computes_five_eighths_of_the_scores():
    config = dataclasses.replace(gpt2_small(), vocab_size=100)
    layers, per_score = config.num_layers, 2 * config.num_heads * (config.d_k + config.d_v)
    assert forward_flops(config, 0, 1024)["decoder/attention"] == layers * per_score * 1024**2 * 5 // 8
    assert forward_flops(config, 0, 100)["decoder/attention"] == layers * per_score * 100**2
    config = transformer_base()
    per_score = 2 * config.num_heads * (config.d_k + config.d_v)
    assert forward_flops(config, 512, 256)["decoder/attention"] == 6 * per_score * (256**2 * 5 // 8 + 256 * 512)


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


@dataclasses.dataclass(frozen=True)
class ToyConfig(ModelConfig):
    vocab_size: int = 7
    d_model: int = 4
    longest_sequence = None


class Toy(Model):
    """A kind of model from outside the package, which has no account."""

    @nn.compact
    def __call__(self, tokens):
        x = TokenEmbedding(self.config.vocab_size, self.config.d_model, name="embedding")(tokens)
        return nn.Dense(3, name="classifier")(LayerNorm(name="norm")(x))

    @staticmethod
    def inputs_of(batch):
        return dict(tokens=batch["tokens"])

    @staticmethod
    def example_inputs():
        return dict(tokens=jnp.ones((1, 1), jnp.int32))


def test_parameters_of_any_registered_kind_are_counted_and_an_account_is_asked_for():
    register_model(ToyConfig, Toy)
    config = ToyConfig()
    assert parameter_table(config) == {"embedding": 28, "norms": 8, "classifier": 15}
    assert weight_breakdown(config) == {"embedding": 28, "classifier": 12}
    assert attention_share(config) == 0
    assert training_bytes(config, moving_average=False) == 16 * 51
    for function, lengths in ((forward_flops, (8, 6)), (training_flops_per_token, (8, 6)), (cache_bytes, (8,))):
        with pytest.raises(InputError, match=r"ToyConfig: .*pass account= to tfmr\.models\.register_model"):
            function(config, *lengths)
    account = Account(lambda config, source, target: {"logits": source + target}, lambda config, length: 3 * length)
    register_model(ToyConfig, Toy, account=account)
    assert forward_flops(config, 8, 6) == {"logits": 14}
    assert cache_bytes(config, 8) == 24

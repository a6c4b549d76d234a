"""Packed batches in training: the numbers of one pair to a row, and a stop anywhere loses nothing."""

import dataclasses
import random

import jax
import numpy as np
import pytest
from reference import relative_error
from tiny import tiny_model
from tiny_run import numbers, train

from tfmr.config import Config, PairsConfig, TrainingConfig, TransformerConfig
from tfmr.data.batching import make_plan
from tfmr.data.corpora import load_corpus
from tfmr.data.packing import make_packed_plan
from tfmr.data.pairs import encode_pairs
from tfmr.data.prepare import prepare_pairs
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.runs.parameters import read_params
from tfmr.runs.saved_steps import state_steps
from tfmr.training.loss import token_loss

PAIRS = 150


def multi30k_lines(folder):
    names = (folder / "multi30k" / "tok" / f"val.lc.norm.tok.{language}" for language in ("en", "de"))
    return [name.read_text(encoding="utf-8").splitlines()[:PAIRS] for name in names]


def built_in_lines(folder):
    config = PairsConfig(grammar_size=2 * PAIRS, cache=str(folder))
    return [list(lines)[:PAIRS] for lines in zip(*load_corpus(config).split("train"), strict=True)]


@pytest.fixture(params=["grammar", pytest.param("multi30k", marks=pytest.mark.slow)])
def split(request, tmp_path):
    """The token arrays of a small corpus."""
    if request.param == "grammar":
        sources, targets = built_in_lines(tmp_path)
    else:
        sources, targets = multi30k_lines(request.getfixturevalue("shared_data"))
    return encode_pairs(Tokenizer.train("bpe", [*sources, *targets], 400), sources, targets)


def test_the_sums_of_packed_batches_are_those_of_one_pair_to_a_row(split):
    model = tiny_model(vocab_size=400)
    tokens = np.ones((1, 1), np.int32)
    params = jax.jit(model.init)(jax.random.key(0), tokens, tokens)["params"]

    @jax.jit
    def sums_and_gradient(params, batch):
        def loss(params):
            sums = token_loss(model, params, batch, label_smoothing=0.1, chunk=256)
            return sums.loss, vars(sums)

        gradient, sums = jax.grad(loss, has_aux=True)(params)
        return sums, gradient

    def total_of(plan):
        parts = [sums_and_gradient(params, split.arrays(batch)) for batch in plan.epoch(0)]
        return jax.tree.map(lambda *x: np.sum(np.asarray(x, np.float64), axis=0), *parts)

    lengths = split.source.lengths, split.target.lengths
    arguments = dict(tokens_per_batch=2048, max_length=256, seed=0)
    packed_plan = make_packed_plan(*lengths, **arguments)
    assert len(packed_plan.rows.sizes) < PAIRS / 2
    packed, packed_gradient = total_of(packed_plan)
    single, single_gradient = total_of(make_plan(*lengths, num_buckets=1, **arguments))
    assert packed["tokens"] == single["tokens"] == split.target.lengths.sum()
    assert packed["loss"] == pytest.approx(single["loss"], rel=1e-5)
    assert packed["cross_entropy"] == pytest.approx(single["cross_entropy"], rel=1e-5)
    for found, expected in zip(jax.tree.leaves(packed_gradient), jax.tree.leaves(single_gradient), strict=True):
        assert relative_error(found, expected) < 1e-5


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A short run on words and the same words spelled backwards, several to a row, with dropout."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(0)
    for name, count in (("train", 300), ("validation", 12), ("test", 3)):
        lines = ["".join(draw.choices("abcdefgh", k=draw.randint(3, 20))) for _ in range(count)]
        (folder / f"{name}.en").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (folder / f"{name}.de").write_text("".join(f"{line[::-1]}\n" for line in lines), encoding="utf-8")
    shape = dict(num_encoder_layers=1, num_decoder_layers=1, d_model=16, d_ff=32, num_heads=2, d_k=8, d_v=8)
    steps = dict(steps=16, schedule="constant", learning_rate=0.003, warmup_steps=5, loss_chunk=64)
    often = dict(log_every=1, evaluate_every=0, bleu_sentences=0, checkpoint_every=0, keep_last=5)
    files = dict(corpus="text", dir=str(folder), cache=str(folder / "cache"), tokenizer="characters")
    return Config(
        workdir=str(tmp_path_factory.mktemp("runs") / "whole"),
        model=TransformerConfig(vocab_size=16, **shape),
        data=PairsConfig(**files, tokens_per_batch=512, max_length=64, batching="packed"),
        training=TrainingConfig(**steps, **often),
    )


def with_steps(config, steps, workdir):
    return dataclasses.replace(config, workdir=str(workdir), training=dataclasses.replace(config.training, steps=steps))


@pytest.mark.slow
def test_stopped_in_the_middle_of_an_epoch_it_ends_the_same(config, tmp_path):
    split = prepare_pairs(config.data).split("train")
    plan = split.plan(config.data)
    per_epoch = len(plan.epoch(0))
    assert config.training.steps > per_epoch + 2
    assert max(len(batch.indices) / (batch.rows.max() + 1) for batch in plan.epoch(0)) > 1.5

    whole = train(config)
    stop = per_epoch + 2
    run = train(with_steps(config, stop, tmp_path / "run"))
    assert state_steps(run) == [stop]
    train(with_steps(config, config.training.steps, run.path))
    # The stop adds an evaluation of its own.
    assert [line for line in numbers(run) if "loss" in line or line["step"] != stop] == numbers(whole)
    found, expected = (read_params(name, name.config.model, "last", moving_average=False) for name in (run, whole))
    jax.tree.map(np.testing.assert_array_equal, found, expected)

    bucketed = dataclasses.replace(config, data=dataclasses.replace(config.data, batching="bucketed"))
    with pytest.raises(InputError, match=r"data\.batching = 'bucketed': .* was created with 'packed'"):
        train(bucketed)

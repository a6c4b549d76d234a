"""A third kind of model and data, added from outside the package: a classifier of labelled sequences."""

import dataclasses
import functools
import json
import signal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_run import before_batch, numbers

from tfmr import Config, DataConfig, FineTuningConfig, MeshConfig, ModelConfig, TrainingConfig
from tfmr.cli.evaluate import main as evaluate
from tfmr.config import register_kind
from tfmr.data.batching import Batch, Bucket, make_plan, with_rows
from tfmr.models import Model, build_model, register_model
from tfmr.nn import Encoder, LayerConfig, TokenEmbedding, segment_mask
from tfmr.runs import read_params
from tfmr.training import LossSums, Stopped, Task, fit, task_for


@dataclasses.dataclass(frozen=True)
class ClassifierConfig(ModelConfig):
    d_model: int = 16
    longest_sequence = None


class Classifier(Model):
    @nn.compact
    def __call__(self, tokens, segments, *, deterministic=True):
        layer = LayerConfig(num_heads=2, d_model=self.config.d_model, d_ff=32, dropout_rate=0.1)
        x, mask = TokenEmbedding(10, self.config.d_model)(tokens), segment_mask(segments, segments)
        x = Encoder(layer, num_layers=1)(x, mask=mask, deterministic=deterministic)
        return nn.Dense(2)(jnp.where(segments[..., None] > 0, x, -10.0).max(axis=1))

    @staticmethod
    def inputs_of(batch):
        return {name: batch[name] for name in ("tokens", "segments")}


@dataclasses.dataclass(frozen=True)
class LabelledConfig(DataConfig):
    task = f"{__name__}:Classification"
    prepare = f"{__name__}:Labelled"
    models = (ClassifierConfig,)
    metrics = {"loss": "min", "accuracy": "max"}  # noqa: RUF012 - never changed
    max_length: int = 12


class Labelled:
    """Sequences of digits. The label says whether a sequence contains a 3."""

    def __init__(self, config, size=400, seed=0):
        draw = np.random.default_rng(seed)
        self.lengths = draw.integers(3, 13, size)
        self.digits = draw.integers(0, 10, (size, 12))

    def split(self, split):
        return self

    def describe(self, config):
        return f"{len(self.digits)} sequences"

    def content_hash(self):
        return "digits"

    def plan(self, config):
        return make_plan(self.lengths, self.lengths, tokens_per_batch=192, num_buckets=1, max_length=12, seed=0)

    def arrays(self, batch, *, rows_multiple=1, rows_of=range):
        rows = with_rows(batch.bucket, rows_multiple).rows
        segments, tokens = np.zeros((2, rows, 12), np.int32)
        segments[: len(batch.indices)] = np.arange(12) < self.lengths[batch.indices][:, None]
        tokens[: len(batch.indices)] = self.digits[batch.indices]
        labels = ((tokens == 3) & (segments > 0)).any(axis=1).astype(np.int32)
        wanted = list(rows_of(rows))
        return dict(tokens=tokens[wanted], segments=segments[wanted], labels=labels[wanted])


class Classification(Task):
    def loss(self, model, params, batch, *, label_smoothing, chunk, dropout_key=None):
        rngs = {} if dropout_key is None else {"dropout": dropout_key}
        logits = model.apply({"params": params}, **model.inputs_of(batch), deterministic=not rngs, rngs=rngs)
        real = batch["segments"][:, 0].astype(jnp.float32)
        loss = real @ optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"])
        return LossSums(loss, loss, real.sum())

    def validation(self, model, corpus, config, mesh):
        return functools.partial(self.scores, model)

    def evaluate(self, run, options):
        return self.scores(build_model(run.config.model), read_params(run, run.config.model, options.checkpoint))

    def scores(self, model, params):
        batch = jax.device_put(Labelled(None, 50, seed=1).arrays(Batch(Bucket(50, 12, 12), np.arange(50))))
        sums = self.loss(model, params, batch, label_smoothing=0.0, chunk=1)
        found = model.apply({"params": params}, **model.inputs_of(batch)).argmax(axis=1)
        return {"loss": float(sums.loss / sums.tokens), "accuracy": float((found == batch["labels"]).mean())}


@pytest.mark.parametrize(
    "mesh", [pytest.param(MeshConfig(data=8), marks=pytest.mark.slow), MeshConfig(data=2, fsdp=2, tensor=2)], ids=str
)
def test_it_trains_stops_continues_and_is_evaluated(mesh, tmp_path, capsys):
    register_kind("classifier", ClassifierConfig)
    register_kind("labelled", LabelledConfig)
    register_model(ClassifierConfig, Classifier)
    often = dict(evaluate_every=20, log_every=1, best_metric="accuracy")
    training = TrainingConfig(steps=60, schedule="constant", learning_rate=0.02, warmup_steps=5, **often)
    config = Config(str(tmp_path / "whole"), ClassifierConfig(), LabelledConfig(), training, mesh)
    whole = fit(task_for(config), config)
    config = dataclasses.replace(config, workdir=str(tmp_path / "stopped"))
    with before_batch(30, lambda: signal.raise_signal(signal.SIGTERM), Labelled), pytest.raises(Stopped):
        fit(task_for(config), config)
    assert numbers(fit(task_for(config), config)) == numbers(whole)
    evaluate([config.workdir])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["accuracy"] > 0.9
    # And a run of it starts from another one, whose layers get low-rank changes.
    tuning = FineTuningConfig(config.workdir, trainable=("Dense_0.*",), lora_rank=2)
    training = dataclasses.replace(training, steps=3, evaluate_every=0, learning_rate=0.001)
    config = dataclasses.replace(config, workdir=str(tmp_path / "tuned"), training=training, fine_tuning=tuning)
    tuned = fit(task_for(config), config)
    before, after = (read_params(run, config.model) for run in (whole, tuned))
    changed = jax.tree.map(lambda x, y: bool((x != y).any()), before, after)
    assert changed["Dense_0"] == {"bias": True, "kernel": True}
    assert changed["TokenEmbedding_0"] == {"embedding": False}
    assert changed["Encoder_0"]["layer_0"]["feed_forward"]["up"] == {"bias": False, "kernel": True}
    evaluate([config.workdir])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["accuracy"] > 0.8

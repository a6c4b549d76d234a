"""A language model in the trainer: what it learns from, exact resume, meshes, evaluation, and the commands."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import relative_error
from tiny_run import numbers

from tfmr.cli import _dispatch
from tfmr.config import (
    CausalLMConfig,
    Config,
    GenerationConfig,
    MeshConfig,
    PairsConfig,
    RunningTextConfig,
    TrainingConfig,
    config_from_dict,
    config_to_dict,
)
from tfmr.data.running_text import prepare_running_text
from tfmr.data.text_batches import TextSplit
from tfmr.data.tokenizer import BOS_ID, EOS_ID
from tfmr.errors import InputError
from tfmr.language_model import Generator
from tfmr.models import CausalLM, init_params
from tfmr.runs.parameters import read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import state_steps
from tfmr.training import fit, make_optimizer, make_schedule, task_for
from tfmr.training.loss import token_loss
from tfmr.training.resume import check_same_run
from tfmr.translation import Translator

TEXT = "".join(np.random.default_rng(0).choice(["to be ", "or not ", "to sleep, ", "perchance\n"], 230))
MODEL = CausalLMConfig(
    vocab_size=24,
    num_layers=1,
    d_model=16,
    d_ff=32,
    num_heads=2,
    d_k=8,
    d_v=8,
    max_length=16,
    dropout_rate=0.1,
    bias=False,
)


def train(config: Config) -> RunDirectory:
    return fit(task_for(config), config)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Config:
    """A short run on one text with all that has a state: dropout, Adam with decay, a moving average."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return Config(
        workdir=str(folder / "whole"),
        model=MODEL,
        data=RunningTextConfig(
            files=(str(folder / "text.txt"),),
            validation_share=0.1,
            cache=str(folder / "cache"),
            tokenizer="characters",
            max_length=16,
            tokens_per_batch=16 * 16,
            evaluation_crops=10,
        ),
        training=TrainingConfig(
            steps=12,
            schedule="cosine",
            learning_rate=0.01,
            final_learning_rate=0.001,
            warmup_steps=2,
            adam_b2=0.99,
            weight_decay=0.1,
            gradient_clip=1.0,
            label_smoothing=0.0,
            ema_decay=0.9,
            log_every=1,
            evaluate_every=6,
            checkpoint_every=2,
            keep_last=20,
        ),
    )


@pytest.fixture(scope="module")
def run(base) -> RunDirectory:
    return train(base)


def params_of(run, step="last"):
    return read_params(run, run.config.model, step, moving_average=False)


@pytest.mark.parametrize("batching", [pytest.param("blocks", marks=pytest.mark.slow), "crops"])
def test_stopped_in_the_middle_of_an_epoch_it_ends_the_same(base, run, tmp_path, batching):
    def at(config, name, steps):
        return dataclasses.replace(
            config, workdir=str(tmp_path / name), training=dataclasses.replace(config.training, steps=steps)
        )

    config = dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, batching=batching),
        training=dataclasses.replace(base.training, schedule="constant", evaluate_every=0),
    )
    whole = train(at(config, "whole", 12))
    part = train(at(config, "part", 8))
    per_epoch = len(prepare_running_text(config.data).split("train").plan(config.data).epoch(0))
    assert 8 % per_epoch > 0
    assert per_epoch < 8
    train(at(config, "part", 12))
    assert state_steps(part)[-1] == 12
    jax.tree.map(np.testing.assert_array_equal, params_of(part), params_of(whole))
    lines = [[line for line in numbers(one) if "loss" in line] for one in (part, whole)]
    assert lines[0] == lines[1]


def test_it_continues_on_the_same_text_only(base, run, tmp_path):
    def on(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return dataclasses.replace(config, data=dataclasses.replace(config.data, files=(str(tmp_path / name),)))

    shutil.copytree(base.workdir, tmp_path / "run")
    config = dataclasses.replace(base, workdir=str(tmp_path / "run"))
    copied = train(on("copy.txt", TEXT))
    assert numbers(copied) == numbers(run)
    other = on("other.txt", TEXT[100:200] + TEXT[:100] + TEXT[200:])  # the same characters
    with pytest.raises(InputError, match="the corpus is not the one that this run was trained on"):
        train(other)


def test_it_learns_and_says_so(run, base):
    lines = numbers(run)
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 12
    assert losses[-1] < losses[0] - 0.3
    evaluations = [line for line in lines if "validation/loss" in line]
    assert [line["step"] for line in evaluations] == [6, 12]
    assert evaluations[1]["validation/loss"] < evaluations[0]["validation/loss"]
    assert abs(evaluations[1]["validation/crop_loss"] - evaluations[1]["validation/loss"]) < 0.5


def test_the_loss_of_the_whole_split_is_that_of_each_token_alone(run, base, capsys):
    """Each token's probability from the tokens before it in its row, one after the other, by the logits."""
    model, text = CausalLM(run.config.model), run.read_token_split("validation")
    tokens = text.tokens.astype(np.int32)
    assert run.tokenizer.decode(tokens) == TEXT[int(0.9 * len(TEXT)) :]
    params = read_params(run, model.config, "best")
    logits = jax.jit(lambda tokens: model.apply({"params": params}, tokens))

    def loss(stride):
        total = 0.0
        before = np.array([BOS_ID, *tokens[:-1]], np.int32)
        for index, token in enumerate(tokens):
            start = index // 16 * 16 if stride == 0 else max(0, -(-(index - 15) // stride) * stride)
            row = np.zeros(16, np.int32)
            row[: index - start + 1] = before[start : index + 1]
            found = np.asarray(logits(row[None])[0, index - start], np.float64)
            total += np.log(np.exp(found).sum()) - found[token]
        return total / len(tokens)

    (last,) = [line for line in numbers(run) if "validation/loss" in line and line["step"] == 12]
    assert last["validation/loss"] == pytest.approx(loss(0), rel=1e-5)
    for stride in (0, 5):
        _dispatch(["evaluate", str(run.path), "--stride", str(stride)])
        scores = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert scores["loss"] == pytest.approx(loss(stride), rel=1e-5)
        assert scores["tokens"] == len(tokens)
    assert scores["crop_loss"] == pytest.approx(last["validation/crop_loss"], rel=1e-5)


@pytest.mark.slow
def test_another_mesh_computes_the_same(run, base, tmp_path):
    config = dataclasses.replace(
        base,
        workdir=str(tmp_path / "run"),
        mesh=MeshConfig(data=2, fsdp=2, tensor=2),
    )
    other = train(config)
    assert len(numbers(other)) == len(numbers(run))
    for found, expected in zip(numbers(other), numbers(run), strict=True):
        assert found == pytest.approx(expected, rel=2e-4, abs=1e-5)


def test_packed_documents_have_the_loss_of_each_alone():
    random = np.random.default_rng(1)
    lengths = random.integers(1, 40, 30)
    documents = [np.array([*random.integers(4, 24, length), EOS_ID]) for length in lengths]
    text = TextSplit(np.concatenate(documents), np.cumsum([0, *map(len, documents)]))
    config = RunningTextConfig(batching="packed", max_length=16, tokens_per_batch=64)
    model = CausalLM(dataclasses.replace(MODEL, dropout_rate=0.0, attention_dropout_rate=0.0))
    params = init_params(model, jax.random.key(0))
    params = jax.tree.map(lambda x: 4 * x, params)  # so that what is attended to matters

    @jax.jit
    def sums(params, batch):
        def loss(params):
            found = token_loss(model, params, batch, label_smoothing=0.0, chunk=64)
            return found.loss, found.tokens

        (total, tokens), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return total, tokens, gradient

    def total(batches):
        parts = [sums(params, batch) for batch in batches]
        return jax.tree.map(lambda *x: np.sum(np.asarray(x, np.float64), axis=0), *parts)

    def alone(document):
        before = np.array([BOS_ID, *document[:-1]])
        for start in range(0, len(document), 16):
            rows = {name: np.zeros((1, 16), np.int32) for name in ("input", "output", "segments", "positions")}
            part = slice(start, start + 16)
            size = len(document[part])
            values = (before[part], document[part], np.ones(size), np.arange(size))
            for row, value in zip(rows.values(), values, strict=True):
                row[0, :size] = value
            yield {f"target_{name}": row for name, row in rows.items()}

    packed = total([text.arrays(batch) for batch in text.plan(config).epoch(0)])
    single = total([batch for document in documents for batch in alone(document)])
    assert packed[1] == single[1] == len(text.tokens)
    assert packed[0] == pytest.approx(single[0], rel=1e-5)
    for found, expected in zip(jax.tree.leaves(packed[2]), jax.tree.leaves(single[2]), strict=True):
        assert relative_error(found, expected) < 1e-5


def test_generating_from_a_run(run, capsys):
    generator = Generator.from_run(run.path, config=GenerationConfig(temperature=0.8, max_new_tokens=8, seed=1))
    first, second = generator.generate(["to "], samples=2)[0]
    options = ["--temperature", "0.8", "--max-new-tokens", "8", "--seed", "1", "--samples", "2", "--prompt"]
    _dispatch(["generate", str(run.path), *options, "to "])
    assert capsys.readouterr().out == f"to {first.text}\n---\nto {second.text}\n"
    with pytest.raises(InputError, match="--window"):
        _dispatch(["generate", str(run.path), "--prompt", "to be"])
    with pytest.raises(InputError, match="not a translation model"):
        Translator.from_run(run.path)


def test_other_commands_know_it(run, base, capsys, tmp_path):
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "import json\nfrom tfmr.config import config_from_dict\n\n\n"
        f"def get_config():\n    return config_from_dict(json.loads({json.dumps(config_to_dict(base))!r}))\n"
    )
    _dispatch(["prepare", str(recipe)])
    out = capsys.readouterr().out
    assert "1 documents" in out
    assert "batches of 16 x 16" in out
    for argument in (str(recipe), str(run.path)):
        _dispatch(["inspect", argument])
        assert f"{sum(x.size for x in jax.tree.leaves(params_of(run))):,}" in capsys.readouterr().out
    _dispatch(["average", str(run.path), "--steps", "2", "4"])
    average = read_params(run, run.config.model, "averaged")
    expected = jax.tree.map(lambda a, b: (a + b) / 2, params_of(run, "2"), params_of(run, "4"))
    for found, mean in zip(jax.tree.leaves(average), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, mean, rtol=1e-6, atol=1e-8)


def test_a_configuration_says_which_model_it_is(base):
    values = json.loads(json.dumps(config_to_dict(base)))
    assert (values["model"]["kind"], values["data"]["kind"]) == ("causal_lm", "running_text")
    assert config_from_dict(values) == base
    translation = json.loads(json.dumps(config_to_dict(Config())))
    assert config_from_dict(translation) == Config()
    for section in ("model", "data"):  # as files of before have it
        del translation[section]["kind"]
    assert config_from_dict(translation) == Config()
    for kind, message in (("causal_ml", r"model\.kind = 'causal_ml'.*did you mean 'causal_lm'"),):
        with pytest.raises(InputError, match=message):
            config_from_dict({"model": {"kind": kind}})
    with pytest.raises(InputError, match="PairsConfig requires TransformerConfig"):
        Config(model=MODEL, data=PairsConfig())
    with pytest.raises(InputError, match=r"data\.max_length = 99: must be at most model\.max_length = 16"):
        Config(model=MODEL, data=RunningTextConfig(max_length=99))


def test_a_run_of_another_kind_is_refused(base, run):
    with pytest.raises(InputError, match=r"model\.kind = 'transformer': .*was created with 'causal_lm'"):
        check_same_run(run, Config())


def test_weight_decay_is_on_matrices_alone(base):
    model = CausalLM(dataclasses.replace(MODEL, bias=True))
    params = init_params(model, jax.random.key(0))
    params = jax.tree.map(lambda x: x + 1.0, params)
    rate = dataclasses.replace(base.training, schedule="constant", warmup_steps=0, weight_decay=0.1)
    optimizer = make_optimizer(rate, make_schedule(rate, model.config.d_model))
    update = jax.jit(
        lambda params: optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    )
    updates, _ = update(params)
    for path, update in jax.tree.leaves_with_path(updates):
        name = path[-1].key
        vector = name.endswith("bias") or name in ("gamma", "beta")
        value = params
        for key in path:
            value = value[key.key]
        np.testing.assert_allclose(update, 0.0 if vector else -0.01 * 0.1 * value, rtol=1e-5)

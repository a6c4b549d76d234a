"""Runs that start from the parameters of another one: what learns, what stays, and that a stop changes nothing."""

import dataclasses
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from tiny_run import before_batch, numbers, tiny_run, train, write_words

from tfmr.config import Config, FineTuningConfig, MeshConfig, TransformerConfig
from tfmr.data.pairs import PairSplit
from tfmr.errors import InputError
from tfmr.nn import stack_layers, unstack_layers
from tfmr.runs.averaging import average_checkpoints
from tfmr.runs.parameters import read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import state_steps
from tfmr.training import Stopped

STEPS = 8
FROZEN = FineTuningConfig("BASE", "last", trainable=("decoder.*", "*embedding"), learning_rate_factors=("decoder.*=2",))
LORA = FineTuningConfig("BASE", "last", trainable=("*.gamma",), lora_rank=2, lora_alpha=8.0)
KINDS = {
    "full": FineTuningConfig("BASE", "last", learning_rate_factors=("*=0.5", "decoder.*=1")),
    "frozen": FROZEN,
    "lora": LORA,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_words(folder)
    return folder


@pytest.fixture(scope="module")
def base(folder, tmp_path_factory):
    """A finished run of a few steps."""
    return train(tiny_run(folder, tmp_path_factory.mktemp("runs") / "base", steps=4, evaluate_every=4))


@pytest.fixture(scope="module")
def start(folder, base, tmp_path_factory):
    """Returns a configuration that starts from the base, with a model of which only run-time fields are given."""

    def config(workdir, tuning, steps=STEPS, model=None, data=None, **training):
        shape = TransformerConfig(dropout_rate=0.2, **(model or {}))
        given = tiny_run(folder, workdir, steps=steps, evaluate_every=4, keep_last=20, **training)
        given = dataclasses.replace(given, model=shape, data=dataclasses.replace(given.data, **(data or {})))
        return dataclasses.replace(given, fine_tuning=dataclasses.replace(tuning, init_from=str(base.path)))

    return config


@pytest.fixture(scope="module")
def finished(start, tmp_path_factory):
    """The runs of each kind, never stopped."""
    runs = tmp_path_factory.mktemp("finished")
    return {name: train(start(runs / name, tuning)) for name, tuning in KINDS.items()}


def params(run, checkpoint="last", moving_average=False):
    return read_params(run, run.config.model, checkpoint, moving_average=moving_average)


def flat(tree):
    return {name: np.asarray(x) for name, x in flatten_dict(tree, sep=".").items()}


def changed(run, base):
    """The names of the parameters that are not those of the base."""
    before = flat(params(base, moving_average=True))
    return {name for name, x in flat(params(run)).items() if not np.array_equal(x, before[name])}


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_the_first_step_is_taken_from_the_base(start, base, tmp_path):
    config = start(tmp_path / "run", FineTuningConfig("BASE", "last"), steps=1, learning_rate=1e-30)
    run = train(config)
    # The base has a moving average, which translate would use as well.
    assert_same(params(run), params(base, moving_average=True))
    assert run.config.model == dataclasses.replace(base.config.model, dropout_rate=0.2)
    assert run.tokenizer.to_json() == base.tokenizer.to_json()
    assert run.config.fine_tuning.init_from == str(base.path)
    record = json.loads(run.base_file.read_text())
    assert (record["path"], record["checkpoint"], record["item"]) == (
        os.path.relpath(base.path, run.path),
        "checkpoints/4",
        "ema_params",
    )


def test_only_what_is_to_learn_changes(finished, base):
    every = set(flat(params(base)))
    assert changed(finished["full"], base) == every
    decoder = {name for name in every if name.startswith("decoder.") or name.endswith("embedding")}
    assert changed(finished["frozen"], base) == decoder
    matrices = {
        n for n in every if ".layer_" in n and n.split(".")[-1] in ("query", "key", "value", "output", "kernel")
    }
    gammas = {name for name in every if name.endswith(".gamma")}
    assert changed(finished["lora"], base) == matrices | gammas
    after, before = flat(params(finished["lora"])), flat(params(base, moving_average=True))
    for name in matrices:  # of rank 2
        difference = after[name] - before[name]
        matrix = difference.reshape(-1, difference.shape[-1]) if name.endswith("output") else difference.reshape(16, -1)
        matrix = difference if difference.ndim == 2 else matrix
        values = np.linalg.svd(matrix, compute_uv=False)
        assert values[1] > 1e-4
        assert values[2] < 1e-5


def test_what_does_not_learn_takes_no_memory(finished, base):
    def size(run, *items):
        folder = run.checkpoints / str(STEPS)
        contents = json.loads((folder / "contents" / "metadata").read_text())["arrays"]
        return {item: sum(int(np.prod(shape)) for shape, _ in contents[item].values()) for item in items}

    every = sum(x.size for x in flat(params(base)).values())
    full, frozen = (size(finished[name], "params", "ema_params", "optimizer") for name in ("full", "frozen"))
    assert full["params"] == frozen["params"] == frozen["ema_params"] == every  # a run directory is everything
    names = changed(finished["frozen"], base)
    learns = sum(x.size for name, x in flat(params(base)).items() if name in names)
    assert 2 * learns <= frozen["optimizer"] < 2 * learns + 10 < full["optimizer"]
    lora = size(finished["lora"], "lora", "ema_lora", "optimizer")
    assert lora["lora"] == lora["ema_lora"] < every
    assert 2 * lora["lora"] <= lora["optimizer"] < 2 * lora["lora"] + 10
    assert {path.name for path in (finished["lora"].best / str(STEPS)).iterdir()} >= {"lora"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind == "lora" else pytest.mark.slow) for kind in KINDS]
)
def test_a_run_that_was_stopped_ends_the_same(kind, start, finished, tmp_path):
    config = start(tmp_path / "run", KINDS[kind])
    with before_batch(5, lambda: signal.raise_signal(signal.SIGTERM), PairSplit), pytest.raises(Stopped):
        train(config)
    run = RunDirectory(tmp_path / "run")
    assert 0 < state_steps(run)[-1] < STEPS
    train(config)
    assert numbers(run) == numbers(finished[kind])
    for average in (False, True):
        assert_same(params(run, moving_average=average), params(finished[kind], moving_average=average))
    assert_same(params(run, "best"), params(finished[kind], "best"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["frozen", "lora"])
def test_on_another_mesh_with_scan_remat_and_accumulation_it_learns_the_same(kind, start, finished, tmp_path):
    model = dict(scan_layers=True, remat=True)
    config = start(tmp_path / "run", KINDS[kind], steps=2, model=model, accumulation=2)
    config = dataclasses.replace(config, mesh=MeshConfig(data=2, fsdp=2, tensor=2))
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, dropout_rate=0.0))
    run = train(config)
    plain = dataclasses.replace(config, workdir=str(tmp_path / "plain"), mesh=MeshConfig(data=1, fsdp=8))
    plain = dataclasses.replace(plain, model=dataclasses.replace(plain.model, scan_layers=False, remat=False))
    plain = dataclasses.replace(plain, training=dataclasses.replace(plain.training, accumulation=1))
    other = train(plain)
    if kind == "lora":  # A is drawn anew for each structure, but B is 0 in both: the first loss is the same
        assert numbers(run)[0]["loss"] == pytest.approx(numbers(other)[0]["loss"], rel=1e-5)
        assert params(run)["encoder"]["layers"]["feed_forward"]["up"]["kernel"].shape == (1, 16, 32)
        return
    for found, expected in zip(numbers(run), numbers(other), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=2e-4), unstack_layers(params(run)), params(other))


def test_low_rank_changes_need_their_base(finished, base, tmp_path):
    runs = tmp_path / "elsewhere"
    shutil.copytree(finished["lora"].path, runs / "lora")
    moved = RunDirectory(runs / "lora")
    with pytest.raises(InputError, match=r"needs the parameters .*checkpoints/4, which are missing; .*base\.json"):
        params(moved)
    record = json.loads(moved.base_file.read_text())
    moved.base_file.write_text(json.dumps({**record, "path": "../base"}))
    shutil.copytree(base.path, runs / "base")
    assert_same(params(moved), params(finished["lora"]))
    moved.base_file.write_text(json.dumps({**record, "path": "../base", "item": "params"}))
    with pytest.raises(InputError, match="are not those that this run started from"):
        params(moved)
    moved.base_file.write_text("{")
    with pytest.raises(InputError, match=r"base\.json: missing or damaged"):
        params(moved)


def test_an_average_of_low_rank_changes_is_that_of_the_matrices(finished, tmp_path):
    run = RunDirectory(finished["lora"].path)
    average_checkpoints(run, steps=[4, 8])
    expected = jax.tree.map(lambda x, y: (x + y) / 2, params(run, "4"), params(run, "8"))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), params(run, "averaged"), expected)
    shutil.rmtree(run.averaged)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(trainable=("encoder.*",)), r"fine_tuning\.trainable = \('encoder.*was created with \('decoder"),
        (dict(learning_rate_factors=()), r"fine_tuning\.learning_rate_factors = \(\): .* was created with"),
        (dict(lora_rank=2), r"fine_tuning\.lora_rank = 2: .* was created with 0"),
        (dict(checkpoint="4"), r"fine_tuning\.checkpoint = '4': .* was created with 'last'"),
        (None, r"fine_tuning\.init_from = '': .* add --init-from"),
    ],
)
def test_other_options_are_refused_when_it_continues(changes, message, start, finished):
    config = start(finished["frozen"].path, FROZEN)
    tuning = FineTuningConfig() if changes is None else dataclasses.replace(config.fine_tuning, **changes)
    model = finished["frozen"].config.model if changes is None else config.model
    with pytest.raises(InputError, match=message):
        train(dataclasses.replace(config, fine_tuning=tuning, model=model))


@pytest.mark.parametrize(
    ("tuning", "options", "message"),
    [
        (dict(trainable=("decodr.*",)), {}, r"trainable = 'decodr\.\*': matches no .*did you mean 'decoder\.\*'"),
        (dict(lora_rank=2, lora_matrices=("*.gamma",)), {}, r"lora_matrices = '\*\.gamma': matches no matrix"),
        (
            dict(trainable=("decoder.*",), learning_rate_factors=("encoder.*=2",)),
            {},
            r"'encoder\.\*': matches no parameter that learns",
        ),
        (
            dict(lora_rank=2, trainable=("decoder.*",), lora_matrices=("decoder.*.query",)),
            {},
            r"'decoder\.\*\.query': matches no matrix, besides those in fine_tuning\.trainable",
        ),
        (dict(checkpoint="99"), {}, r"has no checkpoint '99' \(available: best, last, 4\)"),
        ({}, dict(model=dict(d_ff=64)), r"model\.d_ff = 64: the model in .*base has 32; leave this field out"),
        ({}, dict(model=dict(vocab_size=12)), r"model\.vocab_size = 12: .* has at least 16"),
        ({}, dict(data=dict(tokenizer_file="x.json")), r"tokenizer_file = 'x.json': cannot be combined"),
        (dict(new_tokens=("a",)), {}, "'a' is already a token of the tokenizer"),
        (dict(new_tokens=("<2de>",), trainable=("decoder.*",)), {}, r"new rows of embedding\.embedding would not"),
    ],
)
def test_a_mistake_is_refused_before_any_work(tuning, options, message, start, tmp_path, monkeypatch):
    monkeypatch.setattr("tfmr.data.prepare.prepare_pairs", lambda *_: pytest.fail("work was done"))
    with pytest.raises(InputError, match=message) as error:
        train(start(tmp_path / "run", FineTuningConfig("BASE", **tuning), **options))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_base_does_not_get_one_when_it_continues(start, base):
    for tuning in (LORA, FineTuningConfig("BASE")):
        config = start(base.path, tuning)
        with pytest.raises(InputError, match=r"fine_tuning\.init_from = .*base': .*created with ''; leave out --init"):
            train(config)


def test_low_rank_changes_are_not_added_when_it_continues(start, finished):
    changes = dict(lora_rank=2, lora_alpha=16.0)
    config = start(finished["full"].path, dataclasses.replace(KINDS["full"], **changes))
    with pytest.raises(InputError, match=r"fine_tuning\.lora_rank = 2: .* was created with 0"):
        train(config)


def test_options_without_a_base_are_refused():
    with pytest.raises(InputError, match=r"fine_tuning\.lora_rank = 8: requires --init-from RUN"):
        FineTuningConfig(lora_rank=8)
    with pytest.raises(InputError, match=r"fine_tuning\.lora_alpha = 4\.0: requires fine_tuning\.lora_rank"):
        FineTuningConfig("base", lora_alpha=4.0)
    with pytest.raises(InputError, match=r"learning_rate_factors = .*: must be PATTERN=FACTOR"):
        FineTuningConfig("base", learning_rate_factors=("decoder.*",))


def test_low_rank_changes_cannot_be_started_from(start, finished, tmp_path):
    config = start(tmp_path / "run", FROZEN)
    tuning = FineTuningConfig(str(finished["lora"].path))
    with pytest.raises(InputError, match=r"contains low-rank changes only; .*tfmr merge .*lora OUT"):
        train(dataclasses.replace(config, fine_tuning=tuning))


def test_a_folder_that_is_not_a_run_is_named(start, finished, tmp_path):
    config = start(tmp_path / "run", FROZEN)
    (tmp_path / "marian").mkdir()
    (tmp_path / "marian" / "config.json").write_text('{"model_type": "marian"}')
    shutil.copytree(finished["full"].path, tmp_path / "empty")
    for name in ("checkpoints", "best"):
        shutil.rmtree(tmp_path / "empty" / name)
    messages = {
        "marian": r"a model of type 'marian', and is not a run directory; create one from it: tfmr import .*marian RUN",
        "empty": "empty: has no checkpoint; train it first",
        "none": "none: not a run directory",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=message):
            train(dataclasses.replace(config, fine_tuning=FineTuningConfig(str(tmp_path / name))))


def test_a_base_without_such_parameters_is_not_called_damaged(start, finished):
    config = start(finished["lora"].path, LORA)
    # Its own path in place of the base's: it has a checkpoint of that step as well, but with low-rank changes only.
    tuning = dataclasses.replace(config.fine_tuning, init_from=str(finished["lora"].path))
    with pytest.raises(InputError, match=r"lora/checkpoints/4 are not those that .*correct the path in --init-from"):
        train(dataclasses.replace(config, fine_tuning=tuning))


def test_new_tokens_start_from_the_mean_of_the_table(start, base, tmp_path):
    tuning = FineTuningConfig("BASE", "last", new_tokens=("<2de>", "<2fr>", "<2ko>", "<2ja>"))
    config = start(tmp_path / "run", tuning, steps=1, learning_rate=1e-30)
    run = train(config)
    before, kept = flat(params(base, moving_average=True)), base.tokenizer.vocab_size
    assert kept < base.config.model.vocab_size < run.config.model.vocab_size == kept + 4 == run.tokenizer.vocab_size
    table, old = flat(params(run))["embedding.embedding"], before["embedding.embedding"][:kept]
    np.testing.assert_array_equal(table[:kept], old)
    distance = np.abs(table[kept:] - old.mean(axis=0))
    assert 0.03 * old.std() < distance.mean() < 0.2 * old.std()
    assert run.tokenizer.encode("<2de> ab")[0] == kept
    # It continues with the tokens that it has.
    train(dataclasses.replace(config, training=dataclasses.replace(config.training, steps=2)))
    assert state_steps(run)[-1] == 2


@pytest.mark.slow
def test_a_run_of_another_kind_of_structure_is_read(start, base, tmp_path):
    config = start(tmp_path / "run", FineTuningConfig("BASE", "last"), steps=1, learning_rate=1e-30)
    run = train(dataclasses.replace(config, model=dataclasses.replace(config.model, scan_layers=True)))
    assert_same(params(run), jax.tree.map(np.asarray, stack_layers(params(base, moving_average=True))))


def test_old_configurations_have_no_base(base):
    values = json.loads(base.config_file.read_text())
    del values["fine_tuning"]
    assert isinstance(base.config, Config)
    base.config_file.write_text(json.dumps(values))
    assert RunDirectory(base.path).config.fine_tuning == FineTuningConfig()

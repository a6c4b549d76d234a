"""Training runs: however often they are stopped or killed, they end as if they never were."""

import dataclasses
import functools
import gzip
import itertools
import json
import logging
import math
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import fake_bucket
import jax
import numpy as np
import pytest
from test_profile import profiled_steps
from tiny_run import before_batch, numbers, tiny_run, train, write_recipe, write_words

from tfmr.analysis.learning_curves import read_metrics as read_curves
from tfmr.config import DecodingConfig, MeshConfig, PairsConfig
from tfmr.data.pairs import PairSplit
from tfmr.data.prepare import prepare_pairs
from tfmr.errors import InputError
from tfmr.models.account import training_flops_per_token
from tfmr.models.chips import DEVICE_KINDS
from tfmr.runs.lock import locked
from tfmr.runs.metrics import read_metric_lines
from tfmr.runs.parameters import load_run, read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import state_steps
from tfmr.training import Diverged, Stopped
from tfmr.training.resume import corpus_has_changed
from tfmr.training.task import EvaluationOptions
from tfmr.translation.task import Translation

STEPS = 40
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The configuration of a run of three epochs, with all that has a state: dropout, Adam, EMA, evaluations."""
    folder = tmp_path_factory.mktemp("corpus")
    write_words(folder)
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    return tiny_run(folder, workdir, num_buckets=2, steps=STEPS, evaluate_every=8, keep_last=20)


def changed(config, section="training", **values):
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **values)})


def params(run, checkpoint="last", moving_average=False):
    return read_params(run, run.config.model, checkpoint, moving_average=moving_average)


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def assert_same_end(run, finished):
    assert numbers(run) == numbers(finished)
    for moving_average in (False, True):
        assert_same(params(run, moving_average=moving_average), params(finished, moving_average=moving_average))
    assert_same(params(run, "best"), params(finished, "best"))


@pytest.fixture(scope="module")
def finished(base):
    """A run that was never stopped."""
    return train(base)


@pytest.fixture
def copy_at_step(base, finished, tmp_path):
    """Returns a copy of the finished run as it stood when the checkpoint of a step was the newest."""

    def copy(step, **changes):
        config = dataclasses.replace(changed(base, **changes), workdir=str(tmp_path / "copy"))
        shutil.copytree(base.workdir, config.workdir)
        run = RunDirectory(Path(config.workdir))
        for later in [s for s in state_steps(run) if s > step]:
            shutil.rmtree(run.checkpoints / str(later))
        return config, run

    return copy


@pytest.fixture
def in_evaluation(monkeypatch):
    """Returns a function that calls `act` in the evaluation with a number, from 1, after its loss is known."""

    def patch(number, act):
        made, validation = itertools.count(1), Translation.validation

        def acting(*args):
            validate = validation(*args)

            def evaluate(params):
                values = validate(params)
                if next(made) == number:
                    act()
                return values

            return evaluate

        monkeypatch.setattr(Translation, "validation", acting)

    return patch


def train_and_signal(config, batch, number):
    """Trains, and sends this process a signal when a batch is made, a few steps before it is used."""
    before = [signal.getsignal(stop) for stop in (signal.SIGINT, signal.SIGTERM)]
    kill = functools.partial(os.kill, os.getpid(), number)
    with before_batch(batch, kill), pytest.raises(Stopped) as stopped:
        train(config)
    assert stopped.value.signal_number == number
    assert signal.Signals(number).name in str(stopped.value)
    assert [signal.getsignal(stop) for stop in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_finished_run_holds_everything(finished):
    lines = numbers(finished)
    steps = [line for line in lines if "loss" in line]
    evaluations = [line for line in lines if "validation/loss" in line]
    assert [line["step"] for line in steps] == list(range(1, STEPS + 1))
    assert [line["step"] for line in evaluations] == list(range(8, STEPS + 1, 8))
    for line in evaluations:
        assert line["validation/perplexity"] == pytest.approx(math.exp(line["validation/loss"]))
    assert steps[0]["learning_rate"] == pytest.approx(0.003 / 5)
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.2
    assert state_steps(finished) == list(range(4, STEPS + 1, 4))
    assert len(finished.read_text_split("test")[0]) == 3
    # The best is the evaluated average of the step with the lowest loss.
    best = min(evaluations, key=lambda line: line["validation/loss"])["step"]
    assert_same(params(finished, "best"), params(finished, str(best), moving_average=True))


@pytest.mark.slow
def test_stopped_again_and_again_it_ends_the_same(base, finished, tmp_path):
    config = changed(base, keep_last=3)
    config = dataclasses.replace(config, workdir=str(tmp_path / "run"))
    run = train(changed(config, steps=8))
    assert state_steps(run) == [4, 8]
    assert_same(params(run), params(finished, "8"))
    # In the middle of an epoch, anywhere. A batch is made at most six steps ahead, so nothing has ended by then.
    batches = random.randint(1, 8), random.randint(1, 8)
    for batch, number in zip(batches, (signal.SIGTERM, signal.SIGINT), strict=True):
        before = state_steps(run)[-1]
        train_and_signal(config, batch, number)
        after = state_steps(run)[-1]
        assert before < after <= before + batch + 1
        assert numbers(run)[-1]["step"] == after
    train(config)
    assert_same_end(run, finished)
    assert len(state_steps(run)) == 3
    for step in set(state_steps(run)) & set(state_steps(finished)):
        assert_same(params(run, str(step)), params(finished, str(step)))


@pytest.mark.slow
def test_killed_anywhere_it_ends_the_same(base, finished, tmp_path):
    # checkpoint_every=1: the kill may well fall into a save.
    config = dataclasses.replace(changed(base, checkpoint_every=1, keep_last=3), workdir=str(tmp_path / "run"))
    run = RunDirectory(Path(config.workdir))
    recipe = tmp_path / "recipe.py"
    write_recipe(recipe, config)

    def start_and_send(number, lines):
        command = [sys.executable, str(REPOSITORY / "train.py"), str(recipe)]
        with (tmp_path / "log").open("a") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
        deadline = time.monotonic() + 300
        while not run.metrics_file.exists() or run.metrics_file.read_bytes().count(b"\n") < lines:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(number)
        return process.wait(300)

    assert start_and_send(signal.SIGTERM, 2) == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in (tmp_path / "log").read_text()
    assert start_and_send(signal.SIGKILL, len(numbers(run)) + random.randint(1, 12)) == -signal.SIGKILL
    assert state_steps(run)[-1] < STEPS
    train(config)
    assert_same_end(run, finished)


@pytest.mark.slow
def test_a_line_that_was_cut_off_is_dropped_and_a_profile_changes_nothing(copy_at_step, finished, monkeypatch, capsys):
    config, run = copy_at_step(28, profile_steps="30:31")
    with run.metrics_file.open("a", encoding="utf-8") as file:
        file.write('{"step": 41, "loss": 1.2')
    monkeypatch.setitem(DEVICE_KINDS, jax.devices()[0].device_kind, "v5e")
    train(config)
    assert_same_end(run, finished)
    lines = read_metric_lines(run.metrics_file)
    assert [json.loads(line) for line in run.metrics_file.read_text().splitlines()] == lines
    assert profiled_steps(run.profile) == {30, 31}
    assert f"profile: {run.profile}; open it" in capsys.readouterr().err
    # Only the steps on a chip whose peak is known. The rows of the shapes are 4 to 24 tokens long.
    timed = [line for line in lines if "mfu" in line]
    assert {line["step"] for line in timed} == set(range(29, STEPS + 1))
    shortest, longest = (training_flops_per_token(config.model, length, length) for length in (4, 24))
    for line in timed:
        flops = line["mfu"] * jax.device_count() * 197e12 / line["tokens_per_second"]
        assert shortest < flops < longest * 1.0001


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_costs_only_time(copy_at_step, finished, caplog):
    # Also the best is of a later step than the one that is continued from.
    config, run = copy_at_step(28, profile_steps="24:26")
    for file in (run.checkpoints / "28" / "params").rglob("d/*"):
        os.truncate(file, file.stat().st_size // 2)
    caplog.set_level(logging.INFO, "tfmr")
    train(config)
    assert_same_end(run, finished)
    assert re.search(r"checkpoints/28: damaged \(.*\); moved to .*damaged/28\b", caplog.text)
    assert "Continuing from step 24" in caplog.text
    assert "training.profile_steps = '24:26': no profile, since training continues after step 24" in caplog.text
    assert not run.profile.exists()
    assert state_steps(run) == state_steps(finished)
    for step in (28, 32):
        assert_same(params(run, str(step)), params(finished, str(step)))


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_the_same_command_continues(base, finished, tmp_path):
    config = dataclasses.replace(base, workdir=str(tmp_path / "run"))
    run = RunDirectory(tmp_path / "run")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (6000, limits[1]))
    refused = pytest.raises(InputError, match=r"run: cannot be written to \(.*free up space")
    with before_batch(20, fill), refused as error:
        train(config)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(error.value)
    assert state_steps(run)[-1] >= 8
    train(config)
    assert_same_end(run, finished)


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(base, tmp_path, monkeypatch):
    monkeypatch.setattr("tfmr.data.prepare.prepare_pairs", lambda *_: pytest.fail("work was done"))
    (tmp_path / "file").write_text("here")
    for workdir in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/tfmr/run")):
        with pytest.raises(InputError, match=rf"{workdir}: cannot be written to \(.*\); .*another --workdir"):
            train(dataclasses.replace(base, workdir=str(workdir)))
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.slow
def test_a_mistake_before_the_first_checkpoint_blocks_nothing(base, finished, tmp_path):
    config = dataclasses.replace(base, workdir=str(tmp_path / "run"))
    RunDirectory(tmp_path / "run").write_config(changed(config, "model", d_ff=64))
    run = train(changed(config, steps=4))
    assert run.config.model.d_ff == 32
    assert_same(params(run), params(finished, "4"))


def content(folder):
    """The bytes of all files of a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kept", ["best", "averaged"])
def test_parameters_without_a_state_are_refused_and_stay(copy_at_step, kept, monkeypatch):
    config, run = copy_at_step(STEPS)
    monkeypatch.setattr(PairsConfig, "prepare", "no.work:is_done")
    run.checkpoints.rename(run.path / "away")
    if kept == "averaged":
        run.best.rename(run.averaged)
    before = content(run.path)
    with pytest.raises(InputError, match=rf"has parameters \({kept}/\d+\) but no training state .*another --workdir"):
        train(config)
    assert content(run.path) == before


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", r"contains a model of type 'marian'.*would replace .*config.json; choose another --workdir"),
        ("tokenizer.json", r"contains tokenizer\.json but no config\.json.*choose another --workdir"),
    ],
)
def test_a_folder_of_another_program_is_refused_and_stays(base, tmp_path, file, message):
    (tmp_path / file).write_text('{"model_type": "marian"}')
    with pytest.raises(InputError, match=message):
        train(dataclasses.replace(base, workdir=str(tmp_path)))
    assert content(tmp_path) == {file: b'{"model_type": "marian"}'}


def test_a_second_process_is_refused(base, tmp_path):
    config = dataclasses.replace(base, workdir=str(tmp_path / "run"))
    with locked(tmp_path / "run" / "lock", "training"):
        with pytest.raises(
            InputError, match=rf"run: process {os.getpid()} on host {re.escape(socket.gethostname())} is training there"
        ):
            train(config)
        assert os.listdir(config.workdir) == ["lock"]
    # Nothing is left; and what a killed process left blocks nobody.
    assert os.listdir(tmp_path) == []
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").write_text("process 1 on host elsewhere")
    with locked(tmp_path / "run" / "lock", "training"):
        assert str(os.getpid()) in (tmp_path / "run" / "lock").read_text()
    assert os.listdir(tmp_path / "run") == []


@pytest.mark.slow
def test_a_signal_in_an_evaluation_ends_it_and_it_is_repeated(base, finished, tmp_path, in_evaluation):
    config = dataclasses.replace(changed(base, checkpoint_every=0), workdir=str(tmp_path / "run"))
    run = RunDirectory(tmp_path / "run")

    def stop_in(evaluation, step, act=lambda: None):
        def stop():
            act()
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the evaluation went on")

        in_evaluation(evaluation, stop)
        with pytest.raises(Stopped, match=f"after step {step}; a checkpoint was saved"):
            train(config)
        assert state_steps(run)[-1] == step

    def wait_for_checkpoint():
        deadline = time.monotonic() + 60
        while not state_steps(run):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    stop_in(1, 8, wait_for_checkpoint)  # of a run with the best parameters there must be a state
    assert not [line for line in numbers(run) if "validation/loss" in line]
    # As if the run was killed after the evaluation had been written, and before the checkpoint knew of it.
    evaluation = next(line for line in numbers(finished) if line["step"] == 8 and "validation/loss" in line)
    with run.metrics_file.open("a") as file:
        file.write(json.dumps(evaluation) + "\n")
    stop_in(2, 16)
    train(config)
    assert_same_end(run, finished)


def strict_json(text):
    def refuse(name):
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_metric_that_is_not_a_number_is_told_and_decides_nothing(base, tmp_path, monkeypatch, capsys):
    losses = iter([math.nan, 3.0, math.nan, 2.5, math.nan, math.nan, 2.6, math.nan, 2.7])
    monkeypatch.setattr(Translation, "validation", lambda *_: lambda params: {"loss": next(losses), "perplexity": 1.0})
    config = changed(base, evaluate_every=1, patience=2, checkpoint_every=1)
    run = train(dataclasses.replace(config, workdir=str(tmp_path / "run")))
    assert state_steps(run)[-1] == 9
    assert [path.name for path in run.best.iterdir()] == ["4"]
    assert "step 1  validation/loss is nan: ignored" in capsys.readouterr().err
    files = [run.config_file, *run.path.rglob("metadata"), *run.path.rglob("*.json")]
    assert len(files) > 10
    for text in [*(file.read_text() for file in files), *run.metrics_file.read_text().splitlines()]:
        strict_json(text)


def test_pairs_that_are_not_trained_on_are_no_part_of_the_loss(base, tmp_path, caplog):
    shutil.copytree(base.data.dir, tmp_path / "corpus", ignore=shutil.ignore_patterns("cache"))
    for language, blank in (("en", "\u200b\u00ad"), ("de", "ab")):
        with (tmp_path / "corpus" / f"validation.{language}").open("a", encoding="utf-8") as file:
            file.write("abcd " * 300 + f"\n{blank}\n")
    data = dataclasses.replace(base.data, dir=str(tmp_path / "corpus"), max_length=32)
    model = dataclasses.replace(base.model, positions="learned", max_length=32)
    config = dataclasses.replace(base, data=data, model=model, workdir=str(tmp_path / "run"))
    run = train(changed(config, steps=2, evaluate_every=1, bleu_sentences=-1))
    assert [line["step"] for line in numbers(run) if "validation/bleu" in line] == [1, 2]
    assert caplog.text.count("line 13: has ") == 1
    validation = numbers(run)[-1]
    assert math.isfinite(validation["validation/loss"])
    told = (
        "2 of 14 pairs are left out of the loss, because a side is empty or has more than data.max_length = 32 tokens"
    )
    told += ": 13, 14\n"
    assert caplog.text.count(told) == 1
    greedy = DecodingConfig(beam_size=1)
    scores = Translation().evaluate(run, EvaluationOptions(split="validation", decoding=greedy))
    assert caplog.text.count(told) == 2
    assert scores["loss"] == pytest.approx(validation["validation/loss"], rel=1e-5)
    # That is the loss of the other pairs.
    short = {side: f"{base.data.dir}/validation.{name}" for side, name in (("source", "en"), ("target", "de"))}
    scores = Translation().evaluate(run, EvaluationOptions(**short, decoding=greedy))
    assert caplog.text.count(told) == 2
    assert scores["loss"] == pytest.approx(validation["validation/loss"], rel=1e-5)


@pytest.mark.slow
def test_cosine_keeps_its_number_of_steps(base, tmp_path):
    config = changed(base, schedule="cosine", warmup_steps=2, steps=4, evaluate_every=0)
    config = dataclasses.replace(config, workdir=str(tmp_path / "run"))
    run = train(config)
    with pytest.raises(InputError, match=r"training\.steps = 8: .*run was created with 4"):
        train(changed(config, steps=8))
    assert state_steps(run) == [4]


@pytest.mark.slow
def test_a_bucket_is_a_run_directory_too(base, finished, tmp_path, monkeypatch):
    fake_bucket.install(monkeypatch, tmp_path)
    config = dataclasses.replace(changed(base, keep_last=3), workdir="gs://bucket/runs/one")
    train_and_signal(config, 10, signal.SIGTERM)
    local = tmp_path / "bucket" / "runs" / "one"
    newest = max(state_steps(RunDirectory(config.workdir)))
    assert read_metric_lines(local / "metrics.jsonl")[-1]["step"] == newest
    (local / "checkpoints" / str(newest) / "place" / "metadata").write_text("{")
    train(config)
    run = RunDirectory.open(config.workdir)
    assert_same_end(run, finished)
    assert sorted(path.name for path in run.damaged.iterdir()) == [str(newest), f"{newest}.txt"]
    loaded = load_run(config.workdir, "last")
    assert_same(loaded[2], params(finished, moving_average=True))
    assert loaded[1].to_json() == finished.tokenizer.to_json()
    assert run.read_text_split("test") == finished.read_text_split("test")
    assert read_curves(run.metrics_file)["loss"].steps.tolist() == list(range(1, STEPS + 1))
    assert not list(Path.cwd().glob("gs:*"))


def test_training_what_is_finished_changes_nothing(copy_at_step, finished, capsys, in_evaluation):
    config, run = copy_at_step(STEPS)
    in_evaluation(1, lambda: pytest.fail("evaluated again"))
    train(config)
    assert "training has already ended; raise training.steps to continue" in capsys.readouterr().err
    assert_same_end(run, finished)
    assert state_steps(run) == state_steps(finished)


@pytest.mark.slow
def test_it_goes_on_upon_another_mesh(copy_at_step, finished):
    config, run = copy_at_step(32)
    train(dataclasses.replace(config, mesh=MeshConfig(data=2, fsdp=2, tensor=2)))
    assert len(numbers(run)) == len(numbers(finished))
    for found, expected in zip(numbers(run), numbers(finished), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("model", {"d_ff": 64}, r"model\.d_ff = 64: .* was created with 32"),
        ("model", {"vocab_size": 99}, r"model\.vocab_size = 99: .* was created with 16"),
        ("data", {"tokens_per_batch": 512}, r"data\.tokens_per_batch = 512: .* was created with 256"),
        ("data", {"vocab_size": 5}, r"data\.vocab_size = 5: .* was created with 37000"),
        ("data", {"seed": 1}, r"data\.seed = 1: .* was created with 0"),
        ("training", {"ema_decay": 0.0}, r"training\.ema_decay = 0\.0: .* was created with 0\.9"),
        ("training", {"seed": 4}, r"training\.seed = 4: .* was created with 0"),
    ],
)
def test_another_configuration_is_refused_before_any_work(base, finished, tmp_path, section, changes, message):
    before = finished.config_file.read_bytes(), finished.metrics_file.read_bytes()
    base = dataclasses.replace(base, model=dataclasses.replace(base.model, vocab_size=0))
    config = changed(base, section, **changes)
    nothing_prepared = dataclasses.replace(config, data=dataclasses.replace(config.data, cache=str(tmp_path)))
    with pytest.raises(InputError, match=message):
        train(nothing_prepared)
    assert not list(tmp_path.iterdir())
    assert (finished.config_file.read_bytes(), finished.metrics_file.read_bytes()) == before


def test_a_vocabulary_smaller_than_the_tokenizer_is_refused(base, tmp_path):
    config = dataclasses.replace(changed(base, "model", vocab_size=5), workdir=str(tmp_path / "run"))
    with pytest.raises(InputError, match=r"model\.vocab_size = 5: must be 0, or at least .* 13"):
        train(config)
    assert not (tmp_path / "run").exists()


def test_a_changed_corpus_is_refused(base, copy_at_step, tmp_path):
    config, run = copy_at_step(STEPS)
    tokenizer = run.tokenizer_file.read_bytes()
    shutil.copytree(base.data.dir, tmp_path / "corpus")
    train_en = tmp_path / "corpus" / "train.en"
    train_en.write_text(train_en.read_text().replace("a", "x"))
    with pytest.raises(InputError, match=r"tokenizer\.json: differs from the tokenizer of the corpus"):
        train(changed(config, "data", dir=str(tmp_path / "corpus")))
    assert run.tokenizer_file.read_bytes() == tokenizer


def swap_lines(path: Path) -> None:
    first, second, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert first != second
    path.write_text("".join([second, first, *rest]), encoding="utf-8")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_corpus_with_the_same_tokenizer_in_another_order_is_refused(base, copy_at_step, tmp_path, split):
    config, run = copy_at_step(STEPS)
    before = {path: path.read_bytes() for path in Path(config.workdir).rglob("*") if path.is_file()}
    shutil.copytree(base.data.dir, tmp_path / "corpus", ignore=shutil.ignore_patterns("cache"))
    for language in ("en", "de"):
        swap_lines(tmp_path / "corpus" / f"{split}.{language}")
    config = changed(config, "data", dir=str(tmp_path / "corpus"))
    with pytest.raises(InputError, match=r"copy: the corpus is not the one .* --training\.corpus-may-change"):
        train(config)
    assert {path: path.read_bytes() for path in Path(config.workdir).rglob("*") if path.is_file()} == before
    if split == "validation":
        # A run of an earlier version does not record its corpus, but has the sentences that it was evaluated on.
        run.corpus_file.unlink()
        with pytest.raises(InputError, match="the corpus is not the one"):
            train(config)


@pytest.mark.slow
def test_on_a_corpus_that_may_change_the_best_is_found_anew(base, copy_at_step, tmp_path):
    config, run = copy_at_step(32)
    shutil.copytree(base.data.dir, tmp_path / "corpus", ignore=shutil.ignore_patterns("cache"))
    for language in ("en", "de"):
        swap_lines(tmp_path / "corpus" / f"train.{language}")
    config = changed(config, "data", dir=str(tmp_path / "corpus"))
    config = changed(config, corpus_may_change=True, patience=1)
    with pytest.MonkeyPatch.context() as patch:  # much worse than all before, which the new corpus does not count
        worse = {"loss": 100.0, "perplexity": 100.0}
        patch.setattr(Translation, "validation", lambda *arguments: lambda params: worse)
        train(config)
    lines = numbers(run)
    assert {"step": 32, "corpus_changed": 1} in lines
    assert [int(path.name) for path in run.best.iterdir()] == [STEPS]
    assert lines[-1] == {"step": STEPS, "validation/loss": 100.0, "validation/perplexity": 100.0}
    # This is its corpus from now on.
    assert not corpus_has_changed(run, Translation(), prepare_pairs(config.data), config)


def test_the_same_corpus_in_other_files_continues(base, copy_at_step, finished, tmp_path):
    """Copied, compressed, as a TSV file or in two; and a run that does not record its corpus."""
    config, run = copy_at_step(STEPS)
    recorded = run.read_corpus_hash()
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        sides = [(Path(base.data.dir) / f"{split}.{language}").read_text().splitlines() for language in ("en", "de")]
        lines = "".join(f"{source}\t{target}\n" for source, target in zip(*sides, strict=True))
        (folder / f"{split}.tsv.gz").write_bytes(gzip.compress(lines.encode()))
    config = changed(config, "data", dir=str(folder), cache=str(tmp_path / "cache"))
    train(config)
    assert_same_end(run, finished)
    assert run.read_corpus_hash() == recorded != ""
    run.corpus_file.unlink()
    assert not corpus_has_changed(run, Translation(), prepare_pairs(config.data), config)


def test_a_run_from_before_normal_forms_is_continued(base, copy_at_step):
    config, run = copy_at_step(STEPS)
    values = json.loads(run.config_file.read_text())
    del values["data"]["normalization"]
    run.config_file.write_text(json.dumps(values))
    tokenizer = json.loads(run.tokenizer_file.read_text())
    tokenizer["normalizer"] = None
    run.tokenizer_file.write_text(json.dumps(tokenizer))
    train(config)


def test_checkpoints_of_another_architecture_are_refused(copy_at_step):
    config, run = copy_at_step(STEPS)
    other = changed(config, "model", d_ff=64)
    run.write_config(other)
    with pytest.raises(InputError, match=r"checkpoint 40 .* \(32, 16\) in the checkpoint, \(64, 16\) in the config"):
        train(other)


@pytest.fixture
def poisoned(monkeypatch):
    """Makes the gradients of the batches with the given numbers, from 1, not finite."""
    clean_loss, clean_arrays = Translation.loss, PairSplit.arrays

    def poison(numbers):
        made = itertools.count(1)

        def mark(*args, **kwargs):
            batch = clean_arrays(*args, **kwargs)
            if "rows_of" not in kwargs:  # validation's
                return batch
            return {**batch, "mark": np.full_like(batch["source"], next(made) in numbers)}

        def loss(task, model, params, batch, **kwargs):
            sums = clean_loss(model, params, batch, **kwargs)
            return sums.replace(loss=sums.loss * jax.numpy.where(batch["mark"][0, 0] == 1, math.nan, 1.0))

        monkeypatch.setattr(PairSplit, "arrays", mark)
        monkeypatch.setattr(Translation, "loss", loss)

    return poison


def test_a_step_without_a_finite_gradient_is_skipped(base, tmp_path, poisoned):
    poisoned({3, 4, 6})
    config = dataclasses.replace(changed(base, steps=8, evaluate_every=0), workdir=str(tmp_path / "run"))
    run = train(config)
    lines = [line for line in numbers(run) if "loss" in line]
    assert [line["loss"] is None for line in lines] == [n in (3, 4, 6) for n in range(1, 9)]
    assert [line["skipped"] for line in lines] == [0, 0, 1, 2, 2, 3, 3, 3]
    # What is skipped is not a step of the warmup.
    assert lines[7]["learning_rate"] == pytest.approx(0.003)
    assert lines[4]["learning_rate"] == pytest.approx(0.003 * 3 / 5)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params(run)))
    assert "NaN" not in run.metrics_file.read_text()


@pytest.mark.slow
def test_a_row_of_them_ends_the_training(base, tmp_path, poisoned):
    poisoned(set())
    clean = train(dataclasses.replace(changed(base, steps=4), workdir=str(tmp_path / "clean")))
    poisoned(set(range(7, 40)))
    config = dataclasses.replace(base, workdir=str(tmp_path / "run"))
    with pytest.raises(
        Diverged, match=r"step 16: no finite gradient in 10 consecutive steps \(newest checkpoint: \d+\)"
    ):
        train(config)
    run = RunDirectory(Path(config.workdir))
    # What was saved since are the parameters before the row.
    assert state_steps(run)[-1] >= 12
    assert_same(params(run), params(run, "8"))
    assert_same(params(run, "4"), params(clean, "4"))


def test_a_mesh_that_does_not_divide_the_model_is_refused(base, tmp_path):
    config = dataclasses.replace(base, workdir=str(tmp_path / "run"), mesh=MeshConfig(data=1, tensor=8))
    with pytest.raises(InputError, match=r"mesh = .*'tensor': 8.*\(16, 2, 8\) cannot be sharded"):
        train(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_early_stopping_counts_evaluations_also_across_a_stop(base, tmp_path, monkeypatch, capsys):
    # Better at 2 and 6, no better twice before and three times after: training ends with the evaluation at 12.
    losses = {2: 3.0, 4: 3.0, 6: 2.0, 8: 2.5, 10: 2.0, 12: 2.1, 14: 1.0}
    evaluated = []

    def validate(params):
        step = 2 * len(evaluated) + 2
        evaluated.append(step)
        return {"loss": losses[step], "perplexity": 1.0}

    monkeypatch.setattr(Translation, "validation", lambda *_: validate)
    config = changed(base, evaluate_every=2, patience=3, checkpoint_every=0, keep_last=20)
    config = dataclasses.replace(config, workdir=str(tmp_path / "run"))
    train_and_signal(config, 10, signal.SIGTERM)
    stopped_at = len(evaluated)
    assert 0 < stopped_at < 6
    run = train(config)
    assert evaluated == [2, 4, 6, 8, 10, 12]
    assert state_steps(run)[-1] == 12
    assert (run.best / "6").is_dir()
    assert len(list(run.best.iterdir())) == 1
    told = f"stopped early after step 12 of {STEPS}: loss has not improved in 3 evaluations"
    text = capsys.readouterr().err
    assert told in text
    assert "has already ended" not in text
    train(config)
    assert len(evaluated) == 6
    text = capsys.readouterr().err
    assert told in text
    assert "training has already ended; raise training.patience to continue" in text


@pytest.mark.slow
def test_bleu_decides_with_accumulation_on_eight_devices(base, tmp_path):
    config = changed(base, steps=2, accumulation=2, bleu_sentences=3, best_metric="bleu", evaluate_every=1, log_every=2)
    config = changed(config, "model", vocab_size=0)
    run = train(dataclasses.replace(config, workdir=str(tmp_path / "run")))
    assert run.config.model.vocab_size == 13
    lines = numbers(run)
    assert [line["step"] for line in lines] == [1, 2, 2]
    evaluations = [line for line in lines if "validation/loss" in line]
    assert evaluations
    assert all(0.0 <= line[f"validation/{name}"] <= 100.0 for line in evaluations for name in ("bleu", "chrf"))
    assert len(list(run.best.iterdir())) == 1

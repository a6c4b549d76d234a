"""Twenty kills at random moments: the run that is started again each time ends as one that was never killed.

`make test-long` runs it; the seed that it prints makes the same choices again: TFMR_LONG_SEED=SEED make test-long.
"""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_run import numbers, tiny_run, write_recipe, write_words

from tfmr.config import Config
from tfmr.models import Transformer
from tfmr.runs.checkpoints import Checkpointer
from tfmr.runs.checksums import named_leaves
from tfmr.runs.metrics import read_metric_lines
from tfmr.runs.parameters import read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import state_steps
from tfmr.training import make_optimizer, make_schedule
from tfmr.training.sharding import make_mesh
from tfmr.training.state import checkpoint_targets, make_sharded_state

REPOSITORY = Path(__file__).resolve().parents[2]
KILLS = 20
STEPS = 400
KEEP_EVERY = 60


def config_of(folder: Path, name: str) -> Config:
    """A run with all that has a state, that saves every third step."""
    paper = dict(schedule="noam", learning_rate=1.0, warmup_steps=50)
    saves = dict(evaluate_every=20, checkpoint_every=3, keep_last=3, keep_every=KEEP_EVERY)
    return tiny_run(folder, folder / name, num_buckets=2, attention_dropout=0.1, steps=STEPS, **paper, **saves)


class Starter:
    """Starts train.py on a configuration, and kills it."""

    def __init__(self, folder: Path, config: Config):
        self.run = RunDirectory(config.workdir)
        self.log = folder / f"{self.run.path.name}.log"
        recipe = folder / f"{self.run.path.name}.py"
        write_recipe(recipe, config)
        self._command = [sys.executable, str(REPOSITORY / "train.py"), str(recipe)]
        cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "jax"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        self._environment = {**os.environ, **cache, "PYTHONPATH": str(REPOSITORY)}

    def start(self) -> subprocess.Popen:
        with self.log.open("a") as log:
            return subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment, cwd=REPOSITORY)

    def lines(self) -> int:
        return self.run.metrics_file.read_bytes().count(b"\n") if self.run.metrics_file.exists() else 0

    def kill(self, number: signal.Signals, moment: str, draw: random.Random) -> int:
        """Starts, kills at a moment of a kind, and returns the exit status."""
        process = self.start()
        before, deadline = self.lines(), time.monotonic() + 900
        saved = state_steps(self.run)
        wanted = before + draw.randint(1, 20)
        started = time.monotonic()
        patience = draw.uniform(0.0, 15.0)
        while True:
            assert process.poll() is None, f"ended by itself: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline
            if moment == "start" and time.monotonic() - started > patience:
                break
            # The log is cut back to the newest checkpoint first, so that `wanted` lines are new steps.
            if moment == "step" and self.lines() >= wanted:
                break
            if moment == "save" and self.saving() and state_steps(self.run) != saved:
                break
            time.sleep(0.001)
        time.sleep(draw.uniform(0.0, 0.02))
        process.send_signal(number)
        return process.wait(300)

    def saving(self) -> bool:
        """Whether a checkpoint is being written at this moment."""
        folders = (self.run.checkpoints, self.run.best)
        return any("orbax-checkpoint-tmp" in name for f in folders if f.is_dir() for name in os.listdir(f))


def last_step(run: RunDirectory) -> int:
    return state_steps(run)[-1] if state_steps(run) else 0


def whole_state(config: Config, run: RunDirectory):
    """The newest state: parameters, optimizer, moving average, counters, and the place in the data."""
    config = dataclasses.replace(run.config, workdir=config.workdir)
    optimizer = make_optimizer(config.training, make_schedule(config.training, config.model.d_model))
    mesh = make_mesh(config.mesh)
    like = make_sharded_state(Transformer(config.model), optimizer, jax.random.key(0), mesh, ema=True)
    checkpointer = Checkpointer(run, config.training.keep_last, config.training.keep_every)
    found = checkpointer.restore_newest(checkpoint_targets(*like))
    checkpointer.close()
    assert found is not None
    return found


def assert_same(found, expected) -> None:
    found, expected = named_leaves(found), named_leaves(expected)
    assert found.keys() == expected.keys()
    for name, x in found.items():
        np.testing.assert_array_equal(x, expected[name], err_msg=name)


@pytest.fixture(scope="module")
def draw() -> random.Random:
    seed = int(os.environ.get("TFMR_LONG_SEED") or random.SystemRandom().randrange(10**6))
    print(f"\nTFMR_LONG_SEED={seed}", flush=True)
    return random.Random(seed)


def test_twenty_kills(draw, tmp_path):
    write_words(tmp_path, train=300, seed=draw.randrange(10**6))
    whole = Starter(tmp_path, config_of(tmp_path, "whole"))
    assert whole.start().wait(1800) == 0, whole.log.read_text()
    killed = Starter(tmp_path, config_of(tmp_path, "killed"))
    moments = ["save"] * 9 + ["step"] * 8 + ["start"] * 3
    draw.shuffle(moments)
    in_flight = 0
    for turn, moment in enumerate(moments):
        number = draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        before = last_step(killed.run)
        status = killed.kill(number, moment, draw)
        after, half_written = last_step(killed.run), killed.saving()
        in_flight += half_written
        print(f"{turn + 1}: {number.name} at {moment}: exit {status}, step {before} -> {after}", flush=True)
        assert after >= before, "a checkpoint was lost"
        assert status in (-number, 128 + number)
        if status == 128 + signal.SIGTERM:
            assert read_metric_lines(killed.run.metrics_file)[-1]["step"] == after
            assert not half_written
    assert in_flight > 0, "no kill fell into a save: try another seed"
    assert last_step(killed.run) < STEPS
    assert killed.start().wait(1800) == 0, killed.log.read_text()
    assert_same_run(whole, killed)
    print(f"{in_flight} of {KILLS} kills left a checkpoint half written; all ended the same", flush=True)


def assert_same_run(whole: Starter, killed: Starter) -> None:
    lines = numbers(killed.run)
    assert lines == numbers(whole.run)
    assert len(lines) == STEPS + STEPS // 20
    assert_same(*(whole_state(config_of(run.path.parent, run.path.name), run) for run in (killed.run, whole.run)))
    model = whole.run.config.model
    for name in ("best", *(str(step) for step in range(KEEP_EVERY, STEPS, KEEP_EVERY))):
        assert_same(read_params(killed.run, model, name), read_params(whole.run, model, name))
    assert not killed.run.damaged.exists()
    assert "is damaged" not in killed.log.read_text()
    assert [step for step in state_steps(killed.run) if step % KEEP_EVERY == 0] == [
        *range(KEEP_EVERY, STEPS, KEEP_EVERY)
    ]

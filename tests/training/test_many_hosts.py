"""Several processes on this machine train as one does, agree before they start, and end together."""

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from tiny_run import numbers, tiny_run, write_recipe, write_words

from tfmr.config import Config, MeshConfig
from tfmr.runs.metrics import read_metric_lines
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import state_steps

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
DEVICES = 4
LOST_AFTER = 10
PATIENCE = 500
"""Seconds: only what hangs takes so long."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, and beside it the run directories."""
    folder = tmp_path_factory.mktemp("many")
    write_words(folder, validation=11)
    return folder


def config_of(folder: Path, name: str, steps: int) -> Config:
    """With four processes of one device each, two hold the same rows, and every parameter is split over hosts."""
    asked = dict(accumulation=2, ema_decay=0.0, evaluate_every=4, bleu_sentences=-1, keep_last=50)
    config = tiny_run(folder, folder / name, steps=steps, **asked)
    return dataclasses.replace(config, mesh=MeshConfig(data=1, fsdp=2, tensor=2))


class Processes:
    """Processes that train together, DEVICES devices in all."""

    def __init__(self, config: Config, count: int, seconds: float = 0.0, of_process=lambda i: (), unreadable=None):
        Path(config.workdir).mkdir(exist_ok=True)
        stem = f"{config.workdir}-{count}"
        recipe = Path(f"{stem}.py")
        write_recipe(recipe, config)
        self.logs = [Path(f"{stem}-{i}.log") for i in range(count)]
        flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={DEVICES // count}"
        environment = {**os.environ, "XLA_FLAGS": flags}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.processes = []
        for i in range(count):
            command = [sys.executable, str(HERE / "one_of_many.py"), str(recipe), *of_process(i)]
            if count > 1:
                command += ["--distributed.coordinator-address", address, "--distributed.num-processes", str(count)]
                command += ["--distributed.lost-after", str(LOST_AFTER), "--distributed.connect-timeout", "120"]
            settings = {"RECORD": str(self.logs[i]), "SECONDS_A_BATCH": str(seconds), "JAX_PROCESS_ID": str(i)}
            if i == count - 1 and unreadable is not None:
                settings["UNREADABLE"] = str(unreadable)
            if count == 1:
                settings.pop("JAX_PROCESS_ID")
            with self.logs[i].open("w") as log:
                self.processes.append(
                    subprocess.Popen(command, stdout=log, stderr=log, env={**environment, **settings})
                )
        self.run = RunDirectory(Path(config.workdir))

    def wait(self, timeout: float = PATIENCE) -> list[int]:
        """Returns the exit statuses; what still runs after the time is killed and the logs are shown."""
        deadline = time.monotonic() + timeout
        try:
            return [process.wait(max(0.1, deadline - time.monotonic())) for process in self.processes]
        except subprocess.TimeoutExpired:
            raise AssertionError(self.told()) from None
        finally:
            for process in self.processes:
                process.kill()

    def wait_for_step(self, step: int) -> None:
        """Returns when metrics.jsonl tells of the step."""
        deadline = time.monotonic() + PATIENCE
        while not any(line["step"] >= step for line in read_metric_lines(self.run.metrics_file)):
            if time.monotonic() > deadline or any(process.poll() is not None for process in self.processes):
                self.wait(0)
                raise AssertionError(self.told())
            time.sleep(0.02)

    def told(self) -> str:
        """All that they wrote."""
        return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in self.logs)


def recorded(processes: Processes, what: str) -> list[list]:
    """By process, in order, the "batches" that it made or its "translations"."""
    files = [log.with_suffix(f".{what}") for log in processes.logs]
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


class Chain(NamedTuple):
    """A run by two, four and one process."""

    two: Processes
    four: Processes
    one: Processes
    statuses: list[int]
    """Of the two, that were stopped."""
    begun: list[dict]
    """Their lines of metrics.jsonl."""
    stopped: int
    """Their last step."""
    resumed: int
    """The step that the four continued from: one of them cannot read the newest checkpoint."""
    ended: int
    """The last step of the four."""


@pytest.fixture(scope="module")
def handed_on(folder):
    """A run that two processes began and one signal stopped, four continued, and one ended."""
    config = config_of(folder, "handed_on", steps=10_000)
    two = Processes(config, 2, seconds=0.1)
    two.wait_for_step(6)
    two.processes[1].send_signal(signal.SIGTERM)
    statuses = two.wait()
    stopped = state_steps(two.run)[-1]
    begun = numbers(two.run)
    ended = stopped // 4 * 4 + 8  # where one that is not stopped evaluates as well
    resumed = state_steps(two.run)[-2]
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, steps=ended))
    four = Processes(config, 4, unreadable=stopped)
    assert four.wait() == [0] * 4, four.told()
    one = Processes(dataclasses.replace(config, training=dataclasses.replace(config.training, steps=ended + 4)), 1)
    assert one.wait() == [0], one.told()
    return Chain(two, four, one, statuses, begun, stopped, resumed, ended)


@pytest.fixture(scope="module")
def alone(folder, handed_on):
    """The same run by one process that was never stopped."""
    one = Processes(config_of(folder, "alone", steps=handed_on.ended + 4), 1)
    assert one.wait() == [0], one.told()
    return one


def test_a_signal_to_one_stops_all_at_one_step(handed_on):
    stopped, begun = handed_on.stopped, handed_on.begun
    assert handed_on.statuses == [128 + signal.SIGTERM] * 2, handed_on.two.told()
    for log in handed_on.two.logs:
        assert f"stopped by SIGTERM after step {stopped}; a checkpoint was saved" in log.read_text()
    assert begun[-1]["step"] == stopped
    assert [line["step"] for line in begun if "loss" in line] == list(range(1, stopped + 1))


def test_handed_from_two_to_four_to_one_the_run_is_that_of_one(handed_on, alone):
    found, expected = numbers(handed_on.one.run), numbers(alone.run)
    assert len(found) == len(expected)
    for line, wanted in zip(found, expected, strict=True):
        assert line == pytest.approx(wanted, rel=1e-4)


def test_every_process_has_the_translations_of_one(handed_on, alone):
    two, four, one, _, begun, _, resumed, ended = handed_on
    [whole] = recorded(alone, "translations")
    assert len(whole[0]) == 11
    assert any(any(lines) for lines in whole)  # something is said
    by_step = dict(zip(range(4, ended + 5, 4), whole, strict=True))
    # The signal may have come in an evaluation, which was left.
    evaluated = max((line["step"] for line in begun if "validation/loss" in line), default=0)
    for processes, first, last in ((two, 0, evaluated), (four, resumed, ended), (one, ended, ended + 4)):
        expected = [lines for step, lines in by_step.items() if first < step <= last]
        for translations in recorded(processes, "translations"):
            assert translations == expected


def test_each_process_reads_its_rows_of_the_batches_of_one(handed_on, alone):
    [whole] = recorded(alone, "batches")
    for processes, first in ((handed_on.two, 0), (handed_on.four, handed_on.resumed), (handed_on.one, handed_on.ended)):
        parts = recorded(processes, "batches")
        for place in range(min(map(len, parts))):
            merged = {}
            for part in parts:
                assert len(part[place]) == (len(whole[first + place]) if len(parts) == 1 else len(whole[0]) // 2)
                merged |= part[place]
            if first + place < len(whole):
                assert merged == whole[first + place]


def test_damage_that_one_process_sees_is_set_aside_by_all(handed_on):
    four, stopped = handed_on.four, handed_on.stopped
    for i, log in enumerate(four.logs):
        reason = "not readable here" if i == 3 else "another host cannot read its part"
        assert f"checkpoints/{stopped}: damaged ({reason}); moved to" in log.read_text(), four.told()
    assert f"Continuing from step {handed_on.resumed}\n" in four.logs[0].read_text()
    assert (four.run.damaged / str(stopped)).is_dir()
    assert handed_on.resumed < stopped <= state_steps(four.run)[-1]


def test_one_process_writes_what_there_is_to_tell(handed_on):
    assert "Continuing from step" in handed_on.four.logs[0].read_text()
    for log in handed_on.four.logs[1:]:
        assert not re.search(r"Continuing|parameters|^step ", log.read_text(), re.MULTILINE)
    assert handed_on.one.run.config.distributed == Config().distributed


@pytest.mark.parametrize("victim", [1, 0])
def test_a_killed_process_is_named_by_the_other(folder, victim):
    two = Processes(config_of(folder, f"killed_{victim}", steps=10_000), 2, seconds=0.1)
    two.wait_for_step(2)
    two.processes[victim].kill()
    killed = time.monotonic()
    statuses = two.wait(60)
    assert time.monotonic() - killed < 60
    assert statuses[1 - victim] == 1
    message = two.logs[1 - victim].read_text()
    named = f"error: process {victim} on host {socket.gethostname()}"
    assert f"{named} is lost" in message or f"{named}, which ran the coordination service, is lost" in message, message


def test_processes_that_disagree_end_with_what_differs(folder):
    config = config_of(folder, "disagreeing", steps=4)
    two = Processes(config, 2, of_process=lambda i: ["--training.seed", str(3 + i)])
    assert two.wait() == [2, 2]
    host = socket.gethostname()
    message = (
        f"error: hosts disagree: process 1 on host {host} has training.seed = 4, but process 0 on host {host} has 3"
    )
    for log in two.logs:
        assert message in log.read_text()
    assert not two.run.config_file.exists()

"""Signals end commands soon, whatever they are doing, and leave nothing half-written."""

import signal
import subprocess
import sys
import time

import pytest

BUSY = {
    "python": "while True: time.sleep(0.01)",
    # Like a library that trains a tokenizer or compiles: no handler of Python runs for a long time.
    "a library": "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",
}

PROGRAM = """
import hashlib, sys, time
from pathlib import Path
from tfmr.cli import ending, run
from tfmr.data.files import temporary_path

def command(arguments):
    temporary = temporary_path(Path(arguments[0]))
    temporary.mkdir()
    (temporary / "half").write_text("written")
    try:
        print("ready", flush=True)
        BUSY
    finally:
        (temporary / "half").unlink()
        temporary.rmdir()

ending.GRACE = 0.5
run(command, sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("busy", BUSY)
def test_a_command_ends_and_leaves_nothing(tmp_path, busy, number):
    command = [sys.executable, "-c", PROGRAM.replace("BUSY", BUSY[busy]), str(tmp_path / "output")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        sent = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert time.monotonic() - sent < 5
    assert process.returncode == 128 + number
    assert errors == {signal.SIGTERM: "error: terminated\n", signal.SIGINT: "error: interrupted\n"}[number]
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored():
    program = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); from tfmr.cli import run; "
        "run(lambda _: os.kill(os.getpid(), signal.SIGTERM) or print('went on'), [])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "went on\n"


def test_training_tells_that_a_signal_has_arrived():
    program = (
        "import os, signal, time; from tfmr.cli import ending, run; ending.GRACE = 0.1; "
        "run(lambda _: signal.signal(signal.SIGTERM, lambda *_: time.sleep(0.5)) and "
        "os.kill(os.getpid(), signal.SIGTERM), [])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr == "SIGTERM received: stopping as soon as the current computation ends\n"

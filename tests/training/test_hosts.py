"""What processes tell each other, by a store in memory in place of jax's."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import jax
import pytest

from tfmr.errors import InputError
from tfmr.training.evaluation import evaluate_loss
from tfmr.training.hosts import Hosts, ManyHosts, end_at_the_second
from tfmr.training.signals import Interrupted, StopSignals


class Store:
    """The part of jax's key-value store that is used."""

    def __init__(self):
        self.values = {}

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self.values
        self.values[key] = value

    def key_value_dir_get(self, folder):
        return [(key, value) for key, value in self.values.items() if key.startswith(folder)]

    def blocking_key_value_get(self, key, timeout_in_ms):
        deadline = time.monotonic() + 20
        while key not in self.values:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return self.values[key]


class Died(BaseException):
    """In place of the end of the process."""


class Unwatched(ManyHosts):
    """One of several processes, without its thread."""

    def __init__(self, store, index, count, lost_after=10.0):
        self._client, self.index, self.count = store, index, count
        self._names = [f"host{i}" for i in range(count)]
        self._lost_after, self._step, self._answers = lost_after, 0, 0

    def _die(self, message, status=1):
        raise Died(message)


def agree_all(values):
    """What each process hears when these values are compared."""
    store, heard = Store(), {}

    def one(i):
        try:
            Unwatched(store, i, len(values)).agree("start", values[i])
            heard[i] = ""
        except InputError as error:
            heard[i] = str(error)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(values))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(heard.values())) == 1
    return heard[0]


def test_alike_processes_agree():
    assert agree_all([{"seed": 1, "corpus": "a"}] * 3) == ""
    Hosts().agree("start", {"seed": 1})


def test_the_one_that_differs_from_most_is_named():
    heard = agree_all([{"seed": 2}, {"seed": 3}, {"seed": 3}])
    assert heard == "hosts disagree: process 0 on host host0 has seed = 2, but process 1 on host host1 has 3"


def test_of_two_the_first_is_right():
    heard = agree_all([{"seed": 2, "x": None}, {"seed": 3, "x": None}])
    assert heard == "hosts disagree: process 1 on host host1 has seed = 3, but process 0 on host host0 has 2"


def test_the_first_works_before_the_others():
    store, order = Store(), []
    first, second = (Unwatched(store, i, 2) for i in range(2))
    other = threading.Thread(target=lambda: second.first_then_others(lambda: order.append(1)))
    other.start()
    time.sleep(0.05)
    assert order == []
    first.first_then_others(lambda: order.append(0))
    other.join()
    assert order == [0, 1]


def looked_at(store, hosts, beats, warned, now, monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: now)
    hosts._check(beats, warned)


def test_a_process_without_a_sign_of_life_is_lost(monkeypatch):
    store = Store()
    hosts = Unwatched(store, 0, 3)
    beats = {i: ("0 0", 0.0) for i in range(3)}
    for now in range(0, 30, 2):
        store.values |= {"tfmr/beats/0": f"{now} 9", "tfmr/beats/1": f"{now} 9", "tfmr/read/1": "read"}
        if now <= 6:
            store.values["tfmr/beats/2"] = f"{now} 7"
        elif now - 6 > 10:
            with pytest.raises(Died, match="process 2 on host host2 is lost: no heartbeat for 12 s after step 7"):
                looked_at(store, hosts, beats, set(), float(now), monkeypatch)
            assert "host2 is lost" in store.values["tfmr/end/0"]  # the others read it there
            with pytest.raises(Died, match="process 2 on host host2 is lost"):
                Unwatched(store, 1, 3)._end_if_told()
            return
        looked_at(store, hosts, beats, set(), float(now), monkeypatch)


def test_a_process_that_lags_is_named_once(monkeypatch, caplog):
    store = Store()
    hosts = Unwatched(store, 0, 2)
    beats = {i: ("0 0", 0.0) for i in range(2)}
    warned = set()
    with caplog.at_level(logging.WARNING, "tfmr"):
        for now in range(0, 30, 2):
            steps = (now, now) if now < 10 else (11, 10)
            store.values |= {f"tfmr/beats/{i}": f"{now} {step}" for i, step in enumerate(steps)}
            looked_at(store, hosts, beats, warned, float(now), monkeypatch)
    assert caplog.messages == [
        "process 1 on host host1 is slow: it has been at step 10 for 6 s while others wait at step 11"
    ]


def is_caught(number):
    """Whether this process has a handler of a signal, by the system's account."""
    with open("/proc/self/status") as status:
        caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
    return bool(caught >> (number - 1) & 1)


@pytest.fixture
def noted():
    """How often a handler that is not Python's, as jax's of SIGTERM, was called with SIGUSR1."""
    calls = []
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(calls.append)
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    ctypes.CDLL(None).signal(signal.SIGUSR1, handler)
    yield calls
    signal.signal(signal.SIGUSR1, before)


def test_the_first_signal_is_noted_and_a_second_would_end_the_process(noted):
    end_at_the_second(signal.SIGUSR1)
    assert is_caught(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert noted == [signal.SIGUSR1]
    assert not is_caught(signal.SIGUSR1)


def test_of_many_an_interrupt_is_handed_on_and_a_second_would_end_the_process(monkeypatch):
    sent = []
    with StopSignals(Unwatched(Store(), 0, 2)):
        monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
        signal.raise_signal(signal.SIGINT)
        assert sent == [(os.getpid(), signal.SIGTERM)]
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Preempted(Hosts):
    """One of several processes that all stop at the same question."""

    def __init__(self, questions):
        self.count, self._questions = 2, questions

    def must_stop(self):
        self._questions -= 1
        return self._questions == 0


def test_of_many_all_leave_an_evaluation_after_the_same_batch():
    evaluated, batches = [], [{"number": number} for number in range(9)]

    def sums(batch):
        evaluated.append(batch)
        return 1.0, 1

    signals = StopSignals(Preempted(3))
    assert not signals.stop_now()
    with pytest.raises(Interrupted), signals.interrupting():
        evaluate_loss(sums, batches)
    assert evaluated == batches[:2]
    assert signals.received == signal.SIGTERM
    assert evaluate_loss(sums, batches) == 1.0  # an evaluation outside training is not ended


def test_of_one_an_evaluation_ends_within_a_batch():
    with StopSignals(Hosts()) as signals:
        with pytest.raises(Interrupted), signals.interrupting():
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted), signals.interrupting():  # it has come before
            pytest.fail("this is not reached")
        assert signals.stop_now() == signal.SIGTERM


def python(program: str) -> subprocess.CompletedProcess:
    """Runs a program in a process of its own, with this one's environment."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)


ABORT = "import os, sys, signal; from tfmr.training.hosts import call_before_abort; {}; os.abort()"


def test_a_function_is_called_before_an_abort():
    ended = python(ABORT.format("call_before_abort(lambda: print('called', flush=True))"))
    assert ended.stdout == "called\n", ended.stderr
    assert ended.returncode == -signal.SIGABRT


def test_call_before_abort_can_go_when_python_can_do_it():
    ended = python(ABORT.format("signal.signal(signal.SIGABRT, lambda *_: print('called', flush=True))"))
    assert ended.returncode == -signal.SIGABRT
    assert ended.stdout == "", "Python's handlers run before an abort: use signal.signal in call_before_abort"


TWO_SIGNALS = """
import os, signal, socket, jax
from tfmr.training.hosts import coordination_service, end_at_the_second
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{{free.getsockname()[1]}}"
jax.distributed.initialize(address, 1, 0)
client, at = coordination_service()
client.key_value_set("name", "value")
assert (client.blocking_key_value_get("name", 1000), at) == ("value", address)
{}
for number in (1, 2):
    os.kill(os.getpid(), signal.SIGTERM)
    print("alive after", number, flush=True)
os._exit(0)
"""


def test_with_jax_the_second_signal_ends_the_process():
    ended = python(TWO_SIGNALS.format("end_at_the_second(signal.SIGTERM)"))
    assert ended.stdout == "alive after 1\n", ended.stderr
    assert ended.returncode == -signal.SIGTERM


def test_end_at_the_second_can_go_when_jax_does_it():
    ended = python(TWO_SIGNALS.format(""))
    assert ended.stdout == "alive after 1\nalive after 2\n", "JAX's handler ends at the second: remove ours"


def test_coordination_service_can_go_when_jax_has_a_public_key_value_store():
    public = {name for name in dir(jax.distributed) if not name.startswith("_")}
    assert not [name for name in public if "client" in name or "key_value" in name or "store" in name]

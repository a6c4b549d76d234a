"""The time left and the rate that training shows, by a clock that the tests move."""

import dataclasses
import time

import jax
import pytest

from tfmr.runs import working_time as clock_module
from tfmr.runs.metrics import MetricsWriter, Progress
from tfmr.training.metrics_reader import MetricsReader


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The only entry is the time; nothing has been compiled."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(clock_module, "_compiling", [])
    return now


def compile_for(clock: list[float], seconds: float) -> None:
    """Compiles as JAX does: a function is traced inside another one, then all of it is lowered and compiled."""
    for part, event in ((0.1, "jaxpr_trace"), (0.2, "jaxpr_trace"), (0.3, "jaxpr_to_mlir_module")):
        clock[0] += (part if event != "jaxpr_trace" else 0.1) * seconds
        jax.monitoring.record_event_duration_secs(f"/jax/core/compile/{event}_duration", part * seconds)
    clock[0] += 0.5 * seconds
    jax.monitoring.record_event_duration_secs("/jax/core/compile/backend_compile_duration", 0.5 * seconds)
    jax.monitoring.record_event_duration_secs("/jax/another/duration", 100.0)


def test_compiling_is_not_taken_for_speed(clock: list[float], capsys: pytest.CaptureFixture[str]):
    shown = Progress(0, 100, shown=True)
    compile_for(clock, 60.0)
    clock[0] += 0.5
    shown.show(1, {"loss": 2.0, "tokens_per_second": 8.0})
    assert capsys.readouterr().err == "step 1/100  loss 2.0000  8 tokens/s  0:50 left\n"
    shown.show(100, {"loss": 2.0, "tokens_per_second": 8.0, "mfu": 0.4126})
    assert capsys.readouterr().err == "step 100/100  loss 2.0000  8 tokens/s  MFU 41.3%  0:00 left\n"


def test_jax_tells_when_it_compiles():
    before = clock_module.working_time()
    number = len(clock_module._compiling)
    jax.jit(lambda x: x * 3 + 1)(1.0)
    assert len(clock_module._compiling) > number
    assert before < clock_module.working_time()


@dataclasses.dataclass
class Metric:
    """A number that a device computes until some time."""

    clock: list[float]
    value: float
    ready_at: float

    def __float__(self) -> float:
        self.clock[0] = max(self.clock[0], self.ready_at)
        return self.value


class Writer(MetricsWriter):
    """Keeps what is written."""

    def __init__(self):
        self.rates: dict[int, float] = {}
        self.utilisations: dict[int, float] = {}

    def write(self, step, values):
        self.rates[step], self.utilisations[step] = values["tokens_per_second"], values["mfu"]


@pytest.mark.parametrize("waits", [True, False], ids=["dispatch runs the step", "dispatch returns at once"])
@pytest.mark.parametrize("log_every", [1, 2])
def test_the_rate_is_that_of_the_steps_even_before_an_evaluation(
    clock: list[float], waits: bool, log_every: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jax, "device_get", lambda metrics: metrics)
    writer = Writer()
    reader = MetricsReader(writer, Progress(0, 8, shown=False), log_every, lambda: None)
    ready_at = clock[0]
    for step in range(1, 9):
        if step in (1, 2, 6):
            reader.finish()
            compile_for(clock, 30.0)
        ready_at = max(ready_at, clock[0]) + 2.0  # steps of two seconds, one after another
        if waits:
            clock[0] = ready_at
        values = {"loss": 3.0, "tokens": 100.0, "skipped_in_a_row": 0.0}
        metrics = {name: Metric(clock, value, ready_at) for name, value in values.items()}
        reader.read_previous(step, metrics, 0.008)  # a token; 0.8 s a step
        if step in (4, 8):
            reader.finish()
            clock[0] += 1000.0  # the evaluation
            reader.restart_clock()
    assert list(writer.rates) == list(range(log_every, 9, log_every))
    assert all(24.0 < rate < 51.0 for rate in writer.rates.values()), writer.rates
    assert [writer.rates[step] for step in (4, 8)] == pytest.approx([50.0, 50.0])
    assert [writer.utilisations[step] for step in (4, 8)] == pytest.approx([0.4, 0.4])

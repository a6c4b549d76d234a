"""The loop of training: steps, evaluations and checkpoints, until the end or a signal to stop."""

import contextlib
import dataclasses
import logging
import math
import signal
from collections.abc import Callable, Iterator
from typing import Any

import jax

from tfmr.config import Config
from tfmr.data.batching import Bucket
from tfmr.data.loader import Cursor, prefetch
from tfmr.models.trainable import Trainable
from tfmr.runs.checkpoints import Checkpointer
from tfmr.runs.metrics import MetricsWriter, Progress
from tfmr.runs.run_directory import RunDirectory
from tfmr.training.hosts import Hosts
from tfmr.training.metrics_reader import MetricsReader
from tfmr.training.profile import Profile
from tfmr.training.signals import Interrupted, StopSignals
from tfmr.training.state import TrainState, checkpoint_items, checkpoint_targets, state_from_items

log = logging.getLogger("tfmr")


class Stopped(Exception):
    """A signal stopped training after a checkpoint was saved."""

    def __init__(self, signal_number: int, step: int):
        """Takes the number of the signal and the step that was saved."""
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step}; a checkpoint was saved")
        self.signal_number = signal_number


@dataclasses.dataclass
class Standing:
    """What a checkpoint contains besides the state: the position in the data and the best evaluation."""

    place: Cursor = dataclasses.field(default_factory=Cursor)
    best: float = math.inf
    worse: int = 0
    """Evaluations since the best one."""
    corpus: str = ""
    """The hash of the corpus on which it was evaluated; "" in older checkpoints."""
    to_evaluate: bool = False
    """Whether the evaluation of this step is due and has not ended."""

    def to_json(self) -> dict[str, Any]:
        best = self.best if math.isfinite(self.best) else None  # JSON has no infinity
        return {**dataclasses.asdict(self), "place": list(self.place), "best": best}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Standing":
        best = math.inf if values["best"] is None else values["best"]
        # Earlier versions evaluated before they saved.
        rest = values.get("corpus", ""), values.get("to_evaluate", False)
        return cls(Cursor(*values["place"]), best, values["worse"], *rest)


@dataclasses.dataclass
class Loop:
    """What a run trains, and with what; `run_to_the_end` trains it."""

    config: Config
    run: RunDirectory
    step: Callable
    batches: Callable[[Cursor], Iterator[tuple[dict, Cursor, Bucket]]]
    seconds_at_peak: Callable[[Bucket], float]
    """See `utilisation.seconds_at_peak`."""
    validation: Callable[[Any], dict[str, float]]
    checkpointer: Checkpointer
    hosts: Hosts
    corpus: str
    """The hash of its content."""
    corpus_has_changed: bool
    trainable: Trainable
    assemble: Callable[[Any, Any], Any]
    """`Trainable.assemble` on the mesh."""

    def run_to_the_end(self, state: TrainState, sharding: TrainState) -> None:
        """Runs all remaining steps, from the newest checkpoint if there is one."""
        standing = Standing()
        self.hosts.agree("checkpoint", {"the newest checkpoint": self.checkpointer.latest_step()})
        found = self.checkpointer.restore_newest(checkpoint_targets(state, sharding, self.trainable))
        if found is not None:
            items, values = found
            state = state_from_items(items, self.trainable, state.frozen)
            standing = Standing.from_json(values)
            log.info("Continuing from step %d", int(state.step))
        first_step = int(state.step)
        changed = found is not None and (self.corpus_has_changed or standing.corpus not in ("", self.corpus))
        if changed:  # evaluations on different corpora cannot be compared
            standing.best, standing.worse = math.inf, 0
        standing.corpus = self.corpus
        self.hosts.agree("place", {"the first step": first_step, **standing.to_json()})
        metrics_file = self.run.metrics_file if self.hosts.is_first else None
        writer = MetricsWriter(metrics_file, first_step, evaluated=not standing.to_evaluate)
        progress = Progress(first_step, self.config.training.steps, shown=self.hosts.is_first)
        if changed:
            writer.write(first_step, {"corpus_changed": 1})
        profile = self._profile(first_step, progress)
        # The last checkpoint is complete only when it is closed.
        with (
            StopSignals(self.hosts) as signals,
            contextlib.closing(profile),
            contextlib.closing(self.checkpointer),
            contextlib.closing(writer),
        ):
            self._steps(state, first_step, standing, writer, progress, signals, profile)

    def _profile(self, first_step: int, progress: Progress) -> Profile:
        steps = self.config.training.profiled if self.hosts.is_first else None
        if steps is not None and first_step >= steps[0]:
            log.info(
                "training.profile_steps = %r: no profile, since training continues after step %d; choose later steps",
                *(self.config.training.profile_steps, first_step),
            )
            steps = None
        return Profile(steps, self.run.profile, progress.print)

    def _steps(self, state, first_step, standing, writer, progress, signals, profile) -> None:
        training = self.config.training
        reader = MetricsReader(writer, progress, training.log_every, self.checkpointer.latest_step)
        step, stop, had_ended = first_step, 0, not standing.to_evaluate
        compiled = set()
        with contextlib.closing(prefetch(self.batches(standing.place))) as batches:
            if standing.to_evaluate:
                stop = self._evaluate(step, state, standing, writer, progress, signals)
            while not stop and not self._has_ended(step, standing):
                batch, standing.place, bucket = next(batches)
                shape = tuple(array.shape for array in jax.tree.leaves(batch))
                if shape not in compiled:
                    reader.finish()  # measures the last step without the compilation of the next one
                    compiled.add(shape)
                if profile.starts_at(step + 1):
                    reader.finish()  # the steps before do not belong to the profile
                    profile.start()
                with profile.step(step + 1):
                    state, metrics = self.step(state, batch)
                step += 1
                self.hosts.at_step(step)
                stop = signals.stop_now()
                self.checkpointer.raise_failed_save()
                reader.read_previous(step, metrics, self.seconds_at_peak(bucket))
                if profile.ends_at(step):
                    reader.finish()
                    profile.close()
                    reader.restart_clock()
                standing.to_evaluate = step == training.steps or _is_due(step, training.evaluate_every)
                if stop or self._is_to_save(step, standing):
                    reader.finish()
                    self._save(step, state, standing, writer)
                if standing.to_evaluate and not stop:
                    reader.finish()
                    stop = self._evaluate(step, state, standing, writer, progress, signals)
                    reader.restart_clock()
        if stop:
            raise Stopped(stop, step)
        self._save(step, state, standing, writer)
        self._report_end(step, had_ended and step == first_step, progress)

    def _has_ended(self, step: int, standing: Standing) -> bool:
        patience = self.config.training.patience
        return step >= self.config.training.steps or (patience > 0 and standing.worse >= patience)

    def _is_to_save(self, step: int, standing: Standing) -> bool:
        training = self.config.training
        # There must be no best parameters without a state: a run that has only these cannot be continued.
        is_first = standing.to_evaluate and self.checkpointer.latest_step() is None
        return is_first or _is_due(step, training.checkpoint_every) or _is_due(step, training.keep_every)

    def _save(self, step, state, standing, writer) -> None:
        writer.flush()  # no checkpoint may be ahead of metrics.jsonl
        self.checkpointer.save(step, checkpoint_items(state, self.trainable), standing.to_json())

    def _evaluate(self, step, state, standing, writer, progress, signals) -> int:
        """Evaluates a step. Returns the signal that interrupted it, after saving a checkpoint that repeats it, or 0."""
        learning = state.params if state.ema_params is None else state.ema_params
        try:
            with signals.interrupting():
                values = self.validation(self.assemble(learning, state.frozen))
        except Interrupted:
            self._save(step, state, standing, writer)
            return signals.received
        writer.write(step, {f"validation/{name}": value for name, value in values.items()})
        writer.flush()
        progress.print(
            f"step {step}  validation  " + "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        )
        standing.to_evaluate = False
        self._compare(step, values, self.trainable.stored(learning, state.frozen), standing, progress)
        self.checkpointer.amend(step, standing.to_json())
        return 0

    def _compare(self, step, values, params, standing, progress) -> None:
        """Keeps the parameters if they are the best so far."""
        name = self.config.training.best_metric
        cost = -values[name] if self.config.data.metrics[name] == "max" else values[name]
        if not math.isfinite(cost):
            progress.print(
                f"step {step}  validation/{name} is {values[name]}: ignored for the best checkpoint and for patience"
            )
        elif cost < standing.best:
            standing.best, standing.worse = cost, 0
            self.checkpointer.save_best(step, params, self.trainable.item)
        else:
            standing.worse += 1

    def _report_end(self, step: int, had_ended: bool, progress: Progress) -> None:
        training = self.config.training
        early = step < training.steps
        if early:
            progress.print(
                f"stopped early after step {step} of {training.steps}: {training.best_metric} has not improved in "
                f"{training.patience} evaluations (training.patience); the best parameters are in {self.run.best}"
            )
        if had_ended:
            option = "training.patience" if early else "training.steps"
            progress.print(f"{self.run.path}: training has already ended; raise {option} to continue")


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0

"""`fit`: runs a task, with steps, evaluations and checkpoints, until the end or a signal to stop."""

import contextlib
import dataclasses
import functools
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from tfmr.config import Config, DistributedConfig
from tfmr.data.batching import BatchPlan, Bucket, with_rows
from tfmr.data.corpus import Corpus, Split, prepare_corpus
from tfmr.data.loader import Cursor, batches_from, prefetch
from tfmr.errors import InputError
from tfmr.models import build_model
from tfmr.models.trainable import Trainable
from tfmr.runs.base import Base, base_of, with_base
from tfmr.runs.checkpoints import Checkpointer
from tfmr.runs.lock import locked
from tfmr.runs.metrics import MetricsWriter, Progress
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.storage import check_writable, writing_named
from tfmr.runs.working_time import working_time
from tfmr.training import distributed
from tfmr.training.fine_tuning import assembling, learning_of, read_start
from tfmr.training.hosts import Hosts, join
from tfmr.training.optimizer import make_optimizer, make_schedule
from tfmr.training.profile import Profile
from tfmr.training.resume import check_may_train, check_same_run, corpus_has_changed, what_must_agree
from tfmr.training.sharding import batch_parts, make_mesh, rows_here, to_devices
from tfmr.training.signals import Interrupted, StopSignals
from tfmr.training.start_lines import start_lines
from tfmr.training.state import TrainState, checkpoint_items, checkpoint_targets, make_sharded_state, state_from_items
from tfmr.training.step import compile_for_mesh, make_train_step
from tfmr.training.task import Task
from tfmr.training.utilisation import seconds_at_peak

log = logging.getLogger("tfmr")

MOST_SKIPPED = 10
"""Training ends after this many consecutive steps without a finite gradient. A single one can be due to its batch."""


class Stopped(Exception):
    """A signal stopped training after a checkpoint was saved."""

    def __init__(self, signal_number: int, step: int):
        """Takes the number of the signal and the step that was saved."""
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step}; a checkpoint was saved")
        self.signal_number = signal_number


class Diverged(Exception):
    """Too many consecutive steps had no finite gradient, so training made no progress."""


def fit(task: Task, config: Config) -> RunDirectory:
    """Trains what a configuration describes in `config.workdir`, or continues a run that was stopped there.

    `task_for(config)` is the task of the kinds of data that come with the package.

    Raises:
      InputError: before the first step, if configuration, corpus and run directory are incompatible.
      Stopped: on SIGINT or SIGTERM, after saving a checkpoint.
      Diverged: if `MOST_SKIPPED` steps in a row had no finite gradient.
    """
    distributed.start(config.distributed)
    hosts = join(config.distributed.lost_after)
    if not hosts.is_first:
        log.setLevel(logging.WARNING)
    try:
        run = _fit(task, config, hosts)
    except (Stopped, Diverged):  # raised after the same step in all processes
        hosts.end()
        raise
    except BaseException as error:
        hosts.fail(error)
        raise
    hosts.end()
    return run


def _fit(task: Task, config: Config, hosts: Hosts) -> RunDirectory:
    run = RunDirectory(config.workdir)
    check_writable(run.path)
    # The processes of a run share one lock.
    with locked(run.path / "lock", "training") if hosts.is_first else contextlib.nullcontext():
        return _train(task, config, hosts, run)


def _train(task: Task, config: Config, hosts: Hosts, run: RunDirectory) -> RunDirectory:
    # Before the corpus is prepared, which may take hours.
    check_may_train(run)
    base = base_of(run, config.fine_tuning)
    config, tokenizer = with_base(config, run, base)
    check_same_run(run, config, is_complete=False)
    if base is not None:  # the vocabulary has its size already
        learning_of(config, base)
    mesh = make_mesh(config.mesh)
    corpus = hosts.first_then_others(lambda: prepare_corpus(config.data, tokenizer))
    config = dataclasses.replace(config, model=task.complete(config.model, corpus))
    check_same_run(run, config)
    task.check_continues(run, corpus)
    has_changed = corpus_has_changed(run, task, corpus, config)
    # Before anything runs on the devices of all hosts: they would hang if their programs differed.
    if hosts.count > 1:
        hosts.agree("start", what_must_agree(config, task.identity(corpus), base))
    split = corpus.split("train")
    plan = split.plan(config.data)

    training = config.training
    model = build_model(config.model)
    schedule = make_schedule(training, config.model.d_model)
    trainable, factors = learning_of(config, base)
    optimizer = make_optimizer(training, schedule, factors)
    key = jax.random.key(training.seed)
    start = None if base is None else read_start(model, base, config.fine_tuning, key, mesh)
    state, sharding = make_sharded_state(
        model, optimizer, key, mesh, ema=training.ema_decay > 0, trainable=trainable, params=start
    )
    del start
    hosts.first_then_others(
        lambda: _write_run_files(task, run, config, corpus, base) if hosts.is_first else _await(run)
    )
    # Hosts take different times to compile, and the first program that runs on all of them has a short timeout (30 s
    # with gloo).
    hosts.agree("ready", {})
    train_step = make_train_step(model, optimizer, schedule, training, loss=task.loss, trainable=trainable)
    loop = _Loop(
        config=config,
        run=run,
        step=compile_for_mesh(train_step, mesh, sharding),
        batches=lambda cursor: _device_batches(plan, split, cursor, mesh, training.accumulation),
        seconds_at_peak=seconds_at_peak(config.model, mesh),
        validation=task.validation(model, corpus, config, mesh),
        checkpointer=Checkpointer(run, training.keep_last, training.keep_every),
        hosts=hosts,
        corpus=corpus.content_hash(),
        corpus_has_changed=has_changed,
        trainable=trainable,
        assemble=assembling(model, mesh, trainable),
    )
    work, devices = start_lines(config, mesh, plan, state.params, state.frozen)
    log.info("%s: %s", run.path, work)
    log.info("%s", devices)
    loop.run_to_the_end(state, sharding)
    return run


def _write_run_files(task: Task, run: RunDirectory, config: Config, corpus: Corpus, base: Base | None) -> None:
    with writing_named(run.path):
        # How the processes found each other does not belong to the run.
        run.write_config(dataclasses.replace(config, distributed=DistributedConfig()))
        run.write_corpus_hash(corpus.content_hash())
        task.write_files(run, corpus)
        if base is not None:
            base.record_in(run)


def _await(run: RunDirectory) -> None:
    deadline = time.monotonic() + 30  # network file systems show new files with a delay
    while not run.config_file.exists():
        if time.monotonic() > deadline:
            raise InputError(
                f"{run.path}: the files of process 0 are not visible here; choose a --workdir on a shared file system"
            )
        time.sleep(0.5)


def _device_batches(
    plan: BatchPlan, split: Split, cursor: Cursor, mesh: jax.sharding.Mesh, accumulation: int
) -> Iterator[tuple[dict, Cursor, Bucket]]:
    multiple = batch_parts(mesh) * accumulation
    for batch, following in batches_from(plan, cursor):
        arrays = split.arrays(batch, rows_multiple=multiple, rows_of=functools.partial(rows_here, mesh))
        yield to_devices(arrays, mesh, with_rows(batch.bucket, multiple).rows), following, batch.bucket


@dataclasses.dataclass
class _Standing:
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
    def from_json(cls, values: dict[str, Any]) -> "_Standing":
        best = math.inf if values["best"] is None else values["best"]
        # Earlier versions evaluated before they saved.
        rest = values.get("corpus", ""), values.get("to_evaluate", False)
        return cls(Cursor(*values["place"]), best, values["worse"], *rest)


@dataclasses.dataclass
class _Loop:
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
        standing = _Standing()
        self.hosts.agree("checkpoint", {"the newest checkpoint": self.checkpointer.latest_step()})
        found = self.checkpointer.restore_newest(checkpoint_targets(state, sharding, self.trainable))
        if found is not None:
            items, values = found
            state = state_from_items(items, self.trainable, state.frozen)
            standing = _Standing.from_json(values)
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
        reader = _MetricsReader(writer, progress, training.log_every, self.checkpointer.latest_step)
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

    def _has_ended(self, step: int, standing: _Standing) -> bool:
        patience = self.config.training.patience
        return step >= self.config.training.steps or (patience > 0 and standing.worse >= patience)

    def _is_to_save(self, step: int, standing: _Standing) -> bool:
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


class _MetricsReader:
    """Reads the metrics of each step after the next step has been dispatched, so that the device never waits."""

    def __init__(
        self, writer: MetricsWriter, progress: Progress, log_every: int, latest_step: Callable[[], int | None]
    ):
        self._writer = writer
        self._progress = progress
        self._log_every = log_every
        self._latest_step = latest_step
        self._waiting: tuple[int, dict, float] | None = None
        self.restart_clock()

    def restart_clock(self) -> None:
        """Excludes the time since the last step from tokens per second and MFU."""
        # The number of tokens, and the seconds that they would take at the peak of the chips.
        self._work, self._since = np.zeros(2), working_time()
        self._all_work, self._start = self._work, self._since

    def read_previous(self, step: int, metrics: dict, seconds_at_peak: float = 0.0) -> None:
        """Takes the metrics of the step that was just dispatched, and reads those of the previous step.

        `seconds_at_peak` is what each of its tokens would take at the peak of the chips; 0 if that is not known.
        """
        self._read()
        self._waiting = (step, metrics, seconds_at_peak)

    def finish(self) -> None:
        """Reads the metrics of the last dispatched step."""
        # The step before may have been read only when this one had ended, and the time in between is not a step's.
        if self._waiting is not None:
            self._work, self._since = self._all_work, self._start
        self._read()

    def _read(self) -> None:
        if self._waiting is None:
            return
        step, metrics, seconds_at_peak = self._waiting
        self._waiting = None
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        tokens = values.pop("tokens")
        work = np.array([tokens, tokens * seconds_at_peak])
        self._work, self._all_work = self._work + work, self._all_work + work
        self._report_skipped(step, int(values.pop("skipped_in_a_row")))
        if step % self._log_every:
            return
        now = working_time()
        values["tokens_per_second"], utilisation = (self._work / max(now - self._since, 1e-9)).tolist()
        if utilisation > 0:
            values["mfu"] = utilisation
        self._work, self._since = np.zeros(2), now
        self._writer.write(step, values)
        self._progress.show(step, values)

    def _report_skipped(self, step: int, in_a_row: int) -> None:
        """Reports a skipped step; raises Diverged if there were too many in a row."""
        if in_a_row == 0:
            return
        self._progress.print(f"step {step}  skipped: the gradient is not finite ({in_a_row} in a row)")
        if in_a_row >= MOST_SKIPPED:
            saved = self._latest_step()
            raise Diverged(
                f"step {step}: no finite gradient in {in_a_row} consecutive steps (newest checkpoint: "
                f"{saved or 'none'}); start over in another --workdir with a lower training.learning_rate or with "
                "training.gradient_clip"
            )

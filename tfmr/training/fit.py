"""`fit`: prepares what a configuration describes, and trains it."""

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Iterator

import jax

from tfmr.config import Config, DistributedConfig
from tfmr.data.batching import BatchPlan, Bucket, with_rows
from tfmr.data.corpus import Corpus, Split, prepare_corpus
from tfmr.data.loader import Cursor, batches_from
from tfmr.errors import InputError
from tfmr.models import build_model
from tfmr.runs.base import Base, base_of, with_base
from tfmr.runs.checkpoints import Checkpointer
from tfmr.runs.lock import locked
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.storage import check_writable, writing_named
from tfmr.training import distributed
from tfmr.training.fine_tuning import assembling, learning_of, read_start
from tfmr.training.hosts import Hosts, join
from tfmr.training.loop import Loop, Stopped
from tfmr.training.metrics_reader import Diverged
from tfmr.training.optimizer import make_optimizer, make_schedule
from tfmr.training.resume import check_may_train, check_same_run, corpus_has_changed, what_must_agree
from tfmr.training.sharding import batch_parts, make_mesh, rows_here, to_devices
from tfmr.training.start_lines import start_lines
from tfmr.training.state import make_sharded_state
from tfmr.training.step import compile_for_mesh, make_train_step
from tfmr.training.task import Task
from tfmr.training.utilisation import seconds_at_peak

log = logging.getLogger("tfmr")


def fit(task: Task, config: Config) -> RunDirectory:
    """Trains what a configuration describes in `config.workdir`, or continues a run that was stopped there.

    `task_for(config)` is the task of the kinds of data that come with the package.

    Raises:
      InputError: before the first step, if configuration, corpus and run directory are incompatible.
      Stopped: on SIGINT or SIGTERM, after saving a checkpoint.
      Diverged: if too many steps in a row had no finite gradient.
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
    loop = Loop(
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

"""Parameters from the checkpoints of a run, to translate with: which there are, and reading them.

A folder of checkpoints holds one folder a step, written by orbax; its item `params` holds the parameters, and
`ema_params` their exponential moving average where one is kept.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import orbax.checkpoint as ocp

from tfmr.config import TransformerConfig
from tfmr.errors import InputError
from tfmr.models import Transformer
from tfmr.run_directory import RunDirectory


def state_steps(run: RunDirectory) -> list[int]:
    """Returns the steps of the run's whole states, ascending."""
    return sorted(ocp.utils.checkpoint_steps(run.checkpoints)) if run.checkpoints.is_dir() else []


def read_params(
    run: RunDirectory, config: TransformerConfig, checkpoint: str = "", *, moving_average: bool = True
) -> Any:
    """Returns parameters to translate with, on the first device.

    Args:
      run: the run directory.
      config: the shape of the model, its vocab_size set.
      checkpoint: "averaged", "best", "last", or a step; empty: the first of these that is there.
      moving_average: of "last" or a step, the exponential moving average where one is kept.

    Raises:
      InputError: if there is no such checkpoint, or it is of another architecture.
    """
    folder, step = _find(run, checkpoint)
    manager = open_manager(folder, None)
    items = {item.name for item in (folder / str(step)).iterdir()}
    name = "ema_params" if moving_average and "ema_params" in items else "params"
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), abstract_params(config))
    with damage_named(folder / str(step)):
        check_params(manager, step, target)
        found = manager.restore(step, args=ocp.args.Composite(**{name: ocp.args.StandardRestore(target)}))
    manager.close()
    return found[name]


def abstract_params(config: TransformerConfig) -> Any:
    """Returns the shapes of a model's parameters."""
    tokens = jax.ShapeDtypeStruct((1, 1), "int32")
    variables = jax.eval_shape(Transformer(config).init, jax.random.key(0), tokens, tokens, tokens, tokens)
    return nn.unbox(variables["params"])


def open_manager(folder: Path, keep: int | None) -> ocp.CheckpointManager:
    """Returns orbax's manager of a folder of checkpoints, to write the newest `keep`, or to read (None).

    A writer removes what one that was killed left half written.
    """
    # Two managers that save the same step at once would wait at each other's barriers, whose names are the step's.
    barriers = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=folder.name)
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, cleanup_tmp_directories=keep is not None, multiprocessing_options=barriers
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


@contextlib.contextmanager
def damage_named(checkpoint: Path) -> Iterator[None]:
    """Turns the many kinds of errors that orbax raises of a damaged checkpoint into an InputError that names it."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        first_line = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        raise InputError(f"{checkpoint}: cannot be read ({first_line}); remove it to use another checkpoint") from error


def _find(run: RunDirectory, checkpoint: str) -> tuple[Path, int]:
    folders = dict(averaged=run.averaged, best=run.best, last=run.checkpoints)
    newest = {
        name: max(ocp.utils.checkpoint_steps(folder), default=None)
        for name, folder in folders.items()
        if folder.is_dir()
    }
    newest = {name: step for name, step in newest.items() if step is not None}
    if not checkpoint and newest:
        checkpoint = next(iter(newest))
    if checkpoint in newest:
        return folders[checkpoint], newest[checkpoint]
    steps = state_steps(run)
    if checkpoint.isdecimal() and int(checkpoint) in steps:
        return run.checkpoints, int(checkpoint)
    known = ", ".join([*newest, *map(str, steps)]) or "none yet"
    raise InputError(f"{run.path}: has no checkpoint {checkpoint!r} (there is: {known})")


def check_params(manager: ocp.CheckpointManager, step: int, target: Any) -> None:
    """Raises InputError where the saved parameters are not of the target's names and shapes."""
    metadata: Any = ocp.StandardCheckpointer().metadata(manager.directory / str(step) / "params")
    saved, wanted = _shapes(metadata.item_metadata.tree), _shapes(target)
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            raise InputError(
                f"{manager.directory}: checkpoint {step} is of another architecture than the config: "
                f"{name} is {saved.get(name, 'missing')} there, {wanted.get(name, 'missing')} in the config"
            )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(x.shape) for path, x in leaves}

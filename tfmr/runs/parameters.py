"""Parameters for inference from the checkpoints of a run.

The item `params` of a checkpoint contains the parameters, and `ema_params` their exponential moving average, if there
is one. In a run with low-rank changes, the items `lora` and `ema_lora` take their place: they contain what learns, and
the rest is read from the run that this one started from.
"""

import os
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from tfmr.config import Config, ModelConfig
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.models import Model, build_model
from tfmr.models.parameter_names import boxed_params, with_structure_of
from tfmr.models.trainable import boxed_learning, trainable_of
from tfmr.runs.base import Base, recorded_base
from tfmr.runs.checkpoint_items import parameters_item, read_arrays, read_tokenizer_fingerprint
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import find_checkpoint
from tfmr.runs.storage import AnyPath

Place = Callable[[Any], Any]
"""Maps the shapes of arrays, boxed with the logical names of their axes, to their shardings."""


def load_run(directory: str | os.PathLike | RunDirectory, checkpoint: str = "") -> tuple[Config, Tokenizer, Any]:
    """Returns the configuration, tokenizer and parameters of a run; see `read_params` for the checkpoint.

    Raises:
      InputError: if there is no such run or checkpoint, or its architecture differs from config.json.
    """
    run = RunDirectory.open(directory)
    return run.config, run.tokenizer, read_params(run, run.config.model, checkpoint)


def read_params(run: RunDirectory, config: ModelConfig, checkpoint: str = "", *, moving_average: bool = True) -> Any:
    """Returns parameters for inference, on the first device.

    Args:
      run: the run directory.
      config: the shape of the model; `vocab_size` must be set.
      checkpoint: "averaged", "best", "last", or a step. Empty: the first of these that exists, except an average
        that is older than the newest checkpoint.
      moving_average: for "last" or a step, return the exponential moving average if there is one.

    Raises:
      InputError: if there is no such checkpoint, its architecture differs, or it has another tokenizer than the run;
        or if it has low-rank changes of parameters that are missing or have changed.
    """
    folder = find_checkpoint(run, checkpoint)
    item, model = parameters_item(folder, moving_average), build_model(config)
    if item.endswith("lora"):
        return _read_low_rank(run, folder, item, model)
    return _read(run, folder, item, boxed_params(model), _on_first_device)


def read_base_params(base: Base, place: Place) -> Any:
    """Returns the parameters that another run starts from, in the structure of their own run.

    Raises:
      InputError: as `read_params` does.
    """
    return _read(base.run, base.folder, base.item, boxed_params(build_model(base.run.config.model)), place)


def _read_low_rank(run: RunDirectory, folder: AnyPath, item: str, model: Model) -> Any:
    base, trainable = recorded_base(run), trainable_of(model, run.config.fine_tuning)
    learning = _read(run, folder, item, boxed_learning(model, trainable), _on_first_device)
    params = with_structure_of(read_base_params(base, _on_first_device), nn.unbox(boxed_params(model)))
    _, frozen = trainable.divide(params)
    return jax.jit(trainable.assemble)(learning, frozen)


def _read(run: RunDirectory, folder: AnyPath, item: str, boxed: Any, place: Place) -> Any:
    saved = read_tokenizer_fingerprint(folder)
    if saved and run.tokenizer_fingerprint not in ("", saved):
        raise InputError(
            f"{run.tokenizer_file}: is not the tokenizer that {folder} was trained with; restore it from a backup"
        )
    target = jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), nn.unbox(boxed), place(boxed)
    )
    return read_arrays(folder, {item: target})[item]


def _on_first_device(boxed: Any) -> Any:
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda _: device, nn.unbox(boxed))

"""The items of a checkpoint: trees of arrays, written by orbax, and `contents`, which lists their checksums.

orbax verifies the index of its files but not the numbers in them: a flipped bit reads as another number. Therefore each
checkpoint stores the name, shape and checksum of each of its arrays, and reading compares them.
"""

import contextlib
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils

from tfmr.errors import InputError
from tfmr.runs.checksums import checksums, named_leaves
from tfmr.runs.storage import AnyPath, first_line, is_remote, write_text


class DamagedCheckpoint(InputError):
    """A checkpoint that cannot be read or whose contents differ from what was saved."""

    def __init__(self, checkpoint: AnyPath, reason: str):
        """Takes the folder of the checkpoint and a description of the damage."""
        self.checkpoint, self.reason = checkpoint, reason
        super().__init__(
            f"{checkpoint}: damaged ({reason}); choose another with --checkpoint, or let train.py set it aside and "
            "continue from the previous one"
        )


def save_args(arrays: dict[str, Any], tokenizer: str = "", **values: dict[str, Any]) -> ocp.args.Composite:
    """Returns orbax's arguments to save trees of arrays and JSON values, each by name, and their checksums.

    `tokenizer` is the fingerprint of the tokenizer whose tokens the arrays are for, if there is one.
    """
    contents: dict[str, Any] = {
        "arrays": {name: checksums(tree) for name, tree in arrays.items()},
        "values": {name: _text_checksum(value) for name, value in values.items()},
    }
    if tokenizer:
        contents["tokenizer"] = tokenizer
    contents["checksum"] = _text_checksum(contents)
    items = {name: ocp.args.PyTreeSave(tree) for name, tree in arrays.items()}
    json_items = {name: ocp.args.JsonSave(value) for name, value in {**values, "contents": contents}.items()}
    return ocp.args.Composite(**items, **json_items)


def read_arrays(checkpoint: AnyPath, targets: dict[str, Any]) -> dict[str, Any]:
    """Returns trees of arrays of the checkpoint in a folder, by name; `targets` are their shapes and shardings.

    Raises:
      DamagedCheckpoint: if it cannot be read, or differs from what was saved.
      InputError: if its architecture differs, or the storage does not respond.
    """
    with _damage_named(checkpoint):
        contents = _read_contents(checkpoint)
        for name, target in targets.items():
            _check_architecture(checkpoint, name, contents, target)
        found = {name: _read_tree(checkpoint, name, target) for name, target in targets.items()}
    # Each host reads its own part. The checksums are computed by all of them together, with the same result.
    with _damage_named(checkpoint):
        for name, tree in found.items() if contents else ():
            for path, (_, checksum) in checksums(tree).items():
                if checksum != contents["arrays"][name][path][1]:
                    raise ValueError(f"{name}/{path} differs from what was saved: checksum mismatch")
    return found


def read_tokenizer_fingerprint(checkpoint: AnyPath) -> str:
    """Returns the `tokenizer` that a checkpoint was saved with, or ""; raises DamagedCheckpoint like `read_arrays`."""
    with _damage_named(checkpoint):
        return _read_contents(checkpoint).get("tokenizer", "")


def parameters_item(checkpoint: AnyPath, moving_average: bool = True) -> str:
    """Returns the item of a checkpoint that contains the parameters, or what learns of them: "params" or "lora".

    With `moving_average` it is "ema_params" or "ema_lora" if the checkpoint has one.
    """
    items = {item.name for item in checkpoint.iterdir()}
    name = "lora" if "lora" in items else "params"
    return f"ema_{name}" if moving_average and f"ema_{name}" in items else name


def read_checksum(checkpoint: AnyPath, name: str) -> int | None:
    """Returns one checksum for all arrays of an item.

    None: the checkpoint has no such item, or no checksums, as in earlier versions.

    Raises:
      DamagedCheckpoint: like `read_arrays`.
    """
    with _damage_named(checkpoint):
        contents = _read_contents(checkpoint)
        arrays = contents["arrays"].get(name) if contents else None
        return None if arrays is None else _text_checksum(arrays)


def read_values(checkpoint: AnyPath, name: str) -> dict[str, Any]:
    """Returns JSON values that were saved, or amended; raises DamagedCheckpoint like `read_arrays`."""
    with _damage_named(checkpoint):
        contents = _read_contents(checkpoint)
        values = _read_json(checkpoint, name)
        if not contents:
            raise ValueError("it has no list of its contents: incomplete, or saved by an earlier version")
        if _text_checksum(values) != contents["values"][name]:
            raise ValueError(f"{name} differs from what was saved")
    return _read_amended(checkpoint, name) or values


def write_amended(checkpoint: AnyPath, name: str, values: dict[str, Any]) -> None:
    """Writes JSON values that replace those with which a complete checkpoint was saved."""
    content = {"values": values, "checksum": _text_checksum(values)}
    write_text(checkpoint / f"{name}.amended.json", json.dumps(content))


def _read_amended(checkpoint: AnyPath, name: str) -> dict[str, Any] | None:
    """Returns the amended values; None if there are none or they are damaged, because that work can be repeated."""
    try:
        content = json.loads((checkpoint / f"{name}.amended.json").read_text())
        return content["values"] if content["checksum"] == _text_checksum(content["values"]) else None
    except (FileNotFoundError, ValueError, RecursionError, KeyError, TypeError):
        return None


def _read_tree(checkpoint: AnyPath, name: str, target: Any) -> Any:
    # Without orbax's manager, which waits for all hosts: a host that finds damage would leave the others waiting.
    handler = ocp.StandardCheckpointHandler()
    folder = checkpoint if is_remote(checkpoint) else checkpoint.absolute()  # orbax refuses relative paths
    return handler.restore(epath.Path(folder) / name, args=ocp.args.StandardRestore(target))


def _read_json(checkpoint: AnyPath, name: str) -> dict[str, Any]:
    return json.loads((checkpoint / name / "metadata").read_text())


def _read_contents(checkpoint: AnyPath) -> dict[str, Any]:
    """Returns the contents of a checkpoint, empty for checkpoints of versions that did not write them."""
    if not (checkpoint / "contents").is_dir():
        return {}
    contents = _read_json(checkpoint, "contents")
    if contents.pop("checksum") != _text_checksum(contents):
        raise ValueError("the list of its contents differs from what was saved")
    return contents


def _text_checksum(values: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())


def _check_architecture(checkpoint: AnyPath, item: str, contents: dict[str, Any], target: Any) -> None:
    """Raises InputError if the names and shapes of the saved arrays differ from those of the target."""
    wanted = {name: tuple(x.shape) for name, x in named_leaves(target).items()}
    if contents:
        saved = {name: tuple(shape) for name, (shape, _) in contents["arrays"].get(item, {}).items()}
    elif item in ("params", "ema_params"):
        metadata: Any = ocp.StandardCheckpointer().metadata(epath.Path(checkpoint) / item)
        saved = {name: tuple(x.shape) for name, x in named_leaves(metadata.item_metadata.tree).items()}
    else:
        return
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            raise InputError(
                f"{checkpoint.parent}: the architecture of checkpoint {checkpoint.name} differs from the config: "
                f"{name} is {saved.get(name, 'missing')} in the checkpoint, {wanted.get(name, 'missing')} in the config"
                "; restore the config.json that belongs to this checkpoint"
            )


TROUBLE = re.compile(
    "PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|ABORTED|CANCELLED|"
    "Too many open files|Permission denied|Input/output error"
)
"""Tensorstore's messages when the storage fails rather than what is stored in it."""


DAMAGE = (ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, RecursionError, zlib.error)
"""Exceptions that reading a damaged checkpoint raises, besides those of missing files and tensorstore's own."""


def _is_damage(error: Exception) -> bool:
    """Returns whether an error is caused by the data that was read, not by the process that reads it."""
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
    return (
        missing or type(error) is Exception or (isinstance(error, DAMAGE) and not isinstance(error, UnicodeEncodeError))
    )


@contextlib.contextmanager
def _damage_named(checkpoint: AnyPath) -> Iterator[None]:
    """Turns the many errors that orbax raises for damaged files into a DamagedCheckpoint, on all hosts."""
    damage, cause = "", None
    try:
        yield
    except (InputError, MemoryError, ImportError, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:
        damage, cause = first_line(error), error
        if TROUBLE.search(str(error)) or (isinstance(error, OSError) and not _is_damage(error)):
            raise InputError(f"{checkpoint}: the storage cannot be read ({damage}); try again") from error
        if not _is_damage(error):
            raise
        if jax.process_count() == 1 and not checkpoint.exists():
            raise InputError(
                f"{checkpoint}: was removed while it was being read, as training removes old ones; try again"
            ) from error
    if jax.process_count() > 1:
        seen = multihost_utils.process_allgather(np.array(bool(damage)))
        damage = damage or ("another host cannot read its part" if seen.any() else "")
    if damage:
        raise DamagedCheckpoint(checkpoint, damage) from cause

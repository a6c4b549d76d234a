"""The items of a checkpoint: trees of arrays, written by orbax, and `contents`, which says what they must hold.

orbax's files check their own index, but not the numbers in them: a flipped bit there reads as another number. So each
checkpoint carries the name, shape and checksum of each of its arrays, and reading compares them.
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
from tfmr.runs.storage import AnyPath, first_line, is_remote


class DamagedCheckpoint(InputError):
    """A checkpoint that cannot be read, or holds other numbers than were saved."""

    def __init__(self, checkpoint: AnyPath, reason: str):
        """Keeps the folder of the checkpoint, and how the damage shows."""
        self.checkpoint, self.reason = checkpoint, reason
        super().__init__(
            f"{checkpoint}: is damaged ({reason}); name another with --checkpoint; "
            "train.py sets a damaged one aside and continues from the one before"
        )


def save_args(arrays: dict[str, Any], **values: dict[str, Any]) -> ocp.args.Composite:
    """Returns what orbax is to save: trees of arrays by name, dictionaries for JSON by name, and their contents."""
    contents: dict[str, Any] = {
        "arrays": {name: checksums(tree) for name, tree in arrays.items()},
        "values": {name: _text_checksum(value) for name, value in values.items()},
    }
    contents["checksum"] = _text_checksum(contents)
    items = {name: ocp.args.PyTreeSave(tree) for name, tree in arrays.items()}
    json_items = {name: ocp.args.JsonSave(value) for name, value in {**values, "contents": contents}.items()}
    return ocp.args.Composite(**items, **json_items)


def read_arrays(checkpoint: AnyPath, targets: dict[str, Any]) -> dict[str, Any]:
    """Returns trees of arrays of a checkpoint, by name.

    Args:
      checkpoint: the folder of one step.
      targets: the shapes and shardings wanted, by name.

    Raises:
      DamagedCheckpoint: if it cannot be read, or holds other numbers than were saved.
      InputError: if it is of another architecture, or the storage does not answer.
    """
    with _damage_named(checkpoint):
        contents = _read_contents(checkpoint)
        for name, target in targets.items():
            _check_architecture(checkpoint, name, contents, target)
        found = {name: _read_tree(checkpoint, name, target) for name, target in targets.items()}
    # Each host reads its own part; what follows is computed by all together, and comes out the same for all.
    with _damage_named(checkpoint):
        for name, tree in found.items() if contents else ():
            _check_sums(name, checksums(tree), contents["arrays"][name])
    return found


def read_values(checkpoint: AnyPath, name: str) -> dict[str, Any]:
    """Returns a dictionary that was saved as JSON; raises DamagedCheckpoint as `read_arrays` does."""
    with _damage_named(checkpoint):
        contents = _read_contents(checkpoint)
        values = _read_json(checkpoint, name)
        if not contents:
            raise ValueError("it has no contents: half written, or saved by an earlier version")
        if _text_checksum(values) != contents["values"][name]:
            raise ValueError(f"{name} is not what was saved")
    return values


def _read_tree(checkpoint: AnyPath, name: str, target: Any) -> Any:
    # Not by orbax's manager, which waits for all hosts: one that finds damage would leave the others waiting.
    handler = ocp.StandardCheckpointHandler()
    folder = checkpoint if is_remote(checkpoint) else checkpoint.absolute()  # orbax takes no relative paths
    return handler.restore(epath.Path(folder) / name, args=ocp.args.StandardRestore(target))


def _read_json(checkpoint: AnyPath, name: str) -> dict[str, Any]:
    return json.loads((checkpoint / name / "metadata").read_text())


def _read_contents(checkpoint: AnyPath) -> dict[str, Any]:
    """Returns the contents of a checkpoint; empty for one that was saved before there were any."""
    if not (checkpoint / "contents").is_dir():
        return {}
    contents = _read_json(checkpoint, "contents")
    if contents.pop("checksum") != _text_checksum(contents):
        raise ValueError("contents is not what was saved")
    return contents


def _text_checksum(values: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())


def _check_architecture(checkpoint: AnyPath, item: str, contents: dict[str, Any], target: Any) -> None:
    """Raises InputError where the saved arrays are not of the target's names and shapes."""
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
                f"{checkpoint.parent}: checkpoint {checkpoint.name} is of another architecture than the config: "
                f"{name} is {saved.get(name, 'missing')} there, {wanted.get(name, 'missing')} in the config"
            )


def _check_sums(item: str, found: dict[str, Any], saved: dict[str, Any]) -> None:
    for name, (_, checksum) in found.items():
        if checksum != saved[name][1]:
            raise ValueError(f"{item}/{name} is not what was saved: its checksum differs")


TROUBLE = re.compile(
    "PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|ABORTED|CANCELLED|"
    "Too many open files|Permission denied|Input/output error"
)
"""How tensorstore says that it is the storage that fails, not what is stored."""


@contextlib.contextmanager
def _damage_named(checkpoint: AnyPath) -> Iterator[None]:
    """Turns the many kinds of errors that orbax raises of damage into a DamagedCheckpoint, on all hosts."""
    damage, cause = "", None
    try:
        yield
    except (InputError, MemoryError, ImportError, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:  # orbax raises nothing narrower: even plain Exception, where zstd finds damage
        damage, cause = first_line(error), error
        missing = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
        if TROUBLE.search(str(error)) or (isinstance(error, OSError) and not missing):
            raise InputError(f"{checkpoint}: the storage does not let it be read ({damage}); try again") from error
    if jax.process_count() > 1:
        seen = multihost_utils.process_allgather(np.array(bool(damage)))
        damage = damage or ("another host cannot read its part" if seen.any() else "")
    if damage:
        raise DamagedCheckpoint(checkpoint, damage) from cause

"""Files and folders that appear whole or not at all, and the removal of what an interrupted process left behind."""

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path

_ABANDONED_AFTER = 24 * 3600.0  # seconds after which no running process is expected to write to a temporary folder


def temporary_path(path: Path) -> Path:
    """Returns a new name next to `path`, from which it can be renamed when it is complete."""
    return path.with_name(f"{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name and then renames it, so that no reader ever sees a part of it."""
    temporary = temporary_path(path)
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def remove_abandoned(folder: Path, pattern: str) -> None:
    """Removes the temporary files and folders in `folder` that match a glob pattern and are more than a day old."""
    for leftover in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # another process has just finished with it
            if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER:
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink()

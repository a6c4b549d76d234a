"""Downloads one file and checks its sha256."""

import json
import logging
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from tfmr.data.corpora.lines import sha256_of_file
from tfmr.data.files import remove_abandoned, temporary_path, write_bytes_atomically
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

_TIMEOUT = 60.0  # seconds without an answer


def download(url: str, folder: Path, sha256: str | None, instead: str) -> Path:
    """Returns the file of `url` in `folder`; downloads it if it is missing or its checksum is wrong.

    If the checksum is not known (`sha256` is None), the first download is trusted. Its checksum is recorded in
    `checksums.json` in the folder, and later downloads with another checksum are refused.

    Args:
      url: the address; its last part is the name of the file.
      folder: the folder to download to.
      sha256: hexadecimal checksum of the file, if it is known.
      instead: what a user can do if the download fails; part of the error message.

    Raises:
      InputError: if the file cannot be downloaded or has the wrong checksum.
    """
    path = folder / url.rsplit("/", 1)[-1]
    record = folder / "checksums.json"
    recorded = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    expected = sha256 or recorded.get(path.name)
    if expected and path.exists() and sha256_of_file(path) == expected:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder, f"{path.name}.tmp-*")
    temporary = temporary_path(path)
    try:
        _fetch(url, temporary, instead)
        found = sha256_of_file(temporary)
        if expected and found != expected:
            raise InputError(f"{url}: refused, because its sha256 is {found} instead of {expected}; {instead}")
        if not expected:
            log.warning("%s: its checksum is not known; trusting sha256 %s and recording it in %s", url, found, record)
            known = {**recorded, path.name: found}
            write_bytes_atomically(record, json.dumps(known, indent=1, sort_keys=True).encode())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _fetch(url: str, path: Path, instead: str) -> None:
    log.info("Downloading %s", url)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{url}: cannot be downloaded ({reason}); {instead}") from None

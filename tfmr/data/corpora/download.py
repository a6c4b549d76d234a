"""One file from the network, checked against its sha256."""

import json
import logging
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from tfmr.data.corpora.lines import sha256_of_file
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

_TIMEOUT = 60.0  # seconds without an answer


def download(url: str, folder: Path, sha256: str | None, instead: str) -> Path:
    """Returns the file of `url` in `folder`, downloaded if it is not there or no longer what it was.

    Where the checksum is not known (`sha256` is None), the first download is trusted, its checksum is written to
    `checksums.json` in the folder, and any other content is refused from then on.

    Args:
      url: what to download; its last part names the file.
      folder: where to keep it.
      sha256: hexadecimal checksum of the file, where it is known.
      instead: what to tell users to do if the download fails.

    Raises:
      InputError: if it cannot be downloaded, or has another checksum.
    """
    path = folder / url.rsplit("/", 1)[-1]
    record = folder / "checksums.json"
    recorded = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    expected = sha256 or recorded.get(path.name)
    if expected and path.exists() and sha256_of_file(path) == expected:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        _fetch(url, temporary, instead)
        found = sha256_of_file(temporary)
        if expected and found != expected:
            raise InputError(f"{url}: has the sha256 {found}, not {expected}: refused; {instead}")
        if not expected:
            log.warning("%s: its checksum is not known; trusted now and recorded in %s: sha256 %s", url, record, found)
            _write_json(record, {**recorded, path.name: found})
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


def _write_json(path: Path, values: dict) -> None:
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    temporary.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(temporary, path)

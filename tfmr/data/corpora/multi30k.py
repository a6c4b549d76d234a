"""Multi30k (Elliott et al. 2016): image captions in English, German, French and Czech.

There are 29 000 training pairs, 1 014 validation pairs, and the 1 000 test pairs of test_2016_flickr, on which
published tables report scores. There are two variants: `raw`, as written, and `tok`, lowercased, punctuation-normalised
and Moses-tokenised.
"""

import errno
import json
import logging
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from tfmr.config import PairsConfig
from tfmr.config.paths import expanded
from tfmr.data.corpora.corpus import Corpus
from tfmr.data.corpora.lines import missing_file, read_lines, sha256_of_files
from tfmr.data.corpora.text import plain_or_compressed, text_corpus
from tfmr.data.files import remove_abandoned, replacing, write_bytes_atomically
from tfmr.errors import InputError, nearest

log = logging.getLogger("tfmr")

LANGUAGES = ("en", "de", "fr", "cs")
BASE_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1"
_INSTEAD = "get the files from github.com/multi30k/dataset and set --data.dir to their folder"
_TIMEOUT = 60.0  # seconds without an answer

_STEMS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
_LINES = {"train": 29_000, "validation": 1_014, "test": 1_000}

# sha256 of the English and German files. The checksums of the French and Czech files are not known: their number of
# lines is checked, and their checksum is recorded at the first download.
_SHA256 = {
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "train.lc.norm.tok.en": "08925f8e0572bcd5a006702fc5fe20e2d77c6917d4eebd576fc20de6693c2119",
    "train.lc.norm.tok.de": "cb5a23529b65ec2061f1dc446192a9c37382b63cc75f81a0be59d34894b3a505",
    "val.lc.norm.tok.en": "46573ce391ae227f1c72f873392436a20ef18e0a6d518098cfbd70b77c8572ec",
    "val.lc.norm.tok.de": "97232bd273eceb7207f689527386a97e4be2616b18ada47576bdaf96c8ae1f00",
    "test_2016_flickr.lc.norm.tok.en": "5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2",
    "test_2016_flickr.lc.norm.tok.de": "c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4",
}


def load_multi30k(config: PairsConfig) -> Corpus:
    """Returns Multi30k from the folder `data.dir`, or downloads it.

    The folder contains `raw/` and `tok/`, like `data/task1` in the public repository, or is one of the two.

    Raises:
      InputError: for an unknown language, a missing file, or a failed download.
    """
    languages = (config.source_language, config.target_language)
    for name, language in zip(("source", "target"), languages, strict=True):
        if language not in LANGUAGES:
            known = ", ".join(LANGUAGES) + nearest(language, LANGUAGES)
            raise InputError(f"data.{name}_language = {language!r}: must be one of {known}")
    if languages[0] == languages[1]:
        raise InputError(f"data.target_language = {languages[1]!r}: must differ from data.source_language")
    files = {split: [tuple(_file(config, split, language) for language in languages)] for split in _STEMS}
    return text_corpus("multi30k", files, config.held_out_share, config.variant, languages)


def _file(config: PairsConfig, split: str, language: str) -> Path:
    middle = ".lc.norm.tok" if config.variant == "tok" else ""
    name = f"{_STEMS[split]}{middle}.{language}"
    if not config.dir:
        return _downloaded(config, split, name)
    base = expanded(config.dir)
    folders = (base / config.variant, base, base / "data" / "task1" / config.variant)
    for folder in folders:
        if file := plain_or_compressed(folder / name):
            return file
    raise missing_file(next((folder for folder in folders if folder.is_dir()), base) / name)


def _downloaded(config: PairsConfig, split: str, name: str) -> Path:
    name = f"{name}.gz" if config.variant == "raw" else name
    path = config.cache_folder / "downloads" / "multi30k" / name
    _download(f"{BASE_URL}/{config.variant}/{name}", path, _SHA256.get(name))
    if name not in _SHA256:
        lines = sum(1 for _ in read_lines(path))
        if lines != _LINES[split]:
            raise InputError(f"{path}: has {lines} lines instead of {_LINES[split]}; delete it and try again")
    return path


def _download(url: str, path: Path, sha256: str | None) -> None:
    """Downloads a file if it is missing or its checksum is wrong.

    If the checksum is not known (`sha256` is None), the first download is trusted. Its checksum is recorded in
    `checksums.json` in the folder, and later downloads with another checksum are rejected.
    """
    record = path.with_name("checksums.json")
    recorded = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    expected = sha256 or recorded.get(path.name)
    if expected and path.exists() and sha256_of_files([path]) == [expected]:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent, f"{path.name}.tmp-*")
    log.info("Downloading %s", url)
    try:
        with replacing(path) as temporary:
            with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, temporary.open("wb") as file:
                shutil.copyfileobj(response, file)
            [found] = sha256_of_files([temporary])
            if expected and found != expected:
                raise InputError(f"{url}: has sha256 {found}, expected {expected}; {_INSTEAD}")
            if not expected:
                message = "%s: no checksum is known; trusting sha256 %s and recording it in %s"
                log.warning(message, url, found, record)
                known = {**recorded, path.name: found}
                write_bytes_atomically(record, json.dumps(known, indent=1, sort_keys=True).encode())
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if full or (error.filename is not None and not isinstance(error, urllib.error.URLError)):
            raise  # of the folder, not of the network
        reason = getattr(error, "reason", None) or error  # of a URLError
        raise InputError(f"{url}: cannot be downloaded ({reason}); {_INSTEAD}") from None

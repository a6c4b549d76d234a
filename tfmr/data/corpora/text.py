"""Text files as a corpus: a folder with two files or a TSV file for each split, or files that are listed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tfmr.config import PairsConfig
from tfmr.config.paths import expanded
from tfmr.data.corpora.corpus import READER_VERSION, Corpus, LinePair, fingerprint
from tfmr.data.corpora.lines import find_files, missing_file, read_pairs, read_tsv, sha256_of_files
from tfmr.data.progress import counted
from tfmr.errors import InputError

_STEMS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}

Files = tuple[Path, ...]
"""A file of sources and a file of targets, or one TSV file."""


@dataclass(frozen=True)
class TextCorpus(Corpus):
    """Text files that are read line by line, as often as their pairs are needed."""

    files: dict[str, list[Files]] = field(repr=False)
    """The files of each split that has any, in order."""
    _lines: dict[Files, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The number of lines of the files that have been read."""

    def has(self, split: str) -> bool:
        """Returns whether there are files for this split."""
        return split in self.files

    def read(self, split: str) -> Iterator[LinePair]:
        """Yields the pairs of a split that has files; raises InputError for anything wrong with them."""
        for files in self.files[split]:
            count = 0
            for pair in _read(files):
                count += 1
                yield pair
            if not count:
                raise InputError(f"{files[0]}: is empty; a corpus needs at least one line")
            self._lines[files] = count

    def place(self, split: str, number: int) -> str:
        """Returns the file and the line of a pair."""
        for files in self.files[split]:
            if number <= self._lines.get(files, number):
                return f"line {number:,} of {files[0]}"
            number -= self._lines[files]
        raise IndexError(number)

    def sizes_of_files(self, is_left_out: Callable[[LinePair], bool]) -> list[int]:
        """Returns the number of training pairs of each file, without those that are held out or left out."""
        return [
            sum(
                not (self.is_held_out(pair) or is_left_out(pair))
                for pair in counted(_read(files), f"Counting {files[0].name}", "pairs")
            )
            for files in self.files["train"]
        ]


def _read(files: Files) -> Iterator[LinePair]:
    return read_tsv(files[0]) if len(files) == 1 else read_pairs(*files)


def load_text(config: PairsConfig) -> Corpus:
    """Returns the corpus in the folder `data.dir`, or in `data.source_file` and `data.target_file`.

    For train, validation (also valid, val, dev) and test, a folder contains `{split}.{source_language}` and
    `{split}.{target_language}`, or `{split}.tsv` with source, tab, target; each plain or .gz, .bz2, .xz or .zst.

    Raises:
      InputError: if files are missing.
    """
    files = _given_files(config) if config.source_file else _files_of_folder(config)
    return text_corpus("text", files, config.held_out_share)


def text_corpus(name: str, files: dict[str, list[Files]], held_out_share: float, *parts: object) -> TextCorpus:
    """Returns a corpus of files; `parts` is everything else that determines its pairs."""
    paths = [path for groups in files.values() for group in groups for path in group]
    sum_of = dict(zip(paths, sha256_of_files(paths), strict=True))
    sums = {split: [[sum_of[path] for path in group] for group in groups] for split, groups in files.items()}
    return TextCorpus(name, fingerprint(name, READER_VERSION, *parts, sums), files, held_out_share=held_out_share)


def _given_files(config: PairsConfig) -> dict[str, list[Files]]:
    if config.dir:
        raise InputError(f"data.dir = {config.dir!r}: cannot be combined with data.source_file; give only one of them")
    sources = find_files(config.source_file)
    if not config.target_file:
        return {"train": [(path,) for path in sources]}
    targets = find_files(config.target_file)
    if len(sources) != len(targets):
        raise InputError(
            f"data.source_file and data.target_file name {len(sources)} and {len(targets)} files; "
            "each source file needs one target file"
        )
    return {"train": [*zip(sources, targets, strict=True)]}


def _files_of_folder(config: PairsConfig) -> dict[str, list[Files]]:
    if not config.dir:
        raise InputError("data.corpus = 'text': needs a folder (data.dir) or a file (data.source_file)")
    languages = (config.source_language, config.target_language)
    if any("/" in language or "\\" in language for language in languages) or languages[0] == languages[1]:
        raise InputError(
            f"data.source_language, data.target_language = {languages}: must be two different file name extensions, "
            "without slashes, such as en and de"
        )
    folder = expanded(config.dir)
    found = {split: _files_of_split(folder, stems, languages) for split, stems in _STEMS.items()}
    if not found["train"]:
        raise missing_file(folder / f"train.{languages[0]}")
    return {split: [paths] for split, paths in found.items() if paths}


def _files_of_split(folder: Path, stems: tuple[str, ...], languages: tuple[str, str]) -> Files:
    """Returns the two files or the TSV file of the first stem for which they exist; () if there are none."""
    for stem in stems:
        pair = [plain_or_compressed(folder / f"{stem}.{language}") for language in languages]
        if pair[0] and pair[1]:
            return pair[0], pair[1]
        tsv = plain_or_compressed(folder / f"{stem}.tsv")
        if tsv:
            return (tsv,)
        if pair[0] or pair[1]:
            raise missing_file(folder / f"{stem}.{languages[0] if pair[1] else languages[1]}")
    return ()


def plain_or_compressed(path: Path) -> Path | None:
    """Returns this file or its compressed version; None if neither exists."""
    candidates = (path, *(path.with_name(path.name + ending) for ending in (".gz", ".bz2", ".xz", ".zst")))
    return next((candidate for candidate in candidates if candidate.is_file()), None)

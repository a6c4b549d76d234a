"""Mistakes in commands and files, drawn at random, for fuzz.py."""

import bz2
import dataclasses
import functools
import gzip
import lzma
import os
import random
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

DISK = 2 << 20  # bytes of the disk that is nearly full
TRAIN, CONFIGURED = "train.py", ("prepare", "compile", "inspect", "train.py")

Content = Callable[[bytes, random.Random], bytes]


def flip(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(max(1, len(content)))
    changed = bytes(byte ^ 1 << draw.randrange(8) for byte in content[place : place + 1])
    return content[:place] + changed + content[place + 1 :]


def truncate(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(max(1, len(content)))]


def compress(content: bytes, draw: random.Random) -> bytes:
    return draw.choice([gzip.compress, lzma.compress, bz2.compress])(content)


def insert(*parts: bytes | str) -> Content:
    def inserted(content: bytes, draw: random.Random) -> bytes:
        place, part = draw.randrange(len(content) + 1), draw.choice(parts)
        return content[:place] + (part.encode() if isinstance(part, str) else part) + content[place:]

    return inserted


def one_line(content: bytes) -> bytes:
    return content.replace(b"\n", b" ") * (10**6 // len(content) + 1)


OTHER_JSON = [b"null", b"[]", b"{}", b"1e999", b'"a"', b"[" * 10**5, b'{"model": 3}', b'{"step": 1}\n{"step": "x"}\n']
CONTENTS: dict[str, Content] = {
    "flip a bit of": flip,
    "truncate": truncate,
    "empty": lambda content, draw: b"",
    "put NUL bytes into": insert(b"\0", b"\0" * 5000),
    "put bytes that are not UTF-8 into": insert(b"\xff", b"\xed\xa0\x80", b"\xc3"),
    "put rare characters into": insert("\u2028", "\x85", "\ufeff", "\u200b", "\x1b[2J", "\r", "\t", "e\u0301"),
    "put empty lines into": insert("\n", "\n\n\n\n", "\n \n"),
    "end lines with CRLF": lambda content, draw: content.replace(b"\n", b"\r\n"),
    "put a BOM before": lambda content, draw: b"\xef\xbb\xbf" + content,
    "make one line of 1 MB of": lambda content, draw: one_line(content + b"a"),
    "cut the last line of": lambda content, draw: content[: content.rstrip(b"\n").rfind(b"\n") + 1],
    "cut the last line feed of": lambda content, draw: content.rstrip(b"\n"),
    "write other JSON to": lambda content, draw: draw.choice(OTHER_JSON),
    "compress": compress,
    "compress and truncate": lambda content, draw: truncate(compress(content, draw), draw),
    "compress and flip a bit of": lambda content, draw: flip(compress(content, draw), draw),
}  # fmt: skip
LINKS = {"nowhere": "nowhere", "a device": "/dev/null", "a full device": "/dev/full", "a full disk": "full"}
LINKS |= {"a read-only disk": "readonly", "another run": "runs/text"}


def link(to: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(Path(to).absolute())


PLACES: dict[str, Callable[[Path], object]] = {
    "remove": lambda path: None,
    "put a folder in place of": lambda path: path.mkdir(),
    "put a file in place of": lambda path: path.write_text("a file\n"),
    "put a pipe in place of": lambda path: os.mkfifo(path),
    "put a link to itself in place of": lambda path: path.symlink_to(path.name),
    **{f"put a link to {name} in place of": link(to) for name, to in LINKS.items()},
}

NUMBERS = ["0", "-1", "1", "3", "1e30", "1e-30", "nan", "inf", "-inf", "1000000000", "100000000000000000000", "1.5"]
NUMBERS += ["0x10", "1_0", "x", "", "\u0663"]
INTEGERS = ["0", "-1", "-2", "1", "2", "3", "7", "100", "5000", "1000000", "1000000000"]
WORDS = ["", " ", "none", "a\nb", "\udcff", "\u2028", "x" * 5000, "-", "é", "{}", "%s", "🙂", "\x1b[2J"]
PATHS = [
    "",
    ".",
    "-",
    "missing",
    "missing/folder/x",
    "nowhere",
    "itself",
    "pipe",
    "fed",
    "full",
    "full/new",
    "readonly",
]
PATHS += ["readonly/new", "runs/pairs", "runs/text", "runs/new", "runs/pairs/new", "runs/pairs/config.json", "marian"]
PATHS += [
    "runs/pairs/best/new",
    "runs/pairs/metrics.jsonl",
    "corpus.en",
    "cache",
    "tokenizer.json",
    "source.txt",
    "gpt2",
]
PATHS += ["pairs.tsv", "pairs.py", "weights.safetensors", "/proc", "/dev/full", "/dev/null", "s3://bucket/x"]
PATHS += ["~nobody-of-this-name/x", "a\nb", "\udcff", "x" * 300, "a" + "/a" * 3000]
PATH_FIELDS = {"run", "source", "target", "input", "prefixes", "output", "ensemble", "compare", "tokenizer", "workdir"}
PATH_FIELDS |= {"data.dir", "data.cache", "data.files", "data.validation_files", "data.source_file", "data.target_file"}
PATH_FIELDS |= {"data.tokenizer_file"}

TWO_FILES, ONE_FILE = "runs/pairs --source source.txt --target target.txt", "runs/pairs --source pairs.tsv"
TEMPLATES = {
    "translate": [
        "runs/pairs --input source.txt --output out.txt",
        "runs/pairs < source.txt",
        "runs/pairs --input source.txt --prefixes target.txt --n-best 2",
        "runs/pairs --input source.txt",
        "runs/pairs --ensemble runs/pairs --input source.txt",
    ],
    "score": [TWO_FILES, f"{TWO_FILES} --output out.txt --tokens", ONE_FILE, "runs/pairs < pairs.tsv"],
    "align": [TWO_FILES, f"{ONE_FILE} --output out.txt --format links", ONE_FILE, "runs/pairs < pairs.tsv"],
    "generate": ["runs/text --max-new-tokens 8 --prompt ab", "runs/text --max-new-tokens 8 --prompt ab --samples 2"],
    "evaluate": ["runs/pairs", f"{TWO_FILES} --output out.txt", "runs/text"],
    "average": ["runs/pairs --last 2", "runs/text --steps 3 6"],
    "export": [
        "runs/pairs --format safetensors --output out",
        "runs/pairs --format marian --output out",
        "runs/pairs --format ctranslate2 --output out",
        "runs/text --format gpt2 --output out",
    ],
    "import": ["marian runs/new", "gpt2 runs/new", "weights.safetensors runs/new --tokenizer tokenizer.json"],
    "inspect": ["pairs.py", "runs/text", "text.py --chip v4"],
    "compile": ["pairs.py --topology cpu:1", "text.py --topology cpu:1"],
    "plot": [
        "runs/pairs --what curves --output out",
        "runs/pairs --what beam --output out",
        "runs/text",
        "runs/pairs --what attention --output out",
        "runs/pairs --what schedule --output out",
    ],
    "prepare": ["pairs.py", "text.py", "pairs.py --data.cache new", "text.py --data.cache new --data.tokenizer bpe"],
    TRAIN: [
        "pairs.py --training.steps 12",
        "text.py --training.steps 12",
        "pairs.py --workdir runs/new",
        "text.py --workdir runs/new",
    ],
}
"""Command lines that are right, from which the wrong ones are made."""
SHARES = {TRAIN: 3, "compile": 1, "evaluate": 3}  # the others: 4


@dataclasses.dataclass
class Case:
    """A command line, the damage that is done before, and how it is called."""

    command: str
    words: list[str]
    damage: list[tuple[str, str, int]] = dataclasses.field(default_factory=list)
    """What is done to which path, and the seed of what is drawn for it."""
    draw: random.Random = dataclasses.field(default_factory=random.Random)
    stdin: str = "/dev/null"
    stdout: str = "stdout"
    free: int = DISK
    """Bytes left on the disk."""
    as_program: bool = False

    def __str__(self) -> str:
        damage = "".join(f"{what} {path}; " for what, path, _ in self.damage)
        words = shlex.join([*(["tfmr"] * (self.command != TRAIN)), self.command, *(word[:400] for word in self.words)])
        return f"{damage}{words!a}"[:-1] + f" < {self.stdin} > {self.stdout}' ({self.free} bytes free)"

    def value(self, option: str) -> str:
        """The last value of an option."""
        pairs = [word.partition("=") for word in self.words]
        after = [after for word, after in zip(self.words, [*self.words[1:], ""], strict=True) if word == option]
        return ([value for name, equals, value in pairs if name == option and equals] + after or [""])[-1]


@functools.cache
def options_of(command: str) -> dict[str, type]:
    """The options of a command with their types."""
    from tfmr.cli import command_module
    from tfmr.cli.arguments import _fields
    from tfmr.cli.config_file import load_config

    found = {}
    for config in map(load_config, ("pairs.py", "text.py") if command in CONFIGURED else ()):
        found |= _fields(type(config), config)
    for name in ("Arguments", "Options"):
        if command != TRAIN and hasattr(command_module(command), name):
            found |= _fields(getattr(command_module(command), name))
    return {name: kind for name, kind in found.items() if not name.startswith("distributed.")}  # waits for other hosts


def make_case(seed: int, number: int) -> Case:
    draw = random.Random(f"{seed} {number}")
    command = draw.choices(list(TEMPLATES), [SHARES.get(name, 4) for name in TEMPLATES])[0]
    words, _, stdin = draw.choice(TEMPLATES[command]).partition(" < ")
    case = Case(command, words.split(), draw=draw, stdin=stdin or "/dev/null", as_program=draw.random() < 0.03)
    case.free = draw.choice([0, 0, 5000, 50_000, 500_000, DISK])
    case.stdout = draw.choices(["stdout", "/dev/full", "closed pipe"], [18, 1, 1])[0]
    for _ in range(draw.choice([0, 1, 1, 1, 1, 1, 1, 2, 2, 3])):
        draw.choices([wrong_word, wrong_value, wrong_path, damage], [1, 3, 2, 5])[0](case)
    return case


def wrong_word(case: Case) -> None:
    """A misspelt, foreign, repeated, misplaced or missing word."""
    draw, place = case.draw, case.draw.randrange(len(case.words) + 1)
    foreign = draw.choice([name for command in TEMPLATES for name in options_of(command)])
    own = draw.choice(list(options_of(case.command)))
    misspelt = own.replace(draw.choice(own), draw.choice(["", "x", "--", "_", "é"]), 1)
    kind = draw.randrange(4)
    if kind == 0:
        case.words[place:place] = [f"--{draw.choice([foreign, misspelt, own])}{draw.choice(['', '=', '=1'])}"]
    elif kind == 1:
        case.words[place : place + 1] = []
    elif kind == 2:
        case.words += case.words[place : place + 2] or [f"--no-{own}"]
    else:
        case.words[place : place + 1] = [draw.choice(WORDS)]


def wrong_value(case: Case) -> None:
    """An odd value of an option of the command."""
    name, kind = case.draw.choice([*options_of(case.command).items()])
    if name in PATH_FIELDS:
        values = PATHS
    elif kind is int:
        values = INTEGERS + NUMBERS
    else:
        values = NUMBERS if kind is float else NUMBERS + WORDS
    case.words += [f"--{name.replace('_', '-')}", case.draw.choice(values)]


def wrong_path(case: Case) -> None:
    """An odd path in place of one of the command line."""
    new = ("out", "out.txt", "runs/new", "new")
    places = [place for place, word in enumerate(case.words) if word in new or os.path.lexists(word)]
    if places:
        case.words[case.draw.choice(places)] = case.draw.choice(PATHS)


def damage(case: Case) -> None:
    """Damage to a file or a folder that the command reads, or may read."""
    draw = case.draw
    given = [word for word in [*case.words, case.stdin] if len(word) < 99 and os.path.lexists(word)]
    roots = [
        Path(word) for word in given if os.path.isfile(word) or word.startswith(("runs/p", "runs/t", "marian", "gpt2"))
    ]
    if case.command in CONFIGURED:
        roots += map(Path, ("cache", "corpus.en", "corpus.de", "text.txt", "runs/pairs"))
    path = draw.choice(roots or [Path("runs/pairs")])
    while path.is_dir() and draw.random() < 0.85:
        path = draw.choice([path, *sorted(file for file in path.iterdir() if file.name != "tensorboard")])
    what = list(PLACES) + ["remove half of"] * 4 if path.is_dir() else [*CONTENTS] * 2 + list(PLACES)
    case.damage.append((draw.choice(what), str(path), draw.randrange(10**9)))


def do_damage(case: Case) -> None:
    for what, name, seed in case.damage:
        path, draw = Path(name), random.Random(seed)
        if what in CONTENTS and path.is_file() and not path.is_symlink():
            path.write_bytes(CONTENTS[what](path.read_bytes(), draw))
        elif what == "remove half of" and path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            for file in draw.sample(files, len(files) // 2):
                file.unlink()
        elif what in PLACES and path.parent.is_dir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            PLACES[what](path)

"""Random mistakes in commands and files: each is answered in one line, and nothing is lost.

`make test-long` runs it. TFMR_FUZZ_RUNS is the number of runs (2000, about an hour on one core), and TFMR_LONG_SEED the
seed. `TFMR_LONG_SEED=SEED python tests/long/fuzz.py NUMBER ...` repeats single runs and shows what they print.

A run copies a small workspace, damages some of its files, and calls a command with some wrong arguments, in a fork of
this process or, one time in 30, as a program. Then it checks the exit status, the messages, that what was asked for is
there, and that everything else is as it was.
"""

import bz2
import contextlib
import dataclasses
import gzip
import hashlib
import importlib
import json
import lzma
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mistakes import CONFIGURED, DISK, TRAIN, Case, do_damage, make_case

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))
SEED = int(os.environ.get("TFMR_LONG_SEED") or 0)
RUNS = int(os.environ.get("TFMR_FUZZ_RUNS") or 2000)
SECONDS = 25  # after which a command gets SIGTERM: it may wait for a pipe, or train for ever
GRACE = 10  # seconds after SIGTERM within which it has to end
MEMORY = 8 << 30  # bytes of address space

RECIPE = """
from tfmr import *
def get_config():
    shape = dict(d_model=16, d_ff=32, num_heads=2, d_k=8, d_v=8)
    often = dict(log_every=1, evaluate_every=3, checkpoint_every=3)
    training = TrainingConfig(steps=9, warmup_steps=2, bleu_sentences=2, **often)
    decoding = DecodingConfig(beam_size=2, extra_length=3, batch_size=4)
    shared = dict(cache="cache", vocab_size=300, tokens_per_batch=256, max_length=48)
    files = dict(source_file="corpus.en", target_file="corpus.de")
    pairs = PairsConfig(corpus="text", num_buckets=1, held_out_share=0.05, **files, **shared)
    text = RunningTextConfig(files=("text.txt",), tokenizer="characters", validation_share=0.1, **shared)
    transformer = TransformerConfig(num_encoder_layers=1, num_decoder_layers=1, **shape)
    lm = CausalLMConfig(num_layers=1, max_length=48, **shape)
    return Config(model={model}, data={data}, training=training, decoding=decoding)
"""


def make_workspace() -> None:
    """Writes corpora, inputs and configs to the current folder, trains them, and exports the runs."""
    draw = random.Random(SEED)
    lines = ["".join(draw.choices("abcdefgh ", k=draw.randint(3, 20))).strip() or "a" for _ in range(300)]
    files = {"corpus.en": lines, "corpus.de": [line[::-1] for line in lines], "text.txt": lines * 4}
    files |= {
        "source.txt": lines[:5],
        "target.txt": lines[5:10],
        "pairs.tsv": map("\t".join, zip(lines[:5], lines[5:], strict=False)),
    }
    for name, content in files.items():
        Path(name).write_text("".join(f"{line}\n" for line in content))
    for name, model, data in (("pairs", "transformer", "pairs"), ("text", "lm", "text")):
        Path(f"{name}.py").write_text(RECIPE.format(model=model, data=data))
        made(Case(TRAIN, [f"{name}.py"]))
    made(Case("average", ["runs/pairs", "--last", "2"]))
    outputs = dict(safetensors="weights.safetensors", marian="marian", gpt2="gpt2")
    for name, output in outputs.items():
        run = "runs/text" if name == "gpt2" else "runs/pairs"
        made(Case("export", [run, "--format", name, "--output", output]))
    shutil.copy("runs/pairs/tokenizer.json", "tokenizer.json")
    for name in ("pipe", "fed"):
        os.mkfifo(name)
    for name, to in (("nowhere", "missing"), ("itself", "itself"), ("full", "../full"), ("readonly", "../readonly")):
        Path(name).symlink_to(to)


def made(case: Case) -> None:
    outcome = call(case, limit=600)
    assert outcome.status == 0, outcome


@dataclasses.dataclass
class Outcome:
    status: int
    out: str
    err: str
    seconds: float
    ended: bool
    """Whether it got SIGTERM."""


def call(case: Case, limit: float = SECONDS) -> Outcome:
    """Calls the command in the current folder."""
    feeder = subprocess.Popen(["sh", "-c", "cat source.txt > fed"]) if "fed" in case.words else None
    start, ended = time.monotonic(), False
    child = os.fork()
    if child == 0:
        os._exit(run_child(case))
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        time.sleep(0.005)
        seconds = time.monotonic() - start
        if seconds > limit and not ended:
            os.kill(child, signal.SIGTERM)
            ended = True
        if seconds > limit + GRACE:
            os.kill(child, signal.SIGKILL)
    if feeder:
        feeder.kill()
        feeder.wait()
    out, err = (Path("..", name).read_bytes().decode(errors="replace") for name in ("stdout", "stderr"))
    return Outcome(os.waitstatus_to_exitcode(found[1]), out, err, time.monotonic() - start, ended)


def run_child(case: Case) -> int:
    """Calls the command with its own standard streams; returns the exit status."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    stdin = case.stdin if os.path.isfile(case.stdin) or Path(case.stdin).is_fifo() else "/dev/null"
    new = os.O_WRONLY | os.O_TRUNC | os.O_CREAT
    if case.stdout == "closed pipe":
        reader, stdout = os.pipe()
        os.close(reader)
    else:
        stdout = os.open("/dev/full" if case.stdout == "/dev/full" else "../stdout", new)
    # A pipe without a writer would be waited for.
    os.dup2(os.open(stdin, os.O_RDWR if Path(stdin).is_fifo() else os.O_RDONLY), 0)
    os.dup2(stdout, 1)
    os.dup2(os.open("../stderr", new), 2)
    if case.as_program:
        os.environ["PYTHONPATH"] = str(REPOSITORY)
        tfmr = ["-c", "from tfmr.cli import main; main()", case.command]
        program = [str(REPOSITORY / "train.py")] if case.command == TRAIN else tfmr
        os.execv(sys.executable, [sys.executable, *program, *map(os.fsencode, case.words)])
    from tfmr.cli import _dispatch, run, train

    try:
        run(*(train.main, case.words) if case.command == TRAIN else (_dispatch, [case.command, *case.words]))
        sys.stdout.flush()
        return 0
    except SystemExit as exit_:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        return exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()


def snapshot() -> dict[str, str]:
    """What is in the current folder: the hash of each file, the target of each link."""
    found = {}
    for folder, folders, files in os.walk("."):
        for name in [*files, *folders]:
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            elif path.is_file():
                found[str(path)] = hashlib.md5(path.read_bytes()).hexdigest()
            else:
                found[str(path)] = "a folder" if path.is_dir() else "a pipe"
    return found


def faults(case: Case, outcome: Outcome, before: dict[str, str]) -> Iterator[str]:
    """What is wrong with an outcome."""
    status, err = outcome.status, outcome.err
    allowed = {0, 2} | ({143} if outcome.ended else set()) | ({141} if case.stdout == "closed pipe" else set())
    allowed |= {1} if case.command == TRAIN and "no finite gradient" in err else set()
    if status not in allowed:
        yield f"exit status {status}"
    if outcome.seconds > SECONDS + GRACE:
        yield "does not end"
    errors = [line for line in err.split("\n") if line.startswith("error: ")]
    if "Traceback" in err or re.search(r"^\w+(\.\w+)*(Error|Exception)\b", err, re.MULTILINE):
        yield "a traceback"
    elif status == 2 and (len(errors) != 1 or not err.endswith(errors[0] + "\n") or len(errors[0]) < 20):
        yield "not one line of an error"
    elif status == 0 and errors:
        yield "an error with exit status 0"
    for name in re.findall(r"\w+(?:Error|Exception)\b", "".join(errors)):
        if (
            case.command not in CONFIGURED or "".join(case.words[:1]) not in errors[0]
        ):  # a config's own errors have their names
            yield f"an exception's name: {name}"
    after = snapshot()
    for path in sorted(before.keys() | after.keys()):
        if re.search(r"\.tmp|checkpoint-tmp|\.writable|lock$", path) and path not in before and not outcome.ended:
            yield f"leaves {re.sub('[0-9a-f-]{4,}', 'N', path)}"
        elif before.get(path) != after.get(path) and not may_change(case, path):
            yield f"changes {path}"
    if status == 0 and case.stdout == "stdout":
        yield from missing(case, outcome)


def may_change(case: Case, path: str) -> bool:
    """Whether a command may write to a path."""
    run = case.words[0] if case.words else ""
    written = [case.value("--output")] * (case.command in ("translate", "score", "align", "evaluate", "export", "plot"))
    if case.command in CONFIGURED:
        written += [case.value("--data.cache"), "cache"]
    if case.command == TRAIN:
        written += [case.value("--workdir") or f"runs/{Path(run).stem}"]
    if case.command == "average":
        written += [str(Path(run, "averaged"))]
    if case.command == "import":
        written += ["runs/new", *case.words[1:2]]
    if case.command == "plot" and path.endswith(".png"):
        written += [run, "runs"]
    inputs = [case.value(f"--{name}") for name in ("source", "target", "input", "prefixes")]
    if case.command not in CONFIGURED and path in (*inputs, run, "runs/pairs/config.json"):
        return False
    changed, folders = Path(path).resolve(), [Path(name).resolve() for name in written if name]
    return any(changed.is_relative_to(folder) or folder.is_relative_to(changed) for folder in folders)


def missing(case: Case, outcome: Outcome) -> Iterator[str]:
    """What a command that succeeded has not written."""
    out, output, words = outcome.out, case.value("--output"), case.words
    written = Path(output) if output else Path("../stdout")
    if case.command in ("translate", "score", "align") and "--n-best" not in " ".join(words):
        given = case.value("--input") or case.value("--source") or case.stdin
        if Path(given).is_file() and written.is_file() and (lines_in(given) != written.read_bytes().count(b"\n")):
            yield f"writes {written.read_bytes().count(10)} lines for {lines_in(given)}"
    elif case.command == "evaluate":
        json.loads(out.rstrip("\n").split("\n")[-1], parse_constant=lambda name: 1 / 0)
    elif case.command == "plot":
        for name in out.split("\n")[:-1] if "\n" not in output else ():
            if not Path(name).read_bytes().endswith(b"IEND\xaeB`\x82"):
                yield f"no whole picture {name}"
    elif case.command == "export":
        made = Path(output)
        if not (made if made.is_file() else made / "config.json").exists():
            yield "nothing exported"
    elif case.command == "import" and not any(
        Path(word, "best").is_dir() and Path(word, "config.json").is_file() for word in words
    ):
        yield "nothing imported"
    elif not out and not (output and written.exists()) and case.command != TRAIN:
        yield "prints nothing"


def lines_in(path: str) -> int:
    content = Path(path).read_bytes()
    for begin, decompress in ((b"\x1f\x8b", gzip.decompress), (b"BZh", bz2.decompress), (b"\xfd7zXZ", lzma.decompress)):
        content = decompress(content) if content.startswith(begin) else content
    return content.count(b"\n") + (content[-1:] not in (b"", b"\n"))


def used_in_silence(case: Case, outcome: Outcome) -> bool:
    """Whether damaged parameters were used without a word: the output is not that of the undamaged run."""
    parameters = re.compile(r"runs/\w+/(best|checkpoints|averaged)/\d+/.|runs/\w+/tokenizer.json|weights.safetensors")
    touched = [path for _, path, _ in case.damage if parameters.match(path)]
    if not touched or outcome.status != 0 or case.stdout != "stdout" or outcome.err or case.command == TRAIN:
        return False
    content = written_by(case)
    fresh_workspace(dataclasses.replace(case, damage=[done for done in case.damage if done[1] not in touched]))
    again = call(case)
    return (again.status, again.out, written_by(case)) != (0, outcome.out, content)


def written_by(case: Case) -> object:
    """What a command wrote to `--output`. Of weights these are the bytes in any order: that of metadata is random."""
    written = case.value("--output")
    is_weights = case.command == "export" and written and Path(written).is_file()
    return sorted(Path(written).read_bytes()) if is_weights else snapshot().get(written)


def fresh_workspace(case: Case) -> None:
    """Goes to a new copy of the workspace, with the damage of a case."""
    os.chdir("..")
    shutil.rmtree("work", ignore_errors=True)
    subprocess.run(["cp", "-a", "whole", "work"], check=True)
    for path in Path("full").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    Path("full", "filler").write_bytes(bytes(max(0, DISK - case.free - 20_000)))
    with contextlib.suppress(OSError), Path("full", "filler").open("ab", buffering=0) as file:
        while not case.free:
            file.write(bytes(4096))
    os.chdir("work")
    do_damage(case)


def judge(number: int, shown: bool = False) -> list[str]:
    """Makes a run and prints what is wrong with it."""
    os.chdir("../whole")
    case = make_case(SEED, number)
    fresh_workspace(case)
    before = snapshot()
    outcome = call(case)
    try:
        found = list(faults(case, outcome, before))
    except Exception as error:
        found = [f"cannot be judged: {type(error).__name__}: {error}"]
    if not found and used_in_silence(case, outcome):
        found = ["uses damaged parameters in silence"]
    if found or shown:
        print(f"{number}: {case}\n   {outcome.status} after {outcome.seconds:.1f} s; {'; '.join(found[:6])}")
        print("".join(f"   | {line[:300]}\n" for line in outcome.err.split("\n")[-(99 if shown else 4) :]), flush=True)
        print(outcome.out[-2000:] if shown else "", end="", flush=True)
    return found


@contextlib.contextmanager
def workspace() -> Iterator[None]:
    """Makes the workspace, a disk that is nearly full, and one that is read-only, in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        for folder in ("whole", "work", "full", "readonly"):
            os.mkdir(folder)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", "full"]
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
        if mounted:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "readonly"], check=True)
        else:
            print("no disks can be mounted here: none is full")
        os.environ |= dict(TFMR_CACHE=f"{name}/default", JAX_PLATFORMS="cpu")
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{name}/compiled")
        os.environ |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "OPENBLAS_NUM_THREADS": "1"}
        os.environ |= {"TOKENIZERS_PARALLELISM": "false", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
        import_all()
        os.chdir("whole")
        try:
            make_workspace()
            yield
        finally:
            os.chdir("/")
            for folder in ("full", "readonly") * mounted:
                subprocess.run(["umount", f"{name}/{folder}"])


def import_all() -> None:
    """Imports what the commands need, which starts no thread: the process can be forked."""
    from tfmr.cli import COMMANDS, command_module

    for command in COMMANDS:
        command_module(command)
    names = ["cli.train", "training", "translation", "language_model.generator", "interop", "analysis", "cli.pictures"]
    names += ["analysis.compile", "cli.compile_report", "data.corpus", "models.account"]
    for name in [*(f"tfmr.{name}" for name in names), "tokenizers", "sacrebleu", "tensorboardX", "matplotlib.pyplot"]:
        importlib.import_module(name)


def main(numbers: list[int]) -> int:
    kinds, commands = Counter(), Counter()
    with workspace():
        for number in numbers or range(RUNS):
            found = judge(number, shown=bool(numbers))
            commands[make_case(SEED, number).command] += 1
            if number % 20 == 19:
                print(f"{number + 1} runs", flush=True)
            kinds.update({re.sub(r"\d+", "N", one) for one in found})
    print("\n".join(f"{count:5} {name}" for name, count in [*commands.items(), *kinds.most_common()]))
    return len(kinds)


def test_wrong_commands_and_files():
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    assert subprocess.run([sys.executable, __file__], env=environment).returncode == 0


if __name__ == "__main__":
    sys.exit(min(1, main([int(number) for number in sys.argv[1:]])))

"""Session-wide settings: shape checking, eight host devices, a compilation cache."""

import gc
import importlib.util
import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

# A shell starts background jobs with SIGINT ignored; processes that tests start and interrupt must not inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before jax is imported, and for the processes that tests start. Most of the time goes into compiling programs that run
# once or twice, so their machine code is not optimised. What the tests look at stays: the passes before that choose
# fusions, collectives and memory. A flag that is given from outside wins.
QUICK_COMPILING = ["--xla_backend_optimization_level=0"]
# A program is compiled in one piece: cut into pieces for several threads it takes a fifth more of the processors' time.
QUICK_COMPILING += ["--xla_cpu_parallel_codegen_split_count=1"]
# Later ones have no other way than this slower one to compile loops, and libtpu ends the process for a flag of CPUs.
if version("jaxlib").startswith("0.10.") and importlib.util.find_spec("libtpu") is None:
    QUICK_COMPILING += ["--xla_cpu_use_fusion_emitters=false"]
# Eight devices let sharding and pmap be tested on any machine.
DEVICES = "--xla_force_host_platform_device_count=8"
# XLA has a thread a core for all of them. A program beside a collective may wait for one of these while devices that
# hold them wait for it.
os.environ.setdefault("NPROC", "8")
os.environ["XLA_FLAGS"] = " ".join([*QUICK_COMPILING, os.environ.get("XLA_FLAGS", ""), DEVICES])
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Compiled programs are kept: between tests, between the processes of a test, and between runs of the tests.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(REPOSITORY / ".pytest_cache" / "jax")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

from jaxtyping import install_import_hook  # noqa: E402

# All but the built-in grammar, which has no arrays and is called a million times.
PACKAGES = ("nn", "config", "models", "search", "runs", "training", "translation", "language_model", "interop")
CHECKED = [
    *(f"tfmr.{name}" for name in (*PACKAGES, "analysis", "serving", "cli")),
    *(f"tfmr.data.{name}" for name in ("batching", "files", "loader", "packing", "pairs", "prepare")),
    *(f"tfmr.data.{name}" for name in ("prepared_folder", "running_text", "special_tokens", "text_batches")),
    *(f"tfmr.data.{name}" for name in ("token_arrays", "tokenizer", "tokenizer_training")),
]
install_import_hook(CHECKED, "beartype.beartype")


# JAX keeps millions of objects, and to look through them again and again takes a sixth of the time of the tests.
gc.set_threshold(50_000, 20, 20)


def pytest_collection_finish() -> None:
    """Spares the garbage collector what has been imported, which stays to the end."""
    gc.collect()
    gc.freeze()


SLOWEST = ("test_many_hosts.py", "test_notebooks.py", "test_fit.py", "test_documented_commands.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the slowest files first: what comes last is then short, and no worker is idle for long."""
    items.sort(key=lambda item: SLOWEST.index(item.path.name) if item.path.name in SLOWEST else len(SLOWEST))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora (multi30k/, tinyshakespeare/); the test is skipped where there is none."""
    folder = Path(os.environ.get("TFMR_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "multi30k").is_dir():
        pytest.skip(f"needs the real corpora: no folder {folder} (set TFMR_TEST_DATA)")
    return folder

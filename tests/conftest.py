"""Session-wide settings: shape checking, eight host devices, a compilation cache."""

import os
import sys
from pathlib import Path

import pytest

# Before jax is imported: eight devices let sharding and pmap be tested on any machine.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from jaxtyping import install_import_hook  # noqa: E402

# All but the built-in grammar, which has no arrays and is called a million times.
CHECKPOINTS = ("storage", "checksums", "checkpoint_items")
CHECKED = [
    *(f"tfmr.{name}" for name in ("nn", "models", "decoding", "training", "analysis", "cli")),
    *(f"tfmr.{name}" for name in ("config", "evaluation", "parameters", "run_directory", *CHECKPOINTS)),
    *(f"tfmr.data.{name}" for name in ("batching", "loader", "packing", "prepare", "token_arrays", "tokenizer")),
]
install_import_hook(CHECKED, "beartype.beartype")


@pytest.fixture(scope="session", autouse=True)
def compilation_cache():
    """Keeps compiled programs between runs of the tests: most of their time is compiling."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(REPOSITORY / ".pytest_cache" / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora (multi30k/, tinyshakespeare/); the test is skipped where there is none."""
    folder = Path(os.environ.get("TFMR_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "multi30k").is_dir():
        pytest.skip(f"needs the real corpora: no folder {folder} (set TFMR_TEST_DATA)")
    return folder

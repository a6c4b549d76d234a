"""Workarounds of the commands, each with the test that fails as soon as it can go."""

import os
import platform
import subprocess
import sys

import pytest

PAGE_FAULTS = """
{}
import resource
import jax
import jax.numpy as jnp

step = jax.jit(lambda x: x + 1)
x = jnp.ones((4096, 4096))  # glibc never keeps 32 MiB and more by itself
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults_of_a_step(first: str, tmp_path) -> int:
    """Pages that the system had to provide for a step that had run before."""
    (tmp_path / "program.py").write_text(PAGE_FAULTS.format(first))
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    command = [sys.executable, str(tmp_path / "program.py")]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


@needs_glibc
def test_with_huge_pages_memory_is_kept_between_steps(tmp_path):
    first = "from tfmr.cli.memory import use_huge_pages; use_huge_pages()"
    assert page_faults_of_a_step(first, tmp_path) < 100


@needs_glibc
def test_use_huge_pages_can_go_when_xla_keeps_its_memory(tmp_path):
    assert page_faults_of_a_step("", tmp_path) > 4096, (
        "XLA keeps its memory: measure whether use_huge_pages still helps"
    )


CLOSED_LOOP = """
import asyncio
import sys
import tensorstore
from orbax.checkpoint._src import asyncio_utils
{}
promise, slow_read = tensorstore.Promise.new()

async def fail():
    await asyncio.sleep(0.01)
    raise ValueError("damaged")

async def read():
    async def wait():
        await slow_read
    await asyncio.gather(wait(), fail())

try:
    asyncio_utils.run_sync(read())
except ValueError:
    promise.set_result(1)
"""


def stderr_of_a_failed_read(first: str) -> str:
    """What Python prints when a read ends after another one of the same checkpoint has failed."""
    command = [sys.executable, "-c", CLOSED_LOOP.format(first)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def test_nothing_is_printed_of_reads_that_end_after_one_has_failed():
    first = "from tfmr.cli import ignore_closed_event_loops; sys.unraisablehook = ignore_closed_event_loops"
    assert stderr_of_a_failed_read(first) == ""


def test_ignore_closed_event_loops_can_go_when_orbax_ends_its_reads():
    assert "Event loop is closed" in stderr_of_a_failed_read(""), "orbax ends its reads: remove the hook"

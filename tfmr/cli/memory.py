"""Huge pages for the CPU's memory, which make a training step a tenth faster."""

import os
import sys

# One heap in huge pages. Large arrays are not mapped separately, and freed memory is kept.
_TUNABLES = dict(hugetlb=1, arena_max=1, mmap_max=0, trim_threshold=2**62)


def use_huge_pages() -> None:
    """Restarts the program with glibc set to use huge pages and to keep freed memory; the second call does nothing.

    XLA allocates the temporary arrays of each step with malloc, which returns large ones to the system at once. Every
    step then touches a gigabyte of new pages of 4 KiB, which a virtual machine may have to request from its host. glibc
    reads these settings only when a process starts. Nothing is done on other systems than Linux, with an accelerator,
    or if GLIBC_TUNABLES is set. tests/cli/test_workarounds.py fails once XLA keeps its memory between steps.
    """
    accelerated = os.environ.get("JAX_PLATFORMS", "cpu") != "cpu" or os.path.exists("/dev/nvidia0")
    accelerated = accelerated or os.path.exists("/dev/accel0") or os.path.exists("/dev/vfio/0")
    if sys.platform != "linux" or accelerated or "GLIBC_TUNABLES" in os.environ:
        return
    os.environ["GLIBC_TUNABLES"] = ":".join(f"glibc.malloc.{name}={value}" for name, value in _TUNABLES.items())
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

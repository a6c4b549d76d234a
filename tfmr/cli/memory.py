"""Huge pages for the CPU's memory: a training step there is a tenth faster."""

import os
import sys


def use_huge_pages() -> None:
    """Starts the program again with glibc told to use huge pages; does nothing the second time.

    XLA takes the temporary arrays of each step from malloc, which gives large ones back to the system at once: every
    step then touches a gigabyte of new pages, of 4 KiB each. glibc reads its tunables only when a process starts.
    Elsewhere than on Linux, with an accelerator, or where GLIBC_TUNABLES is set, nothing is done.
    """
    accelerated = os.environ.get("JAX_PLATFORMS", "cpu") != "cpu" or os.path.exists("/dev/nvidia0")
    accelerated = accelerated or os.path.exists("/dev/accel0") or os.path.exists("/dev/vfio/0")
    if sys.platform != "linux" or accelerated or "GLIBC_TUNABLES" in os.environ:
        return
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

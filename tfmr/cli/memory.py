"""The CPU's memory: huge pages, kept once taken. A training step there is a tenth faster."""

import os
import sys

# One heap in huge pages, from which nothing is mapped apart and nothing is given back.
_TUNABLES = dict(hugetlb=1, arena_max=1, mmap_max=0, trim_threshold=2**62)


def use_huge_pages() -> None:
    """Starts the program again with glibc told to use huge pages and to keep them; does nothing the second time.

    XLA takes the temporary arrays of each step from malloc, which gives large ones back to the system at once: every
    step then touches a gigabyte of new pages, of 4 KiB each, which a virtual machine may have to ask its host for.
    glibc reads its tunables only when a process starts. Elsewhere than on Linux, with an accelerator, or where
    GLIBC_TUNABLES is set, nothing is done.
    """
    accelerated = os.environ.get("JAX_PLATFORMS", "cpu") != "cpu" or os.path.exists("/dev/nvidia0")
    accelerated = accelerated or os.path.exists("/dev/accel0") or os.path.exists("/dev/vfio/0")
    if sys.platform != "linux" or accelerated or "GLIBC_TUNABLES" in os.environ:
        return
    os.environ["GLIBC_TUNABLES"] = ":".join(f"glibc.malloc.{name}={value}" for name, value in _TUNABLES.items())
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

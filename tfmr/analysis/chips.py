"""What accelerators can do at best, from their makers' public specifications."""

from dataclasses import dataclass

from tfmr.errors import InputError, nearest


@dataclass(frozen=True)
class Chip:
    """Peak figures of one chip."""

    name: str
    flops: float
    """Floating-point operations a second of matrix products: bfloat16, or float32 on a P100."""
    hbm_bytes: int
    """Memory."""
    hbm_bandwidth: float
    """Bytes a second between memory and chip."""
    link_bandwidth: float
    """Bytes a second that a chip sends to its neighbours over all its links: half of the bidirectional figure. 0 where
    the links do not matter here."""


CHIPS = {
    chip.name: chip
    for chip in (
        # Google Cloud's pages "TPU v4", "TPU v5e", "TPU v5p", "TPU v6e": bidirectional 600, 400, 1200 and 800 GB/s.
        Chip("v4", 275e12, 32 * 2**30, 1200e9, 300e9),
        Chip("v5e", 197e12, 16 * 2**30, 819e9, 200e9),
        Chip("v5p", 459e12, 95 * 2**30, 2765e9, 600e9),
        Chip("v6e", 918e12, 32 * 2**30, 1638e9, 400e9),
        # NVIDIA's data sheets, dense: the paper's GPU in float32, and two of today in bfloat16.
        Chip("p100", 10.6e12, 16 * 2**30, 732e9, 80e9),
        Chip("a100", 312e12, 80 * 10**9, 2039e9, 300e9),
        Chip("h100", 989e12, 80 * 10**9, 3350e9, 450e9),
    )
}
TPUS = ("v4", "v5e", "v5p", "v6e")


def chip_named(name: str, known: tuple[str, ...] = tuple(CHIPS)) -> Chip:
    """Returns a chip by its name; raises InputError with the nearest known one."""
    if name not in known:
        raise InputError(f"unknown chip {name!r}{nearest(name, known)}; known are {', '.join(known)}")
    return CHIPS[name]

"""Peak performance of accelerators, from the public specifications of their makers."""

from dataclasses import dataclass

from tfmr.errors import InputError, nearest


@dataclass(frozen=True)
class Chip:
    """Peak performance of one chip."""

    name: str
    flops: float
    """FLOP/s of matrix products in bfloat16 (in float32 for the P100)."""
    hbm_bytes: int
    """Size of the main memory."""
    hbm_bandwidth: float
    """Bytes per second between main memory and chip."""
    link_bandwidth: float
    """Bytes per second that a chip sends over all its links: half of the bidirectional bandwidth. 0 if unused."""


CHIPS = {
    chip.name: chip
    for chip in (
        # Google Cloud's pages "TPU v4", "TPU v5e", "TPU v5p", "TPU v6e"; links: 600, 400, 1200, 800 GB/s bidirectional.
        Chip("v4", 275e12, 32 * 2**30, 1200e9, 300e9),
        Chip("v5e", 197e12, 16 * 2**30, 819e9, 200e9),
        Chip("v5p", 459e12, 95 * 2**30, 2765e9, 600e9),
        Chip("v6e", 918e12, 32 * 2**30, 1638e9, 400e9),
        # NVIDIA's data sheets, without sparsity. The P100 is the paper's GPU.
        Chip("p100", 10.6e12, 16 * 2**30, 732e9, 80e9),
        Chip("a100", 312e12, 80 * 10**9, 2039e9, 300e9),
        Chip("h100", 989e12, 80 * 10**9, 3350e9, 450e9),
    )
}
TPUS = ("v4", "v5e", "v5p", "v6e")


def chip_named(name: str, known: tuple[str, ...] = tuple(CHIPS)) -> Chip:
    """Returns a chip by name; raises InputError with the nearest known name if the name is unknown."""
    if name not in known:
        raise InputError(f"unknown chip {name!r}{nearest(name, known)}; choose one of {', '.join(known)}")
    return CHIPS[name]

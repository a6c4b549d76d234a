"""Accelerators: peak performance from their makers' public specifications, and lower bounds for the time of a step."""

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
    clock: float = 0.0
    """Cycles per second of a TPU, in which its compiler estimates times; 0 for other chips."""


CHIPS = {
    chip.name: chip
    for chip in (
        # Google Cloud's pages "TPU v4", "TPU v5e", "TPU v5p", "TPU v6e"; links: 600, 400, 1200, 800 GB/s bidirectional.
        Chip("v4", 275e12, 32 * 2**30, 1200e9, 300e9, 1.05e9),
        Chip("v5e", 197e12, 16 * 2**30, 819e9, 200e9, 1.5e9),
        Chip("v5p", 459e12, 95 * 2**30, 2765e9, 600e9, 1.75e9),
        Chip("v6e", 918e12, 32 * 2**30, 1638e9, 400e9, 1.75e9),
        # NVIDIA's data sheets, without sparsity. The P100 is the paper's GPU.
        Chip("p100", 10.6e12, 16 * 2**30, 732e9, 80e9),
        Chip("a100", 312e12, 80 * 10**9, 2039e9, 300e9),
        Chip("h100", 989e12, 80 * 10**9, 3350e9, 450e9),
        Chip("h200", 989e12, 141 * 10**9, 4800e9, 450e9),
    )
}
TPUS = ("v4", "v5e", "v5p", "v6e")
GPUS = ("a100", "h100", "h200")


DEVICE_KINDS = {
    "TPU v4": "v4",
    "TPU v5 lite": "v5e",
    "TPU v5e": "v5e",
    "TPU v5": "v5p",
    "TPU v5p": "v5p",
    "TPU v6 lite": "v6e",
    "TPU v6e": "v6e",
    "Tesla P100-SXM2-16GB": "p100",
    "NVIDIA A100-SXM4-40GB": "a100",
    "NVIDIA A100-SXM4-80GB": "a100",
    "NVIDIA A100-PCIE-40GB": "a100",
    "NVIDIA A100 80GB PCIe": "a100",
    "NVIDIA H100 80GB HBM3": "h100",
    "NVIDIA H200": "h200",
}
"""The chips by what JAX calls them (`device_kind`), if their peak FLOP/s is that of the table. The PCIe and NVL models
of the H100 are slower, and so is a part of a GPU, which has another name."""


def chip_of_kind(device_kind: str) -> Chip | None:
    """Returns the chip that JAX calls by this name, or None if its peak is not known."""
    name = DEVICE_KINDS.get(device_kind)
    return None if name is None else CHIPS[name]


def chip_named(name: str) -> Chip:
    """Returns a chip by name; raises InputError with the nearest known name if the name is unknown."""
    if name not in CHIPS:
        raise InputError(f"unknown chip {name!r}{nearest(name, CHIPS)}; choose one of {', '.join(CHIPS)}")
    return CHIPS[name]


@dataclass(frozen=True)
class Roofline:
    """Lower bounds for the time of one step on one chip, in seconds."""

    compute: float
    """Time of all matrix products at peak FLOP/s."""
    memory: float
    """Time of all memory traffic at peak bandwidth."""
    network: float
    """Time of all communication, over all links at peak bandwidth."""

    @property
    def shortest(self) -> float:
        """Time of the step if all three overlap completely."""
        return max(self.compute, self.memory, self.network)

    @property
    def longest(self) -> float:
        """Time of the step if nothing overlaps."""
        return self.compute + self.memory + self.network

    @property
    def bound(self) -> str:
        """The bottleneck: compute, memory or network."""
        return max(("compute", "memory", "network"), key=lambda name: getattr(self, name))


def roofline(chip: Chip, *, flops: float, bytes_accessed: float, bytes_sent: float) -> Roofline:
    """Returns the lower bounds for the time of a step in which each chip does this many FLOPs and moves these bytes."""
    return Roofline(flops / chip.flops, bytes_accessed / chip.hbm_bandwidth, bytes_sent / chip.link_bandwidth)


def training_seconds(flops: float, chip: Chip, num_chips: int, mfu: float) -> float:
    """Returns the time of a number of FLOPs on chips with a model FLOP utilisation of `mfu`, from 0 to 1."""
    return flops / (chip.flops * num_chips * mfu)

"""Lower bounds for the time of a step, from its FLOPs, memory traffic and communication."""

from dataclasses import dataclass

from tfmr.analysis.chips import Chip


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
    """Returns the lower bounds for the time of a step.

    Args:
      chip: the peak performance of the chip.
      flops: the FLOPs of a step per chip.
      bytes_accessed: the bytes that a chip reads and writes in a step.
      bytes_sent: the bytes that a chip sends in a step.
    """
    return Roofline(flops / chip.flops, bytes_accessed / chip.hbm_bandwidth, bytes_sent / chip.link_bandwidth)


def training_seconds(flops: float, chip: Chip, num_chips: int, mfu: float) -> float:
    """Returns the time of a number of FLOPs on chips with a model FLOP utilisation of `mfu`, from 0 to 1."""
    return flops / (chip.flops * num_chips * mfu)

"""How fast a step can be at best, from what it computes, reads and sends."""

from dataclasses import dataclass

from tfmr.analysis.chips import Chip


@dataclass(frozen=True)
class Roofline:
    """Least times of one step on one chip, in seconds."""

    compute: float
    """All matrix products at the chip's peak."""
    memory: float
    """All bytes that are read and written, at the memory's peak."""
    network: float
    """All that is sent to other chips, over all links at their peak."""

    @property
    def shortest(self) -> float:
        """The step's time if all three go on at once."""
        return max(self.compute, self.memory, self.network)

    @property
    def longest(self) -> float:
        """The step's time if nothing overlaps, each still at its peak."""
        return self.compute + self.memory + self.network

    @property
    def bound(self) -> str:
        """What the shortest time is made of: compute, memory or network."""
        return max(("compute", "memory", "network"), key=lambda name: getattr(self, name))


def roofline(chip: Chip, *, flops: float, bytes_accessed: float, bytes_sent: float) -> Roofline:
    """Returns the least times of a step.

    Args:
      chip: peak figures.
      flops: operations of one chip in a step.
      bytes_accessed: bytes that one chip reads and writes in a step.
      bytes_sent: bytes that one chip sends in a step.
    """
    return Roofline(flops / chip.flops, bytes_accessed / chip.hbm_bandwidth, bytes_sent / chip.link_bandwidth)


def training_seconds(flops: float, chip: Chip, num_chips: int, mfu: float) -> float:
    """Returns how long so many operations take on chips that reach the share `mfu` of their peak."""
    return flops / (chip.flops * num_chips * mfu)

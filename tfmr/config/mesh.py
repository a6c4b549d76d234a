"""The device mesh."""

import dataclasses
import math
from dataclasses import dataclass

from tfmr.config.checks import require


@dataclass(frozen=True)
class MeshConfig:
    """The number of devices along each mesh axis. One axis may be -1, which uses all remaining devices."""

    data: int = -1
    """Devices that split the batch, each with a full copy of the parameters."""
    fsdp: int = 1
    """Devices that split both the batch and every parameter."""
    tensor: int = 1
    """Devices that split attention heads, inner widths and the vocabulary."""

    def __post_init__(self):
        sizes = dataclasses.astuple(self)
        for name, size in dataclasses.asdict(self).items():
            require(size >= 1 or size == -1, f"mesh.{name}", size, "must be 1 or greater, or -1 for the rest")
        require(sizes.count(-1) <= 1, "mesh", sizes, "only one axis may be -1")

    def shape(self, num_devices: int) -> tuple[int, int, int]:
        """Returns the sizes of (data, fsdp, tensor) for a number of devices; raises InputError if they do not fit."""
        sizes = dataclasses.astuple(self)
        known = math.prod(size for size in sizes if size != -1)
        fits = num_devices % known == 0 if -1 in sizes else num_devices == known
        require(
            fits, "mesh", sizes, f"does not fit {num_devices} devices; the product of the sizes must be that number"
        )
        data, fsdp, tensor = (num_devices // known if size == -1 else size for size in sizes)
        return data, fsdp, tensor

"""The devices of a run: the mesh, and the processes on several hosts."""

import dataclasses
import math
from dataclasses import dataclass

from tfmr.config.checks import Checks, require


@dataclass(frozen=True)
class MeshConfig:
    """The number of devices along each mesh axis. One axis may be -1, which uses all remaining devices."""

    data: int = -1
    """Devices that split the batch, each with a full copy of the parameters."""
    fsdp: int = 1
    """Devices that split both the batch and the parameters, except the embedding tables."""
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
        fix = f"does not fit {num_devices} devices; the product of the sizes must equal that number"
        require(fits, "mesh", sizes, fix)
        data, fsdp, tensor = (num_devices // known if size == -1 else size for size in sizes)
        return data, fsdp, tensor


@dataclass(frozen=True)
class DistributedConfig:
    """The processes that train together.

    On a TPU pod, under SLURM or Open MPI, or in a Kubernetes job, all of these are detected. Elsewhere, without an
    address, there is a single process.
    """

    coordinator_address: str = ""
    """HOST:PORT of process 0. Empty: $JAX_COORDINATOR_ADDRESS, or detected from the cluster."""
    num_processes: int = 0
    """Number of processes. 0: $JAX_NUM_PROCESSES, or detected from the cluster; 1: this process alone."""
    process_id: int = -1
    """Index of this process, from 0. -1: $JAX_PROCESS_ID, or detected from the cluster."""
    connect_timeout: int = 300
    """Seconds to wait until all processes have connected."""
    lost_after: int = 30
    """Seconds without a heartbeat after which a host is considered lost and the run ends."""

    def __post_init__(self):
        check = Checks("distributed", self)
        check.at_least_zero("num_processes")
        check.require("process_id", self.process_id >= -1, "must be -1 or greater")
        check.positive("connect_timeout")
        check.require("lost_after", self.lost_after >= 3, "must be 3 or greater")

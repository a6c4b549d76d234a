"""The processes of a run on several hosts."""

from dataclasses import dataclass

from tfmr.config.checks import require, require_positive


@dataclass(frozen=True)
class DistributedConfig:
    """The processes that train together.

    On a TPU pod, under SLURM or Open MPI, or in a Kubernetes job, all of this is detected. Elsewhere, without an
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
        require(self.num_processes >= 0, "distributed.num_processes", self.num_processes, "must be 0 or greater")
        require(self.process_id >= -1, "distributed.process_id", self.process_id, "must be -1 or greater")
        require_positive("distributed", self, "connect_timeout")
        require(self.lost_after >= 3, "distributed.lost_after", self.lost_after, "must be 3 or greater")

"""Starts `jax.distributed` with the processes that flags, environment variables or the cluster name."""

import glob
import importlib.util
import logging
import os
import socket
import time
from typing import Any

import jax

from tfmr.config import DistributedConfig
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")


def start(config: DistributedConfig) -> None:
    """Connects this process to the other processes of the run; does nothing if there are none.

    Flags take precedence over JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, and these over the
    cluster. Without any of these, the function returns at once: a laptop never waits.

    Raises:
      InputError: if a setting is missing, or process 0 cannot be reached in time.
    """
    if config.num_processes == 1 or jax.distributed.is_initialized():
        return
    cluster = detect_cluster()
    given = _given(config)
    if given.get("num_processes") == 1 or not (cluster or given):
        return
    if not cluster:
        _check_explicit(given)
    # tfmr.training.hosts reports a lost host first, because it knows the host's name; JAX reports what it misses.
    limits: dict[str, Any] = dict(
        heartbeat_timeout_seconds=config.lost_after + 15, shutdown_timeout_seconds=config.lost_after + 15
    )
    if given.get("coordinator_address"):
        _await_coordinator(given["coordinator_address"], given["process_id"], config.connect_timeout)
    if cluster == "slurm" and _sees_all_its_devices():
        limits["local_device_ids"] = []  # jax would take one GPU a process
    started = time.monotonic()
    try:
        jax.distributed.initialize(
            **{name: value for name, value in given.items() if value is not None},
            initialization_timeout=config.connect_timeout,
            cluster_detection_method=None if cluster else "deactivate",
            **limits,
        )
    except (RuntimeError, ValueError, OSError) as error:
        if cluster == "tpu" and "should be defined" in str(error):
            return  # a TPU VM that is not part of a pod
        seconds, address = time.monotonic() - started, given.get("coordinator_address") or "process 0"
        first_line = str(error).split("\n")[0][:300]
        raise InputError(
            f"distributed: the processes did not connect within {seconds:.0f} s ({first_line}); "
            f"check that all of them are running, each with its own process_id, and that {address} is reachable"
        ) from None
    log.info("Process %d of %d on %s", jax.process_index(), jax.process_count(), socket.gethostname())


def detect_cluster() -> str:
    """Returns the cluster that this process belongs to: "tpu", "slurm", "openmpi", "kubernetes", or "" for none.

    Raises:
      InputError: in an indexed Kubernetes job if JAX cannot find the other pods.
    """
    environment = os.environ
    if all(name in environment for name in _SLURM):
        tasks = environment.get("SLURM_STEP_NUM_TASKS", environment["SLURM_NTASKS"])
        return "slurm" if int(tasks) > 1 else ""
    if int(environment.get("OMPI_COMM_WORLD_SIZE", 1)) > 1 and "OMPI_MCA_orte_hnp_uri" in environment:
        return "openmpi"
    tpu_chips = glob.glob("/dev/accel[0-9]*") or glob.glob("/dev/vfio/[0-9]*")
    if tpu_chips and "tpu" in environment.get("JAX_PLATFORMS", "tpu") and importlib.util.find_spec("libtpu"):
        return "tpu"
    if "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment:
        # With a given address, only the index of the pod is taken from Kubernetes.
        if "JAX_COORDINATOR_ADDRESS" in environment:
            return ""
        if not importlib.util.find_spec("kubernetes"):
            raise InputError(
                "distributed: JAX needs the kubernetes package to find the other pods of the job: install it, set "
                "JAX_COORDINATOR_ADDRESS and JAX_NUM_PROCESSES, or give --distributed.num-processes 1 for this pod "
                "alone"
            )
        return "kubernetes"
    return ""


def _given(config: DistributedConfig) -> dict[str, Any]:
    """Returns the settings of flags and environment variables, None for a missing one; empty if all are missing."""
    address = config.coordinator_address or os.environ.get("JAX_COORDINATOR_ADDRESS") or None
    process_id = config.process_id if config.process_id >= 0 else _number("JAX_PROCESS_ID")
    if process_id is None and address:
        process_id = _number("JOB_COMPLETION_INDEX")  # the pod of an indexed Kubernetes job
    given = dict(
        coordinator_address=address,
        num_processes=config.num_processes or _number("JAX_NUM_PROCESSES"),
        process_id=process_id,
    )
    return given if any(value is not None for value in given.values()) else {}


def _number(variable: str) -> int | None:
    value = os.environ.get(variable)
    if not value:
        return None
    if not value.isdecimal():
        raise InputError(f"{variable} = {value!r}: must be a whole number")
    return int(value)


def _check_explicit(given: dict[str, Any]) -> None:
    missing = [name for name, value in given.items() if value is None]
    if missing:
        named = " and ".join(f"--distributed.{name.replace('_', '-')} or JAX_{name.upper()}" for name in missing)
        raise InputError(f"distributed: no cluster was detected; also give {named}")
    number, count = given["process_id"], given["num_processes"]
    if number >= count:
        raise InputError(f"distributed.process_id = {number}: must be less than num_processes = {count}")


def _await_coordinator(address: str, process_id: int | None, timeout: int) -> None:
    """Waits until process 0 listens. JAX would end the program with a stack trace if it never does."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"distributed.coordinator_address = {address!r}: must be HOST:PORT")
    deadline = time.monotonic() + timeout
    while True:
        try:
            if process_id == 0:
                socket.getaddrinfo(host, int(port))
            else:
                socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError as error:
            # The name of a new pod may not resolve at once, and process 0 may start later.
            if time.monotonic() > deadline:
                raise InputError(
                    f"distributed.coordinator_address = {address!r}: no answer within {timeout} s ({error}); "
                    "check that process 0 is running there and that the port is open"
                ) from None
            time.sleep(0.2)


def _sees_all_its_devices() -> bool:
    """Returns whether a SLURM task should use every GPU that it sees: it is alone on its node, or sees only one."""
    tasks_per_node = os.environ.get("SLURM_STEP_TASKS_PER_NODE", os.environ.get("SLURM_TASKS_PER_NODE", ""))
    alone = {part.split("(")[0] for part in tasks_per_node.split(",")} == {"1"}
    return alone or len(os.environ.get("CUDA_VISIBLE_DEVICES", ",").split(",")) == 1

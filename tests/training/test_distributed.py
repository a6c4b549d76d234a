"""Finding the other processes: by flags, by environment variables, by the cluster, and not by accident."""

import socket
import time

import pytest

from tfmr.config import DistributedConfig
from tfmr.errors import InputError
from tfmr.training import distributed

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "3"}


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """An environment that says nothing, and a jax that notes how it was started."""
    started = []
    for name in ("COORDINATOR_ADDRESS", "NUM_PROCESSES", "PROCESS_ID"):
        monkeypatch.delenv(f"JAX_{name}", raising=False)
    for name in (*SLURM, *KUBERNETES, "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(distributed.jax.distributed, "initialize", lambda **kwargs: started.append(kwargs))
    return started


def set_all(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {**SLURM, "SLURM_NTASKS": "1"},
        {**SLURM, "SLURM_STEP_NUM_TASKS": "1"},  # a shell in an allocation for more
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"},  # the batch script, outside srun
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},  # any pod: a notebook
        {"JAX_NUM_PROCESSES": "1"},
    ],
)
def test_one_process_tries_nothing(variables, monkeypatch, bare):
    set_all(monkeypatch, variables)
    distributed.start(DistributedConfig())
    assert bare == []


def test_one_process_is_one_wherever_it_runs(monkeypatch, bare):
    set_all(monkeypatch, SLURM)
    distributed.start(DistributedConfig(num_processes=1))
    assert bare == []


def test_slurm_is_left_to_jax_but_for_the_gpus(monkeypatch, bare):
    set_all(monkeypatch, {**SLURM, "SLURM_STEP_TASKS_PER_NODE": "1(x2)"})
    distributed.start(DistributedConfig())
    assert bare[0]["local_device_ids"] == []  # all, not one
    assert "coordinator_address" not in bare[0]
    set_all(monkeypatch, {"SLURM_STEP_TASKS_PER_NODE": "8(x2)", "CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"})
    distributed.start(DistributedConfig())
    assert "local_device_ids" not in bare[1]


def test_flags_come_before_variables(monkeypatch, bare):
    set_all(monkeypatch, {"JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "0"})
    distributed.start(DistributedConfig(coordinator_address="localhost:1234", num_processes=3))
    found = {name: bare[0][name] for name in ("coordinator_address", "num_processes", "process_id")}
    assert found == {"coordinator_address": "localhost:1234", "num_processes": 3, "process_id": 0}


def test_of_an_indexed_job_with_an_address_only_the_index_is_taken(monkeypatch, bare):
    set_all(monkeypatch, {**KUBERNETES, "JOB_COMPLETION_INDEX": "0"})
    set_all(monkeypatch, {"JAX_COORDINATOR_ADDRESS": "localhost:1234", "JAX_NUM_PROCESSES": "4"})
    distributed.start(DistributedConfig())
    assert bare[0]["process_id"] == 0


@pytest.mark.parametrize(
    ("variables", "config", "message"),
    [
        ({}, {"coordinator_address": "a:1"}, "num-processes or JAX_NUM_PROCESSES and .*process-id or JAX_PROCESS_ID"),
        ({}, {"num_processes": 2, "process_id": 0}, "coordinator-address or JAX_COORDINATOR_ADDRESS"),
        ({}, {"coordinator_address": "a:1", "num_processes": 2, "process_id": 2}, "process_id = 2: must be less than"),
        ({}, {"coordinator_address": "a", "num_processes": 2, "process_id": 1}, "'a': must be HOST:PORT"),
        ({"JAX_PROCESS_ID": "one"}, {"coordinator_address": "a:1"}, "JAX_PROCESS_ID = 'one': must be a whole number"),
        (KUBERNETES, {}, "the kubernetes package .*: install it, set JAX_COORDINATOR_ADDRESS"),
    ],
)
def test_what_is_not_whole_is_refused(variables, config, message, monkeypatch, bare):
    set_all(monkeypatch, variables)
    with pytest.raises(InputError, match=message):
        distributed.start(DistributedConfig(**config))
    assert bare == []


def test_a_coordinator_that_is_not_there_ends_the_wait(bare):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(InputError, match=rf"127\.0\.0\.1:{port}': no answer within 1 s .*refused"):
        distributed.start(DistributedConfig(f"127.0.0.1:{port}", num_processes=2, process_id=1, connect_timeout=1))
    assert time.monotonic() - started < 20
    assert bare == []

"""Devices that need not be present, to compile for."""

from typing import Any

from tfmr.errors import InputError
from tfmr.models.chips import CHIPS, GPUS

_GPUS_OF_A_HOST = 8

# What the compiler asks of a GPU, from NVIDIA's data sheets and the tables of technical specifications of its CUDA
# programming guide. Sizes are in bytes.
_HOPPER = dict(
    cores=132, units=128, clock=1.98, cache=50 * 2**20, shared=228 * 1024, capability=9, name="NVIDIA H100 80GB HBM3"
)
_GPU_TARGETS: dict[str, dict[str, Any]] = {
    "a100": dict(
        cores=108, units=64, clock=1.41, cache=40 * 2**20, shared=164 * 1024, capability=8, name="NVIDIA A100-SXM4-80GB"
    ),
    "h100": _HOPPER,
    "h200": _HOPPER | dict(name="NVIDIA H200"),
}
_GPU_TARGET = """
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  core_count: {cores} fpus_per_core: {units} clock_rate_ghz: {clock} l2_cache_size: {cache}
  shared_memory_per_block: 49152 shared_memory_per_core: {shared} shared_memory_per_block_optin: {most_shared}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: {bandwidth:.0f} device_memory_size: {memory}
  cuda_compute_capability {{ major: {capability} minor: 0 }}
}}
platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 8 }} runtime_version {{ major: 12 minor: 8 }}
device_description_str: "{name}"
"""


def topology_devices(chip: str, shape: tuple[int, ...]) -> list[Any]:
    """Returns the devices of a topology.

    Args:
      chip: a TPU, a GPU, or cpu.
      shape: how many chips stand along each axis of a TPU slice; otherwise the number of devices.

    Raises:
      InputError: if no topology has this shape, or the compiler does not work with this jax.
    """
    import jax
    from jax.experimental import topologies

    name = f"{chip}:{'x'.join(map(str, shape))}"
    if chip == "cpu":
        devices = jax.devices("cpu")
        if len(devices) < shape[0]:
            raise InputError(f"--topology {name}: this process has only {len(devices)} CPU devices; check XLA_FLAGS")
        return devices[: shape[0]]
    try:
        if chip in GPUS:
            return _gpus(chip, shape[0])
        return list(topologies.get_topology_desc(platform="tpu", topology_name=name).devices)
    except Exception as error:
        raise InputError(f"--topology {name}: {str(error).splitlines()[0]}") from None


def _gpus(chip: str, number: int) -> list[Any]:
    from jax.experimental import topologies

    hosts = -(-number // _GPUS_OF_A_HOST)
    if number % hosts:
        raise InputError(
            f"{number} GPUs need {hosts} hosts of at most {_GPUS_OF_A_HOST}, but cannot be divided evenly among them; "
            f"choose a multiple of {hosts}"
        )
    target = _GPU_TARGETS[chip]
    memory = dict(
        most_shared=target["shared"] - 1024, bandwidth=CHIPS[chip].hbm_bandwidth, memory=CHIPS[chip].hbm_bytes
    )
    described = topologies.get_topology_desc(
        chip,
        platform="cuda",
        target_config=_GPU_TARGET.format(**target, **memory),
        topology=f"1x{hosts}x{number // hosts}",
    )
    return list(described.devices)

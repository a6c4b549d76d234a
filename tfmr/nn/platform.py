"""The platform that a program is traced for, and the name under which kernels keep results for the backward pass."""

import jax

KEPT_BY_KERNELS = "kept_by_kernels"
"""The name, for policies of `jax.checkpoint`, of what kernels compute forward and need backward."""


def platform() -> str:
    """Returns "cpu", "gpu" or "tpu": that of the mesh which is set, whose devices need not be present, or jax's own."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform

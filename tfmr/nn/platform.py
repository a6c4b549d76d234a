"""The platform that a program is traced for."""

import jax


def platform() -> str:
    """Returns "cpu", "gpu" or "tpu": that of the mesh which is set, whose devices need not be present, or jax's own."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform

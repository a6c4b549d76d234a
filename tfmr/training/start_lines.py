"""What a run says about itself before its first step: its size, its batches, its devices, and how they compute."""

from typing import Any

import jax
from jax.sharding import Mesh

from tfmr.config import Config
from tfmr.data.batching import BatchPlan
from tfmr.nn.attention_choice import KERNELS


def start_lines(config: Config, mesh: Mesh, plan: BatchPlan, params: Any, frozen: Any = None) -> tuple[str, str]:
    """Returns a line about the work, and one about the devices that do it.

    Args:
      config: the configuration.
      mesh: the devices.
      plan: the batches.
      params: the parameters that learn.
      frozen: those that do not; None if there are none.
    """
    leaves = jax.tree.leaves((params, frozen))
    learning = sum(x.size for x in jax.tree.leaves(params))
    size = f"{learning:,} parameters"
    if frozen is not None:
        kept = sum(x.size for x in jax.tree.leaves(frozen))
        size += f" learn, {kept:,} do not"
    batching = getattr(config.data, "batching", "")
    shapes = f"{len(plan.buckets)} {'shape' if len(plan.buckets) == 1 else 'shapes'}"
    work = (
        f"{size}; {len(plan.epoch(0))} {batching + ' ' if batching else ''}batches per epoch in {shapes}, "
        f"{100 * plan.padding_share():.1f}% padding, {plan.left_out} examples left out"
    )
    types = " and ".join(sorted({str(x.dtype) for x in leaves}))
    parts = [_devices(mesh), "mesh " + " x ".join(f"{name} {size}" for name, size in mesh.shape.items())]
    parts += [_attention(config.model, mesh)]
    parts += [f"computation in {getattr(config.model, 'dtype', 'float32')}, parameters in {types}"]
    return work, "; ".join(part for part in parts if part)


def _devices(mesh: Mesh) -> str:
    text = f"{mesh.size} x {mesh.devices.flat[0].device_kind}"
    return text if jax.process_count() == 1 else f"{text} in {jax.process_count()} processes"


def _attention(model: Any, mesh: Mesh) -> str:
    """Returns the configured attention, and what an automatic choice comes to."""
    name = getattr(model, "attention", "")
    if name == "auto":
        # Whether a kernel can serve depends on the arrays: `attention_choice` logs it when the step is traced.
        kernel = KERNELS.get(mesh.devices.flat[0].platform)
        name = f"auto ({kernel} where it can serve)" if kernel else "auto (xla)"
    return f"attention {name}" if name else ""

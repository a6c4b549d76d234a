"""`tfmr compile CONFIG --topology v5e:16x16`: compiles the training step for chips that need not be present."""

import importlib.util
import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from tfmr.cli.arguments import parse, print_options, split_options
from tfmr.cli.config_file import parse_config, with_base, with_vocabulary
from tfmr.config import Config
from tfmr.errors import InputError, nearest

PROG = "tfmr compile"


@dataclass(frozen=True)
class Options:
    """The chips to compile for. All other options belong to the config."""

    topology: str
    """Chip and shape: v4:4x4x4, v5e:16x16, v5p:4x4x4, v6e:16x16; the number of GPUs: a100:8, h100:8, h200:8; or cpu:8
    for eight CPU devices on this machine."""


def main(arguments: list[str]) -> None:
    """Compiles the training step of a config for a topology, and prints its memory, collectives and speed.

    Raises:
      InputError: for an unknown topology, a mesh that does not fit it, or a step that does not fit its memory.
    """
    os.environ["JAX_PLATFORMS"] = "cpu"  # read when jax is imported; keeps it from looking for accelerators
    own, rest = split_options(Options, arguments)
    if {"-h", "--help"} & set(arguments):
        print_options(Options, PROG)
        parse_config(rest, PROG)
    if not own:
        raise InputError(
            f"no topology given; name the chips, as in: {PROG} {' '.join(rest[:1]) or 'CONFIG'} --topology v5e:16x16"
        )
    chip, shape = parse_topology(parse(Options, own, prog=PROG).topology)
    _prepare_environment(chip, shape)
    _compile(with_vocabulary(with_base(parse_config(rest, PROG))[0]), chip, shape)


def parse_topology(topology: str) -> tuple[str, tuple[int, ...]]:
    """Returns the chip's name and the shape of `v5e:16x16`; raises InputError if it is not a topology."""
    from tfmr.models.chips import GPUS, TPUS

    name, _, shape = topology.partition(":")
    known = (*TPUS, *GPUS, "cpu")
    if name not in known:
        raise InputError(
            f"--topology {topology}: unknown chip {name!r}{nearest(name, known)}; choose one of {', '.join(known)}"
        )
    sizes = shape.split("x")
    dimensions = 1 if name not in TPUS else 2 if name in ("v5e", "v6e") else 3
    if len(sizes) != dimensions or not all(size.isdigit() and int(size) > 0 for size in sizes):
        example = {1: "8", 2: "16x16", 3: "4x4x4"}[dimensions]
        raise InputError(f"--topology {topology}: must give the shape of the {name} devices, as in {name}:{example}")
    return name, tuple(int(size) for size in sizes)


def _prepare_environment(chip: str, shape: tuple[int, ...]) -> None:
    """Sets the number of CPU devices, or what the compiler of the chip reads, before jax starts a backend."""
    from tfmr.models.chips import GPUS

    if chip == "cpu":
        flag = "--xla_force_host_platform_device_count"
        if flag not in os.environ.get("XLA_FLAGS", ""):
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}={shape[0]}"
        return
    if chip in GPUS:
        _prepare_for_gpus()
        return
    if importlib.util.find_spec("libtpu") is None:
        raise InputError("compiling for TPUs requires libtpu (but not a TPU); run: pip install 'tfmr[tpu]'")
    os.environ.update(TPU_SKIP_MDS_QUERY="1", TPU_WORKER_HOSTNAMES="localhost", TPU_WORKER_ID="0")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-16")
    # Only a chip belongs to a single process. Without one, several programs can use the library.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "true")


def _prepare_for_gpus() -> None:
    if importlib.util.find_spec("jax_cuda12_plugin") is None:
        of_jax = version("jaxlib")
        packages = f"jax-cuda12-plugin=={of_jax} jax-cuda12-pjrt=={of_jax}"
        raise InputError(
            f"compiling for GPUs requires JAX's CUDA plugin (but not a GPU); run: pip install --no-deps {packages}"
        )
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # a program for absent GPUs cannot be read back
    # Without a GPU, kernels cannot be timed against each other.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_autotune_level=0"


def _compile(config: Config, chip: str, shape: tuple[int, ...]) -> None:
    from tfmr.analysis.compile import compile_step, step_inputs
    from tfmr.analysis.topologies import topology_devices
    from tfmr.cli.compile_report import print_compiled, print_inputs
    from tfmr.models.chips import CHIPS, GPUS
    from tfmr.training.sharding import make_mesh

    if chip in GPUS and getattr(config.model, "attention", "xla") != "xla":
        model: Any = config.model
        config = replace(config, model=replace(model, attention="xla"))
        print("attention  computed by XLA here: cuDNN's kernel, which training uses, cannot be compiled without a GPU")
    inputs = step_inputs(config, make_mesh(config.mesh, topology_devices(chip, shape)))
    known = CHIPS.get(chip)
    print_inputs(inputs, known)
    try:
        step = compile_step(inputs, known)
    except InputError as error:
        raise InputError(f"{error} {WHAT_TO_CHANGE}") from None
    print_compiled(inputs, step, known)
    if known is not None and step.peak > known.hbm_bytes:
        needed, has = step.peak / 2**30, known.hbm_bytes / 2**30
        raise InputError(
            f"does not fit: the step needs {needed:.2f} GiB per chip, but the {chip} has {has:.2f} GiB. "
            + WHAT_TO_CHANGE
        )


WHAT_TO_CHANGE = (
    "Lower --data.tokens-per-batch (which covers all chips), raise --training.accumulation, set --model.remat True or "
    "--model.dtype bfloat16, or shard the parameters with --mesh.fsdp or --mesh.tensor"
)

"""Measures tfmr on one accelerator, beside PyTorch, Hugging Face and CTranslate2 where they are installed.

It runs from a checkout and needs no network; README.md lists the packages. Training is the trainer's own step.

    python benchmarks/accelerator.py --output accelerator.json
    python benchmarks/accelerator.py --toy  # tiny models, to see that it works
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leaves memory to PyTorch

import argparse
import dataclasses
import functools
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, get_args

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from tfmr.config import DecodingConfig, MeshConfig, TrainingConfig
from tfmr.config.presets import gpt2_small, transformer_base, transformer_big
from tfmr.models import build_model, init_params
from tfmr.models.account import training_flops_per_token
from tfmr.models.chips import Chip, chip_of_kind
from tfmr.nn.attention_choice import AttentionName
from tfmr.training.optimizer import make_optimizer, make_schedule
from tfmr.training.sharding import logical_names_on, make_mesh, to_devices
from tfmr.training.state import make_sharded_state
from tfmr.training.step import jit_for_sharding, make_train_step

TRAINING = TrainingConfig(schedule="constant", learning_rate=1e-4, warmup_steps=0, label_smoothing=0.1)
BATCHES, WARM_UP, BLOCKS = 4, 4, 5
TOY = dict(vocab_size=500, d_model=64, d_ff=128, num_heads=2, d_k=32, d_v=32)


@dataclasses.dataclass
class Workload:
    """A model and the batches it is trained on."""

    name: str
    config: Any
    batches: list[dict[str, np.ndarray]]

    @property
    def tokens(self) -> float:
        """Mean number of target tokens of a batch, without padding."""
        return statistics.mean(float((batch["target_segments"] != 0).sum()) for batch in self.batches)

    @property
    def flops(self) -> float:
        """FLOPs of the model in a step; whole rows are counted."""
        rows, length = self.batches[0]["target_input"].shape
        return training_flops_per_token(self.config, length, length) * rows * length


@dataclasses.dataclass
class System:
    """A training program that is ready to run."""

    name: str
    step: Callable[[int], Any]
    """Starts the update on batch i and returns its loss, perhaps before it is computed."""
    wait: Callable[[Any], None]
    """Waits for a loss and all work before it."""
    peak_bytes: Callable[[], int | None]
    """Returns the most memory that the steps take, once one has run."""
    parameters: int
    losses: list[float] = dataclasses.field(default_factory=list)
    steps: int = 0
    """Steps of a block."""
    seconds: list[float] = dataclasses.field(default_factory=list)


class Budget:
    """The time that a run may take. Work that has started is finished."""

    def __init__(self, seconds: float):
        self.end, self.skipped = time.monotonic() + seconds, []

    def allows(self, what: str) -> bool:
        """Returns whether there is time left to start something; if not, notes that it was skipped."""
        if time.monotonic() < self.end:
            print(f"{what} ...", file=sys.stderr, flush=True)
            return True
        self.skipped.append(what)
        return False


def packed_batch(config: Any, rows: int, length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Returns random sentence pairs of 5 to 50 tokens packed into rows, as the trainer packs them."""
    names = ("segments", "positions")
    arrays = {f"{side}_{name}": np.zeros((rows, length), np.int32) for side in ("source", "target") for name in names}
    for row in range(rows):
        used, segment = {"source": 0, "target": 0}, 0
        while True:
            sizes = {side: int(rng.integers(5, 51)) for side in used}
            if any(used[side] + sizes[side] > length for side in used):
                break
            segment += 1
            for side, size in sizes.items():
                place = row, slice(used[side], used[side] + size)
                arrays[f"{side}_segments"][place], arrays[f"{side}_positions"][place] = segment, np.arange(size)
                used[side] += size
    for name in ("source", "target_input", "target_output"):
        tokens = rng.integers(4, config.vocab_size, (rows, length), dtype=np.int32)
        arrays[name] = np.where(arrays[f"{name.split('_')[0]}_segments"] != 0, tokens, 0)
    return arrays


def text_batch(config: Any, rows: int, length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Returns rows of random text without padding."""
    text = rng.integers(4, config.vocab_size, (rows, length + 1), dtype=np.int32)
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), (rows, length)).copy()
    ones = np.ones((rows, length), np.int32)
    return dict(
        target_input=text[:, :-1].copy(),
        target_output=text[:, 1:].copy(),
        target_segments=ones,
        target_positions=positions,
    )


def workloads(*, toy: bool, factor: int, names: list[str]) -> Iterator[Workload]:
    """Yields the training workloads of these names, with `factor` times the rows that fit a chip of 16 GB."""
    half = dict(dtype="bfloat16")
    layers = dict(num_encoder_layers=2, num_decoder_layers=2)
    made = dict(
        base=(transformer_base(), half, layers, packed_batch, 96, 256),
        big=(transformer_big(), half, layers, packed_batch, 32, 256),
        # The vocabulary is a multiple of 128. Fused kernels do not drop attention weights.
        gpt2=(gpt2_small(), half | dict(vocab_size=50_304, attention_dropout_rate=0.0), {}, text_batch, 8, 1024),
    )
    for name in names:
        if name not in made:
            continue
        config, changes, smaller, make_batch, rows, length = made[name]
        smaller = TOY | (smaller or dict(num_layers=2, max_length=64))
        config = dataclasses.replace(config, **changes | (smaller if toy else {}))
        rows, length = (4, 64) if toy else (rows * factor, length)
        rng = np.random.default_rng(0)
        yield Workload(name, config, [make_batch(config, rows, length, rng) for _ in range(BATCHES)])


def our_system(work: Workload, attention: str, programs: dict[str, str]) -> System | None:
    """Compiles the trainer's step. None: it is a program that another name of attention has already produced."""
    model = build_model(dataclasses.replace(work.config, attention=attention))
    schedule = make_schedule(TRAINING, work.config.d_model)
    optimizer = make_optimizer(TRAINING, schedule)
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    state, sharding = make_sharded_state(model, optimizer, jax.random.key(0), mesh, ema=False)
    batches = [to_devices(batch, mesh) for batch in work.batches]
    step = make_train_step(model, optimizer, schedule, TRAINING)
    with logical_names_on(mesh):
        lowered = jit_for_sharding(step, sharding).lower(state, batches[0])
    same = programs.setdefault(lowered.as_text(), attention)
    if same != attention:
        print(f"{work.name}: attention {attention} is the same program as {same}", file=sys.stderr)
        return None
    compiled = lowered.compile()
    memory, size = compiled.memory_analysis(), sum(x.size for x in jax.tree.leaves(state.params))
    peak = memory and memory.argument_size_in_bytes + memory.temp_size_in_bytes

    def run(i: int) -> jax.Array:
        nonlocal state
        state, metrics = compiled(state, batches[i % BATCHES])
        return metrics["loss"]

    return System(f"tfmr {attention}", run, lambda loss: jax.block_until_ready(loss), lambda: peak or None, size)


def torch_device() -> str | None:
    """Returns PyTorch's device of jax's platform; None if PyTorch is missing or does not see it."""
    platform = jax.default_backend()
    if platform not in ("cpu", "gpu") or importlib.util.find_spec("torch") is None:
        return None
    import torch

    return "cpu" if platform == "cpu" else "cuda" if torch.cuda.is_available() else None


def torch_system(work: Workload, device: str, *, compiled: bool) -> System:
    """Returns the same model in PyTorch, which starts from the same parameters."""
    import torch_models

    model = build_model(work.config)
    params = jax.device_get(jax.jit(lambda: init_params(model, jax.random.key(0)))())
    flat: dict[tuple[str, ...], Any] = flatten_dict(params)
    step = torch_models.training_step(work.config, TRAINING, flat, device, compiled=compiled)
    batches = [torch_models.on_device(batch, device) for batch in work.batches]
    torch_models.peak_bytes(device, reset=True)
    size = sum(x.size for x in flat.values())
    peak = functools.partial(torch_models.peak_bytes, device)
    wait = lambda loss: torch_models.synchronize(device)  # noqa: E731
    return System("torch", lambda i: step(batches[i % BATCHES]), wait, peak, size)


def block(system: System, steps: int) -> float:
    """Returns the seconds per step of a block of steps, with one synchronisation at its end."""
    start = time.perf_counter()
    loss = None
    for i in range(steps):
        loss = system.step(i)
    system.wait(loss)
    return (time.perf_counter() - start) / steps


def measure_training(
    work: Workload, attentions: list[str], chip: Chip | None, budget: Budget, *, toy: bool
) -> list[dict]:
    """Returns the rows of a workload. The systems take turns, block by block."""
    block_seconds = 0.1 if toy else 1.0
    programs: dict[str, str] = {}
    makers = {f"tfmr {name}": functools.partial(our_system, work, name, programs) for name in attentions}
    if device := torch_device():
        makers["torch"] = functools.partial(torch_system, work, device, compiled=not toy)
    systems, rows = [], []
    for name, make in makers.items():
        if not budget.allows(f"{work.name}, {name}"):
            continue
        try:
            if system := make():
                system.losses = [float(system.step(i)) for i in range(WARM_UP)]
                systems.append(system)
        except Exception as error:
            rows.append(failed(work.name, name, error))
    for _ in range(BLOCKS):
        for system in systems:
            system.steps = system.steps or max(1, min(50, int(block_seconds / block(system, 1))))
            system.seconds.append(block(system, system.steps))
    return [training_row(work, system, chip) for system in systems] + rows


def training_row(work: Workload, system: System, chip: Chip | None) -> dict:
    """Returns what is printed and written about a training program."""
    seconds = statistics.median(system.seconds)
    return dict(
        workload=work.name,
        system=system.name,
        tokens_per_second=work.tokens / seconds,
        share_of_peak=chip and work.flops / seconds / chip.flops,
        step_ms=1e3 * seconds,
        peak_gib=(peak := system.peak_bytes()) and peak / 2**30,
        parameters=system.parameters,
        first_losses=[round(loss, 4) for loss in system.losses],
        block_ms=[1e3 * each for each in system.seconds],
    )


def failed(workload: str, system: str, error: Exception) -> dict:
    """Returns the row of a program that could not run, such as one that is out of memory."""
    text = f"{type(error).__name__}: {str(error).strip()}"
    return dict(workload=workload, system=system, error=text.splitlines()[0][:200])


def our_decoder(config: Any, params: Any, source: np.ndarray, length: int) -> Callable[[int], np.ndarray]:
    """Returns `decode(beam) -> token ids`, the translator's search with outputs of exactly `length` tokens."""
    from tfmr.models import Transformer
    from tfmr.search import Constraints
    from tfmr.search.values import search_values
    from tfmr.translation.search_batch import search_batch

    lines, model = np.arange(len(source), dtype=np.int32), Transformer(config)
    constraints = Constraints(jax.numpy.full(len(source), length))
    exact: Any = dict(length_penalty="power", alpha=1.0, min_length=length, max_length=length)

    def decode(beam: int) -> np.ndarray:
        decoding = DecodingConfig(beam_size=beam, **exact)
        arrays = source, constraints, search_values(decoding, length), lines, np.uint32(0)
        how = dict(config=decoding, max_length=length, number=1, shrink=True)
        found, _ = search_batch((params,), *arrays, models=(model,), **how)
        assert (np.asarray(found.lengths) == length).all()
        return np.asarray(found.tokens)

    return decode


def ctranslate2_decoder(config: Any, params: Any, source: np.ndarray, length: int) -> Callable[[int], Any]:
    """Returns `decode(beam)` of the same model in CTranslate2."""
    import ctranslate2

    from tfmr.interop.ctranslate2 import write_ctranslate2

    special = {name: number for number, name in enumerate(("<pad>", "<unk>", "<s>", "</s>"))}
    tokenizer = json.dumps(dict(model=dict(type="BPE", vocab=special, merges=[]), added_tokens=[]))
    with tempfile.TemporaryDirectory() as folder:
        write_ctranslate2(folder, config, params, tokenizer)
        on_gpu = jax.default_backend() == "gpu"
        kind = dict(device="cuda", compute_type="bfloat16") if on_gpu else dict(device="cpu", compute_type="float32")
        translator = ctranslate2.Translator(folder, **kind)
    texts = [[f"<unused {token}>" for token in row[:-1]] for row in source]
    exact = dict(min_decoding_length=length, max_decoding_length=length)

    def decode(beam: int) -> Any:
        found = translator.translate_batch(texts, beam_size=beam, max_batch_size=0, **exact)
        assert all(len(each.hypotheses[0]) == length for each in found)

    return decode


def measure_decoding(toy: bool, budget: Budget) -> list[dict]:
    """Returns rows of greedy and beam search of the base model, with random weights and a fixed number of steps."""
    (work,) = workloads(toy=toy, factor=1, names=["base"])
    rows, length = (4, 8) if toy else (64, 64)
    source = np.random.default_rng(0).integers(4, work.config.vocab_size, (rows, 32), dtype=np.int32)
    source[:, -1] = 3  # EOS
    model = build_model(work.config)
    params = jax.jit(lambda: init_params(model, jax.random.key(0)))()
    makers = {"tfmr": lambda: our_decoder(work.config, params, source, length)}
    if jax.default_backend() != "tpu" and importlib.util.find_spec("ctranslate2"):
        makers["ctranslate2"] = lambda: ctranslate2_decoder(work.config, jax.device_get(params), source, length)
    device = torch_device()
    if device and importlib.util.find_spec("transformers"):
        import torch_models

        makers["transformers"] = lambda: torch_models.marian_generate(work.config, source, length, device)
    found = []
    for name, make in makers.items():
        if not budget.allows(f"decoding, {name}"):
            continue
        try:
            decode = make()
            found += [decoding_row(name, decode, beam, rows * length) for beam in (1, 4)]
        except Exception as error:
            found.append(failed("decode", name, error))
    return sorted(found, key=lambda row: row["workload"])


def decoding_row(name: str, decode: Callable[[int], Any], beam: int, tokens: int) -> dict:
    """Measures a search, after one that compiles or warms up."""
    decode(beam)
    seconds = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        decode(beam)
        seconds.append(time.perf_counter() - start)
    rate = tokens / statistics.median(seconds)
    work = "decode greedy" if beam == 1 else f"decode beam {beam}"
    return dict(workload=work, system=name, tokens_per_second=rate, step_ms=1e3 * statistics.median(seconds))


def table(rows: list[dict]) -> str:
    """Returns the rows as a table of text."""
    columns = dict(
        workload="{}", system="{}", tokens_per_second="{:,.0f}", share_of_peak="{:.1%}", step_ms="{:.2f}"
    ) | dict(peak_gib="{:.2f}", parameters="{:,}", first_losses="{}")
    cells = [["workload", "system", "tokens/s", "of peak", "ms", "GiB", "parameters", "first losses"]]
    for row in rows:
        cell = lambda name, form: "-" if row.get(name) is None else form.format(row[name])  # noqa: B023, E731
        values = [cell(name, form) for name, form in columns.items()]
        cells.append([*values[:2], row["error"]] if "error" in row else values)
    widths = [max(len(line[i]) for line in cells if len(line) == len(columns)) for i in range(len(columns))]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths, strict=False)).rstrip() for line in cells)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["base", "big", "gpt2", "decode"]
    on_tpu = jax.default_backend() == "tpu"
    attentions = [name for name in get_args(AttentionName) if on_tpu or name != "pallas"]
    parser.add_argument("--toy", action="store_true", help="tiny models and batches, to see that it works")
    parser.add_argument("--output", type=Path, help="write the results to this file, as JSON")
    parser.add_argument("--seconds", type=float, default=390, help="start nothing new after this time (390)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="what to measure (everything)")
    parser.add_argument("--attention", nargs="+", choices=attentions, default=attentions, help="model.attention")
    parser.add_argument("--rows", type=int, default=1, help="multiply the rows of a batch, on large chips (1)")
    args = parser.parse_args()
    budget, device = Budget(args.seconds), jax.devices()[0]
    chip = chip_of_kind(device.device_kind)
    result: dict[str, Any] = dict(device=device.device_kind, chip=chip and chip.name, jax=jax.__version__, rows=[])

    def keep(rows: list[dict]) -> None:
        result["rows"] += rows
        result["skipped"] = budget.skipped
        if args.output:  # after every workload, so that a run that is ended early leaves what it has
            args.output.write_text(json.dumps(result, indent=1) + "\n")

    for work in workloads(toy=args.toy, factor=args.rows, names=args.only):
        keep(measure_training(work, args.attention, chip, budget, toy=args.toy))
    if "decode" in args.only:
        keep(measure_decoding(args.toy, budget))
    print(f"{device.device_kind}; {'no known peak' if chip is None else f'peak {chip.flops / 1e12:g} TFLOP/s'}")
    print(table(result["rows"]))
    if budget.skipped:
        print(f"the time of {args.seconds:g} s was used up; not started: {'; '.join(budget.skipped)}")


if __name__ == "__main__":
    main()

"""Times the matrix products of a training step of a language model, a lower bound of the time of the step.

For a size that benchmarks/README.md lists:

    python benchmarks/products.py gpt_s
"""

import math
import statistics
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tfmr.nn.dot_product_attention import causal_blocks


class Size(NamedTuple):
    """The sizes of a language model and of its batch, as in README.md."""

    rows: int
    length: int
    layers: int
    d_model: int
    heads: int
    vocab_size: int = 65


SIZES = {"gpt_s": Size(12, 64, 4, 128, 4), "gpt_m": Size(16, 256, 6, 384, 6)}


def products(size: Size) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Yields each product of the forward and backward pass: an einsum and the shapes of its two factors."""
    tokens, width, attended = size.rows * size.length, size.d_model, size.rows * size.heads
    matrices = [(width, width)] * 4 * size.layers + [(width, 4 * width), (4 * width, width)] * size.layers
    for d_in, d_out in [*matrices, (width, size.vocab_size)]:
        yield "ti,io->to", (tokens, d_in), (d_in, d_out)
        yield "to,io->ti", (tokens, d_out), (d_in, d_out)
        # The narrower factor comes first, as in tfmr.nn.projection.
        yield "ti,to->io", (tokens, min(d_in, d_out)), (tokens, max(d_in, d_out))
    for start, end in 2 * size.layers * causal_blocks(size.length):
        queries, keys = (attended, end - start, width // size.heads), (attended, end, width // size.heads)
        scores = (attended, end - start, end)
        yield "bqd,bkd->bqk", queries, keys
        yield "bqk,bkd->bqd", scores, keys
        yield "bqk,bqd->bkd", scores, queries


def flops(how: str, first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Returns the floating-point operations of a product."""
    sizes = dict(zip(how.split("->")[0].replace(",", ""), (*first, *second), strict=True))
    return 2 * math.prod(sizes.values())


def main(name: str) -> None:
    """Prints how long the products of a step take in one compiled program, which may run them in parallel."""
    listed = list(products(SIZES[name]))
    keys = jax.random.split(jax.random.key(0), 2 * len(listed))
    factors = [
        (jax.random.normal(keys[2 * i], a), jax.random.normal(keys[2 * i + 1], b)) for i, (_, a, b) in enumerate(listed)
    ]
    compute = jax.jit(
        lambda factors: [jnp.einsum(how, *pair) for (how, _, _), pair in zip(listed, factors, strict=True)]
    )
    seconds = []
    for _ in range(105):
        begun = time.perf_counter()
        jax.block_until_ready(compute(factors))
        seconds.append(time.perf_counter() - begun)
    seconds_each = statistics.median(seconds[5:])
    gflop = sum(flops(*product) for product in listed) / 1e9
    speed = f"{1e3 * seconds_each:.1f} ms, {gflop / seconds_each:.0f} GFLOP/s"
    print(f"{name}: {len(listed)} products, {gflop:.2f} GFLOP, {speed}")


if __name__ == "__main__":
    from tfmr.cli.memory import use_huge_pages

    use_huge_pages()  # or the memory of the results is allocated anew each time
    main(sys.argv[1])

"""FLOPs of the matrix products of a traced program."""

import math
from collections.abc import Iterator
from typing import Any


def matrix_product_flops(jaxpr: Any) -> int:
    """Returns the FLOPs of all matrix products of a jaxpr over all devices.

    The product of [m, k] and [k, n] has 2 m k n FLOPs. Recomputation counts again, the body of a scan counts once per
    iteration, and a conditional counts its most expensive branch. A while loop of unknown length counts once. A kernel
    counts with its own estimate.
    """
    return sum(_equation_flops(equation) for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns)


def _equation_flops(equation: Any) -> int:
    if equation.primitive.name == "dot_general":
        left = equation.invars[0].aval.shape
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
    if equation.primitive.name == "pallas_call":
        estimate = equation.params["cost_estimate"]
        return estimate.flops if estimate else 0
    inner = [matrix_product_flops(jaxpr) for jaxpr in _jaxprs(equation.params)]
    if equation.primitive.name == "cond":
        return max(inner)
    if equation.primitive.name == "shard_map":  # inside, shapes are those of one device
        return sum(inner) * equation.params["mesh"].size
    return sum(inner) * (equation.params["length"] if equation.primitive.name == "scan" else 1)


def _jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """Yields the jaxprs inside an equation, such as the bodies of loops and called functions."""
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if hasattr(getattr(one, "jaxpr", one), "eqns"):
                yield one

"""Parameters that exist already are read, and must have the shape that the module declares."""

import flax.errors
import jax
import jax.numpy as jnp
import pytest

from tfmr.nn import LayerNorm, MultiHeadAttention
from tfmr.nn.ssru import SSRU


@pytest.mark.parametrize(
    "module",
    [LayerNorm(), SSRU(d_model=8), MultiHeadAttention(num_heads=2, d_model=8)],
    ids=lambda module: type(module).__name__,
)
def test_a_parameter_of_another_shape_is_refused(module):
    x = jnp.ones((2, 3, 8))
    params = module.init(jax.random.key(0), x)["params"]
    for name, value in params.items():
        with pytest.raises(flax.errors.ScopeParamShapeError, match=f'"{name}"'):
            module.apply({"params": {**params, name: value[:-1]}}, x)
        with pytest.raises(flax.errors.ScopeParamNotFoundError, match=f'"{name}"'):
            module.apply({"params": {other: params[other] for other in params if other != name}}, x)

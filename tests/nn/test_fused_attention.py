"""The kernels, interpreted on the CPU, against a float64 reference, and compiled for TPUs."""

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tfmr.nn import fused_attention as fused
from tfmr.nn.cudnn_attention import cudnn_attention
from tfmr.nn.fused_attention import fused_attention
from tfmr.nn.long_attention import long_attention


class Case(NamedTuple):
    rows: int
    queries: int
    keys: int
    heads: int = 2
    d_k: int = 64
    d_v: int = 64
    segments: str = "packed"
    causal: bool = False
    dtype: str = "float32"
    scale: float | None = None


CASES = {
    "packed": Case(2, 24, 24),
    "padded": Case(2, 24, 24, segments="padded"),
    "without segments": Case(2, 24, 24, segments="none"),
    "look-ahead in packed rows": Case(2, 24, 24, causal=True),
    "look-ahead without segments": Case(2, 24, 24, segments="none", causal=True),
    "attention to another sequence": Case(2, 13, 37),
    "several blocks": Case(1, 300, 530),
    "look-ahead over several blocks": Case(1, 530, 530, causal=True),
    "a row is not joined with others": Case(3, 130, 130, heads=1),
    "odd lengths, heads and rows": Case(3, 7, 5, heads=3),
    "heads that fill the lanes": Case(2, 24, 24, d_k=128, d_v=128),
    "heads wider than the lanes": Case(2, 24, 24, d_k=256, d_v=256),
    "narrow heads": Case(2, 24, 24, heads=8, d_k=16, d_v=32),
    "widths that do not divide the lanes": Case(2, 24, 24, heads=3, d_k=80, d_v=24),
    "another scale": Case(2, 24, 24, scale=0.3),
    "bfloat16": Case(2, 24, 24, dtype="bfloat16"),
    "bfloat16, look-ahead": Case(2, 24, 24, causal=True, dtype="bfloat16"),
}


def inputs_of(case, seed=0):
    """Returns queries, keys, values, the gradient of the output, and segments of queries and keys."""
    rng = np.random.default_rng(seed)
    draw = lambda length, width: jnp.asarray(rng.standard_normal((case.rows, length, case.heads * width)), case.dtype)  # noqa: E731
    arrays = (
        draw(case.queries, case.d_k),
        draw(case.keys, case.d_k),
        draw(case.keys, case.d_v),
        draw(case.queries, case.d_v),
    )
    if case.segments == "none":
        return arrays, (None, None)
    count = 2 if case.segments == "padded" else 5
    one, other = (np.sort(rng.integers(0, count, (case.rows, n)))[:, ::-1] for n in (case.queries, case.keys))
    # With another sequence, some segments of the queries have no keys.
    return arrays, (jnp.asarray(one), jnp.asarray(one if case.queries == case.keys else np.maximum(other, 2)))


def reference(query, key, value, gradient, segments, case):
    """Returns the output and the three gradients in float64."""
    split = lambda x: np.asarray(x, np.float64).reshape(*x.shape[:2], case.heads, -1).swapaxes(1, 2)  # noqa: E731
    query, key, value, gradient = map(split, (query, key, value, gradient))
    mask = np.ones((case.rows, 1, case.queries, case.keys), bool)
    if segments[0] is not None:
        one, other = map(np.asarray, segments)
        mask &= (one[:, :, None] == other[:, None, :])[:, None]
    if case.causal:
        mask &= np.tri(case.queries, case.keys, dtype=bool)
    scale = case.scale or case.d_k**-0.5
    exponentials = np.where(mask, np.exp(query @ key.swapaxes(2, 3) * scale), 0.0)
    weights = exponentials / np.maximum(exponentials.sum(axis=-1, keepdims=True), 1e-300)
    d_weights = gradient @ value.swapaxes(2, 3)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True)) * scale
    results = weights @ value, d_scores @ key, d_scores.swapaxes(2, 3) @ query, weights.swapaxes(2, 3) @ gradient
    return [x.swapaxes(1, 2).reshape(case.rows, x.shape[2], -1) for x in results]


def computed(query, key, value, gradient, segments, case, kernel=fused_attention):
    """Returns the output and the three gradients of the kernel."""
    options = dict(num_heads=case.heads, causal=case.causal, scale=case.scale, interpret=True)

    def run(*arrays):
        output, pull_back = jax.vjp(lambda *x: kernel(*x, *segments, **options), *arrays)
        return output, *pull_back(gradient)

    return jax.jit(run)(query, key, value)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_and_gradients(case):
    arrays, segments = inputs_of(case)
    tolerance = {"float32": 2e-5, "bfloat16": 2e-2}[case.dtype]
    for found, expected in zip(computed(*arrays, segments, case), reference(*arrays, segments, case), strict=True):
        assert found.dtype == case.dtype
        np.testing.assert_allclose(np.asarray(found, np.float64), expected, atol=tolerance, rtol=tolerance)


LONG = {
    "packed": Case(2, 256, 256),
    "look-ahead in packed rows": Case(1, 384, 384, causal=True),
    "look-ahead without segments, another scale": Case(1, 256, 256, segments="none", causal=True, scale=0.3),
    "attention to another sequence, and queries without keys": Case(1, 128, 384),
}


@pytest.mark.parametrize("kernel", [long_attention, cudnn_attention])
@pytest.mark.parametrize("case", LONG.values(), ids=LONG)
def test_values_and_gradients_of_the_other_kernels(case, kernel):
    arrays, segments = inputs_of(case)
    results = computed(*arrays, segments, case, kernel=kernel)
    for found, expected in zip(results, reference(*arrays, segments, case), strict=True):
        np.testing.assert_allclose(np.asarray(found, np.float64), expected, atol=2e-5, rtol=2e-5)


def test_a_query_without_keys_gives_0_and_has_no_gradient():
    case = Case(2, 6, 6)
    arrays, _ = inputs_of(case)
    segments = jnp.array([[7, 7, 1, 1, 1, 2], [1, 1, 1, 1, 1, 1]]), jnp.array([[3, 3, 1, 1, 2, 2], [2, 2, 2, 2, 2, 2]])
    output, d_query, d_key, d_value = computed(*arrays, segments, case)
    for zeros in (output[0, :2], output[1], d_query[0, :2], d_query[1], d_key[1], d_value[1], d_key[0, :2]):
        assert (zeros == 0).all()
    for others in (output[0, 2:], d_value[0, 2:]):
        assert (others != 0).any(axis=-1).all()


@pytest.mark.parametrize("causal", [False, True])
def test_no_gradient_crosses_a_mask(causal):
    """The gradient of one query's output by another token's key and value is exactly 0 where it is masked."""
    case = Case(2, 16, 16, heads=4, d_k=32, d_v=32, causal=causal)
    (query, key, value, gradient), _ = inputs_of(case)
    segments = np.repeat([[1, 2, 3, 0], [1, 1, 0, 0]], 4, axis=1)
    row, place = 0, 5
    of_one = jnp.zeros_like(gradient).at[row, place].set(gradient[row, place])
    _, d_query, d_key, d_value = computed(query, key, value, of_one, (jnp.asarray(segments),) * 2, case)
    seen = segments == segments[row, place]
    seen[1 - row] = False
    if causal:
        seen[:, place + 1 :] = False
    for found in (d_key, d_value):
        assert ((np.asarray(found) != 0).any(axis=-1) == seen).all()
    d_query = np.asarray(d_query).copy()
    assert (d_query[row, place] != 0).any()
    d_query[row, place] = 0
    assert (d_query == 0).all()


def test_short_rows_are_joined_and_do_not_depend_on_each_other():
    case = Case(6, 16, 16)
    assert fused._rows_to_join(case.rows, case.queries) == 6
    assert [fused._rows_to_join(rows, length) for rows, length in ((8, 64), (8, 65), (7, 32), (9, 32))] == [2, 1, 1, 3]
    arrays, segments = inputs_of(case)
    together = computed(*arrays, segments, case)
    alone = computed(*(x[:1] for x in arrays), tuple(x[:1] for x in segments), case._replace(rows=1))
    for one, whole in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, whole[:1], atol=1e-6)


def test_any_batch_axes():
    case = Case(6, 8, 8)
    arrays, segments = inputs_of(case)
    expected = computed(*arrays, segments, case)[0]
    split = lambda x: x.reshape(2, 3, *x.shape[1:])  # noqa: E731
    options = dict(num_heads=case.heads, interpret=True)
    found = fused_attention(*map(split, arrays[:3]), *map(split, segments), **options)
    np.testing.assert_allclose(found, split(expected), atol=1e-6)


def test_other_derivatives_are_refused():
    query, key, value, _ = inputs_of(Case(1, 4, 4, heads=1))[0]
    function = lambda x: fused_attention(x, key, value, num_heads=1, interpret=True).sum()  # noqa: E731
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(function, (query,), (query,))
    with pytest.raises(TypeError, match=r"no second derivative: set attention = 'xla'"):
        jax.grad(lambda x: jax.grad(function)(x).sum())(query)


COMPILE = """
import sys
import jax, jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding
from tfmr.nn.fused_attention import fused_attention
from tfmr.nn.long_attention import long_attention

def step(query, key, value, query_segments, key_segments, gradient):
    def attend(*x):
        kernel = fused_attention if queries <= 1024 else long_attention
        return kernel(*x, query_segments, key_segments, num_heads=heads, causal=causal)
    output, pull_back = jax.vjp(attend, query, key, value)
    return output, pull_back(gradient)

cases = [
    (8, 256, 256, 16, 64, True, "bfloat16"),
    (4, 37, 90, 8, 64, False, "bfloat16"),
    (2, 520, 520, 3, 80, True, "float32"),
    (2, 2048, 2048, 4, 64, True, "bfloat16"),
]
for name in ("v5e:2x2", "v5p:2x2x1", "v6e:2x2"):
    sharding = SingleDeviceSharding(topologies.get_topology_desc(platform="tpu", topology_name=name).devices[0])
    for rows, queries, keys, heads, width, causal, dtype in cases:
        floats = lambda length: jax.ShapeDtypeStruct((rows, length, heads * width), dtype, sharding=sharding)
        segments = lambda length: jax.ShapeDtypeStruct((rows, length), jnp.int32, sharding=sharding)
        arrays = floats(queries), floats(keys), floats(keys), segments(queries), segments(keys), floats(queries)
        assert jax.jit(step).lower(*arrays).compile().as_text().count("tpu_custom_call") >= 2
"""


@pytest.mark.skipif(find_spec("libtpu") is None, reason="needs libtpu: pip install 'tfmr[tpu]'")
def test_compiles_for_tpus():
    tpu = dict(TPU_SKIP_MDS_QUERY="1", TPU_WORKER_HOSTNAMES="localhost", TPU_WORKER_ID="0", JAX_PLATFORMS="cpu")
    tpu |= dict(TPU_ACCELERATOR_TYPE="v5litepod-16", ALLOW_MULTIPLE_LIBTPU_LOAD="true")
    result = subprocess.run([sys.executable, "-c", COMPILE], env=os.environ | tpu, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]

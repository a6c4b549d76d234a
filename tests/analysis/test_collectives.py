"""Collectives as read from programs, against what the programs were asked to exchange."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import AxisType, PartitionSpec

from tfmr.analysis.collectives import Collective, collectives
from tfmr.analysis.program import parse_program


def compiled(function, shape=(8,)):
    """Returns the program of a function of each device's f32[16,32] on a mesh."""
    names = ("a", "b")[: len(shape)]
    mesh = jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * len(shape))
    everywhere = PartitionSpec(names)
    mapped = jax.shard_map(function, mesh=mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False)
    text = jax.jit(mapped).lower(jax.ShapeDtypeStruct((16 * 8, 32), jnp.float32)).compile().as_text()
    return parse_program(text)


SIZE = 16 * 32 * 4
ASKED = {
    "all-reduce": (lambda x: lax.psum(x, "a"), SIZE, 2 * 7 / 8 * SIZE),
    "all-gather": (lambda x: lax.all_gather(x, "a", tiled=True), 8 * SIZE, 7 * SIZE),
    "reduce-scatter": (lambda x: lax.psum_scatter(x, "a", tiled=True), SIZE, 7 / 8 * SIZE),
    "all-to-all": (lambda x: lax.all_to_all(x, "a", 0, 0, tiled=True), SIZE, 7 / 8 * SIZE),
    "collective-permute": (lambda x: lax.ppermute(x, "a", [(i, (i + 1) % 8) for i in range(8)]), SIZE, SIZE),
}


@pytest.mark.parametrize("kind", ASKED)
def test_kind_size_and_what_a_ring_sends(kind):
    function, size, sent = ASKED[kind]
    (found,) = collectives(compiled(function))
    assert found == Collective(kind, size, 8, 1)
    assert found.bytes_sent() == sent


def test_a_group_is_a_part_of_the_mesh():
    (found,) = collectives(compiled(lambda x: lax.psum(x, "b"), shape=(4, 2)))
    assert found == Collective("all-reduce", SIZE, 2, 1)
    assert collectives(compiled(lambda x: lax.psum(x, "a"), shape=(1, 8))) == []


def test_loops_repeat_them():
    def inner(_, x):
        return lax.fori_loop(0, 3, lambda _, y: jnp.tanh(lax.psum(y, "a")), x)

    found = collectives(compiled(lambda x: lax.fori_loop(0, 5, inner, lax.psum(x, "a"))))
    assert sorted(one.times for one in found) == [1, 15]


# As the TPU's compiler writes: layouts with tiles and memories, groups as meshes, no trip counts, pieces of one
# all-gather (one channel) inside fusions that hide it, reduce-scatter as an all-reduce inside a fusion.
TPU_PROGRAM = """\
HloModule jit_step, is_scheduled=true, num_partitions=16

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[]{:T(128)} parameter(0)
  %y = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%x, %y)
}

%start (p: bf16[64,512]) -> (bf16[64,512], bf16[256,512]) {
  %p = bf16[64,512]{1,0:T(8,128)(2,1)} parameter(0)
  %ag.1 = bf16[256,512]{1,0:T(8,128)(2,1)} all-gather(%p), channel_id=7, replica_groups=mesh['x'=4,'y'=4] {'y'}, dimensions={0}
  ROOT %c = (bf16[64,512]{1,0}, bf16[256,512]{1,0:T(8,128)(2,1)S(1)}) custom-call(%ag.1), custom_call_target="Start"
}

%done (p.1: bf16[64,512]) -> bf16[256,512] {
  %p.1 = bf16[64,512]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %ag.2 = bf16[256,512]{1,0:T(8,128)(2,1)S(1)} all-gather(%p.1), channel_id=7, replica_groups=mesh['x'=4,'y'=4] {'y'}, dimensions={0}
}

%all-reduce-scatter.2 (input: bf16[512,256]) -> bf16[512,64] {
  %input = bf16[512,256]{0,1:T(8,128)(2,1)} parameter(0)
  %ar.1 = bf16[512,256]{0,1:T(8,128)(2,1)} all-reduce(%input), channel_id=9, replica_groups={{0,1,2,3},{4,5,6,7},{8,9,10,11},{12,13,14,15}}, to_apply=%add
  ROOT %part = bf16[512,64]{0,1:T(8,128)(2,1)} dynamic-slice(%ar.1, %i, %j), dynamic_slice_sizes={512,64}
}

%condition (s: (s32[], f32[100])) -> pred[] {
  %s = (s32[]{:T(128)}, f32[100]{0:T(128)}) parameter(0)
  %bound = s32[]{:T(128)} constant(6)
  %i = s32[]{:T(128)} get-tuple-element(%s), index=0
  ROOT %lt = pred[]{:T(512)} compare(%i, %bound), direction=LT
}

%body (s.1: (s32[], f32[100])) -> (s32[], f32[100]) {
  %s.1 = (s32[]{:T(128)}, f32[100]{0:T(128)}) parameter(0)
  %v = f32[100]{0:T(128)} get-tuple-element(%s.1), index=1
  %ar.2 = (f32[100]{0:T(128)S(1)}, f32[]{:T(128)}) all-reduce(%v, %z), channel_id=11, replica_groups=mesh['x'=16] {'x'}, to_apply=%add
  ROOT %t = (s32[]{:T(128)}, f32[100]{0:T(128)}) tuple(%i.1, %u)
}

ENTRY %main (a: bf16[64,512]) -> f32[100] {
  %a = bf16[64,512]{1,0:T(8,128)(2,1)} parameter(0)
  %f.1 = (bf16[64,512]{1,0}, bf16[256,512]{1,0}) fusion(%a), kind=kCustom, calls=%start
  %f.2 = bf16[256,512]{1,0} fusion(%a), kind=kCustom, calls=%done
  %f.3 = bf16[512,64]{0,1} fusion(%b), kind=kCustom, calls=%all-reduce-scatter.2
  %w = (s32[]{:T(128)}, f32[100]{0:T(128)}) while(%init), condition=%condition, body=%body
  %permute = (f32[10]{0}, f32[10]{0}, u32[]{:S(2)}) collective-permute-start(%q), channel_id=12, source_target_pairs={{0,1}}
  ROOT %r = f32[100]{0:T(128)} get-tuple-element(%w), index=1
}
"""  # noqa: E501


def test_the_text_of_a_tpu_program():
    assert collectives(parse_program(TPU_PROGRAM)) == [
        Collective("all-gather", 256 * 512 * 2, 4, 1),
        Collective("reduce-scatter", 512 * 256 * 2, 4, 1),
        Collective("all-reduce", 101 * 4, 16, 6),
        Collective("collective-permute", 40, 16, 1),
    ]

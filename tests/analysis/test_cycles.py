"""The cycles and kernels of a step, added up by hand."""

import dataclasses

import pytest

from tfmr.analysis.collectives import collectives
from tfmr.analysis.cycles import cycles_by_part
from tfmr.analysis.kernels import kernels
from tfmr.analysis.program import parse_program
from tfmr.models.chips import CHIPS

# As the TPU compiler writes it: 100 FLOPs and 32 bytes a cycle, 4 bytes sent a cycle.
CHIP = dataclasses.replace(CHIPS["v5e"], clock=1e9, flops=1e11, hbm_bandwidth=32e9, link_bandwidth=4e9)

PROGRAM = """\
HloModule step, num_partitions=4

%fused (p: f32[64,64]) -> f32[64,64] {
  %p = f32[64,64]{1,0} parameter(0)
  ROOT %inner = f32[64,64]{1,0} tanh(%p), backend_config={"estimated_cycles":"999999"}
}

%body (c: (s32[], f32[64,64])) -> (s32[], f32[64,64]) {
  %c = (s32[], f32[64,64]{1,0}) parameter(0)
  %x = f32[64,64]{1,0} get-tuple-element(%c), index=1
  %loss = f32[64,64]{1,0} fusion(%x), kind=kLoop, calls=%fused, metadata={op_name="jit(step)/jvp(loss)/while/body/dot"}, backend_config={"estimated_cycles":"70"}
  ROOT %t = (s32[], f32[64,64]{1,0}) tuple(%x, %loss)
}

%condition (c: (s32[], f32[64,64])) -> pred[] {
  %c = (s32[], f32[64,64]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%c), index=0
  %n = s32[] constant(5)
  ROOT %less = pred[] compare(%i, %n), direction=LT
}

ENTRY %main (x: f32[64,64]) -> f32[64,64] {
  %x = f32[64,64]{1,0} parameter(0)
  %norm = f32[64,64]{1,0} fusion(%x), kind=kLoop, calls=%fused, metadata={op_name="jit(step)/jvp(Transformer)/encoder/layer_0/self_attention_norm/mul"}, backend_config={"estimated_cycles":"20"}
  %up = f32[64,64]{1,0} fusion(%norm), kind=kOutput, calls=%fused, metadata={op_name="jit(step)/jvp(Transformer)/encoder/layer_0/feed_forward/up/dot_general"}, backend_config={"estimated_cycles":"40"}
  %moved = f32[64,64]{1,0} custom-call(%up), custom_call_target="tpu_custom_call", metadata={op_name="jit(step)/encoder/layer_0/self_attention/pallas_call"}, backend_config={"custom_call_config":{"cost_estimate":{"flops":"100","bytes_accessed":"1"}}}
  %multiplied = f32[64,64]{1,0} custom-call(%moved, %up), custom_call_target="tpu_custom_call", metadata={op_name="jit(step)/transpose(jvp(Transformer))/encoder/layer_0/self_attention/pallas_call"}, backend_config={"custom_call_config":{"cost_estimate":{"flops":"900000","bytes_accessed":"1"}}}
  %start = (s32[], f32[64,64]{1,0}) tuple(%x, %multiplied)
  %loop = (s32[], f32[64,64]{1,0}) while(%start), condition=%condition, body=%body, backend_config={"estimated_cycles":"350"}
  %y = f32[64,64]{1,0} get-tuple-element(%loop), index=1
  %sum = f32[64,64]{1,0} all-reduce(%y), replica_groups={{0,1,2,3}}, to_apply=%fused
  ROOT %new = f32[64,64]{1,0} fusion(%sum), kind=kLoop, calls=%fused, metadata={op_name="jit(step)/optimizer/add"}, backend_config={"estimated_cycles":"30"}
}
"""  # noqa: E501


def test_every_instruction_counts_once_in_its_part():
    program, array = parse_program(PROGRAM), 4 * 64 * 64
    assert cycles_by_part(program, collectives(program), CHIP) == pytest.approx(
        {
            "attention": 2 * array / 32 + 900_000 / 100,
            "collectives": 2 * 3 / 4 * array / 4,
            "loss": 5 * 70,
            "feed-forward": 40,
            "optimizer": 30,
            "normalization": 20,
        }
    )


def test_a_program_without_estimates_has_no_parts():
    text = PROGRAM.replace("estimated_cycles", "cycles").replace("tpu_custom", "other")
    assert cycles_by_part(parse_program(text), [], CHIP) == {}


def test_kernels_are_counted_by_name_and_bookkeeping_is_not():
    text = """
%body (c: f32[8,8]) -> f32[8,8] {
  %c = f32[8,8]{1,0} parameter(0)
  %product = f32[8,8]{1,0} custom-call(%c, %c), custom_call_target="__cublas$gemm"
  ROOT %triton = f32[8,8]{1,0} fusion(%product), kind=kCustom, calls=%f, backend_config={"fusion_backend_config":{"kind":"__triton_gemm"}}
}

%condition (c: f32[8,8]) -> pred[] {
  ROOT %less = pred[] constant(true)
}

ENTRY %main (x: f32[8,8]) -> f32[8,8] {
  %x = f32[8,8]{1,0} parameter(0)
  %buffer = f32[8,8]{1,0} custom-call(), custom_call_target="AllocateBuffer"
  %loop = f32[8,8]{1,0} while(%x), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %attention_forward.1 = f32[8,8]{1,0} custom-call(%loop), custom_call_target="tpu_custom_call"
  ROOT %attention_forward.12 = f32[8,8]{1,0} custom-call(%loop), custom_call_target="tpu_custom_call"
}
"""  # noqa: E501
    assert kernels(parse_program(text)) == {"__cublas$gemm": 3, "__triton_gemm": 3, "attention_forward": 2}

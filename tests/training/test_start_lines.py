"""What a run says about itself before its first step."""

import jax.numpy as jnp
import numpy as np
import pytest
from tiny import mesh_of, mesh_of_absent

from tfmr.config import Config, PairsConfig, TransformerConfig
from tfmr.data.batching import make_plan
from tfmr.training.start_lines import start_lines

# Two batches of four rows of 8 tokens on both sides.
LENGTHS = np.full(8, 6)
PLAN = make_plan(LENGTHS, LENGTHS, tokens_per_batch=32, num_buckets=1, max_length=8, seed=0)
PARAMS = {"a": jnp.zeros((30, 50)), "b": jnp.zeros(7)}


def test_they_say_what_is_computed_and_where():
    config = Config(model=TransformerConfig(dtype="bfloat16"), data=PairsConfig(batching="packed"))
    work, devices = start_lines(config, mesh_of(2, 1, 2), PLAN, PARAMS)
    assert work == "1,507 parameters; 2 packed batches per epoch in 1 shape, 25.0% padding, 0 examples left out"
    assert devices == (
        "4 x cpu; mesh data 2 x fsdp 1 x tensor 2; attention auto (xla); computation in bfloat16, parameters in float32"
    )


@pytest.mark.parametrize(
    ("platform", "attention", "shown"),
    [("tpu", "auto", "auto (pallas where it can serve)"), ("cpu", "auto", "auto (xla)"), ("tpu", "xla", "xla")],
)
def test_they_say_which_attention_a_platform_gets(platform, attention, shown):
    config = Config(model=TransformerConfig(attention=attention))
    line = start_lines(config, mesh_of_absent("A chip", platform, 4, 4, 1), PLAN, PARAMS)[1]
    assert line.startswith(f"16 x A chip; mesh data 4 x fsdp 4 x tensor 1; attention {shown}; computation in float32")

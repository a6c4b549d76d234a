"""The roofline by hand, and the table of chips against other published figures."""

import pytest

from tfmr.analysis import training_flops_per_token
from tfmr.errors import InputError
from tfmr.models import transformer_base
from tfmr.models.chips import CHIPS, Chip, chip_named, roofline, training_seconds


def test_times_are_work_over_speed():
    chip = Chip("toy", flops=100.0, hbm_bytes=1, hbm_bandwidth=10.0, link_bandwidth=5.0)
    line = roofline(chip, flops=50.0, bytes_accessed=20.0, bytes_sent=5.0)
    assert (line.compute, line.memory, line.network) == (0.5, 2.0, 1.0)
    assert (line.shortest, line.longest, line.bound) == (2.0, 3.5, "memory")


@pytest.mark.parametrize(("name", "all_reduce", "bfloat16"), [("v5e", 51.2e12, 50.43e15), ("v6e", 102.4e12, 235.0e15)])
def test_256_chips_are_the_published_pod(name, all_reduce, bfloat16):
    assert 256 * CHIPS[name].link_bandwidth == all_reduce
    assert 256 * CHIPS[name].flops == pytest.approx(bfloat16, rel=1e-3)


def test_the_papers_twelve_hours():
    # 100 000 steps of 25 000 target tokens on 8 P100: a third of the float32 peak is what GPUs of then reached.
    flops = 100_000 * 25_000 * training_flops_per_token(transformer_base())
    twelve_hours = 12 * 3600
    mfu = training_seconds(flops, CHIPS["p100"], 8, 1.0) / twelve_hours
    assert 0.2 < mfu < 0.35
    assert training_seconds(flops, CHIPS["p100"], 8, mfu) == pytest.approx(twelve_hours)
    assert training_seconds(flops, CHIPS["p100"], 16, mfu) == pytest.approx(twelve_hours / 2)


def test_an_unknown_chip_is_refused_with_the_nearest():
    assert chip_named("v5p") is CHIPS["v5p"]
    with pytest.raises(InputError, match="did you mean 'v5e'"):
        chip_named("v5ee")

"""Averages of checkpoints against the sum by hand."""

import jax
import numpy as np
import pytest
from tiny import start_state, tiny_model, training_config

from tfmr.config import Config
from tfmr.errors import InputError
from tfmr.runs.averaging import average_checkpoints
from tfmr.runs.checkpoints import Checkpointer
from tfmr.runs.parameters import read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.training.state import checkpoint_items

MODEL = tiny_model(tie_embeddings="all")


@pytest.fixture(scope="module")
def template():
    return start_state(MODEL, training_config(ema_decay=0.9))[0]


def params_at(step, template):
    random = np.random.default_rng(step)
    return jax.tree.map(lambda x: random.standard_normal(x.shape).astype(np.float32), template.params)


@pytest.fixture
def make_run(tmp_path, template):
    """Returns a run whose checkpoint of step n holds params_at(seeds[n]), with another moving average."""

    def make(seeds):
        run = RunDirectory(tmp_path / "run")
        run.write_config(Config(model=MODEL.config))
        checkpointer = Checkpointer(run, 10)
        for step, seed in seeds.items():
            params = params_at(seed, template)
            state = template.replace(params=params, ema_params=params_at(99, template))
            checkpointer.save(step, checkpoint_items(state), {})
        checkpointer.close()
        return run

    return make


def assert_average(run, template, seeds):
    found = read_params(run, MODEL.config, "averaged")
    total = jax.tree.map(
        lambda *x: np.sum(np.stack(x, dtype=np.float64), axis=0), *(params_at(s, template) for s in seeds)
    )
    assert jax.tree.structure(found) == jax.tree.structure(template.params)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(total), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, (other / len(seeds)).astype(np.float32))


def test_the_last_ones_the_named_ones_and_all(make_run, template):
    run = make_run({2: 20, 4: 40, 5: 50, 10: 100})
    assert average_checkpoints(run, last=2) == [5, 10]
    assert_average(run, template, [50, 100])
    # Each average takes the place of the one before, also one of older steps.
    assert average_checkpoints(run, steps=[4, 2]) == [2, 4]
    assert_average(run, template, [20, 40])
    assert average_checkpoints(run) == [2, 4, 5, 10]
    assert_average(run, template, [20, 40, 50, 100])
    # One table for source, target and output: tied before, tied after.
    averaged = read_params(run, MODEL.config)
    assert {name for name in averaged if "embedding" in name} == {"embedding"}


def test_the_average_of_the_same_is_the_same(make_run, template):
    run = make_run({1: 7, 2: 7, 3: 7})
    average_checkpoints(run, last=3)
    for one, other in zip(
        jax.tree.leaves(read_params(run, MODEL.config, "averaged")),
        jax.tree.leaves(params_at(7, template)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_what_is_not_there_is_named(make_run):
    run = make_run({})
    with pytest.raises(InputError, match=r"too few checkpoints to average: 0 instead of 1 \(available: none\)"):
        average_checkpoints(run)
    run = make_run({3: 3, 6: 6})
    with pytest.raises(
        InputError, match=r"too few checkpoints to average: 2 instead of 5 \(available: 3, 6\).*keep_last"
    ):
        average_checkpoints(run, last=5)
    with pytest.raises(InputError, match=r"has no checkpoint 4 or 5 to average \(available: 3, 6\)"):
        average_checkpoints(run, steps=[3, 5, 4])
    with pytest.raises(InputError, match="last = 0: must be 1 or greater"):
        average_checkpoints(run, last=0)
    assert not run.averaged.exists()

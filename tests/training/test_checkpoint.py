"""Checkpoints: what is read is what was saved, on any mesh; what is not there or does not fit is named."""

import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import mesh_of, start_state, tiny_model, training_config

from tfmr.config import Config
from tfmr.errors import InputError
from tfmr.parameters import read_params, state_steps
from tfmr.run_directory import RunDirectory
from tfmr.training.averaging import average_checkpoints
from tfmr.training.checkpoint import Checkpointer

CONFIG = tiny_model().config


@functools.cache
def start(ema=True, shape=(1, 1, 1), **changes):
    return start_state(tiny_model(**changes), training_config(ema_decay=0.9 if ema else 0.0), mesh_of(*shape))


def state_of(seed, ema=True):
    """A state with a number of its own everywhere, as after `seed` steps."""
    random = np.random.default_rng(seed)
    state, sharding = start(ema)
    arrays = jax.tree.map(lambda x: np.asarray(random.standard_normal(x.shape), x.dtype), state)
    return jax.device_put(arrays.replace(step=np.int32(seed)), sharding)


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.write_config(Config(model=CONFIG))
    return run


def save(run, *steps, ema=True, keep_last=10, best=()):
    checkpointer = Checkpointer(run, keep_last)
    for step in steps:
        checkpointer.save(step, state_of(step, ema), {"place": [step, 0]})
    for step in best:
        checkpointer.save_best(step, state_of(step).params)
    checkpointer.close()


@pytest.mark.parametrize("ema", [True, False])
def test_a_state_comes_back_bit_by_bit_on_another_mesh(run, ema):
    save(run, 3, 7, ema=ema)
    checkpointer = Checkpointer(run, 10)
    assert checkpointer.latest_step() == 7
    like, sharding = start(ema, shape=(2, 2, 2))
    state, place = checkpointer.restore(7, like, sharding)
    assert_equal(state, state_of(7, ema))
    assert jax.tree.map(lambda x: x.sharding, state) == sharding
    assert place == {"place": [7, 0]}
    checkpointer.close()


def test_what_is_saved_is_the_state_of_that_moment(run):
    # The training goes on in the same memory while the checkpoint is still being written.
    copy = jax.jit(lambda state: jax.tree.map(jnp.copy, state))
    overwrite = jax.jit(lambda state: jax.tree.map(lambda x: -x, state), donate_argnums=0)
    checkpointer = Checkpointer(run, 10)
    for step in (1, 2, 3):
        state = copy(state_of(step))
        checkpointer.save(step, state, {})
        jax.block_until_ready(overwrite(state))
    like, sharding = start()
    for step in (1, 2, 3):
        checkpointer._states.wait_until_finished()
        assert_equal(checkpointer.restore(step, like, sharding)[0], state_of(step))
    checkpointer.close()


def test_the_newest_are_kept(run):
    save(run, 1, 2, 3, 4, 5, keep_last=2)
    assert state_steps(run) == [4, 5]
    save(run, 6, keep_last=3)
    assert state_steps(run) == [4, 5, 6]


def test_saving_a_step_again_changes_nothing(run):
    save(run, 4)
    checkpointer = Checkpointer(run, 10)
    checkpointer.save(4, state_of(5), {})
    checkpointer.close()
    assert_equal(read_params(run, CONFIG, "4", moving_average=False), state_of(4).params)


def test_the_best_replaces_the_best_before(run):
    save(run, 9, best=(2, 5))
    assert_equal(read_params(run, CONFIG, "best"), state_of(5).params)
    # A run that was killed after step 5, and evaluates step 3 and 5 again.
    for step in (3, 5):
        save(run, best=(step,))
        assert_equal(read_params(run, CONFIG, "best"), state_of(step).params)


def test_reading_by_name(run):
    save(run, 3, 4, best=(3,))
    assert_equal(read_params(run, CONFIG, "last"), state_of(4).ema_params)
    assert_equal(read_params(run, CONFIG, "last", moving_average=False), state_of(4).params)
    assert_equal(read_params(run, CONFIG, "3"), state_of(3).ema_params)
    assert_equal(read_params(run, CONFIG, "best"), state_of(3).params)
    assert_equal(read_params(run, CONFIG), state_of(3).params)
    average_checkpoints(run, last=1)
    assert_equal(read_params(run, CONFIG), state_of(4).params)
    for leaf in jax.tree.leaves(read_params(run, CONFIG)):
        assert leaf.sharding.device_set == {jax.devices()[0]}
    shutil.rmtree(run.averaged)
    shutil.rmtree(run.best)
    assert_equal(read_params(run, CONFIG), state_of(4).ema_params)


@pytest.mark.parametrize("name", ["5", "lst", "averaged", "-1", ""])
def test_a_checkpoint_that_is_not_there(run, name):
    with pytest.raises(InputError, match=r"has no checkpoint '.*' \(there is: none yet\)"):
        read_params(run, CONFIG, name)
    if name:
        save(run, 3, 4, best=(3,))
        with pytest.raises(InputError, match=rf"has no checkpoint '{name}' \(there is: best, last, 3, 4\)"):
            read_params(run, CONFIG, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_ff": 40}, r"decoder/layer_0/feed_forward/down/kernel is \(32, 16\) there, \(40, 16\) in the config"),
        ({"num_encoder_layers": 2}, r"encoder/layer_1/.* is missing there, \(\d.*\) in the config"),
        ({"norm": "pre"}, r"decoder/norm/beta is missing there, \(16,\) in the config"),
        ({"tie_embeddings": "decoder"}, r"source_embedding/embedding is missing there, \(24, 16\) in the config"),
    ],
)
def test_another_architecture_is_refused(run, changes, message):
    save(run, 3)
    with pytest.raises(InputError, match=message):
        read_params(run, tiny_model(**changes).config, "last")
    checkpointer = Checkpointer(run, 1)
    with pytest.raises(InputError, match=message):
        checkpointer.restore(3, *start(**changes))
    checkpointer.close()


def test_what_a_kill_left_half_written_is_not_seen(run):
    save(run, 3)
    shutil.copytree(run.checkpoints / "3", run.checkpoints / "5.orbax-checkpoint-tmp")
    shutil.copytree(run.checkpoints / "3", run.checkpoints / "6.orbax-checkpoint-tmp-1234567")
    assert state_steps(run) == [3]
    assert_equal(read_params(run, CONFIG, "last"), state_of(3).ema_params)
    # Reading leaves it: another process may be writing there. The next writer removes it.
    assert len(list(run.checkpoints.iterdir())) == 3
    save(run, 5)
    assert sorted(file.name for file in run.checkpoints.iterdir()) == ["3", "5"]
    assert_equal(read_params(run, CONFIG, "last"), state_of(5).ema_params)


@pytest.mark.parametrize("damage", ["emptied", "missing", "metadata", "item"])
def test_a_damaged_checkpoint_is_named(run, damage):
    save(run, 3, 5)
    folder = run.checkpoints / "5"
    data = [file for file in folder.rglob("*") if file.is_file() and "d" in file.parts and file.stat().st_size > 100]
    if damage == "emptied":
        for file in data:
            file.write_bytes(b"")
    elif damage == "missing":
        for file in data:
            file.unlink()
    elif damage == "metadata":
        for file in folder.rglob("_METADATA"):
            file.write_text(json.dumps({"tree_metadata": 1})[:-3])
    else:
        shutil.rmtree(folder / "ema_params")
        shutil.rmtree(folder / "params")
    with pytest.raises(InputError, match=r"checkpoints/5: cannot be read .*; remove it"):
        read_params(run, CONFIG, "last")
    checkpointer = Checkpointer(run, 10)
    with pytest.raises(InputError, match=r"checkpoints/5: cannot be read .*; remove it"):
        checkpointer.restore(5, *start())
    checkpointer.close()
    shutil.rmtree(folder)
    assert_equal(read_params(run, CONFIG, "last"), state_of(3).ema_params)


def test_no_parameter_is_shared_with_the_file(run):
    save(run, 3)
    params = read_params(run, CONFIG)
    shutil.rmtree(run.path)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params))

"""Checkpoints: what is read is what was saved, on any mesh; what is not there or does not fit is named."""

import contextlib
import functools
import json
import os
import re
import resource
import shutil
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from tiny import mesh_of, start_state, tiny_model, training_config

from tfmr.config import Config
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.runs import checkpoint_items as items_module
from tfmr.runs.averaging import average_checkpoints
from tfmr.runs.checkpoint_items import DamagedCheckpoint
from tfmr.runs.checkpoints import Checkpointer
from tfmr.runs.parameters import read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import state_steps
from tfmr.training.state import checkpoint_items, checkpoint_targets, state_from_items

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


def restore(checkpointer, step, like, sharding):
    """Returns the state of a step and the JSON values that were saved with it."""
    items, values = checkpointer.restore(step, checkpoint_targets(like, sharding))
    return state_from_items(items), values


def restore_newest(checkpointer, like, sharding):
    """Returns the newest state that can be read and its JSON values."""
    items, values = checkpointer.restore_newest(checkpoint_targets(like, sharding))
    return state_from_items(items), values


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.write_config(Config(model=CONFIG))
    return run


def save(run, *steps, ema=True, keep_last=10, best=()):
    checkpointer = Checkpointer(run, keep_last)
    for step in steps:
        checkpointer.save(step, checkpoint_items(state_of(step, ema)), {"place": [step, 0]})
    for step in best:
        checkpointer.save_best(step, state_of(step).params)
    checkpointer.close()


@pytest.mark.parametrize("ema", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_state_comes_back_bit_by_bit_on_another_mesh(run, ema):
    save(run, 3, 7, ema=ema)
    checkpointer = Checkpointer(run, 10)
    assert checkpointer.latest_step() == 7
    like, sharding = start(ema, shape=(2, 2, 2))
    state, place = restore(checkpointer, 7, like, sharding)
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
        checkpointer.save(step, checkpoint_items(state), {})
        jax.block_until_ready(overwrite(state))
    like, sharding = start()
    for step in (1, 2, 3):
        checkpointer._states.wait_until_finished()
        assert_equal(restore(checkpointer, step, like, sharding)[0], state_of(step))
    checkpointer.close()


def test_the_newest_are_kept(run):
    save(run, 1, 2, 3, 4, 5, keep_last=2)
    assert state_steps(run) == [4, 5]
    save(run, 6, keep_last=3)
    assert state_steps(run) == [4, 5, 6]


def test_saving_a_step_again_changes_nothing(run):
    save(run, 4)
    checkpointer = Checkpointer(run, 10)
    checkpointer.save(4, checkpoint_items(state_of(5)), {})
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
    with pytest.raises(InputError, match=r"has no checkpoint; train it first, or choose another run"):
        read_params(run, CONFIG, name)
    if name:
        save(run, 3, 4, best=(3,))
        with pytest.raises(InputError, match=rf"has no checkpoint '{name}' \(available: best, last, 3, 4\)"):
            read_params(run, CONFIG, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"d_ff": 40},
            r"decoder/layer_0/feed_forward/down/kernel is \(32, 16\) in the checkpoint, \(40, 16\) in the config",
        ),
        ({"num_encoder_layers": 2}, r"encoder/layer_1/.* is missing in the checkpoint, \(\d.*\) in the config"),
        ({"norm": "pre"}, r"decoder/norm/beta is missing in the checkpoint, \(16,\) in the config"),
        (
            {"tie_embeddings": "decoder"},
            r"source_embedding/embedding is missing in the checkpoint, \(24, 16\) in the config",
        ),
    ],
)
def test_another_architecture_is_refused(run, changes, message):
    save(run, 3)
    with pytest.raises(InputError, match=message):
        read_params(run, tiny_model(**changes).config, "last")
    checkpointer = Checkpointer(run, 1)
    with pytest.raises(InputError, match=message):
        restore(checkpointer, 3, *start(**changes))
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
    with pytest.raises(InputError, match=r"checkpoints/5: damaged \(.*\); choose another"):
        read_params(run, CONFIG, "last")
    checkpointer = Checkpointer(run, 10)
    with pytest.raises(InputError, match=r"checkpoints/5: damaged \(.*\); choose another"):
        restore(checkpointer, 5, *start())
    checkpointer.close()
    shutil.rmtree(folder)
    assert_equal(read_params(run, CONFIG, "last"), state_of(3).ema_params)


def test_no_parameter_is_shared_with_the_file(run):
    save(run, 3)
    params = read_params(run, CONFIG)
    shutil.rmtree(run.path)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params))


def flip(file, offset):
    data = bytearray(file.read_bytes())
    data[offset] ^= 1
    file.write_bytes(bytes(data))


def array_files(folder):
    """The files that hold the numbers; some hold only what was written and replaced while saving."""
    return [file for file in folder.rglob("d/*") if file.is_file()]


def truncate(folder):
    for file in array_files(folder):
        os.truncate(file, file.stat().st_size // 2)


DAMAGE = {
    "truncated": lambda folder: truncate(folder / "params"),
    "a byte": lambda folder: flip(folder / "params" / "manifest.ocdbt", 50),
    "a number of the optimizer": lambda folder: rewrite_with_another_number(folder / "optimizer"),
    "no optimizer": lambda folder: shutil.rmtree(folder / "optimizer"),
    "no contents": lambda folder: shutil.rmtree(folder / "contents"),
    "the place": lambda folder: (folder / "place" / "metadata").write_text('{"place": [8, 0]}'),
    "empty": lambda folder: [shutil.rmtree(folder), folder.mkdir()],
}


def rewrite_with_another_number(folder):
    """Changes one number by its last bit, in files that are whole otherwise."""
    handler = ocp.StandardCheckpointHandler()
    tree = handler.restore(folder)
    leaves, structure = jax.tree.flatten(tree)
    last = np.array(leaves[-1])
    last.view(np.uint32).reshape(-1)[-1] ^= 1
    shutil.rmtree(folder)
    ocp.StandardCheckpointer().save(folder, jax.tree.unflatten(structure, [*leaves[:-1], last]))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_is_set_aside_and_the_one_before_used(run, damage, caplog):
    save(run, 3, 5, 7)
    DAMAGE[damage](run.checkpoints / "7")
    checkpointer = Checkpointer(run, 10)
    state, place = restore_newest(checkpointer, *start())
    assert_equal(state, state_of(5))
    assert place == {"place": [5, 0]}
    assert state_steps(run) == [3, 5]
    assert sorted(path.name for path in run.damaged.iterdir()) == ["7", "7.txt"]
    (line,) = [record.getMessage() for record in caplog.records if record.name == "tfmr"]
    assert re.fullmatch(r".*checkpoints/7: damaged \(.+\); moved to .*damaged/7", line)
    # Made and saved again: orbax must not believe that it is there.
    checkpointer.save(7, checkpoint_items(state_of(7)), {"place": [7, 0]})
    checkpointer.close()
    checkpointer = Checkpointer(run, 10)
    assert_equal(restore_newest(checkpointer, *start())[0], state_of(7))
    checkpointer.close()


@pytest.mark.parametrize(
    "error",
    [RuntimeError("no thread"), LookupError("unknown encoding: x"), UnicodeEncodeError("ascii", "ö", 0, 1, "no")],
)
def test_what_is_not_damage_is_not_called_damage(run, error, monkeypatch):
    save(run, 3, 5)

    def fail(*_):
        raise error

    checkpointer = Checkpointer(run, 10)
    monkeypatch.setattr(items_module, "_read_tree", fail)
    for read in (lambda: restore_newest(checkpointer, *start()), lambda: read_params(run, CONFIG)):
        with pytest.raises(type(error)) as raised:
            read()
        assert raised.value is error
    checkpointer.close()
    assert state_steps(run) == [3, 5]


def test_a_checkpoint_that_training_removed_is_not_called_damaged(run, monkeypatch):
    save(run, 3)

    def remove_and_read(checkpoint, *_):
        shutil.rmtree(checkpoint)
        raise FileNotFoundError(checkpoint)

    monkeypatch.setattr(items_module, "_read_tree", remove_and_read)
    with pytest.raises(
        InputError, match="checkpoints/3: was removed while it was being read, as training removes old ones; try again"
    ):
        read_params(run, CONFIG)


def test_amended_values_replace_the_saved_ones(run):
    checkpointer = Checkpointer(run, 10)
    checkpointer.save(3, checkpoint_items(state_of(3)), {"best": None})
    checkpointer.amend(3, {"best": 2.5})
    checkpointer.amend(4, {"best": 1.0})  # was not saved
    assert restore(checkpointer, 3, *start())[1] == {"best": 2.5}
    file = run.checkpoints / "3" / "place.amended.json"
    whole = file.read_text()
    for damaged in (whole.replace("2.5", "2.1"), whole[:10], "[]"):
        file.write_text(damaged)
        assert restore(checkpointer, 3, *start())[1] == {"best": None}
    checkpointer.close()
    assert state_steps(run) == [3]


def test_the_tokenizer_of_another_model_is_recognised(run):
    run.write_tokenizer(Tokenizer.train("characters", ["abc"], 20))
    save(run, 3, best=(3,))
    average_checkpoints(run)
    run.write_tokenizer(Tokenizer.train("characters", ["abd"], 20))
    for name in ("last", "best", "averaged"):
        with pytest.raises(InputError, match=r"tokenizer\.json: is not the tokenizer that .*/3 was trained with"):
            read_params(run, CONFIG, name)
    run.write_tokenizer(Tokenizer.train("characters", ["cba"], 20))
    assert_equal(read_params(run, CONFIG, "best"), state_of(3).params)


def test_where_all_are_damaged_nothing_starts_over(run):
    save(run, 3, 5)
    for step in (3, 5):
        flip(run.checkpoints / str(step) / "place" / "metadata", 3)
    checkpointer = Checkpointer(run, 10)
    with pytest.raises(
        InputError, match=r"checkpoints: every checkpoint is damaged: 5 \(.*\), 3 \(.*\); restore a backup"
    ):
        restore_newest(checkpointer, *start())
    checkpointer.close()
    assert state_steps(run) == [3, 5]
    assert not run.damaged.exists()


def test_another_architecture_is_not_damage(run):
    save(run, 3, 5)
    checkpointer = Checkpointer(run, 10)
    with pytest.raises(InputError, match=r"the architecture of checkpoint 5 differs") as error:
        restore_newest(checkpointer, *start(d_ff=40))
    checkpointer.close()
    assert not isinstance(error.value, DamagedCheckpoint)
    assert state_steps(run) == [3, 5]


@pytest.mark.slow
def test_a_flipped_bit_is_harmless_or_found(run):
    save(run, 3)
    folder, like = run.checkpoints / "3", start()
    checkpointer = Checkpointer(run, 10)
    found = 0
    numbers = array_files(folder / "params")
    flips = [(file, 0.7) for file in folder.rglob("*") if file.is_file() and file.stat().st_size > 100]
    for file, where in [*flips, *((file, n / 5) for file in numbers for n in range(5))]:
        whole = file.read_bytes()
        flip(file, int(where * len(whole)))
        try:
            state, place = restore(checkpointer, 3, *like)
            assert_equal(state, state_of(3))
            assert place == {"place": [3, 0]}
        except DamagedCheckpoint:
            found += 1
        file.write_bytes(whole)
    checkpointer.close()
    assert found > 10


def test_the_newest_are_kept_and_each_so_many_steps_for_good(run):
    checkpointer = Checkpointer(run, keep_last=2, keep_every=4)
    for step in range(1, 12):
        checkpointer.save(step, checkpoint_items(state_of(step)), {})
    checkpointer.close()
    assert state_steps(run) == [4, 8, 10, 11]


@pytest.fixture
def no_room():
    """Returns a function after which no file may grow beyond some bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def _await_threads_of_the_failed_save(run):
    """A new process has none; here some of them may still be writing beside what is about to be cleaned up."""
    seen, now = None, sorted(run.checkpoints.rglob("*"))
    while seen != now:
        time.sleep(1)
        seen, now = now, sorted(run.checkpoints.rglob("*"))


def test_a_full_disk_is_told_soon_and_loses_nothing(run, no_room):
    save(run, 3)
    checkpointer = Checkpointer(run, 1)

    def save_and_go_on():
        checkpointer.save(5, checkpoint_items(state_of(5)), {})
        for _ in range(3000):
            checkpointer.raise_failed_save()
            time.sleep(0.01)

    no_room(3000)
    with pytest.raises(
        InputError, match=r"run: cannot be written to .*free up space.*the checkpoint of step 3 is complete"
    ):
        save_and_go_on()
    with contextlib.suppress(InputError):
        checkpointer.close()
    no_room(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    assert state_steps(run) == [3]
    _await_threads_of_the_failed_save(run)
    save(run, 5, keep_last=1)
    assert_equal(read_params(run, CONFIG, "last"), state_of(5).ema_params)


def test_training_goes_on_while_a_checkpoint_is_written(run, monkeypatch):
    # The last act of writing waits: if saving waited for it, this test would never end.
    may_end, rename = threading.Event(), os.rename
    monkeypatch.setattr(os, "rename", lambda *paths: (may_end.wait(60), rename(*paths)))
    overwrite = jax.jit(lambda state: jax.tree.map(lambda x: -x, state), donate_argnums=0)
    checkpointer = Checkpointer(run, 10)
    state = jax.tree.map(jnp.copy, state_of(3))
    checkpointer.save(3, checkpoint_items(state), {"place": [3, 0]})
    jax.block_until_ready(overwrite(state))
    checkpointer.raise_failed_save()
    assert state_steps(run) == []
    may_end.set()
    checkpointer.close()
    checkpointer = Checkpointer(run, 10)
    assert_equal(restore_newest(checkpointer, *start())[0], state_of(3))
    checkpointer.close()


def test_an_average_from_before_the_run_went_on_is_passed_over(run, caplog):
    save(run, 3, 5)
    average_checkpoints(run, steps=[3])
    assert_equal(read_params(run, CONFIG), state_of(3).params)
    assert not [record for record in caplog.records if record.name == "tfmr"]
    save(run, 7, best=(5,))
    assert_equal(read_params(run, CONFIG), state_of(5).params)
    assert "averaged: the average of step 5 is older than the newest checkpoint 7; using best" in caplog.text
    assert_equal(read_params(run, CONFIG, "averaged"), state_of(3).params)

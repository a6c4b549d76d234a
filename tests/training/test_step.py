"""The training step: the same numbers however the batch is cut up, and really sharded."""

import functools
import logging
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from reference import relative_error
from tiny import VOCAB, mesh_of, random_batch, start_state, tiny_model, training_config

from tfmr.data.tokenizer import BOS_ID, EOS_ID
from tfmr.training.optimizer import make_optimizer, make_schedule
from tfmr.training.sharding import LOGICAL_AXIS_RULES, batch_parts, to_devices
from tfmr.training.step import compile_for_mesh, make_train_step

MESHES = {"data": (8, 1, 1), "fsdp": (1, 8, 1), "tensor": (1, 1, 8), "all": (2, 2, 2)}


T5 = dict(
    norm="pre",
    norm_type="rms",
    positions="relative",
    relative_buckets=8,
    relative_max_distance=20,
    tie_embeddings="inputs",
    scale_embeddings=False,
    scale_scores=False,
    gated=True,
    feed_forward_bias=False,
    start_token=0,
    scan_layers=True,
    remat=True,
)


def make_step(model, config):
    schedule = make_schedule(config, model.config.d_model)
    return make_train_step(model, make_optimizer(config, schedule), schedule, config)


def run(steps, **options):
    """Makes steps on a mesh; returns the states after 0, 1, 2, ... steps, as NumPy arrays, and the metrics."""
    states, metrics = longer_run(max(steps, 3), **options)  # one program for all that want a few
    return states[: steps + 1], metrics[:steps]


@functools.cache
def longer_run(
    steps,
    accumulation=1,
    label_smoothing=0.1,
    dropout_rate=0.0,
    dtype="float32",
    decoder_recurrence="none",
    ema_decay=0.0,
    shape=(1, 1, 1),
    is_t5=False,
):
    changes = T5 if is_t5 else dict(decoder_recurrence=decoder_recurrence)
    model = tiny_model(dropout_rate=dropout_rate, dtype=dtype, **changes)
    config = training_config(accumulation=accumulation, label_smoothing=label_smoothing, ema_decay=ema_decay)
    mesh = mesh_of(*shape)
    state, sharding = start_state(model, config, mesh)
    step = compile_for_mesh(make_step(model, config), mesh, sharding)
    states, metrics = [jax.device_get(state)], []
    for number in range(steps):
        state, values = step(state, to_devices(random_batch(seed=number), mesh))
        states.append(jax.device_get(state))
        metrics.append(jax.device_get(values))
    return states, metrics


def assert_close(found, expected, tolerance):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=tolerance)


def test_the_metrics_are_those_of_the_whole_logits():
    states, metrics = run(1)
    batch = random_batch(seed=0)
    inputs = tiny_model().inputs_of(jax.tree.map(jnp.asarray, batch))

    def mean_loss(params):
        logits = tiny_model().apply({"params": params}, **inputs)
        labels = optax.smooth_labels(jax.nn.one_hot(batch["target_output"], VOCAB), 0.1)
        losses = optax.softmax_cross_entropy(logits, labels)
        cross_entropies = optax.softmax_cross_entropy_with_integer_labels(logits, batch["target_output"])
        counted = batch["target_segments"]
        return (losses * counted).sum() / counted.sum(), (cross_entropies * counted).sum() / counted.sum()

    (loss, cross_entropy), gradient = jax.jit(jax.value_and_grad(mean_loss, has_aux=True))(states[0].params)
    assert metrics[0]["loss"] == pytest.approx(float(loss), rel=1e-5)
    assert metrics[0]["cross_entropy"] == pytest.approx(float(cross_entropy), rel=1e-5)
    norm = np.sqrt(sum(np.sum(np.square(leaf, dtype=np.float64)) for leaf in jax.tree.leaves(gradient)))
    assert metrics[0]["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    assert metrics[0]["tokens"] == batch["target_segments"].sum()
    assert metrics[0]["learning_rate"] == pytest.approx(0.005)
    assert [state.step for state in states] == [0, 1]


@pytest.mark.parametrize("accumulation", [4, pytest.param(16, marks=pytest.mark.slow)])
def test_accumulation_is_the_big_batch(accumulation):
    # The pieces hold very different numbers of tokens, one of 16 none at all.
    tokens = random_batch()["target_segments"].reshape(-1, accumulation, 12).sum(axis=(0, 2))
    assert tokens.max() > 1.4 * tokens.min()
    whole, metrics = run(1)
    pieces, metrics_of_pieces = run(1, accumulation=accumulation)
    assert_close(metrics_of_pieces, metrics, 1e-5)
    # Adam's first moment is the gradient itself, its second one its square.
    assert_close(pieces[1].opt_state[0].mu, whole[1].opt_state[0].mu, 1e-7)
    assert relative_error(*(flat(states[1].opt_state[0].mu) for states in (pieces, whole))) < 1e-5


def flat(tree):
    return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "all" else pytest.mark.slow) for name in MESHES]
)
def test_twenty_steps_on_eight_devices_are_those_on_one(name):
    one, metrics = run(20, dropout_rate=0.1)
    eight, metrics_of_eight = run(20, dropout_rate=0.1, shape=MESHES[name])
    losses, losses_of_eight = ([values["loss"] for values in all_values] for all_values in (metrics, metrics_of_eight))
    np.testing.assert_allclose(losses_of_eight, losses, rtol=1e-5)
    assert_close(metrics_of_eight[:5], metrics[:5], 2e-5)
    assert relative_error(flat(eight[5].params), flat(one[5].params)) < 1e-4
    assert relative_error(flat(one[5].params), flat(one[0].params)) > 0.01


@pytest.mark.slow
def test_steps_of_a_t5_on_eight_devices_are_those_on_one():
    """Scanned and recomputed, with its tables of distances divided by heads."""
    one, metrics = run(3, dropout_rate=0.1, is_t5=True)
    eight, metrics_of_eight = run(3, dropout_rate=0.1, is_t5=True, shape=(2, 2, 2))
    assert_close(metrics_of_eight, metrics, 2e-5)
    assert relative_error(flat(eight[3].params), flat(one[3].params)) < 1e-4
    for side in ("source", "target"):
        table, before = (states.params[f"{side}_positions"]["embedding"] for states in (one[3], one[0]))
        assert (table != before).any(axis=1).sum() > 3, "every distance of the batch is learned"


@pytest.mark.slow
def test_a_recurrent_decoder_on_eight_devices():
    one, metrics = run(3, decoder_recurrence="ssru")
    eight, metrics_of_eight = run(3, decoder_recurrence="ssru", shape=MESHES["all"])
    assert_close(metrics_of_eight, metrics, 1e-5)
    assert relative_error(flat(eight[3].params), flat(one[3].params)) < 1e-5
    assert one[0].params["decoder"]["layer_0"].keys() >= {"recurrence", "recurrence_norm"}


def test_accumulation_on_eight_devices():
    _, metrics = run(1)
    _, metrics_of_eight = run(1, accumulation=2, shape=(4, 2, 1))
    assert_close(metrics_of_eight, metrics, 1e-5)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 1, 1), {"query": (16, 8, 2), "output": (8, 2, 16), "up": (16, 32), "down": (32, 16), "table": (24, 16)}),
        ((1, 8, 1), {"query": (2, 8, 2), "output": (8, 2, 2), "up": (2, 32), "down": (32, 2), "table": (24, 16)}),
        ((1, 1, 8), {"query": (16, 1, 2), "output": (1, 2, 16), "up": (16, 4), "down": (4, 16), "table": (3, 16)}),
        ((2, 2, 2), {"query": (8, 4, 2), "output": (4, 2, 8), "up": (8, 16), "down": (16, 8), "table": (12, 16)}),
    ],
)
def test_each_device_holds_its_part_of_the_parameters(shape, expected):
    mesh = mesh_of(*shape)
    state, sharding = start_state(tiny_model(), training_config(ema_decay=0.9), mesh)
    for params in (state.params, state.ema_params, state.opt_state[0].mu, state.opt_state[0].nu):
        layer = params["decoder"]["layer_0"]
        found = {
            "query": layer["cross_attention"]["query"],
            "output": layer["self_attention"]["output"],
            "up": layer["feed_forward"]["up"]["kernel"],
            "down": layer["feed_forward"]["down"]["kernel"],
            "table": params["embedding"]["embedding"],
        }
        assert {name: x.sharding.shard_shape(x.shape) for name, x in found.items()} == expected
        assert all(len(x.sharding.device_set) == mesh.size for x in jax.tree.leaves(params))
    assert jax.tree.map(lambda x: x.sharding, state) == sharding


def lower(shape, rules):
    model, config = tiny_model(), training_config()
    mesh = mesh_of(*shape)
    state, sharding = start_state(model, config, mesh)
    step = jax.jit(make_step(model, config), in_shardings=(sharding, None), out_shardings=(sharding, None))
    batch = to_devices(random_batch(), mesh)
    with jax.set_mesh(mesh), nn.logical_axis_rules(rules):
        return step.lower(state, batch)


def test_the_activations_are_constrained():
    # Two embeddings and two layers forward; each constraint has one in the backward pass as well.
    constraint = re.compile(r"sharding_constraint|custom_call @Sharding")
    assert len(constraint.findall(lower((2, 2, 2), LOGICAL_AXIS_RULES).as_text())) == 8
    assert len(constraint.findall(lower((2, 2, 2), ()).as_text())) == 0


def test_fully_sharded_parameters_are_gathered_and_gradients_summed():
    program = lower((1, 8, 1), LOGICAL_AXIS_RULES).compile().as_text()
    assert "all-gather" in program
    assert "all-reduce" in program or "reduce-scatter" in program


def test_logical_names_mean_something_while_the_step_is_traced():
    mesh = mesh_of(4, 2, 1)
    state, sharding = start_state(tiny_model(), training_config(), mesh)
    seen = []

    def step(state, batch):
        seen.append((jax.sharding.get_abstract_mesh().shape, tuple(nn.get_logical_axis_rules())))
        return state, batch

    compile_for_mesh(step, mesh, sharding)(state, {})
    assert seen == [(mesh.abstract_mesh.shape, LOGICAL_AXIS_RULES)]


def test_one_compilation_and_a_donated_state(caplog):
    model, config = tiny_model(dropout_rate=0.1), training_config(ema_decay=0.9)
    mesh = mesh_of(2, 2, 2)
    state, sharding = start_state(model, config, mesh)
    step = compile_for_mesh(make_step(model, config), mesh, sharding)
    batch = to_devices(random_batch(), mesh)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        first, state = state, step(state, batch)[0]
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first))
        assert caplog.text.count("Compiling jit(train_step)") == 1
        assert jax.tree.map(lambda x: x.sharding, state) == sharding
        # Neither the step's own result nor a state that comes from elsewhere is compiled for anew.
        state, _ = step(state, to_devices(random_batch(seed=1), mesh))
        step(jax.device_put(jax.device_get(state), sharding), batch)
        assert caplog.text.count("Compiling jit(train_step)") == 1


def test_the_moving_average_in_closed_form():
    states, _ = run(3, ema_decay=0.75)
    p0, p1, p2, p3 = (flat(state.params) for state in states)
    expected = 0.75**3 * p0 + 0.25 * (0.75**2 * p1 + 0.75 * p2 + p3)
    np.testing.assert_allclose(flat(states[3].ema_params), expected, atol=1e-6)
    np.testing.assert_array_equal(flat(states[0].ema_params), p0)
    # It plays no part in the training. Without it the program is another, which may round in another way.
    np.testing.assert_allclose(p3, flat(run(3)[0][3].params), atol=1e-6)
    assert run(3)[0][3].ema_params is None


def test_bfloat16_computes_on_float32_parameters():
    states, metrics = run(2, dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves((states[2].params, states[2].opt_state[0].mu))} == {np.dtype("f4")}
    narrow, wide = metrics[0]["loss"], run(1)[1][0]["loss"]
    assert narrow != wide
    assert narrow == pytest.approx(wide, rel=0.01)


def test_dropout_is_decided_by_seed_and_step():
    model = tiny_model(dropout_rate=0.3)

    state, _ = start_state(model, training_config())
    steps = [jax.jit(make_step(model, training_config(seed=seed))) for seed in (0, 1)]

    def loss(seed, step):
        return float(steps[seed](state.replace(step=jnp.int32(step)), random_batch())[1]["loss"])

    assert loss(0, 3) == loss(0, 3)
    assert len({loss(0, 3), loss(0, 4), loss(1, 3), run(1)[1][0]["loss"].item()}) == 4


def test_the_pieces_of_an_accumulation_drop_differently():
    model = tiny_model(dropout_rate=0.5)
    row = {name: x[:1] for name, x in random_batch().items()}
    same_rows = {name: np.repeat(x, 2, axis=0) for name, x in row.items()}
    losses = []
    for batch, accumulation in ((row, 1), (same_rows, 2)):
        state, _ = start_state(model, training_config())
        step = jax.jit(make_step(model, training_config(accumulation=accumulation)))
        losses.append(float(step(state, batch)[1]["loss"]))
    # Were each piece's key the first one's, or the step's own, the mean of both would be one loss.
    assert losses[0] != losses[1]


def test_a_batch_of_padding_changes_no_loss_into_nan():
    model, config = tiny_model(), training_config()
    state, _ = start_state(model, config)
    before = jax.device_get(state.params)
    empty = {name: np.zeros_like(x) for name, x in random_batch().items()}
    state, metrics = jax.jit(make_step(model, config))(state, empty)
    assert (float(metrics["loss"]), float(metrics["tokens"])) == (0, 0)
    assert_close(state.params, before, 0)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_changes_nothing_but_the_counts(poison):
    model, config = tiny_model(), training_config(ema_decay=0.9)
    state, _ = start_state(model, config)
    step = jax.jit(make_step(model, config))
    state, metrics = step(state, random_batch())
    assert (metrics["skipped"], metrics["skipped_in_a_row"]) == (0, 0)
    # The gain of one norm: nearly all gradients are poisoned by it.
    gamma = state.params["decoder"]["layer_0"]["feed_forward_norm"]["gamma"]
    bad = jax.tree.map(lambda x: jnp.full_like(x, poison) if x is gamma else x, state.params)
    following, metrics = step(state.replace(params=bad), random_batch())
    assert not np.isfinite(metrics["gradient_norm"])
    assert_close((following.params, following.opt_state), (bad, state.opt_state), 0)
    assert_close(following.ema_params, state.ema_params, 0)
    counts = following.step, following.skipped, following.skipped_in_a_row
    assert counts == (2, 1, 1)
    # The next good one goes on from where the last good one stood.
    following, metrics = step(following.replace(params=state.params), random_batch(seed=1))
    expected, _ = step(state, random_batch(seed=1))
    assert_close((following.params, following.opt_state), (expected.params, expected.opt_state), 0)
    assert (following.step, following.skipped, following.skipped_in_a_row) == (3, 1, 0)


@pytest.mark.parametrize("accumulation", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_under_pmap_it_is_the_sharded_step(accumulation):
    model, config = tiny_model(), training_config(accumulation=accumulation)
    state, _ = start_state(model, config)
    schedule = make_schedule(config, model.config.d_model)
    optimizer = make_optimizer(config, schedule)
    step = jax.pmap(make_train_step(model, optimizer, schedule, config, axis_name="batch"), axis_name="batch")
    state = jax.tree.map(lambda x: np.stack([x] * 8), jax.device_get(state))
    states, metrics = run(5, shape=(8, 1, 1))
    for number in range(5):
        split = {name: x.reshape(8, -1, *x.shape[1:]) for name, x in random_batch(seed=number).items()}
        state, found = step(state, split)
        for name, value in metrics[number].items():
            np.testing.assert_allclose(found[name], np.full(8, value), rtol=1e-5)
    for device in (0, 7):
        assert_close(jax.tree.map(lambda x: x[device], state.params), states[5].params, 2e-5)  # noqa: B023


@pytest.mark.slow
def test_under_pmap_each_device_drops_something_else():
    model, config = tiny_model(dropout_rate=0.5), training_config()
    state, _ = start_state(model, config)
    row = {name: x[:1] for name, x in random_batch().items()}
    schedule = make_schedule(config, model.config.d_model)
    optimizer = make_optimizer(config, schedule)
    step = jax.pmap(make_train_step(model, optimizer, schedule, config, axis_name="batch"), axis_name="batch")
    stacked, same = (jax.tree.map(lambda x: np.stack([x] * 2), jax.device_get(tree)) for tree in (state, row))
    both = float(step(stacked, same)[1]["loss"][0])
    alone = float(step(*jax.tree.map(lambda x: x[:1], (stacked, same)))[1]["loss"][0])
    # Device 0 of two drops what it drops alone, so an equal mean would mean that device 1 drops the same.
    assert both != alone


def test_it_learns_to_copy():
    steps = 350
    # The rate falls: at a constant one this size the loss still leaps up now and then.
    config = training_config(label_smoothing=0.0, warmup_steps=20, schedule="cosine", steps=steps)
    model = tiny_model(d_model=32)
    state, _ = start_state(model, config)
    step = jax.jit(make_step(model, config), donate_argnums=0)
    random = np.random.default_rng()
    for _ in range(steps):
        words = random.integers(4, 10, (32, 4)).astype(np.int32)
        tokens = np.concatenate([words, np.full((32, 1), EOS_ID, np.int32)], axis=1)
        ones, places = np.ones_like(tokens), np.tile(np.arange(5, dtype=np.int32), (32, 1))
        begin = np.full((32, 1), BOS_ID, np.int32)
        batch = dict(source=tokens, target_input=np.concatenate([begin, words], axis=1), target_output=tokens)
        batch |= {f"{side}_segments": ones for side in ("source", "target")}
        batch |= {f"{side}_positions": places for side in ("source", "target")}
        state, metrics = step(state, batch)
    # Words drawn at random: nothing but the source tells them.
    assert metrics["cross_entropy"] < 0.1


def test_a_batch_is_split_over_data_and_fsdp():
    mesh = mesh_of(2, 2, 2)
    assert batch_parts(mesh) == 4
    source = to_devices(random_batch(), mesh)["source"]
    assert source.sharding.shard_shape(source.shape) == (4, 8)
    np.testing.assert_array_equal(source, random_batch()["source"])

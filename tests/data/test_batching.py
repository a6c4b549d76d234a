"""The batch plan: every usable sentence once an epoch, at the padded lengths that pad least."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmr.data.batching import LENGTH_MULTIPLE, ROWS_MULTIPLE, Bucket, best_boundaries, make_plan, with_rows
from tfmr.errors import InputError

MAX_LENGTH = 40
side_lengths = st.integers(1, MAX_LENGTH + 8)


@st.composite
def plan_inputs(draw):
    """Lengths of both sides, and the plan's arguments; pair 0 is always usable."""
    pairs = [(2, 2), *draw(st.lists(st.tuples(side_lengths, side_lengths), max_size=120))]
    source, target = np.array(pairs, np.int64).T
    arguments = dict(
        tokens_per_batch=draw(st.integers(MAX_LENGTH, 600)),
        num_buckets=draw(st.integers(1, 6)),
        max_length=MAX_LENGTH,
        seed=draw(st.integers(0, 5)),
    )
    return source, target, arguments


def usable(source, target):
    """A pair that fits and has more than the end mark on both sides."""
    return [i for i, pair in enumerate(zip(source, target, strict=True)) if max(pair) <= MAX_LENGTH and min(pair) > 1]


def as_lists(batches):
    return [(batch.bucket, batch.indices.tolist()) for batch in batches]


@given(plan_inputs(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_an_epoch_holds_every_usable_pair_once_in_batches_that_fit(inputs, epoch):
    source, target, arguments = inputs
    plan = make_plan(source, target, **arguments)
    batches = plan.epoch(epoch)

    expected = usable(source, target)
    assert sorted(i for batch in batches for i in batch.indices.tolist()) == expected
    assert plan.left_out == len(source) - len(expected)
    assert plan.tokens == sum(source[i] + target[i] for i in expected)
    assert len(plan.buckets) <= arguments["num_buckets"]
    for batch in batches:
        rows, source_length, target_length = batch.bucket.rows, batch.bucket.source_length, batch.bucket.target_length
        assert 0 < len(batch.indices) <= rows
        assert source[batch.indices].max() <= source_length
        assert target[batch.indices].max() <= target_length
        assert rows * max(source_length, target_length) <= arguments["tokens_per_batch"]
        assert batch.bucket in plan.buckets
    assert sum(len(batch.indices) < batch.bucket.rows for batch in batches) <= 1


@given(plan_inputs(), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_the_plan_is_a_function_of_lengths_seed_and_epoch(inputs, epoch):
    source, target, arguments = inputs
    np.random.seed(0)  # noqa: NPY002  the state of the global generator plays no part
    once = as_lists(make_plan(source, target, **arguments).epoch(epoch))
    np.random.seed(1)  # noqa: NPY002
    plan = make_plan(source.copy(), target.copy(), **arguments)
    plan.epoch(epoch + 1)
    assert as_lists(plan.epoch(epoch)) == once


def big_plan(seed: int):
    random = np.random.default_rng(0)
    source, target = random.integers(2, MAX_LENGTH, (2, 500))
    return make_plan(source, target, tokens_per_batch=200, num_buckets=4, max_length=MAX_LENGTH, seed=seed)


def test_epochs_and_seeds_differ_in_order_and_company():
    orders = [as_lists(big_plan(seed).epoch(epoch)) for seed in range(3) for epoch in range(3)]
    for one, other in itertools.combinations(orders, 2):
        assert one != other
        company, other_company = ({frozenset(indices) for _, indices in order} for order in (one, other))
        assert len(company & other_company) < len(company) / 10
    # Batches of one shape do not stand together.
    shapes = [bucket for bucket, _ in orders[0]]
    assert sum(one == other for one, other in itertools.pairwise(shapes)) < 0.6 * len(shapes)


def count_places(lengths, boundaries):
    """Places of all sentences, each padded to the smallest boundary that holds it."""
    return sum(min(boundary for boundary in boundaries if boundary >= length) for length in lengths)


@given(st.lists(st.integers(1, 12).map(lambda n: 4 * n), min_size=1, max_size=30), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_best_boundaries_are_as_good_as_the_best_of_all_choices(lengths, num_buckets):
    found = best_boundaries(np.array(lengths), num_buckets)
    distinct = sorted(set(lengths))
    choices = [
        (*chosen, distinct[-1])
        for size in range(min(num_buckets, len(distinct)))
        for chosen in itertools.combinations(distinct[:-1], size)
    ]
    assert len(found) <= num_buckets
    assert found == sorted(set(found))
    assert found[-1] == max(lengths)
    assert count_places(lengths, found) == min(count_places(lengths, choice) for choice in choices)


def test_best_boundaries_by_hand():
    # One bucket of 8 and one of 20 pad 4 by 4 twice: 8 places too many. 4 and 20 pad 8 by 12 once: 12 too many.
    assert best_boundaries(np.array([4, 4, 8, 20, 20]), 2) == [8, 20]
    # With a third 8, {4, 20} loses more still; with three more 4s, {4, 20} wins: 12 against 20.
    assert best_boundaries(np.array([4, 4, 4, 4, 4, 8, 20]), 2) == [4, 20]
    assert best_boundaries(np.array([4, 8]), 5) == [4, 8]


def test_shapes_suit_the_hardware():
    for bucket in big_plan(0).buckets:
        assert bucket.source_length % LENGTH_MULTIPLE == bucket.target_length % LENGTH_MULTIPLE == 0
        assert bucket.rows % ROWS_MULTIPLE == 0 or bucket.rows < ROWS_MULTIPLE


def test_no_usable_pair_is_an_input_error():
    lengths = np.array([9, 1])  # too long, and an end mark alone
    with pytest.raises(InputError, match=r"data\.max_length = 8: all 2 sentence pairs are longer or empty"):
        make_plan(lengths, lengths, tokens_per_batch=64, num_buckets=2, max_length=8, seed=0)


@given(st.integers(1, 100), st.integers(1, 40))
def test_with_rows_rounds_up(rows, multiple):
    bucket = with_rows(Bucket(rows, 8, 12), multiple)
    assert bucket.rows % multiple == 0
    assert rows <= bucket.rows < rows + multiple
    assert (bucket.source_length, bucket.target_length) == (8, 12)

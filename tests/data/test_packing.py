"""Packed batches: every usable pair once an epoch, in rows that hold it, nearly without padding."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmr.data.packing import make_packed_plan, pack
from tfmr.data.pairs import encode_pairs
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError


@st.composite
def plan_inputs(draw):
    """Lengths of both sides, and the plan's arguments; pair 0 is always usable. Also lengths that are not exact."""
    max_length = draw(st.sampled_from([12, 40, 700]))
    side = st.integers(1, max_length + 8)
    pairs = [(2, 2), *draw(st.lists(st.tuples(side, side), max_size=120))]
    arguments = dict(
        tokens_per_batch=draw(st.integers(max_length, 4 * max_length)),
        max_length=max_length,
        seed=draw(st.integers(0, 5)),
    )
    return *np.array(pairs, np.int64).T, arguments


@given(plan_inputs(), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_an_epoch_holds_every_usable_pair_once_in_rows_that_fit(inputs, epoch):
    source, target, arguments = inputs
    plan = make_packed_plan(source, target, **arguments)
    batches = plan.epoch(epoch)

    max_length = arguments["max_length"]
    expected = [
        i for i in range(len(source)) if 2 <= min(source[i], target[i]) <= max(source[i], target[i]) <= max_length
    ]
    assert sorted(i for batch in batches for i in batch.indices.tolist()) == expected
    assert plan.left_out == len(source) - len(expected)
    assert plan.tokens == sum(source[i] + target[i] for i in expected)
    (bucket,) = plan.buckets
    assert bucket.rows * max(bucket.source_length, bucket.target_length) <= arguments["tokens_per_batch"] or (
        bucket.rows == 1
    )
    for number, batch in enumerate(batches):
        assert batch.bucket == bucket
        assert len(batch.rows) == len(batch.indices)
        assert (np.diff(batch.rows) >= 0).all()
        for lengths, room in ((source, bucket.source_length), (target, bucket.target_length)):
            assert np.bincount(batch.rows, lengths[batch.indices]).max() <= room
        used = sorted(set(batch.rows.tolist()))
        assert used == list(range(len(used)))
        assert len(used) == bucket.rows or number == len(batches) - 1


def as_lists(batches):
    return [(batch.indices.tolist(), batch.rows.tolist()) for batch in batches]


@given(plan_inputs(), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_the_plan_is_a_function_of_lengths_seed_and_epoch(inputs, epoch):
    source, target, arguments = inputs
    np.random.seed(0)  # noqa: NPY002  the state of the global generator plays no part
    once = as_lists(make_packed_plan(source, target, **arguments).epoch(epoch))
    np.random.seed(1)  # noqa: NPY002
    plan = make_packed_plan(source.astype(np.int32), target.copy(), **arguments)
    plan.epoch(epoch + 1)
    assert as_lists(plan.epoch(epoch)) == once


def sentence_lengths(pairs: int, seed: int = 0):
    """Lengths as in a corpus of translations: skewed, and alike on both sides."""
    random = np.random.default_rng(seed)
    length = random.lognormal(3.0, random.uniform(0.2, 0.7), pairs)
    source, target = (length * scale * random.lognormal(0, 0.15, pairs) for scale in (1.0, random.uniform(0.8, 1.4)))
    return tuple(np.clip(side, 2, 250).astype(np.int64) for side in (source, target))


def test_epochs_and_seeds_differ_in_order_and_company():
    lengths = sentence_lengths(3000)
    orders = []
    for seed in range(2):
        plan = make_packed_plan(*lengths, tokens_per_batch=1024, max_length=256, seed=seed)
        orders += [as_lists(plan.epoch(epoch)) for epoch in range(2)]
    company = [
        {pair for indices, _ in order for pair in itertools.combinations(sorted(indices), 2)} for order in orders
    ]
    for one, other in itertools.combinations(range(len(orders)), 2):
        assert orders[one] != orders[other]
        # In so small a corpus many a pair of lengths is there once, and shares its row with the same others for ever.
        assert len(company[one] & company[other]) < len(company[one]) / 10


def fill_of(plan, source, target):
    """The share of tokens in all places of an epoch, counted from its batches."""
    batches = plan.epoch(1)
    tokens = sum(int(source[batch.indices].sum() + target[batch.indices].sum()) for batch in batches)
    places = sum(b.bucket.rows * (b.bucket.source_length + b.bucket.target_length) for b in batches)
    assert plan.padding_share() == pytest.approx(1 - tokens / places)
    return tokens / places


@pytest.mark.parametrize("seed", range(6))
def test_rows_are_at_least_95_percent_full(seed):
    source, target = sentence_lengths(40_000, seed)
    plan = make_packed_plan(source, target, tokens_per_batch=8192, max_length=256, seed=0)
    assert fill_of(plan, source, target) >= 0.95


@pytest.mark.parametrize("length", [7, 21, 33])
def test_where_the_shortest_row_stays_empty_it_is_made_longer(length):
    lengths = np.full(40_000, length)
    plan = make_packed_plan(lengths, lengths, tokens_per_batch=4096, max_length=256, seed=0)
    assert fill_of(plan, lengths, lengths) >= 0.95


@pytest.mark.slow
def test_multi30k_is_at_least_95_percent_full(shared_data, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "configs"))
    import multi30k_en_de

    config = multi30k_en_de.get_config().data
    lines = [
        (shared_data / "multi30k" / "tok" / f"train.lc.norm.tok.{language}").read_text(encoding="utf-8").splitlines()
        for language in (config.source_language, config.target_language)
    ]
    tokenizer = Tokenizer.train(config.tokenizer, [*lines[0], *lines[1]], config.vocab_size)
    split = encode_pairs(tokenizer, *lines)
    arguments = dict(tokens_per_batch=config.tokens_per_batch, max_length=config.max_length, seed=config.seed)
    plan = make_packed_plan(split.source.lengths, split.target.lengths, **arguments)
    assert plan.left_out == 0
    assert fill_of(plan, split.source.lengths, split.target.lengths) >= 0.95


def fewest_rows(pairs, row):
    """The fewest rows that hold all pairs, by trying all ways."""
    best = len(pairs)

    def place(rest, rows):
        nonlocal best
        if len(rows) >= best:
            return
        if not rest:
            best = len(rows)
            return
        (s, t), *later = rest
        for i, (a, b) in enumerate(rows):
            if a + s <= row[0] and b + t <= row[1]:
                place(later, [*rows[:i], (a + s, b + t), *rows[i + 1 :]])
        place(later, [*rows, (s, t)])

    place(list(pairs), [])
    return best


@given(st.lists(st.tuples(st.integers(2, 16), st.integers(2, 12)), min_size=1, max_size=9))
@settings(max_examples=40, deadline=None)
def test_packing_comes_near_the_best_of_all_packings(pairs):
    kinds, counts = np.unique(np.array(pairs), axis=0, return_counts=True)
    patterns, times = pack(kinds[:, 0], kinds[:, 1], counts, (16, 12))
    used = np.zeros(len(kinds), int)
    for pattern, n in zip(patterns, times, strict=True):
        np.add.at(used, pattern, n)
        assert (kinds[pattern].sum(axis=0) <= (16, 12)).all()
    assert used.tolist() == counts.tolist()
    assert sum(times) <= 1.5 * fewest_rows(pairs, (16, 12)) + 0.5


def test_the_work_grows_with_the_kinds_not_the_pairs():
    source, target = sentence_lengths(500)
    once = make_packed_plan(source, target, tokens_per_batch=8192, max_length=256, seed=0)
    often = make_packed_plan(
        np.tile(source, 2000), np.tile(target, 2000), tokens_per_batch=8192, max_length=256, seed=0
    )
    assert often.kind_of.max() == once.kind_of.max()
    assert often.padding_share() < 0.05


def test_no_usable_pair_is_an_input_error():
    lengths = np.array([9, 1])  # too long, and an end mark alone
    with pytest.raises(InputError, match=r"data\.max_length = 8: all 2 sentence pairs are longer or empty"):
        make_packed_plan(lengths, lengths, tokens_per_batch=64, max_length=8, seed=0)

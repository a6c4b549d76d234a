"""From the plan to arrays: nothing lost, nothing twice, the same from any place and for any number of hosts."""

import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmr.data.batching import Batch, Bucket, make_plan
from tfmr.data.loader import Cursor, batches_from, prefetch
from tfmr.data.packing import make_packed_plan
from tfmr.data.pairs import encode_pairs, evaluation_batches
from tfmr.data.prepare import PairSplit
from tfmr.data.token_arrays import TokenArrays
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from tfmr.errors import InputError


def make_split(lengths, seed=0):
    """Random sentences of these (source, target) lengths, each ending in the end mark."""
    random = np.random.default_rng(seed)

    def side(lengths):
        sentences = [[*random.integers(4, 50_000, length - 1), EOS_ID] for length in lengths]
        tokens = np.array([token for sentence in sentences for token in sentence], np.uint16)
        return TokenArrays(tokens, np.cumsum([0, *lengths], dtype=np.int64))

    source, target = zip(*lengths, strict=True)
    return PairSplit(side(source), side(target))


def plan_of(split, **changes):
    arguments = dict(tokens_per_batch=64, num_buckets=3, max_length=20, seed=0)
    return make_plan(split.source.lengths, split.target.lengths, **{**arguments, **changes})


def packed_plan_of(split, **changes):
    arguments = dict(tokens_per_batch=96, max_length=20, seed=0)
    return make_packed_plan(split.source.lengths, split.target.lengths, **{**arguments, **changes})


BOTH_PLANS = pytest.mark.parametrize("plan_of", [plan_of, packed_plan_of], ids=["bucketed", "packed"])


lengths_of_pairs = st.lists(st.tuples(st.integers(2, 20), st.integers(2, 20)), min_size=1, max_size=60)


@given(lengths_of_pairs, st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_arrays_hold_each_sentence_of_the_batch_in_a_row(lengths, rows_multiple):
    split = make_split(lengths)
    for batch in plan_of(split).epoch(1):
        arrays = split.arrays(batch, rows_multiple=rows_multiple)
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.int32)}
        rows, length = arrays["target_output"].shape
        assert rows % rows_multiple == 0
        assert arrays["source"].shape == (rows, batch.bucket.source_length)
        assert length == batch.bucket.target_length
        for name in ("source", "target"):
            tokens = arrays["source" if name == "source" else "target_output"]
            sentences = split.source if name == "source" else split.target
            for row in range(rows):
                known = sentences[int(batch.indices[row])].tolist() if row < len(batch.indices) else []
                padding = tokens.shape[1] - len(known)
                assert tokens[row].tolist() == known + [PAD_ID] * padding
                assert arrays[f"{name}_segments"][row].tolist() == [1] * len(known) + [0] * padding
                assert arrays[f"{name}_positions"][row].tolist() == [*range(len(known)), *[0] * padding]
        for given_tokens, wanted in zip(arrays["target_input"], arrays["target_output"], strict=True):
            sentence = [token for token in wanted.tolist() if token != PAD_ID]
            expected = [BOS_ID, *sentence[:-1]] if sentence else []
            assert given_tokens.tolist() == expected + [PAD_ID] * (length - len(expected))


@given(lengths_of_pairs, st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_packed_arrays_hold_each_sentence_as_if_it_stood_alone(lengths, epoch):
    split = make_split(lengths)
    seen = []
    for batch in packed_plan_of(split).epoch(epoch):
        arrays = split.arrays(batch)
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.int32)}
        assert arrays["source"].shape == (batch.bucket.rows, batch.bucket.source_length)
        assert arrays["target_output"].shape == (batch.bucket.rows, batch.bucket.target_length)
        for row in range(batch.bucket.rows):
            inside = batch.indices[batch.rows == row].tolist()
            seen += inside
            expected = {name: [] for name in arrays}
            for segment, i in enumerate(inside, start=1):
                source, target = split.source[i].tolist(), split.target[i].tolist()
                expected["source"] += source
                expected["target_output"] += target
                expected["target_input"] += [BOS_ID, *target[:-1]]
                for side, sentence in (("source", source), ("target", target)):
                    expected[f"{side}_segments"] += [segment] * len(sentence)
                    expected[f"{side}_positions"] += range(len(sentence))
            for name, array in arrays.items():
                padding = array.shape[1] - len(expected[name])
                assert array[row].tolist() == expected[name] + [0] * padding
    assert sorted(seen) == list(range(len(lengths)))


@BOTH_PLANS
@given(lengths=lengths_of_pairs, rows_multiple=st.integers(1, 4), random=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_wanted_rows_are_those_of_the_whole_batch(plan_of, lengths, rows_multiple, random):
    split = make_split(lengths)
    for batch in plan_of(split).epoch(0):
        whole = split.arrays(batch, rows_multiple=rows_multiple)
        wanted = [row for row in range(len(whole["source"])) if random.random() < 0.5]
        part = split.arrays(batch, rows_multiple=rows_multiple, rows_of=lambda _: wanted)  # noqa: B023
        for name, array in whole.items():
            np.testing.assert_array_equal(part[name], array[wanted])


@BOTH_PLANS
@given(lengths=lengths_of_pairs, seed=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_padding_share_counts_the_arrays(plan_of, lengths, seed):
    split = make_split(lengths)
    plan = plan_of(split, seed=seed)
    segments = [
        arrays[f"{side}_segments"]
        for arrays in (split.arrays(batch) for batch in plan.epoch(seed + 1))
        for side in ("source", "target")
    ]
    places = sum(array.size for array in segments)
    padding = sum(int((array == 0).sum()) for array in segments)
    assert plan.padding_share() == pytest.approx(padding / places, abs=1e-12)


def as_lists(items):
    return [(batch.bucket, batch.indices.tolist(), place) for batch, place in items]


@BOTH_PLANS
@given(lengths=lengths_of_pairs, seed=st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_from_any_place_the_batches_go_on_as_without_stopping(plan_of, lengths, seed):
    plan = plan_of(make_split(lengths), seed=seed)
    per_epoch = len(plan.epoch(0))
    # Two and a half epochs.
    through = as_lists(itertools.islice(batches_from(plan, Cursor()), 5 * per_epoch // 2 + 1))
    for done, (_, _, place) in enumerate(through, start=1):
        rest = as_lists(itertools.islice(batches_from(plan, Cursor(*place)), len(through) - done))
        assert rest == through[done:]
    assert [indices for _, indices, _ in through[:per_epoch]] == [b.indices.tolist() for b in plan.epoch(0)]
    assert through[per_epoch - 1][2] == Cursor(1, 0)


def test_prefetch_keeps_order_and_ends():
    for size in (1, 3, 100):
        assert list(prefetch(iter(range(20)), size)) == list(range(20))
    assert list(prefetch(iter([]))) == []
    assert list(prefetch(iter([None, None]))) == [None, None]


def test_prefetch_works_ahead_but_not_further_than_its_size():
    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number

    ahead = prefetch(items(), size=2)
    assert next(ahead) == 0
    deadline = time.monotonic() + 5
    # Two in the buffer and one that waits for room.
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.15)
    assert made == [0, 1, 2, 3]
    ahead.close()


def test_prefetch_passes_an_exception_on_after_what_came_before():
    def items():
        yield 1
        yield 2
        raise InputError("broken")

    ahead = prefetch(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(InputError, match="broken"):
        next(ahead)


@pytest.mark.parametrize("taken", [1, 5])
def test_closing_prefetch_ends_its_thread_and_the_source(taken):
    before = set(threading.enumerate())
    ended = threading.Event()

    def items():
        try:
            yield from itertools.count()
        finally:
            ended.set()

    ahead = prefetch(items())
    for _ in range(taken):
        next(ahead)
    assert len(set(threading.enumerate()) - before) == 1
    ahead.close()
    assert set(threading.enumerate()) == before
    assert ended.wait(5)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train("characters", ["abc"], 10)


def test_encode_pairs_ends_each_sentence(tokenizer):
    split = encode_pairs(tokenizer, ["ab", ""], ["c", "cba"])
    a, b, c = tokenizer.encode("abc")
    assert [sentence.tolist() for sentence in split.source] == [[a, b, EOS_ID], [EOS_ID]]
    assert [sentence.tolist() for sentence in split.target] == [[c, EOS_ID], [c, b, a, EOS_ID]]


def test_evaluation_batches_hold_all_pairs_of_any_length(tokenizer):
    sources = ["a" * (1 + n % 9) for n in range(50)] + ["b" * 5000]
    targets = ["c" * (1 + n % 7) for n in range(51)]
    batches = evaluation_batches(encode_pairs(tokenizer, sources, targets), tokens_per_batch=64, rows_multiple=4)
    found = sorted(
        (int(source.sum()), int(target.sum()))
        for batch in batches
        for source, target in zip(batch["source_segments"], batch["target_segments"], strict=True)
        if source.sum()
    )
    assert found == sorted((len(source) + 1, len(target) + 1) for source, target in zip(sources, targets, strict=True))
    assert len({batch["source"].shape for batch in batches}) <= 4
    assert all(len(batch["source"]) % 4 == 0 for batch in batches)


def test_a_row_without_a_sentence_is_all_padding():
    split = make_split([(3, 2)])
    arrays = split.arrays(Batch(Bucket(1, 4, 4), np.array([0])), rows_multiple=2, rows_of=lambda rows: [rows - 1])
    for name, array in arrays.items():
        assert name.endswith("positions") or not array.any()

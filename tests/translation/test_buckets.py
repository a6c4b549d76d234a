"""Batches of few shapes hold every sentence once."""

import random

import pytest

from tfmr.translation.buckets import make_buckets, padded_width


def test_padded_widths():
    widths = [padded_width(length) for length in (1, 16, 17, 24, 25, 33, 48, 49, 96, 97, 129, 193)]
    assert widths == [16, 16, 24, 24, 32, 48, 48, 64, 96, 128, 192, 256]


@pytest.mark.parametrize("parts", [1, 3])
def test_every_sentence_stands_in_one_batch_that_is_as_wide_as_it(parts):
    generator = random.Random(0)
    lengths = {place: generator.randint(1, 400) for place in generator.sample(range(1000), 150)}
    buckets = list(make_buckets(lengths, 16, longest=400, parts=parts))
    assert sorted(place for bucket in buckets for place in bucket.places) == sorted(lengths)
    for bucket in buckets:
        longest = max(lengths[place] for place in bucket.places)
        assert bucket.width == min(padded_width(longest), 400)
        assert len(bucket.places) <= bucket.rows
        assert bucket.rows % parts == 0
        assert bucket.rows * bucket.width < 16 * 128 + parts * bucket.width  # as many tokens however long they are
    assert len({(bucket.rows, bucket.width) for bucket in buckets}) <= 10


def test_a_handful_has_no_whole_batch():
    assert [bucket.rows for bucket in make_buckets({0: 5, 7: 9, 8: 3}, 64)] == [4]

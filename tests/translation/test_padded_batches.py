"""Batches of few shapes hold every sentence once."""

import random

import pytest

from tfmr.translation.padded_batches import make_padded_batches, padded_width


def test_padded_widths():
    widths = [padded_width(length) for length in (1, 16, 17, 24, 25, 33, 48, 49, 96, 97, 129, 193)]
    assert widths == [16, 16, 24, 24, 32, 48, 48, 64, 96, 128, 192, 256]


@pytest.mark.parametrize("parts", [1, 3])
def test_every_sentence_is_in_one_batch_that_is_as_wide_as_it(parts):
    generator = random.Random(0)
    lengths = {index: generator.randint(1, 400) for index in generator.sample(range(1000), 150)}
    batches = list(make_padded_batches(lengths, 16, longest=400, parts=parts))
    assert sorted(index for batch in batches for index in batch.indices) == sorted(lengths)
    for batch in batches:
        longest = max(lengths[index] for index in batch.indices)
        assert batch.width == min(padded_width(longest), 400)
        assert len(batch.indices) <= batch.rows
        assert batch.rows % parts == 0
        assert batch.rows * batch.width < 16 * 128 + parts * batch.width  # as many tokens however long they are
    assert len({(batch.rows, batch.width) for batch in batches}) <= 10


def test_a_handful_has_no_whole_batch():
    assert [batch.rows for batch in make_padded_batches({0: 5, 7: 9, 8: 3}, 64)] == [4]

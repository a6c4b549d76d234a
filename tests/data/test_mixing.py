"""Mixing by weight: an epoch has each pair or token as often as its weight says, from any point on, on any machine."""

import math
from collections import Counter
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfmr.cli.arguments import parse
from tfmr.config import Config, PairsConfig, RunningTextConfig
from tfmr.data.batching import make_plan
from tfmr.data.loader import Cursor, batches_from
from tfmr.data.mixing import Mixture, turns
from tfmr.data.packing import make_packed_plan
from tfmr.data.prepare import prepare_pairs
from tfmr.data.running_text import prepare_running_text
from tfmr.errors import InputError

WEIGHTS = (2.5, 0.4, 1.0)
SIZES = {"a-1": 30, "a-2": 20, "b": 90, "c": 40}
NAMES = ("a-*", "b", "c")


@settings(deadline=None)
@given(st.integers(1, 50), st.decimals("0.01", 5, places=2), st.integers(0, 8))
@example(50, Decimal("0.02"), 30)  # one item in each epoch, but 29 * 0.02 * 50 is 28.999999999999996
def test_turns_use_each_item_in_turn(size, weight, epochs):
    ranges = [turns(size, float(weight), epoch) for epoch in range(epochs)]
    used = [n for epoch in ranges for begin, end in epoch for n in range(begin, end)]
    assert used == [n % size for n in range(math.floor(epochs * weight * size))]
    if weight * size >= 1:
        assert all(ranges)


def sentence(name: str, number: int) -> str:
    return f"{name} says {number}" + " and more" * (number % 5)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four files of pairs, some of which training leaves out, and of lines."""
    folder = tmp_path_factory.mktemp("files")
    for name, size in SIZES.items():
        lines = [sentence(name, number) for number in range(size)]
        left_out = [f"{name}\t", f"{'long ' * 70}\tlang", "\tblank"]
        (folder / f"{name}.tsv").write_text("\n".join([*left_out, *(f"{line}\t{line}!" for line in lines)]))
        (folder / f"{name}.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def pairs(files):
    """Returns the configuration of a mixture of pairs, and what a test changes."""
    names = tuple(str(files / f"{name}.tsv") for name in NAMES)
    usual = dict(corpus="text", source_file=names, cache=str(files / "cache"), vocab_size=300)
    usual |= dict(held_out_share=0.05, max_length=60, tokens_per_batch=300, num_buckets=3, weights=WEIGHTS)
    return lambda **changed: PairsConfig(**{**usual, **changed})


def sources_of(config, epochs):
    """Returns how often each source sentence is in some epochs."""
    prepared = prepare_pairs(config)
    split = prepared.split("train")
    plan = split.plan(config)
    indices = [int(index) for epoch in epochs for batch in plan.epoch(epoch) for index in batch.indices]
    return Counter(prepared.tokenizer.decode(split.source[index]) for index in indices)


@pytest.mark.parametrize("batching", ["bucketed", "packed"])
def test_an_epoch_has_each_pair_as_often_as_its_weight_says(pairs, batching):
    config = pairs(batching=batching)
    # Held-out and blank pairs were never in training, so that these are the pairs that training may use.
    trained = sources_of(pairs(weights=(), batching=batching), [0])
    assert 160 <= len(trained) < 180
    assert {*trained.values()} == {1}
    for epochs in ([0], [3], [0, 1], [0, 1, 2], [5, 6, 7, 8, 9]):
        found = sources_of(config, epochs)
        assert found.keys() <= trained.keys()
        for entry, weight in zip("abc", WEIGHTS, strict=True):
            counts = [found[line] for line in trained if line.startswith(entry)]
            assert len(epochs) * weight - 1 < min(counts) <= max(counts) < len(epochs) * weight + 1
            assert abs(sum(counts) - len(epochs) * weight * len(counts)) <= 1
    # Another part in each epoch, and after five all have been used twice.
    fifth = [{line for line in sources_of(config, [epoch]) if line.startswith("b")} for epoch in range(2)]
    assert not fifth[0] & fifth[1]
    # A random part.
    assert {*map(len, fifth)} <= {*range(30, 37)}
    assert max(int(line.split()[2]) for line in fifth[0]) > 70
    assert min(int(line.split()[2]) for line in fifth[0]) < 20


@pytest.mark.parametrize("batching", ["bucketed", "packed"])
def test_it_resumes_in_the_middle_of_an_epoch(pairs, batching):
    config = pairs(batching=batching)

    def batches(cursor, number):
        found = batches_from(prepare_pairs(config).split("train").plan(config), cursor)
        return [(batch.indices.tolist(), after) for _, (batch, after) in zip(range(number), found, strict=False)]

    through = batches(Cursor(), 60)
    assert max(after.epoch for _, after in through) >= 2
    for done in (1, 13, 35):
        assert batches(through[done - 1][1], 60 - done) == through[done:]


def batches_of(plan):
    return [(b.bucket, b.indices.tolist(), None if b.rows is None else b.rows.tolist()) for b in plan.epoch(1)]


@pytest.mark.parametrize(
    "make", [lambda *args, **kw: make_plan(*args, num_buckets=4, **kw), make_packed_plan], ids=["bucketed", "packed"]
)
def test_with_weight_1_the_batches_are_those_without_weights(make):
    lengths = np.random.default_rng(0).integers(2, 60, (2, 400))
    arguments = dict(tokens_per_batch=500, max_length=60, seed=3)
    mixture = Mixture(np.array([0, 100, 400]), (1.0, 1.0), 3)
    mixed, plain = make(*lengths, **arguments, mixture=mixture), make(*lengths, **arguments)
    assert batches_of(mixed) == batches_of(plain)
    assert mixed.buckets == plain.buckets
    assert mixed.padding_share() == plain.padding_share()
    twice = make(*lengths, **arguments, mixture=Mixture(np.array([0, 400]), (2.0,), 3))
    assert twice.tokens == 2 * plain.tokens
    assert twice.padding_share() == pytest.approx(plain.padding_share(), abs=0.05)


def test_padded_lengths_suit_what_an_epoch_has():
    lengths = np.repeat([8, 16, 40], [500, 50, 50])
    few = Mixture(np.array([0, 500, 550, 600]), (0.01, 1.0, 1.0), 0)
    usual = make_plan(lengths, lengths, tokens_per_batch=400, num_buckets=2, max_length=40, seed=0)
    mixed = make_plan(lengths, lengths, tokens_per_batch=400, num_buckets=2, max_length=40, seed=0, mixture=few)
    assert [bucket.target_length for bucket in usual.buckets] == [8, 40]
    assert [bucket.target_length for bucket in mixed.buckets] == [16, 40]


def test_weights_do_not_prepare_anew_and_leave_validation_alone(pairs, files):
    plain = prepare_pairs(pairs(weights=()))
    before = {path.name: path.stat().st_mtime_ns for path in plain.directory.iterdir() if path.name != "files.json"}
    mixed, ones = prepare_pairs(pairs()), prepare_pairs(pairs(weights=(1.0, 1.0, 1.0)))
    assert mixed.directory == ones.directory == plain.directory
    assert {name: (plain.directory / name).stat().st_mtime_ns for name in before} == before
    assert ones.content_hash() == plain.content_hash() != mixed.content_hash()
    assert mixed.split("validation").entries == ()
    assert mixed.text("validation") == plain.text("validation")
    # Counted once; a folder of an older version, which has no counts, is counted when it is needed.
    counted = (plain.directory / "files.json").read_bytes()
    (plain.directory / "files.json").unlink()
    assert prepare_pairs(pairs()).entries == mixed.entries
    assert (plain.directory / "files.json").read_bytes() == counted
    used = Counter(line[0] for line in sources_of(pairs(weights=()), [0]))
    share = used["a"] * 2.5 / (used["a"] * 2.5 + used["b"] * 0.4 + used["c"])
    assert f"\na mixture   {share:.1%} {files}/a-*.tsv (weight 2.5), " in mixed.describe(pairs())


@pytest.fixture
def text(files):
    """Returns the configuration of a mixture of running text, and what a test changes."""
    names = tuple(str(files / f"{name}.txt") for name in NAMES)
    usual = dict(files=names, cache=str(files / "cache"), tokenizer="characters", max_length=32, tokens_per_batch=128)
    usual |= dict(document_separator="\n", held_out_share=0.1, weights=WEIGHTS)
    return lambda **changed: RunningTextConfig(**{**usual, **changed})


def tokens_of(config, epochs):
    """Returns how often each token is predicted in some epochs, and the entry of each token, by what is written."""
    prepared = prepare_running_text(config)
    split = prepared.split("train")
    plan, counts = split.plan(config), np.zeros(len(split.tokens), int)
    for epoch in epochs:
        for batch in plan.epoch(epoch):
            for start, length in zip(batch.starts, batch.lengths, strict=True):
                counts[start : start + length] += 1
    entries = np.array([" "] * len(counts))
    text = prepared.tokenizer.decode_batch([[token] for token in split.tokens.tolist()])
    for document, length in zip(split.offsets[:-1], split.lengths, strict=True):
        entries[document : document + length] = text[document]
    return counts, entries


@pytest.mark.parametrize("changes", [{}, {"validation_share": 0.15}, {"batching": "packed"}], ids=str)
def test_an_epoch_has_each_token_as_often_as_its_weight_says(text, changes):
    config = text(**changes)
    for epochs in ([0], [3], [0, 1, 2, 3, 4]):
        counts, entries = tokens_of(config, epochs)
        for entry, weight in zip("abc", WEIGHTS, strict=True):
            found = counts[entries == entry]
            assert len(found) > 150
            assert len(epochs) * weight - 1 < found.min() <= found.max() < len(epochs) * weight + 1
            tolerance = 0.1 * len(found) if config.batching == "packed" else 1  # whole documents
            assert abs(found.sum() - len(epochs) * weight * len(found)) <= tolerance
    assert 0.0 <= prepare_running_text(config).split("train").plan(config).padding_share() < 0.4


def test_crops_are_drawn_by_weight(text):
    config = text(batching="crops")
    counts, entries = tokens_of(config, range(100))
    for entry, weight in zip("abc", WEIGHTS, strict=True):
        assert counts[entries == entry].mean() / 100 == pytest.approx(weight, rel=0.1)


def test_crops_at_the_end_of_the_text_are_as_frequent_as_others():
    mixture = Mixture(np.array([0, 900, 960, 1000]), (1.0, 5.0, 10.0), 0)
    counts = np.bincount(mixture.draw(100_000, 968, np.random.default_rng(0)))  # of crops of 32
    assert len(counts) == 969
    for begin, end, share in (0, 900, 9 / 16), (900, 960, 3 / 16), (960, 969, 4 / 16):
        assert counts[begin:end] == pytest.approx(share * 100_000 / (end - begin), rel=0.5)
    shorter = mixture.draw(1000, 950, np.random.default_rng(0))
    assert np.mean(shorter == 950) == pytest.approx(0.25, abs=0.05)  # of an entry that is shorter than a crop


@pytest.mark.parametrize("weights", [(0.4,), (2.0,)])
def test_a_single_text_can_have_a_weight(files, text, weights):
    config = text(files=(str(files / "b.txt"),), weights=weights, document_separator="", validation_share=0.1)
    counts, _ = tokens_of(config, [0, 1, 2, 3, 4])
    assert {*counts} == {round(5 * weights[0])}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1.0, 2.0), r"data.weights = \(1\.0, 2\.0\): must have one weight for each name in data.{field}, which has 3"),
        ((1.0, 0.0, 1.0), r"data.weights = \(1\.0, 0\.0, 1\.0\): must be positive and finite"),
        ((1.0, -1.0, 1.0), "must be positive and finite"),
        ((1.0, math.nan, 1.0), "must be positive and finite"),
        ((1.0, math.inf, 1.0), "must be positive and finite"),
        (
            (1.0, 2e6, 1.0),
            "must be at most 1000, because 1 means once per epoch; divide all weights by the same number",
        ),
    ],
)
def test_weights_that_are_refused(pairs, text, weights, message):
    for make, field in ((pairs, "source_file"), (text, "files")):
        with pytest.raises(InputError, match=message.format(field=field)):
            make(weights=weights)


def test_weights_need_files(pairs):
    with pytest.raises(InputError, match=r"data.weights = \(1\.0,\): requires data.source_file"):
        PairsConfig(corpus="text", dir="folder", weights=(1.0,))
    with pytest.raises(InputError, match=r"data.weights = \(1\.0,\): requires data.corpus = 'text', not 'grammar'"):
        prepare_pairs(PairsConfig(source_file="a", weights=(1.0,)))
    config = pairs(weights=(1e-4, 1e-4, 1e-4))
    split = prepare_pairs(config).split("train")
    with pytest.raises(InputError, match=r"an epoch would be empty; use larger weights"):
        split.plan(config)


def test_weights_on_the_command_line():
    files = ["--data.corpus", "text", "--data.source-file", "a", "b", "--data.target-file", "c", "d"]
    usual = Config(data=PairsConfig())
    config = parse(Config, [*files, "--data.weights", "1", "0.25"], prog="", default=usual)
    assert config.data.weights == (1.0, 0.25)
    with pytest.raises(InputError, match=r"--data.weights = 'x': must be a number"):
        parse(Config, [*files, "--data.weights", "1", "x"], prog="", default=usual)

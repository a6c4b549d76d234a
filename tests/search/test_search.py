"""Greedy and beam search against enumeration, a plain search in Python, and tables written by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from toy_model import (
    assert_same,
    contexts_of,
    hypotheses,
    log_probability,
    make_logits,
    make_step,
    penalty,
    ranked,
    search_arrays,
    start_contexts,
)

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tfmr.search import Constraints, StepOutput, beam_search, greedy_search

VOCAB = 6
WRITTEN = [token for token in range(VOCAB) if token not in (PAD_ID, BOS_ID)]


def plain_beam_search(logits, row, limit, config):
    """Beam search as its description says it, without arrays and without ending early."""
    size, beam, finished = config.beam_size, [((), 0.0)], []
    for length in range(1, limit + 1):
        candidates = []
        for tokens, total in beam:
            following = log_softmax(logits[contexts_of(row, (*tokens, EOS_ID))[-1]].astype(np.float64))
            allowed = [EOS_ID] if length == limit else WRITTEN
            candidates += [((*tokens, token), total + following[token]) for token in allowed]
        candidates.sort(key=lambda item: -item[1])
        finished += [(t, s / penalty(length, config)) for t, s in candidates[:size] if t[-1] == EOS_ID]
        beam = [(t, s) for t, s in candidates if t[-1] != EOS_ID][:size]
        if len(finished) >= size:
            break
    return sorted(finished, key=lambda item: -item[1])[:size]


@pytest.mark.parametrize("length_penalty", ["gnmt", "power"])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_a_beam_as_wide_as_all_hypotheses_finds_them_all_in_order(alpha, length_penalty):
    config = DecodingConfig(beam_size=40, alpha=alpha, length_penalty=length_penalty)  # 1 + 3 + 9 + 27 hypotheses
    for seed in range(3):
        logits = make_logits(seed, VOCAB)
        limits = [4, 3, 1, 2]
        every = search_arrays(logits, limits, config, number=40)
        best = search_arrays(logits, limits, config, number=1)
        for row, limit in enumerate(limits):
            expected = ranked(logits, row, limit, config)
            assert_same(hypotheses(every, row), expected)
            assert_same(hypotheses(best, row), expected[:1])


@pytest.mark.parametrize("beam_size", [1, 2, 4])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_equals_a_plain_beam_search_that_never_ends_early(beam_size, alpha):
    config = DecodingConfig(beam_size=beam_size, alpha=alpha)
    limits = [12, 9, 1, 12, 5, 12, 2, 12]
    for seed in range(3):
        logits = make_logits(seed, VOCAB, sharpness=2.5)
        logits[:, EOS_ID] -= 1.0
        every = search_arrays(logits, limits, config, number=beam_size)
        best = search_arrays(logits, limits, config, number=1)
        for row, limit in enumerate(limits):
            expected = plain_beam_search(logits, row, limit, config)
            assert_same(hypotheses(every, row), expected)
            assert_same(hypotheses(best, row), expected[:1])


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_beam_of_one_is_greedy_search_to_the_bit(alpha):
    config = DecodingConfig(beam_size=1, alpha=alpha)
    limits = [12, 9, 1, 12, 5, 12, 2, 0]
    for seed in range(10):
        logits = make_logits(seed, VOCAB)
        if seed % 2:
            logits = np.round(logits)  # many ties
        jax.tree.map(
            np.testing.assert_array_equal,
            search_arrays(logits, limits, config),
            search_arrays(logits, limits, config, number=1),
        )


def table_search(table: dict, limit: int, config: DecodingConfig, num_hypotheses=None):
    """Searches where `table` gives the probabilities of what follows each text; all else is impossible."""
    histories = list(table)
    log_probs = np.full((len(histories) + 1, VOCAB), -np.inf, np.float32)
    log_probs[-1] = 0.0
    children = np.full((len(histories) + 1, VOCAB), len(histories))
    children[0, BOS_ID] = 0
    for i, history in enumerate(histories):
        for token, probability in table[history].items():
            log_probs[i, token] = math.log(probability)
            children[i, token] = histories.index((*history, token)) if (*history, token) in table else len(histories)

    def step(tokens, origins, cache, position):
        origin = jnp.where(position == 0, 0, origins[:, :, position - 1])
        history = jnp.asarray(children)[jnp.take_along_axis(cache[..., 0], origin, axis=1), tokens]
        return StepOutput(jnp.asarray(log_probs)[history], cache.at[:, : tokens.shape[1], 0].set(history))

    @jax.jit
    def run(cache, limits):
        arguments = step, cache, Constraints(limits), limit, config
        return greedy_search(*arguments) if num_hypotheses is None else beam_search(*arguments, num_hypotheses)

    return run(jnp.zeros((1, config.beam_size, 1), int), jnp.array([limit]))


def test_beam_search_finds_what_greedy_search_misses():
    a, b = 4, 5
    table = {
        (): {a: 0.6, b: 0.4},
        (a,): {a: 0.4, b: 0.3, EOS_ID: 0.3},
        (a, a): {EOS_ID: 1.0},
        (a, b): {EOS_ID: 1.0},
        (b,): {EOS_ID: 0.9, a: 0.1},
        (b, a): {EOS_ID: 1.0},
    }
    greedy = hypotheses(table_search(table, 3, DecodingConfig(beam_size=1, alpha=0.0)), 0)
    beam = hypotheses(table_search(table, 3, DecodingConfig(beam_size=2, alpha=0.0), 2), 0)
    assert_same(greedy, [((a, a, EOS_ID), math.log(0.6 * 0.4))])
    assert_same(beam, [((b, EOS_ID), math.log(0.4 * 0.9)), ((a, a, EOS_ID), math.log(0.6 * 0.4))])


@pytest.mark.parametrize(
    ("length_penalty", "alpha", "expected"),
    [
        # The short one has probability 0.5 and two tokens, the long one 0.4 and four, EOS included.
        ("gnmt", 0.0, [math.log(0.5), math.log(0.4)]),
        ("gnmt", 1.0, [math.log(0.5) / (7 / 6), math.log(0.4) / (9 / 6)]),
        ("power", 1.0, [math.log(0.5) / 2, math.log(0.4) / 4]),
        ("power", 0.5, [math.log(0.5) / math.sqrt(2), math.log(0.4) / 2]),
    ],
)
def test_length_penalties_by_hand(length_penalty, alpha, expected):
    a, b = 4, 5
    short, long = (a, EOS_ID), (b, b, b, EOS_ID)
    table = {
        (): {a: 0.5, b: 0.5},
        (a,): {EOS_ID: 1.0},
        (b,): {b: 0.8, EOS_ID: 0.2},
        (b, b): {b: 1.0},
        (b, b, b): {EOS_ID: 1.0},
    }
    config = DecodingConfig(beam_size=3, alpha=alpha, length_penalty=length_penalty)
    found = dict(hypotheses(table_search(table, 5, config, 3), 0))
    assert found[short] == pytest.approx(expected[0], rel=1e-5)
    assert found[long] == pytest.approx(expected[1], rel=1e-5)


def test_ends_early_only_where_nothing_better_can_come():
    logits = make_logits(0, VOCAB)
    logits[:, EOS_ID] += 1.0
    config = DecodingConfig(beam_size=4, alpha=0.6)
    steps = []
    plain = make_step(jnp.asarray(logits))

    def count(number):
        def step(tokens, origins, cache, position):
            jax.debug.callback(steps.append, position)
            return plain(tokens, origins, cache, position)

        steps.clear()
        cache = start_contexts(jnp.arange(8), 4, 30)
        result = jax.jit(lambda limits: beam_search(step, cache, Constraints(limits), 30, config, number))(
            jnp.full(8, 30)
        )
        jax.effects_barrier()
        return len(steps), result

    all_steps, every = count(4)
    fewer_steps, best = count(1)
    assert fewer_steps < all_steps < 30
    np.testing.assert_array_equal(best.tokens[:, 0], every.tokens[:, 0])
    np.testing.assert_array_equal(best.scores[:, 0], every.scores[:, 0])


def test_a_row_depends_on_neither_the_others_nor_the_length_of_the_arrays():
    logits = make_logits(3, VOCAB)
    limits = [12, 3, 7, 12, 0, 2]
    for config, number in ((DecodingConfig(beam_size=3), 3), (DecodingConfig(beam_size=1), None)):
        together = search_arrays(logits, limits, config, number, max_length=16)
        for row, limit in enumerate(limits):
            alone = search_arrays(logits, [limit], config, number, first_row=row, max_length=20)
            for found, expected in zip(together, alone, strict=True):
                expected = expected[0][:, :16] if expected.ndim == 3 else expected[0]
                np.testing.assert_array_equal(found[row], expected)


@pytest.mark.parametrize("number", [None, 3])
def test_padding_and_start_are_never_written_and_the_end_always_is(number):
    logits = make_logits(1, VOCAB)
    logits[:, [PAD_ID, BOS_ID]] += 20.0
    logits[:, EOS_ID] -= 20.0
    result = search_arrays(logits, [6, 1, 0], DecodingConfig(beam_size=number or 1), number)
    tokens = np.asarray(result.tokens)
    for row, limit in enumerate([6, 1]):
        assert (np.asarray(result.lengths)[row, :1] == limit).all()
        assert (tokens[row, 0, : limit - 1] != EOS_ID).all()
        assert tokens[row, 0, limit - 1] == EOS_ID
        assert not np.isin(tokens[row, 0, :limit], [PAD_ID, BOS_ID]).any()
    assert (tokens[2] == PAD_ID).all()
    assert np.isneginf(np.asarray(result.scores)[2]).all()
    # What stands there is scored by the whole distribution, of which PAD and BOS are a part.
    body = tokens[1, 0, :1].tolist()
    expected = log_probability(logits, 1, body) / penalty(1, DecodingConfig())
    assert float(result.scores[1, 0]) == pytest.approx(expected, rel=1e-5)

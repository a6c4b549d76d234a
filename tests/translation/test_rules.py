"""Every rule of the search, against the list of all that can be written."""

import itertools
import random
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare
from toy_model import (
    assert_same,
    contexts_of,
    every_text,
    log_probability,
    make_attention,
    make_logits,
    penalty,
    ranked,
    search,
)

from tfmr.config import DecodingConfig, SamplingConfig
from tfmr.data.tokenizer import EOS_ID, PAD_ID
from tfmr.translation.rules import forbidden_words, required_words
from tfmr.translation.words import required_word, word_table

VOCAB, LIMIT = 7, 4
WIDE = 100  # more than the 1 + 4 + 16 + 64 texts of up to LIMIT tokens
PIECES = [b"", b" unk", b"", b"", b" a", b"b", b" ab"]
LIMITS = [LIMIT, LIMIT, LIMIT - 1]
# On two rows of one table, the best text breaks each rule below; the tests that search with a narrow beam say so.
LOGITS = make_logits(3, VOCAB)


def text_of(tokens) -> str:
    return b"".join(PIECES[token] for token in tokens).decode()


def has_word(word: str, tokens) -> bool:
    return re.search(rf"\b{word}\b", text_of(tokens)) is not None


def forbid(*words: str):
    """Tables with states that are never reached, so that words of any length share a program."""
    rules = forbidden_words(word_table(words, PIECES))
    return jax.tree.map(lambda array: np.pad(array, [(0, 12 - len(array)), (0, 0)]), rules)


def require(*rows: dict[str, list[int]]):
    """The words that each row must contain, with their tokens."""
    return required_words([[word_of({word: ids}) for word, ids in row.items()] for row in rows], len(rows))


def word_of(forms: dict[str, list[int]]):
    return required_word(word_table(list(forms), PIECES), list(forms.values()), space=-1)


def assert_finds_all_allowed(config, allowed, **rules):
    """The whole list, best first; and the first of it when fewer are asked for."""
    every = search(LOGITS, LIMITS, config, WIDE, **rules)
    best = search(LOGITS, LIMITS, config, 1, **rules)
    assert 0 < sum(map(len, every)) < sum(len(list(every_text(VOCAB, limit))) for limit in LIMITS)
    for row, limit in enumerate(LIMITS):
        expected = ranked(LOGITS, row, limit, config, allowed)
        assert_same(every[row], expected)
        assert_same(best[row], expected[:1])


@pytest.mark.parametrize("length", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_shortest_length(length):
    config = DecodingConfig(beam_size=WIDE, min_length=length)
    assert_finds_all_allowed(config, lambda tokens: len(tokens) >= length)


def test_no_ngram_twice():
    for size in (1, 2):
        config = DecodingConfig(beam_size=WIDE, no_repeat_ngram=size)

        def allowed(tokens, size=size):
            grams = [tokens[i : i + size] for i in range(len(tokens) - size + 1)]
            return len(set(grams)) == len(grams)

        assert_finds_all_allowed(config, allowed)


def test_no_ngram_twice_in_a_long_greedy_text():
    preferred = [4, 5, 1, 6, EOS_ID]  # always in this order
    logits = np.zeros((997, VOCAB), np.float32)
    logits[:, preferred] = [5, 4, 3, 2, -5]
    (((found, _),),) = search(logits, [30], DecodingConfig(beam_size=1, no_repeat_ngram=3))
    text, grams = [], set()
    while not text or text[-1] != EOS_ID:
        new = next(t for t in preferred if (*text[-2:], t) not in grams) if len(text) < 29 else EOS_ID
        text.append(new)
        grams.add(tuple(text[-3:]))
    assert found == tuple(text)
    assert len(found) > 10


@pytest.mark.parametrize("word", ["a", "ab", "abb", "a ab"])
def test_forbidden_words_however_they_are_cut(word):
    config = DecodingConfig(beam_size=WIDE)
    assert_finds_all_allowed(config, lambda tokens: not has_word(word, tokens), forbidden=forbid(word))


def test_several_forbidden_words_with_greedy_search():
    words = ["ab", "a", "unk"]
    logits = make_logits(5, VOCAB)
    logits[:, EOS_ID] -= 2
    for limit in range(1, 8):
        rules = dict(forbidden=forbid(*words), max_length=7)
        ((((tokens, score),),)) = search(logits, [limit], DecodingConfig(beam_size=1), **rules)
        assert not any(has_word(word, tokens) for word in words)
        assert score == pytest.approx(
            log_probability(logits, 0, tokens) / penalty(len(tokens), DecodingConfig()), rel=2e-5
        )


@pytest.mark.parametrize("words", [{"ab": [6]}, {"abb": [6, 5]}, {"a": [4], "ab": [6]}])
def test_required_words(words):
    def allowed(tokens):
        return all(has_word(word, tokens) for word in words)

    assert_finds_all_allowed(DecodingConfig(beam_size=WIDE), allowed, required=require(*[words] * 3))


def test_each_row_has_required_words_of_its_own_or_none():
    rows = [{"ab": [6]}, {}, {"a": [4], "abb": [6, 5]}]
    config = DecodingConfig(beam_size=WIDE)
    found = search(LOGITS, LIMITS, config, WIDE, required=require(*rows))
    assert len({len(row) for row in found}) == 3
    for row, (words, limit) in enumerate(zip(rows, LIMITS, strict=True)):
        expected = ranked(LOGITS, row, limit, config, lambda tokens, w=words: all(has_word(x, tokens) for x in w))
        assert_same(found[row], expected)
    narrow = DecodingConfig(beam_size=2)
    without = search(LOGITS, LIMITS, narrow, 2)
    assert search(LOGITS, LIMITS, narrow, 2, required=require(*rows))[1] == without[1]


def test_tables_of_words_have_few_sizes():
    draw = random.Random(0)
    pieces = [*PIECES, b"c", b" cab", b"ba"]

    def word(size: int):
        text = "".join(draw.choices("abc", k=size))
        return required_word(word_table([text], pieces), [[4] * size], space=-1)

    known = [word(size) for size in (1, 5, 30) for _ in range(20)]
    sizes = set()
    for rows in range(100):
        words = [draw.sample(known, draw.randint(0, 8)) for _ in range(1 + rows % 8)]
        words[0].append(known[0])
        sizes.add(tuple(array.shape for array in required_words(words, 8)))
    assert len(sizes) == 2  # up to 4 or 16 words in a row


@pytest.mark.parametrize("beam_size", [1, 4, WIDE])
def test_any_form_of_a_required_word_will_do(beam_size):
    forms = {"abb": [6, 5], "a": [4]}
    words = required_words([[word_of(forms)]] * 3, 3)
    config = DecodingConfig(beam_size=beam_size)

    def allowed(tokens):
        return any(has_word(form, tokens) for form in forms)

    for row, limit in enumerate(LIMITS):
        found = search(LOGITS, LIMITS, config, 1, required=words)[row]
        assert all(allowed(tokens) for tokens, _ in found)
        if beam_size == WIDE:
            assert_same(found, ranked(LOGITS, row, limit, config, allowed)[:1])


@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_required_words_are_written_with_a_narrow_beam_too(beam_size):
    words = {"abb": [6, 5], "a": [4]}
    required = require(*[words] * 4)
    config = DecodingConfig(beam_size=beam_size)
    limits = [4, 5, 9, 12]
    for seed in range(5):
        logits = make_logits(seed, VOCAB, sharpness=3.0)
        logits[:, 4:] -= 4  # the model would rather not
        for row, found in enumerate(search(logits, limits, config, 1, required=required)):
            ((tokens, score),) = found
            assert all(has_word(word, tokens) for word in words)
            expected = log_probability(logits, row, tokens) / penalty(len(tokens), config)
            assert score == pytest.approx(expected, rel=2e-5)


def test_prefixes():
    prefix = np.array([[4, 5], [6, PAD_ID], [PAD_ID, PAD_ID]])
    config = DecodingConfig(beam_size=WIDE)
    found = search(LOGITS, LIMITS, config, WIDE, prefix=prefix)
    greedy = search(LOGITS, LIMITS, DecodingConfig(beam_size=1), prefix=prefix)
    for row, limit in enumerate(LIMITS):
        start = tuple(int(token) for token in prefix[row] if token != PAD_ID)
        texts = [tokens for tokens in every_text(VOCAB, limit) if tokens[: len(start)] == start]

        def score(tokens, row=row, start=start):
            rest = log_probability(LOGITS, row, tokens) - log_probability(LOGITS, row, start)
            return rest / penalty(len(tokens) - len(start), config)

        assert_same(found[row], sorted(((text, score(text)) for text in texts), key=lambda item: -item[1]))
        ((text, found_score),) = greedy[row]
        assert text[: len(start)] == start
        assert found_score == pytest.approx(score(text), rel=2e-5)


def test_an_improbable_prefix_does_not_favour_longer_texts():
    """Before, its log-probability was divided by the length as well: the less probable, the longer the best text."""
    logits = make_logits(3, VOCAB)
    config = DecodingConfig(beam_size=WIDE)
    prefix = np.array([[4, 5], [6, PAD_ID], [PAD_ID, PAD_ID]])
    expected = search(logits, LIMITS, config, 1, prefix=prefix)
    # The prefix of every row begins at this context, whose other tokens become almost certain.
    for row, tokens in enumerate(prefix):
        if tokens[0] != PAD_ID:
            logits[contexts_of(row, tokens[:1])[0], tokens[0]] -= 30
    found = search(logits, LIMITS, config, 1, prefix=prefix)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


def test_coverage_penalty():
    attention = make_attention(3)
    config = DecodingConfig(beam_size=WIDE, coverage_penalty=0.7, alpha=0.6)
    found = search(LOGITS, LIMITS, config, WIDE, attention=attention)
    without = search(LOGITS, LIMITS, DecodingConfig(beam_size=WIDE, alpha=0.6), WIDE)
    for row, limit in enumerate(LIMITS):

        def score(tokens, row=row):
            covered = attention[contexts_of(row, tokens)].astype(np.float64).sum(axis=0)
            cost = 0.7 * np.log(np.minimum(covered, 1.0)).sum()  # Wu et al. 2016, equation 14
            return log_probability(LOGITS, row, tokens) / penalty(len(tokens), config) + cost

        expected = sorted(((t, score(t)) for t in every_text(VOCAB, limit)), key=lambda item: -item[1])
        assert_same(found[row], expected)
        assert [tokens for tokens, _ in found[row]] != [tokens for tokens, _ in without[row]]


def test_diversity_sets_siblings_back_and_leaves_scores_alone():
    # After the first token, 4 or 5, come 4 and 5 again. Undisturbed, both of the beam's slots go to the children of 4.
    logits = np.full((997, 6), -30.0, np.float32)
    logits[:, [4, 5]] = np.log([0.5, 0.4])
    logits[:, EOS_ID] = np.log(0.1)
    after_four = contexts_of(0, (4, 4))[1]
    logits[after_four, [4, 5]] = np.log([0.46, 0.45])
    after_five = contexts_of(0, (5, 4))[1]
    logits[after_five, [4, 5]] = np.log([0.5, 0.4])

    def starts(diversity):
        config = DecodingConfig(beam_size=2, alpha=0.0, diversity=diversity, min_length=3)
        (found,) = search(logits, [3], config, 2)
        for tokens, score in found:
            assert score == pytest.approx(log_probability(logits, 0, tokens), rel=1e-5)
        return {tokens[0] for tokens, _ in found}

    # 4 4 has 0.23, 4 5 0.225, 5 4 0.2: set back by more than log(0.225 / 0.2) = 0.118, the second child gives way.
    assert starts(0.0) == starts(0.1) == {4}
    assert starts(0.2) == {4, 5}


def sample_keys(rows, number, seed=0):
    return jax.random.split(jax.random.key(seed), (rows, number))


def next_token_counts(sampling, number=4000):
    config = DecodingConfig(sampling=sampling)
    (found,) = search(LOGITS, [2], config, keys=sample_keys(1, number))
    assert len(found) == number
    for tokens, score in found[:50]:  # scores are the model's own
        assert score == pytest.approx(log_probability(LOGITS, 0, tokens) / penalty(len(tokens), config), rel=2e-5)
    return np.bincount([tokens[0] for tokens, _ in found], minlength=VOCAB)


def exact_probabilities(sampling):
    """The distribution of the first token, by the definitions, in float64."""
    logits = LOGITS[contexts_of(0, (EOS_ID,))[0]].astype(np.float64)
    logits[[0, 2]] = -np.inf
    probabilities = np.exp(logits / sampling.temperature)
    probabilities /= probabilities.sum()
    order = np.argsort(-probabilities)
    if sampling.top_k:
        probabilities[order[sampling.top_k :]] = 0
        probabilities /= probabilities.sum()
    kept = np.searchsorted(np.cumsum(probabilities[order]), sampling.top_p - 1e-9) + 1
    probabilities[order[kept:]] = 0
    probabilities /= probabilities.sum()
    probabilities[probabilities < sampling.min_p * probabilities.max()] = 0
    return probabilities / probabilities.sum()


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({"temperature": 1.0}, 5),
        ({"temperature": 0.5}, 5),
        ({"temperature": 3.0}, 5),
        ({"temperature": 1.0, "top_k": 3}, 3),
        ({"temperature": 2.0, "top_p": 0.7}, None),
        ({"temperature": 2.0, "min_p": 0.4}, None),
        ({"temperature": 2.0, "top_k": 4, "top_p": 0.9, "min_p": 0.3}, None),
    ],
)
def test_samples_follow_the_exact_distribution(rules, kept):
    sampling = SamplingConfig(**rules)
    expected, counts = exact_probabilities(sampling), next_token_counts(sampling)
    possible = expected > 0
    assert kept is None or possible.sum() == kept
    assert kept is not None or 1 < possible.sum() < 5
    assert not counts[~possible].any()
    assert chisquare(counts[possible], expected[possible] * counts.sum()).pvalue > 1e-3


def test_a_sample_depends_on_its_key_alone():
    config = DecodingConfig(sampling=SamplingConfig(temperature=1.0))
    limits, keys = [8, 8, 5, 8], sample_keys(4, 3)
    together = search(LOGITS, limits, config, keys=keys)
    again = search(LOGITS, limits, config, keys=keys)
    fewer = search(LOGITS, limits, config, keys=keys[:, :2])
    other = search(LOGITS, limits, config, keys=sample_keys(4, 3, seed=1))
    assert together == again
    assert [row[:2] for row in together] == fewer
    assert together != other
    assert len({tokens for row in together for tokens, _ in row}) > 6


def test_sampling_keeps_the_rules():
    prefix = jnp.array([[4, PAD_ID]])
    config = DecodingConfig(sampling=SamplingConfig(temperature=2.0), min_length=4, no_repeat_ngram=2)
    (found,) = search(LOGITS, [9], config, keys=sample_keys(1, 200), forbidden=forbid("ab"), prefix=prefix)
    for tokens, _ in found:
        assert len(tokens) >= 4
        assert tokens[0] == 4
        assert not has_word("ab", tokens)
        assert len(set(itertools.pairwise(tokens))) == len(tokens) - 1
    assert len(set(found)) > 20


def test_rows_that_are_done_leave_the_batch_and_change_nothing():
    logits = make_logits(2, VOCAB)
    limits = [3] * 28 + [12] * 4  # most rows end long before the others
    rows = (0, 17, 28, 29, 31)
    keys = sample_keys(32, 2)
    sampling = DecodingConfig(sampling=SamplingConfig(temperature=1.0))
    for config, number in ((DecodingConfig(beam_size=3), 3), (DecodingConfig(beam_size=1), None), (sampling, None)):
        drawn = config is sampling
        found = search(logits, limits, config, number, keys=keys if drawn else None)
        for row in rows:
            options = dict(first_row=row, max_length=12, keys=keys[row : row + 1] if drawn else None)
            assert search(logits, [limits[row]], config, number, **options) == [found[row]]

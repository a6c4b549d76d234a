"""The tree of a search holds just the hypotheses that a plain search holds, and ends where the search ends."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from small_translators import make_translator, true_log_probs
from toy_model import contexts_of, make_logits, make_step, penalty, search_arrays, start_contexts

from tfmr.config import DecodingConfig, SamplingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tfmr.errors import InputError
from tfmr.search import Constraints
from tfmr.search.beam import BeamSteps, record_beam_search
from tfmr.search.beam_tree import make_beam_tree

VOCAB, LIMIT = 6, 9
WRITTEN = [token for token in range(VOCAB) if token not in (PAD_ID, BOS_ID)]


def plain_search(logits, row, config):
    """What each step of a beam search ends and holds, as its description says it, until k have ended."""
    beam, ended = [((), 0.0)], 0
    for length in range(1, LIMIT + 1):
        candidates = []
        for tokens, total in beam:
            following = log_softmax(logits[contexts_of(row, (*tokens, EOS_ID))[-1]].astype(np.float64))
            allowed = [EOS_ID] if length == LIMIT else WRITTEN
            candidates += [((*tokens, token), total + following[token]) for token in allowed]
        candidates.sort(key=lambda item: -item[1])
        ending = {t: (s, s / penalty(length, config)) for t, s in candidates[: config.beam_size] if t[-1] == EOS_ID}
        beam = [(t, s) for t, s in candidates if t[-1] != EOS_ID][: config.beam_size]
        ended += len(ending)
        yield ending, dict(beam)
        if ended >= config.beam_size:
            return


@functools.partial(jax.jit, static_argnames=("rows", "config", "number"))
def record(logits, rows, config, number):
    """What `record_beam_search` returns for a toy model."""
    cache = start_contexts(jnp.arange(5, 5 + rows), config.beam_size, LIMIT)
    return record_beam_search(make_step(logits), cache, Constraints(jnp.full(rows, LIMIT)), LIMIT, config, number)


def search(logits, rows, config, number):
    """The tree of each row of a toy search, and what `beam_search` returns."""
    result, steps = record(logits, rows, config, number)
    texts = [str(token) for token in range(VOCAB)]
    tokens, _, lengths = map(np.asarray, result)
    by_row = [np.moveaxis(np.asarray(array), 1, 0) for array in steps]
    trees = [
        make_beam_tree(BeamSteps(*row), *ends, texts)
        for *row, ends in zip(*by_row, zip(tokens, lengths, strict=True), strict=True)
    ]
    return trees, search_arrays(logits, [LIMIT] * rows, config, number)


@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_holds_what_a_plain_search_holds_step_by_step(beam_size):
    config = DecodingConfig(beam_size=beam_size)
    for seed in range(3):
        logits = make_logits(seed, VOCAB, sharpness=2.5)
        trees, result = search(logits, 6, config, beam_size)
        for row, tree in enumerate(trees):
            at_depth = {}
            for index, node in enumerate(tree.nodes):
                assert node.text == str(node.token)
                at_depth.setdefault(node.depth, ({}, {}))[node.score is None][tree.tokens(index)] = node
            # The search may be done before k have ended, but leaves no step out before.
            steps = list(zip(sorted(at_depth.items()), plain_search(logits, row, config), strict=False))
            assert len(steps) == len(at_depth)
            for i, ((depth, (ended, held)), (ends, beam)) in enumerate(steps):
                assert depth == i + 1
                assert set(ended) == set(ends)
                # After the last step nobody goes on, so what the beam would hold is not there.
                assert set(held) == (set() if i + 1 == len(steps) else set(beam))
                for tokens, node in held.items():
                    assert node.log_prob == pytest.approx(beam[tokens], rel=1e-5)
                for tokens, node in ended.items():
                    assert (node.log_prob, node.score) == pytest.approx(ends[tokens], rel=1e-5)
            found = [t[:n] for t, n in zip(result.tokens[row].tolist(), result.lengths[row].tolist(), strict=True) if n]
            assert [list(tree.tokens(index)) for index in tree.outputs] == found


@pytest.mark.parametrize(
    "changes",
    [{}, {"beam_size": 1}, {"coverage_penalty": 0.3, "diversity": 0.4}, {"required": ("dc",), "forbidden": ("a",)}],
    ids=lambda changes: ",".join(changes) or "plain",
)
def test_a_translators_tree_ends_in_its_translations_and_its_log_probabilities_are_the_formulas(changes):
    config = DecodingConfig(**{"beam_size": 3, "extra_length": 4, **changes})
    translator = make_translator(config, num_decoder_layers=1)
    for line in ("abcab", "j"):
        number = translator.config.beam_size
        tree = translator.beam_tree(line, number)
        found = translator.n_best([line], number)[0]
        assert [tree.tokens(index) for index in tree.outputs] == [hypothesis.tokens for hypothesis in found]
        scores = [tree.nodes[index].score for index in tree.outputs]
        np.testing.assert_allclose(scores, [hypothesis.score for hypothesis in found], rtol=1e-5)
        source = [*translator.tokenizer.encode(line), EOS_ID]
        for index, node in enumerate(tree.nodes):
            assert node.depth == len(tree.path(index))
            expected = true_log_probs(translator, source, list(tree.tokens(index))).sum()
            assert node.log_prob == pytest.approx(expected, rel=1e-4)


def test_begins_with_the_prefix():
    translator = make_translator(num_decoder_layers=1)
    tree = translator.beam_tree("abc", prefix="bc")
    expected = list(translator.tokenizer.encode("bc"))
    assert {tuple(tree.tokens(index)[:2]) for index, node in enumerate(tree.nodes) if node.depth > 1} == {
        tuple(expected[:2])
    }


def test_what_cannot_be_searched_is_named():
    with pytest.raises(InputError, match="must not be blank"):
        make_translator().beam_tree(" ")
    with pytest.raises(InputError, match=r"number = 5: must be from 1 to decoding\.beam_size = 4"):
        make_translator().beam_tree("a", 5)
    with pytest.raises(InputError, match=r"sampling\.temperature = 1\.0: sampling has no beam"):
        make_translator(DecodingConfig(sampling=SamplingConfig(temperature=1.0))).beam_tree("a")


def test_a_model_may_have_more_tokens_than_its_tokenizer():
    translator = make_translator(DecodingConfig(beam_size=4, extra_length=6), vocab_size=200, num_decoder_layers=1)
    nodes = translator.beam_tree("abc").nodes
    beyond = [node for node in nodes if node.token >= translator.tokenizer.vocab_size]
    assert beyond
    assert all(node.text == "" for node in beyond)

"""Ensembles: a model with itself is itself; different ones are the mean of their probabilities."""

import itertools

import numpy as np
import pytest
from small_translators import make_translator, true_log_probs

from tfmr.config import Config, DecodingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.runs.run_directory import RunDirectory
from tfmr.translation import Translator

LINES = ["abc", "", "jihgf", "a", "ddcbaeeg"]
SHAPES = [{"seed": 1}, {"seed": 2, "num_decoder_layers": 1, "positions": "learned", "max_length": 16, "norm": "pre"}]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_model_with_itself_is_itself(beam_size):
    alone = make_translator(DecodingConfig(beam_size=beam_size, extra_length=4), num_decoder_layers=1)
    together = Translator.ensemble([alone, alone])
    assert together.translate(LINES) == alone.translate(LINES)
    assert len(together.members) == 2
    found, expected = (each.score(LINES, LINES[::-1]) for each in (together, alone))
    np.testing.assert_allclose([score.score for score in found], [score.score for score in expected], rtol=1e-5)


def test_different_models_write_with_the_mean_of_their_probabilities():
    config = DecodingConfig(beam_size=40, alpha=0.6, extra_length=2)
    members = [make_translator(config, "ab", **shape) for shape in SHAPES]
    together = Translator.ensemble(members)
    source, longest = [*together.tokenizer.encode("a"), EOS_ID], 4
    written = [token for token in range(6) if token not in (PAD_ID, BOS_ID, EOS_ID)]
    every = [[*body, EOS_ID] for n in range(longest) for body in itertools.product(written, repeat=n)]
    truths = {tuple(target): true_log_probs(together, source, target).sum() for target in every}
    expected = {target: total / ((5 + len(target)) / 6) ** 0.6 for target, total in truths.items()}

    for target, score in zip(every, together.score([source] * len(every), every), strict=True):
        assert score.score == pytest.approx(expected[tuple(target)], rel=1e-5)
    ranked = sorted(expected, key=lambda target: -expected[target])
    (found,) = together.n_best(["a"], 40)  # 1 + 3 + 9 + 27: a beam of 40 finds all
    assert [hypothesis.tokens for hypothesis in found] == ranked
    np.testing.assert_allclose([hypothesis.score for hypothesis in found], sorted(expected.values())[::-1], rtol=1e-5)
    # Neither member alone ranks them so.
    for each in members:
        assert [hypothesis.tokens for hypothesis in each.n_best(["a"], 40)[0]] != ranked


def test_the_fewest_positions_of_all_members_limit_the_source():
    members = [make_translator(**shape) for shape in SHAPES]
    assert np.isfinite(members[0].score(["a" * 20], ["b"])[0].score)
    assert np.isnan(Translator.ensemble(members).score(["a" * 20], ["b"])[0].score)


def test_different_tokenizers_are_refused():
    with pytest.raises(InputError, match="translator 0 and translator 2 have different tokenizers"):
        Translator.ensemble([make_translator(), make_translator(seed=1), make_translator(letters="ab")])
    with pytest.raises(InputError, match="at least one translator"):
        Translator.ensemble([])


def test_runs_with_different_tokenizers_are_refused_by_name(tmp_path):
    for name, letters in (("one", "abc"), ("two", "abcd")):
        run = RunDirectory(tmp_path / name)
        run.write_config(Config())
        run.write_tokenizer(Tokenizer.train("characters", [letters], 40))
    with pytest.raises(InputError, match=r"/one and .*/two have different tokenizers"):
        Translator.from_runs([tmp_path / "one", tmp_path / "one", tmp_path / "two"])

"""Pictures of schedules, positions and beam trees: what is drawn is what was given."""

import io
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_hex

from tfmr.analysis import plot_beam_tree, plot_position_products, plot_positions, plot_schedules, position_vectors
from tfmr.analysis.beam_pictures import tree_rows
from tfmr.config import CausalLMConfig, TrainingConfig, TransformerConfig
from tfmr.errors import InputError
from tfmr.nn import sinusoidal_positions
from tfmr.search import BeamNode, BeamTree
from tfmr.training import make_schedule


def written(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), dpi=40)
    return figure


class TestSchedules:
    def test_draws_the_papers_formula(self):
        schedules = {"$a$": make_schedule(TrainingConfig(warmup_steps=100), 64), "b": lambda step: 0.01}
        (axis,) = written(plot_schedules(schedules, {"$a$": 400, "b": 50})).axes
        steps, rates = axis.lines[0].get_data()
        assert steps[[0, -1]].tolist() == [1, 400]
        np.testing.assert_allclose(rates, 64**-0.5 * np.minimum(steps**-0.5, steps * 100.0**-1.5), rtol=1e-5)
        assert axis.lines[1].get_xdata()[-1] == 50
        assert set(axis.lines[1].get_ydata()) == {0.01}
        assert [text.get_text() for text in axis.get_legend().get_texts()] == ["$a$", "b"]

    def test_what_cannot_be_drawn_is_named(self):
        with pytest.raises(InputError, match="schedules: empty"):
            plot_schedules({}, 3)
        with pytest.raises(InputError, match="steps of schedule 'a' = 0: must be at least 1"):
            plot_schedules({"a": float}, 0)


class TestPositions:
    def test_sinusoids_and_learned_vectors(self):
        vectors = position_vectors(TransformerConfig(d_model=8), length=5)
        np.testing.assert_array_equal(vectors, sinusoidal_positions(jnp.arange(5), 8))
        tables = {name: {"embedding": np.full((6, 8), float(i))} for i, name in enumerate(["source", "target"])}
        params = {f"{name}_positions": table for name, table in tables.items()}
        learned = TransformerConfig(d_model=8, positions="learned", max_length=6)
        assert position_vectors(learned, params, side="target").tolist() == [[1] * 8] * 6
        assert position_vectors(learned, params, 2).tolist() == [[0] * 8] * 2
        language_model = CausalLMConfig(d_model=8, max_length=6)
        assert position_vectors(language_model, {"positions": tables["target"]}).shape == (6, 8)
        with pytest.raises(InputError, match="length = 7: must be at most 6, the number of learned positions"):
            position_vectors(learned, params, 7)
        with pytest.raises(InputError, match="which contain the learned positions"):
            position_vectors(learned)
        with pytest.raises(InputError, match=r"model\.positions = 'relative': there are no position vectors"):
            position_vectors(TransformerConfig(d_model=8, positions="relative"))

    def test_the_products_of_sinusoids_depend_on_the_distance_alone(self):
        vectors = sinusoidal_positions(jnp.arange(40), 16)
        figure = written(plot_position_products(np.asarray(vectors)))
        offsets, medians = figure.axes[1].lines[0].get_data()
        # sin a sin b + cos a cos b = cos(a - b), summed over the frequencies.
        expected = np.cos(offsets[:, None] / 10_000 ** (np.arange(8) / 8)).sum(axis=1)
        np.testing.assert_allclose(medians, expected, atol=1e-4)
        (band,) = figure.axes[1].collections
        low, high = (band.get_datalim(figure.axes[1].transData).intervaly - [medians.min(), medians.max()]).tolist()
        assert (low, high) == pytest.approx((0, 0), abs=1e-4)

    def test_the_table_is_drawn_as_it_is(self):
        vectors = np.random.default_rng(0).normal(size=(7, 4))
        axis = written(plot_positions(vectors, title="$")).axes[0]
        np.testing.assert_array_equal(axis.images[0].get_array(), vectors)
        with pytest.raises(InputError, match="vectors: empty"):
            plot_positions(vectors[:0])


def tree_of(*nodes, outputs=()):
    """A tree of (parent, token text, log-probability, score)."""
    made = []
    for parent, text, log_prob, score in nodes:
        depth = 1 + (made[parent].depth if parent >= 0 else 0)
        made.append(BeamNode(parent, depth, 5, text, log_prob, score))
    return BeamTree(tuple(made), outputs)


# 0 a, 1 b; 2 aa, 3 ab, 4 ba; 5 aa-end, 6 aba, 7 baa; 8 aba-end, 9 baa-end.
TREE = tree_of(
    *((-1, "a", -0.1, None), (-1, "b", -0.2, None), (0, "a", -0.3, None), (0, "b", -0.4, None), (1, "a", -0.5, None)),
    *((2, "", -0.6, -0.5), (3, "a", -0.7, None), (4, "a", -0.8, None), (6, "", -0.9, -0.4), (7, "", -1.0, -0.6)),
    outputs=(8, 5),
)


class TestBeamTree:
    def test_the_best_is_on_top_and_no_two_boxes_share_a_place(self):
        best = TREE.path(8)
        rows = tree_rows(TREE.nodes, best)
        assert [rows[place] for place in best] == [0] * 4
        places = [(node.depth, row) for node, row in zip(TREE.nodes, rows, strict=True)]
        assert len(set(places)) == len(places)
        # A branch stays in its row, and none runs through another.
        assert rows[2] == rows[5]
        assert rows[1] == rows[4] == rows[7] == rows[9]

    def test_each_box_shows_its_token_and_log_probability_or_score(self):
        (axis,) = written(plot_beam_tree(TREE, title="$")).axes
        texts = [text.get_text() for text in axis.texts]
        assert texts[:2] == ["start", ""]
        for (text, below), node in zip(zip(texts[2::2], texts[3::2], strict=True), TREE.nodes, strict=True):
            minus = below.replace("\N{MINUS SIGN}", "-")
            if node.score is None:
                assert (text, minus) == (node.text, f"{node.log_prob:.2f}")
            else:
                assert (text, minus) == ("end", f"score {node.score:.2f}")
        boxes = [patch for patch in axis.patches if "FancyBbox" in type(patch).__name__]
        colours = [to_hex(box.get_edgecolor()) for box in boxes[1:]]
        blue = colours[8]
        assert [place for place, colour in enumerate(colours) if colour == blue] == TREE.path(8)
        assert colours[5] == colours[9] != colours[1]

    def test_a_long_tree_goes_on_below(self):
        nodes = [(place - 1, f" word{place}", -0.1 * place, None) for place in range(40)]
        figure = written(plot_beam_tree(tree_of(*nodes), width=8.0))
        assert figure.get_figwidth() <= 8.3
        assert figure.get_figheight() > 2
        (axis,) = figure.axes
        places = [text.get_position() for text in axis.texts]
        assert all(0 < x < axis.get_xlim()[1] and 0 < y < axis.get_ylim()[0] for x, y in places)

    def test_lines_are_the_thicker_the_more_probable(self):
        tree = tree_of((-1, "a", np.log(0.9), None), (-1, "b", np.log(0.1), None), (1, "c", np.log(0.05), None))
        (axis,) = written(plot_beam_tree(tree)).axes
        likely, unlikely, half = [
            patch.get_linewidth() for patch in axis.patches if "Fancy" not in type(patch).__name__
        ]
        assert likely > half > unlikely
        assert half == pytest.approx((likely + unlikely) / 2)

    def test_nothing_cannot_be_drawn(self):
        with pytest.raises(InputError, match="tree: empty"):
            plot_beam_tree(BeamTree((), ()))

"""Neighbours by cosine, and the plane on which they are drawn."""

import io
import warnings

import numpy as np
import pytest

from tfmr.analysis import nearest_tokens, plot_embedding_map, plot_neighbours, token_embeddings
from tfmr.errors import InputError

VECTORS = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
TEXTS = ["<pad>", " $dog$", "собака", "中文", "\n", "كلب", "\ud800", *map(str, range(23))]


def written(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), dpi=40)
    return figure


def cosine(one, other):
    one, other = VECTORS[one].astype(float), VECTORS[other].astype(float)
    return one @ other / np.sqrt((one @ one) * (other @ other))


def test_the_nearest_are_those_of_the_largest_cosine():
    found = nearest_tokens(VECTORS, [4, 9], 5, leave_out=(0, 1))
    for token, nearest, cosines in zip((4, 9), *found, strict=True):
        expected = sorted((other for other in range(2, 30) if other != token), key=lambda other: -cosine(token, other))
        assert nearest.tolist() == expected[:5]
        np.testing.assert_allclose(cosines, [cosine(token, other) for other in nearest], rtol=1e-6)


def test_the_bars_are_the_cosines_beside_their_texts():
    figure = written(plot_neighbours(VECTORS, TEXTS, [1, 5], number=4, leave_out=(0,)))
    assert [axis.get_title() for axis in figure.axes] == ["·$dog$", "كلب"]
    for token, axis in zip((1, 5), figure.axes, strict=True):
        nearest, cosines = (rows[0] for rows in nearest_tokens(VECTORS, [token], 4, (0,)))
        np.testing.assert_allclose([bar.get_width() for bar in axis.patches], cosines)
        shown = [label.get_text() for label in axis.get_yticklabels()]
        assert len(shown) == 4
        assert all(text in (TEXTS[place], "↵", "U+D800") for text, place in zip(shown, nearest, strict=True))


def test_the_map_keeps_what_lies_in_a_plane():
    # Unit vectors that differ in one plane only: a map of it keeps all their distances.
    angles = np.linspace(0, 2, 9)
    vectors = np.stack([np.cos(angles), np.sin(angles), np.full(9, 2.0)], axis=1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    figure = written(plot_embedding_map(3 * vectors, TEXTS[:9], [2, 7], number=8))
    (axis,) = figure.axes
    points = {text.get_text(): text.xy for text in axis.texts}
    assert len(points) == 9
    for one, name in ((2, "собака"), (3, "中文"), (5, "كلب")):
        if name not in points:
            continue  # no font of this machine has it
        distance = np.linalg.norm(np.subtract(points[name], points["0"]))
        assert distance == pytest.approx(np.linalg.norm(unit[one] - unit[7]), rel=1e-5)
    assert "100%" in axis.get_xlabel() or float(axis.get_xlabel().split()[3].strip("%")) > 50
    assert [text.get_text() for text in axis.texts if text.get_fontweight() == "bold"] == ["собака", "0"]


@pytest.mark.parametrize("number", [0, 3])
def test_one_token_can_be_drawn(number):
    (axis,) = written(plot_embedding_map(VECTORS, TEXTS, [8], number=number)).axes
    assert len(axis.texts) == 1 + number


def test_the_tables_of_source_and_target():
    own, shared = {"embedding": np.ones((2, 3))}, {"embedding": np.zeros((2, 3))}
    assert token_embeddings({"embedding": own, "source_embedding": shared}, "source").sum() == 0
    assert token_embeddings({"embedding": own, "source_embedding": shared}).sum() == 6
    assert token_embeddings({"embedding": own}, "source").sum() == 6


def test_what_does_not_fit_is_named():
    with pytest.raises(InputError, match="tokens: empty"):
        plot_neighbours(VECTORS, TEXTS, [])
    with pytest.raises(InputError, match="2 texts for 30 vectors"):
        plot_embedding_map(VECTORS, TEXTS[:2], [1])
    with pytest.raises(InputError, match="token id 30: must be from 0 to 29"):
        plot_neighbours(VECTORS, TEXTS, [30])
    with pytest.raises(InputError, match="number = 29: must be from 1 to 28"):
        plot_neighbours(VECTORS, TEXTS, [3], number=29, leave_out=(0,))

"""Standard input in groups, as another program writes it."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from test_score import lines_of as output_of

from tfmr.cli import _dispatch
from tfmr.cli.text_streams import arriving, lines_of, pairs_of
from tfmr.errors import InputError


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[BinaryIO]:
    """The other end of standard input."""
    read, write = os.pipe()
    with os.fdopen(read) as stdin, os.fdopen(write, "wb", buffering=0) as file:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield file


def test_what_has_arrived_is_answered_before_the_input_ends(writer: BinaryIO):
    groups = arriving(lines_of, 100)
    writer.write("\ufeffone\ntwö\r\n\nhal".encode())
    assert next(groups) == (1, ["one", "twö", ""])
    writer.write(b"f a line\n")
    assert next(groups) == (4, ["half a line"])
    writer.write(b"\xc3")  # half a character
    writer.write(b"\xa9\nlast")
    assert next(groups) == (5, ["é"])
    writer.close()
    assert list(groups) == [(6, ["last"])]


def test_groups_are_no_larger_than_asked(writer: BinaryIO):
    writer.write(b"a\nb\nc\nd\ne\n")
    groups = arriving(lines_of, 2)
    assert [next(groups) for _ in range(3)] == [(1, ["a", "b"]), (3, ["c", "d"]), (5, ["e"])]
    writer.write(b"f\ng\nh")
    one_by_one = arriving(lines_of, 2, at_once=True)
    assert [next(one_by_one) for _ in range(2)] == [(1, ["f"]), (2, ["g"])]


def test_lines_before_a_wrong_one_are_answered(writer: BinaryIO):
    writer.write(b"a\tb\nc\td\ne\n")
    groups = arriving(pairs_of, 100)
    assert next(groups) == (1, [("a", "b"), ("c", "d")])
    with pytest.raises(InputError, match="standard input: line 3 has 0 tabs"):
        next(groups)


@pytest.mark.parametrize("text", [b"", b"\n", b"a", b"a\n\n", b"a\nb\n" * 40_000 + b"x" * 200_000 + b"\n\nc"])
def test_all_lines_come_in_order(text: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    expected = text.decode().removesuffix("\n").split("\n") if text else []
    (tmp_path / "file").write_bytes(text)
    for stdin in (io.TextIOWrapper(io.BytesIO(text)), (tmp_path / "file").open()):
        monkeypatch.setattr(sys, "stdin", stdin)
        groups = list(arriving(lines_of, 30_000))
        assert [line for _, group in groups for line in group] == expected
        assert [first for first, _ in groups] == list(range(1, len(expected) + 1, 30_000))
        stdin.close()


def test_a_translation_does_not_depend_on_how_its_line_arrives(
    trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    text = b"one two\nthree\n\nfour five six\n"
    (tmp_path / "in").write_bytes(text)
    options = ("translate", trained, "--n-best", "2", "--decoding.sampling.temperature", "1")

    def texts(*arguments: object) -> list[tuple[str, str]]:
        return [(number, text) for number, _, text in (line.split("\t") for line in output_of(*options, *arguments))]

    expected = texts("--input", tmp_path / "in")
    assert len(expected) == 6
    for how in ((), ("--line-by-line",)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert texts(*how) == expected
    with pytest.raises(InputError, match="--line-by-line: applies only to standard input"):
        _dispatch([*options, "--line-by-line", "--input", str(tmp_path / "in")])

"""The report on a corpus: each known fault is found where it is, and nothing else."""

import json
from collections import Counter

import numpy as np
import pytest

from tfmr.cli import report_picture
from tfmr.config import PairsConfig, RunningTextConfig
from tfmr.data import report
from tfmr.data.corpora import lines as corpus_lines
from tfmr.data.line_checks import LINE_CHECKS, main_script, numbers_differ, scripts_of
from tfmr.data.prepare import prepare_pairs
from tfmr.data.report import Findings, Hashes, quantiles
from tfmr.data.running_text import prepare_running_text

NOUNS = [("dog", "Hund"), ("cat", "Kater"), ("horse", "Hengst"), ("man", "Mann"), ("cook", "Koch")]
GOOD = [
    (f"the old {a} with the {b} sees {n} of the small birds", f"der alte {c} mit dem {d} sieht {n} der kleinen Vögel")
    for n, ((a, c), (b, d)) in enumerate((one, other) for one in NOUNS for other in NOUNS for _ in range(8))
]
LONG = " and the old man with the dog".removeprefix(" ") + " and the old man with the dog" * 12
FAULTS = {
    "a side is empty, so the pair is left out": [("the dog sleeps", " \u200b"), ("", "")],
    "longer than data.max_length = 60 tokens, so the pair is left out": [
        (LONG, " und der alte Mann mit dem Hund" * 13)
    ],
    "lengths are out of proportion": [("the old man sees the small birds and the other birds", "der")],
    "source and target are swapped (by language)": [GOOD[7][::-1]],
    "only the source looks like the other language": [("der alte Koch sieht dem alten Hund", "der alte Mann mit Hund")],
    "only the target looks like the other language": [("the small birds with 3 men", "the small birds with 3 men.")],
    "the target is a copy of the source": [("Anna 1995", "Anna 1995")],
    "numbers in digits differ": [("the dog sees 1,200 cats", "der Hund sieht 12 Kater"), ("at 3 of 4", "von 4 um 5")],
    "source has control or invisible characters": [("the \u00addog", "der Hund"), ("the\x85 cat", "der Kater")],
    "target has control or invisible characters": [("the tiny birds", "die\u2028 Vögel")],
    "source has U+FFFD, where bytes could not be decoded": [("the h\ufffdrse", "der Hengst")],
    "target has mojibake": [
        ("the birds, though", "die V\u00c3\u00b6gel"),
        ("the old dog with the cat", "der \u00e2\u20ac\u0153Hund"),
    ],
    "target has HTML markup": [("the bold dog", "der <b>Hund</b>"), ("the dog & cat", "Hund &amp; Kater")],
    "source has a URL": [("see https://dog", "siehe der Hund")],
    "target has letters that are not Latin, unlike most lines": [("the dog of Minsk", "der Hund \u0430us Minsk")],
    "identical to an earlier pair": [GOOD[3], GOOD[3], GOOD[4]],
    "an earlier source with a different target": [(GOOD[5][0], "der alte Mann sieht 5 der kleinen Vögel")],
    "identical to a pair in validation": [("the validation dog", "der Prüfhund")],
    "a source from validation with a different target": [("the second validation dog", "der andere Prüfhund")],
    "identical to a pair in test": [("the test dog", "der Testhund")],
}
NOT_FAULTS = [("1 000 dogs and 2,5 cats, 3.14", "3.14 Hunde 1.000 und 2,5"), ("five dogs of 20", "5 Hunde, zwanzig")]
"""Numbers that are written in other ways, and in words on one side (one finding of its own)."""
HELD_OUT = {
    "validation": [FAULTS["identical to a pair in validation"][0], ("the second validation dog", "der Prüfhund 2")],
    "test": FAULTS["identical to a pair in test"],
}
TRAIN = [*GOOD, NOT_FAULTS[0], *(pair for pairs in FAULTS.values() for pair in pairs)]


def write(folder, splits):
    for split, pairs in splits.items():
        for side, language in enumerate(("en", "de")):
            (folder / f"{split}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs), newline="\n")


def report_on(tmp_path, **splits):
    write(tmp_path, splits)
    options = dict(corpus="text", dir=str(tmp_path), cache=str(tmp_path / "cache"), vocab_size=400, max_length=60)
    config = PairsConfig(**options)
    return prepare_pairs(config).report(config)


def counts(made):
    return {finding.what: finding.count for finding in made.findings if finding.count}


def test_known_faults_are_found_where_they_are(tmp_path):
    made = report_on(tmp_path, train=TRAIN, **HELD_OUT)
    assert made.total == len(TRAIN)
    assert counts(made) == {what: len(pairs) for what, pairs in FAULTS.items()}
    for finding in made.findings:
        expected = FAULTS.get(finding.what, [])
        assert [example["text"] for example in finding.examples] == [(a[:300], b[:300]) for a, b in expected]
        numbers = [number for number, pair in enumerate(TRAIN, 1) if pair in expected]
        found = [example["place"] for example in finding.examples]
        assert {*found} <= {f"line {number} of {tmp_path}/train.en" for number in numbers}


def test_it_is_text_and_json_and_a_picture(tmp_path):
    made = report_on(tmp_path, train=TRAIN, **HELD_OUT)
    text = made.to_text()
    assert f"{len(TRAIN)} pairs" in text.splitlines()[0]
    (separated,) = FAULTS["target has control or invisible characters"]
    assert f"line {TRAIN.index(separated) + 1} of" in text
    assert "die\\u2028 Vögel" in text
    assert "\u2028" not in text
    assert "target has a URL" in text[text.index("Not found:") :]
    values = json.loads(json.dumps(made.to_json()))
    assert {finding["what"]: finding["count"] for finding in values["findings"] if finding["count"]} == counts(made)
    assert values["lengths"]["source, characters"]["max"] == len(LONG)
    figure = report_picture.plot_report(made)
    figure.savefig(tmp_path / "report.png")
    drawn = [label.get_text() for axis in figure.axes for label in axis.get_yticklabels()]
    assert [name for name in drawn if name in FAULTS] == [f.what for f in made.findings if f.count]
    left = figure.axes[0]
    sides = [patch.get_data().values for patch in left.patches]
    assert sum(sides[0]) > len(GOOD)


def test_a_corpus_without_faults(tmp_path):
    made = report_on(tmp_path, train=GOOD, validation=[GOOD[0][::-1]], test=[("a", "b")])
    assert counts(made) == {}
    report_picture.plot_report(made)


def test_scripts_tell_swapped_sides(tmp_path):
    pairs = [(f"the dog {n}", f"собака {n}") for n in range(50)]
    made = report_on(
        tmp_path, train=[*pairs, ("кошка 7", "the cat 7"), ("a c", "кот cat")], validation=pairs[:1], test=pairs[1:2]
    )
    found = counts(made)
    assert found["source and target are swapped (by script)"] == 1
    assert found["source has letters that are not Latin, unlike most lines"] == 1
    assert found["target has letters that are not Cyrillic, unlike most lines"] == 2
    assert found["identical to a pair in validation"] == found["identical to a pair in test"] == 1


@pytest.mark.parametrize(
    ("line", "scripts"),
    [
        ("Größe µ 12 ª", {"Latin"}),
        ("12 …", set()),
        ("東京のカメラー", {"Chinese or Japanese"}),
        ("Москва und Αθήνα", {"Cyrillic", "Latin", "Greek"}),
    ],
)
def test_scripts_of_letters(line, scripts):
    assert scripts_of(line) == scripts


def test_the_main_script():
    assert main_script(["abc", "да", "где", "12"]) == "Cyrillic"
    assert main_script(["12", ""]) == ""


@pytest.mark.parametrize(
    ("source", "target", "differ"),
    [
        ("1,000.50", "1.000,50", False),
        ("12 of 15", "15 und 12", False),
        ("05", "5", False),
        ("2019", "2,019", False),
        ("two", "2", False),
        ("12", "21", True),
        ("1 1", "1", True),
        ("9" * 10_000, "9" * 9_999, True),
        ("٣", "3", False),
    ],
)
def test_numbers(source, target, differ):
    assert numbers_differ(source, target) == differ


def test_good_lines_pass():
    for line in ["NÃO, Ça va — «Âge» 5 < 6 > 4 & so", "Ἀθῆναι “x” …\tñandú", "x <3 y", "AT&T; wwwhat"]:
        assert [what for what, check in LINE_CHECKS.items() if check(line)] == []


def test_quantiles_by_hand():
    values = [1] * 50 + [2] * 45 + [3] * 4 + [900]
    assert quantiles(Counter(values)) == {"median": 1, "p95": 2, "p99": 3, "max": 900}
    assert quantiles(Counter({7: 1})) == dict.fromkeys(("median", "p95", "p99", "max"), 7)


def test_memory_for_duplicates_is_bounded(monkeypatch):
    monkeypatch.setattr(report, "MAX_COMPARED", 1000)
    hashes, random = Hashes(), np.random.default_rng(0)
    values = random.integers(0, 1 << 62, 4000, np.uint64) * 4
    for number, chunk in enumerate([*values.reshape(8, -1), *values.reshape(8, -1)[:4]]):
        hashes.add(chunk.tolist(), chunk.tolist(), [number] * len(chunk))
        assert hashes.all().shape[1] <= 1000
    assert hashes.share == 1 / 8
    kept = hashes.all()[0]
    assert sorted(kept) == sorted(value for value in [*values, *values[:2000]] if value < 1 << 61)
    found = Findings()
    copies = report.occurred_before(kept)
    found.add("copies", np.flatnonzero(copies).tolist(), hashes.share)
    (finding,) = found.with_examples(((n, ("text",)) for n in range(10_000)), str)
    assert finding.estimated
    assert finding.count == pytest.approx(2000, rel=0.2)


def test_running_text(tmp_path, monkeypatch):
    good = [f"Line {number} of a text that nobody has written before." for number in range(200)]
    faults = {
        "control or invisible characters": ["A line with\x07 a bell in it."],
        "U+FFFD, where bytes could not be decoded": ["A ring \ufffd"],
        "mojibake": ["A r\u00c3\u00bcng"],
        "HTML markup": ["<p>A ring</p>"],
        "a URL": ["www.ring.org"],
        "letters that are not Latin, unlike most lines": ["A ring, кольцо"],
        "100,000 characters or more": ["x " * 60_000],
        "identical to an earlier line": [good[5], good[5]],
        "identical to a line in validation_files": ["This line is also in the text for validation."],
    }
    bad = [line for lines in faults.values() for line in lines]
    first, second = ["Short", *good, "", "Short"], ["Short", *bad, "the end"]
    for name, lines in (("1", first), ("2", second), ("3", faults["identical to a line in validation_files"])):
        (tmp_path / name).write_text("\n".join(lines))
    monkeypatch.setattr(corpus_lines, "_CHUNK", 70_000)  # parts of a file that end in the long line
    files = [str(tmp_path / name) for name in "123"]
    options = dict(tokenizer="characters", cache=str(tmp_path / "cache"))
    config = RunningTextConfig(files=tuple(files[:2]), validation_files=(files[2],), **options)
    made = prepare_running_text(config).report(config)
    assert made.total == len(first) + len(second)
    assert counts(made) == {what: len(lines) for what, lines in faults.items()}
    for finding in made.findings:
        lines = faults[finding.what]
        assert [example["text"] for example in finding.examples] == [(line[:300],) for line in lines]
        first_line = second.index(lines[0]) + 1
        assert [example["place"] for example in finding.examples] == [
            f"line {first_line + n} of {files[1]}" for n in range(len(lines))
        ]
    assert made.lengths["tokens per training document"]["max"] > 120_000
    assert made.lengths["words per line"]["median"] == 10
    assert made.lengths["characters per line"]["max"] == 100_000  # the rest is not counted
    report_picture.plot_report(made)

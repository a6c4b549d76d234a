"""Tokenizers: what goes in comes out, for any line; files that are not ours are refused."""

import json
import string
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, SPECIAL_TOKENS, UNK_ID, Tokenizer
from tfmr.errors import InputError

LINES = [
    "A man is riding a horse.",
    "the man sees the dog, the cat and the house",
    "Ein Mann reitet auf einem Pferd.",
    "der Mann sieht den Hund, die Katze und das Haus",
    "zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich",
] * 4
KINDS = ("bpe", "wordpiece", "characters")
ODD_LINES = [
    "",
    " ",
    "  two  spaces ",
    "a\u2028b\u2029c\x85d\x0b",
    "tab\tcarriage\rfeed\n",
    "\x00\x1f\x7f",
    "🤖👩‍👩‍👧‍👦 e\u0301",
    "\ufeffmark",
    "<s> </s> <pad> <unk>",
    "<s>",
    "##x ▁ Ġ ▁▁",
    "x" * 500,
]


KNOWN = st.characters(exclude_categories=("Cs", "Cn"))
"""The characters that Python knows. The library may know more of them."""


def normal(line: str) -> str:
    """What a tokenizer reads of a line."""
    return unicodedata.normalize("NFC", line.lstrip("\ufeff"))


@pytest.fixture(scope="module")
def tokenizers():
    """One of each kind, trained on LINES."""
    return {kind: Tokenizer.train(kind, LINES, 400) for kind in KINDS}


@pytest.mark.parametrize("line", ODD_LINES)
def test_bpe_keeps_odd_lines(tokenizers, line):
    tokenizer = tokenizers["bpe"]
    ids = tokenizer.encode(line)
    assert tokenizer.decode(ids) == normal(line)
    assert tokenizer.unkept(line) == []
    assert not set(ids) & {PAD_ID, UNK_ID, BOS_ID, EOS_ID}


@settings(max_examples=300, deadline=None)
@given(line=st.text(KNOWN))
@example("e\u0301")
@example("\ufeff\ufeffa\ufeff")
@example("\u1100\u1161\u11a8")
def test_bpe_keeps_any_line(tokenizers, line):
    tokenizer = tokenizers["bpe"]
    assert tokenizer.decode(tokenizer.encode(line)) == normal(line) == tokenizer.normalize(line)
    assert tokenizer.encode(line) == tokenizer.encode(unicodedata.normalize("NFD", line.lstrip("\ufeff")))


@settings(max_examples=100, deadline=None)
@given(line=st.text(alphabet=sorted(set("".join(LINES)))))
@example(line="a" * 250 + " " + "b" * 101)
@pytest.mark.parametrize("kind", KINDS)
def test_lines_of_known_characters_come_back(tokenizers, kind, line):
    tokenizer = tokenizers[kind]
    assert tokenizer.decode(tokenizer.encode(line)) == line
    assert tokenizer.unkept(line) == []


@settings(max_examples=100, deadline=None)
@given(line=st.text(KNOWN))
@example(line="▁")
@example(line="a▁b")
@example(line="<unk>")
@pytest.mark.parametrize("kind", ["wordpiece", "characters"])
def test_what_is_lost_is_told(tokenizers, kind, line):
    tokenizer = tokenizers[kind]
    unkept = tokenizer.unkept(line)
    assert (unkept == []) == (normal(tokenizer.decode(tokenizer.encode(line))) == normal(line))
    assert all(part and part in line for part in unkept)


def test_unkept_names_the_unknown_parts(tokenizers):
    assert tokenizers["characters"].unkept("the 中 dog ☃") == ["中", "☃"]
    assert tokenizers["wordpiece"].unkept("the d中g ☃") == ["d中g", "☃"]


@settings(max_examples=50, deadline=None)
@given(lines=st.lists(st.text(), max_size=5))
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_lines(tokenizers, kind, lines):
    tokenizer = tokenizers[kind]
    ids = tokenizer.encode_batch(lines)
    assert ids == [tokenizer.encode(line) for line in lines]
    assert tokenizer.decode_batch(ids) == [tokenizer.decode(row) for row in ids]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens(tokenizers, kind):
    content = json.loads(tokenizers[kind].to_json())
    assert [token["content"] for token in content["added_tokens"]] == list(SPECIAL_TOKENS)
    ids = tokenizers[kind].encode("the dog")
    assert tokenizers[kind].decode([BOS_ID, *ids, EOS_ID, PAD_ID, PAD_ID]) == "the dog"
    assert tokenizers[kind].decode([]) == ""
    assert not set(tokenizers[kind].encode("<s></s><pad>")) & {PAD_ID, BOS_ID, EOS_ID}


@pytest.mark.parametrize("kind", KINDS)
def test_training_twice_gives_the_same(tokenizers, kind):
    assert Tokenizer.train(kind, iter(LINES), 400).to_json() == tokenizers[kind].to_json()


@pytest.mark.parametrize(("kind", "smallest"), [("bpe", 260), ("wordpiece", 10), ("characters", 5)])
@pytest.mark.parametrize("more", [0, 7, 60])
def test_vocabulary_is_no_larger_than_asked(kind, smallest, more):
    tokenizer = Tokenizer.train(kind, LINES, smallest + more)
    assert tokenizer.vocab_size <= smallest + more
    assert max(max(tokenizer.encode(line)) for line in LINES) < tokenizer.vocab_size


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_read_in_the_normal_form_that_the_tokenizer_was_trained_in(kind, tmp_path):
    composed, decomposed, wide = "une été à Zürich", unicodedata.normalize("NFD", "une été à Zürich"), "\uff3au\u0308"
    trained = {
        form: Tokenizer.train(kind, [decomposed, composed, "Z"] * 3, 400, normalization=form)
        for form in ("nfc", "nfkc", "none")
    }
    trained["none"].save(tmp_path / "none.json")  # a file without a normal form stays as it is
    trained["none"] = Tokenizer.from_file(tmp_path / "none.json")
    assert (
        trained["nfc"].encode(decomposed)
        == trained["nfc"].encode(composed)
        == trained["nfc"].encode("\ufeff" + composed)
    )
    assert trained["nfc"].decode(trained["nfc"].encode(decomposed)) == composed
    assert "\u0301" not in json.loads(trained["nfc"].to_json())["model"]["vocab"]
    assert trained["nfkc"].encode("Zü") == trained["nfkc"].encode(wide) != trained["nfc"].encode(wide)
    assert trained["none"].encode(decomposed) != trained["none"].encode(composed)
    assert trained["none"].decode(trained["none"].encode(decomposed)) == decomposed
    assert trained["nfc"].normalize(f" {decomposed} ") == f" {composed} "
    assert trained["none"].normalize("\ufeff" + decomposed) == "\ufeff" + decomposed


def test_tokens_are_the_same_in_whatever_normal_form(tokenizers):
    plain = {kind: Tokenizer.train(kind, LINES, 400, normalization="none") for kind in KINDS}
    for kind in KINDS:
        assert plain[kind].to_json() != tokenizers[kind].to_json()
        assert plain[kind].has_tokens_of(tokenizers[kind])
        assert not plain[kind].has_tokens_of(Tokenizer.train(kind, ["other words"], 400))


def test_a_running_text_is_read_in_a_normal_form_but_a_mark_inside_it_stays():
    tokenizer = Tokenizer.train("bpe", ["a cafe\u0301"], 300, running_text=True)
    assert tokenizer.decode(tokenizer.encode("\ufeffe\u0301")) == "\ufeffé"


def test_frequent_words_become_one_token_wherever_they_stand(tokenizers):
    for kind in ("bpe", "wordpiece"):
        first, last = tokenizers[kind].encode("the man"), tokenizers[kind].encode("man the")
        assert len(first) == len(last) == 2
        assert first == last[::-1]


def test_characters_are_counted():
    tokenizer = Tokenizer.train("characters", ["aaabbc", "dé"], 7)
    assert tokenizer.encode("abc") == [4, 5, 6]  # c, d, é are equally frequent: c has the lowest code point
    assert tokenizer.encode("dé") == [UNK_ID, UNK_ID]


def test_wordpiece_cuts_the_longest_known_pieces():
    tokenizer = Tokenizer.train("wordpiece", ["unten unter unten", "oben ober oben"] * 5, 60)
    vocab = json.loads(tokenizer.to_json())["model"]["vocab"]
    tokens = [next(token for token, number in vocab.items() if number == each) for each in tokenizer.encode("unten")]
    assert tokens[0].startswith("▁")
    rest = "▁unten"
    for token in tokens:  # greedily, by the definition
        prefix = "" if rest == "▁unten" else "##"
        longest = max((n for n in range(1, len(rest) + 1) if prefix + rest[:n] in vocab), default=0)
        assert token == prefix + rest[:longest]
        rest = rest[longest:]
    assert rest == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_restores_everything(tokenizers, kind, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizers[kind].save(path)
    restored = Tokenizer.from_file(path)
    assert (restored.kind, restored.vocab_size) == (kind, tokenizers[kind].vocab_size)
    assert restored.to_json() == tokenizers[kind].to_json()
    for line in [*LINES, *ODD_LINES]:
        assert restored.encode(line) == tokenizers[kind].encode(line)
        assert restored.unkept(line) == tokenizers[kind].unkept(line)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.json"]


def foreign(model="WordPiece", specials=SPECIAL_TOKENS, **more):
    """A tokenizer.json that someone else might have made."""
    import tokenizers as library

    words = [*specials, *string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    if model == "Unigram":
        backend = library.Tokenizer(library.models.Unigram([(word, -1.0) for word in words], 1, False))
    else:
        vocab = {word: number for number, word in enumerate(words)}
        backend = library.Tokenizer(library.models.WordPiece(vocab, unk_token="<unk>"))
    backend.normalizer = library.normalizers.Lowercase()
    backend.pre_tokenizer = library.pre_tokenizers.Whitespace()
    backend.decoder = library.decoders.WordPiece("##", cleanup=False)
    backend.add_tokens(list(SPECIAL_TOKENS))  # not as special ones
    backend.enable_truncation(3)
    backend.enable_padding(length=10)
    return json.dumps(json.loads(backend.to_str()) | more)


def test_a_foreign_file_is_used_without_its_truncation_and_padding():
    tokenizer = Tokenizer.from_json(foreign())
    assert tokenizer.kind == "wordpiece"
    assert tokenizer.decode(tokenizer.encode("abc def gh")) == "abc def gh"
    assert len(tokenizer.encode_batch(["abc def gh", "a"])[0]) == 8
    assert not set(tokenizer.encode("<s> a </s>")) & {BOS_ID, EOS_ID}
    assert tokenizer.unkept("ab Cd ef") == ["C"]  # lowercased away
    assert tokenizer.unkept("ab  cd") == [" "]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (foreign(specials=("<unk>", "<pad>", "<s>", "</s>")), "must be 0 1 2 3"),
        (foreign(specials=("[PAD]", "[UNK]", "[CLS]", "[SEP]")), "must be 0 1 2 3"),
        (foreign(model="Unigram"), "contains a Unigram model; it must be one of"),
        (foreign(marks={"bos": 4, "eos": 5, "pad": 999}), "no token has the id given for pad"),
        (foreign(marks={"bos": None, "eos": 5}), "no token has the id given for bos"),
        (foreign(marks={"begin": 4}), "must have the fields pad, unk, bos, eos, begins"),
        (foreign(marks=3), "must have the fields pad, unk, bos, eos, begins"),
        ('{"model": {"type": "BPE"}}', "cannot read"),
        ('{"vocab": 3}', "not a tokenizer.json"),
        ("[1]", "not a tokenizer.json"),
        ("no json", "not a tokenizer.json"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    path = tmp_path / "given.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message) as error:
        Tokenizer.from_file(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_and_binary_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        Tokenizer.from_file(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        Tokenizer.from_file(tmp_path / "binary.json")


def test_unknown_kinds_are_refused():
    with pytest.raises(InputError, match="wordpiece"):
        Tokenizer.train("sentencepiece", LINES, 300)


@pytest.mark.parametrize("kind", KINDS)
def test_token_texts_are_those_of_the_tokens_one_by_one(kind, tokenizers):
    line = "the man and the dog"
    ids = [BOS_ID, *tokenizers[kind].encode(line), EOS_ID, PAD_ID]
    pieces = tokenizers[kind].token_texts(ids)
    assert len(pieces) == len(ids)
    assert (pieces[0], *pieces[-2:]) == ("<s>", "</s>", "<pad>")
    assert "".join(pieces[1:-2]).lstrip(" ") == line


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "characters"])
def test_new_tokens_are_whole_tokens_and_nothing_else_changes(kind):
    lines = ["the old woman sees the small dog", "die alte Frau"] * 3
    tokenizer = Tokenizer.train(kind, lines, 400)
    larger = tokenizer.with_tokens(["<2de>", "<2fr>"])
    first = tokenizer.vocab_size
    assert larger.vocab_size == first + 2
    assert larger.encode(lines[0]) == tokenizer.encode(lines[0])
    ids = larger.encode("<2fr> the old dog <2de> woman")
    assert (ids[0], ids.count(first)) == (first + 1, 1)
    assert larger.decode(ids) == "<2fr> the old dog <2de> woman"
    if kind != "characters":  # where a space is a token of its own
        assert larger.encode("<2fr> the old dog")[1:] == tokenizer.encode("the old dog")
    again = Tokenizer.from_json(larger.to_json())
    assert again.encode("<2fr> the old dog <2de> woman") == ids
    assert again.fingerprint == larger.fingerprint != tokenizer.fingerprint
    assert larger.pieces()[first] == b"<2de>"
    with pytest.raises(InputError, match="'<2de>' is already a token of the tokenizer"):
        larger.with_tokens(["<2de>"])


def test_a_token_that_a_byte_level_bpe_cannot_decode_is_refused():
    tokenizer = Tokenizer.train("bpe", ["die alte Frau"], 300)
    assert tokenizer.with_tokens(["한국"]).decode([tokenizer.vocab_size]) == "한국"
    with pytest.raises(InputError, match="'Größe' cannot be a token of a bpe tokenizer"):
        tokenizer.with_tokens(["Größe"])

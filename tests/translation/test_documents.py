"""Documents: everything but their text stays, all of their text is translated, and other parsers agree."""

import itertools
import logging
import random
import re
from collections.abc import Callable

import lxml.html
import pytest
import srt
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from small_translators import make_translator, tokenizer_of

from tfmr.config import DecodingConfig
from tfmr.errors import InputError, MissingPackage
from tfmr.translation import Translator, translate_document
from tfmr.translation.documents import document_type
from tfmr.translation.documents.placement import diagonal, divide


class Saying(Translator):
    """A translator that says what a function says, and attends to words in order."""

    def __init__(self, say: Callable[[str], str], longest: int = 1000):
        self.members = (None, None)
        self.tokenizer = tokenizer_of("ab ")
        self.say, self.longest, self.lines, self.seen = say, longest, [], []

    def with_line_numbers(self, numbers):
        self.lines += numbers
        return self

    def excess_tokens(self, lines):
        return [len(line) - self.longest for line in lines]

    def translate(self, lines):
        self.seen += lines
        return [self.say(line) for line in lines]


def marked_words(text: str) -> str:
    """Every word with an x at the end; all else as it is."""
    return re.sub(r"(?<![\w{$%])[A-Za-z]+(?![\w}@/:.])(?![^{]*\})|[A-Za-z]+(?=\.(?:\s|$))", r"\g<0>x", text)


def backwards(text: str) -> str:
    """The words in the opposite order, marked."""
    return " ".join(f"{word}x" for word in reversed(re.findall(r"\w+", text)))


def nothing_kept(text: str) -> str:
    """Letters only, as a model that knows no placeholders and no numbers writes."""
    return " ".join(f"{word}x" for word in re.findall(r"[A-Za-z]+", text))


SENTENCES = ["The dog sleeps.", "An old woman sees it!", "Do we read?", "Milk", "He is here, and she is there."]
RANDOM = random.Random(3)


def some_text() -> str:
    return " ".join(RANDOM.choices(SENTENCES, k=RANDOM.randint(1, 3)))


def markdown_block(number: int) -> str:
    inline = [
        "**The dog** sleeps.",
        'See [the *house*](http://example.org/a_b "title") of Maria.',
        "A line that goes on\nin the next line, with `code here` in it.",
        "Say {name}, ${x}, {{y}}, %s and 12.5 to me@example.org soon.",
        "An image ![alt text](p.png) and <b>bold *text*</b> here.",
        "Escaped \\*stars\\* &amp; snake_case words [ref].",
        "~~Old~~ words<!-- comment --> stay.[^1]",
    ]
    text = f"{inline[number % len(inline)]} {some_text()}"
    forms = [
        lambda: text,
        lambda: f"## Heading {some_text()}",
        lambda: "> " + text.replace("\n", "\n> "),
        lambda: f"- {some_text()}\n- **Two**\n  1. Three\n  2. [y]",
        lambda: f"| A cell | Right |\n|:---|---:|\n| {some_text()} | *It* |",
        lambda: "```\nThe code stays.\n```",
    ]
    return forms[number // len(inline) % len(forms)]()


def markdown_page(blocks: int) -> str:
    body = "\n\n".join(map(markdown_block, range(blocks)))
    links = "[ref]: http://example.org 'Title'\n[y]: /y\n\n[^1]: A note."
    return f"---\ntitle: The page\n---\n\n# The title #\n\n{body}\n\n{links}\n"


def markdown_skeleton(text: str) -> list:
    """What markdown-it reads, without the letters of the text."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    found = []
    for token in tokens:
        kept = token.content if token.type in ("fence", "code_block", "html_block") else ""
        found.append((token.type, token.tag, kept))
        for child in token.children or []:
            if child.type != "text":
                attributes = sorted(child.attrs.items())
                found.append((child.type, attributes, child.content))
    return found


def html_page(blocks: int) -> str:
    forms = [
        "<p class='a'>The <b>dog</b> sleeps &amp; <a href=\"/x?a=1&b=2\">eats <i>meat</i></a>.</p>",
        "<h2>{}</h2>",
        "<ul>\n  <li>{}\n  <li>Second <code>x = 1</code> item</ul>",
        "<div>{}<br>Next line\n   goes on <img src=a.png alt='An image'> here</div>",
        "<p>Mail me@example.org, see http://example.org/a?b=c or {{name}} at 12:30 and %d.</p>",
        "<table><tr><td>{}</td><td translate=no>Stays here</td></tr></table>",
        "<pre>The code stays.</pre>",
        "<p>Keep <span class=notranslate>This Name</span> of Maria&nbsp;&lt;3.</p>",
    ]
    body = "\n".join(forms[i % len(forms)].replace("{}", some_text()) for i in range(blocks))
    head = "<!DOCTYPE html>\n<html lang=en><head><title>The page</title><style>p { color: red }</style>"
    head += "<script>if (a < b) say('<p>The dog</p>')</script></head>"
    return f"{head}\n<body>\n{body}\n<!-- A comment --></body></html>\n"


def html_skeleton(text: str) -> list:
    return [(element.tag, sorted(element.attrib.items())) for element in lxml.html.fromstring(text).iter()]


def subtitles(cues: int) -> str:
    texts = ["{0}", "<i>{0}</i>", "{0}\nand more of\nit", "- {0}\n- Yes, {{name}}.", "{{\\an8}}{0} 42"]
    return "\r\n\r\n".join(
        f"{i + 1}\r\n00:{i // 60:02}:{i % 60:02},000 --> 00:{i // 60:02}:{i % 60:02},900\r\n"
        + texts[i % len(texts)].format(some_text()).replace("\n", "\r\n")
        for i in range(cues)
    )


def lines_skeleton(text: str) -> list:
    return [
        line if re.search(r"-->|^\d+$", line) else re.findall(r"<[^>]*>|\{[^}]*\}|^- ", line)
        for line in text.split("\r\n")
    ]


@pytest.mark.parametrize("say", [marked_words, backwards, nothing_kept])
def test_markdown_keeps_its_structure_and_all_text_is_translated(say):
    text = markdown_page(120)
    translator = Saying(say)
    found = translate_document(translator, "page.md", text)
    assert len(translator.lines) > 200
    assert markdown_skeleton(found) == markdown_skeleton(text)
    for kept in ("{name}", "${x}", "{{y}}", "%s", "12.5", "me@example.org", "`code here`", "![alt text](p.png)"):
        assert found.count(kept) == text.count(kept) > 0, kept
    inline = [token for token in MarkdownIt().enable("table").parse(found.split("---\n", 2)[2]) if token.children]
    words = [
        word
        for token in inline
        for child in token.children
        if child.type == "text"
        for word in re.findall(r"[A-Za-z_]+", re.sub(r"[{$%][^ ]*|\S+@\S+|snake_case\w*|\[\^1\]", "", child.content))
    ]
    assert len(words) > 1000
    assert [word for word in words if not word.endswith("x")] == []


@pytest.mark.parametrize("say", [marked_words, backwards, nothing_kept])
def test_html_keeps_its_structure_and_all_text_is_translated(say):
    text = html_page(160)
    translator = Saying(say)
    found = translate_document(translator, "html", text)
    assert len(translator.lines) > 200
    assert html_skeleton(found) == html_skeleton(text)
    assert len(found.splitlines()) == len(text.splitlines())
    for kept in (
        "{name}",
        "%d",
        "12:30",
        "me@example.org",
        "http://example.org/a?b=c",
        "<code>x = 1</code>",
        "This Name",
    ):
        assert found.count(kept) == text.count(kept) > 0, kept
    assert "say('<p>The dog</p>')" in found
    assert found.count("The code stays.") == text.count("The code stays.") > 0
    tree = lxml.html.fromstring(found)
    for element in tree.xpath("//script|//style|//pre|//code|//comment()|//*[@translate]|//*[@class='notranslate']"):
        element.text = ""
    plain = re.sub(r"\S+@\S+|http\S+|\{name\}|%d", "", tree.text_content())
    assert len(plain.split()) > 1000
    assert [word for word in re.findall(r"[A-Za-z]+", plain) if not word.endswith("x")] == []


@pytest.mark.parametrize("say", [marked_words, backwards, nothing_kept])
def test_subtitles_keep_their_times_lines_and_tags(say):
    text = subtitles(200)
    translator = Saying(say)
    found = translate_document(translator, "film.SRT", text)
    assert len(translator.lines) > 200
    if say is marked_words:
        assert lines_skeleton(found) == lines_skeleton(text)
    assert [x for x in lines_skeleton(found) if isinstance(x, str)] == [
        x for x in lines_skeleton(text) if isinstance(x, str)
    ]
    assert len(found.split("\r\n")) == len(text.split("\r\n"))
    for kept in ("<i>", "</i>", "{\\an8}", "{name}", " 42"):
        assert found.count(kept) == text.count(kept) > 0, kept
    words = re.findall(r"[A-Za-z]+", re.sub(r"<[^>]*>|\{[^}]*\}", "", found))
    assert [word for word in words if not word.endswith("x")] == []


def test_text_keeps_its_lines():
    text = "\ufeffThe dog sleeps. It eats.\r\n\r\n  - An item\n\t2) Another  \n12\nlast {0} line"
    found = translate_document(Saying(marked_words), "a.txt", text)
    assert found == ("\ufeffThex dogx sleepsx. Itx eatsx.\r\n\r\n  - Anx itemx\n\t2) Anotherx  \n12\nlastx {0} linex")


@pytest.mark.parametrize(
    ("kind", "text"),
    [("markdown", markdown_page(42)), ("html", html_page(16)), ("subrip", subtitles(20)), ("text", "a b.\r\nc")],
)
def test_a_document_whose_translation_is_the_same_stays_the_same(kind, text):
    found = translate_document(Saying(lambda line: line), kind, text)
    if kind == "html":  # a space that does not break is one like others
        text = text.replace("Maria&nbsp;", "Maria ")
    if kind == "markdown":  # a link whose text is its name gets a name
        text = re.sub(r"(?<!\])\[(ref|y)\](?!:)", r"[\1][\1]", text).replace("&amp;", "&")
    assert found == text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([*"ab *_`[]()<>&|~#-+>1.\\\n!{}", "\n\n", "word", "**b**", "[l](u)", "> "]), max_size=40)
)
@example(["a\n_**b**"])
@example(["a\n!\nb"])
@example(["> <div>\n> a\n> </div>"])
def test_any_markdown_keeps_its_structure(parts):
    text = "".join(parts)
    for say in (marked_words, lambda line: "1. *a* # <b> [x](y) | _b_ \\ `c` - d"):
        found = translate_document(Saying(say), "markdown", text)
        types = [token.type for token in MarkdownIt("commonmark").parse(text)]
        assert [token.type for token in MarkdownIt("commonmark").parse(found)] == types


@pytest.mark.parametrize(
    ("say", "text", "expected"),
    [
        (marked_words, "a\n_**b**", "ax\n**\\_b**"),
        (marked_words, "> <div>\n> a > b\n> </div>\n", "> <div>\n> ax &gt; bx\n> </div>\n"),
        (nothing_kept, "a\n!\nb *c*\n\nd", "ax\n!\nbx *cx*\n\ndx"),
        (lambda line: line.replace(",", "!"), "a,[b](c)", "a\\![b](c)"),
        (lambda line: line.replace("%", "$"), "a 5%/6% *b*\n\n5% a", "a 5\\$/6\\$ *b*\n\n5$ a"),
    ],
    ids=["rule", "html in a quotation", "blank line", "image", "formula"],
)
def test_what_would_become_markup_where_it_stands_is_written_otherwise(say, text, expected, caplog):
    assert translate_document(Saying(say), "markdown", text) == expected
    assert not caplog.messages


def test_a_segment_whose_translation_would_be_other_markup_stays_and_is_reported(caplog):
    text = "# one\n\n- two\n- 一*二*\n- three\n\nfour\n"
    found = translate_document(Saying(lambda line: f"({line[-1]}"), "markdown", text)
    assert found == "# (e\n\n- (o\n- 一*二*\n- (e\n\n(r\n"  # a star between a letter and a bracket is no markup
    cues = "1\n00:00:01,000 --> 00:00:02,000\nNo\n\n2\n00:00:03,000 --> 00:00:04,000\nYes\n\n"
    found = translate_document(Saying(lambda line: line.replace("No", "<b>") + "x"), "subrip", cues)
    assert found == cues.replace("Yes", "Yesx")
    reason = "its translation would change the markup, and it stays as it is"
    assert caplog.messages == [f"line 4: {reason}: 一*二*", f"line 3: {reason}: No"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", " ", "<b>", "</b>", "<p>", "&", "&amp;", "<", ">", "<br>", "\n", "x y", "#"]),
        max_size=30,
    )
)
@example(["&#<b>"])
@example(["&#12a<p>"])
def test_any_html_keeps_its_tags(parts):
    text = "".join(parts)
    found = translate_document(Saying(lambda line: f"<i> & {line}"), "html", text)
    tags = r"</?(?:b|p|br)>"
    assert re.findall(tags, found) == re.findall(tags, text)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", "b c.", " ", "\n", "\r\n", "- ", "!", "7", "-->", "<i>", "{x}"]), min_size=1, max_size=9
    )
)
@example(["a\n!\nb"])
@example(["-->a"])
def test_any_subtitles_keep_their_cues_and_lines(parts):
    cues = "\n\n".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\n{''.join(parts)}" for n in (1, 2))

    def skeleton(text: str) -> list:
        return [(cue.start, cue.end, [bool(x.strip()) for x in cue.content.split("\n")]) for cue in srt.parse(text)]

    for say in (marked_words, backwards, nothing_kept):
        assert skeleton(translate_document(Saying(say), "subrip", cues)) == skeleton(cues)


def test_placeholders_that_the_model_drops_go_where_they_were():
    translator = Saying(nothing_kept)
    found = translate_document(translator, "text", "Hello {name}, see %s.\n{x} is 7.\nNothing else.")
    assert found == "Hellox {name} seex %s\n{x} isx 7\nNothingx elsex"
    assert translator.seen == [
        "Hello {name}, see %s.", "{x} is 7.", "Nothing else.", "Hello, see.", "is.",
    ]  # fmt: skip


def test_what_cannot_be_translated_stays_and_is_reported_with_its_line(caplog):
    text = "# Title\n\nShort.\n\nOne two three four five six seven.\n\n> Line\n> **a b** *c* d `e`\n"
    translator = Saying(lambda line: "" if line == "Short." else "yes", longest=20)
    with caplog.at_level(logging.WARNING, "tfmr"):
        found = translate_document(translator, "markdown", text)
    assert found == text.replace("Title", "yes").replace("Line\n> **a b** *c* d", "yes\n> **yes** *yes* yes")
    said = "\n".join(caplog.messages)
    assert len(caplog.messages) == 2
    for pattern in (
        "line 5: .*14 tokens too long to be translated",
        "line 3: has no translation",
    ):
        assert re.search(pattern, said), said


@pytest.mark.parametrize("says", ["", ".", "yes", ", {x}"])
def test_a_translation_of_few_words_or_none_leaves_the_structure(says):
    text = "<p>The <b>dog</b> {x} and <i>{y} the</i> cat.</p>\n<p>A {x} dog</p>"
    found = translate_document(Saying(lambda line: says), "html", text)
    kept = r"<[^>]*>|\{y\}"
    assert re.findall(kept, found) == re.findall(kept, text)
    assert found.count("yes") == (7 if says == "yes" else 0)


def test_types_of_documents_and_their_errors(monkeypatch):
    names = ["a.TXT", "b/c.md", "d.markdown", "e.htm", "f.html", "g.srt", "subrip"]
    assert [*map(document_type, names)] == ["text", "markdown", "markdown", "html", "html", "subrip", "subrip"]
    with pytest.raises(
        InputError, match=r"'a.pdf': not a known type of document; the types are text, markdown, html, sub"
    ):
        document_type("a.pdf")
    with pytest.raises(InputError, match="line 1: not SubRip"):
        translate_document(Saying(str), "subrip", "Hello.\n\nThere.\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r'sentencex: not installed, .* pip install "tfmr\[documents\]"'):
        translate_document(Saying(str), "text", "a")


def test_the_best_division_is_the_best_of_all():
    draw = random.Random(0)
    for _ in range(200):
        targets, sources = draw.randint(1, 6), draw.randint(1, 6)
        weights = diagonal(targets, sources) * 0 + [[draw.random() for _ in range(sources)] for _ in range(targets)]
        bounds = sorted(draw.choices(range(sources + 1), k=draw.randint(1, 3)))
        edges = [0, *bounds, sources]

        is_word = [draw.random() < 0.8 for _ in range(sources)]

        def total(cuts, edges=edges, is_word=is_word, weights=weights, targets=targets):
            ends = [0, *cuts, targets]
            parts = list(zip(itertools.pairwise(ends), itertools.pairwise(edges), strict=True))
            if any((b > a and d == c) or (b == a and any(is_word[c:d])) for (a, b), (c, d) in parts):
                return None
            return sum(weights[a:b, c:d].sum() for (a, b), (c, d) in parts)

        every = itertools.combinations_with_replacement(range(targets + 1), len(bounds))
        possible = {cuts: value for cuts in every if (value := total(cuts)) is not None}
        found = divide(weights, bounds, is_word)
        assert (found is None) == (not possible)
        if found is not None:
            assert total(found) == pytest.approx(max(possible.values()))


def test_a_real_translator_places_markup_by_its_attention():
    config = DecodingConfig(beam_size=2, required=("ab", "cd", "e"))
    text = "<p>ab <b>cd</b> ea.</p>"
    found = translate_document(make_translator(config, "abcde <>/.", num_decoder_layers=1), "html", text)
    assert found != text
    assert re.findall(r"<[^>]*>", found) == re.findall(r"<[^>]*>", text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("html", "<p>No <code></code></p>"),
        ("html", "<p>one</p><![x]><p>two <![ y</p>"),
        ("markdown", "one\n\n<div><![x]></div>\n\ntwo <kbd></kbd>"),
        ("subrip", "1\n00:00:01,000 - > 00:00:02,000\nHi there\n\n2\n00:00:03,000 --> 00:00:04,000\nYou\n"),
        ("subrip", "1\n99999999:00:00,000 --> 0:0:0,0\nHi\n"),
    ],
)
def test_odd_markup_stays_as_it_is(kind, text):
    assert translate_document(Saying(lambda line: line), kind, text) == text


@pytest.mark.parametrize("text", ["1" * 10_000, "\n" * 10_000, "1\n9999999999999999:00:00,000 --> 0:0:0,0\nHi"])
def test_what_would_take_the_library_of_subtitles_for_ever_is_refused(text):
    with pytest.raises(InputError, match="not SubRip"):
        translate_document(Saying(lambda line: line), "subrip", text)

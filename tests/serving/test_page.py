"""The page in a real browser: what is clicked or typed happens, in light and dark, on a wide and a narrow screen."""

import functools
import io
import json
import shutil
import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest
import uvicorn
from PIL import Image
from reference import random_parameters
from small_translators import make_translator, tokenizer_of

from tfmr.analysis import sentence_attention
from tfmr.config import CausalLMConfig, Config, DecodingConfig, PairsConfig
from tfmr.data.tokenizer import Tokenizer
from tfmr.language_model import Generator
from tfmr.models import CausalLM
from tfmr.models.account import parameter_table
from tfmr.runs import RunDirectory
from tfmr.serving import ServedGenerator, ServedTranslator, Service, make_app
from tfmr.serving.server import listen
from tfmr.translation import translate_document

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[dev]'")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs a browser: apt-get install chromium chromium-driver", allow_module_level=True)

pytestmark = pytest.mark.slow

LETTERS = "abcdefghij "
DECODING = DecodingConfig(beam_size=4, extra_length=4, min_length=5)
EXAMPLES = ["abc de", "bad cafe hi"]
TABS = ("translate", "search", "text", "model")


@functools.cache
def translator():
    return make_translator(DECODING, letters=LETTERS)


@functools.cache
def generator() -> Generator:
    tokenizer = Tokenizer.train("characters", ["abcdefgh \n"], 40)
    shape = dict(num_layers=1, d_model=16, d_ff=24, num_heads=2, d_k=8, d_v=8, max_length=24)
    model = CausalLM(CausalLMConfig(vocab_size=tokenizer.vocab_size, **shape))
    return Generator(model, random_parameters(model, jnp.zeros((1, 4), jnp.int32)), tokenizer)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a server of two small models, one of them with a run directory."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "letters")
    run.write_config(Config(workdir="", model=translator().model.config, data=PairsConfig()))
    run.write_tokenizer(tokenizer_of(LETTERS))
    run.write_text_split("test", EXAMPLES, EXAMPLES)
    losses = [{"step": step, "cross_entropy": 9 / step, "learning_rate": 0.1} for step in range(1, 200)]
    lines = [*losses, {"step": 100, "validation/loss": 0.5}, {"step": 199, "validation/loss": 0.25}]
    run.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    letters = ServedTranslator("letters", translator(), ("en",), ("de",), run)
    service = Service([letters], [ServedGenerator("story", generator())])
    bound = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(make_app(service), log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{bound.getsockname()[1]}/"
    server.should_exit = True
    thread.join(10)


class Page:
    """The page in a browser."""

    def __init__(self, driver, address: str):
        self.driver, self.address = driver, address

    def open(self, tab: str = "translate", width: int = 1280, scheme: str = "light", reduce: bool = True) -> None:
        """Opens a tab afresh."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        features.append({"name": "prefers-reduced-motion", "value": "reduce" if reduce else "no-preference"})
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}#{tab}")
        self.wait("document.documentElement.dataset.ready")

    def run(self, script: str, *args):
        return self.driver.execute_script(f"return {script}", *args)

    def wait(self, condition: str, *args) -> None:
        """Waits until an expression is true."""
        until = time.monotonic() + 60
        while not self.run(condition, *args):
            assert time.monotonic() < until, f"never true: {condition}"
            time.sleep(0.03)

    def all(self, selector: str):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str, index: int = 0) -> None:
        element = self.all(selector)[index]
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def texts(self, selector: str) -> list[str]:
        return self.run("[...document.querySelectorAll(arguments[0])].map((each) => each.textContent)", selector)

    def type(self, selector: str, text: str) -> None:
        field = self.one(selector)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def slide(self, selector: str, position: int) -> None:
        """Moves a slider, as a finger would."""
        script = "(arguments[0].value = arguments[1], arguments[0].dispatchEvent(new Event('input')))"
        self.run(script, self.one(selector), position)

    def translate(self, text: str) -> str:
        """Types a text and returns its translation when it is there."""
        self.type("#source-text", text)
        expected = translator().translate([text])[0]
        self.wait("document.querySelector('#target-text').textContent === arguments[0]", expected)
        self.wait("document.querySelector('#translate-busy').hidden")
        return expected


@pytest.fixture(scope="module")
def browser(address):
    """The page. No test may leave an error in the console."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield Page(driver, address)
    driver.quit()


@pytest.fixture
def page(browser):
    yield browser
    assert [entry["message"] for entry in browser.driver.get_log("browser")] == []


def test_what_is_typed_is_translated(page):
    page.open()
    page.wait("document.querySelectorAll('#places .token').length")
    assert page.run("document.querySelector('#source-text').value") == EXAMPLES[0]
    [found] = translator().n_best(["feed me"], 4)
    page.translate("feed me")
    assert page.texts("#alternatives li span:first-child") == [each.text or "(nothing)" for each in found[1:]]
    page.click("#translate-examples button", 1)
    page.wait(
        "document.querySelector('#target-text').textContent === arguments[0]", translator().translate(EXAMPLES)[1]
    )


def test_lines_are_translated_each(page):
    page.open()
    lines = ["ab", "cd ef", "j"]
    page.type("#source-text", "\n".join([lines[0], "", *lines[1:]]))
    first, *rest = translator().translate(lines)
    page.wait("[...document.querySelectorAll('#target-text .line')].map((each) => each.textContent).join('|')"
              " === arguments[0]", "|".join([first, "\u00a0", *rest]))  # fmt: skip
    page.click("#target-text .line", 2)
    page.wait("document.querySelectorAll('#keys .token').length === 6")  # c d _ e f end


def test_a_file_is_translated_and_can_be_saved(page, tmp_path):
    page.open()
    page.translate("feed")
    (tmp_path / "notes.md").write_text("# bad cafe\r\n\r\n`code`, hi\r\n", newline="")
    page.one("#file").send_keys(str(tmp_path / "notes.md"))
    page.wait("!document.querySelector('#file-result').hidden")
    assert page.texts("#file-result") == ["Save notes.translated.md"]
    assert page.run("document.querySelector('#file-result').download") == "notes.translated.md"
    saved = page.driver.execute_async_script(
        "const [done] = arguments; fetch(document.querySelector('#file-result').href).then((x) => x.text()).then(done)"
    )
    assert saved == translate_document(translator(), "markdown", "# bad cafe\r\n\r\n`code`, hi\r\n")
    (tmp_path / "notes.pdf").write_text("bad")
    page.one("#file").send_keys(str(tmp_path / "notes.pdf"))
    page.wait(
        "document.querySelector('#file-error').textContent.startsWith('notes.pdf: the name must end in one of .txt')"
    )


def test_another_token_is_chosen_and_the_rest_is_written_anew(page):
    page.open()
    text = "feed a big"
    page.translate(text)
    [(best, *_)] = translator().n_best([text], 4)
    page.click("#places .token", 1)
    page.wait("document.querySelector('#places .token.chosen')?.dataset.index === '1'")
    bars = page.all("#considered-bars .bar")
    other = next(bar for bar in bars if bar.get_attribute("aria-pressed") == "false")
    prefix = [best.tokens[0], int(other.get_attribute("data-id"))]
    other.click()
    expected = translator().n_best([text], 4, [prefix])[0][0].text
    page.wait("document.querySelector('#target-text').textContent === arguments[0]", expected)
    page.wait("document.querySelectorAll('#places .token.given').length === 2")
    page.click("#undo-choices")
    page.wait("document.querySelector('#target-text').textContent === arguments[0]", best.text)
    page.wait("document.querySelector('#undo-choices').hidden")


def test_an_alternative_is_looked_into(page):
    page.open()
    page.translate("feed me")
    text = page.texts("#alternatives li span:first-child")[0]
    page.click("#alternatives button")
    page.wait("document.querySelector('#target-text').textContent === arguments[0]", text)
    page.wait("document.querySelectorAll('#places .token.rated').length === 0")


def test_the_keyboard_shows_where_each_head_looks(page):
    page.open()
    text = "bad cafe"
    target = page.translate(text)
    weights = sentence_attention(translator(), text, target).weights["decoder/layer_1/cross_attention"]
    source = [*text, "end"]
    page.run("document.querySelector('#queries .token').focus()")
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    page.wait("document.querySelectorAll('#reading .read').length === 2")
    for head, read in enumerate(page.texts("#reading .read")):
        best = int(weights[head, 1].argmax())
        label = {" ": "␣"}.get(source[best], source[best])
        assert read.startswith(f"head {head + 1}: {label} ")
        assert float(read.split()[-1].rstrip("%")) == pytest.approx(100 * weights[head, 1, best], abs=1.1)
    drawn = page.run("document.querySelectorAll('#links path').length")
    assert drawn == (np.round(weights[:, 1] * 255) / 255 >= 0.03).sum()
    # With one head, half of the links or fewer, in its colour.
    page.click("#heads .head", 0)
    page.run("document.querySelectorAll('#queries .token')[1].focus()")
    page.wait("document.querySelectorAll('#reading .read').length === 1")
    strokes = page.run(
        "[...new Set([...document.querySelectorAll('#links path')].map((p) => p.getAttribute('stroke')))]"
    )
    assert len(strokes) == 1


def test_layers_heads_and_stacks_are_chosen(page):
    page.open()
    page.translate("bad cafe")
    assert len(page.all("#thumbs .thumb")) == 4  # two layers of two heads
    page.click("#thumbs .thumb", 1)
    page.wait("document.querySelector('#map figcaption').textContent === 'layer 1, head 2'")
    assert page.run("document.querySelector('input[name=layer]:checked').value") == "0"
    page.click("#stacks label", 1)  # the encoder has one layer
    page.wait("document.querySelectorAll('#thumbs .thumb').length === 2")
    assert (
        page.texts("#queries .token") == page.texts("#keys .token") == ["b", "a", "d", "␣", "c", "a", "f", "e", "end"]
    )
    page.click("#heads .quiet")
    page.wait("document.querySelector('#map figcaption').textContent === 'layer 1, mean of 2 heads'")
    assert page.one("#map svg").get_attribute("aria-label").endswith("mean of 2 heads")


def test_what_is_refused_is_said(page):
    page.open()
    page.run("document.querySelector('#source-text').value = 'a'.repeat(400)")
    page.type("#source-text", "b" * 300)
    page.wait("!document.querySelector('#translate-error').hidden")
    assert "at most 256" in page.texts("#translate-error")[0]
    logged = page.driver.get_log("browser")
    assert [entry["message"] for entry in logged if "400 (Bad Request)" not in entry["message"]] == []
    page.translate("ab")
    assert page.texts("#translate-error") == [""]


def test_markup_stays_text(page):
    page.open()
    page.type("#source-text", "<img src=x>")
    page.wait("document.querySelectorAll('#keys .token').length")
    page.open("search")
    page.type("#search-text", "<b>abc</b>")
    page.click("#search-form button")
    page.wait("document.querySelectorAll('#outcome-beam li').length")
    assert page.all("main img, main .tokens b") == []


def test_searches_are_compared(page):
    page.open("search")
    page.wait("document.querySelectorAll('#outcome-beam li').length === 4")
    line = page.run("document.querySelector('#search-text').value")
    joined = (
        "[...document.querySelectorAll(arguments[0])].map((li) => li.querySelector('.sentence').textContent.trim())"
    )
    [best] = translator().n_best([line], 4)
    assert page.run(joined, "#outcome-beam li") == [each.text.replace(" ", "␣") for each in best]
    assert len(page.all("#outcome-greedy li")) == 1
    assert len(page.all("#outcome-samples li")) == 4
    page.slide("#search-beam_size", 1)
    page.wait("document.querySelectorAll('#outcome-beam li').length === 2")
    samples = page.run(joined, "#outcome-samples li")
    page.click("#search-again")
    page.wait(f"JSON.stringify({joined}) !== arguments[1]", "#outcome-samples li", json.dumps(samples))


def test_the_tree_grows_step_by_step(page):
    page.open("search")
    page.wait("document.querySelectorAll('#tree .node').length > 4")
    steps = int(page.one("#tree-step").get_attribute("max"))
    assert page.texts("#tree-label") == [f"step {steps} of {steps}"]  # at once, with less motion
    assert len(page.texts("#beam li")) == 4
    won = page.run("[...document.querySelectorAll('#tree .node.won text:first-of-type')].map((t) => t.textContent)")
    line = page.run("document.querySelector('#search-text').value")
    assert won[:-1] == [letter.replace(" ", "␣") for letter in translator().translate([line])[0]]
    visible = "document.querySelectorAll('#tree .node:not(.later):not(.start)').length"
    page.slide("#tree-step", 0)
    assert page.run(visible) == 0
    page.click("#tree-next")
    assert page.run(visible) == 4
    page.click("#tree-back")
    assert page.run(visible) == 0
    page.click("#tree-play")
    page.wait("document.querySelector('#tree-step').value > 1")
    assert page.texts("#tree-play") == ["Pause"]
    page.click("#tree-play")
    assert page.texts("#tree-play") == ["Play"]


def test_a_tree_plays_by_itself(page):
    page.open("search", reduce=False)
    page.wait("document.querySelector('#tree-label').textContent.startsWith('step 2 of')")


def test_a_text_goes_on_token_by_token(page):
    page.open("text")
    page.type("#prompt", "bad ")
    page.wait("[...document.querySelectorAll('#text .piece')].map((p) => p.textContent).join('') === 'bad '")
    page.click("#text-step")
    page.wait("document.querySelectorAll('#text .piece').length === 5")
    page.wait("document.querySelector('#next-bars .bar.chosen') !== null || document.querySelector('#next-bars .bar')")
    page.slide("#text-speed", 3)
    page.click("#text-play")
    page.wait("document.querySelector('#text-state').textContent === 'the context of 24 tokens is full'")
    assert len(page.all("#text .piece")) == 24
    assert page.texts("#text-play") == ["Write"]
    # The place of a token shows what else could have come, and another one can be put there.
    page.click("#text .piece", 6)
    page.wait("document.querySelectorAll('#text .piece.chosen').length === 1")
    kept = page.texts("#text .piece")[:6]
    bar = next(bar for bar in page.all("#next-bars .bar") if bar.get_attribute("aria-pressed") == "false")
    token = int(bar.get_attribute("data-id"))
    bar.click()
    page.wait("document.querySelectorAll('#text .piece').length === 7")
    chosen = generator().tokenizer.token_texts([token])[0]
    assert page.texts("#text .piece") == [*kept, chosen.replace("\n", "↵")]


def test_the_distribution_follows_the_temperature_without_a_request(page):
    page.open("text")
    page.type("#prompt", "cab")
    page.wait("document.querySelectorAll('#text .piece').length === 3")
    page.wait("document.querySelectorAll('#next-bars .bar').length > 5")
    logits = generator().model.apply({"params": generator().params}, jnp.array([generator().tokenizer.encode("cab")]))
    logits = np.asarray(logits, np.float64)[0, -1]
    logits[:4] = -np.inf  # the special tokens are not written
    requests = page.run("performance.getEntriesByType('resource').length")
    for position, temperature in ((0, 0.1), (19, 2.0), (4, 0.5)):
        page.slide("#text-temperature", position)
        p = np.exp((logits - logits.max()) / temperature)
        p /= p.sum()
        assert page.texts("#next-title")[0].endswith(f"at temperature {temperature}")
        ids = page.run("[...document.querySelectorAll('#next-bars .bar')].map((bar) => Number(bar.dataset.id))")
        shown = page.run(
            "[...document.querySelectorAll('#next-bars .bar')].map((b) => b.style.getPropertyValue('--p'))"
        )
        np.testing.assert_allclose([float(each) for each in shown], p[ids], atol=2e-3)
    page.slide("#text-top_p", 4)  # 0.5
    before = np.cumsum(p[ids]) - p[ids]
    cut = page.run("[...document.querySelectorAll('#next-bars .bar')].map((bar) => bar.classList.contains('cut'))")
    assert cut == (before >= 0.5).tolist()
    assert page.run("performance.getEntriesByType('resource').length") == requests


def test_the_parameters_and_the_curves_are_drawn(page):
    page.open("model")
    page.wait("document.querySelectorAll('#curves figure').length === 2")
    table = parameter_table(translator().model.config)
    assert len(page.all("#treemap .tile")) == len(table)
    areas = page.run(
        "[...document.querySelectorAll('#treemap .tile')].map((t) => [t.getAttribute('aria-label'),"
        "(Number(t.firstChild.getAttribute('width')) + 2) * (Number(t.firstChild.getAttribute('height')) + 2)])"
    )
    largest = max(areas, key=lambda each: each[1])[0]
    assert largest.endswith(f"{max(table.values()):,} parameters")
    assert page.texts("#parts-table tbody td:nth-of-type(1)") == [f"{size:,}" for size in table.values()]
    assert page.texts("#curves figcaption") == ["loss (nats per token)", "learning rate"]
    assert len(page.all("#curves circle")) == 2
    assert page.texts("#curves .score")[0] == "from 9 to 0.0452 · from 0.5 to 0.25"
    page.run("document.querySelector('#treemap .tile').focus()")
    assert "of all" in page.texts("#part")[0]
    page.run("(arguments[0].value = 1, arguments[0].dispatchEvent(new Event('change')))", page.one("#model"))
    page.wait("document.querySelector('#curves-hint').textContent.includes('no record')")


def test_the_keyboard_opens_tabs_and_the_dark_side(page):
    page.open()
    page.run("document.querySelector('#tab-translate').focus()")
    for tab in (*TABS[1:], TABS[0]):
        page.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        page.wait("document.activeElement.id === arguments[0]", f"tab-{tab}")
        page.wait("!document.getElementById(arguments[0]).hidden", f"{tab}-panel")
        assert [panel.get_attribute("id") for panel in page.all("[role=tabpanel]:not([hidden])")] == [f"{tab}-panel"]
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.run(background)
    page.one("#theme").send_keys(Keys.SPACE)
    assert (page.run(background) != light, page.one("#theme").get_attribute("aria-checked")) == (True, "true")
    page.open()
    assert page.run(background) != light  # it is kept
    page.one("#theme").send_keys(Keys.SPACE)
    page.run("localStorage.clear()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_each_tab_fits_and_has_names_for_all_it_offers(page, width, scheme):
    loaded = {"translate": "#thumbs canvas", "search": "#tree svg", "text": "#next-bars .bar", "model": "#curves svg"}
    for tab in TABS:
        page.open(tab, width, scheme)
        if tab == "text":
            page.type("#prompt", "bad cafe")
        page.wait("document.querySelector(arguments[0]) !== null", loaded[tab])
        assert page.run("document.documentElement.scrollWidth") <= width
        unnamed = """[...document.querySelectorAll("button, input, select, textarea, [role=button], [role=img]")]
            .filter((each) => each.offsetParent !== null && !(each.ariaLabel || each.textContent.trim()
              || each.labels?.length || each.getAttribute("aria-label"))).map((each) => each.outerHTML.slice(0, 80))"""
        assert page.run(unnamed) == []
        picture = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("L")
        brightness = np.asarray(picture).mean()
        assert (brightness > 180) if scheme == "light" else (brightness < 80)

// Translate: type and see, the other translations, the tokens that could have been written, and the attention.

import { post } from "./api.js";
import { startAttentionView } from "./attention.js";
import { showBars } from "./bars.js";
import { byId, debounced, el, say } from "./dom.js";
import { startFiles } from "./files.js";
import { markToken, showTokens } from "./tokens.js";
import { languageName, percent, score, tokenLabel } from "./words.js";

const MOST_KEPT = 200;
const LEAST_SHOWN = 5;
const SMALLEST_SHOWN = 1e-3;

/** Starts the view; returns an object whose `show(model)` changes the model. */
export function startTranslateView() {
  const attention = startAttentionView();
  startFiles(() => {
    const [source, target] = languages();
    return { model: state.model.name, source: source || state.model.source, target: target || state.model.target };
  });
  const state = { model: null, lines: [], results: new Map(), line: 0, prefix: [], found: null, turn: 0 };

  function show(model) {
    if (model === state.model) return;
    state.model = model;
    state.results.clear();
    offerLanguages(model);
    byId("translate-examples").replaceChildren(
      ...model.examples.map((text) => el("button", { type: "button", on: { click: () => write(text) } }, text)),
    );
    write(byId("source-text").value || model.examples[0] || "");
  }

  function write(text) {
    byId("source-text").value = text;
    translateAll();
  }

  async function translateAll() {
    const lines = byId("source-text").value.split("\n");
    while (lines.length > 1 && !lines.at(-1).trim()) lines.pop();
    Object.assign(state, { lines, prefix: [], line: caretLine(lines) });
    say(byId("translate-error"), "");
    const turn = ++state.turn;
    byId("translate-busy").hidden = false;
    // The line of the caret comes first, as it is the one that is looked at.
    const order = [state.line, ...lines.keys()].filter((line, index, all) => all.indexOf(line) === index);
    for (const line of order) {
      if (turn !== state.turn) return;
      await translateLine(line, turn);
    }
    if (turn === state.turn) byId("translate-busy").hidden = true;
  }

  async function translateLine(line, turn) {
    const text = state.lines[line].trim();
    if (!text) return turn === state.turn && line === state.line ? explore(null) : undefined;
    try {
      const found = await resultOf(text);
      if (turn === state.turn && line === state.line) explore(found);
    } catch (error) {
      if (turn !== state.turn) return;
      say(byId("translate-error"), error.message);
      if (line === state.line) explore(null);
    }
    if (turn === state.turn) showOutput();
  }

  async function resultOf(text) {
    const key = `${languages().join()} ${text}`;
    if (!state.results.has(key)) {
      const found = await request(text, []);
      if (state.results.size >= MOST_KEPT) state.results.delete(state.results.keys().next().value);
      state.results.set(key, found);
    }
    return state.results.get(key);
  }

  function request(text, prefix) {
    const [source, target] = languages();
    return post("page/translation", { model: state.model.name, source, target, line: text, prefix });
  }

  /** Writes the current line anew after a prefix of token ids. */
  async function rewrite(prefix) {
    const turn = ++state.turn;
    state.prefix = prefix;
    byId("translate-busy").hidden = false;
    try {
      const text = state.lines[state.line].trim();
      const found = await (prefix.length ? request(text, prefix) : resultOf(text));
      if (turn === state.turn) {
        explore(found);
        showOutput();
        say(byId("translate-error"), "");
      }
    } catch (error) {
      if (turn === state.turn) say(byId("translate-error"), error.message);
    }
    if (turn === state.turn) byId("translate-busy").hidden = true;
  }

  function explore(found) {
    state.found = found;
    byId("places-card").hidden = byId("attention-card").hidden = byId("attention-none").hidden = true;
    byId("alternatives-box").hidden = true;
    byId("considered").hidden = true;
    showOutput();
    if (!found) return;
    showAlternatives(found);
    showPlaces(found);
    byId("attention-none").hidden = found.attention !== null;
    byId("attention-card").hidden = found.attention === null;
    if (found.attention) attention.show(found);
  }

  function showOutput() {
    const known = (text) => state.results.get(`${languages().join()} ${text.trim()}`)?.text ?? (text.trim() ? "…" : "");
    const texts = state.lines.map((text, line) =>
      line === state.line && state.found ? state.found.text : known(text),
    );
    const output = byId("target-text");
    if (texts.length < 2) {
      output.replaceChildren(texts[0] ?? "");
      return;
    }
    output.replaceChildren(...texts.map((text, line) => outputLine(text, line)));
  }

  function outputLine(text, line) {
    const properties = { type: "button", class: "line", on: { click: () => openLine(line) } };
    return el("button", { ...properties, "aria-current": line === state.line ? "true" : false }, text || "\u00a0");
  }

  function openLine(line) {
    state.line = line;
    rewrite([]);
  }

  function showAlternatives(found) {
    const best = found.alternatives[0].score;
    const others = found.alternatives.slice(1);
    byId("alternatives-box").hidden = others.length === 0;
    byId("alternatives").replaceChildren(
      ...others.map((alternative) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", on: { click: () => rewrite(alternative.tokens) } },
            el("span", {}, alternative.text || "(nothing)"),
            el("span", { class: "score", title: `score of the best: ${score(best)}` }, `score ${score(alternative.score)}`),
          ),
        ),
      ),
    );
  }

  function showPlaces(found) {
    byId("places-card").hidden = false;
    byId("undo-choices").hidden = state.prefix.length === 0;
    showTokens(byId("places"), found.places, {
      label: "Tokens of the translation",
      probabilities: true,
      given: found.given,
      point: (index) => attention.pointAtTarget(index),
      leave: () => attention.pointAtTarget(-1),
      choose: (index) => consider(index),
    });
    considerLeastSure(found);
  }

  /** Shows what could have been written where the model was least sure of its own choice. */
  function considerLeastSure({ places, given }) {
    const free = [...places.keys()].slice(given);
    if (free.length) consider(free.reduce((least, at) => (places[at].log_prob < places[least].log_prob ? at : least)));
  }

  /** Shows what could have been written at a place. */
  function consider(index) {
    const { places, fixed } = state.found;
    if (index < fixed) return;
    const place = places[index];
    markToken(byId("places"), index);
    const rows = place.candidates
      .map((token) => ({ token, p: Math.exp(token.log_prob), chosen: token.id === place.id }))
      .filter((row, rank) => row.chosen || rank < LEAST_SHOWN || row.p >= SMALLEST_SHOWN);
    if (!rows.some((row) => row.chosen)) rows.push({ token: place, p: Math.exp(place.log_prob), chosen: true });
    const before = places.slice(fixed, index).map((token) => token.text).join("").trim();
    byId("considered").hidden = false;
    byId("considered-title").textContent = before ? `After “${before}”, this could follow` : "It could begin with";
    showBars(byId("considered-bars"), rows, {
      label: `Alternatives to ${tokenLabel(place)}, which has ${percent(Math.exp(place.log_prob))}`,
      rest: 1 - rows.reduce((sum, row) => sum + row.p, 0),
      choose: (token) => token.id !== place.id && rewriteAt(index, token),
    });
  }

  async function rewriteAt(index, token) {
    await rewrite([...state.found.places.slice(0, index).map((place) => place.id), token.id]);
    byId("places").querySelector(`[data-index="${index}"]`)?.focus({ preventScroll: true });
    consider(index);
  }

  function offerLanguages(model) {
    const names = { source: "Source", target: "Translation" };
    for (const side of ["source", "target"]) {
      const select = byId(`${side}-language`);
      select.hidden = model.languages.length === 0;
      byId(`${side}-name`).textContent = select.hidden && model[side] ? languageName(model[side]) : names[side];
      const codes = model.languages.map((code) => [languageName(code), code]).sort();
      select.replaceChildren(
        ...codes.map(([name, code]) => el("option", { value: code, selected: code === model[side] }, name)),
      );
    }
    setLanguage();
  }

  function setLanguage() {
    const [source, target] = languages();
    byId("source-text").lang = (source || state.model.source).replace("_", "-");
    byId("target-text").lang = (target || state.model.target).replace("_", "-");
  }

  /** Returns the chosen languages; empty if the model has no choice. */
  const languages = () => ["source", "target"].map((side) => byId(`${side}-language`).value);

  const later = debounced(250, translateAll);
  byId("source-text").addEventListener("input", later);
  byId("undo-choices").addEventListener("click", () => rewrite([]));
  for (const side of ["source", "target"]) {
    byId(`${side}-language`).addEventListener("change", () => {
      setLanguage();
      translateAll();
    });
  }
  return { show };
}

function caretLine(lines) {
  const field = byId("source-text");
  const before = field.value.slice(0, field.selectionStart).split("\n").length - 1;
  const line = Math.min(before, lines.length - 1);
  return lines[line].trim() ? line : Math.max(lines.findIndex((text) => text.trim()), 0);
}

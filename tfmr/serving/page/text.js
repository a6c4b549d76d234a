// Language model: a text that goes on token by token, and the distribution from which the next token is drawn.

import { post } from "./api.js";
import { showBars } from "./bars.js";
import { byId, debounced, el, roving, say } from "./dom.js";
import { addSlider } from "./sliders.js";
import { percent, tokenLabel } from "./words.js";

const SHOWN = 15;
const SPEEDS = [900, 400, 150, 0];
const SPEED_NAMES = ["slow", "steady", "fast", "as fast as it can"];

/** Starts the view; returns an object whose `show(model)` changes the model. */
export function startTextView(choices) {
  const state = {
    ...{ model: null, sliders: {}, seed: 0, turn: 0, playing: false, busy: false },
    ...{ tokens: [], distributions: [], prompt: 0, drawn: null, ended: false, place: -1 },
  };

  function show(model) {
    if (model === state.model) return;
    state.model = model;
    byId("text-examples").replaceChildren(
      ...model.examples.map((text) => el("button", { type: "button", on: { click: () => begin(text) } }, text)),
    );
    if (!byId("text-sliders").hasChildNodes()) addSliders();
    begin(byId("prompt").value || model.examples[0] || "");
  }

  function addSliders() {
    const box = byId("text-sliders");
    const add = (name, options) => (state.sliders[name] = addSlider(box, { id: `text-${name}`, ...options }));
    const temperature = { label: "Temperature", values: choices.temperature, value: 1, show: (t) => t.toFixed(1) };
    const topP = { label: "Top-p", values: choices.top_p, value: 1, show: (p) => (p === 1 ? "all tokens" : percent(p)) };
    const speed = { label: "Speed", values: [0, 1, 2, 3], value: 1, show: (speed) => SPEED_NAMES[speed] };
    add("temperature", { ...temperature, changed: redraw });
    add("top_p", { ...topP, changed: redraw });
    add("speed", { ...speed, changed: () => {} });
  }

  /** A new setting draws the next token anew, and the distribution is shown at once. */
  function redraw() {
    state.drawn = null;
    showNext();
  }

  function begin(prompt) {
    pause();
    byId("prompt").value = prompt;
    restart();
  }

  async function restart() {
    state.seed = Math.floor(Math.random() * 2 ** 31);
    Object.assign(state, { tokens: [], distributions: [], prompt: 0, place: -1, drawn: null, ended: false });
    const text = byId("prompt").value;
    if (!text && !state.model.begins_empty) {
      state.turn += 1; // an answer that is still under way is not wanted
      return showText();
    }
    await read({ text });
    state.prompt = state.tokens.length;
    showText();
  }

  /** Reads more of the text, and the next token that is drawn. Returns whether that worked. */
  async function read(what) {
    const turn = ++state.turn;
    say(byId("text-error"), "");
    try {
      const found = await post("page/text", {
        ...{ model: state.model.name, seed: state.seed, first: 0, ...what },
        ...{ temperature: state.sliders.temperature.value, top_p: state.sliders.top_p.value },
      });
      if (turn !== state.turn) return false;
      state.tokens.splice(found.first, Infinity, ...found.tokens);
      state.distributions.splice(found.first, Infinity, ...found.distributions);
      Object.assign(state, { drawn: found.drawn, ended: found.ended, context: found.context });
      showText();
      return true;
    } catch (error) {
      if (turn === state.turn) {
        pause();
        say(byId("text-error"), error.message);
        showText();
      }
      return false;
    }
  }

  const ids = () => state.tokens.map((token) => token.id);
  const readOn = (tokens) => read({ tokens, first: tokens.length - 1 });

  /** Adds the token that is drawn. Returns whether the text can go on. */
  async function step() {
    if (state.tokens.length === 0 || state.busy) return false;
    state.busy = true;
    try {
      state.place = -1;
      if (!state.drawn && !isAtEnd() && !(await readOn(ids()))) return false;
      return Boolean(state.drawn) && (await readOn([...ids(), state.drawn.id])) && !isAtEnd();
    } finally {
      state.busy = false;
    }
  }

  const isAtEnd = () => state.ended || state.tokens.length >= (state.context ?? Infinity);

  async function play() {
    state.playing = true;
    byId("text-play").textContent = "Pause";
    while (state.playing && (await step())) {
      await new Promise((done) => setTimeout(done, SPEEDS[state.sliders.speed.value]));
    }
    pause();
  }

  function pause() {
    state.playing = false;
    byId("text-play").textContent = "Write";
  }

  function showText() {
    const box = byId("text");
    const stays = box.scrollTop + box.clientHeight > box.scrollHeight - 40;
    const spans = state.tokens.flatMap((token, index) => textToken(token, index));
    box.replaceChildren(el("div", { role: "toolbar", "aria-label": "Tokens of the text" }, ...spans));
    roving(box, ".piece");
    if (stays) box.scrollTop = box.scrollHeight;
    const full = !state.ended && isAtEnd() ? `the context of ${state.context} tokens is full` : "";
    byId("text-state").textContent = state.ended ? "the text has ended" : full;
    showNext();
  }

  function textToken(token, index) {
    const p = Math.exp(token.log_prob);
    const isGiven = index < state.prompt || state.prompt === 0;
    const known = index > 0;
    const span = el(
      "span",
      {
        ...{ role: "button", class: `piece${known ? " rated" : ""}${isGiven ? " given" : ""}`, "data-index": index },
        ...{ "aria-label": `${tokenLabel(token)}${known ? `, ${percent(p)}` : ""}`, title: known ? percent(p) : false },
        style: { "--p": p.toFixed(3) },
        on: {
          click: () => choosePlace(index),
          keydown: (event) => ["Enter", " "].includes(event.key) && (event.preventDefault(), choosePlace(index)),
        },
      },
      token.special ? el("small", {}, tokenLabel(token)) : token.text.replace(/\n/g, "↵"),
    );
    return token.text.includes("\n") ? [span, el("br")] : [span];
  }

  /** Shows the distribution from which a token came. */
  function choosePlace(index) {
    pause();
    state.place = index > 0 && index < state.tokens.length ? index : -1;
    showNext();
  }

  /** Shows the distribution at the chosen place, or at the end of the text, at the chosen temperature. */
  function showNext() {
    const place = state.place < 0 ? state.tokens.length : state.place;
    const distribution = state.distributions[place - 1];
    byId("next-card").hidden = !distribution;
    for (const piece of byId("text").querySelectorAll(".piece")) {
      piece.classList.toggle("chosen", Number(piece.dataset.index) === state.place);
    }
    if (!distribution) return;
    const { temperature, top_p: topP } = Object.fromEntries(
      Object.entries(state.sliders).map(([name, slider]) => [name, slider.value]),
    );
    const chosen = (state.tokens[place] ?? state.drawn)?.id;
    const rows = atTemperature(distribution, choices.temperature, temperature, topP)
      .slice(0, SHOWN)
      .map((row) => ({ ...row, chosen: row.token.id === chosen }));
    const where = state.place < 0 ? "The next token" : `Instead of “${tokenLabel(state.tokens[place])}”`;
    byId("next-title").textContent = `${where}, at temperature ${temperature.toFixed(1)}`;
    showBars(byId("next-bars"), rows, {
      label: "Next tokens",
      rest: 1 - rows.reduce((sum, row) => sum + row.p, 0),
      choose: (token) => put(place, token),
    });
  }

  async function put(place, token) {
    if (state.busy) return;
    state.place = -1;
    state.prompt = Math.min(state.prompt, place);
    await readOn([...ids().slice(0, place), token.id]);
  }

  const beginLater = debounced(400, () => {
    pause();
    restart();
  });
  byId("prompt").addEventListener("input", beginLater);
  byId("text-play").addEventListener("click", () => (state.playing ? pause() : play()));
  byId("text-step").addEventListener("click", () => {
    pause();
    step();
  });
  byId("text-restart").addEventListener("click", () => {
    pause();
    restart();
  });
  return { show };
}

/** Returns the tokens of a distribution with their probabilities at a temperature, and what top-p cuts. */
function atTemperature({ candidates, log_normalisers: normalisers }, temperatures, temperature, topP) {
  const normaliser = normalisers[temperatures.indexOf(temperature)];
  let before = 0;
  return candidates.map((token) => {
    const p = Math.exp(token.log_prob / temperature - normaliser);
    const cut = before >= topP;
    before += p;
    return { token, p, cut };
  });
}

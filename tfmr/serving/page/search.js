// Search: greedy search, beam search and samples side by side, and the tree of the beam as it grew.

import { newest } from "./api.js";
import { byId, debounced, el, say } from "./dom.js";
import { addSlider } from "./sliders.js";
import { startTreeView } from "./tree.js";
import { isJoined, percent, score, tokenLabel } from "./words.js";

const SEARCHES = [
  ["greedy", "Greedy search", "takes the most probable token each time"],
  ["beam", "Beam search", "follows several beginnings at once"],
  ["samples", "Sampling", "draws each token at random"],
];

/** Starts the view; returns an object whose `show(model)` changes the model. */
export function startSearchView(choices) {
  const tree = startTreeView();
  const request = newest();
  const state = { model: null, seed: 0, sliders: {} };

  function show(model) {
    if (model === state.model) return;
    state.model = model;
    const typed = byId("source-text").value.split("\n")[0];
    byId("search-text").value = typed || model.examples.at(-1) || "";
    byId("search-sliders").replaceChildren();
    addSliders(model);
    search();
  }

  function addSliders(model) {
    const { beam_size: beam, alpha } = model.decoding;
    const box = byId("search-sliders");
    const add = (name, label, value, show) =>
      (state.sliders[name] = addSlider(box, { id: `search-${name}`, label, values: choices[name], value, show, changed: later }));
    add("beam_size", "Beam", beam, (value) => `${value} ${value === 1 ? "hypothesis" : "hypotheses"}`);
    add("alpha", "Length penalty", alpha, (value) => (value === 0 ? "none" : value.toFixed(1)));
    add("temperature", "Temperature", 1, (value) => value.toFixed(2));
    add("top_p", "Top-p", 1, (value) => (value === 1 ? "all tokens" : percent(value)));
    const again = () => {
      state.seed += 1;
      search();
    };
    box.append(el("button", { type: "button", id: "search-again", on: { click: again } }, "Draw again"));
  }

  async function search() {
    const line = byId("search-text").value;
    say(byId("search-error"), "");
    if (!line.trim()) return;
    byId("outcomes").setAttribute("aria-busy", "true");
    const values = Object.fromEntries(Object.entries(state.sliders).map(([name, slider]) => [name, slider.value]));
    const [source, target] = ["source", "target"].map((side) => byId(`${side}-language`).value);
    try {
      const found = await request("page/searches", {
        ...{ model: state.model.name, source, target, line, seed: state.seed },
        ...values,
      });
      if (found === null) return;
      showOutcomes(found, values);
      byId("tree-card").hidden = false;
      tree.show(found.tree, values.beam_size);
    } catch (error) {
      say(byId("search-error"), error.message);
    }
    byId("outcomes").removeAttribute("aria-busy");
  }

  function showOutcomes(found, { beam_size: beam, temperature }) {
    const best = Math.max(...SEARCHES.flatMap(([name]) => found[name].map((output) => output.log_prob)));
    const details = { greedy: "beam of 1", beam: `beam of ${beam}`, samples: `temperature ${temperature}` };
    byId("outcomes").replaceChildren(
      ...SEARCHES.map(([name, title, does]) =>
        el(
          "section",
          { class: "card outcome", id: `outcome-${name}` },
          el("h3", {}, title, el("small", {}, details[name])),
          el("p", { class: "hint" }, does),
          el("ol", {}, ...found[name].map((output) => outcome(output, output.log_prob >= best - 1e-3))),
        ),
      ),
    );
  }

  const later = debounced(250, search);
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  return { show };
}

function outcome(output, isBest) {
  const tokens = output.tokens.filter((token) => !token.special);
  const words = tokens.flatMap((token, index) => {
    const p = Math.exp(token.log_prob);
    const classes = `rated word${isJoined(tokens, index) ? " joined" : ""}`;
    const word = el("span", { class: classes, style: { "--p": p.toFixed(3) }, title: percent(p) }, tokenLabel(token));
    return isJoined(tokens, index) ? [word] : [" ", word]; // lines are broken between words
  });
  const numbers = `log p ${score(output.log_prob)} · score ${score(output.score)}`;
  return el(
    "li",
    { class: isBest ? "best" : "" },
    el("p", { class: "sentence" }, ...(words.length ? words : ["(nothing)"])),
    el("p", { class: "score" }, numbers, isBest ? el("b", {}, "most probable") : null),
  );
}

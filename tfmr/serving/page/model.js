// The model: its shape, where its parameters are, and its learning curves.

import { get } from "./api.js";
import { drawCurves } from "./curves.js";
import { byId, el } from "./dom.js";
import { drawTreemap } from "./treemap.js";
import { languageName, large, percent, whole } from "./words.js";

const KIND_NAMES = { translation: "encoder and decoder", language_model: "decoder only" };
const FACTS = [
  ["num_encoder_layers", "encoder layers"],
  ["num_decoder_layers", "decoder layers"],
  ["num_layers", "layers"],
  ["num_heads", "heads in each layer"],
  ["d_model", "d_model, numbers for each token"],
  ["d_ff", "d_ff, width of the feed-forward layer"],
  ["vocab_size", "tokens in the vocabulary"],
  ["positions", "positions"],
  ["norm", "norm"],
  ["activation", "activation"],
];

/** Starts the view; returns an object whose `show(model)` changes the model. */
export function startModelView() {
  const state = { model: null, parts: null };

  async function show(model) {
    if (model === state.model) return drawTreemapAgain();
    state.model = model;
    const found = await get(`page/model?model=${encodeURIComponent(model.name)}`).catch((error) => ({ error }));
    if (state.model !== model) return;
    if (found.error) {
      byId("facts").replaceChildren(el("div", {}, el("dt", {}, "error"), el("dd", {}, found.error.message)));
      state.model = null;
      return;
    }
    state.parts = found;
    showFacts(model, found);
    drawTreemapAgain();
    showTable(found);
    const count = found.panels.length;
    byId("curves-hint").textContent = count
      ? "Thin lines are single steps, thick ones their mean; dots are evaluations on sentences that it never saw."
      : "This run has no record of its training, for instance because it was imported.";
    drawCurves(byId("curves"), found.panels);
  }

  function showFacts(model, { total, attention_share: share }) {
    const { source, target } = model;
    const languages = source && target ? `${languageName(source)} to ${languageName(target)}` : "";
    const facts = [
      ["kind", KIND_NAMES[model.kind]],
      ["languages", model.languages.length ? `${model.languages.length} languages` : languages],
      ["parameters", large(total)],
      ...FACTS.map(([field, name]) => [name, shown(model.shape[field])]),
      ["of its matrix weights are in attention", percent(share)],
    ];
    byId("facts").replaceChildren(
      ...facts
        .filter(([, value]) => value !== "" && value !== undefined)
        .map(([name, value]) => el("div", {}, el("dd", {}, value), el("dt", {}, name))),
    );
  }

  const shown = (value) => (typeof value === "number" ? whole(value) : value);

  function drawTreemapAgain() {
    if (!state.parts) return;
    const say = (part) => {
      byId("part").textContent = part
        ? `${part.name}: ${whole(part.size)} parameters, ${percent(part.size / state.parts.total)} of all`
        : `${whole(state.parts.total)} parameters in all. Point at an area to see what it is.`;
    };
    say(null);
    drawTreemap(byId("treemap"), state.parts.parts, say);
  }

  function showTable({ parts, total }) {
    const rows = Object.entries(parts).map(([name, size]) =>
      el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, whole(size)), el("td", {}, percent(size / total))),
    );
    const head = el("tr", {}, ...["part", "parameters", "share"].map((name) => el("th", { scope: "col" }, name)));
    byId("parts-table").replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
  }

  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    drawTreemapAgain();
  }).observe(byId("treemap"));
  return { show };
}

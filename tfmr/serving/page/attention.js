// Where each head of each layer looks: links between the tokens, a map, and small maps of all layers and heads.

import { byId, el } from "./dom.js";
import { drawLinks } from "./links.js";
import { drawMap, drawThumb } from "./maps.js";
import { showTokens } from "./tokens.js";
import { percent, tokenLabel } from "./words.js";

const COLOURS = ["#6366f1", "#ef4444", "#0d9488", "#d97706", "#0284c7", "#db2777", "#16a34a", "#a16207"];
const ACCENT = "#6366f1";

const STACKS = {
  cross: {
    name: "translation → source",
    hint:
      "Before it writes a token, the decoder looks at the source. Point at a token, or move to it with the arrow keys, " +
      "to see where each head looks: the thicker the line, the larger the weight.",
    queries: ["target", "about to write"],
    keys: ["source", "looks at"],
  },
  encoder: {
    name: "source → source",
    hint: "While it reads, each token of the source looks at all the others, and takes what it needs from them.",
    queries: ["source", "reads"],
    keys: ["source", "looks at"],
  },
  decoder: {
    name: "translation → translation",
    hint: "While it writes, each token looks back at what has already been written, never ahead.",
    queries: ["input", "has just read"],
    keys: ["input", "looks back at"],
  },
};

/** Returns the colour of a head. */
const colourOf = (head) => COLOURS[head % COLOURS.length];

/** The weights of a stack. */
class Weights {
  constructor({ layers, heads, queries, keys, weights }) {
    Object.assign(this, { layers, heads, queries, keys });
    this.values = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0));
  }

  at(layer, head, query, key) {
    return this.values[((layer * this.heads + head) * this.queries + query) * this.keys + key] / 255;
  }

  mean(layer, heads, query, key) {
    return heads.reduce((sum, head) => sum + this.at(layer, head, query, key), 0) / Math.max(heads.length, 1);
  }
}

/** Starts the view; `show(exploration)` shows a translation, `pointAtTarget(index)` points at one of its tokens. */
export function startAttentionView() {
  const view = { found: null, weights: {}, stack: "cross", layer: -1, heads: [], query: -1, key: -1, mark: null };
  const weights = () => view.weights[view.stack];

  function show(found) {
    view.found = found;
    view.weights = Object.fromEntries(
      Object.entries(found.attention).map(([name, packed]) => [name, new Weights(packed)]),
    );
    if (!view.weights[view.stack]) view.stack = "cross";
    view.query = view.key = -1;
    showStacks();
    openStack(view.stack);
  }

  /** Returns the tokens of a side: the source, what the decoder writes, or what it has read before. */
  function tokensOf(side) {
    const { source, places } = view.found;
    const start = { id: -1, text: "<s>", special: true };
    return { source, target: places, input: [start, ...places.slice(0, -1)] }[side];
  }

  function openStack(name) {
    view.stack = name;
    const { layers, heads } = weights();
    if (view.layer < 0 || view.layer >= layers) view.layer = layers - 1;
    view.heads = view.heads.filter((head) => head < heads);
    if (view.heads.length === 0) view.heads = [...Array(heads).keys()];
    view.query = view.key = -1;
    byId("attention-hint").textContent = STACKS[name].hint;
    showLayers(layers);
    showHeads(heads);
    showSides();
    showThumbs();
    draw();
  }

  function showStacks() {
    const names = Object.keys(STACKS).filter((name) => view.weights[name]);
    radios(byId("stacks"), "stack", names, view.stack, (name) => STACKS[name].name, openStack);
  }

  function showLayers(layers) {
    radios(byId("layers"), "layer", [...Array(layers).keys()], view.layer, (layer) => layer + 1, (layer) => {
      view.layer = layer;
      draw();
    });
  }

  function showHeads(heads) {
    const box = byId("heads");
    const toggles = [...Array(heads).keys()].map((head) =>
      el(
        "button",
        {
          ...{ type: "button", class: "head", "aria-pressed": view.heads.includes(head).toString() },
          ...{ "aria-label": `Head ${head + 1}`, style: { "--head": colourOf(head) } },
          on: { click: () => toggleHead(head) },
        },
        String(head + 1),
      ),
    );
    const all = el("button", { type: "button", class: "quiet", on: { click: () => chooseHeads(heads) } }, "all");
    box.replaceChildren(box.querySelector("legend"), ...toggles, all);
  }

  function toggleHead(head) {
    const others = view.heads.filter((other) => other !== head);
    const next = others.length < view.heads.length ? others : [...others, head].sort((a, b) => a - b);
    if (next.length) setHeads(next);
  }

  const chooseHeads = (number) => setHeads([...Array(number).keys()]);

  function setHeads(heads) {
    view.heads = heads;
    byId("heads").querySelectorAll(".head").forEach((button, head) => {
      button.setAttribute("aria-pressed", heads.includes(head).toString());
    });
    draw();
  }

  function showSides() {
    const leave = () => point(-1, -1);
    for (const [id, side, pointed] of [
      ["queries", STACKS[view.stack].queries, (index) => point(index, -1)],
      ["keys", STACKS[view.stack].keys, (index) => point(-1, index)],
    ]) {
      byId(`${id}-name`).textContent = side[1];
      showTokens(byId(id), tokensOf(side[0]), { label: `Tokens, ${side[1]}`, point: pointed, leave, choose: pointed });
    }
  }

  function showThumbs() {
    const { layers, heads } = weights();
    const grid = byId("thumbs");
    // A row for each layer, if its heads fit.
    grid.style.setProperty("--columns", heads <= 8 ? heads : Math.ceil(heads / 2));
    grid.style.setProperty("--narrow", heads <= 4 ? heads : 4);
    const cells = [...Array(layers).keys()].flatMap((layer) => [...Array(heads).keys()].map((head) => thumb(layer, head)));
    grid.replaceChildren(...cells);
  }

  function thumb(layer, head) {
    const { queries, keys } = weights();
    const canvas = el("canvas", { "aria-hidden": "true" });
    drawThumb(canvas, queries, keys, colourOf(head), (query, key) => weights().at(layer, head, query, key));
    const open = () => {
      view.layer = layer;
      showLayers(weights().layers);
      setHeads([head]);
    };
    return el(
      "button",
      {
        ...{ type: "button", class: "thumb", "data-layer": layer, "data-head": head },
        ...{ "aria-label": `Layer ${layer + 1}, head ${head + 1}`, style: { "--head": colourOf(head) }, on: { click: open } },
      },
      el("span", { class: "thumb-name" }, `layer ${layer + 1}, head ${head + 1}`),
      el("span", { class: "thumb-map" }, canvas, el("i", { class: "thumb-row" })),
      el("span", { class: "thumb-top" }),
    );
  }

  function point(query, key) {
    if (view.query === query && view.key === key) return;
    Object.assign(view, { query, key });
    drawPointed();
  }

  /** Draws what depends on the stack, the layer and the heads. */
  function draw() {
    const { layer, heads } = view;
    const table = weights();
    view.mark = drawMap(byId("map"), {
      rows: tokensOf(STACKS[view.stack].queries[0]).map(tokenLabel),
      columns: tokensOf(STACKS[view.stack].keys[0]).map(tokenLabel),
      colour: heads.length === 1 ? colourOf(heads[0]) : ACCENT,
      weight: (row, column) => table.mean(layer, heads, row, column),
      title: `layer ${layer + 1}, ${heads.length === 1 ? `head ${heads[0] + 1}` : `mean of ${heads.length} heads`}`,
      point,
    });
    for (const each of byId("thumbs").children) {
      const alone = heads.length === 1 && heads[0] === Number(each.dataset.head);
      each.setAttribute("aria-pressed", String(alone && layer === Number(each.dataset.layer)));
    }
    drawPointed();
  }

  /** Draws what depends on the token that is pointed at. */
  function drawPointed() {
    const { layer, heads, query, key } = view;
    const [queryTokens, keyTokens] = [tokensOf(STACKS[view.stack].queries[0]), tokensOf(STACKS[view.stack].keys[0])];
    const table = weights();
    drawLinks(byId("links"), byId("queries"), byId("keys"), {
      lines: linesOf(table, layer, heads, query, key),
      query,
      key,
      shade: (side, index) => shadeOf(table, side, index),
    });
    view.mark(query, key);
    byId("reading").replaceChildren(...readingOf(table, queryTokens, keyTokens));
    updateThumbs(table, keyTokens);
  }

  function linesOf(table, layer, heads, query, key) {
    const lines = [];
    const free = query < 0 && key < 0;
    for (const head of heads) {
      for (let q = 0; q < table.queries; q++) {
        for (let k = 0; k < table.keys; k++) {
          const weight = table.at(layer, head, q, k);
          const shown = free || (query >= 0 ? q === query : k === key);
          if (weight >= (free ? 0.12 : 0.03) && shown) {
            lines.push({ q, k, weight, colour: colourOf(head), shift: head - (table.heads - 1) / 2, faint: free });
          }
        }
      }
    }
    return lines;
  }

  /** Returns how strongly a token is looked at, or looks, while another one is pointed at. */
  function shadeOf(table, side, index) {
    if (side === "keys" && view.query >= 0) return table.mean(view.layer, view.heads, view.query, index);
    if (side === "queries" && view.key >= 0) return table.mean(view.layer, view.heads, index, view.key);
    return 0;
  }

  function readingOf(table, queryTokens, keyTokens) {
    const where = `Layer ${view.layer + 1}`;
    if (view.query >= 0) {
      const by = view.heads.map((head) => ({ head, ...strongest(table.keys, (k) => table.at(view.layer, head, view.query, k)) }));
      const parts = by.map(({ head, index, weight }) =>
        el("span", { class: "read", style: { "--head": colourOf(head) } }, `head ${head + 1}: ${tokenLabel(keyTokens[index])} ${percent(weight)}`),
      );
      return [el("b", {}, `${where}, “${tokenLabel(queryTokens[view.query])}” looks at `), ...parts];
    }
    if (view.key >= 0) {
      const { index, weight } = strongest(table.queries, (q) => table.mean(view.layer, view.heads, q, view.key));
      const reader = tokenLabel(queryTokens[index]);
      return [`${where}: “${tokenLabel(keyTokens[view.key])}” is looked at most by “${reader}” (${percent(weight)}).`];
    }
    return ["Point at a token to see where it looks."];
  }

  function updateThumbs(table, keyTokens) {
    for (const each of byId("thumbs").children) {
      const [layer, head] = [Number(each.dataset.layer), Number(each.dataset.head)];
      const top = view.query < 0 ? null : strongest(table.keys, (k) => table.at(layer, head, view.query, k));
      each.querySelector(".thumb-top").textContent = top ? `→ ${tokenLabel(keyTokens[top.index])} ${percent(top.weight)}` : "";
      const bar = each.querySelector(".thumb-row");
      bar.hidden = view.query < 0;
      bar.style.setProperty("top", `${(100 * Math.max(view.query, 0)) / table.queries}%`);
      bar.style.setProperty("height", `${100 / table.queries}%`);
    }
  }

  /** Points at a token of the translation, in whatever stack is open; -1: at none. */
  function pointAtTarget(index) {
    if (!view.found?.attention) return;
    if (view.stack === "encoder") return;
    // Self-attention is that of the token just read, one before the token to write: both are the same query.
    point(index, -1);
  }

  new ResizeObserver(() => view.found?.attention && drawPointed()).observe(byId("links"));
  return { show, pointAtTarget };
}

function strongest(number, weight) {
  let best = { index: 0, weight: -1 };
  for (let index = 0; index < number; index++) {
    if (weight(index) > best.weight) best = { index, weight: weight(index) };
  }
  return best;
}

/** Fills a fieldset with radio buttons. */
function radios(box, name, values, chosen, label, choose) {
  const held = box.contains(document.activeElement);
  const options = values.map((value) =>
    el(
      "label",
      {},
      el("input", { type: "radio", name, value, checked: value === chosen, on: { change: () => choose(value) } }),
      el("span", {}, String(label(value))),
    ),
  );
  box.replaceChildren(box.querySelector("legend"), ...options);
  if (held) box.querySelector("input:checked")?.focus();
}

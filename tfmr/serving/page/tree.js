// The tree of a beam search, drawn as it grew.

import { byId, el, lessMotion, svg } from "./dom.js";
import { score, tokenLabel } from "./words.js";

const ROW = 46;
const GAP = 34;
const HEIGHT = 34;
const MILLISECONDS = 700;

/** Starts the view; `show(tree, beamSize)` shows a tree and plays its growth. */
export function startTreeView() {
  const view = { nodes: [], outputs: [], best: new Set(), shapes: [], steps: 0, step: 0, timer: 0, columns: [] };

  function show(tree, beamSize) {
    pause();
    Object.assign(view, tree, { beamSize });
    view.steps = Math.max(0, ...view.nodes.map((node) => node.depth));
    view.best = new Set(view.outputs.length ? pathOf(view.outputs[0]) : []);
    byId("tree-step").max = view.steps;
    draw();
    if (lessMotion()) goTo(view.steps);
    else play(0);
  }

  /** Returns the indices of the nodes from the first token to a node. */
  function pathOf(index) {
    const path = [];
    for (let at = index; at >= 0; at = view.nodes[at].parent) path.unshift(at);
    return path;
  }

  function draw() {
    view.columns = columnsOf(view.nodes, view.steps);
    const rows = Math.max(0, ...view.nodes.map((node) => node.row)) + 1;
    const [width, height] = [view.columns.at(-1).right + 16, ROW * rows + 12];
    const start = { x: 12, width: view.columns[0].right - 12, y: 8 };
    const lines = svg("g", {});
    const boxes = svg("g", {}, box(start, "start", "", "start"));
    view.shapes = view.nodes.map((node, index) => {
      const place = placeOf(node);
      const from = node.parent < 0 ? start : placeOf(view.nodes[node.parent]);
      const p = Math.exp(node.log_prob - (node.parent < 0 ? 0 : view.nodes[node.parent].log_prob));
      const line = edge(from, place, p);
      const below = score(node.score ?? node.log_prob);
      const shape = box(place, tokenLabel(node.token), below, kindOf(node, index));
      shape.addEventListener("pointerenter", () => light(index));
      shape.addEventListener("pointerleave", () => light(-1));
      lines.append(line);
      boxes.append(shape);
      return { line, shape };
    });
    const drawing = svg("svg", { width, height, role: "img", "aria-label": "Tree of the beam search" }, lines, boxes);
    byId("tree").replaceChildren(drawing);
    byId("tree").scrollLeft = 0;
  }

  const kindOf = (node, index) => {
    if (node.score !== null) return view.outputs[0] === index ? "ended first" : "ended";
    return view.best.has(index) ? "best" : "";
  };

  function placeOf(node) {
    const column = view.columns[node.depth];
    const width = widthOf(node);
    return { x: column.left, width, y: 8 + ROW * node.row };
  }

  /** Shows the search after a number of steps. */
  function goTo(step) {
    view.step = Math.min(Math.max(step, 0), view.steps);
    byId("tree-step").value = view.step;
    byId("tree-label").textContent = `step ${view.step} of ${view.steps}`;
    const done = view.step === view.steps;
    const continued = new Set();
    for (const node of view.nodes) if (node.depth <= view.step) continued.add(node.parent);
    view.nodes.forEach((node, index) => {
      const { line, shape } = view.shapes[index];
      const isThere = node.depth <= view.step;
      const isAlive = node.depth === view.step || node.score !== null || continued.has(index);
      for (const part of [line, shape]) {
        part.classList.toggle("later", !isThere);
        part.classList.toggle("dropped", isThere && !isAlive);
        part.classList.toggle("now", isThere && node.depth === view.step && node.score === null);
        part.classList.toggle("won", done && view.best.has(index));
      }
    });
    follow();
    listBeam(done);
  }

  /** Scrolls so that the newest tokens are visible. */
  function follow() {
    const box = byId("tree");
    const right = view.columns[view.step].right + 40;
    if (right > box.scrollLeft + box.clientWidth) box.scrollTo({ left: right - box.clientWidth });
    else if (view.columns[view.step].left < box.scrollLeft) box.scrollTo({ left: view.columns[view.step].left - 20 });
  }

  function listBeam(done) {
    const held = view.nodes
      .map((node, index) => ({ node, index }))
      .filter(({ node }) => (node.score === null && node.depth === view.step) || (node.score !== null && node.depth <= view.step));
    const shown = done ? view.outputs.map((index) => ({ node: view.nodes[index], index })) : held;
    byId("beam-title").textContent = done ? "What it found" : view.step === 0 ? "It starts with nothing" : "The beam now, and what is finished";
    byId("beam").replaceChildren(
      ...shown.map(({ node, index }) =>
        el(
          "li",
          { class: node.score !== null ? "ended" : "", on: { pointerenter: () => light(index), pointerleave: () => light(-1) } },
          el("span", {}, textOf(index)),
          el("span", { class: "score" }, node.score !== null ? `finished, score ${score(node.score)}` : score(node.log_prob)),
        ),
      ),
    );
  }

  const textOf = (index) =>
    pathOf(index)
      .map((at) => view.nodes[at].token)
      .filter((token) => !token.special)
      .map((token) => token.text)
      .join("")
      .trim() || "(nothing)";

  /** Highlights the hypothesis of a node; -1: none. */
  function light(index) {
    const path = new Set(index < 0 ? [] : pathOf(index));
    view.shapes.forEach(({ line, shape }, at) => {
      line.classList.toggle("lit", path.has(at));
      shape.classList.toggle("lit", path.has(at));
    });
  }

  function play(from) {
    goTo(from);
    byId("tree-play").textContent = "Pause";
    view.timer = setInterval(() => {
      if (view.step >= view.steps) pause();
      else goTo(view.step + 1);
    }, MILLISECONDS);
  }

  function pause() {
    clearInterval(view.timer);
    view.timer = 0;
    byId("tree-play").textContent = "Play";
  }

  byId("tree-play").addEventListener("click", () => {
    if (view.timer) pause();
    else play(view.step >= view.steps ? 0 : view.step);
  });
  const move = (step) => {
    pause();
    goTo(step());
  };
  byId("tree-back").addEventListener("click", () => move(() => view.step - 1));
  byId("tree-next").addEventListener("click", () => move(() => view.step + 1));
  byId("tree-step").addEventListener("input", () => move(() => Number(byId("tree-step").value)));
  return { show };
}

const widthOf = (node) => Math.max(8.4 * [...tokenLabel(node.token)].length + 18, 52);

/** Returns the left and right ends of the column of each depth; that of depth 0 holds the start. */
function columnsOf(nodes, steps) {
  const columns = [{ left: 12, right: 66 }];
  for (let depth = 1; depth <= steps; depth++) {
    const left = columns[depth - 1].right + GAP;
    const widest = Math.max(...nodes.filter((node) => node.depth === depth).map(widthOf));
    columns.push({ left, right: left + widest });
  }
  return columns;
}

function box({ x, y, width }, text, below, kind) {
  const middle = x + width / 2;
  return svg(
    "g",
    { class: `node ${kind}` },
    svg("rect", { x, y, width, height: HEIGHT, rx: 9 }),
    svg("text", { x: middle, y: y + (below ? 15 : 22) }, text),
    below ? svg("text", { class: "small", x: middle, y: y + 28 }, below) : null,
  );
}

function edge(from, to, p) {
  const [x1, y1, x2, y2] = [from.x + from.width, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
  const bend = Math.min(Math.max((x2 - x1) / 2, 14), 40);
  return svg("path", {
    class: "edge",
    d: `M${x1} ${y1}C${x2 - GAP + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`,
    "stroke-width": (0.8 + 4.5 * Math.min(p, 1)).toFixed(2),
  });
}

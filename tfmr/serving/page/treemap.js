// Areas as large as numbers of parameters, in three groups: embeddings, encoder, decoder.

import { el, svg } from "./dom.js";
import { large } from "./words.js";

const KINDS = [
  [/self_attention|recurrence/, "self-attention"],
  [/cross_attention/, "cross-attention"],
  [/feed_forward/, "feed-forward"],
  [/embedding|positions|output_bias/, "embeddings"],
  [/norms/, "norms"],
];

/** Draws the parts of a model; `say(part)` is called with the part that is pointed at, or null. */
export function drawTreemap(figure, parts, say) {
  const width = figure.clientWidth;
  if (width === 0) return;
  const height = Math.round(width > 600 ? 0.46 * width : 1.15 * width);
  const leaves = Object.entries(parts).map(([path, size]) => ({ path, size, name: nameOf(path), kind: kindOf(path) }));
  const groups = new Map();
  for (const leaf of leaves) {
    const group = /^(encoder|decoder)\//.exec(leaf.path)?.[1] ?? "embeddings";
    groups.set(group, [...(groups.get(group) ?? []), leaf]);
  }
  const areas = [...groups].map(([name, list]) => ({ name, list, size: list.reduce((sum, leaf) => sum + leaf.size, 0) }));
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
  for (const [area, box] of squarify(areas, { x: 0, y: 0, width, height })) {
    const inner = { x: box.x + 2, y: box.y + 24, width: Math.max(box.width - 4, 1), height: Math.max(box.height - 26, 1) };
    drawing.append(svg("text", { class: "group", x: box.x + 4, y: box.y + 16 }, `${area.name} · ${large(area.size)}`));
    for (const [leaf, place] of squarify(area.list, inner)) drawing.append(tile(leaf, place, say));
  }
  const used = KINDS.map(([, name]) => name).filter((name) => leaves.some((leaf) => leaf.kind === name));
  const legend = el("figcaption", {}, ...used.map((name) => el("span", { class: `key ${name}` }, name)));
  figure.replaceChildren(drawing, legend);
}

const kindOf = (path) => KINDS.find(([pattern]) => pattern.test(path))?.[1] ?? "embeddings";
const nameOf = (path) => path.replace(/_/g, " ").replace(/\//g, ", ");

function tile(leaf, { x, y, width, height }, say) {
  const last = leaf.path.split("/").at(-1).replace(/_/g, " ");
  const fits = width > 7 * last.length + 8 && height > 18;
  const number = large(leaf.size);
  const fitsNumber = fits && height > 38 && width > 7 * number.length + 8;
  return svg(
    "g",
    {
      ...{ class: `tile ${leaf.kind}`, tabindex: "0", role: "img", "aria-label": `${leaf.name}: ${number} parameters` },
      on: { pointerenter: () => say(leaf), focus: () => say(leaf), pointerleave: () => say(null), blur: () => say(null) },
    },
    svg("rect", { x: x + 1, y: y + 1, width: Math.max(width - 2, 0.5), height: Math.max(height - 2, 0.5), rx: 5 }),
    fits ? svg("text", { x: x + 8, y: y + 17 }, last) : null,
    fitsNumber ? svg("text", { class: "small", x: x + 8, y: y + 33 }, number) : null,
  );
}

/** Returns [item, box] for each item: boxes that fill a box, in areas proportional to `size`, as square as they can be. */
function squarify(items, box) {
  const total = items.reduce((sum, item) => sum + item.size, 0);
  const scale = (box.width * box.height) / Math.max(total, 1);
  const left = [...items].sort((a, b) => b.size - a.size);
  const free = { ...box };
  const placed = [];
  while (left.length) {
    const side = Math.min(free.width, free.height);
    const row = [left.shift()];
    while (left.length && worst([...row, left[0]], side, scale) <= worst(row, side, scale)) row.push(left.shift());
    const area = row.reduce((sum, item) => sum + item.size, 0) * scale;
    const thick = area / Math.max(side, 1e-9);
    const isColumn = free.width >= free.height;
    let along = isColumn ? free.y : free.x;
    for (const item of row) {
      const length = (item.size * scale) / Math.max(thick, 1e-9);
      placed.push([
        item,
        isColumn
          ? { x: free.x, y: along, width: thick, height: length }
          : { x: along, y: free.y, width: length, height: thick },
      ]);
      along += length;
    }
    if (isColumn) Object.assign(free, { x: free.x + thick, width: free.width - thick });
    else Object.assign(free, { y: free.y + thick, height: free.height - thick });
  }
  return placed;
}

/** Returns the worst ratio of sides if items share a row along a side. */
function worst(items, side, scale) {
  const thick = (items.reduce((sum, item) => sum + item.size, 0) * scale) / side;
  return Math.max(...items.map(({ size }) => Math.max(thick ** 2 / (size * scale), (size * scale) / thick ** 2)));
}

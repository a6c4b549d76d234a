// Curves between two lists of tokens: one above the other on a wide screen, side by side on a narrow one.

import { svg } from "./dom.js";

/**
 * Draws links over a figure. `lines` have: q and k, the indices of the tokens that they join, weight, colour, shift (in
 * steps from the middle, so that the lines of different heads can be told apart) and faint. `shade(side, index)` is
 * how much of the accent a token gets.
 */
export function drawLinks(figure, queries, keys, { lines, query, key, shade }) {
  figure.querySelector("svg")?.remove();
  const frame = figure.getBoundingClientRect();
  if (frame.width === 0) return;
  const boxes = { queries: boxesOf(queries, frame), keys: boxesOf(keys, frame) };
  const beside = boxes.keys[0] && boxes.queries[0] && getComputedStyle(figure).flexDirection === "row";
  const drawing = svg("svg", { width: frame.width, height: frame.height, "aria-hidden": "true" });
  for (const line of [...lines].sort((a, b) => a.weight - b.weight)) {
    const [from, to] = [boxes.queries[line.q], boxes.keys[line.k]];
    if (from && to) drawing.append(curve(from, to, line, beside));
  }
  figure.prepend(drawing);
  for (const [side, container] of [["queries", queries], ["keys", keys]]) {
    for (const token of container.querySelectorAll(".token")) {
      const index = Number(token.dataset.index);
      token.style.setProperty("--look", shade(side, index).toFixed(3));
      token.classList.toggle("pointed", index === (side === "queries" ? query : key));
    }
  }
}

function boxesOf(container, frame) {
  return [...container.querySelectorAll(".token")].map((token) => {
    const box = token.getBoundingClientRect();
    return {
      left: box.left - frame.left,
      right: box.right - frame.left,
      top: box.top - frame.top,
      bottom: box.bottom - frame.top,
      x: (box.left + box.right) / 2 - frame.left,
      y: (box.top + box.bottom) / 2 - frame.top,
    };
  });
}

function curve(from, to, { weight, colour, shift, faint }, beside) {
  const [dx, dy] = beside ? [0, 1.6 * shift] : [2.4 * shift, 0];
  const [x1, y1] = beside ? [from.right, from.y + dy] : [from.x + dx, from.bottom];
  const [x2, y2] = beside ? [to.left, to.y + dy] : [to.x + dx, to.top];
  const bend = beside ? (x2 - x1) / 2 : (y2 - y1) / 2;
  const path = beside
    ? `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
    : `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
  return svg("path", {
    d: path,
    stroke: colour,
    "stroke-width": (0.8 + 4.5 * weight).toFixed(2),
    opacity: (faint ? 0.06 + 0.4 * weight : 0.25 + 0.75 * weight).toFixed(2),
  });
}

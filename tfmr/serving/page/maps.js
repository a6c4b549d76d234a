// Attention weights as maps: a row for each token that looks, a column for each that is looked at.

import { el, svg } from "./dom.js";

const CELL = 24;
const LETTER = 7.2;
const LONGEST = 14;

/** Paints weights into a canvas of one pixel for each. */
function paint(canvas, rows, columns, colour, weight) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      // The root makes small weights visible.
      image.data.set([red, green, blue, 255 * Math.sqrt(weight(row, column))], 4 * (row * columns + column));
    }
  }
  context.putImageData(image, 0, 0);
}

/** Draws a small map. */
export function drawThumb(canvas, rows, columns, colour, weight) {
  paint(canvas, rows, columns, colour, weight);
}

/**
 * Draws a large map with labels into a figure; `point(row, column)` is called as the pointer moves, with -1 outside.
 * Returns a function that marks a row and a column; -1: none.
 */
export function drawMap(figure, { rows, columns, colour, weight, title, point }) {
  const left = LETTER * Math.max(...rows.map(shownLength)) + 12;
  const top = 0.75 * LETTER * Math.max(...columns.map(shownLength)) + 16;
  const [width, height] = [CELL * columns.length, CELL * rows.length];
  const right = 0.7 * LETTER * shownLength(columns.at(-1) ?? "") + 4;
  const canvas = el("canvas");
  paint(canvas, rows.length, columns.length, colour, weight);
  const names = [
    rows.map((text, index) => rowLabel(text, left - 6, top + CELL * (index + 0.5) + 4)),
    columns.map((text, index) => columnLabel(text, left + CELL * (index + 0.5) + 4, top - 6)),
  ];
  const frames = [
    svg("rect", { class: "map-line", x: left, width, height: CELL }),
    svg("rect", { class: "map-line", y: top, width: CELL, height }),
  ];
  const drawing = svg(
    "svg",
    {
      viewBox: `0 0 ${left + width + right} ${top + height + 2}`,
      style: { "max-width": `${left + width + right}px` },
      role: "img",
      "aria-label": `Map of the attention weights, ${title}`,
    },
    svg("rect", { class: "map-frame", x: left, y: top, width, height }),
    svg("image", { href: canvas.toDataURL(), x: left, y: top, width, height, preserveAspectRatio: "none" }),
    ...names.flat(),
    ...frames,
  );
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale - left, (event.clientY - box.top) * scale - top];
    const inside = x < width && y >= 0 && y < height;
    point(inside ? Math.floor(y / CELL) : -1, inside && x >= 0 ? Math.floor(x / CELL) : -1);
  });
  drawing.addEventListener("pointerleave", () => point(-1, -1));
  figure.replaceChildren(el("figcaption", {}, title), drawing);
  return (row, column) => {
    frames[0].setAttribute("y", top + CELL * row);
    frames[1].setAttribute("x", left + CELL * column);
    [row, column].forEach((marked, axis) => {
      frames[axis].classList.toggle("shown", marked >= 0);
      names[axis].forEach((label, index) => label.classList.toggle("pointed", index === marked));
    });
  };
}

const rowLabel = (text, x, y) => svg("text", { x, y, "text-anchor": "end" }, short(text));
const columnLabel = (text, x, y) => svg("text", { transform: `translate(${x} ${y}) rotate(-50)` }, short(text));

const shownLength = (text) => Math.min([...text].length, LONGEST);
const short = (text) => ([...text].length > LONGEST ? `${[...text].slice(0, LONGEST - 1).join("")}…` : text);

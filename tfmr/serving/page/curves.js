// Learning curves, one picture for each quantity.

import { el, svg } from "./dom.js";
import { whole } from "./words.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [340, 200, 46, 12, 10, 26];

/** Draws all panels into a container. */
export function drawCurves(container, panels) {
  container.replaceChildren(...panels.map(panelFigure));
}

function panelFigure(panel) {
  const lines = [panel.training, panel.validation].filter((line) => line && line.steps.length);
  const scale = scaleOf(lines, panel.logarithmic);
  const drawing = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": `${panel.title}: ${lines.map(summary).join("; ")}`,
  });
  for (const value of ticks(scale.low, scale.high, panel.logarithmic)) {
    const y = scale.y(value);
    drawing.append(
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }),
      svg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, compact(value)),
    );
  }
  for (const step of [0, scale.last / 2, scale.last]) {
    const anchor = step === 0 ? "start" : step === scale.last ? "end" : "middle";
    drawing.append(svg("text", { x: scale.x(step), y: HEIGHT - 8, "text-anchor": anchor }, compact(Math.round(step))));
  }
  if (panel.training?.steps.length) {
    const { steps, values } = panel.training;
    drawing.append(svg("path", { class: "raw", d: pathOf(steps, values, scale) }));
    drawing.append(svg("path", { class: "trained", d: pathOf(steps, smooth(values), scale) }));
  }
  if (panel.validation?.steps.length) {
    const { steps, values } = panel.validation;
    drawing.append(svg("path", { class: "evaluated", d: pathOf(steps, values, scale) }));
    steps.forEach((step, index) =>
      drawing.append(svg("circle", { class: "evaluated", cx: scale.x(step), cy: scale.y(values[index]), r: 3.2 })),
    );
  }
  const reading = el("p", { class: "score" }, lines.map(summary).join(" · "));
  readAtPointer(drawing, panel, scale, reading);
  return el("figure", {}, el("figcaption", {}, panel.title), drawing, reading);
}

/** Shows the values at the step under the pointer. */
function readAtPointer(drawing, panel, scale, reading) {
  const usual = reading.textContent;
  const marker = svg("line", { class: "marker", y1: TOP, y2: HEIGHT - BOTTOM });
  drawing.append(marker);
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const step = scale.step(((event.clientX - box.left) / box.width) * WIDTH);
    const parts = [["training", panel.training], ["validation", panel.validation]]
      .filter(([, line]) => line?.steps.length)
      .map(([name, line]) => {
        const index = nearestIndex(line.steps, step);
        return `${name} ${compact(line.values[index])} at step ${whole(line.steps[index])}`;
      });
    for (const end of ["x1", "x2"]) marker.setAttribute(end, scale.x(Math.min(Math.max(step, 0), scale.last)));
    marker.classList.add("shown");
    reading.textContent = parts.join(" · ");
  });
  drawing.addEventListener("pointerleave", () => {
    marker.classList.remove("shown");
    reading.textContent = usual;
  });
}

const nearestIndex = (steps, step) =>
  steps.reduce((best, each, index) => (Math.abs(each - step) < Math.abs(steps[best] - step) ? index : best), 0);

const summary = (line) => `from ${compact(line.values[0])} to ${compact(line.values.at(-1))}`;

function scaleOf(lines, logarithmic) {
  const values = lines.flatMap((line) => line.values).filter((value) => !logarithmic || value > 0);
  const last = Math.max(1, ...lines.map((line) => line.steps.at(-1)));
  const change = logarithmic ? Math.log : (value) => value;
  // A few wild steps at the beginning must not flatten the rest.
  const sorted = [...values].sort((a, b) => a - b);
  let [low, high] = [sorted[0], sorted[Math.min(sorted.length - 1, Math.ceil(0.995 * sorted.length))]];
  if (!(high > low)) [low, high] = logarithmic ? [low / 2, low * 2] : [low - 1, low + 1];
  if (!logarithmic && low > 0 && low < 0.5 * high) low = 0;
  const [from, to] = [change(low), change(high)];
  const inner = [WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
  return {
    ...{ low, high, last },
    x: (step) => LEFT + (inner[0] * step) / last,
    step: (x) => ((x - LEFT) / inner[0]) * last,
    y: (value) => TOP + inner[1] * (1 - Math.min(Math.max((change(logarithmic ? Math.max(value, 1e-30) : value) - from) / (to - from), 0), 1)),
  };
}

function pathOf(steps, values, scale) {
  return `M${steps.map((step, index) => `${scale.x(step).toFixed(1)} ${scale.y(values[index]).toFixed(1)}`).join("L")}`;
}

/** Returns the mean of a window around each value, a fiftieth of all values wide. */
function smooth(values) {
  const half = Math.floor(values.length / 100);
  return values.map((_, index) => {
    const near = values.slice(Math.max(index - half, 0), index + half + 1);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

function ticks(low, high, logarithmic) {
  if (logarithmic && high / low > 8) {
    const all = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const first of [1, 2, 5]) all.push(first * 10 ** power);
    }
    const inside = all.filter((value) => value >= low && value <= high);
    return inside.length > 4 ? inside.filter((_, index) => index % Math.ceil(inside.length / 4) === 0) : inside;
  }
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let value = Math.ceil(low / size) * size; value <= high + 1e-9 * size; value += size) found.push(value);
  return found;
}

function compact(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  if (size >= 0.001) return String(+value.toPrecision(3));
  return value.toExponential(0);
}

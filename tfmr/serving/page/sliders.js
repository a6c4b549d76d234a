// Sliders over a few values.

import { el } from "./dom.js";

/**
 * Adds a slider to a container; returns an object whose `value` is the chosen one. `changed()` is called while it moves.
 */
export function addSlider(container, { id, label, values, value, show = String, changed }) {
  const nearest = values.reduce((best, each) => (Math.abs(each - value) < Math.abs(best - value) ? each : best));
  const output = el("output", { for: id }, show(nearest));
  const input = el("input", {
    ...{ id, type: "range", min: 0, max: values.length - 1, step: 1 },
    ...{ value: values.indexOf(nearest), "aria-valuetext": show(nearest) },
    on: {
      input: () => {
        slider.value = values[Number(input.value)];
        output.textContent = show(slider.value);
        input.setAttribute("aria-valuetext", show(slider.value));
        changed(slider.value);
      },
    },
  });
  const slider = { value: nearest };
  container.append(el("div", { class: "slider" }, el("label", { for: id }, label), output, input));
  return slider;
}

// Elements, and small things that several views need.

/** Returns the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Returns a new element. `on` has listeners, `style` CSS properties; other properties are attributes. */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Returns a new SVG element; see `el`. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "style") {
      for (const [property, set] of Object.entries(value)) element.style.setProperty(property, set);
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Shows a message in an alert, or hides the alert if there is none. */
export function say(alert, message) {
  alert.textContent = message ?? "";
  alert.hidden = !message;
}

/** Returns a function that runs another one only when it has not been called for some milliseconds. */
export function debounced(milliseconds, run) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...args), milliseconds);
  };
}

/** Lets the arrow keys, Home and End move the focus among the items of a container; Tab leaves it. */
export function roving(container, items) {
  const all = () => [...container.querySelectorAll(items)];
  const settle = () => all().forEach((item, index) => item.setAttribute("tabindex", index === 0 ? "0" : "-1"));
  container.addEventListener("keydown", (event) => {
    const list = all();
    const here = list.indexOf(document.activeElement);
    const steps = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1 };
    const there = { ...steps, Home: 0, End: list.length - 1 }[event.key];
    if (here < 0 || there === undefined) return;
    event.preventDefault();
    list[Math.min(Math.max(there, 0), list.length - 1)].focus();
  });
  container.addEventListener("focusin", (event) => {
    const item = event.target.closest(items);
    if (!item || item.getAttribute("tabindex") === "0") return;
    all().forEach((other) => other.setAttribute("tabindex", other === item ? "0" : "-1"));
  });
  settle();
}

/** Whether the reader asked for less motion. */
export const lessMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

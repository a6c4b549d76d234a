// A row of tokens that can be pointed at, focused and chosen.

import { el, roving } from "./dom.js";
import { isJoined, percent, tokenLabel } from "./words.js";

/**
 * Fills a container with tokens. `options`: label, the name of the row; point(index) and leave() while the pointer or
 * the focus is on a token; choose(index); probabilities: whether to colour the tokens by their log-probability;
 * given: the number of first tokens that were imposed.
 */
export function showTokens(container, tokens, options) {
  const row = el("div", { class: "tokens", role: "toolbar", "aria-label": options.label });
  tokens.forEach((token, index) => row.append(tokenButton(tokens, index, options)));
  container.replaceChildren(row);
  roving(row, ".token");
}

function tokenButton(tokens, index, { point, leave, choose, probabilities, given = 0 }) {
  const token = tokens[index];
  const classes = ["token"];
  if (token.special) classes.push("special");
  if (isJoined(tokens, index)) classes.push("joined");
  if (probabilities) classes.push(index < given ? "given" : "rated");
  const on = {};
  if (point) Object.assign(on, { pointerenter: () => point(index), focus: () => point(index) });
  if (leave) Object.assign(on, { pointerleave: leave, blur: leave });
  if (choose) on.click = () => choose(index);
  const p = Math.exp(token.log_prob ?? 0);
  const said = probabilities ? `${tokenLabel(token)}, ${index < given ? "imposed" : percent(p)}` : tokenLabel(token);
  const style = probabilities ? { "--p": p.toFixed(3) } : {};
  return el(
    "button",
    { type: "button", class: classes.join(" "), "data-index": index, "aria-label": said, on, style },
    el("span", {}, tokenLabel(token)),
  );
}

/** Marks one token of a row as the chosen one; -1: none. */
export function markToken(container, index) {
  for (const token of container.querySelectorAll(".token")) {
    token.classList.toggle("chosen", Number(token.dataset.index) === index);
  }
}

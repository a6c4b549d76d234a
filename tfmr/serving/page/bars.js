// Probabilities of tokens as bars that can be chosen.

import { el, roving } from "./dom.js";
import { percent, tokenLabel } from "./words.js";

/**
 * Fills a container with a bar for each token. `rows` have: token, p, chosen, cut (whether sampling excludes it).
 * `rest` is the probability of all other tokens; `choose(token)` is called with the one that is pressed.
 */
export function showBars(container, rows, { label, rest, choose }) {
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  const list = el("div", { class: "bars", role: "toolbar", "aria-label": label, "aria-orientation": "vertical" });
  // Where no token has a space before it, as with letters, there is no word to continue.
  const hasWords = rows.some(({ token }) => /^\s\S/.test(token.text));
  for (const { token, p, chosen, cut } of rows) {
    const classes = `bar${chosen ? " chosen" : ""}${cut ? " cut" : ""}${token.special ? " special" : ""}`;
    list.append(
      el(
        "button",
        {
          type: "button",
          class: classes,
          "data-id": token.id,
          "aria-pressed": Boolean(chosen).toString(),
          "aria-label": `${tokenLabel(token)}, ${percent(p)}${cut ? ", excluded" : ""}`,
          style: { "--p": p.toFixed(4) },
          on: { click: () => choose(token) },
        },
        el(
          "span",
          { class: "bar-text" },
          hasWords && continues(token) ? el("span", { class: "continues", "aria-hidden": "true" }, "…") : null,
          tokenLabel(token),
        ),
        el("span", { class: "bar-track" }, el("i", {})),
        el("span", { class: "bar-value" }, percent(p)),
      ),
    );
  }
  const others = el("p", { class: "others" }, `all other tokens together: ${percent(Math.max(rest, 0))}`);
  container.replaceChildren(list, others);
  roving(list, ".bar");
  if (focused !== null) list.querySelector(`[data-id="${focused}"]`)?.focus();
}

/** Whether a token continues a word, so that "in" and " in" can be told apart. */
const continues = (token) => !token.special && !/^\s/.test(token.text);

// The frame of the page: the tabs, the choice of a model, and the switch between light and dark.

import { get } from "./api.js";
import { byId, el, say } from "./dom.js";
import { startModelView } from "./model.js";
import { startSearchView } from "./search.js";
import { startTextView } from "./text.js";
import { startTranslateView } from "./translate.js";

const TABS = ["translate", "search", "text", "model"];
const KINDS = { translate: ["translation"], search: ["translation"], text: ["language_model"] };
const MISSING = {
  translation: "No translation model is served here. Start one with “tfmr serve RUN”.",
  language_model: "No language model is served here. Serve one together with the others: “tfmr serve RUN RUN”.",
};
const state = { tab: "", models: [], chosen: {}, views: {} };

function kindsOf(tab) {
  return KINDS[tab] ?? ["translation", "language_model"];
}

/** Returns the models that a tab can show. */
function modelsOf(tab) {
  return state.models.filter((model) => kindsOf(tab).includes(model.kind));
}

function openTab(name) {
  state.tab = name;
  for (const each of TABS) {
    const selected = each === name;
    const tab = byId(`tab-${each}`);
    tab.setAttribute("aria-selected", String(selected));
    tab.setAttribute("tabindex", selected ? "0" : "-1");
    byId(`${each}-panel`).hidden = !selected;
  }
  offerModels();
  showModel();
}

/** Fills the choice of models with those of the open tab. */
function offerModels() {
  const models = modelsOf(state.tab);
  const chosen = chosenModel();
  byId("model").replaceChildren(
    ...models.map((model) =>
      el("option", { value: state.models.indexOf(model), selected: model === chosen }, model.name),
    ),
  );
  byId("model-pick").hidden = models.length < 2;
}

/** Returns the model that was chosen for the open tab, or the first one. Tabs for the same kind share their choice. */
function chosenModel() {
  return state.chosen[kindsOf(state.tab).join()] ?? modelsOf(state.tab)[0] ?? null;
}

function showModel() {
  const model = chosenModel();
  const missing = byId(`${state.tab}-panel`).querySelector(".missing");
  if (missing) {
    missing.hidden = model !== null;
    missing.textContent = model === null ? MISSING[kindsOf(state.tab)[0]] : "";
    byId(`${state.tab}-panel`).querySelector(".present").hidden = model === null;
  }
  if (model) state.views[state.tab].show(model);
}

function startTabs() {
  const list = document.querySelector("[role=tablist]");
  for (const name of TABS) byId(`tab-${name}`).addEventListener("click", () => (location.hash = name));
  list.addEventListener("keydown", (event) => {
    const here = TABS.indexOf(state.tab);
    const there = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (there === undefined) return;
    event.preventDefault();
    location.hash = TABS[(there + TABS.length) % TABS.length];
    byId(`tab-${TABS[(there + TABS.length) % TABS.length]}`).focus();
  });
  const open = () => openTab(TABS.includes(location.hash.slice(1)) ? location.hash.slice(1) : state.tab || TABS[0]);
  addEventListener("hashchange", open);
  byId("model").addEventListener("change", (event) => {
    state.chosen[kindsOf(state.tab).join()] = state.models[Number(event.target.value)];
    showModel();
  });
  open();
}

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = byId("theme");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-checked", String(isDark()));
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // Then it holds until the page is closed.
    }
    show();
  });
  dark.addEventListener("change", show);
  show();
}

async function start() {
  startTheme();
  try {
    const { models, choices } = await get("page/models");
    state.models = models;
    state.views = {
      translate: startTranslateView(),
      search: startSearchView(choices),
      text: startTextView(choices),
      model: startModelView(),
    };
    startTabs();
    document.documentElement.dataset.ready = "true";
  } catch (error) {
    say(byId("start-error"), `The page could not start: ${error.message}`);
  }
}

start();

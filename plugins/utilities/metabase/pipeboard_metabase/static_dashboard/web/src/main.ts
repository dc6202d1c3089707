/** The page: header, navigation, one dashboard at a time. */

import type { Chart } from "./chart";
import type { View } from "./cardview";
import { view } from "./cardview";
import type { Filters, State } from "./address";
import { go, read, write } from "./address";
import { dealList, opener } from "./deals";
import { element } from "./dom";
import type { Chosen } from "./engine";
import { Engine, isSet } from "./engine";
import { filterBar } from "./filterbar";
import { ago, Formats } from "./format";
import type { Context } from "./frame";
import { readPalette } from "./palette";
import { grainOf, isPeriod, rangeOf, runningStarts } from "./period";
import type { Card, Dashboard, Lang, Page } from "./types";
import { firstLanguage, Translations } from "./translations";

const STALE_HOURS = 24;
type Theme = "light" | "dark";

const page = JSON.parse(document.getElementById("page-data")?.textContent ?? "{}") as Page;
/** Found before the first drawing, which takes them out of the document. */
const carried = {
  "page-engine": document.getElementById("page-engine"),
  "page-database": document.getElementById("page-database"),
  "page-lists": document.getElementById("page-lists"),
};
const remembered = store();
let lang = firstLanguage(remembered.get("lang"), navigator.languages);
let charts: Chart[] = [];
/** Null until it is loaded: most readers never filter, and the page opens without it. */
let engine: Engine | null = null;
let loading: Promise<void> | null = null;
let cannotFilter = false;
let shownView: string | null = null;
let shownContext: Context | null = null;
let shownDashboard: string | null = null;

function start(): void {
  const theme = remembered.get("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  show(false);
  addEventListener("hashchange", () => show(true));
  if (page.choices) whenIdle(() => void load());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(false));
  let width = innerWidth;
  let waiting = 0;
  addEventListener("resize", () => {
    // On phones the address bar comes and goes; only another width is another page.
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => show(false), 120);
  });
}

/** Load what the page filters with; where the browser cannot, filters are taken back, with a message. */
function load(): Promise<void> {
  loading ??= Promise.all([unpacked("page-engine"), unpacked("page-database")])
    .then(([program, file]) => Engine.open(program, file, () => unpacked("page-lists")))
    .then((opened) => {
      engine = opened;
    })
    .catch(() => {
      page.choices = null;
      cannotFilter = true;
      if (hasFilters(read(location.hash))) go((state) => Object.assign(state.filters, NO_FILTERS));
    });
  return loading;
}

const NO_FILTERS = { period: null, grain: null, pipeline: [], owner: [], team: [] };

function hasFilters({ filters }: State): boolean {
  return (["period", "grain", "pipeline", "owner", "team"] as const).some((key) => isSet(filters, key));
}

/** What an element of the file carries, unpacked. */
async function unpacked(id: keyof typeof carried): Promise<ArrayBuffer> {
  const text = carried[id]?.textContent ?? "";
  const characters = atob(text);
  const packed = new Uint8Array(characters.length);
  for (let at = 0; at < packed.length; at += 1) packed[at] = characters.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  carried[id] = null;
  return bytes;
}

function whenIdle(work: () => void): void {
  if ("requestIdleCallback" in window) requestIdleCallback(work, { timeout: 2_000 });
  else setTimeout(work, 200);
}

/** What the address says, without what is no choice of this page. */
function stateNow(): State {
  const state = read(location.hash);
  const { filters } = state;
  if (!page.choices) Object.assign(filters, NO_FILTERS);
  if (filters.period !== null && !isPeriod(filters.period)) filters.period = null;
  return state;
}

function chosenOf(filters: Filters): Chosen {
  return { ...filters, grain: filters.grain ?? "month", period: rangeOf(filters.period, page.meta) };
}

/** A card as the filters have it. */
function filtered(original: Card, { filters }: State): Card {
  const grain = grainOf(original, filters.grain);
  const columns = original.columns.map(({ name, format }) => ({ name, format: format === "period" ? grain : format }));
  const card = { ...original, columns };
  if (!engine || card.query === null || !card.filters.some((key) => isSet(filters, key))) return card;
  try {
    const rows = engine.rowsOf(card, chosenOf(filters));
    return { ...card, rows: rows.slice(0, page.mostRows), cut: rows.length > page.mostRows };
  } catch (error) {
    return { ...card, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Draw everything anew; `moved` tells that the address is another one. */
function show(moved: boolean): void {
  const state = stateNow();
  if (page.choices && !engine && hasFilters(state)) {
    // Figures without the filters of the address would be taken for filtered ones.
    document.body.setAttribute("aria-busy", "true");
    if (shownView === null) {
      const translations = new Translations(page.translations, lang);
      document.documentElement.lang = translations.locale;
      document.body.replaceChildren(
        element("main", { class: "loading" }, element("p", { role: "status" }, translations.text("page.loading"))),
      );
    }
    void load().then(() => show(moved));
    return;
  }
  document.body.removeAttribute("aria-busy");
  const view = write({ ...state, listed: null, sort: {}, find: {} });
  if (moved && view === shownView) {
    // Only a list of deals is opened or closed: what is below it stays.
    showList(state);
    return;
  }
  shownView = view;
  for (const chart of charts) chart.dispose();
  const translations = new Translations(page.translations, lang);
  const dashboard = page.dashboards.find(({ key }) => key === state.dashboard) ?? page.dashboards[0];
  const context: Context = {
    translations,
    formats: new Formats(translations, page.meta.currency, page.meta.zone, page.meta.fiscalMonth),
    palette: readPalette(),
    thisMonth: page.meta.thisMonth,
    running: runningStarts(page.meta),
    fiscalMonth: page.meta.fiscalMonth,
    months: page.meta.months,
    filters: state.filters,
    filterKeys: dashboard?.filters ?? [],
    behind: (card, measure, row) => (page.choices ? opener(card, measure, row, page.lists) : null),
  };
  shownContext = context;
  const onward = moved && dashboard?.key !== shownDashboard;
  shownDashboard = dashboard?.key ?? null;
  const top = scrollY;
  document.documentElement.lang = translations.locale;
  const heading = dashboard ? translations.text(`dashboard.${dashboard.key}`) : translations.text("page.title");
  document.title = `${heading} · Pipeboard`;
  // What is drawn anew must not take the focus away from the reader.
  const focused = document.activeElement?.getAttribute("data-focus");
  const views: View[] = [];
  const main = element(
    "main",
    { id: "main", tabindex: -1 },
    page.meta.deals === 0 ? welcome(context) : null,
    ...(dashboard ? [section(dashboard, state, context, views)] : []),
    footer(context),
  );
  document.body.replaceChildren(
    element("a", { class: "skip", href: "#main", "data-focus": "skip" }, translations.text("page.skip")),
    header(context),
    element("div", { class: "frame" }, navigation(dashboard, state, context), main),
  );
  document.querySelector(".skip")?.addEventListener("click", (event) => {
    // The address names the dashboard, so it is not for this.
    event.preventDefault();
    main.focus();
  });
  for (const settle of views.map((each) => each.measure())) settle();
  // What is in sight is drawn at once, the rest when the browser has shown it.
  const tops = views.map(({ node }) => node.getBoundingClientRect().top + (onward ? scrollY : scrollY - top));
  const inSight = (nr: number) => (tops[nr] ?? 0) < innerHeight;
  charts = views.filter((_, nr) => inSight(nr)).flatMap((each) => each.draw());
  drawLater(views.filter((_, nr) => !inSight(nr)), main);
  const current = document.querySelector<HTMLElement>('nav [aria-current="page"]');
  const list = current?.closest("ul");
  if (current && list) list.scrollLeft = current.offsetLeft - 16;
  if (onward) {
    scrollTo({ top: 0 });
    document.getElementById("dashboard-title")?.focus({ preventScroll: true });
  } else {
    scrollTo({ top });
    if (focused) document.querySelector<HTMLElement>(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
  showList(state);
}

/** Open the list of deals that the address names, or close the open one. */
function showList({ listed }: State): void {
  document.querySelector<HTMLDialogElement>("dialog.deals")?.remove();
  if (!listed || !page.choices) return;
  const asked = location.hash;
  document.body.setAttribute("aria-busy", "true");
  void load()
    .then(() => engine?.withLists())
    .then(() => {
      document.body.removeAttribute("aria-busy");
      // The reader may have gone on meanwhile.
      if (location.hash === asked) openList(stateNow());
    });
}

function openList({ listed, filters }: State): void {
  if (!listed || !engine || !shownContext) return;
  const chosen = chosenOf(filters);
  const card = page.cards[listed.card];
  const dialog = dealList(card && filtered(card, stateNow()), listed, page.lists, engine, chosen, shownContext);
  if (!dialog) return;
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.showModal();
  dialog.addEventListener("close", () => {
    go((state) => {
      state.listed = null;
      delete state.sort["deals"];
      delete state.find["deals"];
    });
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  });
}

/** Draw views one after the other, unless the page was drawn anew meanwhile. */
function drawLater(views: View[], main: HTMLElement): void {
  main.toggleAttribute("data-drawing", views.length > 0);
  const [next, ...rest] = views;
  if (!next) return;
  setTimeout(() => {
    if (!main.isConnected) return;
    charts.push(...next.draw());
    drawLater(rest, main);
  });
}

function header({ translations, formats }: Context): HTMLElement {
  const { asOf, deals } = page.meta;
  const old = asOf ? (Date.now() - new Date(asOf).getTime()) / 3_600_000 : null;
  const stamp = asOf
    ? element(
        "p",
        { class: `stamp${old !== null && old > STALE_HOURS ? " stale" : ""}` },
        element("span", { class: "pulse", "aria-hidden": "true" }),
        element(
          "span",
          {},
          translations.text("page.as_of"),
          " ",
          element(
            "time",
            { datetime: asOf },
            formats.full(asOf, { name: "", format: "time" }),
          ),
          element("span", { class: "aside" }, ` (${ago(asOf, new Date(), translations.locale)})`),
        ),
        element(
          "span",
          { class: "aside" },
          ` · ${translations.text("page.deals", { count: formats.full(deals, { name: "", format: "integer" }) })}`,
        ),
      )
    : element("p", { class: "stamp" }, translations.text("page.never_read"));
  return element(
    "header",
    { class: "top" },
    element(
      "div",
      { class: "brand" },
      mark(),
      element("h1", {}, "Pipeboard"),
      page.meta.demo ? element("span", { class: "badge" }, translations.text("page.demo")) : null,
    ),
    stamp,
    element("div", { class: "tools" }, languages(translations), themeButton(translations)),
  );
}

/** Three stages of a funnel. */
function mark(): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  for (const [x, y, width] of [
    [2, 4, 20],
    [5, 10, 14],
    [8, 16, 8],
  ] as const) {
    const bar = document.createElementNS(space, "rect");
    for (const [name, value] of Object.entries({ x, y, width, height: 4, rx: 2 })) {
      bar.setAttribute(name, String(value));
    }
    svg.append(bar);
  }
  return svg;
}

function languages(translations: Translations): HTMLElement {
  const choices: [Lang, string, string][] = [
    ["en", "EN", "English"],
    ["pt", "PT", "Português"],
  ];
  return element(
    "div",
    { class: "segments", role: "group", "aria-label": translations.text("page.language") },
    ...choices.map(([key, short, name]) => {
      const button = element(
        "button",
        {
          type: "button",
          lang: key,
          "aria-pressed": String(key === lang),
          // What is seen is part of what is heard.
          "aria-label": `${short} – ${name}`,
          "data-focus": `lang-${key}`,
        },
        short,
      );
      button.addEventListener("click", () => {
        lang = key;
        remembered.set("lang", key);
        show(false);
      });
      return button;
    }),
  );
}

function themeButton(translations: Translations): HTMLElement {
  const dark = themeNow() === "dark";
  const button = element(
    "button",
    {
      type: "button",
      class: "theme",
      "aria-pressed": String(dark),
      "aria-label": translations.text("page.dark"),
      title: translations.text("page.dark"),
      "data-focus": "theme",
    },
    element("span", { "aria-hidden": "true" }, dark ? "☾" : "☀"),
  );
  button.addEventListener("click", () => {
    const next: Theme = themeNow() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    remembered.set("theme", next);
    show(false);
  });
  return button;
}

function themeNow(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function navigation(current: Dashboard | undefined, { filters }: State, { translations }: Context): HTMLElement {
  return element(
    "nav",
    { "aria-label": translations.text("page.dashboards") },
    element(
      "ul",
      {},
      ...page.dashboards.map(({ key }) =>
        element(
          "li",
          {},
          element(
            "a",
            {
              // The filters go along.
              href: write({ dashboard: key, filters, sort: {}, find: {}, listed: null }),
              "aria-current": key === current?.key ? "page" : null,
              "data-focus": `nav-${key}`,
            },
            translations.text(`dashboard.${key}`),
          ),
        ),
      ),
    ),
  );
}

function section(dashboard: Dashboard, state: State, context: Context, views: View[]): HTMLElement {
  const { translations } = context;
  const about = `dashboard.${dashboard.key}.description`;
  const level = dashboard.tabs.length > 1 ? 4 : 3;
  return element(
    "section",
    { "aria-labelledby": "dashboard-title", "data-dashboard": dashboard.key },
    element(
      "h2",
      { id: "dashboard-title", tabindex: -1 },
      translations.text(`dashboard.${dashboard.key}`),
    ),
    translations.has(about) ? element("p", { class: "lead" }, translations.text(about)) : null,
    page.choices && dashboard.filters.length
      ? filterBar(dashboard.filters, page.choices, state.filters, context)
      : null,
    cannotFilter ? element("p", { class: "note", role: "status" }, translations.text("page.cannot_filter")) : null,
    ...dashboard.tabs.flatMap((tab) => {
      const cards = tab.cards.flatMap((placed) => {
        const card = page.cards[placed.card];
        if (!card) return [];
        const made = view(filtered(card, state), placed, level, context);
        views.push(made);
        return [made.node];
      });
      return [
        tab.key && level === 4 ? element("h3", { class: "tab" }, translations.text(`tab.${tab.key}`)) : null,
        element("div", { class: "grid" }, ...cards),
      ];
    }),
  );
}

function welcome({ translations }: Context): HTMLElement {
  return element(
    "div",
    { class: "welcome", role: "note" },
    element("strong", {}, translations.text("page.empty")),
    element("span", {}, translations.text("page.empty_hint")),
  );
}

function footer({ translations, formats }: Context): HTMLElement {
  const made = formats.full(page.meta.madeAt, { name: "", format: "time" });
  return element(
    "footer",
    {},
    element("p", {}, translations.text("page.made", { time: made })),
    element("p", {}, translations.text("page.stays_here")),
  );
}

/** What the reader chose, where the browser lets a local page remember it. */
function store(): { get(name: string): string | null; set(name: string, value: string): void } {
  const key = (name: string) => `pipeboard.${name}`;
  return {
    get: (name) => {
      try {
        return localStorage.getItem(key(name));
      } catch {
        return null;
      }
    },
    set: (name, value) => {
      try {
        localStorage.setItem(key(name), value);
      } catch {
        // Then it holds until the page is left.
      }
    },
  };
}

start();

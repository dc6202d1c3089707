/** The page: header, navigation, one dashboard at a time. */

import type { Chart } from "./chart";
import type { View } from "./cardview";
import { view } from "./cardview";
import { read } from "./address";
import { element } from "./dom";
import { ago, Formats } from "./format";
import type { Context } from "./frame";
import { readPalette } from "./palette";
import type { Dashboard, Lang, Page } from "./types";
import { firstLanguage, Translations } from "./translations";

const STALE_HOURS = 24;
type Theme = "light" | "dark";

const page = JSON.parse(document.getElementById("page-data")?.textContent ?? "{}") as Page;
const remembered = store();
let lang = firstLanguage(remembered.get("lang"), navigator.languages);
let charts: Chart[] = [];

function start(): void {
  const theme = remembered.get("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  show(false);
  addEventListener("hashchange", () => show(true));
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

/** Draw everything anew; `moved` tells that the reader went to another dashboard. */
function show(moved: boolean): void {
  for (const chart of charts) chart.dispose();
  const translations = new Translations(page.translations, lang);
  const context: Context = {
    translations,
    formats: new Formats(translations, page.meta.currency, page.meta.zone),
    palette: readPalette(),
    thisMonth: page.meta.thisMonth,
  };
  const state = read(location.hash);
  const dashboard = page.dashboards.find(({ key }) => key === state.dashboard) ?? page.dashboards[0];
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
    ...(dashboard ? [section(dashboard, context, views)] : []),
    footer(context),
  );
  document.body.replaceChildren(
    element("a", { class: "skip", href: "#main", "data-focus": "skip" }, translations.text("page.skip")),
    header(context),
    element("div", { class: "frame" }, navigation(dashboard, context), main),
  );
  document.querySelector(".skip")?.addEventListener("click", (event) => {
    // The address names the dashboard, so it is not for this.
    event.preventDefault();
    main.focus();
  });
  for (const each of views) each.measure();
  charts = views.flatMap((each) => each.draw());
  const current = document.querySelector<HTMLElement>('nav [aria-current="page"]');
  const list = current?.closest("ul");
  if (current && list) list.scrollLeft = current.offsetLeft - 16;
  if (moved) {
    scrollTo({ top: 0 });
    document.getElementById("dashboard-title")?.focus({ preventScroll: true });
  } else if (focused) {
    document.querySelector<HTMLElement>(`[data-focus="${focused}"]`)?.focus();
  }
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

function navigation(current: Dashboard | undefined, { translations }: Context): HTMLElement {
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
              href: `#/${key}`,
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

function section(dashboard: Dashboard, context: Context, views: View[]): HTMLElement {
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
    ...dashboard.tabs.flatMap((tab) => {
      const cards = tab.cards.flatMap((placed) => {
        const card = page.cards[placed.card];
        if (!card) return [];
        const made = view(card, placed, level, context);
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

/** One bar of filters for all cards; what is chosen is in the address. */

import type { FilterKey, Filters } from "./address";
import { go, GRAINS, NAMED } from "./address";
import { element } from "./dom";
import { isSet } from "./engine";
import type { Context } from "./frame";
import { calendar, periodName, RELATIVE } from "./period";
import { plain } from "./table";
import type { Choices } from "./types";

/** Columns whose values are the names of a filter, for the texts of those that this project named. */
const COLUMNS = { pipeline: "pipeline_name", owner: "owner_name", team: "team_name" } as const;
type NameKey = (typeof NAMED)[number];

/** Fewer names are read faster than searched. */
const LEAST_TO_SEARCH = 10;

/** The open list of names: every choice draws the page anew, and the list stays open where it was. */
let open: { key: NameKey; top: number; find: string } | null = null;

export function filterBar(
  keys: readonly FilterKey[],
  choices: Choices,
  filters: Filters,
  context: Context,
): HTMLElement {
  const { translations } = context;
  if (open && !keys.includes(open.key)) open = null;
  const clear = element(
    "button",
    { type: "button", class: "clear", "data-focus": "clear" },
    translations.text("page.clear"),
  );
  clear.hidden = !keys.some((key) => isSet(filters, key));
  clear.addEventListener("click", () => {
    go((state) => (state.filters = { period: null, grain: null, pipeline: [], owner: [], team: [] }));
  });
  return element(
    "div",
    { class: "filters", role: "group", "aria-label": translations.text("page.filters") },
    ...keys.map((key) =>
      key === "period"
        ? oneOf(key, periods(choices, filters, context), filters, context)
        : key === "grain"
          ? oneOf(key, grains(filters, context), filters, context)
          : nameFilter(key, choices, filters, context),
    ),
    clear,
  );
}

function className(filters: Filters, key: FilterKey): string {
  return isSet(filters, key) ? "filter set" : "filter";
}

function oneOf(key: "period" | "grain", options: HTMLElement[], filters: Filters, context: Context): HTMLElement {
  const select = element("select", { "data-focus": `filter-${key}`, "data-filter": key }, ...options);
  select.addEventListener("change", () => {
    go((state) => {
      if (key === "period") state.filters.period = select.value || null;
      else state.filters.grain = GRAINS.find((grain) => grain === select.value) ?? null;
    });
  });
  return element(
    "label",
    { class: className(filters, key) },
    element("span", {}, context.translations.text(`filter.${key}`)),
    select,
  );
}

function grains({ grain }: Filters, { translations }: Context): HTMLElement[] {
  return GRAINS.map((key) =>
    option(key === "month" ? "" : key, translations.text(`value.grain.${key}`), key === (grain ?? "month")),
  );
}

function option(value: string, text: string, chosen: boolean): HTMLOptionElement {
  return element("option", { value, selected: chosen }, text);
}

function capital(text: string): string {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}

function periods(choices: Choices, { period }: Filters, context: Context): HTMLElement[] {
  const { translations } = context;
  const { years, quarters, months } = calendar(choices.firstMonth, context);
  const nameOf = (key: string | null) => capital(periodName(key, context));
  const named = (key: string) => option(key, nameOf(key), key === period);
  const group = (name: string, keys: readonly string[]) =>
    element("optgroup", { label: translations.text(`page.${name}`) }, ...keys.map(named));
  const listed = [...RELATIVE, ...years, ...quarters, ...months];
  return [
    option("", nameOf(null), period === null),
    ...(period !== null && !listed.includes(period) ? [named(period)] : []),
    ...RELATIVE.map(named),
    group("years", years),
    group("quarters", quarters),
    group("months", months),
  ];
}

/** A button with what is chosen, and below it a list of checkboxes; several names may be chosen. */
function nameFilter(key: NameKey, choices: Choices, filters: Filters, context: Context): HTMLElement {
  const { translations, formats } = context;
  const chosen = filters[key];
  const text = (name: string) => formats.full(name, { name: COLUMNS[key], format: "text" });
  const label = translations.text(`filter.${key}`);
  const shown =
    chosen.length === 0
      ? translations.text("page.all")
      : chosen.length === 1
        ? text(chosen[0] ?? "")
        : translations.text("page.chosen", { count: formats.full(chosen.length, { name: "", format: "integer" }) });
  const button = element(
    "button",
    {
      type: "button",
      class: "choice",
      "aria-expanded": "false",
      "aria-controls": `choices-${key}`,
      "aria-labelledby": `filter-${key} chosen-${key}`,
      title: chosen.length > 1 ? chosen.map(text).join(", ") : null,
      "data-focus": `filter-${key}`,
      "data-filter": key,
    },
    element("bdi", { id: `chosen-${key}` }, shown),
  );
  // Names of the address that the account does not have are listed, too: they can be taken back.
  const names = [...chosen.filter((name) => !choices[key].includes(name)), ...choices[key]];
  const boxes = names.map((name) => checkbox(key, name, text(name), chosen));
  const search =
    names.length < LEAST_TO_SEARCH
      ? null
      : element("input", {
          type: "search",
          class: "search",
          placeholder: translations.text("page.search"),
          "aria-label": translations.text("page.search_in", { title: label }),
          "data-focus": `find-${key}`,
        });
  const all = element(
    "button",
    { type: "button", class: "all", disabled: chosen.length === 0, "data-focus": `all-${key}` },
    translations.text("page.all"),
  );
  all.addEventListener("click", () => {
    button.focus();
    go((state) => (state.filters[key] = []));
  });
  const list = element("div", { class: "names" }, ...boxes);
  const panel = element(
    "div",
    { id: `choices-${key}`, class: "choices", role: "group", "aria-label": label, hidden: true },
    search,
    list,
    all,
  );
  const box = element(
    "div",
    { class: className(filters, key) },
    element("span", { id: `filter-${key}` }, label),
    button,
    panel,
  );

  const find = () => {
    const wanted = plain(search?.value ?? "");
    for (const [nr, each] of boxes.entries()) each.hidden = !plain(text(names[nr] ?? "")).includes(wanted);
  };
  const expand = (on: boolean) => {
    panel.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
    if (on) open ??= { key, top: 0, find: "" };
    else if (open?.key === key) open = null;
  };
  button.addEventListener("click", () => expand(panel.hidden !== false));
  search?.addEventListener("input", () => {
    if (open) open.find = search.value;
    find();
  });
  list.addEventListener("scroll", () => {
    if (open && list.isConnected) open.top = list.scrollTop;
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    event.stopPropagation();
    expand(false);
    button.focus();
  });
  // A click elsewhere, or the Tab key, closes the list; a page that is drawn anew does not.
  box.addEventListener("focusout", () => {
    setTimeout(() => {
      if (box.isConnected && document.hasFocus() && !box.contains(document.activeElement)) expand(false);
    });
  });
  panel.addEventListener("mousedown", (event) => {
    // A click between the names takes the focus from none of them.
    if (event.target === panel || event.target === list) event.preventDefault();
  });
  if (open?.key === key) {
    const { top, find: wanted } = open;
    expand(true);
    if (search) search.value = wanted;
    find();
    // The list has a height when it is part of the document.
    queueMicrotask(() => (list.scrollTop = top));
  }
  return box;
}

function checkbox(key: NameKey, name: string, text: string, chosen: readonly string[]): HTMLElement {
  const input = element("input", {
    type: "checkbox",
    value: name,
    checked: chosen.includes(name),
    "data-focus": `choice-${key}-${name}`,
  });
  input.addEventListener("change", () => {
    go(({ filters }) => {
      filters[key] = filters[key].filter((other) => other !== name);
      if (input.checked) filters[key].push(name);
    });
  });
  return element("label", {}, input, element("bdi", {}, text));
}

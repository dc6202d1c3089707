/** One bar of filters for all cards; what is chosen is in the address. */

import type { FilterKey, Filters } from "./address";
import { go, NAMED } from "./address";
import { element } from "./dom";
import { isSet } from "./engine";
import type { Context } from "./frame";
import { calendar, periodName, RELATIVE } from "./period";
import type { Choices } from "./types";

/** Columns whose values are the names of a filter, for the texts of those that this project named. */
const COLUMNS = { pipeline: "pipeline_name", owner: "owner_name", team: "team_name" } as const;

export function filterBar(
  keys: readonly FilterKey[],
  choices: Choices,
  filters: Filters,
  context: Context,
): HTMLElement {
  const { translations } = context;
  const fields = keys.map((key) => {
    const options = key === "period" ? periods(choices, filters, context) : names(key, choices, filters, context);
    const select = element("select", { "data-focus": `filter-${key}`, "data-filter": key }, ...options);
    select.addEventListener("change", () => {
      go((state) => {
        if (key === "period") state.filters.period = select.value || null;
        else state.filters[key] = select.value ? [select.value] : [];
      });
    });
    return element(
      "label",
      { class: isSet(filters, key) ? "filter set" : "filter" },
      element("span", {}, translations.text(`filter.${key}`)),
      select,
    );
  });
  const clear = element(
    "button",
    { type: "button", class: "clear", "data-focus": "clear" },
    translations.text("page.clear"),
  );
  clear.hidden = !keys.some((key) => isSet(filters, key));
  clear.addEventListener("click", () => {
    go((state) => (state.filters = { period: null, pipeline: [], owner: [], team: [] }));
  });
  return element(
    "div",
    { class: "filters", role: "group", "aria-label": translations.text("page.filters") },
    ...fields,
    clear,
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

function names(
  key: (typeof NAMED)[number],
  choices: Choices,
  filters: Filters,
  { translations, formats }: Context,
): HTMLElement[] {
  const chosen = filters[key];
  const text = (name: string) => formats.full(name, { name: COLUMNS[key], format: "text" });
  // A name of the address that the account does not have, or several of them, are shown too.
  const other = chosen.length > 1 || (chosen.length === 1 && !choices[key].includes(chosen[0] ?? ""));
  return [
    option("", translations.text("page.all"), chosen.length === 0),
    ...(other ? [option(chosen[0] ?? "", chosen.map(text).join(", "), true)] : []),
    ...choices[key].map((name) => option(name, text(name), !other && name === chosen[0])),
  ];
}

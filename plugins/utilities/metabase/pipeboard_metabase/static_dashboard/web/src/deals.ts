/** The deals behind a figure, as a list over the page; which one is open is in the address. */

import type { Listed } from "./address";
import { go } from "./address";
import { element } from "./dom";
import type { Chosen, Engine } from "./engine";
import type { Context } from "./frame";
import { columnIndex, toNumber } from "./frame";
import { grainOf, periodName } from "./period";
import { exporter, table } from "./table";
import type { Card, Cell, Lists } from "./types";

const FIRST_COLUMN = "title";

/** Return which list explains a measure of a row, or null where none does. */
export function listedOf(card: Card, measure: string, row: readonly Cell[], lists: Lists): Listed | null {
  const dimensions = lists.sets[card.deals[measure] ?? ""]?.dimensions;
  if (!dimensions) return null;
  const of: Record<string, string> = {};
  for (const [at, { name }] of card.columns.entries()) {
    const value = row[at];
    if (name in dimensions && typeof value === "string") of[name] = value;
  }
  return { card: card.key, measure, of };
}

/** Return what opens that list. */
export function opener(...figure: Parameters<typeof listedOf>): (() => void) | null {
  const listed = listedOf(...figure);
  return listed ? () => go((state) => (state.listed = listed)) : null;
}

/** Return the deals of a list, those of the largest value first; null where the card has no such list. */
export function dealsOf(
  card: Card,
  listed: Listed,
  lists: Lists,
  engine: Engine,
  chosen: Chosen,
): Cell[][] | null {
  const found = lists.sets[card.deals[listed.measure] ?? ""];
  if (!found) return null;
  // Only the filters that the card obeys: the list is of the deals that the figure counts.
  const obeyed: Chosen = {
    period: card.filters.includes("period") ? chosen.period : null,
    grain: grainOf(card, chosen.grain),
    pipeline: card.filters.includes("pipeline") ? chosen.pipeline : [],
    owner: card.filters.includes("owner") ? chosen.owner : [],
    team: card.filters.includes("team") ? chosen.team : [],
  };
  const of = Object.entries(listed.of).filter(([name]) => name in found.dimensions);
  const conditions = of.map(([name]) => ` and ${found.dimensions[name]} is :of_${name}`);
  const values = Object.fromEntries(of.map(([name, value]) => [`of_${name}`, value]));
  return engine.select(`${found.select}${conditions.join("")} ${lists.order}`, obeyed, values, lists.columns);
}

/** Return the list as a dialog that is not open yet; null where the address asks for none that is. */
export function dealList(
  card: Card | undefined,
  listed: Listed,
  lists: Lists,
  engine: Engine,
  chosen: Chosen,
  context: Context,
): HTMLDialogElement | null {
  const { translations, formats } = context;
  const rows = card ? dealsOf(card, listed, lists, engine, chosen) : null;
  if (!card || !rows) return null;
  const list: Card = {
    ...card,
    key: "deals",
    display: "table",
    columns: lists.columns,
    rows,
    y: [],
    link: { [FIRST_COLUMN]: "deal_url" },
    deals: {},
  };
  const title = translations.text("page.deals_behind", { title: translations.text(`card.${card.key}`) });
  const values = rows.map((row) => toNumber(row[columnIndex(list, "value_base")]) ?? 0);
  const money = { name: "value_base", format: "money" as const };
  const about = [
    translations.column(listed.measure),
    ...Object.entries(listed.of).map(([name, value]) => {
      const column = card.columns[columnIndex(card, name)];
      return column ? formats.full(value, column) : value;
    }),
    ...(card.filters.includes("period") && !Object.keys(listed.of).some((name) => name.endsWith("month") || name === "period_start")
      ? [periodName(context.filters.period, context)]
      : []),
  ];
  const close = element(
    "button",
    { type: "button", class: "close", "aria-label": translations.text("page.close"), title: translations.text("page.close") },
    element("span", { "aria-hidden": "true" }, "×"),
  );
  const found = table(list, title, context, () => null);
  setTimeout(found.complete);
  const dialog = element(
    "dialog",
    { class: "deals", "aria-labelledby": "deals-title" },
    element(
      "header",
      {},
      element("h2", { id: "deals-title", tabindex: -1, autofocus: true }, title),
      element("div", { class: "card-tools" }, exporter(list, title, context), close),
    ),
    element("p", { class: "about" }, element("bdi", {}, about.join(" · "))),
    element(
      "p",
      { class: "about" },
      translations.text("page.deals_sum", {
        count: formats.full(rows.length, { name: "", format: "integer" }),
        value: formats.full(values.reduce((sum, value) => sum + value, 0), money),
      }),
    ),
    found.node,
  );
  close.addEventListener("click", () => dialog.close());
  // A click beside it, which is one on the dialog itself.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}

/** A card's rows as a table: sorted by a click on a heading, links where the card has addresses. */

import { element, webAddress } from "./dom";
import type { Context } from "./frame";
import { columnIndex, LEFT_OUT } from "./frame";
import { isNumeric, isTime } from "./format";
import type { Card, Cell } from "./types";

type Order = { at: number; down: boolean } | null;

export function table(card: Card, title: string, context: Context): HTMLElement {
  const { translations } = context;
  let order: Order = null;
  const addresses = new Set(Object.values(card.link).map((name) => columnIndex(card, name)));
  // The count of deals that are left out is a column only where there are any.
  const counted = card.leftOut ? -1 : columnIndex(card, card.y.includes(LEFT_OUT) ? null : LEFT_OUT);
  const shown = card.columns
    .map((_, at) => at)
    .filter((at) => !addresses.has(at) && at !== counted);
  const body = element("tbody");
  const heads = shown.map((at) => {
    const column = card.columns[at];
    const button = element("button", { type: "button" }, translations.column(column?.name ?? ""));
    const head = element(
      "th",
      { scope: "col", "aria-sort": "none", class: numeric(card, at) ? "number" : null },
      button,
    );
    button.addEventListener("click", () => {
      // Numbers from the largest first, names from A.
      const first = numeric(card, at);
      order = order?.at === at ? { at, down: !order.down } : { at, down: first };
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      fill();
    });
    return head;
  });
  const fill = () =>
    body.replaceChildren(
      ...sorted(card.rows, order, translations.locale).map((row) =>
        element("tr", {}, ...shown.map((at, nr) => cell(card, row, at, nr === 0, context))),
      ),
    );
  fill();
  const scroll = element(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body),
  );
  return element("div", { class: "scroll-box" }, scroll);
}

function numeric(card: Card, at: number): boolean {
  const format = card.columns[at]?.format;
  return format !== undefined && isNumeric(format);
}

function cell(card: Card, row: Cell[], at: number, first: boolean, context: Context): HTMLElement {
  const column = card.columns[at] ?? { name: "", format: "text" as const };
  const value = row[at] ?? null;
  const text = element("bdi", {}, context.formats.full(value, column));
  const address = webAddress(row[columnIndex(card, card.link[column.name] ?? null)]);
  const content =
    address && value !== null
      ? element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text)
      : text;
  const kind = numeric(card, at) ? "number" : isTime(column.format) ? "time" : null;
  return first
    ? element("th", { scope: "row", class: kind }, content)
    : element("td", { class: kind }, content);
}

function sorted(rows: Cell[][], order: Order, locale: string): Cell[][] {
  if (!order) return rows;
  const collator = new Intl.Collator(locale, { numeric: true });
  const { at, down } = order;
  return [...rows].sort((one, other) => {
    const a = one[at] ?? null;
    const b = other[at] ?? null;
    // What is not known stands last, whichever way it goes.
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    const way = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
    return down ? -way : way;
  });
}

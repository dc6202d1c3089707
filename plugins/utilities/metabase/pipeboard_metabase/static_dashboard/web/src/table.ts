/** A card's rows as a table: sorted by a click on a heading, searched, exported, with links. */

import type { Order } from "./address";
import { amend, read } from "./address";
import { csvOf, download } from "./csv";
import { element, webAddress } from "./dom";
import type { Context } from "./frame";
import { columnIndex, LEFT_OUT, leftOut } from "./frame";
import { isNumeric, isTime } from "./format";
import type { Card, Cell, Column } from "./types";

/** Fewer rows are read faster than searched. */
const LEAST_TO_SEARCH = 6;

/** More rows than this are searched and exported, and not drawn. */
const MOST_DRAWN = 500;

/** Rows that fill the height of a table; the rest can wait until the page is shown. */
const FIRST_DRAWN = 40;

/** A table in the document; `complete` draws the rows that do not show at first. */
export interface Table {
  node: HTMLElement;
  complete(): void;
}

/** What a click on a cell does, or null where it does nothing. */
export type OnCell = (row: Cell[], column: Column) => (() => void) | null;

export function table(card: Card, title: string, context: Context, onCell: OnCell): Table {
  const { translations, formats } = context;
  const { sort, find } = read(location.hash);
  let order: Order | null = sort[card.key] ?? null;
  let wanted = find[card.key] ?? "";
  const shown = shownColumns(card);
  const body = element("tbody");
  const count = element("span", { class: "found", role: "status" });
  const heads = shown.map((at) => {
    const { name, format } = card.columns[at] ?? NO_COLUMN;
    const button = element(
      "button",
      { type: "button", "data-focus": `sort-${card.key}-${name}` },
      translations.column(name),
    );
    const head = element(
      "th",
      { scope: "col", class: isNumeric(format) ? "number" : null },
      button,
    );
    button.addEventListener("click", () => {
      // Numbers from the largest first, names from A.
      order = { column: name, down: order?.column === name ? !order.down : isNumeric(format) };
      const chosen = order;
      amend((state) => (state.sort[card.key] = chosen));
      fill();
    });
    return { head, name };
  });
  const fill = (most = MOST_DRAWN) => {
    for (const { head, name } of heads) {
      const way = order?.column !== name ? "none" : order.down ? "descending" : "ascending";
      head.setAttribute("aria-sort", way);
    }
    const found = sorted(matching(card, shown, wanted, context), card, order, translations.locale);
    body.replaceChildren(
      ...found.slice(0, most).map((row) =>
        element(
          "tr",
          {},
          ...shown.map((at, nr) => cell(card, row, at, nr === 0, context, onCell)),
        ),
      ),
    );
    const [shownRows, all] = [found.length, card.rows.length].map((rows) =>
      formats.full(rows, { name: "", format: "integer" }),
    ) as [string, string];
    count.textContent =
      found.length > MOST_DRAWN
        ? translations.text("page.first_rows", { shown: String(MOST_DRAWN), count: shownRows })
        : wanted
          ? translations.text("page.found", { found: shownRows, count: all })
          : "";
  };
  fill(FIRST_DRAWN);
  let isComplete = card.rows.length <= FIRST_DRAWN;
  const complete = () => {
    if (!isComplete) fill();
    isComplete = true;
  };
  const scroll = element(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, ...heads.map(({ head }) => head))),
      body,
    ),
  );
  const box = element("div", { class: "scroll-box" }, scroll);
  if (card.rows.length < LEAST_TO_SEARCH) return { node: box, complete };
  const field = element("input", {
    type: "search",
    class: "search",
    value: wanted,
    placeholder: translations.text("page.search"),
    "aria-label": translations.text("page.search_in", { title }),
    "data-focus": `find-${card.key}`,
  });
  field.addEventListener("input", () => {
    wanted = field.value.trim();
    amend((state) => (state.find[card.key] = wanted));
    fill();
  });
  const search = element("div", { class: "find" }, field, count);
  return { node: element("div", { class: "searched" }, search, box), complete };
}

/** A button that saves the rows of a card, as its table shows them, as a file. */
export function exporter(card: Card, title: string, context: Context): HTMLElement {
  const { translations } = context;
  const button = element(
    "button",
    {
      type: "button",
      class: "toggle csv",
      "aria-label": translations.text("page.csv_of", { title }),
      "data-focus": `csv-${card.key}`,
    },
    "CSV",
  );
  button.addEventListener("click", () => download(`${card.key}.csv`, exported(card, context)));
  return button;
}

function exported(card: Card, context: Context): string {
  const { translations, formats } = context;
  const { sort, find } = read(location.hash);
  const shown = shownColumns(card);
  const links = Object.values(card.link).map((name) => columnIndex(card, name));
  const every = [...shown, ...links];
  const found = matching(card, shown, find[card.key] ?? "", context);
  const rows = sorted(found, card, sort[card.key] ?? null, translations.locale).map((row) =>
    every.map((at) => {
      const column = card.columns[at] ?? NO_COLUMN;
      const value = row[at] ?? null;
      // Values that this project named are written as they are read; times as ISO 8601.
      return typeof value === "string" && !isTime(column.format) ? formats.full(value, column) : value;
    }),
  );
  return csvOf(
    every.map((at) => translations.column(card.columns[at]?.name ?? "")),
    rows,
    translations.lang,
  );
}

const NO_COLUMN: Column = { name: "", format: "text" };

function shownColumns(card: Card): number[] {
  const addresses = new Set(Object.values(card.link).map((name) => columnIndex(card, name)));
  // The count of deals that are left out is a column only where there are any.
  const counted = leftOut(card) ? -1 : columnIndex(card, card.y.includes(LEFT_OUT) ? null : LEFT_OUT);
  return card.columns.map((_, at) => at).filter((at) => !addresses.has(at) && at !== counted);
}

function cell(
  card: Card,
  row: Cell[],
  at: number,
  first: boolean,
  context: Context,
  onCell: OnCell,
): HTMLElement {
  const column = card.columns[at] ?? NO_COLUMN;
  const value = row[at] ?? null;
  const text = element("bdi", {}, context.formats.full(value, column));
  const address = webAddress(row[columnIndex(card, card.link[column.name] ?? null)]);
  const open = value === null || value === 0 ? null : onCell(row, column);
  let content: HTMLElement = text;
  if (address && value !== null) {
    content = element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text);
  } else if (open) {
    content = element(
      "button",
      { type: "button", class: "behind", "data-focus": `behind-${card.key}-${column.name}-${card.rows.indexOf(row)}` },
      text,
    );
    content.setAttribute("aria-haspopup", "dialog");
    content.addEventListener("click", open);
  }
  const kind = isNumeric(column.format) ? "number" : isTime(column.format) ? "time" : null;
  return first
    ? element("th", { scope: "row", class: kind }, content)
    : element("td", { class: kind }, content);
}

/** The rows in which a text stands, in any cell, whatever its case and accents. */
function matching(card: Card, shown: number[], wanted: string, { formats }: Context): Cell[][] {
  const text = plain(wanted);
  if (!text) return card.rows;
  return card.rows.filter((row) =>
    shown.some((at) => plain(formats.full(row[at] ?? null, card.columns[at] ?? NO_COLUMN)).includes(text)),
  );
}

export function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function sorted(rows: Cell[][], card: Card, order: Order | null, locale: string): Cell[][] {
  const at = columnIndex(card, order?.column ?? null);
  if (!order || at < 0) return rows;
  const collator = new Intl.Collator(locale, { numeric: true });
  return [...rows].sort((one, other) => {
    const a = one[at] ?? null;
    const b = other[at] ?? null;
    // What is not known stands last, whichever way it goes.
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    const way = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
    return order.down ? -way : way;
  });
}

/** Rows as CSV (RFC 4180, UTF-8), for spreadsheets that must never run what a label says. */

import type { Cell, Lang } from "./types";

/** What makes a spreadsheet read a text as a formula, or as the end of a cell; some read wide signs so, too. */
const FORMULA = /^(?=\s*[=+\-@＝＋－＠]|[\t\r\n])/;
/** The same after a separator: of another language, a spreadsheet ends the cell there in spite of quotes. */
const LATER_FORMULA = /([,;\t\r\n][\s"]*)(?=[=+\-@＝＋－＠])/g;
const QUOTED = /[",;\r\n]/;
/** Where decimals have a comma, spreadsheets separate cells by a semicolon. */
const WRITTEN = { en: { separator: ",", point: "." }, pt: { separator: ";", point: "," } };
/** By it Excel knows the encoding. */
const MARK = "\ufeff";

/** Write one line for the headings and one for each row; numbers stay numbers, times ISO 8601. */
export function csvOf(headings: readonly string[], rows: readonly (readonly Cell[])[], lang: Lang): string {
  const { separator, point } = WRITTEN[lang];
  const line = (row: readonly Cell[]) => `${row.map((cell) => field(cell, point)).join(separator)}\r\n`;
  return MARK + [headings, ...rows].map(line).join("");
}

function field(cell: Cell, point: string): string {
  if (cell === null) return "";
  if (typeof cell !== "string") return String(cell).replace(".", point);
  const text = cell.replace(FORMULA, "'").replace(LATER_FORMULA, "$1'");
  return QUOTED.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Hand a text to the browser as a file; nothing leaves the computer. */
export function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Periods of whole months, by keys that the address has: `this-year`, `2026`, `2026-Q3`, `2026-11`. */

import type { Context } from "./frame";

/** Periods that go along with the data: a shared view shows the same question, not the same days. */
export const RELATIVE = [
  "this-month",
  "last-month",
  "this-quarter",
  "last-quarter",
  "this-year",
  "last-year",
  "all",
] as const;
const QUARTER = /^(\d{4})-Q([1-4])$/;
const MONTH = /^(\d{4})-(0[1-9]|1[0-2])$/;
const YEAR = /^\d{4}$/;

/** Months since the year 0. */
function numberOf(month: string): number {
  return Number(month.slice(0, 4)) * 12 + Number(month.slice(5, 7)) - 1;
}

function monthOf(nr: number): string {
  return `${String(Math.floor(nr / 12)).padStart(4, "0")}-${String((nr % 12) + 1).padStart(2, "0")}`;
}

/** First and last day of so many months. */
function days(first: number, count: number): [string, string] {
  const last = new Date(Date.UTC(Math.floor((first + count) / 12), (first + count) % 12, 0));
  return [`${monthOf(first)}-01`, last.toISOString().slice(0, 10)];
}

/**
 * Return the first and last day of a period; null is without end. A key that is none is the default:
 * the running month and `months` before it.
 */
export function rangeOf(key: string | null, thisMonth: string, months: number): [string, string] | null {
  const now = numberOf(thisMonth);
  const year = now - (now % 12);
  const quarter = now - (now % 3);
  switch (key) {
    case "all":
      return null;
    case "this-month":
      return days(now, 1);
    case "last-month":
      return days(now - 1, 1);
    case "this-quarter":
      return days(quarter, 3);
    case "last-quarter":
      return days(quarter - 3, 3);
    case "this-year":
      return days(year, 12);
    case "last-year":
      return days(year - 12, 12);
  }
  if (key && YEAR.test(key)) return days(Number(key) * 12, 12);
  if (key && MONTH.test(key)) return days(numberOf(key), 1);
  const found = QUARTER.exec(key ?? "");
  if (found) return days(Number(found[1]) * 12 + (Number(found[2]) - 1) * 3, 3);
  return days(now - months, months + 1);
}

/** Whether a text names a period. */
export function isPeriod(key: string): boolean {
  return (RELATIVE as readonly string[]).includes(key) || [YEAR, MONTH, QUARTER].some((p) => p.test(key));
}

/** The years, quarters and months from a first month to the running one, the newest first. */
export function calendar(firstMonth: string, thisMonth: string): { years: string[]; quarters: string[]; months: string[] } {
  const months: string[] = [];
  for (let nr = numberOf(thisMonth); nr >= numberOf(firstMonth); nr -= 1) months.push(monthOf(nr));
  const quarters = months.map((m) => `${m.slice(0, 4)}-Q${Math.ceil(Number(m.slice(5)) / 3)}`);
  const once = (keys: string[]) => [...new Set(keys)];
  return { years: once(months.map((m) => m.slice(0, 4))), quarters: once(quarters), months };
}

/** What a period is called. */
export function periodName(key: string | null, { translations, formats, months }: Context): string {
  if (key === null || !isPeriod(key)) {
    return translations.text("period.months", { count: String(months) });
  }
  if (MONTH.test(key)) return formats.full(`${key}-01`, { name: "", format: "month" });
  const quarter = QUARTER.exec(key);
  if (quarter) return translations.text("page.quarter", { year: quarter[1] ?? "", nr: quarter[2] ?? "" });
  return translations.has(`page.period.${key}`) ? translations.text(`page.period.${key}`) : key;
}

/**
 * Periods of whole months, by keys that the address has: `this-year`, `2026`, `2026-Q3`, `2026-11`.
 * Years and quarters are fiscal ones; a fiscal year is called by the calendar year in which it ends.
 */

import type { Grain } from "./address";
import type { Context } from "./frame";
import type { Card, Meta } from "./types";

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

/** The first month of a fiscal year. */
function yearStart(year: number, fiscalMonth: number): number {
  return fiscalMonth === 1 ? year * 12 : (year - 1) * 12 + fiscalMonth - 1;
}

/** The fiscal year of a month and the number of its quarter, from 1 to 4. */
function fiscal(nr: number, fiscalMonth: number): { year: number; quarter: number } {
  const month = nr - fiscalMonth + 1;
  const year = Math.floor(month / 12) + (fiscalMonth === 1 ? 0 : 1);
  return { year, quarter: Math.floor((month % 12) / 3) + 1 };
}

/**
 * Return the first and last day of a period; null is without end. A key that is none is the default:
 * the running month and `months` before it.
 */
export function rangeOf(
  key: string | null,
  { thisMonth, months, fiscalMonth }: Pick<Meta, "thisMonth" | "months" | "fiscalMonth">,
): [string, string] | null {
  const now = numberOf(thisMonth);
  const running = fiscal(now, fiscalMonth);
  const year = yearStart(running.year, fiscalMonth);
  const quarter = year + (running.quarter - 1) * 3;
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
  if (key && YEAR.test(key)) return days(yearStart(Number(key), fiscalMonth), 12);
  if (key && MONTH.test(key)) return days(numberOf(key), 1);
  const found = QUARTER.exec(key ?? "");
  if (found) return days(yearStart(Number(found[1]), fiscalMonth) + (Number(found[2]) - 1) * 3, 3);
  return days(now - months, months + 1);
}

/** Whether a text names a period. */
export function isPeriod(key: string): boolean {
  return (RELATIVE as readonly string[]).includes(key) || [YEAR, MONTH, QUARTER].some((p) => p.test(key));
}

/** How long the periods of a card are: a card that does not have the chosen length shows months. */
export function grainOf(card: Card, chosen: Grain | null): Grain {
  return chosen && card.grains.includes(chosen) ? chosen : "month";
}

/** First days of the week, the month and the quarter that are not over. */
export function runningStarts({
  today,
  thisMonth,
  fiscalMonth,
}: Pick<Meta, "today" | "thisMonth" | "fiscalMonth">): Record<Grain, string> {
  const monday = new Date(`${today ?? thisMonth}T00:00:00Z`);
  monday.setUTCDate(monday.getUTCDate() - ((monday.getUTCDay() + 6) % 7));
  const [quarter] = rangeOf("this-quarter", { thisMonth, months: 0, fiscalMonth }) ?? [thisMonth];
  return { week: monday.toISOString().slice(0, 10), month: thisMonth, quarter };
}

/** The fiscal quarter that begins on a day: its year and its number. */
export function quarterOf(start: string, fiscalMonth: number): { year: number; quarter: number } {
  return fiscal(numberOf(start), fiscalMonth);
}

/** The years, quarters and months from a first month to the running one, the newest first. */
export function calendar(
  firstMonth: string,
  { thisMonth, fiscalMonth }: Pick<Meta, "thisMonth" | "fiscalMonth">,
): { years: string[]; quarters: string[]; months: string[] } {
  const months: string[] = [];
  for (let nr = numberOf(thisMonth); nr >= numberOf(firstMonth); nr -= 1) months.push(monthOf(nr));
  const spans = months.map((month) => fiscal(numberOf(month), fiscalMonth));
  const once = (keys: string[]) => [...new Set(keys)];
  return {
    years: once(spans.map(({ year }) => String(year))),
    quarters: once(spans.map(({ year, quarter }) => `${year}-Q${quarter}`)),
    months,
  };
}

/** What a period is called. */
export function periodName(key: string | null, { translations, formats, months, fiscalMonth }: Context): string {
  if (key === null || !isPeriod(key)) {
    return translations.text("period.months", { count: String(months) });
  }
  if (MONTH.test(key)) return formats.full(`${key}-01`, { name: "", format: "month" });
  const quarter = QUARTER.exec(key);
  const yearName = (year: string) =>
    fiscalMonth === 1 ? year : translations.text("page.fiscal_year", { year });
  if (quarter) {
    return translations.text("page.quarter", { year: yearName(quarter[1] ?? ""), nr: quarter[2] ?? "" });
  }
  return translations.has(`page.period.${key}`) ? translations.text(`page.period.${key}`) : yearName(key);
}

/** Numbers, money, shares, dates and times as the reader's language writes them. */

import type { Grain } from "./address";
import { GRAINS } from "./address";
import { quarterOf } from "./period";
import type { Cell, Column, Format } from "./types";
import type { Translations } from "./translations";

const NOTHING = "–";
const NUMERIC: ReadonlySet<Format> = new Set([
  "integer",
  "decimal",
  "money",
  "percent",
  "days",
  "hours",
  "seconds",
]);
const UNITS: Partial<Record<Format, string>> = { days: "day", hours: "hour", seconds: "second" };
const MONTH = /^\d{4}-\d{2}$/;

export function isNumeric(format: Format): boolean {
  return NUMERIC.has(format);
}

/** Whether a unit of time follows its numbers. */
export function hasUnit(format: Format): boolean {
  return format in UNITS;
}

export function isTime(format: Format): boolean {
  return format === "date" || format === "time" || isGrain(format);
}

/** Whether a column has first days of weeks, months or quarters. */
export function isGrain(format: Format): format is Grain {
  return (GRAINS as readonly string[]).includes(format);
}

export class Formats {
  private readonly made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

  constructor(
    private readonly translations: Translations,
    private readonly currency: string | null,
    private readonly zone: string,
    private readonly fiscalMonth: number,
  ) {}

  /** A cell in full, as tables and tooltips show it. */
  full(value: Cell, column: Column): string {
    return this.cell(value, column, false);
  }

  /** The same where there is little room: axes, tiles. */
  short(value: Cell, column: Column): string {
    return this.cell(value, column, true);
  }

  /** By how much something grew or shrank: +12% or -3%. */
  change(share: number): string {
    return this.numberFormat(`change${Math.abs(share) < 0.1}`, {
      style: "percent",
      maximumFractionDigits: Math.abs(share) < 0.1 ? 1 : 0,
      signDisplay: "exceptZero",
    }).format(share);
  }

  private cell(value: Cell, { name, format }: Column, short: boolean): string {
    if (value === null || value === "") return NOTHING;
    if (typeof value === "boolean") return this.translations.text(value ? "page.yes" : "page.no");
    if (typeof value === "number") return this.number(value, format, short);
    const known = `value.${name}.${value}`;
    if (this.translations.has(known)) return this.translations.text(known);
    // A period is a month, or a value such as overdue.
    if (name === "period" && MONTH.test(value)) return this.time(`${value}-01`, "month", short);
    return isTime(format) ? this.time(value, format, short) : value;
  }

  private number(value: number, format: Format, short: boolean): string {
    // Below ten thousand the short form saves nothing, and hides digits.
    const compact = short && Math.abs(value) >= 10_000;
    const digits: Intl.NumberFormatOptions = compact
      ? { notation: "compact", maximumSignificantDigits: 3 }
      : {};
    switch (format) {
      case "id":
        return String(value);
      case "money":
        return this.numberFormat(format + compact, {
          ...(this.currency
            ? { style: "currency", currency: this.currency, currencyDisplay: "narrowSymbol" }
            : {}),
          ...(compact ? digits : { maximumFractionDigits: 0 }),
        }).format(value);
      case "percent":
        return this.numberFormat(`percent${short}`, {
          style: "percent",
          maximumFractionDigits: short && Math.abs(value) >= 0.1 ? 0 : 1,
        }).format(value);
      case "days":
      case "hours":
      case "seconds":
        return this.numberFormat(format + short + compact, {
          style: "unit",
          unit: UNITS[format] ?? "",
          unitDisplay: short ? "short" : "long",
          ...(compact ? digits : { maximumFractionDigits: 1 }),
        }).format(value);
      case "decimal":
        return this.numberFormat(`decimal${compact}`, {
          ...(compact ? digits : { maximumFractionDigits: 1 }),
        }).format(value);
      default:
        return this.numberFormat(`plain${compact}`, {
          ...(compact ? digits : { maximumFractionDigits: 2 }),
        }).format(value);
    }
  }

  private time(value: string, format: Format, short: boolean): string {
    if (format === "week") {
      const day = this.time(value, "date", short);
      return short ? day : this.translations.text("page.week_of", { day });
    }
    if (format === "quarter") {
      const { year, quarter } = quarterOf(value, this.fiscalMonth);
      const fiscalYear =
        this.fiscalMonth === 1 || short
          ? String(year)
          : this.translations.text("page.fiscal_year", { year: String(year) });
      return this.translations.text(short ? "page.quarter_short" : "page.quarter", {
        nr: String(quarter),
        year: fiscalYear,
      });
    }
    // A day has no hour: read as UTC and written as UTC it stays that day everywhere.
    const isDay = value.length === 10;
    const date = new Date(isDay ? `${value}T00:00:00Z` : value);
    if (Number.isNaN(date.getTime())) return value;
    const zone: Intl.DateTimeFormatOptions = { timeZone: isDay ? "UTC" : this.zone };
    if (format === "month") {
      const month = this.dateFormat(`month${short}`, {
        ...zone,
        month: short ? "short" : "long",
        ...(short ? {} : { year: "numeric" }),
      }).format(date);
      return short ? `${month} ${String(date.getUTCFullYear() % 100).padStart(2, "0")}` : month;
    }
    if (format === "date" && short) {
      return this.dateFormat("dayshort", { ...zone, day: "numeric", month: "short" }).format(date);
    }
    if (format === "time" && short) {
      return this.dateFormat("timeshort", {
        ...zone,
        day: "numeric",
        month: "short",
        hour: "numeric",
        minute: "2-digit",
      }).format(date);
    }
    return this.dateFormat(`${format}${isDay}`, {
      ...zone,
      // 31/12/2026 in Portuguese, Dec 31, 2026 in English.
      dateStyle: this.translations.lang === "pt" ? "short" : "medium",
      ...(format === "time" ? { timeStyle: "short" } : {}),
    }).format(date);
  }

  private numberFormat(key: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
    let format = this.made.get(`n${key}`);
    if (!format) {
      format = new Intl.NumberFormat(this.translations.locale, options);
      this.made.set(`n${key}`, format);
    }
    return format as Intl.NumberFormat;
  }

  private dateFormat(key: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    let format = this.made.get(`d${key}`);
    if (!format) {
      format = new Intl.DateTimeFormat(this.translations.locale, options);
      this.made.set(`d${key}`, format);
    }
    return format as Intl.DateTimeFormat;
  }
}

/** How long ago a moment is, in the largest unit that fits. */
export function ago(moment: string, now: Date, locale: string): string {
  const seconds = (new Date(moment).getTime() - now.getTime()) / 1000;
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  for (const [unit, size] of [
    ["day", 86_400],
    ["hour", 3_600],
    ["minute", 60],
  ] as const) {
    if (Math.abs(seconds) >= size) return format.format(Math.round(seconds / size), unit);
  }
  return format.format(0, "minute");
}

/** A card's rows as a chart takes them: categories along one axis, one list of numbers per series. */

import type { FilterKey, Filters, Grain } from "./address";
import type { Card, Cell, Column } from "./types";
import type { Formats } from "./format";
import type { Palette } from "./palette";
import type { Translations } from "./translations";
import { mostDistinct } from "./colours";
import { isGrain, isTime } from "./format";
import { meaningOf } from "./palette";

export const MOST_CATEGORIES = 15;
export const MOST_SERIES = 8;
/** The column that counts the deals a sum of money leaves out. */
export const LEFT_OUT = "deals_without_rate";

export interface Context {
  translations: Translations;
  formats: Formats;
  palette: Palette;
  /** First day of the month that is not over, as ISO 8601. */
  thisMonth: string;
  /** First days of the periods that are not over. */
  running: Record<Grain, string>;
  /** The month in which the fiscal year begins. */
  fiscalMonth: number;
  /** How many months before the running one are shown by default. */
  months: number;
  /** What the filters of the bar are set to, and those that the dashboard has. */
  filters: Filters;
  filterKeys: readonly FilterKey[];
  /** What opens the deals behind a measure of a row; null where there is no list of them. */
  behind(card: Card, measure: string, row: readonly Cell[]): (() => void) | null;
}

export interface Series {
  name: string;
  /** The measure: its name in the result and its format. */
  column: Column;
  colour: string;
  values: (number | null)[];
  /** The rows of the card that the values are from. */
  rows: (Cell[] | null)[];
}

export interface Frame {
  /** What the categories are: the column's name, for people. */
  axis: string;
  axisColumn: Column;
  categories: Cell[];
  labels: string[];
  series: Series[];
  /** The category that is not over yet, or -1: the running week, month or quarter. */
  running: number;
  /** The largest value of any part of the card, so that parts beside one another compare. */
  highest: number | null;
  /** The widest name of any part, in CSS pixels. */
  names: number | null;
  /** Categories and series that the card has and the chart leaves to the table. */
  left: { categories: number; series: number };
}

const NO_COLUMN: Column = { name: "", format: "text" };

export function columnIndex(card: Card, name: string | null): number {
  return card.columns.findIndex((column) => column.name === name);
}

/** Deals that the sums of a card leave out for want of an exchange rate: in all, or at most in one row. */
export function leftOut(card: Card): { count: number; perRow: boolean } | null {
  const at = columnIndex(card, card.y.includes(LEFT_OUT) ? null : LEFT_OUT);
  // Of a row of months a tile shows the last.
  const rows = card.display === "trend" ? card.rows.slice(-1) : card.rows;
  const counts = rows.map((row) => toNumber(row[at]) ?? 0);
  const count = card.rowsOverlap
    ? Math.max(0, ...counts)
    : counts.reduce((sum, value) => sum + value, 0);
  return count > 0 ? { count, perRow: card.rowsOverlap } : null;
}

export function toNumber(cell: Cell | undefined): number | null {
  return typeof cell === "number" && Number.isFinite(cell) ? cell : null;
}

/** Text for a chart: on one line, and unable to turn around what stands beside it. */
export function chartLabel(text: string): string {
  return text.replace(/[\u202a-\u202e\u2066-\u2069\u200e\u200f]/g, "").replace(/\s+/g, " ").trim();
}

/** A part of a card that is drawn by itself, and the column and value that it is of. */
export interface Part {
  card: Card;
  of: { column: Column; value: Cell } | null;
}

/** The most parts that a card falls into; beyond them its rows are told apart by their labels. */
const MOST_PARTS = 6;

/**
 * Split a card by a text that it carries beside what it measures, where the rows come in that order:
 * the stages of one pipeline, then those of the next. Stages of two pipelines may share a name.
 */
export function partsOf(card: Card): Part[] {
  const whole = [{ card, of: null }];
  if (card.series || card.display === "line" || card.display === "area") return whole;
  const at = besides(card);
  const column = card.columns[at];
  if (!column) return whole;
  const groups: { value: Cell; rows: Cell[][] }[] = [];
  for (const row of card.rows) {
    const value = row[at] ?? null;
    const last = groups[groups.length - 1];
    if (last && last.value === value) last.rows.push(row);
    else groups.push({ value, rows: [row] });
  }
  const told = new Set(groups.map(({ value }) => value));
  if (told.size !== groups.length || groups.length > MOST_PARTS) return whole;
  return groups.map(({ value, rows }) => ({ card: { ...card, rows }, of: { column, value } }));
}

/** The text that a card carries beside what its chart shows, or -1. */
function besides(card: Card): number {
  const used = new Set([card.x, card.series, ...card.y, ...Object.values(card.link)]);
  return card.columns.findIndex(({ name, format }) => format === "text" && !used.has(name));
}

export function frameOf(card: Card, context: Context, part: string | null = null): Frame {
  const { translations, formats, palette } = context;
  const xAt = columnIndex(card, card.x);
  const axisColumn = card.columns[xAt] ?? NO_COLUMN;
  const seriesAt = columnIndex(card, card.series);
  const keyOf = keys(card, xAt, seriesAt);
  const every = new Map<string, Cell[]>();
  card.rows.forEach((row, nr) => {
    const key = keyOf(row, nr);
    if (!every.has(key)) every.set(key, row);
  });
  let kept = [...every];
  // Time goes on to the end; of anything else the first, since cards are sorted by what matters.
  const left = { categories: 0, series: 0 };
  if (!isTime(axisColumn.format) && card.display !== "heatmap" && kept.length > MOST_CATEGORIES) {
    left.categories = kept.length - MOST_CATEGORIES;
    kept = kept.slice(0, MOST_CATEGORIES);
  }
  const place = new Map(kept.map(([key], index) => [key, index]));
  const found = new Map<string, { column: Column; title: Cell; values: (number | null)[]; rows: (Cell[] | null)[] }>();
  card.rows.forEach((row, nr) => {
    const index = place.get(keyOf(row, nr));
    if (index === undefined) return;
    for (const name of card.y) {
      const at = columnIndex(card, name);
      const column = card.columns[at];
      if (!column) continue;
      const title = seriesAt < 0 ? null : (row[seriesAt] ?? null);
      const key = JSON.stringify([name, title]);
      const series = found.get(key) ?? { column, title, values: kept.map(() => null), rows: kept.map(() => null) };
      series.values[index] = toNumber(row[at]);
      series.rows[index] = row;
      found.set(key, series);
    }
  });
  const lists = [...found.values()];
  if (lists.length > MOST_SERIES && card.display !== "heatmap") {
    left.series = lists.length - MOST_SERIES;
    lists.length = MOST_SERIES;
  }
  const seriesColumn = card.columns[seriesAt] ?? NO_COLUMN;
  const meanings = lists.map(({ column, title }) =>
    meaningOf(seriesAt >= 0 ? String(title) : column.name, palette),
  );
  // A colour with a meaning goes to the first series that has it, whatever comes before.
  const taken = new Set(meanings.filter((meaning) => meaning !== null));
  const series = lists.map(({ column, title, values, rows }, nr) => {
    const byTitle = seriesAt >= 0;
    const measure = translations.column(column.name);
    const name = byTitle ? formats.full(title, seriesColumn) : measure;
    const meaning = meanings[nr] ?? null;
    const isFirst = meaning !== null && meanings.indexOf(meaning) === nr;
    const colour = isFirst ? meaning : nextColour(palette, taken);
    taken.add(colour);
    return {
      name: chartLabel(byTitle && card.y.length > 1 ? `${name} · ${measure}` : name),
      column,
      colour,
      values,
      rows,
    };
  });
  const categories = kept.map(([, row]) => row[xAt] ?? null);
  const texts = categories.map((cell) => formats.full(cell, axisColumn));
  const besidesAt = besides(card);
  const other = card.columns[besidesAt];
  const labels = kept.map(([, row], nr) => {
    const text = texts[nr] ?? "";
    const alone = texts.indexOf(text) === texts.lastIndexOf(text) || !other;
    const label = alone ? text : `${text} · ${formats.full(row[besidesAt] ?? null, other)}`;
    // A part already has its heading: the name of the pipeline is not repeated behind each stage.
    const short = part && label.endsWith(` · ${part}`) ? label.slice(0, -part.length - 3) : label;
    return chartLabel(short && !texts.includes(short) ? short : label);
  });
  return {
    axis: card.x ? translations.column(card.x) : "",
    axisColumn,
    categories,
    labels,
    series,
    running: isGrain(axisColumn.format) ? categories.indexOf(context.running[axisColumn.format]) : -1,
    highest: null,
    names: null,
    left,
  };
}

/** What makes a category: its value, or the row where two rows without a series share one. */
function keys(card: Card, xAt: number, seriesAt: number): (row: Cell[], nr: number) => string {
  const values = card.rows.map((row) => JSON.stringify(row[xAt]));
  if (seriesAt < 0 && new Set(values).size < values.length) return (_, nr) => String(nr);
  return (row) => JSON.stringify(row[xAt]);
}

function nextColour(palette: Palette, taken: ReadonlySet<string>): string {
  const free = palette.series.filter((colour) => !taken.has(colour));
  return mostDistinct(free, taken) ?? palette.calm;
}

/** A card's rows as a chart takes them: categories along one axis, one list of numbers per series. */

import type { Card, Cell, Column } from "./types";
import type { Formats } from "./format";
import type { Palette } from "./palette";
import type { Words } from "./words";
import { isTime } from "./format";
import { meaningOf } from "./palette";

export const MOST_CATEGORIES = 15;
export const MOST_SERIES = 8;

export interface Context {
  words: Words;
  formats: Formats;
  palette: Palette;
}

export interface Series {
  name: string;
  /** The measure: its name in the result and its format. */
  column: Column;
  colour: string;
  values: (number | null)[];
}

export interface Frame {
  /** What the categories are: the column's name, for people. */
  axis: string;
  axisColumn: Column;
  categories: Cell[];
  labels: string[];
  series: Series[];
  /** Categories and series that the card has and the chart leaves to the table. */
  left: { categories: number; series: number };
}

const NO_COLUMN: Column = { name: "", format: "text" };

export function columnIndex(card: Card, name: string | null): number {
  return card.columns.findIndex((column) => column.name === name);
}

export function toNumber(cell: Cell | undefined): number | null {
  return typeof cell === "number" && Number.isFinite(cell) ? cell : null;
}

/** Text for a chart: on one line, and unable to turn around what stands beside it. */
export function chartLabel(text: string): string {
  return text.replace(/[\u202a-\u202e\u2066-\u2069\u200e\u200f]/g, "").replace(/\s+/g, " ").trim();
}

/** Split a card by its series, where each has categories of its own (the stages of a pipeline). */
export function facets(card: Card): { title: Cell; card: Card }[] {
  const at = columnIndex(card, card.series);
  const whole = [{ title: null, card }];
  if (at < 0) return whole;
  const groups = new Map<Cell, Cell[][]>();
  for (const row of card.rows) {
    const group = groups.get(row[at] ?? null);
    if (group) group.push(row);
    else groups.set(row[at] ?? null, [row]);
  }
  return [...groups].map(([title, rows]) => ({ title, card: { ...card, rows, series: null } }));
}

export function frameOf(card: Card, context: Context): Frame {
  const { words, formats, palette } = context;
  const xAt = columnIndex(card, card.x);
  const axisColumn = card.columns[xAt] ?? NO_COLUMN;
  const every = new Map<string, Cell>();
  for (const row of card.rows) every.set(JSON.stringify(row[xAt]), row[xAt] ?? null);
  let kept = [...every];
  // Time goes on to the end; of anything else the first, since cards are sorted by what matters.
  const left = { categories: 0, series: 0 };
  if (!isTime(axisColumn.format) && card.display !== "heatmap" && kept.length > MOST_CATEGORIES) {
    left.categories = kept.length - MOST_CATEGORIES;
    kept = kept.slice(0, MOST_CATEGORIES);
  }
  const place = new Map(kept.map(([key], index) => [key, index]));
  const found = new Map<string, { column: Column; title: Cell; values: (number | null)[] }>();
  const seriesAt = columnIndex(card, card.series);
  for (const row of card.rows) {
    const index = place.get(JSON.stringify(row[xAt]));
    if (index === undefined) continue;
    for (const name of card.y) {
      const at = columnIndex(card, name);
      const column = card.columns[at];
      if (!column) continue;
      const title = seriesAt < 0 ? null : (row[seriesAt] ?? null);
      const key = JSON.stringify([name, title]);
      const series = found.get(key) ?? { column, title, values: kept.map(() => null) };
      series.values[index] = toNumber(row[at]);
      found.set(key, series);
    }
  }
  const lists = [...found.values()];
  if (lists.length > MOST_SERIES && card.display !== "heatmap") {
    left.series = lists.length - MOST_SERIES;
    lists.length = MOST_SERIES;
  }
  const seriesColumn = card.columns[seriesAt] ?? NO_COLUMN;
  const taken = new Set<string>();
  const series = lists.map(({ column, title, values }) => {
    const byTitle = seriesAt >= 0;
    const measure = words.column(column.name);
    const name = byTitle ? formats.full(title, seriesColumn) : measure;
    const meaning = meaningOf(byTitle ? String(title) : column.name, palette);
    const colour = meaning && !taken.has(meaning) ? meaning : nextColour(palette, taken);
    taken.add(colour);
    return {
      name: chartLabel(byTitle && card.y.length > 1 ? `${name} · ${measure}` : name),
      column,
      colour,
      values,
    };
  });
  const categories = kept.map(([, cell]) => cell);
  return {
    axis: card.x ? words.column(card.x) : "",
    axisColumn,
    categories,
    labels: categories.map((cell) => chartLabel(formats.full(cell, axisColumn))),
    series,
    left,
  };
}

function nextColour(palette: Palette, taken: ReadonlySet<string>): string {
  const free = palette.series.find((colour) => !taken.has(colour));
  return free ?? palette.calm;
}

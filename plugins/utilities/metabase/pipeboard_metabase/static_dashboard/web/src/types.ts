import type { FilterKey, Grain } from "./address";

/** What Python writes into the page; page.py is the other end of this contract. */

export type Lang = "en" | "pt";

/** Text, number, yes or no, or nothing; dates and times as ISO 8601. */
export type Cell = string | number | boolean | null;

/** How a column is shown; cards may ask for one, else it follows from the column's type. */
export type Format =
  | "integer"
  | "decimal"
  | "money"
  | "percent"
  | "days"
  | "hours"
  | "seconds"
  | "date"
  | "month"
  | "period"
  | "week"
  | "quarter"
  | "time"
  | "text"
  | "boolean"
  | "id"
  | "url";

export type Display =
  | "scalar"
  | "trend"
  | "bar"
  | "row"
  | "line"
  | "area"
  | "combo"
  | "funnel"
  | "pie"
  | "heatmap"
  | "table";

export interface Column {
  name: string;
  format: Format;
}

export interface Card {
  key: string;
  display: Display;
  /** What it covers where no filter of a period applies: now, this_month, ... */
  period: string | null;
  x: string | null;
  y: string[];
  /** The column with what the figure of a tile is to reach. */
  goal: string | null;
  series: string | null;
  stacked: boolean;
  /** Measures of a combo that are lines, and measures with a scale of their own on the right. */
  lines: string[];
  rightAxis: string[];
  columns: Column[];
  /** The filters of the bar that it obeys. */
  filters: FilterKey[];
  /** The lengths of periods that it can show. */
  grains: Grain[];
  /** Its select for the database of the page; null where the page cannot compute it. */
  query: string | null;
  rows: Cell[][];
  /** More rows than the page carries. */
  cut: boolean;
  /** A deal may be in several rows, so counts of rows are not added up. */
  rowsOverlap: boolean;
  /** Column -> the column that holds its address. */
  link: Record<string, string>;
  /** Measure -> the set of deals behind it. */
  deals: Record<string, string>;
  /** Why the card could not be read, in the database's own message; null when it could. */
  error: string | null;
}

export interface Placed {
  card: string;
  w: number;
  h: number;
}

export interface Dashboard {
  key: string;
  /** Those of the bar that at least one of its cards obeys. */
  filters: FilterKey[];
  tabs: { key: string | null; cards: Placed[] }[];
}

export interface Meta {
  /** When the source was last read. */
  asOf: string | null;
  /** When this page was made. */
  madeAt: string;
  /** ISO code of the base currency; null when it is not known. */
  currency: string | null;
  deals: number;
  /** The day of the data; null when it is not known. */
  today: string | null;
  /** First day of the month that is not over; of the reporting time zone, like all days. */
  thisMonth: string;
  /** The reporting time zone, by its IANA name. */
  zone: string;
  demo: boolean;
  /** The month, from 1 to 12, in which the fiscal year begins. */
  fiscalMonth: number;
  /** How many months before the running one are shown by default. */
  months: number;
}

/** How the deals behind a figure are found. */
export interface Lists {
  columns: Column[];
  order: string;
  /** A select for each set, and what a column of a card says about its deals. */
  sets: Record<string, { select: string; dimensions: Record<string, string> }>;
}

/** What the filters of the bar can be set to. */
export interface Choices {
  /** First day of the first month with deals. */
  firstMonth: string;
  pipeline: string[];
  owner: string[];
  team: string[];
}

export interface Page {
  meta: Meta;
  translations: Record<string, Record<Lang, string>>;
  dashboards: Dashboard[];
  cards: Record<string, Card>;
  lists: Lists;
  /** The most rows of a card that the page shows. */
  mostRows: number;
  /** Null where the page has no database to filter. */
  choices: Choices | null;
}

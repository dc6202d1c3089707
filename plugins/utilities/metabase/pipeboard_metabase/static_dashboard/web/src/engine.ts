/**
 * The cards' own selects, run in the browser over the database that the page carries: SQLite, by
 * sql.js. database.py writes the selects for it, and a test compares every figure with PostgreSQL's.
 */

import type { Database, Value } from "sql.js";
import initSqlJs from "sql.js";

import type { Filters, Grain } from "./address";
import { NAMED } from "./address";
import type { Card, Cell, Column } from "./types";

/** A clause of a select and the filter that it is about: it is left out where that one is not set. */
const CLAUSE = /\[\[(\w+):([\s\S]*?)\]\]/g;

/** What filters are set to: the first and the last day of a period, names of the others. */
export interface Chosen {
  period: readonly [string, string] | null;
  grain: Grain;
  pipeline: readonly string[];
  owner: readonly string[];
  team: readonly string[];
}

/** A table of the file: its columns with their types in SQLite, and the values of each. */
interface Table {
  columns: Record<string, string>;
  values: Value[][];
}

/** Tables whose texts are numbers of a list, which is in the order of the database's collation. */
interface File {
  texts: string[];
  tables: Record<string, Table>;
}

/** Rows that are inserted before the browser may do something else. */
const ROWS_AT_ONCE = 2_000;
/** Columns that large tables are joined by: without an index a select would make one each time. */
const JOINED_BY = ["date_day", "deal_id"];
const RELATION = /\b(?:marts|ops)_\w+/g;

export class Engine {
  private listing: Promise<void> | null = null;
  /** Tables that are not wholly made yet, and what is left to do: a select ends that for those it reads. */
  private readonly pending = new Map<string, Iterator<void>>();

  private constructor(
    private readonly database: Database,
    tables: ReadonlyMap<string, Table>,
    /** The place of a text in the database's own order. */
    ranks: ReadonlyMap<string, number>,
    private readonly lists: () => Promise<ArrayBuffer>,
  ) {
    database.create_function("place_of", (value) => (typeof value === "string" ? (ranks.get(value) ?? value) : value));
    this.add(tables);
    void this.makePending([...tables.keys()]);
  }

  static async open(
    program: ArrayBuffer,
    file: ArrayBuffer,
    lists: () => Promise<ArrayBuffer>,
  ): Promise<Engine> {
    const sql = await initSqlJs({ wasmBinary: program });
    const database = new sql.Database();
    database.create_function("round", rounded);
    const { tables, texts, lists: arrays } = read(file);
    database.create_aggregate("percentile", {
      init: () => ({ share: 0.5, values: [] as number[][] }),
      step: (found: Collected, share: Value, value: Value) => {
        found.share = Number(share);
        found.values.push(valuesOf(value, arrays));
        return found;
      },
      finalize: percentile,
    });
    database.create_aggregate("count_of", {
      init: () => 0,
      step: (count: number, value: Value) => count + valuesOf(value, arrays).length,
      finalize: (count: number) => count,
    });
    database.run("begin");
    const ranks = new Map(texts.map((text, nr) => [text, nr]));
    return new Engine(database, tables, ranks, lists);
  }

  private add(tables: ReadonlyMap<string, Table>): void {
    for (const [name, table] of tables) this.pending.set(name, this.steps(name, table));
  }

  /** Make the tables before a select needs them, in steps between which the browser may draw. */
  private async makePending(names: readonly string[]): Promise<void> {
    for (const name of names) {
      do await pause();
      while (!this.step(name));
    }
  }

  /** Do the next step of making a table; return whether it is wholly made. */
  private step(name: string): boolean {
    if (this.pending.get(name)?.next().done === false) return false;
    this.pending.delete(name);
    return true;
  }

  /**
   * Make also the tables of the lists. They have most of the rows, and most readers open no list: they
   * are made for the first one.
   */
  withLists(): Promise<void> {
    this.listing ??= this.lists().then((file) => {
      const { tables } = read(file);
      this.add(tables);
      return this.makePending([...tables.keys()]);
    });
    return this.listing;
  }

  /** Make a table, with a stop after some rows. */
  private *steps(name: string, table: Table): Generator<void> {
    const names = Object.keys(table.columns);
    const types = names.map((column) => `${column} ${table.columns[column]}`);
    this.database.run(`create table ${name} (${types.join(", ")})`);
    const places = names.map(() => "?").join(", ");
    const insert = this.database.prepare(`insert into ${name} values (${places})`);
    const count = table.values[0]?.length ?? 0;
    for (let row = 0; row < count; row += 1) {
      insert.run(table.values.map((column) => column[row] ?? null));
      if (row % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) yield;
    }
    insert.free();
    for (const column of JOINED_BY.filter((each) => names.includes(each))) {
      // The calendar is joined for its other columns, which the index has too.
      const indexed = column === "date_day" ? [column, ...names.filter((each) => each !== column)] : [column];
      this.database.run(`create index ${name}_${column} on ${name} (${indexed.join(", ")})`);
    }
  }

  /** Return the rows of a card for filters; of those that it does not have, none applies. */
  rowsOf(card: Card, chosen: Chosen): Cell[][] {
    return this.select(card.query ?? "", chosen, {}, card.columns);
  }

  /** Run a select with clauses; `columns` say which values are truths and not numbers. */
  select(
    select: string,
    chosen: Chosen,
    more: Record<string, string | number>,
    columns: readonly Column[],
  ): Cell[][] {
    const values: Record<string, string | number> = { ":grain": chosen.grain };
    for (const [name, value] of Object.entries(more)) values[`:${name}`] = value;
    const text = select.replace(CLAUSE, (_, filter: string, clause: string) => {
      if (filter === "period") {
        if (!chosen.period) return "";
        [values[":period_first"], values[":period_last"]] = chosen.period;
        return clause;
      }
      const names = chosen[filter as (typeof NAMED)[number]];
      if (!names.length) return "";
      values[`:${filter}`] = JSON.stringify(names);
      return clause;
    });
    for (const [name] of text.matchAll(RELATION)) while (!this.step(name));
    const statement = this.database.prepare(text);
    try {
      statement.bind(values);
      const rows: Cell[][] = [];
      while (statement.step()) {
        rows.push(statement.get().map((value, at) => cellOf(value, columns[at])));
      }
      return rows;
    } finally {
      statement.free();
    }
  }
}

function pause(): Promise<unknown> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** What an aggregate is given: a share of 1, and numbers. */
interface Collected {
  share: number;
  values: (readonly number[])[];
}

/** Return the tables of a file; in them an array is the text of its place in `lists`. */
function read(file: ArrayBuffer): { tables: Map<string, Table>; texts: string[]; lists: number[][] } {
  const { tables, texts } = JSON.parse(new TextDecoder().decode(file)) as File;
  const lists: number[][] = [];
  for (const { columns, values } of Object.values(tables)) {
    for (const [at, [name, type]] of Object.entries(columns).entries()) {
      if (type === "list") {
        columns[name] = "text";
        values[at] = ((values[at] ?? []) as unknown as number[][]).map((steps) => String(lists.push(summed(steps)) - 1));
      } else if (type === "text") {
        values[at] = (values[at] ?? []).map((place) => (place === null ? null : (texts[Number(place)] ?? null)));
      }
    }
  }
  return { tables: new Map(Object.entries(tables)), texts, lists };
}

/** Return the numbers of an array that the file has as its first hundredths and what the others add. */
function summed(steps: readonly number[]): number[] {
  let sum = 0;
  return steps.map((step) => (sum += step) / 100);
}

/** Return the numbers of a cell: one, an array's, or none. */
function valuesOf(value: Value, lists: readonly number[][]): readonly number[] {
  return typeof value === "number" ? [value] : (lists[Number(value ?? -1)] ?? []);
}

/**
 * Round as PostgreSQL rounds decimals: 8917.095 is 8917.10, though its double is a little less. What
 * is nearer to a half than sums of doubles are exact is taken for one.
 */
function rounded(value: Value, digits: Value): Value {
  if (typeof value !== "number" || typeof digits !== "number") return null;
  const scale = 10 ** digits;
  return (Math.sign(value) * Math.round(Math.abs(value) * scale * (1 + 2e-14))) / scale;
}

/** As PostgreSQL's percentile_cont(share): between two values the proportion of their distance. */
function percentile({ share, values }: Collected): number | null {
  const sorted = Float64Array.from(values.flat()).sort();
  const place = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low === undefined || high === undefined ? null : low + (high - low) * (place - Math.floor(place));
}

function cellOf(value: string | number | null, column: Column | undefined): Cell {
  return column?.format === "boolean" && value !== null ? value !== 0 : value;
}

/** Whether a filter is set to anything but its default. */
export function isSet(filters: Filters, key: keyof Filters): boolean {
  return key === "period" || key === "grain" ? filters[key] !== null : filters[key].length > 0;
}

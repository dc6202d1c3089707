/**
 * The cards' own selects, run in the browser over the database that the page carries: SQLite, by
 * sql.js. database.py writes the selects for it, and a test compares every figure with PostgreSQL's.
 */

import type { Database, Value } from "sql.js";
import initSqlJs from "sql.js";

import type { Filters } from "./address";
import { NAMED } from "./address";
import type { Card, Cell, Column } from "./types";

/** A clause of a select and the filter that it is about: it is left out where that one is not set. */
const CLAUSE = /\[\[(\w+):([\s\S]*?)\]\]/g;
/** As in page.py: the longest text that a cell carries. */
const LONGEST_TEXT = 300;

/** What filters are set to: the first and the last day of a period, names of the others. */
export interface Chosen {
  period: readonly [string, string] | null;
  pipeline: readonly string[];
  owner: readonly string[];
  team: readonly string[];
}

export class Engine {
  private constructor(private readonly database: Database) {}

  static async open(program: ArrayBuffer, file: ArrayBuffer): Promise<Engine> {
    const sql = await initSqlJs({ wasmBinary: program });
    const database = new sql.Database(new Uint8Array(file));
    database.create_function("round", rounded);
    return new Engine(database);
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
    const values: Record<string, string | number> = {};
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

/**
 * Round as PostgreSQL rounds decimals: 8917.095 is 8917.10, though its double is a little less. What
 * is nearer to a half than sums of doubles are exact is taken for one.
 */
function rounded(value: Value, digits: Value): Value {
  if (typeof value !== "number" || typeof digits !== "number") return null;
  const scale = 10 ** digits;
  return (Math.sign(value) * Math.round(Math.abs(value) * scale * (1 + 2e-14))) / scale;
}

function cellOf(value: string | number | null, column: Column | undefined): Cell {
  if (typeof value === "string") {
    return value.length > LONGEST_TEXT ? `${value.slice(0, LONGEST_TEXT - 1)}…` : value;
  }
  return column?.format === "boolean" && value !== null ? value !== 0 : value;
}

/** Whether a filter is set to anything but its default. */
export function isSet(filters: Filters, key: keyof Filters): boolean {
  return key === "period" ? filters.period !== null : filters[key].length > 0;
}

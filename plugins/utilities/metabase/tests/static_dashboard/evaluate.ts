/** Answers cards of a page as the browser does: settings of filters come in as JSON, rows go out. */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

import { read } from "@web/address";
import { dealsOf, listedOf } from "@web/deals";
import type { Chosen } from "@web/engine";
import { Engine } from "@web/engine";
import { leftOut } from "@web/frame";
import { rangeOf } from "@web/period";
import type { Card, Cell, Page } from "@web/types";

/** The value, and the number and the sum of the deals of its list, of every figure that has one. */
function lists(card: Card, rows: Cell[][], chosen: Chosen): { measure: string; figure: Cell; count: number; sum: number }[] {
  // A tile shows the last row only.
  const shown = card.display === "trend" ? rows.slice(-1) : rows;
  const valueAt = page.lists.columns.findIndex(({ name }) => name === "value_base");
  return Object.keys(card.deals).flatMap((measure) => {
    const at = card.columns.findIndex(({ name }) => name === measure);
    return shown.slice(0, 4).map((row) => {
      const listed = listedOf(card, measure, row, page.lists);
      const found = (listed && dealsOf(card, listed, page.lists, engine, chosen)) ?? [];
      const sum = found.reduce((total, deal) => total + Number(deal[valueAt] ?? 0), 0);
      return { measure, figure: row[at] ?? null, count: found.length, sum };
    });
  });
}

const [, , path = ""] = process.argv;
const html = readFileSync(path, "utf-8");

function held(id: string): string {
  return new RegExp(`id="${id}">([^<]*)<`).exec(html)?.[1] ?? "";
}

function unpacked(id: string): ArrayBuffer {
  const bytes = gunzipSync(Buffer.from(held(id), "base64"));
  return new Uint8Array(bytes).buffer;
}

const page = JSON.parse(held("page-data")) as Page;
const engine = await Engine.open(unpacked("page-engine"), unpacked("page-database"), async () => unpacked("page-lists"));
const asked = JSON.parse(readFileSync(0, "utf-8")) as { address: string; card: string; lists: boolean }[];
if (asked.some(({ lists: listed }) => listed)) await engine.withLists();
const answers = asked.map(({ address, card: key, lists: listed }) => {
  const { filters } = read(address);
  const card = page.cards[key];
  if (!card) throw new Error(`no card ${key}`);
  const chosen = { ...filters, grain: filters.grain ?? "month", period: rangeOf(filters.period, page.meta) };
  const rows = engine.rowsOf(card, chosen);
  return { period: chosen.period, rows, leftOut: leftOut({ ...card, rows }), lists: listed ? lists(card, rows, chosen) : [] };
});
console.log(JSON.stringify(answers));

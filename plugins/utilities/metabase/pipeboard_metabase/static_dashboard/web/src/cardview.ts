/** One card: heading, chart or number or table, and the table behind every chart. */

import type { Chart } from "./chart";
import { draw, heightOf, highestOf, liesDown, mostOf, namesOf } from "./chart";
import { element } from "./dom";
import { isSet } from "./engine";
import { findings } from "./finding";
import type { Context, Frame } from "./frame";
import { columnIndex, frameOf, leftOut, partsOf } from "./frame";
import { meaningOf } from "./palette";
import { periodName } from "./period";
import type { OnCell } from "./table";
import { exporter, table } from "./table";
import type { Card, Cell, Placed } from "./types";

/**
 * A card in the document. All cards are measured first, which settles how tall a row of them is, and
 * drawn then into what room there is. `measure` only reads and returns what sets the height: a card
 * that set its own before the next is measured would make the browser lay out the page for each.
 */
export interface View {
  node: HTMLElement;
  measure(): () => void;
  draw(): Chart[];
}

const CELL_HEIGHT = 50;
const MOST_TABLE_HEIGHT = 420;

export function view(card: Card, placed: Placed, level: 3 | 4, context: Context): View {
  const { translations } = context;
  const title = translations.text(`card.${card.key}`);
  const id = `card-${card.key}`;
  const tag = `h${level}` as "h3" | "h4";
  const period = card.period ? translations.text(`period.${card.period}`) : periodName(context.filters.period, context);
  const description = translations.has(`card.${card.key}.description`)
    ? `${translations.text(`card.${card.key}.description`)} ${translations.text("phrase.covers")}: ${period}.`
    : null;
  const head = element("header", {}, element(tag, { id }, title));
  const node = element(
    "article",
    { class: `card ${isTile(card) ? "tile " : ""}${card.display}`, "aria-labelledby": id, "data-card": card.key },
    head,
  );
  node.style.setProperty("--w", String(placed.w));
  const still: View = { node, measure: () => () => undefined, draw: () => [] };
  if (description) node.append(element("p", { class: "about" }, description));
  if (card.error) {
    node.append(
      element("p", { class: "nothing failed" }, translations.text("page.card_failed")),
      element("p", { class: "about" }, element("bdi", {}, card.error)),
    );
    return still;
  }
  if (isTile(card)) {
    const spark = trendOf(card, title, context);
    node.append(...figure(card, context), ...(spark ? [spark.node] : []), ...notes(card, [], context));
    return spark ? { ...still, draw: spark.draw } : still;
  }
  if (!hasData(card)) {
    const isFiltered = card.filters.some((key) => isSet(context.filters, key));
    node.append(
      element("p", { class: "nothing" }, translations.text(isFiltered ? "page.no_match" : "page.no_data")),
      ...notes(card, [], context),
    );
    return still;
  }
  const behind: OnCell = (row, column) => context.behind(card, column.name, row);
  if (card.display === "table") {
    const { node: box, complete } = table(card, title, context, behind);
    head.append(tools(exporter(card, title, context)));
    node.append(box, ...notes(card, [], context));
    return {
      ...still,
      measure: () => giveRoom(box),
      draw: () => {
        complete();
        return [];
      },
    };
  }
  return chartView(card, placed, title, node, head, context);
}

function tools(...buttons: HTMLElement[]): HTMLElement {
  return element("div", { class: "card-tools" }, ...buttons);
}

/** A table is as tall as it needs, up to a height that leaves the page readable, or as its row. */
function giveRoom(box: HTMLElement): () => void {
  const content = box.querySelector("table")?.offsetHeight ?? 0;
  const scroll = box.querySelector<HTMLElement>(".scroll-box") ?? box;
  return () => {
    scroll.style.minHeight = `${Math.min(content + 2, MOST_TABLE_HEIGHT)}px`;
  };
}

/** A chart of nothing but nulls says nothing; zeros are something. */
function hasData(card: Card): boolean {
  if (card.display === "table") return card.rows.length > 0;
  const measured = card.y.map((name) => columnIndex(card, name));
  return card.rows.some((row) => measured.some((at) => typeof row[at] === "number"));
}

function isTile(card: Card): boolean {
  return card.display === "scalar" || card.display === "trend";
}

/** The figure of a tile: the last row, with the one before it and the goal where there is one. */
function figure(card: Card, context: Context): HTMLElement[] {
  const { formats, palette, translations, thisMonth } = context;
  const name = card.y[0] ?? "";
  const at = columnIndex(card, name);
  const column = card.columns[at] ?? { name, format: "text" as const };
  const last = card.rows[card.rows.length - 1];
  const value: Cell = last?.[at] ?? null;
  const number = element("p", { class: "big" });
  if (value === null) {
    number.append(
      element("span", { "aria-hidden": "true" }, "–"),
      element("span", { class: "unseen" }, translations.text("page.no_data")),
    );
    return [number];
  }
  if (typeof value === "string") number.classList.add("wordy");
  const short = formats.short(value, column);
  const full = formats.full(value, column);
  const open = last && value !== 0 ? context.behind(card, name, last) : null;
  const place = open
    ? element("button", { type: "button", class: "behind", "aria-haspopup": "dialog", "data-focus": `behind-${card.key}` })
    : number;
  place.append(
    element("span", { "aria-hidden": short === full ? null : "true" }, short),
    ...(short === full ? [] : [element("span", { class: "unseen" }, full)]),
  );
  if (open) {
    place.addEventListener("click", open);
    number.append(place);
  }
  if (short !== full) number.title = full;
  const colour = meaningOf(card.key, palette) ?? meaningOf(name, palette);
  if (colour) number.style.setProperty("--mark", colour);
  const lines: HTMLElement[] = [];
  const before = card.display === "trend" ? card.rows[card.rows.length - 2] : undefined;
  const earlier = before?.[at] ?? null;
  if (before && typeof earlier === "number") {
    const month = card.columns[columnIndex(card, card.x)];
    const isRunning = card.period === "this_month" && last?.[columnIndex(card, card.x)] === thisMonth;
    // Part of a month is not compared with a whole one.
    const change =
      !isRunning && typeof value === "number" && earlier !== 0 && column.format !== "percent"
        ? ` (${formats.change(value / earlier - 1)})`
        : "";
    lines.push(
      element(
        "p",
        { class: "beside" },
        `${month ? formats.full(before[columnIndex(card, card.x)] ?? null, month) : ""}: ` +
          `${formats.short(earlier, column)}${change}`,
      ),
    );
  }
  const goal = last?.[columnIndex(card, card.goal)] ?? null;
  if (typeof goal === "number" && goal > 0 && typeof value === "number") {
    const share = value / goal;
    const bar = element("span", { class: "reached" });
    bar.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
    lines.push(
      element(
        "p",
        { class: "beside" },
        translations.text("page.goal", {
          goal: formats.short(goal, column),
          share: formats.short(share, { name: "", format: "percent" }),
        }),
      ),
      element("div", { class: "goal", "aria-hidden": "true" }, bar),
    );
  }
  return [number, ...lines];
}

/** The months of a tile as a small line; null where there are too few. */
function trendOf(
  card: Card,
  title: string,
  context: Context,
): { node: HTMLElement; draw: () => Chart[] } | null {
  const frame = frameOf(card, context);
  if (card.display !== "trend" || (frame.series[0]?.values.filter((v) => v !== null).length ?? 0) < 3) {
    return null;
  }
  const place = element("div", {
    class: "chart spark",
    role: "img",
    "aria-label": `${title}. ${findings(frame, context)}`,
  });
  return { node: place, draw: () => [draw(place, card, frame, context)] };
}

function chartView(
  card: Card,
  placed: Placed,
  title: string,
  node: HTMLElement,
  head: HTMLElement,
  context: Context,
): View {
  const { translations, formats } = context;
  const behind: OnCell = (row, column) => context.behind(card, column.name, row);
  const parts = partsOf(card).map((part) => ({
    ...part,
    frame: frameOf(part.card, context, part.of ? formats.full(part.of.value, part.of.column) : null),
  }));
  const highest = Math.max(...parts.map(({ frame }) => highestOf(card, frame)));
  const names = Math.max(...parts.map(({ frame }) => namesOf(frame)));
  const figures = parts.map((part) => {
    if (parts.length > 1) Object.assign(part.frame, { highest, names });
    const name = part.of ? formats.full(part.of.value, part.of.column) : null;
    const place = element("div", {
      class: "chart",
      role: "img",
      "aria-label": `${title}${name ? `, ${name}` : ""}. ${findings(part.frame, context)}`,
    });
    const caption = element("figcaption", {}, element("bdi", {}, name ?? ""));
    return { place, node: element("figure", {}, name ? caption : null, place) };
  });
  const charts = element(
    "div",
    { class: "charts" },
    card.display === "heatmap" ? null : legend(parts.map(({ frame }) => frame)),
    element(
      "div",
      { class: parts.length > 1 ? "parts" : "part" },
      ...figures.map((figure) => figure.node),
    ),
  );
  const rows = element("div", { class: "rows", id: `rows-${card.key}`, hidden: true });
  const toggle = element(
    "button",
    {
      type: "button",
      class: "toggle",
      "aria-pressed": "false",
      "aria-label": translations.text("page.table_of", { title }),
      "data-focus": `table-${card.key}`,
    },
    translations.text("page.table"),
  );
  toggle.addEventListener("click", () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    if (on && !rows.hasChildNodes()) {
      const { node: box, complete } = table(card, title, context, behind);
      rows.append(box);
      complete();
    }
    toggle.setAttribute("aria-pressed", String(on));
    rows.style.minHeight = `${charts.offsetHeight || rows.offsetHeight}px`;
    charts.hidden = on;
    rows.hidden = !on;
  });
  head.append(tools(toggle, exporter(card, title, context)));
  node.append(charts, rows, ...notes(card, parts.map((part) => part.frame), context));
  return {
    node,
    measure: () => {
      const width = charts.clientWidth;
      // Parts lie down, so that their bars have one scale; so does what has long names.
      const lying =
        card.display === "bar" &&
        (parts.length > 1 || parts.some((part) => liesDown(part.card, part.frame, width)));
      return () =>
        figures.forEach(({ place }, nr) => {
          const part = parts[nr];
          if (!part) return;
          if (lying) part.card = { ...part.card, display: "row" };
          const asked = Math.max(200, placed.h * CELL_HEIGHT - 96);
          const least = heightOf(part.card, part.frame, asked);
          place.style.minHeight = `${least}px`;
          place.style.maxHeight = `${mostOf(part.card, least)}px`;
        });
    },
    draw: () =>
      figures.flatMap(({ place }, nr) => {
        const part = parts[nr];
        return part ? [draw(place, part.card, part.frame, context)] : [];
      }),
  };
}

/** Which colour is which; the chart's own description names them for those who do not see it. */
function legend(frames: Frame[]): HTMLElement | null {
  const colours = new Map(
    frames.flatMap((frame) => frame.series.map(({ name, colour }) => [name, colour] as const)),
  );
  if (colours.size < 2) return null;
  return element(
    "ul",
    { class: "legend", "aria-hidden": "true" },
    ...[...colours].map(([name, colour]) => {
      const dot = element("span", { class: "dot" });
      dot.style.background = colour;
      return element("li", {}, dot, element("bdi", {}, name));
    }),
  );
}

/** What the chart, or the page, leaves out: said, never silent. */
function notes(
  card: Card,
  frames: Frame[],
  { translations, formats, filters, filterKeys }: Context,
): HTMLElement[] {
  const without = leftOut(card);
  const ignored = filterKeys.filter(
    (key) => key !== "grain" && isSet(filters, key) && !card.filters.includes(key),
  );
  const { grain } = filters;
  const running = frames.find((frame) => frame.running >= 0)?.axisColumn.format;
  const categories = frames.reduce((sum, { left }) => sum + left.categories, 0);
  const series = frames.reduce((sum, { left }) => sum + left.series, 0);
  const said = [
    ignored.length > 0
      ? `${translations.text("phrase.unfiltered")}: ${ignored.map((key) => translations.text(key === "period" ? "phrase.covers" : `filter.${key}`)).join(", ")}.`
      : null,
    grain && !isTile(card) && !card.grains.includes(grain) && card.columns.some(({ name, format }) => name === card.x && format === "month")
      ? translations.text("page.by_month")
      : null,
    running ? translations.text(`page.running.${running}`) : null,
    categories + series > 0
      ? translations.text("page.left_to_table", { count: String(categories + series) })
      : null,
    without
      ? translations.text(without.perRow ? "page.left_out_of_row" : "page.left_out", {
          count: formats.full(without.count, { name: "", format: "integer" }),
        })
      : null,
    card.cut ? translations.text("page.cut", { count: String(card.rows.length) }) : null,
  ].filter((text) => text !== null);
  return said.length ? [element("p", { class: "note" }, said.join(" "))] : [];
}

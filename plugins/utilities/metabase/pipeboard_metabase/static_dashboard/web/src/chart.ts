/** ECharts options of each display; one look for all of them. */

import { BarChart, HeatmapChart, LineChart, PieChart } from "echarts/charts";
import { GridComponent, TooltipComponent, VisualMapComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

import { element } from "./dom";
import type { Context, Frame, Series } from "./frame";
import { hasUnit, isTime } from "./format";
import type { Card, Column } from "./types";

echarts.use([
  BarChart,
  GridComponent,
  HeatmapChart,
  LineChart,
  PieChart,
  SVGRenderer,
  TooltipComponent,
  VisualMapComponent,
]);

export type Chart = echarts.ECharts;
type Option = echarts.EChartsCoreOption;

const COUNT: Column = { name: "", format: "integer" };
const SHARE: Column = { name: "", format: "percent" };
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const ROW_HEIGHT = 30;

export function draw(place: HTMLElement, card: Card, frame: Frame, context: Context): Chart {
  const chart = echarts.init(place, null, { renderer: "svg" });
  chart.setOption(options(card, frame, context, place.clientWidth));
  const openerAt = ({ seriesName, dataIndex }: Clicked) => {
    const series = frame.series.find(({ name }) => name === seriesName);
    const row = series?.rows[dataIndex];
    return series && row ? context.behind(card, series.column.name, row) : null;
  };
  chart.on("click", (event) => openerAt(event as Clicked)?.());
  if (Object.keys(card.deals).length) place.classList.add("listed");
  return chart;
}

/** A mark of a chart: all are of a series, and of a category by its index. */
interface Clicked {
  seriesName?: string;
  dataIndex: number;
}

/** How tall a chart has to be, in CSS pixels; rows need room for each. */
export function heightOf(card: Card, frame: Frame, asked: number): number {
  if (card.display === "row" || card.display === "funnel") {
    const beside = card.stacked || overlays(frame) ? 1 : frame.series.length;
    const perRow = beside > 1 ? beside * 15 + 8 : ROW_HEIGHT;
    return frame.labels.length * perRow + 6;
  }
  if (card.display === "heatmap") return Math.max(160, frame.series.length * 30 + 46);
  return asked;
}

/** Where the longest bar of a frame ends. */
export function highestOf(card: Card, frame: Frame): number {
  const ends = frame.labels.map((_, index) => {
    const values = frame.series.map(({ values }) => values[index] ?? 0);
    return card.stacked ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
  });
  return Math.max(0, ...ends);
}

/** How wide the names beside lying bars are, in CSS pixels. */
export function namesOf(frame: Frame): number {
  return Math.max(0, ...frame.labels.map(textWidth)) + 8;
}

/** How tall a chart may get where its row is taller than it needs. */
export function mostOf(card: Card, least: number): number {
  return card.display === "row" || card.display === "funnel" ? least * 1.5 + 30 : Math.max(520, least);
}

/** Bars whose names do not fit below them lie down, and have their names beside them. */
export function liesDown(card: Card, frame: Frame, width: number): boolean {
  if (card.display !== "bar" || isTime(frame.axisColumn.format)) return false;
  return !wraps(frame.labels, slotOf(frame, width));
}

function slotOf(frame: Frame, width: number): number {
  return (width - 70) / Math.max(1, frame.labels.length) - 6;
}

/** Every label fits in two lines of a width without breaking a word. */
function wraps(labels: string[], width: number): boolean {
  return labels.every(
    (label) =>
      textWidth(label) <= 1.8 * width && label.split(" ").every((word) => textWidth(word) <= width),
  );
}

/** The most room for a name beside a row, in CSS pixels; longer ones get two lines. */
const MOST_NAME = 150;
const pen = document.createElement("canvas").getContext("2d");

function textWidth(text: string): number {
  if (!pen) return text.length * 7;
  pen.font = `12px ${FONT}`;
  return pen.measureText(text).width;
}

export function options(card: Card, frame: Frame, context: Context, width: number): Option {
  const base = {
    animation: false,
    textStyle: { fontFamily: FONT, fontSize: 12, color: context.palette.muted },
    aria: { enabled: false },
  };
  switch (card.display) {
    case "trend":
      return { ...base, ...spark(frame, context) };
    case "pie":
      return { ...base, ...pie(frame, context, width) };
    case "heatmap":
      return { ...base, ...heatmap(frame, context, width) };
    case "row":
    case "funnel":
      return { ...base, ...rows(card, frame, context, width) };
    default:
      return { ...base, ...upright(card, frame, context, width) };
  }
}

/** No category has two values, so its bars may take the whole width. */
function overlays(frame: Frame): boolean {
  return (
    frame.series.length > 1 &&
    frame.labels.every(
      (_, index) => frame.series.filter((series) => series.values[index] !== null).length <= 1,
    )
  );
}

function tooltip(frame: Frame, context: Context, trigger: "axis" | "item"): Option {
  const { palette, formats } = context;
  return {
    trigger,
    confine: true,
    transitionDuration: 0,
    backgroundColor: palette.raised,
    borderColor: palette.line,
    borderWidth: 1,
    padding: [8, 10],
    textStyle: { color: palette.text, fontSize: 12, fontFamily: FONT },
    extraCssText: "border-radius:8px;box-shadow:0 6px 24px rgb(0 0 0/.14);max-width:320px",
    axisPointer: {
      type: frame.axisColumn.format === "date" ? "line" : "shadow",
      shadowStyle: { color: palette.line, opacity: 0.35 },
      lineStyle: { color: palette.muted },
    },
    // An element, not markup: labels are free text of Pipedrive.
    formatter: (shown: unknown) => {
      const points = (Array.isArray(shown) ? shown : [shown]) as Pointed[];
      const index = points[0]?.dataIndex ?? 0;
      const lines =
        trigger === "axis"
          ? frame.series.map((series) => ({ series, value: series.values[index] ?? null }))
          : points.flatMap((point) => {
              const [column, row] = point.seriesType === "heatmap" ? point.value : [index, 0];
              const series = frame.series[row ?? 0];
              return series ? [{ series, value: series.values[column ?? 0] ?? null }] : [];
            });
      const at = points[0]?.seriesType === "heatmap" ? (points[0].value[0] ?? 0) : index;
      return tip(
        frame.labels[at] ?? "",
        lines
          .filter((line) => line.value !== null)
          .map(({ series, value }) => [
            points[0]?.seriesType === "pie" ? (points[0].color ?? series.colour) : series.colour,
            series.name,
            formats.full(value, series.column),
          ]),
      );
    },
  };
}

interface Pointed {
  dataIndex: number;
  seriesType: string;
  value: number[];
  color?: string;
}

function tip(title: string, lines: [string, string, string][]): HTMLElement {
  const list = lines.map(([colour, name, value]) => {
    const dot = element("span", { class: "dot" });
    dot.style.background = colour;
    return element(
      "div",
      { class: "tip-line" },
      dot,
      element("bdi", {}, name),
      element("b", {}, value),
    );
  });
  return element("div", { class: "tip" }, element("bdi", { class: "tip-title" }, title), ...list);
}

function valueAxis(column: Column, context: Context, extra: Option = {}): Option {
  const { palette, formats } = context;
  return {
    type: "value",
    axisLine: { show: false },
    axisTick: { show: false },
    // Tenths halve into fifths, money into quarters.
    splitNumber: column.format === "percent" ? 5 : 4,
    alignTicks: true,
    minInterval: column.format === "integer" ? 1 : 0,
    // From 0, whatever the axis beside it does; where all is 0, up to what is a lot.
    min: (range: { min: number }) => (range.min >= 0 ? 0 : null),
    max: (range: { min: number; max: number }) => {
      if (range.min >= 0 && range.max <= 0) return 1;
      return column.format === "percent" && range.max > 0.6 && range.max <= 1 ? 1 : null;
    },
    ...(column.format === "percent" ? { minInterval: 0.05 } : {}),
    splitLine: { lineStyle: { color: palette.line } },
    axisLabel: {
      color: palette.muted,
      formatter: (value: number) => formats.short(value, column),
    },
    ...extra,
  };
}

function upright(card: Card, frame: Frame, context: Context, width: number): Option {
  const { palette, formats } = context;
  const onRight = (series: Series) => card.rightAxis.includes(series.column.name);
  const sides = [frame.series.find((series) => !onRight(series)), frame.series.find(onRight)]
    .filter((series) => series !== undefined)
    .map((series) => series.column);
  const lines = card.display === "line" || card.display === "area";
  const overlaid = overlays(frame);
  const points = frame.labels.length;
  const timeAxis = lines && frame.axisColumn.format === "date";
  const slot = slotOf(frame, width);
  return {
    grid: { left: 4, right: sides.length > 1 ? 4 : 12, top: 12, bottom: 6,
            containLabel: true },
    tooltip: tooltip(frame, context, "axis"),
    xAxis: {
      type: timeAxis ? "time" : "category",
      ...(timeAxis ? {} : { data: frame.labels }),
      ...(timeAxis ? {} : { boundaryGap: true }),
      axisLine: { lineStyle: { color: palette.line } },
      axisTick: { show: false },
      splitLine: { show: false },
      axisLabel: {
        color: palette.muted,
        margin: 10,
        hideOverlap: isTime(frame.axisColumn.format),
        formatter: timeAxis
          ? (moment: number) =>
              formats.short(new Date(moment).toISOString().slice(0, 10), frame.axisColumn)
          : (_: string, index: number) =>
              isTime(frame.axisColumn.format)
                ? formats.short(frame.categories[index] ?? null, frame.axisColumn)
                : (frame.labels[index] ?? ""),
        ...(isTime(frame.axisColumn.format)
          ? {}
          : slot < 44
            ? { interval: 0, rotate: 50, width: 84, overflow: "truncate" }
            : {
                interval: 0,
                width: slot,
                overflow: wraps(frame.labels, slot) ? "break" : "truncate",
                lineHeight: 14,
              }),
      },
    },
    yAxis: sides.map((column, side) =>
      valueAxis(column, context, side ? { splitLine: { show: false } } : {}),
    ),
    series: frame.series.flatMap((series, nr) => {
      const side = sides.length > 1 && onRight(series) ? 1 : 0;
      const asLine = lines || card.lines.includes(series.column.name);
      const common = { name: series.name, yAxisIndex: side, color: series.colour };
      if (!asLine) return [{ ...common, ...bar(series, frame) }];
      const line = {
            ...common,
            type: "line",
            symbol: SYMBOLS[nr % SYMBOLS.length],
            symbolSize: points > 40 ? 0 : 6,
            showSymbol: points <= 40,
            lineStyle: { width: 2 },
            connectNulls: false,
            data: series.values.map((value, index) =>
              timeAxis ? [frame.categories[index], value] : index === frame.running ? null : value,
            ),
            ...(card.display === "area"
              ? { areaStyle: { opacity: 0.14 }, ...(card.stacked ? { stack: "all" } : {}) }
              : {}),
      };
      if (frame.running < 0) return [line];
      // The way to the running month is dashed: it is not over.
      const end = series.values.map((value, index) =>
        index === frame.running || index === frame.running - 1 ? value : null,
      );
      return [line, { ...line, data: end, lineStyle: { width: 2, type: [4, 4] }, itemStyle: { opacity: 0.5 } }];
    }),
  };

  function bar(series: Series, { running }: Frame): Option {
    const rounded = card.stacked ? {} : { borderRadius: [3, 3, 0, 0] };
    return {
      type: "bar",
      barMaxWidth: 36,
      barGap: overlaid ? "-100%" : "12%",
      barCategoryGap: "28%",
      itemStyle: rounded,
      ...(card.stacked ? { stack: "all" } : {}),
      data: series.values.map((value, index) =>
        index === running ? { value, itemStyle: { ...rounded, ...unfinished(series.colour) } } : value,
      ),
    };
  }
}

const SYMBOLS = ["circle", "rect", "triangle", "diamond"] as const;

/** How a bar looks whose month is not over. */
function unfinished(colour: string): Option {
  return { opacity: 0.45, borderColor: colour, borderWidth: 1.5, borderType: "dashed" };
}

/** A line without axes; the way to the running month is dashed. */
function spark(frame: Frame, context: Context): Option {
  const [series] = frame.series;
  const values = series?.values ?? [];
  const colour = series?.colour ?? context.palette.open;
  const until = frame.running < 0 ? values.length : frame.running;
  const line = { type: "line", color: colour, symbol: "none", lineStyle: { width: 2 } };
  return {
    grid: { left: 2, right: 5, top: 5, bottom: 5, outerBoundsMode: "none" },
    tooltip: tooltip(frame, context, "axis"),
    xAxis: { type: "category", data: frame.labels, show: false, boundaryGap: false },
    yAxis: {
      type: "value",
      show: false,
      min: (range: { min: number }) => Math.min(0, range.min),
    },
    series: [
      { ...line, areaStyle: { opacity: 0.1 }, data: values.map((v, nr) => (nr < until ? v : null)) },
      {
        ...line,
        symbol: "circle",
        symbolSize: (_: unknown, { dataIndex }: { dataIndex: number }) =>
          dataIndex === values.length - 1 ? 6 : 0,
        lineStyle: { width: 2, type: frame.running < 0 ? "solid" : [3, 3] },
        data: values.map((v, nr) => (nr >= Math.min(until, values.length - 1) - 1 ? v : null)),
      },
    ],
  };
}

function rows(card: Card, frame: Frame, context: Context, width: number): Option {
  const { palette, formats } = context;
  const measure = frame.series[0]?.column ?? COUNT;
  const overlaid = overlays(frame);
  const first = frame.series[0]?.values[0] ?? null;
  const share = (value: number | null) =>
    card.display === "funnel" && first && value !== null
      ? `  ${formats.short(value / first, SHARE)}`
      : "";
  const labelled = !card.stacked;
  const most = Math.min(260, width * 0.42);
  const names = Math.ceil(Math.min(most, frame.names ?? namesOf(frame)));
  const told = (series: Series, value: number | null) =>
    value === null ? "" : formats.short(value, series.column) + share(value);
  const ends = frame.series.flatMap((series) => series.values.map((v) => textWidth(told(series, v))));
  return {
    // What stands left and right of the bars is known, so that the parts of a card align.
    grid: {
      left: names + 12,
      right: labelled ? Math.ceil(Math.max(0, ...ends)) + 12 : 12,
      top: 2,
      bottom: 2,
      outerBoundsMode: "none",
    },
    tooltip: tooltip(frame, context, "axis"),
    xAxis: {
      ...valueAxis(measure, context),
      min: (range: { min: number }) => Math.min(0, range.min),
      max: frame.highest ?? ((range: { max: number }) => range.max),
      axisLabel: { show: false },
      splitLine: { show: false },
    },
    yAxis: {
      type: "category",
      inverse: true,
      data: frame.labels,
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: palette.text, width: names, overflow: "break", lineHeight: 13, margin: 10 },
    },
    series: frame.series.map((series) => ({
      type: "bar",
      name: series.name,
      color: series.colour,
      data: series.values,
      barMaxWidth: 24,
      barGap: overlaid ? "-100%" : "10%",
      barCategoryGap: "26%",
      ...(card.stacked ? { stack: "all" } : { itemStyle: { borderRadius: 3 } }),
      ...(card.display === "funnel" || !labelled
        ? {}
        : { showBackground: frame.series.length === 1,
            backgroundStyle: { color: palette.line, opacity: 0.35, borderRadius: 3 } }),
      label: {
        show: labelled,
        position: "right",
        color: palette.text,
        fontSize: 12,
        formatter: ({ dataIndex }: { dataIndex: number }) =>
          told(series, series.values[dataIndex] ?? null),
      },
    })),
  };
}

const MOST_SLICES = 6;

function pie(frame: Frame, context: Context, width: number): Option {
  const { palette, translations, formats } = context;
  const values = frame.series[0]?.values ?? [];
  const measure = frame.series[0]?.column ?? COUNT;
  const slices = frame.labels
    .map((name, index) => ({ name, value: values[index] ?? 0, index }))
    .filter((slice) => slice.value > 0);
  const shown = slices.slice(0, MOST_SLICES);
  const rest = slices.slice(MOST_SLICES).reduce((sum, slice) => sum + slice.value, 0);
  const narrow = width < 360;
  return {
    tooltip: { ...tooltip(frame, context, "item"), formatter: (point: PieSlice) =>
      tip(point.name, [[point.color, translations.text("page.share"),
        `${formats.full(point.value, measure)} (${formats.short(point.percent / 100, SHARE)})`]]) },
    series: [
      {
        type: "pie",
        radius: narrow ? ["38%", "62%"] : ["46%", "74%"],
        center: ["50%", "50%"],
        itemStyle: { borderColor: palette.surface, borderWidth: 2, borderRadius: 3 },
        label: {
          color: palette.text,
          width: narrow ? 80 : 130,
          overflow: "truncate",
          formatter: ({ name, percent }: PieSlice) =>
            `${name}  ${formats.short(percent / 100, SHARE)}`,
        },
        labelLine: { lineStyle: { color: palette.line }, length: 8, length2: 8 },
        data: [
          ...shown.map(({ name, value }, nr) => ({
            name, value, itemStyle: { color: palette.series[nr % palette.series.length] ?? palette.calm },
          })),
          ...(rest > 0
            ? [{ name: translations.text("page.others"), value: rest, itemStyle: { color: palette.calm } }]
            : []),
        ],
      },
    ],
  };
}

interface PieSlice {
  name: string;
  value: number;
  percent: number;
  color: string;
}

function heatmap(frame: Frame, context: Context, width: number): Option {
  const { palette, formats } = context;
  const cells = frame.series.flatMap((series, row) =>
    series.values.flatMap((value, column) => (value === null ? [] : [[column, row, value]])),
  );
  const numbers = cells.map((cell) => cell[2] ?? 0);
  const least = Math.min(...numbers);
  const highest = Math.max(...numbers, least + 1e-9);
  // The least is not nothing: it keeps some colour.
  const lowest = least - (highest - least) * 0.15;
  const measure = frame.series[0]?.column ?? COUNT;
  const widest = (texts: readonly string[]) => Math.max(0, ...texts.map(textWidth));
  const names = Math.min(MOST_NAME, widest(frame.series.map((series) => series.name)));
  const room = (width - names - 16) / Math.max(1, frame.labels.length);
  const isDated = isTime(frame.axisColumn.format);
  const slants = !isDated && widest(frame.labels) > room;
  // The card names the unit: in narrow cells the number alone says enough, in narrower ones the colour.
  const plain = hasUnit(measure.format) ? [{ ...measure, format: "decimal" as const }] : [];
  const shown = [measure, ...plain].find(
    (column) => widest(numbers.map((value) => formats.short(value, column))) + 4 <= room,
  );
  return {
    grid: { left: 0, right: 4, top: 2, bottom: 4, containLabel: true },
    tooltip: tooltip(frame, context, "item"),
    visualMap: {
      show: false,
      min: lowest,
      max: highest,
      dimension: 2,
      inRange: { color: [palette.scaleLow, palette.scaleHigh] },
    },
    xAxis: {
      type: "category",
      data: frame.labels,
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: {
        color: palette.muted,
        ...(isDated
          ? { hideOverlap: true }
          : { interval: 0, width: slants ? MOST_NAME : room, overflow: "truncate", rotate: slants ? 50 : 0 }),
        formatter: (_: string, index: number) =>
          formats.short(frame.categories[index] ?? null, frame.axisColumn),
      },
    },
    yAxis: {
      type: "category",
      inverse: true,
      data: frame.series.map((series) => series.name),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: palette.text, width: MOST_NAME, overflow: "break", lineHeight: 13 },
    },
    series: [
      {
        type: "heatmap",
        data: cells.map((cell) => ({
          value: cell,
          label: {
            show: shown !== undefined,
            fontSize: 11,
            color: palette.text,
            formatter: () => formats.short(cell[2] ?? null, shown ?? measure),
          },
        })),
        itemStyle: { borderColor: palette.surface, borderWidth: 2, borderRadius: 3 },
        emphasis: { itemStyle: { borderColor: palette.text, borderWidth: 1 } },
      },
    ],
  };
}

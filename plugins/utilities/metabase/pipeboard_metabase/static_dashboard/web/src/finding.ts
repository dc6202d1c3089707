/** What a chart shows, in a sentence: for those who do not see it. */

import type { Context, Frame } from "./frame";
import { isTime } from "./format";

export function findings(frame: Frame, { translations, formats }: Context): string {
  return frame.series
    .map((series) => {
      const points = series.values.flatMap((value, index) =>
        value === null ? [] : [{ value, label: frame.labels[index] ?? "" }],
      );
      const first = points[0];
      const last = points[points.length - 1];
      if (!first || !last) return translations.text("page.finding.none", { series: series.name });
      const say = (point: typeof first) => formats.full(point.value, series.column);
      const highest = points.reduce((best, point) => (point.value > best.value ? point : best));
      const lowest = points.reduce((best, point) => (point.value < best.value ? point : best));
      if (points.length === 1) {
        return translations.text("page.finding.one", {
          series: series.name,
          label: first.label,
          value: say(first),
        });
      }
      return translations.text(isTime(frame.axisColumn.format) ? "page.finding.course" : "page.finding.range", {
        series: series.name,
        first: first.label,
        firstValue: say(first),
        last: last.label,
        lastValue: say(last),
        highest: highest.label,
        highestValue: say(highest),
        lowest: lowest.label,
        lowestValue: say(lowest),
        count: String(points.length),
      });
    })
    .join(" ");
}

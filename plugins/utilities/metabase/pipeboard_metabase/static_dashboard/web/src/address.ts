/**
 * What the reader chose, in the part of the address behind `#`, so that a view can be shared and the
 * back button works: `#/team?owner=Ana&sort=goals.target.down&find=goals.renewal`.
 */

/** How long the periods of trends are. */
export const GRAINS = ["week", "month", "quarter"] as const;
export type Grain = (typeof GRAINS)[number];

/** The filters of the bar: a period by its key (see period.ts), names of the others. */
export interface Filters {
  period: string | null;
  /** Null is the default: months. */
  grain: Grain | null;
  pipeline: string[];
  owner: string[];
  team: string[];
}

export const NAMED = ["pipeline", "owner", "team"] as const;
export type FilterKey = "period" | "grain" | (typeof NAMED)[number];

/** How the rows of a table are sorted: by the name of a column. */
export interface Order {
  column: string;
  down: boolean;
}

/** The open list of deals: of a card and a measure, and the values of the row that was clicked. */
export interface Listed {
  card: string;
  measure: string;
  of: Record<string, string>;
}

export interface State {
  dashboard: string;
  filters: Filters;
  sort: Record<string, Order>;
  find: Record<string, string>;
  listed: Listed | null;
}

export function read(hash: string): State {
  const [path = "", query = ""] = split(hash.replace(/^#\/?/, ""), "?");
  const values = new URLSearchParams(query);
  const state: State = {
    dashboard: path,
    filters: {
      period: values.get("period"),
      grain: GRAINS.find((grain) => grain === values.get("grain") && grain !== "month") ?? null,
      pipeline: values.getAll("pipeline"),
      owner: values.getAll("owner"),
      team: values.getAll("team"),
    },
    sort: {},
    find: {},
    listed: null,
  };
  for (const text of values.getAll("sort")) {
    const [card = "", column = "", way] = text.split(".");
    if (card && column) state.sort[card] = { column, down: way === "down" };
  }
  for (const text of values.getAll("find")) {
    const [card = "", wanted = ""] = split(text, ".");
    if (card && wanted) state.find[card] = wanted;
  }
  const [card = "", measure = ""] = split(values.get("deals") ?? "", ".");
  if (card && measure) {
    const of = values.getAll("of").map((text) => split(text, "."));
    state.listed = { card, measure, of: Object.fromEntries(of) as Record<string, string> };
  }
  return state;
}

export function write({ dashboard, filters, sort, find, listed }: State): string {
  const values = new URLSearchParams();
  if (filters.period) values.append("period", filters.period);
  if (filters.grain) values.append("grain", filters.grain);
  for (const key of NAMED) for (const name of filters[key]) values.append(key, name);
  for (const [card, { column, down }] of Object.entries(sort)) {
    values.append("sort", `${card}.${column}.${down ? "down" : "up"}`);
  }
  for (const [card, wanted] of Object.entries(find)) if (wanted) values.append("find", `${card}.${wanted}`);
  if (listed) {
    values.append("deals", `${listed.card}.${listed.measure}`);
    for (const [column, value] of Object.entries(listed.of)) values.append("of", `${column}.${value}`);
  }
  const query = values.toString();
  return `#/${dashboard}${query ? `?${query}` : ""}`;
}

/** Change the state in place: no entry in the browser's history, and nothing is drawn anew. */
export function amend(change: (state: State) => void): void {
  const state = read(location.hash);
  change(state);
  history.replaceState(null, "", write(state));
}

/** Go on to another state: the back button returns to this one. */
export function go(change: (state: State) => void): void {
  const state = read(location.hash);
  change(state);
  location.hash = write(state);
}

function split(text: string, at: string): [string, string] {
  const index = text.indexOf(at);
  return index < 0 ? [text, ""] : [text.slice(0, index), text.slice(index + 1)];
}

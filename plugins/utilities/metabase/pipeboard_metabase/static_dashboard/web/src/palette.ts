/** Colours by meaning, read from the style sheet: light and dark have their own. */

export interface Palette {
  text: string;
  muted: string;
  line: string;
  surface: string;
  raised: string;
  open: string;
  won: string;
  lost: string;
  warn: string;
  calm: string;
  scaleLow: string;
  scaleHigh: string;
  series: string[];
}

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: colour("text"),
    muted: colour("muted"),
    line: colour("line"),
    surface: colour("surface"),
    raised: colour("raised"),
    open: colour("open"),
    won: colour("won"),
    lost: colour("lost"),
    warn: colour("warn"),
    calm: colour("calm"),
    scaleLow: colour("scale-low"),
    scaleHigh: colour("scale-high"),
    series: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => colour(`series-${number}`)),
  };
}

// The first that is found in a name wins: n_lost_in_pipeline is lost, won_value_base is won.
const MEANINGS: readonly [RegExp, "won" | "lost" | "warn" | "open" | "calm"][] = [
  [/(^|_)(won|win|landing|advanced)(_|$)/, "won"],
  [/(^|_)lost(_|$)/, "lost"],
  [/(^|_)(overdue|rotten|stalled|stuck|back|pushes|pushed|found|missing)(_|$)/, "warn"],
  [/(^|_)(open|created|reached|entered)(_|$)/, "open"],
];

/** The colour that a column or a value has everywhere, or null when it has no meaning of its own. */
export function meaningOf(name: string, palette: Palette): string | null {
  const word = name.toLowerCase().replaceAll(" ", "_");
  for (const [pattern, meaning] of MEANINGS) if (pattern.test(word)) return palette[meaning];
  return null;
}

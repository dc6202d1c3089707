/** How far two colours are apart, for all readers: also for those who do not see red or green. */

type Triple = readonly [number, number, number];

/** What of linear red, green and blue arrives: normal sight, protanopia, deuteranopia (Machado 2009). */
const SIGHTS: readonly (readonly [Triple, Triple, Triple])[] = [
  [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
];
/** Differences of CIELAB below this look alike in a legend. */
const ALIKE = 20;

/** The first of some colours that differs from all taken ones, else the one that differs most. */
export function mostDistinct(free: readonly string[], taken: Iterable<string>): string | null {
  const others = [...taken];
  let best: string | null = null;
  let widest = -1;
  for (const colour of free) {
    const nearest = Math.min(Infinity, ...others.map((other) => distance(colour, other)));
    if (nearest >= ALIKE) return colour;
    if (nearest > widest) [best, widest] = [colour, nearest];
  }
  return best;
}

/** The difference of two colours (#rrggbb) in CIELAB, to whom it is smallest. */
export function distance(one: string, other: string): number {
  return Math.min(
    ...SIGHTS.map((sight) => {
      const [a, b] = [lab(seen(one, sight)), lab(seen(other, sight))];
      return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
    }),
  );
}

function seen(colour: string, sight: readonly [Triple, Triple, Triple]): Triple {
  const part = (at: number) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const light: Triple = [part(1), part(3), part(5)];
  return [dot(sight[0], light), dot(sight[1], light), dot(sight[2], light)];
}

function lab(light: Triple): Triple {
  const root = (value: number) =>
    value > 0.008856 ? Math.cbrt(value) : 7.787 * Math.max(0, value) + 16 / 116;
  const x = root(dot([0.4124, 0.3576, 0.1805], light) / 0.95047);
  const y = root(dot([0.2126, 0.7152, 0.0722], light));
  const z = root(dot([0.0193, 0.1192, 0.9505], light) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

function dot(one: Triple, other: Triple): number {
  return one[0] * other[0] + one[1] * other[1] + one[2] * other[2];
}

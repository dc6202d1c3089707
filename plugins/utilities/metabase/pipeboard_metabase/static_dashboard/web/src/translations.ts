/** Every text of the page, from the one map that Metabase's dashboards use too. */

import type { Lang, Page } from "./types";

export class Translations {
  constructor(
    private readonly map: Page["translations"],
    readonly lang: Lang,
  ) {}

  /** BCP 47 tag, for Intl and the `lang` attribute. */
  get locale(): string {
    return this.lang === "pt" ? "pt-BR" : "en";
  }

  has(key: string): boolean {
    return key in this.map;
  }

  /** The text of a key, with {name} replaced; a key without a text is shown as it is. */
  text(key: string, values: Record<string, string> = {}): string {
    const text = this.map[key]?.[this.lang] ?? key.slice(key.indexOf(".") + 1);
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
  }

  /** The name of a column; `n_won` without a text becomes "n won". */
  column(name: string): string {
    return this.has(`column.${name}`) ? this.text(`column.${name}`) : name.replaceAll("_", " ");
  }
}

/** The language chosen before, else the browser's: Portuguese or English. */
export function firstLanguage(chosen: string | null, preferred: readonly string[]): Lang {
  if (chosen === "en" || chosen === "pt") return chosen;
  for (const tag of preferred) {
    if (tag.toLowerCase().startsWith("pt")) return "pt";
    if (tag.toLowerCase().startsWith("en")) return "en";
  }
  return "en";
}

"""dbt exposures of the dashboards, so that lineage reaches what people look at.

`python -m pipeboard_metabase.exposures` writes transform/models/exposures.yml from the definitions;
`--check` only tells whether it is current (exit code 1 if not).
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import quote

from pipeboard_metabase.definitions import Card, Dashboard, Definitions, load
from pipeboard_metabase.translations import DefinitionError

FILE = Path(__file__).resolve().parents[4] / "transform" / "models" / "exposures.yml"
LANGUAGE = "en"
HEAD = """\
# Who looks at what. Written by `python -m pipeboard_metabase.exposures` from the dashboards of
# plugins/utilities/metabase; edit those.
exposures:
"""
SITE = "{{ env_var('METABASE_URL', 'http://localhost:3000') }}"
#: A card names every relation with its schema.
RELATION = re.compile(r"\b(marts|ops)\.([a-z][a-z0-9_]*)\b")


def main(arguments: list[str]) -> int:
    """Write the file, or check it; return 1 if it is not current, or a definition is faulty."""
    parser = argparse.ArgumentParser(prog="python -m pipeboard_metabase.exposures")
    parser.add_argument("--check", action="store_true", help="write nothing; is it current?")
    given = parser.parse_args(arguments)
    try:
        text = render(load())
    except DefinitionError as error:
        print(
            f"{error}. The keys: plugins/utilities/metabase/README.md#definitions", file=sys.stderr
        )
        return 1
    if given.check:
        current = FILE.exists() and FILE.read_text(encoding="utf-8") == text
        if not current:
            print(f"{FILE.name} is not current: run python -m pipeboard_metabase.exposures")
        return 0 if current else 1
    FILE.write_text(text, encoding="utf-8")
    return 0


def relations(card: Card) -> set[str]:
    """Return the names of the models that a card reads."""
    return {name for _, name in RELATION.findall(card.sql)}


def render(definitions: Definitions) -> str:
    """Return the file: one exposure per dashboard."""
    found = (exposure(definitions, each) for each in definitions.dashboards.values())
    return HEAD + "\n".join(found)


def exposure(definitions: Definitions, dashboard: Dashboard) -> str:
    """Return one exposure. Metabase numbers its dashboards itself, so the address is a search."""
    title = definitions.title(dashboard, LANGUAGE)
    models: set[str] = set()
    models.update(*(relations(definitions.cards[key]) for key in dashboard.cards))
    cards = [definitions.title(definitions.cards[key], LANGUAGE) for key in dashboard.cards]
    lines = [
        f"  - name: dashboard_{dashboard.key}",
        f"    label: {title}",
        "    type: dashboard",
        "    maturity: high",
        "    url: >-",
        f"      {SITE}/search?q={quote(title)}",
        "    description: >-",
        f"      {definitions.description(dashboard, LANGUAGE)}",
        f"      Cards: {'; '.join(cards)}.",
        "    owner:",
        "      name: Pipeboard",
        "    depends_on:",
        *(f"      - ref('{model}')" for model in sorted(models)),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

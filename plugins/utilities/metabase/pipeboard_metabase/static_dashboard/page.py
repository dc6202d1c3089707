"""Put cards, rows and texts together: one HTML file that needs no server."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import resources
from typing import Any

from pipeboard_metabase.definitions import GRAIN, GRID, PERIOD, Card, Dashboard, Definitions, Place
from pipeboard_metabase.sql import TRANSLATED_AS
from pipeboard_metabase.static_dashboard.bundle import Bundle, packed
from pipeboard_metabase.static_dashboard.cells import plain
from pipeboard_metabase.static_dashboard.database import PAGE_FILTERS, is_filtered, template
from pipeboard_metabase.static_dashboard.deals import COLUMNS, lists
from pipeboard_metabase.static_dashboard.queries import MOST_ROWS, Account, CardResult
from pipeboard_metabase.translations import LANGUAGES, Translations, parsed, translations_of

#: How a column is shown when its card does not say: by PostgreSQL's type.
BY_TYPE = {
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("numeric", "float4", "float8"), "decimal"),
    "bool": "boolean",
    "date": "date",
    **dict.fromkeys(("timestamp", "timestamptz"), "time"),
}
#: What every page may need, whatever is on it.
TEXTS_OF_ALL = ("value.", "filter.", "period.", "phrase.covers", "phrase.unfiltered")
#: The bar of filters, in its order.
BAR = (PERIOD, GRAIN, *PAGE_FILTERS[1:])
PLACEHOLDER = re.compile(r"\{(policy|style|without_script|data|engine|database|lists|script)\}")


def render_page(
    definitions: Definitions,
    account: Account,
    results: Mapping[str, CardResult],
    bundle: Bundle,
    *,
    demo: bool = False,
) -> str:
    """Return the page.

    Its policy lets the one script run that is named by its hash, and lets nothing be fetched from
    anywhere. ECharts sets styles on what it draws, so inline styles are allowed; SQLite is
    WebAssembly, so compiling that is allowed.
    """
    digest = base64.b64encode(hashlib.sha256(bundle.script.encode()).digest()).decode()
    parts = {
        "policy": f"default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval'; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'",
        "style": bundle.style,
        "without_script": " ".join(
            f'<p lang="{language}">'
            f"{html.escape(page_translations().text('page.without_script', language))}</p>"
            for language in LANGUAGES
        ),
        "engine": bundle.engine if account.database else "",
        "database": packed(account.database.file) if account.database else "",
        "lists": packed(account.database.lists) if account.database else "",
        "data": embedded(page_data(definitions, account, results, demo=demo)),
        "script": bundle.script,
    }
    template = resources.files(__package__).joinpath("web/page.html").read_text(encoding="utf-8")
    # In one pass: what is filled in may look like a placeholder, and must not become one.
    return PLACEHOLDER.sub(lambda found: parts[found.group(1)], template)


def page_data(
    definitions: Definitions, account: Account, results: Mapping[str, CardResult], *, demo: bool
) -> dict[str, Any]:
    """Return what web/src/types.ts calls a Page."""
    dashboards = [
        shown
        for dashboard in definitions.dashboards.values()
        if (shown := _dashboard(dashboard, definitions, results))["tabs"]
    ]
    database = account.database
    texts = database.texts if database else frozenset()
    cards = {key: _card(definitions.cards[key], answer, texts) for key, answer in results.items()}
    return {
        "meta": {
            "asOf": plain(account.as_of),
            "madeAt": plain(datetime.now(timezone.utc)),
            "currency": account.currency,
            "deals": account.deals,
            "today": plain(account.today),
            "thisMonth": plain(account.this_month),
            "zone": account.zone,
            "fiscalMonth": account.fiscal_month,
            "demo": demo,
            "months": definitions.filters[PERIOD].months or 0,
        },
        "translations": _translations(definitions, dashboards, cards),
        "dashboards": dashboards,
        "cards": cards,
        "lists": lists(definitions),
        "mostRows": MOST_ROWS,
        "choices": {"firstMonth": plain(database.first_month), **database.choices}
        if database
        else None,
    }


def page_translations() -> Translations:
    """Return the texts of the page itself."""
    text = resources.files(__package__).joinpath("translations.yml").read_text(encoding="utf-8")
    return translations_of("static_dashboard/translations.yml", parsed(text))


def embedded(data: object) -> str:
    """Write data as JSON that cannot end its element, whatever a label says."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Inside strings only, where an escape means the same; a lone surrogate is no UTF-8.
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "replace").decode()


def _dashboard(
    dashboard: Dashboard, definitions: Definitions, results: Mapping[str, CardResult]
) -> dict[str, Any]:
    rows: dict[tuple[str | None, int], list[Place]] = {}
    for place in dashboard.places:
        if place.card in results:
            rows.setdefault((place.tab, place.y), []).append(place)
    tabs: dict[str | None, list[dict[str, Any]]] = {}
    for (tab, _), places in rows.items():
        taken = sum(place.w for place in places)
        for place in places:
            # Where a card of the row is not on the page, its neighbours share the room.
            shown = {"card": place.card, "w": place.w * GRID // taken, "h": place.h}
            tabs.setdefault(tab, []).append(shown)
    return {
        "key": dashboard.key,
        "filters": [
            key
            for key in BAR
            if any(definitions.cards[c].obeys(key) for c in dashboard.cards if c in results)
        ],
        "tabs": [{"key": key, "cards": cards} for key, cards in tabs.items()],
    }


def _card(card: Card, answer: CardResult, texts: frozenset[str]) -> dict[str, Any]:
    columns = [
        {"name": name, "format": _format(card, name, kind)}
        for name, kind in zip(answer.columns, answer.types, strict=True)
    ]
    # A second dimension and a series are the same to a chart: one line, or colour, for each.
    x, *more = card.x or (None,)
    return {
        "key": card.key,
        "display": card.display,
        "period": card.period,
        "x": x,
        "y": list(card.y),
        "goal": card.goal,
        "series": card.series or next(iter(more), None),
        "stacked": card.stacked,
        "lines": list(card.lines),
        "rightAxis": list(card.right_axis),
        "columns": columns,
        "filters": [key for key in BAR if card.obeys(key)],
        "grains": list(card.grains),
        "query": template(card, texts | _text_columns(answer)) if is_filtered(card) else None,
        "rows": [[plain(value) for value in row] for row in answer.rows],
        "cut": answer.cut,
        "rowsOverlap": card.rows_overlap,
        "link": dict(card.link),
        "deals": dict(card.deals),
        "error": answer.error,
    }


def _text_columns(answer: CardResult) -> set[str]:
    return {n for n, kind in zip(answer.columns, answer.types, strict=True) if kind == "text"}


def _format(card: Card, column: str, kind: str) -> str:
    if column in card.format:
        return card.format[column]
    if column.endswith("_id"):
        return "id"
    if kind == "date" and (column == "month" or column.endswith("_month")):
        return "month"
    return BY_TYPE.get(kind, "text")


def _translations(
    definitions: Definitions, dashboards: list[dict[str, Any]], cards: Mapping[str, Any]
) -> dict[str, Mapping[str, str]]:
    """Return the texts of everything on the page, and of all values."""
    wanted = {f"dashboard.{shown['key']}" for shown in dashboards}
    wanted |= {f"tab.{tab['key']}" for shown in dashboards for tab in shown["tabs"]}
    wanted |= {f"card.{key}" for key in cards}
    wanted |= {f"{key}.description" for key in wanted}
    wanted |= {f"column.{column['name']}" for card in cards.values() for column in card["columns"]}
    wanted |= {f"column.{name}" for name in COLUMNS}
    texts = definitions.translations.texts
    used = {key: t for key, t in texts.items() if key in wanted or key.startswith(TEXTS_OF_ALL)}
    for key in cards:
        used |= _values_by_name(definitions, definitions.cards[key])
    return {**page_translations().texts, **used}


def _values_by_name(definitions: Definitions, card: Card) -> dict[str, Mapping[str, str]]:
    """Return the texts of values under the names that the columns have in the result."""
    texts = definitions.translations.texts
    return {
        f"value.{name}.{key.split('.', 2)[2]}": text
        for column, name in TRANSLATED_AS.findall(card.sql)
        for key, text in texts.items()
        if key.startswith(f"value.{column}.")
    }

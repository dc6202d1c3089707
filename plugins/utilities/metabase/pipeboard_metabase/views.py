"""The parts of an object that are compared, in one form for definitions and for Metabase.

Metabase stores a query as it was sent, or as stages of its own grammar. Additions by users (a pin,
a cache setting, a bookmark) are left out, so that they do not count as changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeboard_metabase.ownership_tag import without_tag

View = Callable[[Mapping[str, Any]], dict[str, Any]]


def collection_view(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return name, description and parent of a collection."""
    if "parent_id" in found:
        parent = found["parent_id"]
    else:
        above = [part for part in (found.get("location") or "/").split("/") if part]
        parent = int(above[-1]) if above else None
    return {**_named(found), "parent": parent}


def card_view(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card asks, of which database, and how it looks."""
    query, tags, database = native(found.get("dataset_query") or {})
    return {
        **_named(found),
        "collection": found.get("collection_id"),
        "display": found.get("display"),
        "type": found.get("type") or "question",
        "database": database,
        "query": query,
        "filters": {
            name: [tag.get("type"), tag.get("widget-type"), field_of(tag), tag.get("display-name")]
            for name, tag in tags.items()
        },
        "parameters": _parameters(found.get("parameters")),
        "look": found.get("visualization_settings") or {},
    }


def dashboard_view(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return tabs, cards by place, and filters of a dashboard."""
    tabs = found.get("tabs") or []
    order = {tab["id"]: number for number, tab in enumerate(tabs)}
    cards = [
        {
            "card": card.get("card_id"),
            "tab": order.get(card.get("dashboard_tab_id")),
            "place": [card[name] for name in ("row", "col", "size_x", "size_y")],
            "look": card.get("visualization_settings") or {},
            "filters": sorted(
                [mapping["parameter_id"], mapping.get("card_id"), mapping.get("target")]
                for mapping in card.get("parameter_mappings") or []
            ),
        }
        for card in found.get("dashcards") or []
    ]
    return {
        **_named(found),
        "collection": found.get("collection_id"),
        "tabs": [tab["name"] for tab in tabs],
        "cards": sorted(cards, key=lambda card: json.dumps(card, sort_keys=True)),
        "parameters": _parameters(found.get("parameters")),
    }


def native(query: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any], Any]:
    """Return SQL, template tags and database of a query in either of Metabase's forms."""
    if "stages" in query:
        stages = query["stages"]
        stage = stages[0] if len(stages) == 1 else {}
        return stage.get("native"), stage.get("template-tags") or {}, query.get("database")
    native_query = query.get("native") or {}
    return native_query.get("query"), native_query.get("template-tags") or {}, query.get("database")


def field_of(tag: Mapping[str, Any]) -> int | None:
    """Return the number of the field that a template tag filters by, in either form."""
    dimension: Iterable[Any] = tag.get("dimension") or []
    return next((part for part in dimension if isinstance(part, int)), None)


def differing(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Say which parts of two views differ, and how where that fits on a line."""
    lines = []
    for name, value in wanted.items():
        if found.get(name) != value:
            short = all(isinstance(v, str | int | None) for v in (value, found.get(name)))
            line = f"{name}: {found.get(name)!r} -> {value!r}"
            lines.append(line if short and len(line) <= 160 else name)
    return lines


def _named(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": found.get("name"), "description": without_tag(found.get("description"))}


def _parameters(found: Any) -> list[dict[str, Any]]:
    fields = ("id", "name", "slug", "type", "default", "values_query_type")
    return [
        {name: parameter[name] for name in fields if parameter.get(name) is not None}
        for parameter in found or []
    ]

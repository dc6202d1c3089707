"""What we ask Metabase for: the bodies of collections, cards and dashboards."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from pipeboard_metabase import sql
from pipeboard_metabase.card_style import display, reference, visualization
from pipeboard_metabase.definitions import Card, Column, Dashboard, Filter
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.run import Run

#: Names under which our template tags and parameters get ids that are the same in every run.
_NAMES = uuid.UUID("6f1a55a4-39a7-4b5b-8a3e-2f5fb9f0a4b1")
#: How each type of filter asks for its value.
WIDGETS = {"date": "date/all-options", "text": "string/="}
SECTIONS = {"date": "date", "text": "string"}
#: Columns whose values are those of a filter.
FILTER_OF_NAME = {"owner_name": "owner", "pipeline_name": "pipeline"}
#: Our collections, from the outside in: the dashboards, and beside them the cards they show.
COLLECTIONS = {"pipeboard": None, "cards": "pipeboard"}


def collection_body(run: Run, key: str, parent: int | None) -> dict[str, Any]:
    """Return a collection."""
    return {
        "name": run.text(f"collection.{key}"),
        "description": run.text(f"collection.{key}.description"),
        "parent_id": parent,
    }


def card_body(
    run: Run, card: Card, database: int, fields: Mapping[Column, int], collection: int
) -> dict[str, Any]:
    """Return a card: a question in SQL, with a field filter per filter.

    Raises:
        PipeboardError: when a filter points at a column that the warehouse does not have.
    """
    tags, parameters = {}, []
    for key in sql.tags(card):
        column = card.filters[key]
        if column not in fields:
            what = f"filter {key} of card {card.key} points at {column}, which the warehouse lacks"
            raise PipeboardError(
                what, "Build the marts of this release: `make sync`", ExitCode.DATA
            )
        widget = WIDGETS[run.definitions.filters[key].type]
        tag_id, name = str(uuid.uuid5(_NAMES, f"{card.key}/{key}")), run.text(f"filter.{key}")
        tags[key] = {
            "id": tag_id,
            "name": key,
            "display-name": name,
            "type": "dimension",
            "dimension": ["field", fields[column], None],
            "widget-type": widget,
        }
        # The tag alone makes no widget: the card must list it as a parameter, too.
        parameters.append(
            {"id": tag_id, "name": name, "slug": key, "type": widget, "target": _target(key)}
        )
    return {
        "name": run.definitions.title(card, run.language),
        "description": run.definitions.description(card, run.language),
        "type": "question",
        "collection_id": collection,
        "display": display(card),
        "visualization_settings": visualization(run, card),
        "parameters": parameters,
        "dataset_query": {
            "type": "native",
            "database": database,
            "native": {
                "query": sql.template(card, run.definitions.translations, run.language),
                "template-tags": tags,
            },
        },
    }


def dashboard_body(
    run: Run, dashboard: Dashboard, cards: Mapping[str, int], collection: int
) -> dict[str, Any]:
    """Return a dashboard with tabs, cards and filters; new tabs and cards have ids below zero."""
    tabs = {tab: -1 - number for number, tab in enumerate(dashboard.tabs)}
    dashcards: list[dict[str, Any]] = []
    for number, place in enumerate(dashboard.places):
        card = run.definitions.cards[place.card]
        dashcards.append(
            {
                "id": -1 - number,
                "card_id": cards[place.card],
                "dashboard_tab_id": tabs[place.tab] if place.tab else None,
                "row": place.y,
                "col": place.x,
                "size_x": place.w,
                "size_y": place.h,
                "visualization_settings": clicks(card, dashboard),
                "parameter_mappings": [
                    {
                        "parameter_id": parameter_id(key),
                        "card_id": cards[place.card],
                        "target": _target(key),
                    }
                    for key in dashboard.filters
                    if key in card.filters
                ],
            }
        )
    return {
        "name": run.definitions.title(dashboard, run.language),
        "description": run.definitions.description(dashboard, run.language),
        "collection_id": collection,
        # Pinned, in our order.
        "collection_position": dashboard.position,
        "parameters": [_parameter(run, run.definitions.filters[key]) for key in dashboard.filters],
        "tabs": [{"id": number, "name": run.text(f"tab.{tab}")} for tab, number in tabs.items()],
        "dashcards": dashcards,
    }


def clicks(card: Card, dashboard: Dashboard) -> dict[str, Any]:
    """Return what a click on a card does: a name filters the dashboard by itself."""
    names = {
        column: {
            "type": "crossfilter",
            "parameterMapping": {
                parameter_id(key): {
                    "id": parameter_id(key),
                    "source": {"type": "column", "id": column, "name": column},
                    "target": {"type": "parameter", "id": parameter_id(key)},
                }
            },
        }
        for column, key in FILTER_OF_NAME.items()
        if column in card.columns and key in dashboard.filters
    }
    if card.display in ("table", "heatmap"):
        settings = {reference(name): {"click_behavior": found} for name, found in names.items()}
        return {"column_settings": settings} if settings else {}
    for column in (card.series, *card.x):
        if column in names:
            return {"click_behavior": names[column]}
    return {}


def _parameter(run: Run, wanted: Filter) -> dict[str, Any]:
    parameter: dict[str, Any] = {
        "id": parameter_id(wanted.key),
        "name": run.text(f"filter.{wanted.key}"),
        "slug": wanted.key,
        "type": WIDGETS[wanted.type],
        "sectionId": SECTIONS[wanted.type],
    }
    if wanted.type == "text":
        parameter["values_query_type"] = "list"
    if wanted.default is not None:
        parameter["default"] = wanted.default
    return parameter


def parameter_id(key: str) -> str:
    """Return the id of a filter on our dashboards: eight letters, as Metabase makes them."""
    return hashlib.sha256(f"filter/{key}".encode()).hexdigest()[:8]


def _target(key: str) -> list[Any]:
    return ["dimension", ["template-tag", key]]

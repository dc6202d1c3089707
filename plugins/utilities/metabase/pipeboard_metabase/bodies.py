"""What we ask Metabase for: the bodies of collections, cards and dashboards."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pipeboard_metabase import sql
from pipeboard_metabase.card_style import display, reference, visualization
from pipeboard_metabase.definitions import GRAIN, PERIOD, Card, Column, Dashboard, Filter
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.run import Run

#: Names under which our template tags and parameters get ids that are the same in every run.
_NAMES = uuid.UUID("6f1a55a4-39a7-4b5b-8a3e-2f5fb9f0a4b1")
#: How each type of filter asks for its value.
WIDGETS = {"date": "date/all-options", "text": "string/=", "choice": "string/="}
SECTIONS = {"date": "date", "text": "string", "choice": "string"}
#: Columns whose values are those of a filter.
FILTER_OF_NAME = {"owner_name": "owner", "pipeline_name": "pipeline", "stage_name": "stage"}
#: The card that lists deals, and its filters of a date by the set of deals behind a figure. It
#: lists the open ones when it has no date.
DEALS = "deals"
DATE_OF_SET = {"created": "created", "won": "won", "lost": "lost", "open": None}
#: Columns with the first day of a period.
PERIODS = ("month", "period_start")
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
        wanted = run.definitions.filters[key]
        tag_id, name = _tag_id(card.key, key), run.text(f"filter.{key}")
        widget = WIDGETS[wanted.type]
        # The tag alone makes no widget: the card must list it as a parameter, too.
        parameters.append(
            {"id": tag_id, "name": name, "slug": key, "type": widget, "target": _target(key),
             **_choice(run, wanted)}
        )  # fmt: skip
        if wanted.type == "choice":
            tags[key] = {
                "id": tag_id, "name": key, "display-name": name, "type": "text",
                "required": True, "default": wanted.default,
            }  # fmt: skip
            continue
        column = card.filters[key]
        if column not in fields:
            what = f"filter {key} of card {card.key} points at {column}, which the warehouse lacks"
            raise PipeboardError(
                what, "Build the marts of this release: `make sync`", ExitCode.DATA
            )
        tags[key] = {
            "id": tag_id,
            "name": key,
            "display-name": name,
            "type": "dimension",
            "dimension": ["field", fields[column], None],
            "widget-type": widget,
        }
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
                "visualization_settings": clicks(card, dashboard, cards.get(DEALS)),
                "parameter_mappings": [
                    {
                        "parameter_id": parameter_id(key),
                        "card_id": cards[place.card],
                        "target": _target(key),
                    }
                    for key in dashboard.filters
                    if card.obeys(key)
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


def clicks(card: Card, dashboard: Dashboard, deals: int | None = None) -> dict[str, Any]:
    """Return what a click on a card does.

    A name filters the dashboard by itself. A figure of open, created, won or lost deals leads to
    the card that lists them, if that has the number `deals`. A chart has one behaviour for all of
    its measures: it leads to the deals of all.
    """
    found = {
        column: {"type": "crossfilter", "parameterMapping": {parameter_id(key): {
            "id": parameter_id(key),
            "source": {"type": "column", "id": column, "name": column},
            "target": {"type": "parameter", "id": parameter_id(key)},
        }}}
        for column, key in FILTER_OF_NAME.items()
        if column in card.columns and key in dashboard.filters
    }  # fmt: skip
    dates = {
        measure: DATE_OF_SET[behind]
        for measure, behind in card.deals.items()
        if deals is not None and behind in DATE_OF_SET and _is_listed(card)
    }
    if card.display in ("table", "heatmap"):
        links = {measure: _link(card, dashboard, [dates[measure]], deals) for measure in dates}
        settings = {
            reference(name): {"click_behavior": click} for name, click in (found | links).items()
        }
        return {"column_settings": settings} if settings else {}
    wanted = {dates.get(measure, "unknown") for measure in card.y}
    if wanted == {None} or wanted <= set(filter(None, DATE_OF_SET.values())):
        link = _link(card, dashboard, sorted(wanted, key=str), deals)
        return {"click_behavior": link}
    for column in (card.series, *card.x):
        if column in found:
            return {"click_behavior": found[column]}
    return {}


def _is_listed(card: Card) -> bool:
    """Tell whether the list of deals has a filter for all that a figure is measured by."""
    dimensions = {*card.x, *([card.series] if card.series else [])}
    if card.display == "table":
        dimensions = set(card.columns[:1])
    return dimensions <= {*FILTER_OF_NAME, *PERIODS}


def _link(
    card: Card, dashboard: Dashboard, dates: Sequence[str | None], deals: int | None
) -> dict[str, Any]:
    """Return the way from a figure to its deals, with the values of its row and the filters."""
    dated = [date for date in dates if date]
    obeyed = [key for key in dashboard.filters if card.obeys(key) and (dated or key != GRAIN)]
    sources = {
        target: {"type": "parameter", "id": parameter_id(key), "name": key}
        for key in obeyed
        for target in (dated if key == PERIOD else [key])
    } | {
        target: {"type": "column", "id": name, "name": name}
        for name in card.columns
        for target in ([FILTER_OF_NAME[name]] if name in FILTER_OF_NAME else dated)
        if name in (*FILTER_OF_NAME, *PERIODS)
    }
    return {
        "type": "link",
        "linkType": "question",
        "targetId": deals,
        "parameterMapping": {
            (tag_id := _tag_id(DEALS, key)): {
                "id": tag_id,
                "source": source,
                "target": {"type": "variable", "id": key},
            }
            for key, source in sources.items()
        },
    }


def _tag_id(card: str, key: str) -> str:
    return str(uuid.uuid5(_NAMES, f"{card}/{key}"))


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
    if wanted.type == "choice":
        return parameter | _choice(run, wanted)
    if wanted.default is not None:
        parameter["default"] = wanted.default
    return parameter


def _choice(run: Run, wanted: Filter) -> dict[str, Any]:
    """Return how a choice lists its values in the reader's language; one is always chosen."""
    if wanted.type != "choice":
        return {}
    values = [[value, run.text(f"value.{wanted.key}.{value}")] for value in wanted.values]
    return {
        "default": [wanted.default],
        "values_query_type": "list",
        "values_source_type": "static-list",
        "values_source_config": {"values": values},
    }


def parameter_id(key: str) -> str:
    """Return the id of a filter on our dashboards: eight letters, as Metabase makes them."""
    return hashlib.sha256(f"filter/{key}".encode()).hexdigest()[:8]


def _target(key: str) -> list[Any]:
    # A choice is a value of the select itself, not a condition on a column.
    return ["variable" if key == GRAIN else "dimension", ["template-tag", key]]

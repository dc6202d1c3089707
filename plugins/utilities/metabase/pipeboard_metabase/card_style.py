"""The display and the visualization settings of a card in Metabase."""

from __future__ import annotations

import json
from typing import Any

from pipeboard_metabase.definitions import LEFT_OUT, TILES, Card
from pipeboard_metabase.run import Run

CARTESIAN = ("bar", "row", "line", "area", "combo")
#: From few to many, on light and on dark: Metabase's own blue.
RANGE = ["#FFFFFF", "#509EE3"]
#: Grouping and decimal marks, where they are not those of English.
SEPARATORS = {"pt": ",."}
#: How a day and a month are written.
DATES = {"en": ("YYYY-MM-DD", "YYYY-MM"), "pt": ("DD/MM/YYYY", "MM/YYYY")}
#: What is written with no separators; a column without a format may be a number.
NO_NUMBERS = ("date", "month", "period", "time", "text", "url")


def display(card: Card) -> str:
    """Return Metabase's name of a display; a heat map is a table with coloured cells."""
    return {"heatmap": "table", "trend": "smartscalar"}.get(card.display, card.display)


def visualization(run: Run, card: Card) -> dict[str, Any]:
    """Return the visualization settings of a card."""
    settings: dict[str, Any] = {
        "column_settings": {
            reference(column): _column(run, card, column) for column in card.columns
        }
    }
    if card.display in CARTESIAN:
        settings.update(_axes(run, card))
    elif card.display == "pie":
        settings.update({"pie.dimension": card.x[0], "pie.metric": card.y[0]})
    elif card.display == "funnel":
        settings.update({"funnel.dimension": card.x[0], "funnel.metric": card.y[0]})
    elif card.display in TILES:
        settings["scalar.field"] = card.y[0]
        if card.display == "trend":
            settings["scalar.comparisons"] = [{"id": "previous", "type": "previousPeriod"}]
            if card.goal:
                settings["scalar.comparisons"].append(
                    {"id": "goal", "type": "anotherColumn", "column": card.goal,
                     "label": _title(run, card.goal)}
                )  # fmt: skip
            # A loss that grows is no good news.
            settings["scalar.switch_positive_negative"] = card.y[0].startswith("lost_")
    else:
        settings.update(_table(card))
    return settings


def reference(column: str) -> str:
    """Return how settings refer to a column of the result."""
    return json.dumps(["name", column], separators=(",", ":"))


def _axes(run: Run, card: Card) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "graph.dimensions": [*card.x, *([card.series] if card.series else [])],
        "graph.metrics": list(card.y),
        "graph.x_axis.title_text": _title(run, card.x[0]),
        # Several measures share the axis; the legend names them.
        "graph.y_axis.title_text": _title(run, card.y[0]) if len(card.y) == 1 else "",
    }
    if LEFT_OUT in card.columns:
        # Shown by the tooltip of each point.
        settings["graph.tooltip_columns"] = [reference(LEFT_OUT)]
    if card.stacked:
        settings["stackable.stack_type"] = "stacked"
    if not card.series:
        series = {column: _series(run, card, column) for column in card.y}
        settings["series_settings"] = series
    return settings


def _series(run: Run, card: Card, column: str) -> dict[str, Any]:
    """Measures are series by the names of their columns; a breakout's are named by its values."""
    series: dict[str, Any] = {"title": _title(run, column)}
    if card.display == "combo":
        series["display"] = "line" if column in card.lines else "bar"
    if card.right_axis:
        series["axis"] = "right" if column in card.right_axis else "left"
    return series


def _table(card: Card) -> dict[str, Any]:
    shown = card.shown
    settings: dict[str, Any] = {}
    if card.display == "heatmap" and card.series:
        # A row per series, a column per x, and the cells coloured by the measure.
        shown = (card.series, card.x[0], card.y[0])
        settings |= {
            "table.pivot": True,
            "table.pivot_column": card.x[0],
            "table.cell_column": card.y[0],
            "table.column_formatting": [
                {
                    "columns": [card.y[0]],
                    "type": "range",
                    "colors": RANGE,
                    "min_type": "all",
                    "max_type": "all",
                }
            ],
        }
    settings["table.columns"] = [
        {"name": column, "enabled": column in shown} for column in card.columns
    ]
    return settings


def _column(run: Run, card: Card, column: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"column_title": _title(run, column)}
    form = card.format.get(column)
    day, month = DATES[run.language]
    if form not in NO_NUMBERS and run.language in SEPARATORS:
        settings["number_separators"] = SEPARATORS[run.language]
    if form == "integer":
        settings["decimals"] = 0
    elif form == "decimal":
        settings["decimals"] = 2
    elif form == "money":
        settings |= {
            "number_style": "currency",
            "currency": run.settings.currency,
            "currency_style": "narrowSymbol",
            "currency_in_header": False,
            "decimals": 0,
        }
    elif form == "percent":
        settings |= {"number_style": "percent", "decimals": 1}
    elif form in ("days", "hours", "seconds"):
        settings |= {"decimals": 1, "suffix": f" {run.text(f'unit.{form}')}"}
    elif form in ("date", "period"):
        settings |= {"date_style": day, "time_enabled": None}
    elif form == "month":
        settings |= {"date_style": month, "time_enabled": None}
    elif form == "time":
        settings |= {"date_style": day, "time_enabled": "minutes", "time_style": "HH:mm"}
    elif form == "url":
        settings["view_as"] = "link"
    if column in card.link:
        settings |= {
            "view_as": "link",
            "link_text": "{{" + column + "}}",
            "link_url": "{{" + card.link[column] + "}}",
        }
    return settings


def _title(run: Run, column: str) -> str:
    """Return what a column is called; one without a text is called by its name."""
    key = f"column.{column}"
    return (
        run.text(key)
        if key in run.definitions.translations
        else column.replace("_", " ").capitalize()
    )

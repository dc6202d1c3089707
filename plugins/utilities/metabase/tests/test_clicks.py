"""What a click does on the dashboards that ship: a name filters by itself, a title opens a deal."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from card_helpers import Reader
from pipeboard_metabase.bodies import DATE_OF_SET, clicks, parameter_id, reference
from pipeboard_metabase.definitions import Card, Definitions
from pipeboard_metabase.sql import Between, Value, render


def mapping(behaviour: dict[str, Any]) -> dict[str, str]:
    """Return column -> parameter of a click that filters."""
    assert behaviour["type"] == "crossfilter"
    return {
        each["source"]["id"]: each["target"]["id"]
        for each in behaviour["parameterMapping"].values()
    }


def test_a_name_in_a_table_filters_its_dashboard(definitions: Definitions) -> None:
    found = clicks(definitions.cards["owner_scorecard"], definitions.dashboards["team"])
    (behaviour,) = found["column_settings"].values()
    assert list(found["column_settings"]) == ['["name","owner_name"]']
    assert mapping(behaviour["click_behavior"]) == {"owner_name": parameter_id("owner")}


def test_a_name_in_a_chart_filters_its_dashboard(definitions: Definitions) -> None:
    found = clicks(definitions.cards["won_by_month"], definitions.dashboards["executive"])
    assert mapping(found["click_behavior"]) == {"pipeline_name": parameter_id("pipeline")}


def listed(behaviour: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what each filter of the list of deals is set to by a click: filter -> source."""
    assert (behaviour["type"], behaviour["linkType"], behaviour["targetId"]) == (
        "link",
        "question",
        7,
    )
    return {
        each["target"]["id"]: (each["source"]["type"], each["source"]["id"])
        for each in behaviour["parameterMapping"].values()
    }


def test_a_bar_of_won_value_leads_to_its_deals(definitions: Definitions) -> None:
    found = clicks(definitions.cards["won_by_month"], definitions.dashboards["executive"], 7)
    assert listed(found["click_behavior"]) == {
        "won": ("column", "period_start"),
        "pipeline": ("column", "pipeline_name"),
        "owner": ("parameter", parameter_id("owner")),
        "team": ("parameter", parameter_id("team")),
        "grain": ("parameter", parameter_id("grain")),
    }


def test_a_cell_of_won_and_of_lost_deals_leads_to_them(definitions: Definitions) -> None:
    card = definitions.cards["owner_scorecard"]
    settings = clicks(card, definitions.dashboards["team"], 7)["column_settings"]
    of_row = {"owner": ("column", "owner_name"), "team": ("parameter", parameter_id("team"))}
    for column, closed in (("n_won", "won"), ("n_lost", "lost")):
        behaviour = settings[f'["name","{column}"]']["click_behavior"]
        period = {closed: ("parameter", parameter_id("period"))}
        assert listed(behaviour) | of_row == listed(behaviour)
        assert listed(behaviour) | period == listed(behaviour)


def test_a_figure_of_created_and_of_open_deals_leads_to_them(definitions: Definitions) -> None:
    card, team = definitions.cards["owner_scorecard"], definitions.dashboards["team"]
    behaviour = clicks(card, team, 7)["column_settings"][reference("n_created")]["click_behavior"]
    assert listed(behaviour)["created"] == ("parameter", parameter_id("period"))
    now = definitions.dashboards["pipeline_now"]
    filters = {key: ("parameter", parameter_id(key)) for key in ("owner", "team", "label")}
    of_stage = {"stage": ("column", "stage_name"), "pipeline": ("column", "pipeline_name")}
    by_stage = clicks(definitions.cards["open_by_stage"], now, 7)["click_behavior"]
    assert listed(by_stage) == filters | of_stage
    # The month of the tile is no filter: it shows what is open now.
    tile = clicks(definitions.cards["open_value"], now, 7)["click_behavior"]
    assert listed(tile) == filters | {"pipeline": ("parameter", parameter_id("pipeline"))}


def test_a_click_on_one_of_several_measures_leads_to_the_deals_of_all(
    definitions: Definitions,
) -> None:
    card = definitions.cards["created_and_closed"]
    found = clicks(card, definitions.dashboards["executive"], 7)["click_behavior"]
    dates = {key for key, source in listed(found).items() if source == ("column", "period_start")}
    assert dates == {"created", "won", "lost"}


def rows_of(
    reader: Reader, card: Card, values: dict[str, Value] | None = None
) -> list[dict[str, Any]]:
    text, parameters = render(card, values)
    rows = reader("demo").execute(text.encode(), parameters).fetchall()
    return [dict(zip(card.columns, row, strict=True)) for row in rows]


def values_of(behaviour: dict[str, Any], row: dict[str, Any]) -> dict[str, Value]:
    """Return what a click on a row sets the filters of the list to, on an unfiltered dashboard."""
    found: dict[str, Value] = {}
    for key, (source, name) in listed(behaviour).items():
        if source == "column":
            value = row[name]
            found[key] = Between(value, value) if isinstance(value, date) else [value]
    return found


@pytest.mark.parametrize("key", ["open_by_stage", "attention_by_owner", "owner_scorecard"])
def test_the_deals_of_a_click_are_those_that_the_figure_counts(
    key: str, definitions: Definitions, reader: Reader
) -> None:
    card = definitions.cards[key]
    (dashboard,) = (each for each in definitions.dashboards.values() if key in each.cards)
    found = clicks(card, dashboard, 7)
    n_deals = 0
    for measure in (m for m in card.deals if m == "open_count" or m.startswith("n_")):
        if card.deals[measure] not in DATE_OF_SET:
            continue
        behaviour = (
            found["column_settings"][reference(measure)] if card.display == "table" else found
        )["click_behavior"]
        every = {
            key: Between(date(1900, 1, 1), date(2100, 1, 1))
            for key in listed(behaviour).keys() & {"created", "won", "lost"}
        }
        for row in rows_of(reader, card)[:5]:
            values = every | values_of(behaviour, row)
            deals = rows_of(reader, definitions.cards["deals"], values)
            assert len(deals) == row[measure], (measure, row)
            n_deals += len(deals)
    assert n_deals > 20


def test_the_deals_of_a_month_are_those_created_won_and_lost_in_it(
    definitions: Definitions, reader: Reader
) -> None:
    card = definitions.cards["created_and_closed"]
    behaviour = clicks(card, definitions.dashboards["executive"], 7)["click_behavior"]
    row = rows_of(reader, card)[-2]
    deals = rows_of(reader, definitions.cards["deals"], values_of(behaviour, row))

    def is_in(day: date | None) -> bool:
        return day is not None and day.replace(day=1) == row["period_start"]

    created = {deal["deal_url"] for deal in deals if is_in(deal["created_date"])}
    closed = [deal for deal in deals if is_in(deal["closed_date"])]
    urls = {
        status: {deal["deal_url"] for deal in closed if deal["deal_status"] == status}
        for status in ("won", "lost")
    }
    assert len(created) == row["n_created"] > 10
    assert (len(urls["won"]), len(urls["lost"])) == (row["n_won"], row["n_lost"])
    assert {deal["deal_url"] for deal in deals} == created | urls["won"] | urls["lost"]


def test_the_list_of_deals_has_every_filter_that_a_click_sets(definitions: Definitions) -> None:
    deals = definitions.cards["deals"]
    n_links = 0
    for dashboard in definitions.dashboards.values():
        for key in dashboard.cards:
            found = clicks(definitions.cards[key], dashboard, 7)
            each = [found, *found.get("column_settings", {}).values()]
            links = [e["click_behavior"] for e in each if "click_behavior" in e]
            for link in (e for e in links if e["type"] == "link"):
                assert all(deals.obeys(name) for name in listed(link)), key
                n_links += 1
    assert n_links > 12


def test_a_click_sets_only_filters_that_the_dashboard_has(definitions: Definitions) -> None:
    n_clicks = 0
    for dashboard in definitions.dashboards.values():
        parameters = {parameter_id(key) for key in dashboard.filters}
        for key in dashboard.cards:
            found = clicks(definitions.cards[key], dashboard)
            tables = [each["click_behavior"] for each in found.get("column_settings", {}).values()]
            charts = [found["click_behavior"]] if "click_behavior" in found else []
            for behaviour in (*tables, *charts):
                assert set(mapping(behaviour).values()) <= parameters
                n_clicks += 1
    assert n_clicks > 10


def test_every_list_of_deals_opens_the_deal(definitions: Definitions) -> None:
    lists = [card for card in definitions.cards.values() if "deal_url" in card.columns]
    assert len(lists) >= 2
    assert all(card.link == {"title": "deal_url"} for card in lists)

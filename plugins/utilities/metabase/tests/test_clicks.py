"""What a click does on the dashboards that ship: a name filters by itself, a title opens a deal."""

from __future__ import annotations

from typing import Any

from pipeboard_metabase.bodies import clicks, parameter_id
from pipeboard_metabase.definitions import Definitions


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
    assert n_links > 8


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

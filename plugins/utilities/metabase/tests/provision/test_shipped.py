"""The definitions that ship, over the marts of a demo account, in a Metabase of each language."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from card_helpers import Server
from pipeboard_metabase.definitions import Definitions
from provision_helpers import OpenSite, Site, command
from warehouse_helpers import Warehouse


@pytest.fixture(params=["en", pytest.param("pt", marks=pytest.mark.long)])
def shipped(
    request: pytest.FixtureRequest,
    demo: Warehouse,
    open_site: OpenSite,
    definitions: Definitions,
) -> Site:
    site = open_site(demo.url, demo.dbt_folder / "target" / "manifest.json", definitions)
    site.environ["METABASE_LOCALE"] = request.param
    return site


def answer(reader: psycopg.Connection[Any]) -> Any:
    """Run a card as Metabase does without filters: clauses go, choices have their defaults."""

    def run(card: dict[str, Any]) -> dict[str, Any]:
        (stage,) = card["dataset_query"]["stages"]
        sql = re.sub(r"\[\[.*?\]\]", "", stage["native"], flags=re.DOTALL)
        for name, tag in stage["template-tags"].items():
            if tag["type"] == "text" and tag["required"]:
                sql = sql.replace("{{" + name + "}}", f"'{tag['default']}'")
        try:
            rows = reader.execute(sql.encode()).fetchall()
        except psycopg.Error as error:
            return {"status": "failed", "error": str(error)}
        shown = [[float(v) if isinstance(v, Decimal) else str(v) for v in row] for row in rows]
        return {"status": "completed", "row_count": len(rows), "data": {"rows": shown}}

    return run


def test_everything_ships_is_mapped_and_runs_and_a_second_apply_sends_nothing(
    shipped: Site, capsys: pytest.CaptureFixture[str], server: Server, demo: Warehouse
) -> None:
    run, standin, definitions = command(shipped, capsys), shipped.standin, shipped.definitions
    assert run("apply") == 0, shipped.err
    assert len(standin.cards) == len(definitions.cards)
    assert len(standin.dashboards) == len(definitions.dashboards) == 9
    language = shipped.environ["METABASE_LOCALE"]
    by_name = {d["name"]: d for d in standin.dashboards.values()}
    names = {card["id"]: card["name"] for card in standin.cards.values()}
    for dashboard in definitions.dashboards.values():
        there = by_name[definitions.title(dashboard, language)]
        slugs = {p["id"]: p["slug"] for p in there["parameters"]}
        assert sorted(slugs.values()) == sorted(dashboard.filters)
        titles = {
            definitions.title(definitions.cards[key], language): key for key in dashboard.cards
        }
        for dashcard in there["dashcards"]:
            card = definitions.cards[titles[names[dashcard["card_id"]]]]
            mapped = {slugs[m["parameter_id"]] for m in dashcard["parameter_mappings"]}
            assert mapped == {key for key in dashboard.filters if card.obeys(key)}, card.key

    def settings(key: str) -> dict[str, Any]:
        title = definitions.title(definitions.cards[key], language)
        (found,) = (c for c in standin.cards.values() if c["name"] == title)
        return dict(found["visualization_settings"])

    columns = settings("top_customers")["column_settings"]
    date_style = columns['["name","last_won_date"]']["date_style"]
    assert date_style == {"en": "YYYY-MM-DD", "pt": "DD/MM/YYYY"}[language]
    for column in ("n_won", "won_value_base"):
        separators = columns[f'["name","{column}"]'].get("number_separators")
        assert separators == {"en": None, "pt": ",."}[language]
    compared = settings("landing_this_month")["scalar.comparisons"]
    assert [each["type"] for each in compared] == ["previousPeriod", "anotherColumn"]
    described = [f for t in standin.tables.values() for f in t["fields"] if f["description"]]
    assert len(described) > 500
    custom = [f["display_name"] for f in described if f["name"].startswith("cf_")]
    assert custom and not any(name.lower().startswith("cf") for name in custom)

    assert run("apply") == 0, shipped.err
    assert standin.writes == []
    with server.as_reader(demo) as reader:
        standin.run_query = answer(reader)
        assert run("smoke") == 0, shipped.out

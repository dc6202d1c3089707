"""Every card's select, as the reader who may see marts and ops only, on accounts of three sizes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
import sqlglot
from card_helpers import Reader, Server
from pipeboard_metabase.definitions import GRAIN, GRAINS, Card, Definitions, load
from pipeboard_metabase.sql import Between, Value, render
from psycopg.rows import tuple_row
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from warehouse_helpers import Warehouse

CARDS = load().cards.values()
each_card = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.key)
each_chart = pytest.mark.parametrize(
    "card",
    [card for card in CARDS if card.display not in ("table", "scalar", "trend")],
    ids=lambda card: card.key,
)
#: Columns whose values all have names of this project; others also have names of the account.
PROJECT_NAMES = (
    "check_name",
    "history_quality",
    "deal_status",
    "status",
    "outcome",
)


def answer(
    connection: psycopg.Connection[Any], card: Card, values: Mapping[str, Value] | None = None,
    *language: Any,
) -> list[tuple[Any, ...]]:  # fmt: skip
    text, parameters = render(card, values, *language)
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(text.encode(), parameters).fetchall()
        assert cursor.description is not None
        assert tuple(column.name for column in cursor.description) == card.columns
    return rows


def test_there_are_at_most_65_cards() -> None:
    assert len(CARDS) <= 65


@pytest.fixture(scope="session")
def choices(demo: Warehouse) -> dict[str, Value]:
    """A value for each filter that plenty of the demo account has."""

    def most(query: str) -> list[str]:
        return [demo.rows(query)[0][0]]

    today: date = demo.rows("select today from ops.ops_account")[0][0]
    by_deals = "group by 1 order by count(*) desc, 1 limit 1"
    deals = "from marts.fct_deal as deals where status = 'open' and not is_deleted"
    year = Between(today - timedelta(days=365), today)
    return {
        **dict.fromkeys(("period", "created", "won", "lost"), year),
        "pipeline": most(f"select (select display_name from marts.dim_pipeline as p "
                         f"where p.pipeline_id = deals.pipeline_id) {deals} {by_deals}"),
        "stage": most(f"select (select display_name from marts.dim_stage as s "
                      f"where s.stage_id = deals.stage_id) {deals} {by_deals}"),
        "owner": most(f"select (select display_name from marts.dim_user as u "
                      f"where u.user_id = deals.owner_id) {deals} {by_deals}"),
        "team": most("select team_name from marts.dim_user where team_name is not null "
                     "group by 1 order by count(*) desc limit 1"),
        "label": most(f"select label from marts.fct_deal_label {by_deals}"),
        "field": most("select display_name from marts.dim_custom_field where entity = 'deal' "
                      "and field_type in ('enum', 'set') order by n_filled desc limit 1"),
    }  # fmt: skip


@pytest.fixture(scope="session")
def marts(demo: Warehouse, server: Server) -> dict[str, dict[str, dict[str, str]]]:
    """Columns of what the dbt project declares for people: by schema and relation."""
    manifest = json.loads((server.folder / "target" / "manifest.json").read_text())
    found: dict[str, dict[str, dict[str, str]]] = {"marts": {}, "ops": {}}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model" and node["schema"] in found:
            columns = {c["name"]: c["data_type"] or "text" for c in node["columns"].values()}
            found[node["schema"]][node["name"]] = columns
    return found


@each_card
def test_it_reads_declared_columns_of_marts_only(
    card: Card, marts: dict[str, dict[str, dict[str, str]]]
) -> None:
    tree = sqlglot.parse_one(render(card)[0].replace("%%", "%"), read="postgres")
    ctes = {cte.alias for cte in tree.find_all(sqlglot.exp.CTE)}
    for table in tree.find_all(sqlglot.exp.Table):
        if table.name not in ctes or table.db:
            assert table.name in marts.get(table.db, {}), f"{table.db}.{table.name} is no mart"
    # raises where a column is in none of them, or in more than one
    qualify(tree, schema=marts, dialect="postgres", validate_qualify_columns=True)
    for column in card.filters.values():
        kind = marts[column.schema][column.relation][column.name]
        assert kind == ("date" if column.name == "date_day" else "text")


@each_card
def test_it_answers_on_the_demo_account(card: Card, reader: Reader) -> None:
    rows = answer(reader("demo"), card)
    assert rows or card.may_be_empty, "no row, and may_be_empty does not say why"


@pytest.mark.parametrize("account", ["demo", "nothing", "one_deal"])
@pytest.mark.parametrize("key", [card.key for card in CARDS if card.display == "trend"])
def test_a_tile_ends_with_this_month(
    key: str, account: str, reader: Reader, definitions: Definitions
) -> None:
    """A tile shows the last row: a month without a deal must not show the month before it."""
    months = [row[0] for row in answer(reader(account), definitions.cards[key])]
    ((this_month,),) = reader(account).execute(b"select this_month from ops.ops_account").fetchall()
    assert months == sorted(set(months))
    assert months[-1] == this_month
    assert len(months) <= 13


def test_the_target_is_that_of_all_deals(
    reader: Reader, definitions: Definitions, choices: dict[str, Value]
) -> None:
    """The company's goal says nothing about one owner's deals."""
    card = definitions.cards["won_this_month"]
    for key in card.filters:
        rows = answer(reader("demo"), card, {key: choices[key]})
        assert {row[card.columns.index("won_value_target")] for row in rows} == {None}


@each_chart
def test_a_point_of_a_chart_is_one_record(card: Card, reader: Reader) -> None:
    """Metabase and the page group by what is shown: rows that look the same would be added up."""
    dimensions = [*card.x, *([card.series] if card.series else [])]
    places = [card.columns.index(name) for name in dimensions]
    points = Counter(tuple(row[at] for at in places) for row in answer(reader("demo"), card))
    assert {point: n for point, n in points.items() if n > 1} == {}


@each_chart
def test_the_rows_of_a_card_add_up_to_its_mart(card: Card, reader: Reader) -> None:
    """The same select without its groups, and without the dimensions that only give names."""
    rows = answer(reader("demo"), card)
    text, (*grains,) = render(card)
    assert set(grains) <= {"month"}
    query = text.replace("%s", "'month'").replace("%%", "%")
    tree = sqlglot.parse_one(query, read="postgres")
    assert isinstance(tree, exp.Select)
    if tree.args.get("limit") and len(rows) == int(tree.args["limit"].expression.this):
        pytest.skip("the card shows the first rows only")
    sums = {
        column.alias: column.this
        for column in tree.selects
        if isinstance(column, exp.Alias) and isinstance(column.this, exp.Sum)
    }
    names = [join for join in tree.args.get("joins", []) if join.this.name.startswith("dim_")]
    if not names or not sums:
        pytest.skip("the card names no record, or adds nothing up")
    for join in names:
        tree.args["joins"].remove(join)
    for part in ("group", "order", "having", "limit"):
        tree.set(part, None)
    tree.set("expressions", list(sums.values()))
    with reader("demo").cursor(row_factory=tuple_row) as cursor:
        totals = cursor.execute(tree.sql("postgres").encode()).fetchone()
    for name, total in zip(sums, totals or (), strict=True):
        at = card.columns.index(name)
        assert sum(row[at] or 0 for row in rows) == (total or 0), name


def test_the_account_has_equal_names(demo: Warehouse) -> None:
    for dimension in ("dim_stage", "dim_user", "dim_pipeline", "dim_product"):
        ((names, records),) = demo.rows(
            f"select count(distinct name), count(distinct display_name) from marts.{dimension}"
        )
        assert names < records, dimension


@each_card
def test_it_answers_with_each_filter(card: Card, reader: Reader, choices: dict[str, Value]) -> None:
    for key in card.filters:
        rows = answer(reader("demo"), card, {key: choices[key]})
        assert rows or card.may_be_empty, f"no row with {key}"
    answer(reader("demo"), card, {key: choices[key] for key in card.filters})
    for grain in card.grains:
        answer(reader("demo"), card, {**{k: choices[k] for k in card.filters}, GRAIN: [grain]})


def test_trends_of_weeks_and_quarters_have_the_sums_of_months(
    reader: Reader, definitions: Definitions
) -> None:
    counted = [c for c in definitions.cards.values() if set(c.grains) == set(GRAINS) and c.y]
    assert {card.key for card in counted} == {"created_and_closed", "won_by_month"}
    for card in counted:
        places = [card.columns.index(name) for name in card.y]
        start = card.columns.index("period_start")
        found = {grain: answer(reader("demo"), card, {GRAIN: [grain]}) for grain in GRAINS}
        sums = {g: [sum(row[at] for row in rows) for at in places] for g, rows in found.items()}
        assert sums["week"] == sums["month"] == sums["quarter"]
        starts = {grain: {row[start] for row in rows} for grain, rows in found.items()}
        assert len(starts["week"]) > len(starts["month"]) > len(starts["quarter"]) > 1
        assert {day.weekday() for day in starts["week"]} == {0}
        assert {day.month for day in starts["quarter"]} <= {1, 4, 7, 10}


def test_a_median_is_that_of_the_deals(reader: Reader, definitions: Definitions) -> None:
    card = definitions.cards["cycle_by_month"]
    expected = reader("demo").execute(
        b"select date_trunc('month', close_date_local)::date, "
        b"round(percentile_cont(0.5) within group (order by cycle_days)::numeric, 2) "
        b"from marts.fct_deal where status = 'won' and not is_deleted and cycle_days >= 0 "
        b"group by 1 order by 1"
    )
    found = [row[:2] for row in answer(reader("demo"), card)]
    assert found == [tuple(row) for row in expected.fetchall()]


def test_a_median_is_that_of_the_visits(
    reader: Reader, definitions: Definitions, choices: dict[str, Value]
) -> None:
    """For any months and owners, not only for those that the mart adds up."""
    owner, year = choices["owner"], choices["period"]
    assert isinstance(year, Between)
    assert not isinstance(owner, Between)
    expected = reader("demo").execute(
        b"select stages.display_name, count(*), "
        b"round((percentile_cont(0.5) within group (order by round(extract("
        b"epoch from first_exited_at - first_entered_at) / 86400, 2)))::numeric, 2) "
        b"from marts.fct_deal_stage_reached as visits "
        b"join marts.fct_deal as deals using (deal_id) "
        b"join marts.dim_user as users on coalesce(deals.closing_owner_id, -1) = users.user_id "
        b"join marts.dim_stage as stages on visits.stage_id = stages.stage_id "
        b"where entered_directly and is_measured and first_exit_outcome not in ('open', 'deleted') "
        b"and not deals.is_deleted and users.display_name = %s "
        b"and first_exited_month between date_trunc('month', %s::date) and %s "
        b"group by 1 order by 1",
        [owner[0], year.first, year.last],
    )
    card = definitions.cards["time_in_stage"]
    rows = answer(reader("demo"), card, {"owner": owner, "period": year})
    places = [card.columns.index(name) for name in ("stage_name", "n_timed", "median_days")]
    found = sorted(tuple(row[at] for at in places) for row in rows)
    assert found == [tuple(row) for row in expected.fetchall()]
    assert sum(row[1] for row in found) > 50


@each_card
def test_a_filter_that_matches_nothing_leaves_nothing(card: Card, reader: Reader) -> None:
    for key in card.filters:
        value: Value = ["nobody of this name"]
        if key in ("period", "created", "won", "lost"):
            value = Between(date(1900, 1, 1), date(1900, 12, 31))
        rows = answer(reader("demo"), card, {key: value})
        # The months of a tile are there, whatever is in them.
        figures = [at for at, name in enumerate(card.columns) if name not in card.x]
        assert all(not row[at] for row in rows for at in figures), f"{key} changes nothing"


@each_card
@pytest.mark.parametrize("account", ["nothing", "one_deal"])
def test_it_does_not_err_on_a_small_account(card: Card, account: str, reader: Reader) -> None:
    answer(reader(account), card)


@each_card
def test_it_speaks_both_languages(card: Card, reader: Reader, definitions: Definitions) -> None:
    translations = definitions.translations
    raw = answer(reader("demo"), card)
    for language in ("en", "pt"):
        rows = answer(reader("demo"), card, None, translations, language)
        assert len(rows) == len(raw)
        for column in set(card.columns) & set(PROJECT_NAMES):
            place = card.columns.index(column)
            shown_values = {row[place] for row in rows if row[place] is not None}
            assert shown_values <= set(translations.values(column, language).values()), column


def test_periods_of_a_forecast_are_months_or_named(
    demo: Warehouse, definitions: Definitions
) -> None:
    periods = {row[0] for row in demo.rows("select distinct period from marts.rpt_forecast")}
    named = {period for period in periods if not period[:4].isdigit()}
    assert named == set(definitions.translations.values("period", "en"))


def test_checks_of_data_quality_all_have_a_text(
    nothing: Warehouse, definitions: Definitions
) -> None:
    checks = {row[0] for row in nothing.rows("select check_name from marts.rpt_data_quality")}
    assert checks == set(definitions.translations.values("check_name", "en"))


def test_the_reader_sees_nothing_else(reader: Reader) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader("nothing").execute("select 1 from intermediate.int_counted_deals")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader("nothing").execute("create table marts.mine (x int)")


def test_a_deal_opens_in_pipedrive_where_the_account_has_pages(reader: Reader) -> None:
    def urls(account: str) -> set[Any]:
        query = "select deal_url_prefix from ops.ops_account"
        return {row[0] for row in reader(account).execute(query.encode())}

    assert urls("demo") == {"https://acme.pipedrive.com/deal/"}
    assert urls("one_deal") == {None}, "a simulated account has none"
    assert urls("nothing") == {None}, "without a domain there is none"

"""After any change of any input, an incremental build and a full refresh agree, row by row.

A warehouse of a few dozen deals is changed, built incrementally, copied, built with --full-refresh and
compared: every table and view of `intermediate`, `marts` and `ops`. Changes come in rounds of those
that do not hide each other; with the marker `long`, each comes alone.
"""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import yaml
from conftest import NewWarehouse
from pipedrive_simulator.testing import running_simulator
from project_copy import Project, copy_project
from test_lifetime import ALL
from warehouse_helpers import ROOT, Warehouse

#: How a value of each type becomes another one.
OTHER_VALUE = {
    "text": "coalesce({0}, '') || ' changed'",
    "bigint": "coalesce({0}, 0) + 1",
    "numeric": "coalesce({0}, 0) * 2 + 1",
    "boolean": "not coalesce({0}, false)",
    "timestamp with time zone": "coalesce({0}, '2026-03-01Z') + interval '26 hours'",
    "date": "coalesce({0}, '2026-03-01') + 1",
}


@pytest.fixture(scope="module")
def warehouse(new_warehouse: NewWarehouse) -> Warehouse:
    warehouse = new_warehouse("incremental")
    with running_simulator(deals=40) as simulator:
        warehouse.sync({"api_url": simulator.url, "api_token": simulator.token}, ALL)
    # More open deals, and more currencies, than a small account has.
    warehouse.write(
        "update pipedrive.deals set currency = (array['BRL', 'USD', 'EUR', 'CHF', 'GBP'])[id % 5 + 1]; "
        "update pipedrive.deals set status = 'open', close_time = null, won_time = null, lost_time = null "
        "where id % 3 = 0"
    )
    columns = {"as_of": "timestamptz", "values_total": "jsonb"}
    warehouse.raw("deal_summary_daily", columns, [("2026-04-01T12:00:00Z", reading("8.0"))])
    return warehouse


def reading(rate: str) -> str:
    """Pipedrive's own totals, of an account in BRL, from which a rate of Swiss francs follows."""
    return json.dumps(
        {
            "BRL": {"value": 10, "value_converted": 10},
            "CHF": {"value": 1000, "value_converted": 1000 * float(rate)},
        }
    )


@pytest.fixture(scope="module")
def project(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_project(tmp_path_factory.mktemp("project") / "transform", warehouse)
    project.build()
    # A second load of everything would be the first that is incremental: begin with the ordinary case.
    project.build()
    return project


# -- changes of the raw tables


def key_of(table: str) -> str:
    keys = {"deal_changelog_sync": "deal_id", "currencies": "id"}
    return "field_code" if table.endswith("_fields") else keys.get(table, "id")


def update(project: Project, table: str, values: str, offset: int, stamp: str = "now()") -> None:
    """Change one row, as the loader does: with the stamp of a batch."""
    key = key_of(table)
    project.warehouse.write(
        f"update pipedrive.{table} set {values}, _sdc_batched_at = {stamp} "
        f"where {key} = (select {key} from pipedrive.{table} order by {key} offset {offset} % "
        f"(select count(*) from pipedrive.{table}) limit 1)"
    )


def insert_like(
    project: Project, table: str, values: str, offset: int, stamp: str = "now()"
) -> None:
    """Add a row that is like another one, except for some values (a jsonb object).

    A change may be made twice: then the row is loaded again.
    """
    key = key_of(table)
    project.warehouse.write(
        f"insert into pipedrive.{table} select (jsonb_populate_record(existing, {values} || "
        f"jsonb_build_object('_sdc_batched_at', {stamp}))).* from pipedrive.{table} as existing "
        f"order by {key} offset {offset} limit 1 "
        f"on conflict ({key}) do update set _sdc_batched_at = excluded._sdc_batched_at"
    )


def delete(project: Project, table: str, offset: int, n: int = 1) -> None:
    key = key_of(table)
    project.warehouse.write(
        f"delete from pipedrive.{table} where {key} in "
        f"(select {key} from pipedrive.{table} order by {key} offset {offset} limit {n})"
    )


def plain_columns(project: Project, table: str) -> list[tuple[str, str]]:
    return [
        (name, kind)
        for name, kind in project.warehouse.rows(
            "select column_name, data_type from information_schema.columns "
            f"where table_schema = 'pipedrive' and table_name = '{table}' order by ordinal_position"
        )
        if name != key_of(table) and not name.startswith("_") and kind in OTHER_VALUE
    ]


def change_every_column(project: Project, table: str, stamp: str = "now()") -> None:
    """Change each column, one row after the other."""
    for offset, (name, kind) in enumerate(plain_columns(project, table)):
        change = f'"{name}" = ' + OTHER_VALUE[kind].format(f'"{name}"')
        update(project, table, change, offset, stamp)


def deals_change(project: Project) -> None:
    change_every_column(project, "deals")
    update(project, "deals", "label_ids = '[1, 2]'", 3)
    update(
        project,
        "deals",
        "custom_fields = (select coalesce(custom_fields, '{}') || jsonb_object_agg(field_code, '7') from pipedrive.deal_fields where is_custom_field)",
        4,
    )
    update(project, "deals", "custom_fields = '{}'", 5)


def deals_of_any_stamp(project: Project) -> None:
    stamps = (
        "now() - interval '3 hours'",
        "'1999-01-01Z'",
        "'2199-01-01Z'",
        "'-infinity'",
        "'infinity'",
        "null",
    )
    for offset, stamp in enumerate(stamps):
        update(
            project,
            "deals",
            "value = 4711, status = 'won', won_time = '2026-06-10Z'",
            offset,
            stamp,
        )
        update(project, "activities", "subject = 'stamped', done = not done", offset, stamp)
        update(
            project,
            "deal_changelog_sync",
            "synced_through = synced_through - interval '20 days'",
            offset + 7,
            stamp,
        )
        insert_like(
            project,
            "deal_changelog",
            f'\'{{"id": "stamped {offset}", "time": "2026-06-01T00:00:00Z"}}\'',
            offset * 9,
            stamp,
        )


def rows_of_a_known_stamp(project: Project) -> None:
    """What a batch that is long known brought, after all: a backup was restored, say."""
    known = "(select max(_sdc_batched_at) from pipedrive.{0} where _sdc_batched_at < now())"
    update(project, "deals", "title = 'restored'", 11, known.format("deals"))
    insert_like(project, "deals", "'{\"id\": 900002}'", 12, known.format("deals"))
    insert_like(
        project, "deal_changelog", '\'{"id": "restored"}\'', 13, known.format("deal_changelog")
    )
    insert_like(project, "activities", "'{\"id\": 900002}'", 14, known.format("activities"))


def deals_come_and_go(project: Project) -> None:
    insert_like(project, "deals", '\'{"id": 900001, "value": 5}\'', 6)
    insert_like(project, "deal_changelog", '\'{"id": "new 1", "deal_id": 900001}\'', 6)
    # deleted at the source, found gone by a sweep, and back again
    update(project, "deals", "is_deleted = true, status = 'deleted'", 20)
    update(project, "deals", "is_deleted = false, status = 'open'", 21)
    project.warehouse.write(
        "update pipedrive.deals set _sdc_deleted_at = now() where id = (select id from pipedrive.deals order by id offset 22 limit 1)"
    )
    project.warehouse.write(
        "update pipedrive.activities set _sdc_deleted_at = now() where id = (select id from pipedrive.activities order by id offset 22 limit 1)"
    )


def swept_rows_are_back(project: Project) -> None:
    for table in ("deals", "activities"):
        project.warehouse.write(
            f"update pipedrive.{table} set _sdc_deleted_at = null where _sdc_deleted_at is not null"
        )


def rows_are_deleted_by_hand(project: Project) -> None:
    """For privacy, say: whole deals, their changelog, or some rows of it."""
    delete(project, "deals", 8, 3)
    delete(project, "deal_changelog", 30, 12)
    delete(project, "deal_changelog_sync", 9, 4)
    for table in (
        "activities",
        "deal_products",
        "notes",
        "persons",
        "organizations",
        "leads",
        "users",
    ):
        delete(project, table, 1)


def changelog_rows_come_later(project: Project) -> None:
    insert_like(
        project, "deal_changelog", '\'{"id": "later", "time": "2026-05-30T00:00:00Z"}\'', 50
    )
    change_every_column(project, "deal_changelog")
    change_every_column(project, "deal_changelog_sync")


def activities_change(project: Project) -> None:
    change_every_column(project, "activities")
    update(project, "activities", "due_date = '2026-06-15', due_time = '02:30'", 5)


def related_records_change(project: Project) -> None:
    for table in (
        "persons",
        "organizations",
        "products",
        "deal_products",
        "leads",
        "notes",
        "goals",
    ):
        change_every_column(project, table)


def options_change(project: Project) -> None:
    """A label is renamed, an option added, another one removed; in each field that has any."""
    project.warehouse.write(
        "update pipedrive.deal_fields set options = "
        "jsonb_set(options - (jsonb_array_length(options) - 1), '{0,label}', '\"renamed\"') "
        '|| \'[{"id": 4711, "label": "added"}]\' '
        "where jsonb_typeof(options) = 'array' and jsonb_array_length(options) > 1"
    )


def fields_change(project: Project) -> None:
    new = "0123456789012345678901234567890123456789"
    insert_like(
        project,
        "deal_fields",
        f'\'{{"field_code": "{new}", "field_name": "New field", "field_type": "double", "is_custom_field": true}}\'',
        3,
    )
    project.warehouse.write(
        "update pipedrive.deal_fields set field_name = field_name || ' renamed' where is_custom_field"
    )
    project.warehouse.write(
        "update pipedrive.deal_fields set field_type = 'varchar' where field_type in ('double', 'enum')"
    )
    project.warehouse.write(
        "update pipedrive.deal_fields set _sdc_deleted_at = now() where field_code = (select max(field_code) from pipedrive.deal_fields where is_custom_field)"
    )
    update(
        project,
        "deals",
        f"custom_fields = coalesce(custom_fields, '{{}}') || '{{\"{new}\": 5}}'",
        2,
    )


def each_column_of(table: str) -> Callable[[Project], None]:
    return lambda project: change_every_column(project, table)


def column_of(table: str, values: str) -> Callable[[Project], None]:
    return lambda project: update(project, table, values, 1)


def a_raw_column_appears(project: Project) -> None:
    """Until now it was not selected, and null in staging."""
    project.warehouse.write("alter table pipedrive.deals rename lost_reason to unselected")


# -- changes of seeds and settings


def rates_are_added_for_past_days(project: Project) -> None:
    project.rates |= {
        ("2026-02-01", "USD", "BRL"): "5.25", ("2025-12-01", "EUR", "BRL"): "6.1", ("2026-01-15", "GBP", "BRL"): "7",
    }  # fmt: skip


def rates_change(project: Project) -> None:
    project.rates[("2026-05-01", "USD", "BRL")] = "5.9"


def rates_are_removed(project: Project) -> None:
    del project.rates[("2026-03-01", "EUR", "BRL")]


def todays_rate_comes(project: Project) -> None:
    project.rates[("2026-06-16", "USD", "BRL")] = "5.55"


def pipedrive_tells_another_rate(project: Project) -> None:
    project.warehouse.write(
        "insert into pipedrive.deal_summary_daily (as_of, values_total) "
        f"values ('2026-05-20T12:00:00Z', '{reading('8.8')}')"
    )


def a_rate_of_the_future_comes(project: Project) -> None:
    project.rates[("2026-06-18", "USD", "BRL")] = "5.6"


def holidays_change(project: Project) -> None:
    project.seed(
        "holidays", "holiday_date,name", {("2026-06-01", "New holiday"), ("2026-05-04", "Another")}
    )


def lost_reason_groups_change(project: Project) -> None:
    reasons = project.warehouse.rows(
        "select distinct lost_reason_norm from marts.fct_deal where lost_reason_norm ~ '^[a-z ]+$'"
    )
    project.seed(
        "lost_reason_groups",
        "lost_reason_key,reason_group",
        {(row[0], "A group") for row in reasons},
    )


def setting(name: str, value: Any) -> Callable[[Project], None]:
    return lambda project: project.variables.update({name: value})


def environment(name: str, value: str) -> Callable[[Project], None]:
    return lambda project: project.environ.update({name: value})


RECORDS: dict[str, Callable[[Project], None]] = {
    "deals change": deals_change,
    "deals of any stamp": deals_of_any_stamp,
    "rows of a known stamp": rows_of_a_known_stamp,
    "deals come and go": deals_come_and_go,
    "rows are deleted by hand": rows_are_deleted_by_hand,
    "changelog rows come later": changelog_rows_come_later,
    "activities change": activities_change,
    "related records change": related_records_change,
}
UNSWEPT = {"swept rows are back": swept_rows_are_back}
DEFINITIONS: dict[str, Callable[[Project], None]] = {
    "a stage's probability": column_of("stages", "deal_probability = 37"),
    "a stage's name": column_of("stages", "name = 'Renamed'"),
    "a stage's order": column_of("stages", "order_nr = 99"),
    "a stage's pipeline": column_of("stages", "pipeline_id = (select max(id) from pipedrive.pipelines)"),
    "a stage is deleted": column_of("stages", "is_deleted = true"),
    "options": options_change,
    "fields": fields_change,
    "a raw column appears": a_raw_column_appears,
    **{
        f"each column of {table}": each_column_of(table)
        for table in (
            "stages", "pipelines", "users", "activity_types", "lead_labels", "currencies", "roles", "teams", "person_fields",
            "organization_fields", "product_fields", "activity_fields", "deal_fields",
        )
    },
}  # fmt: skip
FX: dict[str, Callable[[Project], None]] = {
    "rates are added for past days": rates_are_added_for_past_days,
    "rates change": rates_change,
    "rates are removed": rates_are_removed,
    "today's rate comes": todays_rate_comes,
    "pipedrive tells another rate": pipedrive_tells_another_rate,
    "a rate of the future comes": a_rate_of_the_future_comes,
}
DAYS = {
    "a day passes": environment("AS_OF", "2026-06-17T12:00:00Z"),
    "two months pass": environment("AS_OF", "2026-08-17T12:00:00Z"),
    "the day moves back": environment("AS_OF", "2026-08-01T12:00:00Z"),
}
SETTINGS: dict[str, Callable[[Project], None]] = {
    "holidays": holidays_change,
    "lost reason groups": lost_reason_groups_change,
    "base_currency": setting("base_currency", "USD"),
    "fx_policy": setting("fx_policy", "add"),
    "fx_policy again": setting("fx_policy", "latest"),
    "reporting_timezone": setting("reporting_timezone", "Asia/Tokyo"),
    "clock_tolerance_seconds": setting("clock_tolerance_seconds", 90_000),
    "custom_field_columns_limit": setting("custom_field_columns_limit", 5),
    "daily_snapshot_days": setting("daily_snapshot_days", 20),
    "fiscal_year_first_month": setting("fiscal_year_first_month", 4),
    "office_opens_at": setting("office_opens_at", 7),
    "office_closes_at": setting("office_closes_at", 20),
    "outbound_activity_types": setting("outbound_activity_types", ["task"]),
    "bot_user_ids": setting("bot_user_ids", [1, 2]),
    "stalled_after_days": setting("stalled_after_days", 3),
    "customer_lost_after_days": setting("customer_lost_after_days", 60),
    "velocity_window_days": setting("velocity_window_days", 30),
    "win_probability_window_days": setting("win_probability_window_days", 60),
    "win_probability_prior_deals": setting("win_probability_prior_deals", 3),
    "commit_probability": setting("commit_probability", 20),
    "funnel_mode": setting("funnel_mode", "strict"),
    "reconciliation_tolerance": setting("reconciliation_tolerance", 0.1),
    "PIPEBOARD_BASE_CURRENCY": environment("PIPEBOARD_BASE_CURRENCY", "EUR"),
    "PIPEBOARD_REPORTING_TIMEZONE": environment("PIPEBOARD_REPORTING_TIMEZONE", "UTC"),
    "PIPEDRIVE_COMPANY_DOMAIN": environment("PIPEDRIVE_COMPANY_DOMAIN", "acme"),
    "PIPEDRIVE_API_URL": environment("PIPEDRIVE_API_URL", "http://127.0.0.1:1"),
}
#: They say how and where to build, not what; the day moves in rounds of its own.
NOT_INPUTS = {
    "test_all_deals", "reader_role", "as_of", "pipedrive_schema", "loader_schema", "pipedrive_tables", "schema_prefix",
    "extra_streams", "PIPEBOARD_PROJECT_FINGERPRINT",
}  # fmt: skip
#: A single day passes in each round of test_thirty_days.py. Months that pass do not touch what is
#: written about a deal that is back.
ROUNDS = (RECORDS, FX, {**UNSWEPT, "months": DAYS["two months pass"]}, {"back": DAYS["the day moves back"]},
          DEFINITIONS, SETTINGS)  # fmt: skip
#: So many of them each night, by chance: every one takes a full refresh.
ALONE_TESTED = int(os.environ.get("PIPEBOARD_CHANGES_ALONE", "8"))
ALONE = {
    name: change
    for changes in (DAYS, FX, RECORDS, UNSWEPT, DEFINITIONS, SETTINGS)
    for name, change in changes.items()
}


#: What reports of sums show, and a count of the deals, activities, visits, stays and moves themselves.
VISITS = """
    marts.fct_deal_stage_reached as r
    inner join intermediate.int_counted_deals as d using (deal_id)
    where r.counted_as is not null
"""
COUNTED_AGAIN = {
    "select cohort_month, stage_id, owner_id, n_entered, n_progressed, n_still_open "
    "from marts.rpt_stage_cohort": f"""
        select first_entered_month, r.stage_id, coalesce(d.closing_owner_id, -1), count(*),
            count(*) filter (where has_got_further or d.is_won),
            count(*) filter (where d.is_open and not has_got_further)
        from {VISITS} and entered_directly group by 1, 2, 3
    """,
    "select cohort_month, stage_id, owner_id, n_reached_implied, n_reached_strict, n_won_past "
    "from marts.rpt_funnel_monthly where n_reached_implied > 0": f"""
        select pipeline_entered_month, r.stage_id, coalesce(d.closing_owner_id, -1), count(*),
            count(*) filter (where entered_directly), count(*) filter (where reached_by = 'won')
        from {VISITS} and pipeline_entered_month is not null
            and r.stage_id in (select stage_id from marts.dim_stage where is_active)
        group by 1, 2, 3
    """,
    "select month, stage_id, owner_id, n_exited, n_advanced, n_timed, days_in_stage, days_of_visits "
    "from marts.rpt_stage_conversion": f"""
        select first_exited_month, r.stage_id, coalesce(d.closing_owner_id, -1), count(*),
            count(*) filter (where first_exit_outcome in ('advanced', 'won')),
            count(*) filter (where is_measured),
            coalesce(round(sum(extract(epoch from first_exited_at - first_entered_at))
                filter (where is_measured) / 86400, 3), 0),
            array(select unnest(array_agg(
                round(date_part('epoch', first_exited_at - first_entered_at) / 864) / 100
            ) filter (where is_measured)) order by 1)
        from {VISITS} and entered_directly
            and first_exit_outcome in ('advanced', 'back', 'pipeline', 'won', 'lost')
        group by 1, 2, 3
    """,
    "select month, pipeline_id, coalesce(owner_id, 0), n_moves, n_skips, n_regressions, "
    "n_deals_with_regression from marts.rpt_stage_moves where owner_id is distinct from -1": """
        select began_month, i.pipeline_id, coalesce(i.owner_id, 0), count(*),
            count(*) filter (where move_type = 'skip'),
            count(*) filter (where move_type = 'backward'),
            count(distinct deal_id) filter (where move_type = 'backward')
        from intermediate.int_deal_stage_intervals as i
        left join marts.dim_user as u on i.owner_id = u.user_id
        where move_type is not null and counted_as is not null
            and (i.owner_id is null or u.user_id is not null)
        group by 1, 2, 3
    """,
    "select stage_id, owner_id, n_stays, median_days from marts.rpt_stage_duration_by_owner": """
        select i.stage_id, coalesce(u.user_id, -1), count(*), round((percentile_cont(0.5)
            within group (order by date_part('epoch', valid_to - valid_from) / 86400))::numeric, 3)
        from intermediate.int_deal_stage_intervals as i
        left join marts.dim_user as u on i.owner_id = u.user_id
        where status = 'open' and stage_id is not null and not is_inferred and valid_to is not null
            and history_quality <> 'broken_chain' and counted_as is not null
        group by 1, 2
    """,
    "select month, pipeline_id, owner_id, n_created, n_imported, created_value_base, created_deals_without_rate "
    "from marts.rpt_deals_monthly where n_created > 0": """
        select created_month, coalesce(pipeline_id, -1), coalesce(owner_id, -1), count(*),
            count(*) filter (where is_import), coalesce(sum(value_base), 0), count(*) filter (where fx_missing)
        from intermediate.int_counted_deals where created_month is not null group by 1, 2, 3
    """,
    "select month, pipeline_id, owner_id, n_won, n_lost, won_value_base, lost_value_base, coalesce(avg_won_value_base, 0), "
    "coalesce(avg_cycle_days, 0), coalesce(avg_active_cycle_days, 0), coalesce(median_cycle_days, 0), "
    "won_deals_without_rate, deals_without_rate from marts.rpt_deals_monthly where n_closed > 0": """
        select closed_month, coalesce(pipeline_id, -1), coalesce(closing_owner_id, -1),
            count(*) filter (where is_won), count(*) filter (where is_lost),
            coalesce(sum(value_base) filter (where is_won), 0), coalesce(sum(value_base) filter (where is_lost), 0),
            coalesce(round(sum(value_base) filter (where is_won) / nullif(count(*) filter (where is_won), 0), 2), 0),
            coalesce(round(avg(cycle_days) filter (where is_won and cycle_days >= 0), 2), 0),
            coalesce(round(sum(open_days) filter (where is_won and cycle_days >= 0)
                / nullif(count(*) filter (where is_won and cycle_days >= 0), 0), 2), 0),
            coalesce(round((percentile_cont(0.5) within group (order by cycle_days)
                filter (where is_won and cycle_days >= 0))::numeric, 2), 0),
            count(*) filter (where is_won and fx_missing), count(*) filter (where fx_missing)
        from intermediate.int_counted_deals where closed_month is not null group by 1, 2, 3
    """,
    "select week, pipeline_id, owner_id, n_created, n_won, n_lost, won_value_base, deals_without_rate "
    "from marts.rpt_deals_weekly": """
        select date_trunc('week', day::timestamp)::date, coalesce(pipeline_id, -1), coalesce(owner, -1),
            count(*) filter (where outcome = 'created'), count(*) filter (where outcome = 'won'),
            count(*) filter (where outcome = 'lost'), coalesce(sum(value_base) filter (where outcome = 'won'), 0),
            count(*) filter (where outcome = 'won' and fx_missing)
        from intermediate.int_counted_deals cross join lateral (values
            ('created', add_date_local, owner_id), (status, close_date_local, closing_owner_id)
        ) as event (outcome, day, owner)
        where day is not null and outcome <> 'open' group by 1, 2, 3
    """,
    "select cohort_month, pipeline_id, owner_id, n_won, n_lost, n_open from marts.rpt_win_rate_cohort": """
        select created_month, coalesce(pipeline_id, -1), coalesce(owner_id, -1), count(*) filter (where is_won),
            count(*) filter (where is_lost), count(*) filter (where is_open)
        from intermediate.int_counted_deals where created_month is not null group by 1, 2, 3
    """,
    "select month, pipeline_id, owner_id, n_deals_pushed, n_pushes, days_pushed, pushed_value_base, n_deals_pulled, "
    "n_pulls, days_pulled, deals_without_rate from marts.rpt_slippage": """
        select month, coalesce(pipeline_id, -1), coalesce(owner_id, -1),
            count(*) filter (where pushed > 0), sum(n_pushes), sum(pushed),
            coalesce(sum(value_base) filter (where pushed > 0), 0), count(*) filter (where pulled > 0), sum(n_pulls),
            sum(pulled), count(*) filter (where pushed > 0 and fx_missing)
        from (
            select deal_id, month, count(*) filter (where days > 0) as n_pushes, sum(greatest(days, 0)) as pushed,
                count(*) filter (where days < 0) as n_pulls, sum(greatest(-days, 0)) as pulled
            from intermediate.int_deal_close_date_moves group by 1, 2
        ) as moves
        inner join intermediate.int_counted_deals using (deal_id)
        group by 1, 2, 3
    """,
    "select month, pipeline_id, owner_id, n_deals, n_up, n_down, net_value_base, deals_without_rate "
    "from marts.rpt_value_changes": """
        select month, coalesce(d.pipeline_id, -1), coalesce(d.owner_id, -1), count(distinct deal_id),
            count(*) filter (where difference > 0), count(*) filter (where difference < 0),
            coalesce(sum(difference_base), 0), count(distinct deal_id) filter (where difference_base is null)
        from intermediate.int_deal_value_changes
        inner join intermediate.int_counted_deals as d using (deal_id)
        group by 1, 2, 3
    """,
    "select month, origin, coalesce(channel, -1), pipeline_id, owner_id, n_created, n_from_lead, n_won, n_lost, "
    "won_value_base, deals_without_rate from marts.rpt_sources_monthly": """
        select created_month, coalesce(origin, '(unknown)'), coalesce(channel, -1), coalesce(pipeline_id, -1),
            coalesce(closing_owner_id, -1), count(*), count(source_lead_id), count(*) filter (where is_won),
            count(*) filter (where is_lost), coalesce(sum(value_base) filter (where is_won), 0),
            count(*) filter (where is_won and fx_missing)
        from intermediate.int_counted_deals where created_month is not null group by 1, 2, 3, 4, 5
    """,
    "select closed_on, stage_id, n_closed, n_won from intermediate.int_stage_close_sums": f"""
        select r.close_date_local, r.stage_id, count(*), count(*) filter (where d.is_won)
        from {VISITS} and r.close_date_local is not null and reached_by <> 'won' group by 1, 2
    """,
    "select closed_on, n_closed, n_won from intermediate.int_closed_day_sums": """
        select close_date_local, count(*), count(*) filter (where is_won)
        from intermediate.int_counted_deals where close_date_local is not null group by 1
    """,
    "select customer_type, customer_id, pipeline_id, owner_id, n_won, won_value_base, first_won_date, last_won_date, "
    "customer_status = 'new', deals_without_rate from marts.rpt_customers": """
        select customer_type, customer_id, pipeline_id, owner_id, count(*), coalesce(sum(value_base), 0),
            first_won_date, last_won_date,
            n_of_customer = 1 and lost_on > (select max(date_day) from marts.dim_date where not is_future),
            count(*) filter (where fx_missing)
        from (
            select *, min(won_date_local) over customer as first_won_date, max(won_date_local) over customer as last_won_date,
                count(*) over customer as n_of_customer
            from intermediate.int_won_by_customer where customer_id is not null
            window customer as (partition by customer_type, customer_id)
        ) as won
        group by 1, 2, 3, 4, 7, 8, 9
    """,
    "select owner_id, coalesce(activity_type, ''), sum(n_done), sum(n_planned), sum(n_overdue), "
    "sum(n_done_with_due_date), sum(n_on_time), sum(minutes_done) from marts.rpt_activities_monthly group by 1, 2": """
        select coalesce(owner_id, -1), coalesce(type, ''), count(*) filter (where done),
            count(*) filter (where not done and not is_overdue), count(*) filter (where is_overdue),
            count(*) filter (where done and due_date is not null), count(*) filter (where is_on_time),
            coalesce(sum(duration_min) filter (where done), 0)
        from marts.fct_activity where not is_deleted group by 1, 2
    """,
}


def check(project: Project, *changes: Callable[[Project], None]) -> None:
    for change in changes:
        change(project)
    project.build()
    differences = project.differences()
    assert not differences, "\n".join(
        f"{name}: {str(rows)[:600]}" for name, rows in differences.items()
    )
    for reported, counted in COUNTED_AGAIN.items():
        assert sorted(project.warehouse.rows(reported)) == sorted(project.warehouse.rows(counted))


#: The long tests play the records' round, and one of the others, which the day chooses; those of the
#: night play the rest. Chosen by chance, both could leave out the same one.
LONG_ROUND = 1 + date.today().toordinal() % (len(ROUNDS) - 1)


def mark_of(number: int) -> list[pytest.MarkDecorator]:
    return [pytest.mark.long if number in (0, LONG_ROUND) else pytest.mark.nightly]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, id=next(iter(changes)), marks=mark_of(number))
        for number, changes in enumerate(ROUNDS)
    ],
)
def test_an_incremental_build_follows_all_changes(
    project: Project, changes: dict[str, Callable[[Project], None]]
) -> None:
    check(project, *changes.values())


@pytest.mark.nightly
@pytest.mark.parametrize("name", random.sample(sorted(ALONE), min(ALONE_TESTED, len(ALONE))))
def test_each_change_alone_is_followed(project: Project, name: str) -> None:
    check(project, ALONE[name])


@pytest.mark.long
def test_a_removed_dependency_is_found(project: Project) -> None:
    """Without the digest of small tables, nothing tells that a stage has another probability."""
    inputs = project.folder / "macros" / "incremental" / "inputs.sql"
    text = inputs.read_text()
    digest = "name ~ digests[loop.index0]"
    wrong = {"marts.fct_deal_daily_snapshot", "intermediate.int_counted_deals"}
    select = ("--select", *(f"+{name.partition('.')[2]}" for name in sorted(wrong)))
    assert text.count(digest) == 1
    try:
        inputs.write_text(text.replace(digest, "name"))
        project.build(*select)
        project.warehouse.write("update pipedrive.stages set deal_probability = 11")
        project.build(*select)
        assert project.differences(*select).keys() >= wrong
    finally:
        inputs.write_text(text)


def test_every_setting_and_seed_is_among_the_changes() -> None:
    variables = yaml.safe_load((ROOT / "transform" / "dbt_project.yml").read_text())["vars"]
    assert variables.keys() - NOT_INPUTS <= SETTINGS.keys()
    texts = [path.read_text() for path in (ROOT / "transform").rglob("*.sql")]
    settings = {name for text in texts for name in re.findall(r"env_var\(['\"](\w+)", text)}
    assert settings - NOT_INPUTS <= SETTINGS.keys()
    seeds = {path.stem for path in (ROOT / "transform" / "seeds").glob("*.csv")}
    assert seeds == {"fx_rates", "holidays", "lost_reason_groups"}

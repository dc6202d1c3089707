"""A living account for thirty days, synced with gaps: the truth to the second, reconciled."""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from random import Random

import psycopg
import pytest
from conftest import NewWarehouse
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from stays import Stay, found_stays, known_stays
from warehouse_helpers import Warehouse

# On every other day, when test_package.py is for the night.
pytestmark = pytest.mark.long if date.today().toordinal() % 2 else pytest.mark.nightly

DEALS, DAYS, SEED = 150, 30, 7
SYNCED_ON = {0, 1, 5, 13, 29}
BUILT_ON = {5}
# June is reconciled, so the odd edits begin in July: Pipedrive counts what no sync can see, such as
# a deal deleted and restored between two of them, or a stage passed within a second.
MEDDLED_FROM = 17
STATISTICS = ("deal_summary", "pipeline_movements", "pipeline_conversions")
STREAMS = (
    "deals", "deal_changelog", "deal_changelog_sync", "deal_products", "persons", "organizations",
    "activities", "products", "pipelines", "stages", "users", "deal_fields", "goals", "currencies",
    *STATISTICS,
)  # fmt: skip


@dataclass
class Month:
    warehouse: Warehouse
    simulator: RunningSimulator
    #: Deals made to show one odd life each.
    cast: dict[str, int] = field(default_factory=dict)

    def sync(self) -> None:
        source = {"api_url": self.simulator.url, "api_token": self.simulator.token}
        self.warehouse.sync(source, STREAMS)


def meddle(simulator: RunningSimulator, rng: Random) -> None:
    """Do what a team seldom does: reopen, restore, change pipelines, twice in one second."""
    account = simulator.account
    deals = [d for d in account.deals.records.values() if not d.is_deleted and not d.is_archived]
    stages = [s for s in account.stages.records.values() if not s.is_deleted]
    for deal in rng.sample(deals, 4):
        if deal.status != "open":
            account.reopen_deal(deal.id)
        for stage in rng.sample(stages, rng.choice((1, 2))):
            account.move_deal(deal.id, stage.id)
    doomed = rng.choice(deals)
    account.delete_deal(doomed.id)
    if rng.random() < 0.5:
        account.advance_clock(60)
        account.restore_deal(doomed.id)


def cast(simulator: RunningSimulator) -> dict[str, int]:
    """Let deals live one life each that history has to get right."""
    account = simulator.account
    boards: dict[int, list[int]] = {}
    for stage in account.stages.records.values():
        if not stage.is_deleted:
            boards.setdefault(stage.pipeline_id, []).append(stage.id)
    (first, second, third, *_), other = (boards[p] for p in sorted(boards)[:2])
    names = (
        "re-entered", "skipped", "moved pipeline", "reopened", "archived", "deleted", "merged", "imported",
        "twice in a second", "backdated", "postdated",
    )  # fmt: skip
    deals = {
        name: account.create_deal(
            name, stage_id=first, origin="Import" if name == "imported" else "ManuallyCreated"
        ).id
        for name in names
    }

    def go(name: str, *stages: int, seconds: int = 600) -> None:
        for stage in stages:
            account.advance_clock(seconds)
            account.move_deal(deals[name], stage)

    go("re-entered", second, first, second)
    go("skipped", third)
    go("moved pipeline", second, other[1])
    go("reopened", second)
    account.win_deal(deals["reopened"])
    account.advance_clock(600)
    account.reopen_deal(deals["reopened"])
    go("reopened", third)
    go("archived", second)
    account.lose_deal(deals["archived"], "Preço")
    account.advance_clock(600)
    account.archive_deal(deals["archived"])
    go("deleted", second)
    account.advance_clock(600)
    account.delete_deal(deals["deleted"])
    go("merged", second)
    account.advance_clock(600)
    account.merge_deals(deals["merged"], into=deals["skipped"])
    go("imported", second)
    account.advance_clock(600)
    go("twice in a second", second, third, seconds=0)
    moment = account.deals.records[deals["twice in a second"]].stage_change_time
    go("backdated", second)
    account.update_deal(deals["backdated"], add_time="2026-07-01T12:00:00Z")
    go("postdated", second, third)
    account.update_deal(deals["postdated"], add_time=moment)
    return deals


@pytest.fixture(scope="module")
def month(new_warehouse: NewWarehouse) -> Iterator[Month]:
    warehouse: Warehouse = new_warehouse("thirty_days")
    rng = Random(SEED)
    with running_simulator(deals=DEALS, seed=SEED) as simulator:
        month = Month(warehouse, simulator)
        for day in range(DAYS):
            simulator.account.advance(deals=rng.randrange(3, 15), hours=23)
            if day >= MEDDLED_FROM:
                meddle(simulator, rng)
            if day == DAYS - 1:
                # so late that the account's own life leaves them alone
                month.cast = cast(simulator)
            simulator.account.advance_clock(3600)
            if day in SYNCED_ON:
                month.sync()
            if day in BUILT_ON:
                warehouse.build("run")
        warehouse.build("run")
        yield month


def stays_of(month: Month, *statuses: str) -> dict[int, list[Stay]]:
    deals, intervals = (month.simulator.truth(name) for name in ("deals", "stage_intervals"))
    return known_stays(deals, intervals, statuses)


def stays_found(month: Month, *statuses: str) -> dict[int, list[Stay]]:
    return found_stays(month.warehouse, statuses)


def test_stays_equal_the_accounts_to_the_second(month: Month) -> None:
    truth, found = stays_of(month, "open", "won", "lost"), stays_found(month, "open", "won", "lost")
    listed = {d["id"] for d in month.simulator.truth("deals") if d["_listed"]}
    assert found.keys() >= listed, "every deal that can be asked for is there"
    exact = {
        deal
        for (deal,) in month.warehouse.rows(
            "select deal_id from marts.fct_deal where history_quality = 'exact'"
        )
    }
    assert len(exact) > 0.95 * len(listed), "the changelog was read nearly everywhere"
    assert sum(len(found[deal]) for deal in exact) > 2 * len(exact), "deals did move"
    # A closed deal deleted and restored between two syncs moves no time that would make anybody
    # read its log again: only its open stays are held against the truth.
    unseen = {deal for deal, stays in stays_of(month, "deleted").items() if stays and stays[0][3]}
    for deal in unseen:
        truth[deal], found[deal] = (
            [stay for stay in stays[deal] if stay[1] == "open"] for stays in (truth, found)
        )
    assert len(unseen & exact) < 10
    wrong = {deal: (found[deal], truth[deal]) for deal in exact if found[deal] != truth[deal]}
    assert not wrong, f"{len(wrong)} of {len(exact)}: {next(iter(wrong.items()))}"


def test_time_in_stage_adds_up_to_the_second(month: Month) -> None:
    seconds: dict[tuple[int, int], float] = {}
    for deal, stays in stays_of(month, "open").items():
        for stage, _, begin, end in stays:
            if end is not None:
                seconds[deal, stage] = seconds.get((deal, stage), 0) + (end - begin).total_seconds()
    found = {
        (deal, stage): float(total)
        for deal, stage, total in month.warehouse.rows(
            "select deal_id, reached.stage_id, total_open_s from marts.fct_deal_stage_reached as reached "
            "join marts.fct_deal using (deal_id) "
            "where history_quality = 'exact' and total_open_s > 0"
        )
    }
    read = {deal for deal, _ in found}
    assert len(found) > 300
    assert found == {key: total for key, total in seconds.items() if key[0] in read and total}


#: {name: (query of an incremental table, query that computes the same from all rows)}.
INCREMENTAL_AND_TODAY = {
    "options chosen": (
        "select deal_id, field_code, option_id, pipeline_id, owner_id, status, value_base "
        "from intermediate.int_deal_options",
        "select deal_id, field_key, option_id, coalesce(pipeline_id, -1), "
        "coalesce(case when is_open then owner_id else closing_owner_id end, -1), status, value_base "
        "from marts.fct_deal_custom_option join intermediate.int_counted_deals using (deal_id)",
    ),
    "options": (
        "select field_code, option_id, pipeline_id, owner_id, status, n_deals, value_base "
        "from intermediate.int_deal_option_sums where n_deals <> 0",
        "select field_code, option_id, pipeline_id, owner_id, status, count(*), "
        "coalesce(sum(value_base), 0) from intermediate.int_deal_options "
        "group by field_code, option_id, pipeline_id, owner_id, status",
    ),
    "custom fields": (
        "select field_code, n_values from intermediate.int_deal_custom_field_counts "
        "where n_values <> 0",
        "select field_code, count(*) from intermediate.int_deal_custom_field_values group by field_code",
    ),
    "days": (
        "select date_day, pipeline_id, stage_id, owner_id, open_count, open_value_base, "
        "weighted_value_base, commit_value_base, n_without_rate from intermediate.int_pipeline_days "
        "where open_count <> 0",
        "select date_day, coalesce(pipeline_id, 0), coalesce(stage_id, 0), coalesce(owner_id, 0), "
        "count(*), coalesce(sum(value_base), 0), "
        "coalesce(sum(weighted_value_base), 0), "
        "coalesce(sum(value_base) filter (where effective_prob >= 75), 0), "
        "count(*) filter (where fx_missing) from marts.fct_deal_daily_snapshot "
        "group by date_day, pipeline_id, stage_id, owner_id",
    ),
    "counted deals": (
        "select deal_id, pipeline_id, stage_id, owner_id, status, value_base, fx_missing, "
        "effective_prob, weighted_value_base, cycle_days from intermediate.int_counted_deals",
        "select deal_id, pipeline_id, stage_id, owner_id, status, value_base, fx_missing, "
        "effective_prob, weighted_value_base, cycle_days from marts.fct_deal "
        "where not is_deleted",
    ),
    "how stays count": (
        "select deal_id, counted_as, owner_id from intermediate.int_deal_stage_intervals",
        "select deal_id, case when not is_deleted then deals.status end, deals.owner_id from "
        "intermediate.int_deal_stage_intervals join intermediate.int_deal_current as deals "
        "using (deal_id)",
    ),
    "activities": (
        "select activity_id, subject, owner_id, deal_id, is_done, is_deleted, done_at "
        "from intermediate.int_activities",
        "select activity_id, subject, owner_id, deal_id, is_done, is_deleted, "
        "case when is_done then marked_as_done_time end from staging.stg_pipedrive__activities",
    ),
}


@pytest.mark.parametrize("name", INCREMENTAL_AND_TODAY)
def test_incremental_tables_equal_full_ones(month: Month, name: str) -> None:
    incremental, today = INCREMENTAL_AND_TODAY[name]
    assert month.warehouse.rows(f"select count(*) from ({incremental}) as incremental") > [(10,)]
    for one, other in ((incremental, today), (today, incremental)):
        assert month.warehouse.rows(f"({one}) except all ({other})") == []


#: What has to be so of each of the cast, beside being true to the second.
ODD_LIVES = {
    "re-entered": "exists (select from marts.fct_deal_stage_reached r where r.deal_id = d.deal_id "
    "and n_entries = 2) and n_regressions = 1 and n_stage_moves = 3",
    "skipped": "exists (select from marts.fct_deal_stage_history h where h.deal_id = d.deal_id "
    "and move_type = 'skip') and exists (select from marts.fct_deal_stage_reached r "
    "where r.deal_id = d.deal_id and reached_by = 'skipped' and total_open_s is null)",
    "moved pipeline": "exists (select from marts.fct_deal_stage_reached r where r.deal_id = d.deal_id "
    "and exit_outcome = 'pipeline') and n_regressions = 0",
    "reopened": "n_reopens = 1 and status = 'open' and close_time is null and open_days < age_days",
    "archived": "is_archived and status = 'lost' and exists (select from intermediate.int_counted_deals c "
    "where c.deal_id = d.deal_id and is_lost)",
    "deleted": "is_deleted and not is_deleted_at_estimated and not exists (select from "
    "marts.fct_deal_stage_history h where h.deal_id = d.deal_id and is_current)",
    "merged": "is_deleted and not exists (select from intermediate.int_counted_deals c "
    "where c.deal_id = d.deal_id)",
    "imported": "exists (select from intermediate.int_counted_deals c where c.deal_id = d.deal_id "
    "and is_import) and n_stage_moves = 1",
    "twice in a second": "n_stage_moves = 1 and 2 = (select count(*) from marts.fct_deal_field_change f "
    "where f.deal_id = d.deal_id and field_key = 'stage_id')",
    "backdated": "add_time = '2026-07-01 12:00Z' and age_days > 10 and n_stage_moves = 1",
    "postdated": "history_quality = 'exact'",
}


@pytest.mark.parametrize("life", ODD_LIVES)
def test_an_unusual_history_equals_the_accounts(month: Month, life: str) -> None:
    deal, every = month.cast[life], ("open", "won", "lost")
    assert stays_found(month, *every)[deal] == stays_of(month, *every)[deal]
    ((holds, quality),) = month.warehouse.rows(
        f"select {ODD_LIVES[life]}, history_quality from marts.fct_deal d where d.deal_id = {deal}"
    )
    assert quality == "exact"
    assert holds


def test_the_invariants_held(month: Month) -> None:
    assert month.warehouse.rows("select count(*) from marts.fct_deal")[0][0] >= DEALS
    done = month.warehouse.dbt(
        "test", "--select", "test_type:singular", "--exclude", "tag:reconciliation"
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_each_day_shows_what_was_open_at_its_end(month: Month) -> None:
    """Also the days that were added to deals that did not change, build by build."""
    days = """
        select day::date as date_day, (day::date + 1)::timestamp at time zone 'America/Sao_Paulo' as ends_at
        from intermediate.int_warehouse_clock as clock,
            generate_series(clock.as_of - interval '60 days', clock.as_of - interval '2 days', '1 day') as day
    """
    expected = month.warehouse.rows(
        f"select date_day, deal_id, stage_id from ({days}) as days join marts.fct_deal_stage_history as history "
        "on status = 'open' and valid_from < ends_at and coalesce(valid_to, 'infinity') >= ends_at"
    )
    shown = month.warehouse.rows(
        f"select date_day, deal_id, stage_id from ({days}) as days "
        "join marts.fct_deal_daily_snapshot using (date_day)"
    )
    assert len(shown) > 500
    assert set(shown) == set(expected)
    assert len(shown) == len(set(shown))


def test_only_marts_and_ops_are_readable_by_the_reader(month: Month) -> None:
    # The embedded server's owner may not become another role; what it granted can be asked.
    privileges = month.warehouse.rows(
        "select nspname, bool_and(has_table_privilege('bi_read', pg_class.oid, 'select')), "
        "bool_or(has_table_privilege('bi_read', pg_class.oid, 'insert, update, delete')), "
        "bool_and(has_schema_privilege('bi_read', nspname, 'usage')) "
        "from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
        "where relkind in ('r', 'v') and nspname not in ('information_schema', 'public') "
        "and nspname !~ '^pg_' and pg_class.oid is distinct from to_regclass('ops.quarantine') "
        "group by nspname"
    )
    assert {schema for schema, reads, _, uses in privileges if reads and uses} == {"marts", "ops"}
    # A view counts refused records; the records themselves cannot be read.
    quarantine = month.warehouse.rows(
        "select has_table_privilege('bi_read', 'ops.quarantine', 'select'), "
        "has_column_privilege('bi_read', 'ops.quarantine', 'reason', 'select'), "
        "has_column_privilege('bi_read', 'ops.quarantine', 'record', 'select')"
    )
    assert quarantine == [(False, False, False)]
    assert not any(writes for _, _, writes, _ in privileges)
    assert not any(uses for schema, _, _, uses in privileges if schema not in ("marts", "ops"))
    # A table made anew has the grant at once, before the run is over.
    with psycopg.connect(month.warehouse.url) as connection:
        connection.execute("create table marts.made_anew (a int)")
        row = connection.execute(
            "select has_table_privilege('bi_read', 'marts.made_anew', 'select')"
        ).fetchone()
        connection.rollback()
    assert row == (True,)


def reconcile(month: Month) -> int:
    month.simulator.account.advance_clock(1)
    month.sync()
    streams = " ".join(f"stg_pipedrive__{name}" for name in STATISTICS).split()
    return month.warehouse.dbt("build", "--select", *streams, "tag:reconciliation").returncode


def test_figures_equal_pipedrives_and_a_manipulated_row_is_found(month: Month) -> None:
    query = "select subject, count(*) from ops.ops_reconciliation where {} group by subject"
    compared = dict(month.warehouse.rows(query.format("true")))
    assert min(compared[s] for s in ("deals/summary", "movement_statistics")) >= 10
    assert compared["conversion_statistics"] >= 50
    apart = "select * from ops.ops_reconciliation where not is_within_tolerance"
    assert month.warehouse.rows(apart) == []

    month.warehouse.write(
        "update intermediate.int_deal_current set value = value * 1.02 where status = 'open'"
    )
    assert reconcile(month) != 0
    assert dict(month.warehouse.rows(query.format("not is_within_tolerance"))).keys() == {
        "deals/summary"
    }
    # Movements are read and compared again, although the response is the same.
    month.warehouse.write("delete from intermediate.int_deal_stage_intervals where deal_id % 2 = 0")
    assert reconcile(month) != 0
    assert "movement_statistics" in dict(
        month.warehouse.rows(query.format("not is_within_tolerance"))
    )

"""A living account for thirty days, synced with gaps: the truth to the second, reconciled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random

import psycopg
import pytest
from conftest import NewWarehouse
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from warehouse_kit import Warehouse

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
            simulator.account.advance_clock(3600)
            if day in SYNCED_ON:
                month.sync()
            if day in BUILT_ON:
                warehouse.build("run")
        warehouse.build("run")
        yield month


def instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def test_stays_are_the_accounts_own_to_the_second(month: Month) -> None:
    truth: dict[int, list[tuple[object, ...]]] = {}
    for stay in month.simulator.truth("stage_intervals"):
        begin, end = instant(stay["valid_from"]), instant(stay["valid_to"])
        if begin != end and stay["status"] == "open":
            stays = truth.setdefault(stay["deal_id"], [])
            # what lasted no second lies between two stays of one kind
            if stays and stays[-1][0] == stay["stage_id"] and stays[-1][2] == begin:
                stays[-1] = (stay["stage_id"], stays[-1][1], end)
            else:
                stays.append((stay["stage_id"], begin, end))
    found: dict[int, list[tuple[object, ...]]] = {}
    read = set()
    for deal, stage, begin, end, quality in month.warehouse.rows(
        "select deal_id, stage_id, valid_from, valid_to, history_quality "
        "from marts.fct_deal_stage_history where status = 'open' order by deal_id, seq"
    ):
        found.setdefault(deal, []).append((stage, begin, end))
        if quality == "exact":
            read.add(deal)
    assert len(read) > 0.9 * len(found), "the changelog was read nearly everywhere"
    wrong = {deal: (found[deal], truth.get(deal)) for deal in read if found[deal] != truth[deal]}
    assert not wrong, f"{len(wrong)} of {len(read)}: {next(iter(wrong.items()))}"


def test_the_invariants_held(month: Month) -> None:
    assert month.warehouse.rows("select count(*) from marts.fct_deal")[0][0] >= DEALS
    done = month.warehouse.dbt(
        "test", "--select", "test_type:singular", "--exclude", "tag:reconciliation"
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_only_marts_and_ops_are_readable_by_the_reader(month: Month) -> None:
    # The embedded server's owner may not become another role; what it granted can be asked.
    privileges = month.warehouse.rows(
        "select nspname, bool_and(has_table_privilege('bi_read', pg_class.oid, 'select')), "
        "bool_or(has_table_privilege('bi_read', pg_class.oid, 'insert, update, delete')), "
        "bool_and(has_schema_privilege('bi_read', nspname, 'usage')) "
        "from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
        "where relkind in ('r', 'v') and nspname not in ('information_schema', 'public') "
        "and nspname !~ '^pg_' group by nspname"
    )
    assert {schema for schema, reads, _, uses in privileges if reads and uses} == {"marts", "ops"}
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


def test_our_numbers_are_pipedrives_until_somebody_tampers(month: Month) -> None:
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
    # Movements are asked for again, and compared again, although their answer is the same.
    month.warehouse.write("delete from intermediate.int_deal_stage_intervals where deal_id % 2 = 0")
    assert reconcile(month) != 0
    assert "movement_statistics" in dict(
        month.warehouse.rows(query.format("not is_within_tolerance"))
    )

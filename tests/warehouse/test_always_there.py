"""No build disturbs who reads marts and ops: idle, with changes, full, or killed."""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

import os
import random
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from itertools import islice

import psycopg
import pytest
from conftest import NewWarehouse
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from readers import read_all, relations
from warehouse_helpers import BUILD, DBT, ROOT, Warehouse

DEALS, SEED = 80, 11
#: Of builds, every other one by SIGTERM; PIPEBOARD_SIGNAL_ROUNDS=30 takes ten minutes.
#: Two long tests that take turns, by the day: one runs with `--long`, the other one at night.
TURNS = (pytest.mark.long, pytest.mark.nightly)[:: -1 if date.today().toordinal() % 2 else 1]
KILLS = int(os.environ.get("PIPEBOARD_SIGNAL_ROUNDS", "2"))
STREAMS = (
    "deals", "deal_changelog", "deal_changelog_sync", "deal_products", "persons", "organizations", "products",
    "activities", "activity_types", "leads", "pipelines", "stages", "users", "deal_fields", "goals", "currencies",
)  # fmt: skip
#: Views of another project on this one's: on a table, on a view, on a view on both, in ops.
FOREIGN = """
    create schema other;
    create view other.stages as select * from marts.dim_stage;
    create view other.wide as select * from marts.deal_wide;
    create view other.won as select value_base from other.wide where status = 'won';
    create view other.open_deals as select * from marts.rpt_open_deals;
    create view other.freshness as select * from ops.ops_stream_freshness;
"""
#: What a build does to relations people read, apart from their rows.
WATCH = """
    create schema watch;
    create table watch.ddl (told text);
    create function watch.note() returns event_trigger language plpgsql security definer as $$
    begin
        insert into watch.ddl
        select command_tag || ' ' || coalesce(object_identity, '')
        from pg_event_trigger_ddl_commands() where schema_name in ('marts', 'ops')
        or object_type in ('schema', 'default acl');
    end $$;
    create function watch.note_dropped() returns event_trigger language plpgsql security definer as $$
    begin
        insert into watch.ddl select 'drop ' || object_identity
        from pg_event_trigger_dropped_objects() where schema_name in ('marts', 'ops');
    end $$;
    create event trigger watch_ddl on ddl_command_end execute function watch.note();
    create event trigger watch_dropped on sql_drop execute function watch.note_dropped();
"""
WRITTEN = """
    select schemaname || '.' || relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables
    where schemaname = 'marts' order by 1
"""


@dataclass
class Account:
    simulator: RunningSimulator
    warehouse: Warehouse
    relations: list[str] = field(default_factory=list)

    def sync(self) -> None:
        source = {"api_url": self.simulator.url, "api_token": self.simulator.token}
        self.warehouse.sync(source, STREAMS)

    def names(self) -> list[str]:
        return relations(self.warehouse.url)

    def read_all(self) -> AbstractContextManager[None]:
        return read_all(self.warehouse.url, self.relations)

    def written(self) -> list[tuple[object, ...]]:
        # Sessions that have ended have told their counts; those of dbt have.
        return self.warehouse.rows(WRITTEN)


@pytest.fixture(scope="module")
def account(new_warehouse: NewWarehouse) -> Iterator[Account]:
    warehouse = new_warehouse("always_there")
    with running_simulator(deals=DEALS, seed=SEED) as simulator:
        account = Account(simulator, warehouse)
        account.sync()
        warehouse.build(*BUILD)
        warehouse.write(FOREIGN)
        account.relations = account.names()
        yield account


def test_an_idle_build_writes_no_row_and_issues_no_ddl(account: Account) -> None:
    before = account.written()
    with psycopg.connect(**account.warehouse.superuser) as connection:
        connection.execute(WATCH.encode())
    try:
        account.sync()
        with account.read_all():
            account.warehouse.build(*BUILD)
            with psycopg.connect(**account.warehouse.superuser) as connection:
                assert connection.execute("select * from watch.ddl").fetchall() == []
    finally:
        with psycopg.connect(**account.warehouse.superuser) as connection:
            connection.execute("drop event trigger watch_ddl; drop event trigger watch_dropped")
            connection.execute("drop schema watch cascade")
    assert account.written() == before


@TURNS[0]
def test_readers_notice_neither_edits_nor_a_full_refresh(account: Account) -> None:
    account.simulator.account.advance(deals=10, hours=30)
    account.sync()
    with account.read_all():
        account.warehouse.build(*BUILD)
        account.warehouse.build("run", "--full-refresh")
        account.warehouse.build("run", "--select", "fct_deal", "dim_stage", "int_deal_current")


@pytest.mark.long
def test_a_new_custom_field_drops_no_column(account: Account) -> None:
    field = account.simulator.account.add_field("deal", "Nova medida", "double")
    deal = next(d for d in account.simulator.account.deals.records.values() if not d.is_deleted)
    account.simulator.account.update_deal(deal.id, custom_fields={field.code: 2.5})
    account.sync()
    with account.read_all():
        account.warehouse.build("run")
    found = account.warehouse.rows(
        f"select cf_nova_medida from marts.deal_wide where deal_id = {deal.id}"
    )
    assert [float(row[0]) for row in found] == [2.5]


@TURNS[1]
def test_a_build_that_is_killed_leaves_every_mart(account: Account) -> None:
    rng = random.Random(os.environ.get("PIPEBOARD_SIGNAL_SEED", "1"))
    for nr in range(KILLS):
        account.simulator.account.advance(deals=3, hours=5)
        account.sync()
        build = subprocess.Popen(
            [DBT, "run", "--full-refresh"],
            cwd=ROOT / "transform", env=account.warehouse.environ(),
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert build.stdout
        built = (line for line in build.stdout if re.search(r"\b\d+ of \d+ OK ", line))
        assert len([*islice(built, rng.randint(1, 100))]) > 0
        os.killpg(build.pid, (signal.SIGTERM, signal.SIGKILL)[nr % 2])
        build.stdout.close()
        assert build.wait() != 0
        assert set(account.relations) <= set(account.names())
        for relation in account.relations:
            account.warehouse.rows(f"select * from {relation} limit 1")
    account.warehouse.build("run")


@pytest.mark.long
def test_a_failing_test_leaves_dependent_models_unchanged(account: Account) -> None:
    twice = "insert into pipedrive.stages select * from pipedrive.stages where id = (select min(id) from pipedrive.stages)"
    constraint = account.warehouse.rows(
        "select conname from pg_constraint where conrelid = 'pipedrive.stages'::regclass and contype = 'p'"
    )
    for (name,) in constraint:
        account.warehouse.write(f"alter table pipedrive.stages drop constraint {name}")
    account.warehouse.write(twice)
    done = account.warehouse.dbt("build", "--exclude-resource-type", "unit_test")
    assert done.returncode != 0
    counts = dict(re.findall(r"(ERROR|SKIP)=(\d+)", done.stdout))
    assert counts["ERROR"] == "1", done.stdout[-3000:]
    assert int(counts["SKIP"]) > 50
    assert set(account.relations) <= set(account.names())
    for relation in account.relations:
        account.warehouse.rows(f"select * from {relation} limit 1")

"""A build runs what stands on what changed, and what an earlier build did not complete."""

# ruff: noqa: E501 (SQL has a width of its own)

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

import pytest
from conftest import NewWarehouse
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from warehouse_helpers import BUILD, Warehouse

DEALS, SEED = 50, 7
STREAMS = (
    "deals", "deal_changelog", "deal_changelog_sync", "deal_products", "persons", "organizations", "products", "notes",
    "activities", "activity_types", "leads", "pipelines", "stages", "users", "deal_fields",
)  # fmt: skip
CLOCK = "model.pipeboard.int_warehouse_clock"
#: It counts the rows of all raw tables.
COUNTS = {"ops_row_counts", "ops_stream_freshness"}
#: Lets dbt write what it ran. That takes a second, so only some builds do it.
JSON = {"DBT_WRITE_JSON": "true"}
#: Two long tests that take turns, by the day: one runs with `--long`, the other one at night.
TURNS = (pytest.mark.long, pytest.mark.nightly)[:: -1 if date.today().toordinal() % 2 else 1]


@dataclass
class Account:
    simulator: RunningSimulator
    warehouse: Warehouse

    def sync(self) -> None:
        source = {"api_url": self.simulator.url, "api_token": self.simulator.token}
        self.warehouse.sync(source, STREAMS)

    def standing_on(self, *inputs: str) -> set[str]:
        """Return the models, seeds and snapshots below nodes or sources, by dbt's own graph."""
        manifest = json.loads((self.warehouse.dbt_folder / "target" / "manifest.json").read_text())
        found = set(inputs)
        while True:
            children = {child for one in found for child in manifest["child_map"].get(one, [])}
            if children <= found:
                break
            found |= children
        nodes = (manifest["nodes"].get(one) for one in found)
        return {
            node["name"] for node in nodes
            if node and node["resource_type"] in ("model", "seed", "snapshot")
            and "reconciliation" not in node["tags"]
        }  # fmt: skip

    def ran(self) -> dict[str, set[str]]:
        """Return what dbt last ran: names of nodes by resource type."""
        target = self.warehouse.dbt_folder / "target"
        nodes = json.loads((target / "manifest.json").read_text())["nodes"]
        found: dict[str, set[str]] = {}
        for result in json.loads((target / "run_results.json").read_text())["results"]:
            if result["unique_id"] in nodes:
                node = nodes[result["unique_id"]]
                found.setdefault(node["resource_type"], set()).add(node["name"])
        if "test" in found:
            # One node may check the rules of many models.
            found["test"] = {name for (name,) in self.warehouse.rows(
                "select test_name from ops.ops_dbt_test_result "
                "where tested_at = (select max(tested_at) from ops.ops_dbt_test_result)"
            )}  # fmt: skip
        return found

    def tested(self) -> dict[str, datetime]:
        """Return when a test about each model last ran."""
        query = "select model, max(tested_at) from ops.ops_dbt_test_result group by 1"
        return dict(self.warehouse.rows(query))

    def marts(self) -> dict[str, tuple[object, ...]]:
        """Return number and fingerprint of the rows of each relation in marts."""
        names = self.warehouse.rows(
            "select relname from pg_class where relnamespace = 'marts'::regnamespace and relkind in ('r', 'v')"
        )
        return {
            name: self.warehouse.rows(
                "select count(*), md5(string_agg(line, '|' order by line))"
                f" from (select to_jsonb(x)::text as line from marts.{name} as x) as lines"
            )[0]
            for (name,) in names
        }

    def kill_build(self, how: signal.Signals) -> None:
        """End a build of what changed when some models are built, and others are not."""
        build = self.warehouse.start_changed()
        assert build.stdout
        killed = False
        for line in build.stdout:
            if not killed and re.search(r"\b[34]\d of \d+ (?!START)", line):
                os.killpg(build.pid, how)
                killed = True
        build.stdout.close()
        assert build.wait() != 0
        assert killed, "the build ended before it was killed"

    def build_changed(self, **environ: str) -> None:
        done = self.warehouse.changed(**environ)
        assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def account(new_warehouse: NewWarehouse) -> Iterator[Account]:
    warehouse = new_warehouse("changed")
    with running_simulator(deals=DEALS, seed=SEED) as simulator:
        account = Account(simulator, warehouse)
        account.sync()
        assert warehouse.due() is None, "nothing was built, so everything is due"
        warehouse.build("build", "--select", "stg_pipedrive__currencies")
        assert warehouse.rows(
            "select is_complete from ops.ops_dbt_model_build where node_id like '%.stg_pipedrive__currencies'"
        ) == [(True,)], "the build that makes the table of builds is recorded as well"
        account.kill_build(signal.SIGTERM)
        account.build_changed(**JSON)
        yield account


def test_nothing_new_starts_no_dbt(account: Account) -> None:
    account.sync()
    output, dbt_arguments = account.warehouse.decide()
    assert output.startswith("no model is due: nothing has changed; "), output
    assert account.warehouse.decided() == set()
    assert dbt_arguments == []


def test_new_notes_build_models_of_notes_only(account: Account) -> None:
    deal = next(d for d in account.simulator.account.deals.records.values() if not d.is_deleted)
    account.simulator.account.create_note("called back", deal_id=deal.id)
    account.sync()
    before = account.tested()
    account.build_changed(**JSON)
    wanted = account.standing_on("source.pipeboard.pipedrive.notes") | COUNTS
    assert account.warehouse.decided() == wanted
    ran = account.ran()
    assert set().union(*(ran.get(kind, set()) for kind in ("model", "seed", "snapshot"))) == wanted
    after = account.tested()
    assert after["stg_pipedrive__notes"] > before["stg_pipedrive__notes"]
    assert after["dim_stage"] == before["dim_stage"]
    assert account.warehouse.due() == set()


def test_rows_that_are_changed_by_hand_are_noticed(account: Account) -> None:
    account.warehouse.write(
        "delete from pipedrive.notes where id = (select max(id) from pipedrive.notes)"
    )
    assert (
        account.warehouse.due() == account.standing_on("source.pipeboard.pipedrive.notes") | COUNTS
    )


def test_a_new_column_of_a_raw_table_is_noticed(account: Account) -> None:
    account.warehouse.write("alter table pipedrive.leads add column new_property text")
    assert account.standing_on("source.pipeboard.pipedrive.leads") <= (
        account.warehouse.due() or set()
    )


def test_the_next_day_builds_models_of_the_calendar_only(account: Account) -> None:
    account.build_changed()
    (day_ends,) = account.warehouse.rows(
        "select min(valid_until) > now() from ops.ops_dbt_model_build"
    )
    assert day_ends == (True,)
    account.warehouse.write(
        "update ops.ops_dbt_model_build set valid_until = valid_until - interval '1 day'"
    )
    assert account.warehouse.due() == account.standing_on(CLOCK)
    account.warehouse.write(
        "update ops.ops_dbt_model_build set valid_until = valid_until + interval '1 day'"
    )
    assert account.warehouse.due() == set()


def test_other_settings_build_everything(account: Account) -> None:
    assert account.warehouse.due() == set()
    account.warehouse.settings["PIPEBOARD_BASE_CURRENCY"] = "USD"
    assert account.warehouse.due() is None
    del account.warehouse.settings["PIPEBOARD_BASE_CURRENCY"]
    assert account.warehouse.due() == set()


@TURNS[0]
def test_a_model_built_without_its_tests_stays_due(account: Account) -> None:
    account.warehouse.build("build", "--select", "dim_user", "--exclude-resource-type", "test")
    assert account.warehouse.due() == {"dim_user"}
    account.build_changed(**JSON)
    assert account.ran()["model"] == {"dim_user"}
    assert account.warehouse.due() == set()


def test_a_relation_that_is_gone_is_built_again(account: Account) -> None:
    account.warehouse.write("drop view marts.rpt_lost_deals")
    assert account.warehouse.due() == {"rpt_lost_deals"}
    account.build_changed()
    assert account.warehouse.due() == set()


@pytest.mark.long
def test_a_failed_test_leaves_its_model_and_what_was_skipped_due(account: Account) -> None:
    keys = account.warehouse.rows(
        "select conname from pg_constraint where conrelid = 'pipedrive.pipelines'::regclass and contype = 'p'"
    )
    for (name,) in keys:
        account.warehouse.write(f"alter table pipedrive.pipelines drop constraint {name}")
    account.warehouse.write("insert into pipedrive.pipelines select * from pipedrive.pipelines")
    assert account.warehouse.changed().returncode != 0
    standing = account.standing_on("source.pipeboard.pipedrive.pipelines")
    assert standing <= (account.warehouse.due() or set())
    incomplete = account.warehouse.rows(
        "select node_name from ops.ops_dbt_model_status where due_because = 'its last build is not complete'"
    )
    assert {"stg_pipedrive__pipelines", "dim_pipeline"} <= {name for (name,) in incomplete}
    account.warehouse.write(
        "delete from pipedrive.pipelines as a using pipedrive.pipelines as b where a.id = b.id and a.ctid > b.ctid"
    )
    account.build_changed(**JSON)
    assert standing <= set().union(*account.ran().values())
    assert account.warehouse.due() == set()


@TURNS[1]
def test_the_build_after_a_killed_one_equals_a_full_one(account: Account) -> None:
    # With variables of its own: whatever else it changed, all is due. The other parse is kept.
    build = ("build", "--select", "dim_lost_reason", "--vars", "{stalled_after_days: 1}")
    account.warehouse.build(*build, "--target-path", str(account.warehouse.folder / "target"))
    assert account.warehouse.due() is None
    account.simulator.account.advance(deals=6, hours=5)
    account.sync()
    account.kill_build(signal.SIGKILL)
    # Nothing is known to be complete: dbt reports at its end.
    assert account.warehouse.due() is None
    account.build_changed()
    assert account.warehouse.due() == set()
    marts_before = account.marts()
    assert marts_before["fct_deal"][0], "there are deals to compare"
    account.warehouse.build(*BUILD, **JSON)
    assert "int_raw_loads" in account.standing_on("source.pipeboard.pipedrive.activities")
    assert len(account.ran()["model"]) > 100, "a build by hand builds everything"
    assert account.marts() == marts_before
    assert account.warehouse.due() == set()

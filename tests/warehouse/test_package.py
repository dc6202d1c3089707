"""Another dbt project imports `transform/`, and several developers build it in one database."""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import NewWarehouse
from pipedrive_simulator.testing import running_simulator
from psycopg.conninfo import conninfo_to_dict
from warehouse_helpers import DBT, ROOT, Finished, Warehouse

# On every other day, when test_thirty_days.py is for the night.
pytestmark = pytest.mark.nightly if date.today().toordinal() % 2 else pytest.mark.long
EXAMPLE = ROOT / "examples" / "dbt_project_on_top"
DEALS, SEED = 40, 5
STREAMS = (
    "deals", "deal_changelog", "deal_changelog_sync", "deal_products", "persons", "organizations", "products",
    "activities", "activity_types", "leads", "pipelines", "stages", "users", "deal_fields", "goals", "currencies",
)  # fmt: skip
NO_TESTS = ("--resource-type", "model", "--resource-type", "seed", "--resource-type", "snapshot")
DEVELOPERS = ("ana", "ben")
SCHEMAS = ("staging", "intermediate", "marts", "snapshots", "ops", "test_failures")
#: Every relation of a schema: what it is, who may read it, and which transactions wrote its rows.
CATALOGUE = """
    select nspname || '.' || relname, pg_class.oid::bigint, relfilenode::bigint, relkind::text, relacl::text
    from pg_catalog.pg_class
    inner join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    where nspname = any ('{{{schemas}}}') and relkind in ('r', 'v', 'i')
    order by 1
"""


#: The relations of the importing project that another role than their owner may use.
RIGHTS = """
    select relname from pg_catalog.pg_class
    inner join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    where nspname ~ '^analytics' and relacl is not null
"""


@dataclass
class Database:
    """One database that several projects build in."""

    warehouse: Warehouse
    folder: Path

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Query as the superuser: other roles may not read developers' tables."""
        with psycopg.connect(**self.warehouse.superuser) as connection:
            return connection.execute(query.encode()).fetchall()

    def catalogue(self, *schemas: str) -> dict[str, tuple[Any, ...]]:
        """Return every relation of these schemas, with the transactions that wrote its rows."""
        found = self.rows(CATALOGUE.format(schemas=",".join(schemas)))
        return {
            name: (*state, self.written(name) if state[2] == "r" else None)
            for name, *state in found
        }

    def written(self, table: str) -> Any:
        return self.rows(
            f"select count(*), md5(string_agg(xmin::text || ctid::text, ',' order by ctid)) from {table}"
        )[0]

    def schemas(self) -> set[str]:
        found = self.warehouse.rows(
            "select nspname from pg_catalog.pg_namespace where nspname !~ '^pg_|^information_schema$'"
        )
        return {name for (name,) in found}

    def environ(self) -> dict[str, str]:
        """Return the environment of dbt in the copy of the example: nothing of this project's."""
        place = conninfo_to_dict(self.warehouse.url)
        environ = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        for name in ("host", "port", "user", "password"):
            environ[f"PG{name.upper()}"] = str(place[name])
        environ["PGDATABASE"] = str(place["dbname"])
        environ |= {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_VERSION_CHECK": "false"}
        return environ

    def start(self, *arguments: str) -> Finished:
        """Run dbt in the copy, as its developers do."""
        done = subprocess.run(
            [str(DBT), "--no-use-colors", *arguments],
            cwd=self.folder, env=self.environ(), text=True, capture_output=True, check=False,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout + done.stderr)

    def example(self, *arguments: str) -> Finished:
        """Run the dbt that is loaded already in the copy."""
        places = {"DBT_PROJECT_DIR": str(self.folder), "DBT_PROFILES_DIR": str(self.folder)}
        return self.warehouse.dbt_process.invoke(
            ["--no-use-colors", *arguments], {**self.environ(), **places}
        )


@pytest.fixture(scope="module")
def database(
    new_warehouse: NewWarehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    warehouse = new_warehouse("package")
    folder = tmp_path_factory.mktemp("importing") / "project"
    shutil.copytree(
        EXAMPLE, folder, ignore=shutil.ignore_patterns("dbt_packages", "logs", "target", "*.lock")
    )
    packages = folder / "packages.yml"
    assert "../../transform" in packages.read_text()
    packages.write_text(packages.read_text().replace("../../transform", str(ROOT / "transform")))
    with running_simulator(deals=DEALS, seed=SEED) as simulator:
        warehouse.sync({"api_url": simulator.url, "api_token": simulator.token}, STREAMS)
    warehouse.write(
        "create schema crm_raw; "
        + "; ".join(
            f"create table crm_raw.{name} (like pipedrive.{name} including all); "
            f"insert into crm_raw.{name} select * from pipedrive.{name}"
            for (name,) in warehouse.rows(
                "select relname from pg_class where relnamespace = 'pipedrive'::regnamespace and relkind = 'r'"
            )
        )
        + "; create table crm_raw.call_logs (id text, outcome text); insert into crm_raw.call_logs values ('a', 'busy')"
    )
    # The importing project must not read the account's other copy.
    warehouse.write(
        "delete from crm_raw.deals where id = (select min(id) from crm_raw.deals);"
        "alter table crm_raw.deals rename to deals_of_crm"
    )
    warehouse.write(
        "create schema staging; create view staging.stg_pipedrive__call_logs as select 'old' as id"
    )
    warehouse.build(
        "build", *NO_TESTS, "--select", "+fct_deal", "+ops_account", "ops_dbt_test_result"
    )
    database = Database(warehouse, folder)
    done = database.example("deps")
    assert done.returncode == 0, done.stdout
    yield database


def test_an_importing_project_reads_its_own_source_with_its_own_settings(
    database: Database,
) -> None:
    rows = database.warehouse.rows
    before = database.catalogue(*SCHEMAS, "pipedrive")
    schemas = database.schemas()
    wanted = (
        "--select",
        "+won_by_owner",
        "ops_account",
        "stg_pipedrive__call_logs",
        "ops_dbt_test_result",
    )
    arguments = (
        *wanted,
        "--indirect-selection",
        "buildable",
        "--exclude-resource-type",
        "unit_test",
    )
    done = database.example("build", *arguments)
    assert done.returncode == 0, done.stdout[-6000:]
    assert database.catalogue(*SCHEMAS, "pipedrive") == before
    assert database.schemas() - schemas == {"analytics", *(f"analytics_{name}" for name in SCHEMAS)}

    assert rows("select count(*) from analytics_marts.fct_deal") == [
        (len(rows("select from crm_raw.deals_of_crm")),)
    ]
    assert rows("select base_currency, reporting_timezone from analytics_ops.ops_account") == [
        ("EUR", "Europe/Lisbon")
    ]
    assert rows("select call_log_id, outcome from analytics_staging.stg_pipedrive__call_logs") == [
        ("a", "busy")
    ]
    assert rows(
        "select distinct value_base = round(value * 0.16, 2) from analytics_marts.fct_deal where currency = 'BRL'"
    ) == [(True,)]
    assert rows("select sum(deals_won) from analytics.won_by_owner") == rows(
        "select count(*) from analytics_marts.fct_deal where status = 'won' and not is_deleted"
    )
    # The indexes that builds need, on its own raw tables.
    assert rows(
        "select count(*) from pg_indexes where schemaname = 'crm_raw' and indexname = 'deals_of_crm_by_load'"
    ) == [(1,)]
    # No role was given rights that the project does not name.
    assert rows(f"select count(*) from ({RIGHTS}) as rights") == [(0,)]
    # The results of its own tests are recorded with those of the package.
    assert rows(
        "select count(*) > 20, count(*) filter (where test_id like 'test.sales_analytics.%') from analytics_ops.ops_dbt_test_result"
    ) == [(True, 1)]


@pytest.mark.nightly
def test_an_importing_project_builds_and_tests_the_whole_package(database: Database) -> None:
    before = database.catalogue(*SCHEMAS, "pipedrive")
    # As its developers do, by a dbt that this project has not changed.
    done = database.start("build")
    assert done.returncode == 0, done.stdout[-6000:]
    assert database.catalogue(*SCHEMAS, "pipedrive") == before


@pytest.mark.nightly
def test_developers_build_in_schemas_of_their_own(database: Database) -> None:
    readme = (ROOT / "transform" / "README.md").read_text()
    grants = re.search(
        r"## Your own schemas in a shared database.*?```sql\n(.*?)```", readme, re.DOTALL
    )
    assert grants
    for name in DEVELOPERS:
        with psycopg.connect(**database.warehouse.superuser) as connection:
            statements = grants[1].replace("database pipeboard", "database warehouse")
            connection.execute(re.sub(r"\bana\b", name, statements).encode())
    shared = database.catalogue(*SCHEMAS, "pipedrive")
    of_ana: dict[str, tuple[Any, ...]] = {}
    for name in DEVELOPERS:
        warehouse = replace(
            database.warehouse,
            url=re.sub("//[^@]*@", f"//{name}:choose-one@", database.warehouse.url),
            settings={"PIPEBOARD_DEVELOPER": name},
        )
        schemas = database.schemas()
        arguments = ("--target", "personal", "--target-path", str(database.folder.parent / name))
        arguments += ("--select", "+fct_deal", "--indirect-selection", "buildable")
        warehouse.build("build", *arguments, "--exclude-resource-type", "unit_test")
        assert {
            f"{name}_{schema}" for schema in ("staging", "intermediate", "marts", "snapshots")
        } <= database.schemas()
        assert all(schema.startswith(f"{name}_") for schema in database.schemas() - schemas)
        assert warehouse.rows(f"select count(*) from {name}_marts.fct_deal") == warehouse.rows(
            "select count(*) from pipedrive.deals"
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            warehouse.rows("select * from ops.quarantine")
        assert database.catalogue(*SCHEMAS, "pipedrive") == shared
        assert not of_ana or database.catalogue("ana_intermediate", "ana_marts") == of_ana
        of_ana = database.catalogue("ana_intermediate", "ana_marts")
        assert of_ana


@pytest.mark.nightly
def test_staging_models_of_extra_streams_are_built_by_name(database: Database) -> None:
    # A view of an earlier release stays until its stream is turned on.
    assert database.warehouse.rows("select * from staging.stg_pipedrive__call_logs") == [("old",)]

    def build(stream: str) -> Finished:
        arguments = (
            "run",
            "--select",
            "staging.activities",
            "--vars",
            f"{{extra_streams: [{stream}]}}",
        )
        target = database.folder.parent / "target"
        return database.warehouse.dbt(*arguments, "--target-path", str(target))

    done = build("call_logs")
    assert done.returncode == 0, done.stdout[-3000:]
    assert not database.warehouse.rows(
        "select call_log_id, outcome from staging.stg_pipedrive__call_logs"
    )
    done = build("call_log")
    assert done.returncode == 2
    assert (
        "extra_streams contains call_log, but there is no model stg_pipedrive__call_log"
        in done.stdout
    )

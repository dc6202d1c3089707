"""What the materializations of `macros/publishing` do to relations, in a small project.

The project has only that folder of this one, like a project that imports it.
"""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import NewWarehouse
from warehouse_helpers import DBT, ROOT, Warehouse

from pipeboard.local.embedded_postgres import READER

PROJECT = """
name: small
profile: pipeboard
flags: {send_anonymous_usage_stats: false, version_check: false, log_level_file: none}
models:
  +persist_docs: {relation: true, columns: true}
"""
INPUT = """
drop schema if exists marts, input, other cascade;
create schema input;
create table input.rows (id int, name text, value numeric);
insert into input.rows values (1, 'one', 1), (2, 'two', 2), (3, 'three', 3);
"""
KEYED = (
    "{{ config(materialized='published_table', indexes=[{'columns': ['id'], 'unique': true}]) }} "
)


@dataclass
class Project:
    """A dbt project with models of one line each, and a database to build in."""

    folder: Path
    warehouse: Warehouse

    def model(self, name: str, text: str, description: str = "") -> None:
        (self.folder / "models" / f"{name}.sql").write_text(text)
        (self.folder / "models" / f"{name}.yml").write_text(
            f"models: [{{name: {name}, description: '{description or name}'}}]"
        )

    def build(self, *arguments: str) -> str:
        """Run dbt, in the process that has it loaded already; return its output."""
        return self.warehouse.build(*self.arguments(*arguments))

    def arguments(self, *arguments: str) -> list[str]:
        places = ("--project-dir", self.folder, "--profiles-dir", ROOT / "transform")
        target = ("--target-path", self.folder / "target", "--log-path", self.folder)
        return [*(arguments or ("run",)), *map(str, places + target)]

    def sql(self, statement: str) -> None:
        self.warehouse.write(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(query)

    def oid(self, relation: str) -> Any:
        return self.rows(f"select to_regclass('{relation}')::oid")[0][0]

    def written(self, relation: str) -> dict[Any, str]:
        """Return which transaction wrote each row, by its first column."""
        return {row[0]: row[-1] for row in self.rows(f"select *, xmin::text from {relation}")}


@pytest.fixture(scope="module")
def warehouse(new_warehouse: NewWarehouse) -> Warehouse:
    return new_warehouse("publishing", DBT_THREADS="1")


@pytest.fixture
def project(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.getbasetemp() / "small"
    shutil.rmtree(folder / "models", ignore_errors=True)
    (folder / "models").mkdir(parents=True)
    shutil.copytree(
        ROOT / "transform" / "macros" / "publishing", folder / "macros", dirs_exist_ok=True
    )
    (folder / "dbt_project.yml").write_text(PROJECT)
    warehouse.write(INPUT)
    return Project(folder, warehouse)


@contextmanager
def reading(project: Project, *relations: str) -> Iterator[list[float]]:
    """Read relations again and again; every answer must come, and within three seconds."""
    waits: list[float] = []
    errors: list[Exception] = []
    ended = threading.Event()

    def read() -> None:
        with psycopg.connect(
            project.warehouse.url, autocommit=True, prepare_threshold=None
        ) as connection:
            connection.execute("set statement_timeout = '3s'")
            while not ended.is_set():
                for relation in relations:
                    began = time.monotonic()
                    try:
                        connection.execute(f"select * from {relation}".encode()).fetchall()
                    except psycopg.Error as error:
                        errors.append(error)
                    waits.append(time.monotonic() - began)
                ended.wait(0.05)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        yield waits
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert not errors, errors[0]
    assert waits


def test_only_rows_that_differ_are_written(project: Project) -> None:
    project.model("keyed", KEYED + "select * from input.rows")
    project.build()
    oid, before = project.oid("marts.keyed"), project.written("marts.keyed")
    project.build()
    assert project.written("marts.keyed") == before
    project.sql(
        "update input.rows set value = null where id = 1; delete from input.rows where id = 2"
    )
    project.sql("insert into input.rows values (4, 'four', 4)")
    assert "ROWS +1 ~1 -1" in project.build()
    after = project.written("marts.keyed")
    assert after.keys() == {1, 3, 4}
    assert after[3] == before[3]
    assert after[1] != before[1]
    assert "ROWS +0 ~0 -0" in project.build("run", "--full-refresh")
    assert project.written("marts.keyed") == after
    assert project.oid("marts.keyed") == oid


def test_without_a_key_equal_rows_are_counted(project: Project) -> None:
    project.model(
        "plain", "{{ config(materialized='published_table') }} select name, value from input.rows"
    )
    project.sql("insert into input.rows values (5, 'one', 1), (6, 'one', 1), (7, null, null)")
    project.build()
    assert "ROWS +0 ~0 -0" in project.build()
    project.sql(
        "delete from input.rows where id = 5; insert into input.rows values (8, null, null)"
    )
    assert "ROWS +1 ~0 -1" in project.build()
    found = sorted(project.rows("select * from marts.plain"), key=str)
    assert found == sorted(project.rows("select name, value from input.rows"), key=str)


def test_a_key_may_have_nulls(project: Project) -> None:
    project.model(
        "keyed",
        "{{ config(materialized='published_table', unique_key=['id', 'name']) }} select * from input.rows",
    )
    project.sql("insert into input.rows values (1, null, 4), (null, null, 5), (null, '', 6)")
    project.build()
    before = project.rows("select *, xmin::text from marts.keyed")
    assert "ROWS +0 ~0 -0" in project.build()
    project.sql("update input.rows set value = 7 where id is null and name is null")
    assert "ROWS +0 ~1 -0" in project.build()
    assert len(set(before) & set(project.rows("select *, xmin::text from marts.keyed"))) == 5


def test_a_key_that_the_new_rows_break_is_not_used(project: Project) -> None:
    project.model(
        "keyed",
        "{{ config(materialized='published_table', unique_key='id') }} select * from input.rows",
    )
    project.build()
    project.sql("insert into input.rows values (1, 'another one', 1)")
    assert "ROWS +1 ~0 -0" in project.build()
    assert len(project.rows("select * from marts.keyed where id = 1")) == 2


def test_a_new_column_is_added_in_place(project: Project) -> None:
    project.model("keyed", KEYED + "select id, name from input.rows")
    project.model(
        "seen", "{{ config(materialized='published_view') }} select * from {{ ref('keyed') }}"
    )
    project.build()
    project.sql(
        "create schema other; create view other.keyed as select * from marts.keyed; "
        "create view other.seen as select * from marts.seen"
    )
    oids = [
        project.oid(name) for name in ("marts.keyed", "marts.seen", "other.keyed", "other.seen")
    ]
    project.model("keyed", KEYED + "select id, value, name from input.rows")
    project.model(
        "seen",
        "{{ config(materialized='published_view') }} select value, id, name from {{ ref('keyed') }}",
    )
    with reading(project, "marts.keyed", "marts.seen", "other.keyed", "other.seen"):
        project.build()
    assert project.rows("select id, name, value from marts.seen where id = 2") == [(2, "two", 2)]
    assert oids == [
        project.oid(name) for name in ("marts.keyed", "marts.seen", "other.keyed", "other.seen")
    ]
    assert "UNCHANGED" in project.build()


def test_an_old_column_stays_while_another_projects_view_uses_it(project: Project) -> None:
    project.model("keyed", KEYED + "select * from input.rows")
    project.model(
        "seen", "{{ config(materialized='published_view') }} select id, name from input.rows"
    )
    project.build()
    project.sql(
        "create schema other; create view other.keyed as select id, value from marts.keyed; "
        "create view other.seen as select name from marts.seen"
    )
    project.model("keyed", KEYED + "select id, name from input.rows")
    project.model("seen", "{{ config(materialized='published_view') }} select id from input.rows")
    output = project.build()
    assert "marts.keyed: the old column value stays, because other.keyed uses it" in output
    assert "marts.seen: the old columns name stay, because other.seen" in output
    assert len(project.rows("select * from other.keyed")) == 3
    assert len(project.rows("select * from other.seen")) == 3
    project.sql("drop schema other cascade")
    assert "stay" not in project.build()
    assert project.rows("select * from marts.keyed where id = 1") == [(1, "one")]
    assert project.rows("select * from marts.seen where id = 1") == [(1,)]


def test_a_new_type_replaces_the_table_and_its_views(project: Project) -> None:
    project.model("keyed", KEYED + "select id, value from input.rows")
    project.model(
        "seen",
        "{{ config(materialized='published_view') }} select * from {{ ref('keyed') }}",
        "Seen",
    )
    project.model(
        "again", "{{ config(materialized='published_view') }} select id from {{ ref('seen') }}"
    )
    project.build()
    project.sql(f"grant select on marts.keyed, marts.seen to {READER}")
    project.model("keyed", KEYED + "select id, value::text as value from input.rows")
    with reading(project, "marts.keyed", "marts.seen", "marts.again"):
        project.build("run", "--select", "keyed")
    assert project.rows("select value from marts.seen where id = 3") == [("3",)]
    assert project.rows("select obj_description('marts.seen'::regclass)") == [("Seen",)]
    assert project.rows(
        f"select has_table_privilege('{READER}', 'marts.keyed', 'select'), "
        f"has_table_privilege('{READER}', 'marts.seen', 'select')"
    ) == [(True, True)]
    assert "ROWS +0 ~0 -0" in project.build()


def test_the_old_type_stays_while_another_projects_view_uses_it(project: Project) -> None:
    project.model("keyed", KEYED + "select id, name from input.rows")
    project.build()
    project.sql("create schema other; create view other.keyed as select * from marts.keyed")
    oid = project.oid("other.keyed")
    project.model("keyed", KEYED + "select id, length(name) as name from input.rows")
    assert "because other.keyed, not of this project, depends on it" in project.build()
    assert project.oid("other.keyed") == oid
    assert project.rows("select name from other.keyed where id = 3") == [("5",)]
    project.sql("drop view other.keyed")
    project.build()
    assert project.rows("select name from marts.keyed where id = 3") == [(5,)]


def test_a_table_becomes_a_view_and_a_view_a_table(project: Project) -> None:
    table = KEYED + "select id, name from input.rows"
    view = "{{ config(materialized='published_view') }} select id, name from input.rows"
    project.model("changing", table)
    project.model(
        "above", "{{ config(materialized='published_view') }} select id from {{ ref('changing') }}"
    )
    project.build()
    with reading(project, "marts.changing", "marts.above"):
        for text, kind in ((view, "v"), (table, "r")):
            project.model("changing", text)
            project.build("run", "--select", "changing")
            query = "select relkind::text from pg_class where oid = 'marts.changing'::regclass"
            assert project.rows(query) == [(kind,)]
            assert len(project.rows("select * from marts.above")) == 3
    project.sql("create schema other; create view other.name as select name from marts.changing")
    project.model("changing", view)
    assert "other.name, not of this project" in project.build()
    project.sql("insert into input.rows values (9, 'nine', 9)")
    project.build()
    assert ("nine",) in project.rows("select name from other.name")


def test_a_change_waits_for_readers_without_blocking_others(project: Project) -> None:
    project.model("keyed", KEYED + "select id, name from input.rows")
    project.build()
    project.model("keyed", KEYED + "select id, name, value from input.rows")
    tried = (
        "select 1 from pg_stat_activity where query like '%add column%' and pid <> pg_backend_pid()"
    )
    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(project.warehouse.url) as slow,
        reading(project, "marts.keyed") as waits,
    ):
        slow.execute("select * from marts.keyed")
        build = pool.submit(project.build)
        deadline = time.monotonic() + 60
        while not project.rows(tried) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2)
        assert not build.done()
        assert max(waits) < 1
        slow.commit()
        build.result()
    assert project.rows("select value from marts.keyed where id = 2") == [(2,)]


def test_two_simultaneous_builds_succeed_without_duplicates(project: Project) -> None:
    project.model("plain", "{{ config(materialized='published_table') }} select * from input.rows")
    project.build()
    project.sql("insert into input.rows select i, 'many', i from generate_series(10, 3000) as i")
    both = [
        subprocess.Popen([DBT, *project.arguments()], env=project.warehouse.environ()) for _ in "12"
    ]
    assert [build.wait() for build in both] == [0, 0]
    assert project.rows("select count(*), count(distinct id) from marts.plain") == [(2994, 2994)]


def test_a_full_refresh_of_an_incremental_model_writes_what_differs(project: Project) -> None:
    text = (
        "{{ config(materialized='published_incremental', unique_key='id', incremental_strategy='delete+insert') }} "
        "select * from input.rows {% if is_incremental() %} where id > 2 {% endif %}"
    )
    project.model("with_view", text)
    project.build()
    project.sql("create schema other; create view other.with_view as select * from marts.with_view")
    project.sql("update input.rows set name = 'changed'")
    project.build()
    assert sorted(project.rows("select name from marts.with_view")) == [
        ("changed",),
        ("one",),
        ("two",),
    ]
    project.sql("delete from input.rows where id = 1")
    before = project.written("marts.with_view")
    assert "ROWS +0 ~1 -1" in project.build("run", "--full-refresh")
    after = project.written("marts.with_view")
    assert after.keys() == {2, 3}
    assert after[3] == before[3]
    assert len(project.rows("select * from other.with_view")) == 2


def test_descriptions_are_written_when_they_change(project: Project) -> None:
    project.model("keyed", KEYED + "select * from input.rows", "It''s a table")
    project.build()
    query = "select obj_description('marts.keyed'::regclass)"
    comments = "select xmin::text from pg_description where objoid = 'marts.keyed'::regclass"
    assert project.rows(query) == [("It's a table",)]
    before = project.rows(comments)
    project.build()
    assert project.rows(comments) == before
    project.model("keyed", KEYED + "select * from input.rows", "Another")
    project.build()
    assert project.rows(query) == [("Another",)]


def test_an_error_of_the_database_names_its_sqlstate(project: Project) -> None:
    project.model("broken", "{{ config(materialized='published_table') }} select 1 / 0 as one")
    done = project.warehouse.dbt(*project.arguments())
    assert done.returncode == 1
    assert "division by zero (SQLSTATE 22012)" in " ".join(done.stdout.split())

"""The dbt of a sync gives dbt's results for less work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pipeboard.database_url import DatabaseUrl
from pipeboard.run import dbt_of_sync

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".pipeboard" / "env" / "dbt" / "bin" / "python"
#: Two long tests that take turns, by the day: one runs with `--long`, the other one at night.
TURNS = (pytest.mark.long, pytest.mark.nightly)[:: -1 if date.today().toordinal() % 2 else 1]
SESSION = "pg_backend_pid() as session, current_setting('work_mem') as work_mem"
PROJECT = {
    "dbt_project.yml": """
name: small
profile: small
models: {+materialized: table}
flags: {send_anonymous_usage_stats: false, version_check: false}
on-run-end: ["create table if not exists at_end as select pg_backend_pid() as session"]
""",
    "profiles.yml": """
small:
  target: any
  outputs:
    any: &any
      {type: postgres, host: "{{ env_var('HOST') }}", port: "{{ env_var('PORT') | as_number }}",
       user: "{{ env_var('USER') }}", password: "{{ env_var('PASSWORD') }}",
       dbname: "{{ env_var('DATABASE', 'test') }}", schema: public, threads: 1,
       application_name: small}
""",
    "models/staging/first.sql": f"""
{{{{ config(pre_hook=["set work_mem = '77MB'", "create temporary table left_behind (n int)"]) }}}}
select {SESSION}
""",
    "models/staging/second.sql": f"""
-- depends_on: {{{{ ref('first') }}}}
select {SESSION}, to_regclass('pg_temp.left_behind') is null as is_clean
""",
    "models/marts/broken.sql": "-- depends_on: {{ ref('second') }}\nselect 1 / 0 as n",
    "models/marts/third.sql": f"-- depends_on: {{{{ ref('second') }}}}\nselect {SESSION}",
    "macros/newest.sql": """
{% macro newest(table) %}{{ run_query('select 1 as n').rows[0][0] if execute else 0 }}{% endmacro %}
""",
    "models/views/known.sql": "{{ config(materialized='view') }} select 1 as n",
    "models/views/asking.sql": "{{ config(materialized='view') }} select {{ newest('a') }} as n",
    "models/views/hooked.sql": """
{{ config(materialized='view', post_hook='select 1') }} select 1 as n
""",
    # In the middle of a run, the server ends the sessions that are idle.
    "models/ending/ending.sql": """
{{ config(post_hook="select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'small' and pid <> pg_backend_pid()") }}
select 1 as n
""",
}


#: Loads dbt once, which takes a second; each command is the file's own, in a process of its own.
LOADED_DBT = """
import json, os, runpy, sys
import dbt.cli.main, dbt.adapters.postgres
for line in sys.stdin:
    file, folder, arguments, environ, output = json.loads(line)
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        sys.argv = [file, *arguments]
        runpy.run_path(file, run_name="__main__")
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Finished(NamedTuple):
    """How a command ended, and its output."""

    returncode: int
    stdout: str


class Dbt:
    """The dbt of a sync in a small project."""

    def __init__(self, folder: Path, database: DatabaseUrl, loaded: subprocess.Popen[str]) -> None:
        self.folder, self.database, self.loaded = folder, database, loaded
        self.manifest = folder / "target" / "manifest.json"
        for name, text in PROJECT.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *arguments: str, fingerprint: str = "", **environ: str) -> Finished:
        """Run a command; return its exit code and output."""
        server = conninfo_to_dict(self.database.url)
        environ = {
            "HOST": str(server["host"]),
            "PORT": str(server["port"]),
            "USER": str(server["user"]),
            "PASSWORD": str(server["password"]),
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_PROFILES_DIR": str(self.folder),
            "PIPEBOARD_PROJECT_FINGERPRINT": fingerprint,
            **environ,
        }
        output = self.folder / "output.txt"
        command = (dbt_of_sync.__file__, str(self.folder), arguments, environ, str(output))
        assert self.loaded.stdin
        assert self.loaded.stdout
        print(json.dumps(command), file=self.loaded.stdin, flush=True)
        return Finished(int(self.loaded.stdout.readline()), output.read_text())

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of a query."""
        with psycopg.connect(self.database.url) as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture(scope="module")
def loaded() -> Iterator[subprocess.Popen[str]]:
    command = [PYTHON, "-I", "-c", LOADED_DBT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory, loaded: subprocess.Popen[str]) -> Path:
    """What dbt itself keeps of a parse of this project: most tests then need no other."""
    folder = tmp_path_factory.mktemp("parsed")
    nowhere = DatabaseUrl.parse("postgresql://a:b@127.0.0.1:9/test")
    done = Dbt(folder / "transform", nowhere, loaded).run("parse")
    assert done.returncode == 0, done.stdout
    return folder / "transform" / "target"


@pytest.fixture
def dbt(tmp_path: Path, database: DatabaseUrl, loaded: subprocess.Popen[str], parsed: Path) -> Dbt:
    dbt = Dbt(tmp_path, database, loaded)
    shutil.copytree(parsed, dbt.folder / "target")
    return dbt


def test_nodes_share_one_session_that_is_reset(dbt: Dbt) -> None:
    done = dbt.run("run", "--exclude", "ending")
    assert "division by zero" in done.stdout
    assert done.returncode == 1, done.stdout
    ((default,),) = dbt.rows("show work_mem")
    (first,) = dbt.rows("select session, work_mem from first")
    (second,) = dbt.rows("select session, work_mem, is_clean from second")
    (third,) = dbt.rows("select session, work_mem from third")
    assert first[1] == "77MB"
    assert second == (first[0], default, True)
    assert third == (first[0], default)


def test_a_session_that_the_server_has_ended_is_replaced(dbt: Dbt) -> None:
    done = dbt.run("run", "--select", "second", "ending")
    assert done.returncode == 0, done.stdout
    assert dbt.rows("select count(*) from at_end") == [(1,)]


@pytest.mark.long
def test_a_view_that_was_built_before_is_left_out_unless_its_text_may_differ(dbt: Dbt) -> None:
    views = ("known", "asking", "hooked")

    def build(built_before: str) -> list[int]:
        done = dbt.run("run", "--select", "views", PIPEBOARD_MODELS_BUILT_BEFORE=built_before)
        assert done.returncode == 0, done.stdout
        return [int(str(dbt.rows(f"select n from {view}")[0][0])) for view in views]

    def replace(view: str) -> None:
        with psycopg.connect(dbt.database.url) as connection:
            connection.execute(f"create or replace view {view} as select 2 as n".encode())

    assert build("") == [1, 1, 1]
    for view in views:
        replace(view)
    assert build(" ".join(views)) == [2, 1, 1]
    assert build("asking hooked") == [1, 1, 1]
    with psycopg.connect(dbt.database.url) as connection:
        connection.execute("drop view known")
    assert build(" ".join(views)) == [1, 1, 1]


def test_names_and_folders_are_selected_as_by_dbt(dbt: Dbt) -> None:
    def selected(*arguments: str) -> set[str]:
        done = dbt.run("-q", "ls", "--output", "name", *arguments)
        assert done.returncode == 0, done.stdout
        return set(done.stdout.split())

    assert selected("--select", "first", "marts") == {"first", "broken", "third"}
    assert selected("--select", "small", "--exclude", "staging", "views", "small.marts.broken") == {
        "third",
        "ending",
    }


@pytest.mark.long
def test_manifest_and_templates_are_those_of_the_project(dbt: Dbt) -> None:
    model = dbt.folder / "models" / "ending" / "ending.sql"
    written = []
    for number, fingerprint in ((1, "a"), (1, "a"), (2, "b")):
        model.write_text(f"{{{{ config(tags=[]) }}}}\nselect {number} as n")
        done = dbt.run("run", "--select", "ending", fingerprint=fingerprint)
        assert dbt.rows("select n from ending") == [(number,)], done.stdout
        written.append(dbt.manifest.stat().st_mtime_ns)
    assert written[0] == written[1] < written[2]
    templates = [path.read_bytes() for path in (dbt.folder / "target" / "templates").iterdir()]
    assert [b"select 2 as n" in text for text in templates].count(True) == 1
    assert not any(b"select 1 as n" in text for text in templates)
    dbt.manifest.write_text("of another program")
    dbt.run("parse", fingerprint="b")
    assert dbt.manifest.read_text() != "of another program"


@pytest.mark.long
def test_templates_are_compiled_once_for_all_target_folders(
    tmp_path: Path, database: DatabaseUrl, loaded: subprocess.Popen[str]
) -> None:
    dbt = Dbt(tmp_path / "transform", database, loaded)
    (tmp_path / ".pipeboard").mkdir()
    shared = tmp_path / ".pipeboard" / "dbt" / "parsed" / "templates"

    def compiled(target: str) -> dict[str, int]:
        done = dbt.run("run", "--select", "first", DBT_TARGET_PATH=str(tmp_path / target))
        assert done.returncode == 0, done.stdout
        assert not (tmp_path / target / "templates").exists()
        return {path.name: path.stat().st_mtime_ns for path in shared.iterdir()}

    first = compiled("one")
    assert len(first) > 50
    (shared / "of a model that is gone").touch()
    os.utime(shared / "of a model that is gone", (0, 0))
    second = compiled("two")
    assert first.items() <= second.items()
    assert "of a model that is gone" not in second


@TURNS[1]
def test_an_unchanged_project_is_not_parsed_again(dbt: Dbt) -> None:
    """A parse serves the same project, target and variables, and nothing else."""
    saved = dbt.folder / "target" / "parsed_project.pickle"

    def listed(fingerprint: str, *arguments: str) -> bool:
        done = dbt.run("-q", "ls", "--output", "name", *arguments, fingerprint=fingerprint)
        assert done.returncode == 0, done.stdout
        assert "first" in done.stdout.split()
        return "late" in done.stdout.split()

    assert not listed("a")
    (dbt.folder / "models" / "late.sql").write_text("select 1 as n")
    assert not listed("a")
    assert listed("a", "--vars", "{any: 1}")
    assert listed("b")
    saved.write_bytes(saved.read_bytes()[:-1000])
    assert listed("b")


@TURNS[0]
def test_a_parse_serves_every_database_of_the_project(
    tmp_path: Path, loaded: subprocess.Popen[str]
) -> None:
    """It equals a parse from nothing, edits are seen, and a broken one does no harm."""
    nowhere = DatabaseUrl.parse("postgresql://a:b@127.0.0.1:9/test")
    dbt = Dbt(tmp_path / "transform", nowhere, loaded)
    (tmp_path / ".pipeboard").mkdir()
    source = "version: 2\nsources: [{name: raw, tables: [{name: deals}]}]\n"
    (dbt.folder / "models" / "sources.yml").write_text(source)

    def parsed(target: str, **environ: str) -> tuple[dict[str, Any], str]:
        folder = tmp_path / target
        done = dbt.run("parse", DBT_TARGET_PATH=str(folder), **environ)
        assert done.returncode == 0, done.stdout
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest.pop("metadata")
        return without_times(manifest), done.stdout

    anew = "Unable to do partial parsing"
    assert anew in parsed("first")[1]
    (dbt.folder / "models" / "marts" / "third.sql").write_text("select 3 as n")
    elsewhere = {"DATABASE": 'o"ther', "PORT": "10", "USER": "else"}
    shared, output = parsed("second", **elsewhere)
    assert anew not in output
    assert shared["nodes"]["model.small.first"]["relation_name"] == '"o"ther"."public"."first"'
    (tmp_path / ".pipeboard" / "dbt" / "parsed" / "any-public.msgpack").write_bytes(b"no parse")
    whole, output = parsed("third", **elsewhere)
    assert anew in output
    assert shared == whole


def without_times(part: Any) -> Any:
    """Return a part of a manifest without the moments at which its nodes were parsed."""
    if isinstance(part, dict):
        return {key: without_times(value) for key, value in part.items() if key != "created_at"}
    return [*map(without_times, part)] if isinstance(part, list) else part

"""A warehouse for one test: embedded PostgreSQL, raw tables, tap, loader and dbt."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import yaml
from psycopg import sql

from pipeboard.launch import environ_of_program
from pipeboard.run import dbt_of_sync
from pipeboard.run.changed import decision_of

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ROOT / ".pipeboard" / "bin"
#: What commands get of our environment. For each of its messages dbt looks through all variables.
PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")
LOADING = {
    "_sdc_deleted_at": "timestamptz",
    "_sdc_extracted_at": "timestamptz",
    "_sdc_batched_at": "timestamptz",
}


#: The program itself: `.pipeboard/bin/dbt` is for our own project.
DBT = ROOT / ".pipeboard" / "env" / "dbt" / "bin" / "dbt"
#: The garbage collector finds little in a parsed project: with these thresholds it runs seldom.
DBT_SERVER = """
import gc, json, os, pathlib, runpy, sys
gc.set_threshold(100_000, 50, 100)
results = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
from dbt.cli.main import dbtRunner
save_work = runpy.run_path(sys.argv[1])["save_work"]
for line in sys.stdin:
    arguments, environ = json.loads(line)
    if save_work:
        save_work(pathlib.Path(environ["DBT_TARGET_PATH"], "templates"), is_changed=False)
        save_work = None
    os.environ.clear()
    os.environ.update(environ)
    messages = []
    note = lambda event: messages.append(event.info.msg) if event.info.level != "debug" else None
    done = dbtRunner(callbacks=[note]).invoke(arguments)
    messages.append(str(done.exception or ""))
    exit_code = 0 if done.success else 2 if done.exception else 1
    print(json.dumps([exit_code, "\\n".join(messages)]), file=results, flush=True)
"""

_utilities = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["utilities"]
(CHANGED,) = (plugin["commands"]["changed"] for plugin in _utilities if plugin["name"] == "dbt")
CHANGED_ARGUMENTS = shlex.split(CHANGED["args"])
#: Builds everything as a job does that finds everything changed.
BUILD = ("build", *CHANGED_ARGUMENTS)


class Finished(NamedTuple):
    """How a command of dbt ended, and its messages."""

    returncode: int
    stdout: str


class Dbt:
    """A dbt process, changed as for a sync, that runs one command after the other in our project.

    Starting dbt takes longer than many a test needs it for.
    """

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [DBT.parent / "python", "-c", DBT_SERVER, dbt_of_sync.__file__],
            text=True, cwd=ROOT / "transform", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def invoke(self, arguments: Sequence[str], environ: Mapping[str, str]) -> Finished:
        """Run one command in this environment."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps([list(arguments), dict(environ)]), file=self.process.stdin, flush=True)
        return Finished(*json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        """Close the input, which ends the process, and its output."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@dataclass
class Warehouse:
    """One database, and what writes to it."""

    url: str
    folder: Path
    #: Where dbt keeps what it parsed, for all warehouses of a session.
    dbt_folder: Path
    dbt_process: Dbt
    settings: dict[str, str] = field(default_factory=dict)
    #: What connects to the database as the server's superuser.
    superuser: dict[str, Any] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            # A complete environment: commands read no other settings.
            "PIPEBOARD_WORLD": "own",
            "PYTHON_DOTENV_DISABLED": "1",
            "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}",
            "PIPEBOARD_DATABASE_URL": self.url,
            "DBT_TARGET_PATH": str(self.dbt_folder / "target"),
            "DBT_LOG_PATH": str(self.dbt_folder / "logs"),
            # manifest.json is large, and few tests read it.
            "DBT_WRITE_JSON": "false",
            "TZ": "UTC",
            **self.settings,
        }

    # -- what is in it

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def write(self, statement: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

    def raw(self, stream: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> None:
        """Make a raw table as the loader would, with rows in the order of the columns."""
        types = {**columns, **LOADING}
        parts = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))  # type: ignore[arg-type]
            for name, kind in types.items()
        )
        table = sql.Identifier("pipedrive", stream)
        with psycopg.connect(self.url) as connection:
            connection.execute("create schema if not exists pipedrive")
            connection.execute(sql.SQL("create table {} ({})").format(table, parts))
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            with connection.cursor().copy(
                sql.SQL("copy {} ({}) from stdin").format(table, names)
            ) as copy:
                for row in rows:
                    copy.write_row(row)
            connection.execute(
                sql.SQL("update {} set _sdc_extracted_at = now(), _sdc_batched_at = now()").format(
                    table
                )
            )

    def forget_models(self) -> None:
        """Leave nothing but the raw tables, as if dbt had never run."""
        schemas = "staging", "intermediate", "marts", "snapshots", "ops", "test_failures"
        self.write(f"drop schema if exists {', '.join(schemas)} cascade")

    # -- what writes to it

    def dbt(self, *arguments: str, **environ: str) -> Finished:
        """Run dbt with these variables, in our project if the words name no other."""
        settings = {**self.environ(), "DBT_PROJECT_DIR": str(ROOT / "transform"), **environ}
        settings = environ_of_program("dbt", DBT, settings)
        return self.dbt_process.invoke(["--no-use-colors", *arguments], settings)

    def build(self, *arguments: str, **environ: str) -> str:
        """Run dbt and return its messages."""
        done = self.dbt(*arguments, **environ)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def start_changed(self, **environ: str) -> subprocess.Popen[str]:
        """Start `dbt:changed` as the jobs do."""
        return subprocess.Popen(
            [str(COMMANDS / CHANGED["executable"]), *CHANGED_ARGUMENTS],
            cwd=ROOT / "transform",
            env={**self.environ(), "PIPEBOARD_BUILD_REPORT": str(self.build_report), **environ},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def decide(self) -> tuple[str, list[str]]:
        """Let `dbt:changed` decide what to build, with a stand-in for dbt.

        Returns:
            The output, and the arguments of dbt; none if dbt would not be started.

        """
        folder = self.folder / "decide"
        stand_in, arguments = folder / "dbt", folder / "arguments"
        folder.mkdir(exist_ok=True)
        stand_in.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{shlex.quote(str(arguments))}\n')
        stand_in.chmod(0o755)
        arguments.unlink(missing_ok=True)
        started = self.start_changed(PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
        output = started.communicate()[0]
        assert started.returncode == 0, output
        return output, arguments.read_text().splitlines() if arguments.exists() else []

    def changed(self, **environ: str) -> Finished:
        """Build what `dbt:changed` decides, in the dbt that is loaded already."""
        output, arguments = self.decide()
        done = self.dbt(*arguments, **environ) if arguments else Finished(0, "")
        return Finished(done.returncode, output + done.stdout)

    def due(self) -> set[str] | None:
        """Return what `dbt:changed` would build now, None for everything; nothing is built."""
        self.decide()
        return self.decided()

    def decided(self) -> set[str] | None:
        """Return what the last `dbt:changed` decided to build; None for everything."""
        decision = decision_of(json.loads(self.build_report.read_text()))
        assert decision is not None
        return None if decision.due is None else set(decision.due)

    @property
    def build_report(self) -> Path:
        return self.folder / "build.json"

    def sync(self, source: Mapping[str, Any], streams: Sequence[str]) -> None:
        """Run tap and loader once, going on where the last time ended; a sweep apart."""
        place = self.folder / ("sweep" if source.get("sweep") else "sync")
        place.mkdir(exist_ok=True)
        config, catalog, state = (place / f"{name}.json" for name in ("tap", "catalog", "state"))
        sink = self.folder / "target.json"
        config.write_text(json.dumps({"state_dir": str(place), **source}))
        sink.write_text(
            json.dumps({"sqlalchemy_url": self.url.replace("postgresql:", "postgresql+psycopg:")})
        )
        environ = self.environ()
        catalog.write_text(selected(json.loads(discovered()), streams))
        arguments = [COMMANDS / "tap-pipedrive", "--config", config, "--catalog", catalog]
        tap = subprocess.Popen(
            [*arguments, *(["--state", state] if state.exists() else [])],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ,
        )  # fmt: skip
        target = subprocess.run(
            [COMMANDS / "target-postgres", "--config", sink],
            stdin=tap.stdout, capture_output=True, text=True, env=environ, check=False,
        )  # fmt: skip
        tap_output = tap.communicate()[1]
        assert tap.returncode == 0, tap_output.decode()[-2000:]
        assert target.returncode == 0, target.stderr[-2000:]
        states = target.stdout.splitlines()
        if states:
            state.write_text(states[-1])


@cache
def discovered() -> str:
    """Return the catalogue, which is the same for each account."""
    environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    settings = {**environ, "PIPEBOARD_WORLD": "own", "TAP_PIPEDRIVE_API_TOKEN": "none"}
    return subprocess.run(
        [COMMANDS / "tap-pipedrive", "--config", "ENV", "--discover"],
        env=settings, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def selected(catalog: dict[str, Any], streams: Sequence[str]) -> str:
    """Select these streams of a catalogue, and no others."""
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
    return json.dumps(catalog)

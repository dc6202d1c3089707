"""The loaders of a Singer file of deals: Pipeboard's, the baselines', and the floor."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.bench_env import BASELINES, BenchEnv, program
from bench.measuring import Command, Measured, run

SCHEMA = "bench_load"
#: Settings of the stock loader that are worth trying; the fastest of them is "stock, best".
STOCK_SETTINGS: dict[str, dict[str, Any]] = {
    "use_copy": {"use_copy": True},
    "no validation": {"validate_records": False},
    "use_copy, no validation": {"use_copy": True, "validate_records": False},
    "use_copy, no validation, no metadata": {
        **{"use_copy": True, "validate_records": False},
        **{"add_record_metadata": False, "activate_version": False},
    },
    "use_copy, no validation, no metadata, batches of 50,000": {
        **{"use_copy": True, "validate_records": False, "batch_size_rows": 50_000},
        **{"add_record_metadata": False, "activate_version": False},
    },
}
# The stock package's `target-postgres`; in its environment Pipeboard's loader has that name.
STOCK = "from target_postgres.target import TargetPostgres; TargetPostgres.cli()"


@dataclass(frozen=True)
class Loader:
    """One way to load. `rows` is how many it gets: slow ones get fewer than the fast ones."""

    name: str
    title: str
    rows: int
    command: Callable[[BenchEnv, Path], Command]
    #: Whether it reads a prepared CSV file instead of the Singer messages.
    reads_csv: bool = False

    def load(self, env: BenchEnv, singer: Path) -> Measured:
        """Load a file into the schema of the benchmark."""
        command = self.command(env, singer)
        source = None if self.reads_csv else singer
        return run([command], log=env.log, source=source, server=env.server)


def pipeboard(rows: int) -> Loader:
    """Pipeboard's loader, as it is shipped."""

    def command(env: BenchEnv, _: Path) -> Command:
        config = {"sqlalchemy_url": env.server.url, "default_target_schema": SCHEMA}
        file = env.file("pipeboard.json", config)
        argv = [program("loader", "pipeboard-target-postgres"), "--config", file]
        return Command("loader", argv)

    return Loader("pipeboard", "pipeboard-target-postgres", rows, command)


def stock(name: str, title: str, rows: int, settings: dict[str, Any]) -> Loader:
    """The stock loader, in the version that Pipeboard's loader extends."""

    def command(env: BenchEnv, _: Path) -> Command:
        url = env.server.url.replace("postgresql://", "postgresql+psycopg://")
        config = {"sqlalchemy_url": url, "default_target_schema": SCHEMA, **settings}
        argv = [program("loader", "python"), "-c", STOCK, "--config"]
        return Command("loader", [*argv, env.file(f"{name}.json", config)])

    return Loader(name, title, rows, command)


def pipelinewise(rows: int) -> Loader:
    """The loader of PipelineWise, in an environment of its own, with its defaults."""

    def command(env: BenchEnv, _: Path) -> Command:
        url = urlsplit(env.server.url)
        config = {
            "host": url.hostname,
            "port": url.port,
            "user": url.username,
            "password": url.password,
            "dbname": url.path.lstrip("/"),
            "default_target_schema": SCHEMA,
        }
        argv = [program("bench-pipelinewise", "target-postgres"), "--config"]
        return Command("loader", [*argv, env.file("pipelinewise.json", config)])

    return Loader("pipelinewise", "pipelinewise-target-postgres, defaults", rows, command)


def floor(rows: int, *, piped: bool) -> Loader:
    """COPY and INSERT ... ON CONFLICT: from CSV made beforehand, or piped from the messages."""

    def command(env: BenchEnv, singer: Path) -> Command:
        argv = [program("dev", "python"), BASELINES / "floor.py"]
        if piped:
            return Command("loader", [*argv, "pipe", env.server.url, SCHEMA])
        csv = singer.with_suffix(".csv")
        if not csv.exists():
            run([Command("prepare", [*argv, "prepare", singer, csv])], log=env.log)
        return Command("loader", [*argv, "load", env.server.url, SCHEMA, csv])

    if piped:
        title = "COPY + ON CONFLICT, decoding the messages itself"
        return Loader("floor_decoding", title, rows, command)
    title = "COPY + ON CONFLICT, from a CSV file made beforehand"
    return Loader("floor", title, rows, command, reads_csv=True)


@dataclass
class Deals:
    """Singer files of deals for loaders: as read, and with every tenth one changed."""

    env: BenchEnv
    source: Path
    _made: dict[str, Path] = field(default_factory=dict)

    def lines(self) -> tuple[bytes, list[bytes], bytes]:
        """Return the schema message, the records, and the last state."""
        with self.source.open("rb") as file:
            found = list(file)
        records = [line for line in found if line.startswith(b'{"type":"RECORD"')]
        return found[0], records, found[-1]

    def first(self, rows: int) -> Path:
        """Return a file of the first so many records."""
        return self._file(f"first-{rows}.jsonl", rows, changed=False)

    def changed(self, rows: int) -> Path:
        """Return the same with every tenth deal changed."""
        return self._file(f"changed-{rows}.jsonl", rows, changed=True)

    def _file(self, name: str, rows: int, *, changed: bool) -> Path:
        if name not in self._made:
            schema, records, state = self.lines()
            path = self.env.file(name)
            with path.open("wb") as out:
                out.write(schema)
                for number, line in enumerate(records[:rows]):
                    out.write(change(line) if changed and number % 10 == 0 else line)
                out.write(state)
            self._made[name] = path
        return self._made[name]


def change(line: bytes) -> bytes:
    """Change a deal's title, value and update time."""
    message = json.loads(line)
    deal = message["record"]
    deal["title"], deal["value"] = MARK, (deal["value"] or 0) + 1
    deal["update_time"] = "2026-06-16T08:00:00Z"
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


MARK = "changed by the benchmark"

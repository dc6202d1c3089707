"""A fault while dbt builds, or while it publishes a mart: the run says what it was, and the same
run again makes all tables right.

This is the part of the matrix of tests/trust that needs dbt.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from project_under_test import Site, deals_of_account, deals_of_marts, kill_server, make_site, until

from pipeboard.local.embedded_postgres import EmbeddedPostgres

#: Where dbt waits when the fault strikes: for a raw table, or for a mart that people read.
PHASES = {"dbt": "pipedrive.deals", "publishing": "marts.rpt_open_deals"}
OF_DBT = "application_name = 'pipeboard-dbt'"


@dataclass
class Strike:
    """One run that meets a fault: its site, its processes, and what mends the fault."""

    site: Site
    parts: dict[str, int]
    mends: ExitStack
    disk: Path | None

    def as_superuser(self, *statements: str) -> None:
        cluster = self.site.server.record.load()
        assert cluster is not None
        login = {"user": "postgres", "password": cluster.superuser_password}
        with psycopg.connect(self.site.url, **login, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def refuse(self, setting: str, undo: str) -> None:
        """Change the role that builds; dbt logs in again."""
        role = psycopg.conninfo.conninfo_to_dict(self.site.url)["user"]
        self.as_superuser(f'alter role "{role}" {setting}')
        self.mends.callback(self.as_superuser, f'alter role "{role}" {undo}')
        end_sessions(self)


def end_sessions(strike: Strike) -> None:
    strike.as_superuser(f"select pg_terminate_backend(pid) from pg_stat_activity where {OF_DBT}")


def restart(strike: Strike) -> None:
    kill_server(strike.site.server)
    strike.site.server.start(strike.site.binaries, "site")


def refuse_connections(strike: Strike) -> None:
    strike.refuse("connection limit 0", "connection limit -1")


def refuse_writing(strike: Strike) -> None:
    name = "default_transaction_read_only"
    strike.refuse(f"set {name} = on", f"reset {name}")


def hold_the_lock(strike: Strike) -> None:
    time.sleep(2)


def stop_sessions(strike: Strike) -> None:
    """Stop the server's processes of dbt's sessions for two seconds."""
    pids = [pid for (pid,) in strike.site.query(f"select pid from pg_stat_activity where {OF_DBT}")]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(2, lambda: [os.kill(pid, signal.SIGCONT) for pid in pids])
    strike.mends.callback(timer.join)
    timer.start()


def fill_the_disk(strike: Strike) -> None:
    assert strike.disk is not None
    ballast = strike.disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"\0" * 8192):
            pass
    strike.mends.callback(ballast.unlink)


def limit_memory(pid: int) -> None:
    """Let a process get no more memory than it has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


#: By fault: what strikes, how the run ends, its exit code, and a pattern of its reason.
FAULTS: dict[str, tuple[Callable[[Strike], None], str, int, str]] = {
    "PostgreSQL restarted": (restart, "failed", 69, "connection"),
    "session ended": (end_sessions, "failed", 69, "closed the connection"),
    "disk full": (fill_the_disk, "failed", 69, "No space left on device"),
    # If no other node begins, the reason is that of the one whose session was ended.
    "max_connections": (refuse_connections, "failed", 69, "too many connections|closed the conn"),
    "read-only": (refuse_writing, "failed", 77, "in a read-only transaction"),
    "lock held": (hold_the_lock, "succeeded", 0, ""),
    "PostgreSQL silent": (stop_sessions, "succeeded", 0, ""),
}


PAIRS = [
    (fault, phase)
    for fault in FAULTS
    for phase in PHASES
    if (fault, phase) != ("PostgreSQL restarted", "dbt")  # see test_faults.py
]


@pytest.fixture(scope="module")
def site(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with make_site(server, tmp_path_factory.mktemp("site")) as found:
        run = found.run("run", "sync")
        assert run.code == 0, run.out + run.err
        yield found


@contextmanager
def small_disk(site: Site) -> Iterator[Path]:
    """Yield a file system of a few megabytes on which new tables and the mart are."""
    user = site.server.user
    if user is None or sys.platform != "linux":
        pytest.skip("only root on Linux can mount a small disk")
    cluster = site.server.record.load()
    assert cluster is not None
    disk = Path(cluster.home) / "small"
    disk.mkdir(exist_ok=True)
    options = f"size=24m,uid={user.uid},gid={user.gid},mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mount is not permitted here")
    strike = Strike(site, {}, ExitStack(), disk)
    mart = PHASES["publishing"]
    try:
        strike.as_superuser(
            f"create tablespace small location '{disk}'",
            "grant create on tablespace small to public",
            f"alter table {mart} set tablespace small",
            f"alter database {site.database} set default_tablespace = small",
            f"alter database {site.database} set temp_tablespaces = small",
        )
        yield disk
    finally:
        strike.as_superuser(
            f"alter database {site.database} reset default_tablespace",
            f"alter database {site.database} reset temp_tablespaces",
            "alter table all in tablespace small set tablespace pg_default",
            "alter index all in tablespace small set tablespace pg_default",
            "drop tablespace if exists small",
        )
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        shutil.rmtree(disk)


def last_run(site: Site) -> tuple[str, int, str, str]:
    """Return status, exit code, failed stage and reason of the last run."""
    ((status, code, stage, reason),) = site.query(
        "select status, exit_code, coalesce(failed_stage, ''), coalesce(reason, '') "
        "from ops.etl_run order by started_at desc limit 1"
    )
    return status, code, stage, reason


@pytest.mark.parametrize(("fault", "phase"), PAIRS)
def test_a_run_after_a_fault_makes_every_table_right(site: Site, fault: str, phase: str) -> None:
    strike, status, code, reason = FAULTS[fault]
    site.control("advance", {"deals": 20, "hours": 3})
    with ExitStack() as mends:
        disk = mends.enter_context(small_disk(site)) if strike is fill_the_disk else None
        with suppress(psycopg.OperationalError), site.building(PHASES[phase]) as (live, parts):
            strike(Strike(site, parts, mends, disk))
        ended, out = live.wait(180)
    last = last_run(site)
    assert last[:3] == (status, code, "dbt" if code else ""), f"{last}\n{out[-3000:]}"
    assert ended == code
    assert re.search(reason, last[3]), last
    assert "Traceback" not in out
    run_again(site)


def test_a_dbt_without_memory_says_so_and_the_run_after_it_makes_every_table_right(
    site: Site,
) -> None:
    site.control("advance", {"deals": 20, "hours": 3})
    live = site.start("run", "sync")
    limit_memory(until("dbt", lambda: live.parts().get("dbt"), 180))
    ended, out = live.wait(180)
    status, code, stage, reason = last_run(site)
    assert (status, code, stage) == ("failed", 69, "dbt"), f"{reason}\n{out[-3000:]}"
    assert ended == code
    assert "out of memory: dbt got no more memory" in reason
    run_again(site)


def run_again(site: Site) -> None:
    """Run the same sync again, and compare with the account."""
    again = site.run("run", "sync")
    assert again.code == 0, again.out + again.err
    assert last_run(site)[:2] == ("succeeded", 0)
    assert deals_of_marts(site) == deals_of_account(site)


def test_after_all_faults_a_full_build_changes_no_row(site: Site) -> None:
    before = rows_of_marts(site)
    full = site.checkout.run("run", "--full-refresh", name="dbt", **site.environ)
    assert full.code == 0, full.out[-3000:]
    assert rows_of_marts(site) == before


def rows_of_marts(site: Site) -> dict[str, tuple[int, int]]:
    """Return how many rows each mart has, and the sum of their hashes."""
    tables = [name for (name,) in site.query(
        "select tablename from pg_tables where schemaname = 'marts' order by 1"
    )]  # fmt: skip
    assert len(tables) > 10
    return {
        name: site.query(f"select count(*), sum(hashtext(t::text)) from marts.{name} as t")[0]
        for name in tables
    }

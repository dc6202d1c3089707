"""Waits for a lock: time limits, the sessions that hold it, and log messages."""

from __future__ import annotations

import logging
import time

import psycopg

from pipeboard_target_postgres.errors import UnavailableError
from pipeboard_target_postgres.sql import run

#: How long one statement may wait for a lock. Sessions that need a weaker lock queue behind the
#: loader meanwhile, so the time is short for DDL, which needs the strongest lock.
DML_LOCK_TIMEOUT = "5s"
DDL_LOCK_TIMEOUT = "1s"
#: How long the loader tries again in total; then it exits with code 69.
LOCK_WAIT_SECONDS = 300.0
#: Pause between two tries, in which other sessions can take the lock.
PAUSE_SECONDS = 3.0
#: Minimum time between two log messages while the same sessions hold the lock.
LOG_SECONDS = 30.0

_HOLDERS = """
    select distinct a.pid, a.usename, a.application_name, a.state,
        extract(epoch from clock_timestamp() - a.xact_start)::bigint,
        extract(epoch from clock_timestamp() - a.query_start)::bigint
    from pg_locks l join pg_stat_activity a using (pid)
    where l.granted and l.pid <> pg_backend_pid()
        and l.database = (select oid from pg_database where datname = current_database())
        and (
            l.locktype = 'relation' and l.relation = to_regclass(%(table)s)
                and (%(ddl)s or l.mode not in ('AccessShareLock', 'RowShareLock'))
            or l.locktype = 'advisory' and l.objsubid = 1
                and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended(%(lock)s, 0)
        )
    order by 1
"""


class LockWait:
    """One wait for a lock, over several tries.

    Args:
        table: the quoted table that is to be locked.
        lock: the name of the advisory lock that goes with it.
        ddl: True if the strongest lock is needed, which waits for readers, too.
        logger: logs the sessions that hold the lock.
    """

    def __init__(self, table: str, lock: str, ddl: bool, logger: logging.Logger) -> None:
        self._table, self._lock, self._ddl, self._logger = table, lock, ddl, logger
        self._began: float | None = None
        self._logged: tuple[float, str] = (0.0, "")

    def timed_out(self, connection: psycopg.Connection) -> None:
        """Record a failed try, and log the sessions that hold the lock.

        Raises:
            UnavailableError: the tries took longer than `LOCK_WAIT_SECONDS`.
        """
        now = time.monotonic()
        self._began = self._began or now
        holders = self._holders(connection)
        waited = now - self._began
        if waited >= LOCK_WAIT_SECONDS:
            raise UnavailableError(
                f"No lock on {self._table} within {LOCK_WAIT_SECONDS:.0f} s: it is held by "
                f"{holders}. End that session (select pg_terminate_backend(PID)) or wait for it; "
                "nothing is lost, run again."
            )
        at, last = self._logged
        # The text before the comma names the sessions; the ages after it differ each time.
        sessions = holders.partition(",")[0]
        if sessions != last or now - at >= LOG_SECONDS:
            self._logged = (now, sessions)
            self._logger.warning(
                "Waiting for a lock on %s, held by %s; trying again for up to %.0f s.",
                self._table,
                holders,
                LOCK_WAIT_SECONDS - waited,
            )

    def _holders(self, connection: psycopg.Connection) -> str:
        with connection.transaction(), connection.cursor() as cursor:
            run(cursor, _HOLDERS, {"table": self._table, "lock": self._lock, "ddl": self._ddl})
            rows = cursor.fetchall()
        return "; ".join(_describe(*row) for row in rows) or "a session that has just ended"


def _describe(
    pid: int, user: str, application: str, state: str | None, open_for: int, query_age: int
) -> str:
    who = f"pid {pid}, user {user}, application {application or '(none)'}"
    if state is None:
        return f"{who} (grant pg_read_all_stats to the loader's role to see since when)"
    return f"{who}, {state}, transaction open for {open_for} s, query since {query_age} s"

"""Waiting for a lock: how long, who holds it, and what the log says meanwhile."""

from __future__ import annotations

import logging
import time

import psycopg

from pipeboard_target_postgres.errors import UnavailableError
from pipeboard_target_postgres.sql import run

#: How long a statement may wait for a lock in one go. Whoever needs a weaker lock than ours queues
#: behind us meanwhile, so it is short where ours is the strongest one.
DML_LOCK_TIMEOUT = "5s"
DDL_LOCK_TIMEOUT = "1s"
#: How long we try again, in all; then exit code 69.
LOCK_WAIT_SECONDS = 300.0
#: Pause between two tries: others take their turn.
PAUSE_SECONDS = 3.0
#: A line in the log at most this often, while the same sessions hold the lock.
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
        ddl: True if the strongest lock is wanted, which waits for readers, too.
        logger: told who holds the lock.
    """

    def __init__(self, table: str, lock: str, ddl: bool, logger: logging.Logger) -> None:
        self._table, self._lock, self._ddl, self._logger = table, lock, ddl, logger
        self._began: float | None = None
        self._logged: tuple[float, str] = (0.0, "")

    def timed_out(self, connection: psycopg.Connection) -> None:
        """Note that one try has failed; say who holds the lock.

        Raises:
            UnavailableError: it has lasted too long.
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
        # The ages differ each time; the sessions may be the same.
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
        return "; ".join(_describe(*row) for row in rows) or "a session that has ended meanwhile"


def _describe(
    pid: int, user: str, application: str, state: str | None, open_for: int, query_age: int
) -> str:
    who = f"pid {pid}, user {user}, application {application or '(none)'}"
    if state is None:
        return f"{who} (grant pg_read_all_stats to see since when)"
    return f"{who}, {state}, transaction open for {open_for} s, query since {query_age} s"

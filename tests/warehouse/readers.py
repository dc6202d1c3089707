"""Clients that read marts and ops while something else happens, and notice what is absent."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

RELATIONS = """
    select nspname || '.' || relname from pg_catalog.pg_class
    join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    where nspname in ('marts', 'ops', 'other') and relkind in ('r', 'v') order by 1
"""


def relations(url: str) -> list[str]:
    """Return the names of all tables and views that people read."""
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute(RELATIONS.encode())]


@contextmanager
def read_all(url: str, relations: Sequence[str], rounds: int = 1) -> Iterator[None]:
    """Let three clients read every relation again and again, and a fourth look for absent ones.

    They pause, or reading would cost more than the build; the three do not pause together.

    A relation that has rows before and after must have some at each moment. Each client must have
    read every relation so many times.
    """
    errors: list[str] = []
    empty: set[str] = set()
    ended = threading.Event()
    n_read = [0, 0, 0]

    def read(nr: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("set statement_timeout = '3s'")
            while not ended.wait(0.5 + 0.1 * nr):
                for relation in relations:
                    try:
                        if not has_rows(connection, relation):
                            empty.add(relation)
                    except psycopg.Error as error:
                        errors.append(f"{relation}: {error}")
                    n_read[nr] += 1

    def look() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not ended.wait(0.05):
                gone = set(relations) - {row[0] for row in connection.execute(RELATIONS.encode())}
                errors.extend(f"{name} is absent" for name in gone)

    threads = [threading.Thread(target=read, args=(nr,)) for nr in range(3)]
    threads.append(threading.Thread(target=look))
    with psycopg.connect(url, autocommit=True) as connection:
        before = {name for name in relations if has_rows(connection, name)}
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        emptied = {name for name in empty & before if has_rows(connection, name)}
    assert not errors, errors[:5]
    assert not emptied, f"without a row for a moment: {sorted(emptied)}"
    assert min(n_read) >= rounds * len(relations), "every relation was read by every client"


def has_rows(connection: psycopg.Connection, relation: str) -> bool:
    """Tell whether a table or view has a row."""
    return bool(connection.execute(f"select 1 from {relation} limit 1".encode()).fetchall())

"""Unit tests of small parts."""

from __future__ import annotations

import logging

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loader_helpers import Warehouse, record, schema

from pipeboard_target_postgres import dispatcher
from pipeboard_target_postgres.columns import Column, adapt, identifier, versioned
from pipeboard_target_postgres.connector import PostgresConnector
from pipeboard_target_postgres.encoder import RecordEncoder
from pipeboard_target_postgres.errors import (
    ConfigurationError,
    DataRefusedError,
    LoaderError,
    NotPermittedError,
    UnavailableError,
    explain,
)
from pipeboard_target_postgres.locks import LockWait
from pipeboard_target_postgres.session import Session
from pipeboard_target_postgres.staging import Staging, fields


def encoder(*columns: Column) -> RecordEncoder:
    return RecordEncoder("s", columns, ["id"], metadata=False, sanitize=True)


@given(st.text(max_size=200))
def test_identifiers_fit_and_are_stable(name: str) -> None:
    made = identifier(name)
    assert 1 <= len(made.encode()) <= 63
    assert "\0" not in made
    assert identifier(made) == made
    assert len(versioned(made, "timestamp with time zone").encode()) <= 63


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
def test_fields_undo_encode(values: list[str]) -> None:
    import json

    columns = [Column("id", "id", "bigint"), Column("v", "v", "text"), Column("n", "n", "text")]
    for value in values:
        message = {"type": "RECORD", "stream": "s", "record": {"n": None, "v": value, "id": 1}}
        encoded = encoder(*columns).encode(json.dumps(message).encode())
        assert encoded
        assert b"\n" not in encoded[0]
        assert fields(encoded[0]) == ["1", value, None]


def test_keys_are_compared_by_bytes_only_where_that_is_exact() -> None:
    def distinct(sql_type: str, *rows: bytes) -> bool:
        columns = [Column("id", "id", sql_type), Column("v", "v", "text")]
        return Staging("x", columns, ["id"]).distinct_keys(list(rows)) is not None

    assert distinct("bigint", b"1\ta", b"2\ta")
    assert not distinct("bigint", b"1\ta", b"1\tb")
    assert not distinct("bigint", b"1\ta", b"01\tb")
    assert not distinct("bigint", b"0\ta", b"-0\tb")
    assert distinct("text", b"1\ta", b"01\tb")
    assert not distinct("numeric", b"1\ta", b"2\tb")


def test_keys_come_first_and_nested_values_last() -> None:
    made = encoder(
        Column("o", "o", "jsonb"), Column("v", "v", "text"), Column("id", "id", "bigint")
    )
    assert [c.name for c in made.columns] == ["id", "v", "o"]


TYPES = (
    *("smallint", "integer", "bigint", "numeric", "numeric(9,2)", "double precision", "text"),
    *("boolean", "date", "timestamp with time zone", "timestamp without time zone", "json"),
    *("jsonb", "text[]", "uuid", "bytea"),
)


@pytest.mark.parametrize("existing", TYPES)
def test_adapting_twice_changes_nothing(existing: str) -> None:
    for wanted in TYPES:
        change = adapt(existing, wanted, '"c"')
        if change.action == "alter":
            assert adapt(change.type, wanted, '"c"').action == "keep"
        if change.action == "clash":
            assert versioned("c", wanted) != "c"


def of_state(sqlstate: str, text: str = "text") -> psycopg.Error:
    return psycopg.errors.lookup(sqlstate)(text)


@pytest.mark.parametrize(
    ("error", "kind", "remedy"),
    [
        (FileNotFoundError("no file"), ConfigurationError, "no file"),
        (BrokenPipeError(), UnavailableError, "run again"),
        (OSError("no route to host"), UnavailableError, "Check host and ssh_tunnel"),
        (RecursionError(), DataRefusedError, "nested too deeply"),
        (of_state("42501"), NotPermittedError, "Grant the right"),
        (of_state("25006"), NotPermittedError, "address of the primary"),
        (of_state("28P01"), NotPermittedError, "Check role and password"),
        (
            psycopg.OperationalError('role "x" does not exist'),
            NotPermittedError,
            "Check role and password",
        ),
        (of_state("3D000"), ConfigurationError, "Create it or correct the address"),
        (
            psycopg.OperationalError('database "x" does not exist'),
            ConfigurationError,
            "Create it or correct the address",
        ),
        (of_state("25P03"), UnavailableError, "idle_in_transaction_session_timeout"),
        (of_state("57014", "statement timeout"), UnavailableError, "Raise statement_timeout"),
        (of_state("57014", "user request"), UnavailableError, "closed the connection"),
        (of_state("55P03"), UnavailableError, "no lock within lock_timeout"),
        (
            psycopg.OperationalError('certificate "x" is missing'),
            ConfigurationError,
            "Correct the address or the file",
        ),
        (
            of_state("26000", "prepared statement x does not exist"),
            ConfigurationError,
            "session mode",
        ),
        (of_state("42P01"), UnavailableError, "changed or dropped while it was loaded"),
        (of_state("23505"), DataRefusedError, "Drop the constraint"),
        (of_state("54011"), DataRefusedError, "limit of PostgreSQL"),
        (of_state("53100"), UnavailableError, "Free space"),
        (of_state("53200"), UnavailableError, "load smaller batches"),
        (MemoryError(), UnavailableError, "lower batch_size_rows"),
        (RuntimeError("can't start new thread"), UnavailableError, "or no more threads"),
        (psycopg.OperationalError("out of memory"), UnavailableError, "lower batch_size_rows"),
        (of_state("08006"), UnavailableError, "Check that it runs"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, Exception) else None,
)
def test_an_error_that_an_operator_can_mend_says_how(
    error: Exception, kind: type[LoaderError], remedy: str
) -> None:
    found = explain(error, "The database")
    assert type(found) is kind
    assert remedy in str(found)


@pytest.mark.parametrize("error", [ValueError("a defect"), of_state("42601", "syntax error")])
def test_a_defect_of_the_loader_is_not_explained(error: Exception) -> None:
    assert explain(error, "The database") is None


def test_a_load_that_takes_too_long_is_cancelled(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [schema({"id": "integer", "v": "string"}), record(id=1, v="a")]
    warehouse.load(messages)
    monkeypatch.setattr(dispatcher, "LOAD_SECONDS", 0.5)
    monkeypatch.setattr(dispatcher, "LOG_SECONDS", 0.2)
    with psycopg.connect(warehouse.url) as other, caplog.at_level(logging.INFO):
        other.execute(f"lock table {warehouse.schema}.s in share mode".encode())
        with pytest.raises(UnavailableError, match="was cancelled"):
            warehouse.load([messages[0], record(id=2, v="b")])
        assert "Waiting for the database since" in caplog.text
    assert warehouse.one("select count(*) from {s}.s") == 1


def test_text_and_numbers_of_unusual_forms_are_stored_in_their_own() -> None:
    made = encoder(
        Column("id", "id", "bigint"),
        Column("b", "b", "bytea"),
        Column("v", "v", "text"),
        Column("n", "n", "numeric"),
    )
    line = b'{"type": "RECORD", "stream": "s", "record": {"id": 1, "b": "0xabc", '
    encoded = made.encode(line + b'"v": "\\ud800a", "n": NaN}}')
    assert encoded
    assert fields(encoded[0]) == ["1", "\\x0abc", "\ufffda", None]


class _NotUsed(PostgresConnector):
    """Of a session whose transactions below need no connection."""

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize("losses", [1, 2, 3])
def test_a_lost_transaction_is_tried_again_and_logged_once(
    losses: int, caplog: pytest.LogCaptureFixture
) -> None:
    forgotten: list[int] = []
    logger = logging.getLogger("session")
    session = Session(_NotUsed(), 60, lambda: forgotten.append(1), logger)
    session.generation = 1
    answers = iter([psycopg.OperationalError("server closed the connection")] * losses)

    def work() -> str:
        for error in answers:
            raise error
        return "committed"

    wait = LockWait("raw.deals", "deals", False, logger)
    with caplog.at_level(logging.WARNING, "session"):
        assert session.run_with_retries(work, True, wait) == "committed"
    assert len(forgotten) == losses
    (logged,) = caplog.messages
    assert logged == (
        "Connection lost (server closed the connection); trying again for up to 60 s."
    )

"""`status`, `doctor` and `history` name what is missing, what was set aside, and how to connect."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from stand_ins import job

from pipeboard.checks import doctor
from pipeboard.checks.warehouse import show_connection
from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.local.services import Services
from pipeboard.paths import Paths
from pipeboard.run.history import End, begin, finish, note_ended, note_streams
from pipeboard.run.ops import migrate_database
from pipeboard.run.proof import StreamOutcome

REFUSED = StreamOutcome("notes", "refused", 0, 0, 0, 0, 0, "403 for /notes")
NOT_PERMITTED = StreamOutcome("leads", "not_permitted", 0, 0, 0, 0, 0, "402 for /leads")
GAPS = StreamOutcome("deal_changelog", "complete", 9, 9, 0, 3, 2, None)
WELL = StreamOutcome("deals", "complete", 5, 5, 0, 0, 0, None)


@pytest.fixture
def services(tmp_path: Path, database: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("PIPEBOARD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", database.url)
    migrate_database(database)
    return Services(Paths(tmp_path))


def ran(database: DatabaseUrl, run_id: str, status: str, *streams: StreamOutcome) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        begin(connection, run_id, job("sync"), "dev")
        note_streams(connection, run_id, streams)
        finish(connection, run_id, End(status, 0))


def status_of(services: Services) -> str:
    out = io.StringIO()
    assert doctor.show_status(services, Console(out)) == 0
    return out.getvalue()


def test_status_names_streams_and_quarantine_and_says_how_to_connect(
    services: Services, database: DatabaseUrl
) -> None:
    ran(database, "a", "incomplete", REFUSED, NOT_PERMITTED, GAPS, WELL)
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "create table ops.quarantine (stream text, at timestamptz not null default now())"
        )
        connection.execute(
            "insert into ops.quarantine values ('deals', now()), ('deals', '2020-01-01')"
        )
    text = status_of(services)
    assert "notes: refused, and readable before (403 for /notes)" in text
    assert "leads: refused, and never readable with this token (402 for /leads)" in text
    assert "deal_changelog: 2 records whose dependent records are incomplete, 3 values" in text
    assert "deals: 2 records in quarantine, 1 of the last 24 hours" in text
    assert f"psql 'postgresql://{database.place}'" in text
    assert database.password not in text, "it is the user's own"
    # A run that did not ask for them changes nothing.
    names = ("notes", "leads", "deal_changelog", "deals")
    not_due = replace(WELL, outcome="not_due", sent=0, received=0)
    ran(database, "later", "succeeded", *(replace(not_due, stream=name) for name in names))
    assert "notes: refused, and readable before" in status_of(services)
    # Read again, they are no longer named.
    ran(database, "b", "succeeded", *(replace(WELL, stream=name) for name in names))
    assert "to look at" not in status_of(services)


def test_a_skip_does_not_hide_the_run_before(services: Services, database: DatabaseUrl) -> None:
    ran(database, "good", "succeeded")
    with psycopg.connect(database.url, autocommit=True) as connection:
        begin(connection, "killed", job("sync"), "dev")
        end = End("skipped", 0, "run killed of sync is running")
        note_ended(connection, "late", job("sync"), "dev", time.time() + 1, end)
    text = status_of(services)
    assert "abandoned" in text and "skipped" in text
    assert "good" not in text


def streams_of_doctor(database: DatabaseUrl) -> str:
    out = io.StringIO()
    doctor._show_streams(database, Console(out))
    return out.getvalue()


def test_doctor_names_streams_that_are_not_whole(services: Services, database: DatabaseUrl) -> None:
    assert "ok: none was read yet" in streams_of_doctor(database)
    assert doctor._quarantine(database) == "empty"
    ran(database, "a", "succeeded", WELL)
    assert "ok: each was read to its end" in streams_of_doctor(database)
    ran(database, "b", "succeeded", NOT_PERMITTED, replace(WELL, outcome="behind"))
    text = streams_of_doctor(database)
    assert "ok: leads: refused, and never readable" in text
    assert f"{WELL.stream}: its API tokens are spent" in text
    ran(database, "c", "incomplete", NOT_PERMITTED, REFUSED)
    text = streams_of_doctor(database)
    assert "not complete: notes: refused, and readable before" in text


def test_history_without_runs_says_so(
    services: Services, database: DatabaseUrl, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor.show_history(services, Console(), 5, None, in_demo=False, as_json=False)
    assert capsys.readouterr().out == "no run yet\n"
    ran(database, "a", "behind")
    doctor.show_history(services, Console(), 5, None, in_demo=False, as_json=False)
    assert " behind " in capsys.readouterr().out


@pytest.mark.parametrize("embedded", [True, False])
def test_how_to_connect(embedded: bool) -> None:
    out = io.StringIO()
    show_connection(Console(out), "postgresql://me:secret@host/db", embedded=embedded)
    assert out.getvalue().startswith("Connect: psql 'postgresql://me")
    assert ("secret" in out.getvalue()) == embedded

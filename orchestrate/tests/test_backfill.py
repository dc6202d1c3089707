"""Backfills of histories: what is missing, in which order it is read, and when it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psycopg
import pytest
from stand_ins import (
    completed,
    executed,
    file_lines,
    job,
    loader_report,
    log_lines,
    meltano,
    tap_report,
    whole_run,
)

from pipeboard.commands import backfill
from pipeboard.commands.backfill import Backfiller, known_histories
from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import Environment, own_environment
from pipeboard.errors import PipeboardError
from pipeboard.paths import Paths
from pipeboard.run.history import End, begin, finish, latest
from pipeboard.run.ops import migrate_database
from pipeboard.run.run_lock import RunLock

HISTORY = job("backfill-history")
#: Deal 4 has a history; that of deal 3 was read before its last move.
WAREHOUSE = """
create schema pipedrive;
create table pipedrive.deals (
    id bigint, value numeric, status text, update_time timestamptz, stage_change_time timestamptz
);
create table pipedrive.deal_changelog_sync (deal_id bigint, synced_through timestamptz);
insert into pipedrive.deals values
    (1, 10, 'won', '2026-01-05', null), (2, 30, 'open', '2026-03-05', null),
    (3, 20, 'open', '2026-02-05', '2026-02-01'), (4, 99, 'open', '2026-02-05', '2026-02-01');
insert into pipedrive.deal_changelog_sync values (3, '2026-01-15'), (4, '2026-02-02');
"""


@pytest.fixture
def environment(tmp_path: Path, database: DatabaseUrl) -> Environment:
    migrate_database(database)
    return own_environment(Paths(tmp_path), {}, database.url, embedded=True)


@pytest.fixture
def warehouse(environment: Environment) -> Environment:
    with psycopg.connect(environment.database.url) as connection:
        connection.execute(WAREHOUSE.encode())
    return environment


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def filler(
    tmp_path: Path, environment: Environment, out: io.StringIO, checkout: None
) -> Callable[..., Backfiller]:
    def made(*, builds: bool = False) -> Backfiller:
        console = Console(out)
        return Backfiller(
            Paths(tmp_path), environment, {}, console, lambda: None, yes=True, builds=builds
        )

    return made


@pytest.fixture
def checkout(tmp_path: Path) -> None:
    (tmp_path / "meltano.yml").write_bytes((Path(__file__).parents[2] / "meltano.yml").read_bytes())


def reading(database: DatabaseUrl, folder: Path, **changed: object) -> list[str]:
    """Return the lines of a script that reads the histories it is told to; it notes which."""
    sql = "insert into pipedrive.deal_changelog_sync select id, now() from pipedrive.deals"
    return [
        f'echo $(cat "$PIPEBOARD_HISTORY_DEALS") >> {folder}/read',
        'ids=$(paste -sd, "$PIPEBOARD_HISTORY_DEALS")',
        executed(database.url, f"{sql} where id in ($ids)"),
        *file_lines('"$PIPEBOARD_RUN_REPORT"', tap_report(HISTORY, **changed)),
        *file_lines('"$PIPEBOARD_LOADER_REPORT"', loader_report(HISTORY)),
        *log_lines(completed()),
    ]


def runs(database: DatabaseUrl) -> list[tuple[str, str]]:
    """Return job and status of each run, oldest first."""
    with psycopg.connect(database.url) as connection:
        return [(run["job"], run["status"]) for run in reversed(latest(connection, 99))]


def test_missing_histories_are_read_best_deals_first_until_none_is_left(
    tmp_path: Path,
    warehouse: Environment,
    filler: Callable[..., Backfiller],
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backfill, "DEALS_A_RUN", 2)
    meltano(Paths(tmp_path), *reading(warehouse.database, tmp_path))
    assert filler().histories(None, None, 60_000) == ("succeeded", 0)
    assert (tmp_path / "read").read_text() == "2 3\n1\n"
    text = out.getvalue()
    assert "3 deals without history" in text
    assert "It may use 39,900 tokens a day" in text
    assert "0 deals without history are left" in text
    assert runs(warehouse.database) == [("backfill-history", "succeeded")] * 2
    # Again, there is nothing to do.
    assert filler().histories(None, None, None) == ("succeeded", 0)
    assert len(runs(warehouse.database)) == 2


def test_a_history_backfill_takes_a_day_and_a_number(
    tmp_path: Path, warehouse: Environment, filler: Callable[..., Backfiller], out: io.StringIO
) -> None:
    meltano(Paths(tmp_path), *reading(warehouse.database, tmp_path))
    filler().histories(date(2026, 2, 1), 1, None)
    assert "1 of 2 deals without history" in out.getvalue()
    assert (tmp_path / "read").read_text() == "2\n"
    assert "1 deals without history are left" in out.getvalue()


def test_deals_are_ordered_by_their_value_in_the_base_currency_where_it_is_known(
    tmp_path: Path, warehouse: Environment, filler: Callable[..., Backfiller]
) -> None:
    with psycopg.connect(warehouse.database.url) as connection:
        connection.execute("create schema marts")
        connection.execute("create table marts.fct_deal as select 1 as deal_id, 1000 as value_base")
    meltano(Paths(tmp_path), *reading(warehouse.database, tmp_path))
    filler().histories(None, 2, None)
    assert (tmp_path / "read").read_text() == "1 2\n"


def test_a_history_backfill_ends_with_the_tokens_of_the_day(
    tmp_path: Path, warehouse: Environment, filler: Callable[..., Backfiller]
) -> None:
    report = tap_report(HISTORY, exit_code=75, stopped="budget")
    for stream in report["streams"].values():
        stream["outcome"] = "behind"
    report["behind"] = sorted(report["streams"])
    script = reading(warehouse.database, tmp_path)
    start = script.index("cat > \"$PIPEBOARD_RUN_REPORT\" <<'END'")
    script[start + 1] = json.dumps(report)
    meltano(Paths(tmp_path), *script)
    assert filler().histories(None, None, None) == ("behind", 75)
    assert runs(warehouse.database) == [("backfill-history", "behind")]


def test_before_the_first_sync_there_is_nothing_to_read(
    filler: Callable[..., Backfiller], out: io.StringIO
) -> None:
    assert filler().histories(None, None, None) == ("succeeded", 0)
    assert "Run `make sync` first" in out.getvalue()


def test_a_second_backfill_is_skipped(
    environment: Environment, filler: Callable[..., Backfiller]
) -> None:
    lock = RunLock(environment.database, "backfill", "first")
    assert lock.take()
    assert filler().histories(None, None, None) == ("skipped", 0)
    assert filler().full([], None, restart=False) == ("skipped", 0)
    lock.close()


@pytest.mark.parametrize("built", [True, False])
def test_the_marts_are_built_after_the_last_run(
    tmp_path: Path,
    warehouse: Environment,
    filler: Callable[..., Backfiller],
    out: io.StringIO,
    built: bool,
) -> None:
    """Or by the next sync, if one is running."""
    script = reading(warehouse.database, tmp_path)
    meltano(Paths(tmp_path), 'case "$*" in *build) exit 3 ;; esac', *script)
    lock = RunLock(warehouse.database, "main", "sync")
    assert built or lock.take()
    given = {"PIPEBOARD_WAIT_SECONDS": "0"}
    found = filler(builds=True)
    found = Backfiller(**{**vars(found), "given": given})
    status, code = found.histories(None, None, None)
    if built:
        assert (status, code) == ("failed", 1), out.getvalue()
    else:
        assert (status, code) == ("succeeded", 0)
        assert "The marts were not built; the next sync does it." in out.getvalue()
    lock.close()


def test_a_backfill_that_fails_builds_nothing(
    tmp_path: Path, warehouse: Environment, filler: Callable[..., Backfiller]
) -> None:
    meltano(Paths(tmp_path), "exit 1")
    assert filler(builds=True).histories(None, None, None).status == "failed"
    assert runs(warehouse.database) == [("backfill-history", "failed")]


def test_a_question_on_a_terminal_can_be_declined(
    warehouse: Environment,
    filler: Callable[..., Backfiller],
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    found = filler()
    found = Backfiller(**{**vars(found), "console": Console(Terminal()), "yes": False})
    assert found.histories(None, None, None) == ("skipped", 0)
    assert runs(warehouse.database) == []


def test_a_backfill_that_was_not_done_goes_on_or_is_discarded(
    tmp_path: Path,
    environment: Environment,
    filler: Callable[..., Backfiller],
    out: io.StringIO,
) -> None:
    """It goes on with its own state; one for other streams, or another day, begins anew."""
    paths, since = Paths(tmp_path), date(2026, 1, 1)
    given = '"$TAP_PIPEDRIVE_BACKFILL__SELECT_FILTER $PIPEDRIVE_START_DATE"'
    planned = 'case "$*" in *log-level=error*) echo "deals  2  30  exact"; exit 0 ;; esac'
    noted = f"echo {given} $MELTANO_RUN_STATE_ID_SUFFIX >> {tmp_path}/given"
    meltano(paths, planned, noted, "exit 1")
    for streams, day, restart in (
        ([], None, False), ([], None, False), (["deals"], since, False), (["deals"], since, True),
    ):  # fmt: skip
        assert filler().full(streams, day, restart=restart).status == "failed"
    meltano(paths, planned, noted, *whole_run(job("backfill")))
    assert filler().full([], None, restart=False) == ("succeeded", 0), out.getvalue()

    with psycopg.connect(environment.database.url) as connection:
        query = "select backfill_id, streams, is_complete from ops.backfill order by started_at"
        first, second, third, fourth = connection.execute(query).fetchall()
    assert [first[1:], second[1:], third[1:], fourth[1:]] == [
        ([], False), (["deals"], False), (["deals"], False), ([], True),
    ]  # fmt: skip
    runs_of = [first[0], first[0], second[0], third[0], fourth[0]]
    lines = (tmp_path / "given").read_text().splitlines()
    assert [line.split("-")[-1] for line in lines] == [run.split("-")[-1] for run in runs_of]
    assert [line.startswith('["deals"] 2026-01-01') for line in lines] == [
        False, False, True, True, False,
    ]  # fmt: skip
    notes = [line.partition(" ")[2].strip() for line in out.getvalue().splitlines()]
    assert f"{first[0]} goes on: everything" in notes
    assert f"{second[0]} begins: deals" in notes
    for discarded in (first, second, third):
        assert f"{discarded[0]} is not done, and will be discarded" in notes


def test_a_sync_gets_the_known_histories_until_it_has_caught_up(
    tmp_path: Path, warehouse: Environment
) -> None:
    paths = Paths(tmp_path)
    found = known_histories(paths, warehouse)
    lines = Path(found["PIPEBOARD_HISTORY_KNOWN"]).read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["3", "4"]
    with psycopg.connect(warehouse.database.url) as connection:
        begin(connection, "a", job("sync"), "dev")
        finish(connection, "a", End("succeeded", 0, details={"behind": ["deal_changelog"]}))
    assert known_histories(paths, warehouse) == found
    with psycopg.connect(warehouse.database.url) as connection:
        begin(connection, "b", job("sync"), "dev")
        finish(connection, "b", End("succeeded", 0, details={"behind": []}))
    assert known_histories(paths, warehouse) == {}


def test_a_plan_that_names_no_stream_of_the_job_is_refused() -> None:
    with pytest.raises(PipeboardError, match="no stream of this job is called dealz"):
        backfill.check_streams(job("backfill"), {}, ["dealz"])

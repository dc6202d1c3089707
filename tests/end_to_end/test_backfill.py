"""Backfills: most valuable deals first, within the day's tokens, over days and kills."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from conftest import every_other_day
from project_under_test import Site, alive, make_site, until

from pipeboard.local.embedded_postgres import EmbeddedPostgres

DAILY = {"PIPEDRIVE_DAILY_TOKENS": "2000"}
HISTORY = ("backfill", "--history", "--no-build")


@pytest.fixture(scope="module")
def site(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An account whose deals are loaded, and none of their histories."""
    with make_site(server, tmp_path_factory.mktemp("backfilled site")) as found:
        first = found.checkout.run(
            *("run", "tap-pipedrive", "target-postgres"),
            name="meltano",
            **found.environ,
            TAP_PIPEDRIVE_CHANGELOG_MODE="off",
        )
        assert first.code == 0, first.err[-3000:]
        yield found


def marks(site: Site) -> set[int]:
    return {i for (i,) in site.query("select deal_id from pipedrive.deal_changelog_sync")}


def logs_read(site: Site) -> int:
    stats = site.control("stats", method="GET")
    return int(stats["operations"].get("getDealChangelog", {}).get("calls", 0))


def test_a_backfill_resumes_on_the_next_day_and_after_a_kill(site: Site) -> None:
    by_value = [
        i for (i,) in site.query("select id from pipedrive.deals order by value desc nulls last")
    ]
    first = site.run(*HISTORY, **DAILY)
    assert first.code == 75, first.out + first.err
    assert f"{len(by_value):,} deals without history" in first.out
    assert "It may use 1,330 tokens a day: about 2 days." in first.out
    known = marks(site)
    assert 45 <= len(known) <= 75, "what its share of the day's tokens buys"
    values = dict(site.query("select id, coalesce(value, 0) from pipedrive.deals"))
    assert min(values[i] for i in known) >= max(values[i] for i in set(by_value) - known)
    # A history that was read before the deal's last move is missing, too.
    ((moved, at),) = site.query(
        "update pipedrive.deal_changelog_sync as known "
        "set synced_through = deals.stage_change_time - interval '1 hour' from pipedrive.deals "
        "where known.deal_id = deals.id and deals.id = (select min(id) from pipedrive.deals "
        "inner join pipedrive.deal_changelog_sync on deal_id = id "
        "where stage_change_time is not null) returning deals.id, deals.stage_change_time"
    )

    # The next day; killed in the middle.
    site.control("clock", {"advance_seconds": 86_400})
    with site.slow(after=10):
        live = site.start(*HISTORY, **DAILY)
        until("a backfill in the middle", site.is_slow)
        parts = live.parts()
        live.end(signal.SIGKILL)
        until("the end of all its parts", lambda: not any(map(alive, parts.values())), 45)
    second = site.run(*HISTORY, **DAILY)
    assert second.code == 75, "the killed one spent of this day's tokens"
    site.control("clock", {"advance_seconds": 86_400})
    second = site.run(*HISTORY, **DAILY)
    assert second.code == 0, second.out + second.err
    assert marks(site) == set(by_value)
    read = "select deal_id from pipedrive.deal_changelog_sync where synced_through >= %s"
    assert (moved,) in site.query(read, at)
    assert "0 deals without history are left" in second.out
    assert logs_read(site) <= len(by_value) + 40, "paid twice: what the kill cost at the most"
    assert site.query(
        "select status from ops.etl_run where pipeline = 'backfill' order by started_at"
    ) == [("behind",), ("abandoned",), ("behind",), ("succeeded",)]


def test_a_sync_does_not_pay_for_what_a_backfill_read(site: Site) -> None:
    site.control("stats/reset", {})
    live = site.start("run", "sync")
    until("the histories of a sync", lambda: _is_past_deals(site))
    live.end()
    assert logs_read(site) < 10


def _is_past_deals(site: Site) -> bool:
    stats = site.control("stats", method="GET")
    return "getUsers" in stats["operations"] and site.query(
        "select count(*) > 0 from ops.stream_load as l join ops.etl_run as r using (run_id) "
        "where r.job = 'sync'"
    ) == [(True,)]


@every_other_day(0)
def test_a_full_backfill_resumes_where_it_stopped(site: Site) -> None:
    site.control("clock", {"advance_seconds": 86_400})
    arguments = ("backfill", "--streams", "deals,deal_changelog,deal_changelog_sync", "--no-build")
    site.control("stats/reset", {})
    first = site.run(*arguments, **DAILY)
    assert first.code == 75, first.out + first.err
    # A wrong word, or another wish that nobody confirmed, discards nothing.
    wrong = site.run("backfill", "--streams", "dealz", "--no-build")
    assert (wrong.code, "no stream of this job is called dealz" in wrong.err) == (64, True)
    once = logs_read(site)
    assert 0 < once < len(marks(site)), first.out
    site.control("clock", {"advance_seconds": 86_400})
    second = site.run(*arguments, **DAILY)
    assert second.code == 0, second.out + second.err
    assert "goes on: deals" in second.out
    assert logs_read(site) <= len(marks(site)) + 10, "begun once"
    assert site.query("select is_complete from ops.backfill") == [(True,)]

"""A parent record that cannot be read is read again later; a refused stream is refused."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pipedrive_simulator.testing import running_simulator
from scripted_server import scripted_server
from tap_runs import Output, run_tap

from tap_pipedrive import errors
from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.responses import Page
from tap_pipedrive.state.parents import (
    MOST_NOTED,
    MOST_RETRIED,
    MOST_TRIES,
    REFUSALS_IN_A_ROW,
    Parents,
    Refusals,
)
from tap_pipedrive.streams.changelogs import MOST_PAGES, read_log
from tap_pipedrive.sync.deal_history import LogRequest
from tap_pipedrive.tap import TapPipedrive

Sync = Callable[..., Output]
LOGS = {"deals", "deal_changelog", "deal_changelog_sync"}


@pytest.fixture
def simulator() -> Iterator[Any]:
    with running_simulator(deals=40, seed=7) as running:
        yield running


@pytest.fixture
def moved(simulator: Any) -> int:
    """A deal that changed its stage."""
    return next(
        d["id"] for d in simulator.truth("deals")
        if d["_listed"] and LogRequest.of(d).moved_at and not d["is_archived"]
    )  # fmt: skip


def fail(simulator: Any, kind: str, path: str, **more: Any) -> None:
    simulator.control("POST", "faults", {"kind": kind, "path": path, **more})


def marks(output: Output) -> dict[int, dict[str, Any]]:
    return {mark["deal_id"]: mark for mark in output.records["deal_changelog_sync"]}


def log_calls(simulator: Any) -> list[str]:
    requested = simulator.control("GET", "requests", operation="getDealChangelog")
    return [call["path"] for call in requested]


HOLLOW_LOG = '{"success":true,"data":[],"additional_data":{"next_cursor":null}}'
REFUSALS: list[dict[str, Any]] = [
    {"kind": "403"}, {"kind": "removed", "status": 404}, {"kind": "removed", "status": 410},
    {"kind": "hollow", "value": HOLLOW_LOG}, {"kind": "more_for_ever"},
]  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
def test_an_unreadable_log_is_read_again_in_the_next_run(
    simulator: Any, sync: Sync, tmp_path: Any, moved: int, refusal: dict[str, Any]
) -> None:
    simulator.account.advance_clock(5)
    fail(simulator, path=f"*/deals/{moved}/changelog", **refusal)
    first = sync(only=LOGS, state_dir=str(tmp_path))
    listed = {d["id"] for d in simulator.truth("deals") if d["_listed"]}
    assert marks(first).keys() >= listed
    assert [i for i, mark in marks(first).items() if not mark["complete"]] == [moved]
    assert first.state["bookmarks"]["deal_changelog"]["again"][str(moved)][0] == 0

    simulator.control("POST", "stats/reset")
    second = sync(first.state, only=LOGS, state_dir=str(tmp_path))
    assert set(log_calls(simulator)) <= {
        f"/api/v1/deals/{moved}/changelog",
        f"/api/v1/deals/{first.state['bookmarks']['deal_changelog']['readable_parent']}/changelog",
    }
    assert marks(second)[moved]["complete"] is False
    tries, at, *_ = second.state["bookmarks"]["deal_changelog"]["again"][str(moved)]
    assert tries == 1 and at > second.state["bookmarks"]["deal_changelog"]["partitions"][0][
        "replication_key_value"
    ]  # fmt: skip

    simulator.control("DELETE", "faults")
    simulator.control("POST", "stats/reset")
    third = sync(second.state, only=LOGS, state_dir=str(tmp_path))
    assert not marks(third) and not log_calls(simulator), "its time has not come"
    simulator.control("POST", "clock", {"advance_seconds": 3700})
    fourth = sync(third.state, only=LOGS, state_dir=str(tmp_path))
    assert marks(fourth)[moved]["complete"] is True
    assert [r for r in fourth.records["deal_changelog"] if r["deal_id"] == moved]
    assert "again" not in fourth.state["bookmarks"]["deal_changelog"]


def test_a_log_without_the_change_of_stage_is_incomplete() -> None:
    deal = {
        "id": 1,
        "add_time": "2026-01-01T00:00:00Z",
        "stage_change_time": "2026-01-05T10:00:00Z",
        "close_time": None,
    }
    row = {"field_key": "stage_id", "time": "2026-01-05T10:00:02Z"}
    assert LogRequest.of(deal).is_proved_by([row])
    for rows in ([], [{**row, "field_key": "title"}], [{**row, "time": "2026-01-04T10:00:00Z"}],
                 [{**row, "time": None}], [{**row, "time": "yesterday"}]):  # fmt: skip
        assert not LogRequest.of(deal).is_proved_by(rows), rows
    never_moved = {**deal, "stage_change_time": deal["add_time"]}
    assert LogRequest.of(never_moved).is_proved_by([])
    closed = {**never_moved, "close_time": "2026-02-01T00:00:00Z"}
    assert not LogRequest.of(closed).is_proved_by([])
    assert LogRequest.of(closed).is_proved_by([{**row, "field_key": "status"}])
    assert LogRequest.of({"id": 1, "stage_change_time": None}).is_proved_by([])


def test_a_log_with_a_refused_cursor_is_incomplete(simulator: Any, sync: Sync) -> None:
    fail(simulator, "expired_cursor", "*/changelog")
    output = sync(only=LOGS, page_size=5)
    found = marks(output)
    partial = {i: m for i, m in found.items() if not m["complete"]}
    assert partial and len(partial) < len(found)
    assert all(m["pages"] == 1 for m in partial.values())
    simulator.control("DELETE", "faults")
    whole = {r["id"] for r in sync(only=LOGS).records["deal_changelog"]}
    got = output.records["deal_changelog"]
    assert {r["id"] for r in got} < whole, "nothing else than what a whole log holds"
    assert {r["deal_id"] for r in got} & partial.keys()


def test_a_log_with_a_repeated_page_is_incomplete_without_duplicates(
    config: dict[str, Any],
) -> None:
    rows = [{"time": f"2026-01-01 00:00:0{n}", "field_key": "stage_id"} for n in (3, 2, 1)]
    body = {"success": True, "data": rows, "additional_data": {"next_cursor": "again"}}
    with scripted_server() as server:
        server.answer(200, body)
        tap = TapPipedrive(config={**config, "api_url": server.url})
        log: Any = tap.streams["deal_changelog"]
        found, pages, error = read_log(log, log.list_operation(), "deal_id", 1)
        tap.run_context.client.close()
    assert len(server.requested) == pages == 2
    assert isinstance(error, errors.UnexpectedAnswerError) and "circle" in str(error)
    assert [row["time"][-3:] for row in found] == ["02Z", "03Z"], "the oldest second may lack some"


def test_an_endless_log_is_incomplete() -> None:
    class Endless:
        def pages(self, *_: Any, **__: Any) -> Iterator[Page]:
            for number in itertools.count():
                yield Page([{"time": "2026-01-05 10:00:02", "field_key": f"f{number}"}])

    stream: Any = Endless()
    _, pages, error = read_log(stream, operation("v1 /deals/{id}/changelog"), "deal_id", 1)
    assert pages == MOST_PAGES
    assert "does not end" in str(error)


@pytest.mark.parametrize("kind", ["403", "removed"])
def test_a_stream_is_refused_when_every_parent_is(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    fail(simulator, kind, "*/changelog")
    first = sync(only=LOGS)
    assert first.records["deals"]
    assert len(log_calls(simulator)) <= REFUSALS_IN_A_ROW + 6, "and those that were under way"
    assert "left out: GET /api/v1/deals/{id}/changelog" in caplog.text
    simulator.control("DELETE", "faults")
    second = sync(first.state, only=LOGS)
    listed = {d["id"] for d in simulator.truth("deals") if d["_listed"]}
    assert marks(second).keys() == listed, "nothing of it was passed over"


def test_a_lost_permission_refuses_the_stream(
    simulator: Any, sync: Sync, tmp_path: Any, moved: int
) -> None:
    first = sync(only=LOGS, state_dir=str(tmp_path))
    simulator.control("POST", "clock", {"advance_seconds": 3600})
    stages = [s["id"] for s in simulator.truth("stages")]
    deal = next(d for d in simulator.truth("deals") if d["id"] == moved)
    simulator.account.move_deal(moved, stage_id=next(s for s in stages if s != deal["stage_id"]))
    fail(simulator, "403", "*/changelog")
    with pytest.raises(errors.NotPermittedError, match="could be read before"):
        sync(first.state, only=LOGS, state_dir=str(tmp_path))
    state = run_tap.last.state  # type: ignore[attr-defined]
    simulator.control("DELETE", "faults")
    third = sync(state, only=LOGS, state_dir=str(tmp_path))
    assert marks(third)[moved]["complete"]


def test_listed_histories_go_on_after_a_refused_deal(
    simulator: Any, sync: Sync, tmp_path: Any, moved: int
) -> None:
    listed = sorted(d["id"] for d in simulator.truth("deals") if d["_listed"])
    file = tmp_path / "deals"
    file.write_text("\n".join(map(str, listed)))
    fail(simulator, "403", f"*/deals/{moved}/changelog")
    output = sync(only=LOGS - {"deals"}, history_deals_file=str(file))
    found = marks(output)
    assert sorted(found) == listed
    assert [i for i, mark in found.items() if not mark["complete"]] == [moved]


@pytest.mark.parametrize(
    ("stream", "parent", "path"),
    [
        ("person_changelog", "persons", "*/persons/{}/changelog"),
        ("product_variations", "products", "*/products/{}/variations"),
        ("note_comments", "notes", "*/notes/{}/comments"),
        ("deal_followers", "deals", "*/deals/{}/followers"),
    ],
)
def test_other_per_record_streams_go_on(
    simulator: Any, sync: Sync, stream: str, parent: str, path: str
) -> None:
    plain = sync(only={parent, stream})
    parent_key = {"persons": "person_id", "products": "product_id", "notes": "note_id",
                  "deals": "deal_id"}[parent]  # fmt: skip
    rows = plain.records[stream]
    if not rows:
        pytest.skip(f"no {stream} in this account")
    refused = rows[0][parent_key]
    fail(simulator, "403", path.format(refused))
    first = sync(only={parent, stream})
    assert [r for r in rows if r[parent_key] != refused] == first.records[stream]
    assert str(refused) in first.state["bookmarks"][stream]["again"]
    simulator.control("DELETE", "faults")
    second = sync(first.state, only={parent, stream})
    assert [r for r in rows if r[parent_key] == refused] == [
        r for r in second.records[stream] if r[parent_key] == refused
    ]
    assert "again" not in second.state["bookmarks"][stream]


def test_a_stream_of_several_lists_leaves_out_a_refused_one(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    only = {"role_assignments"}
    plain = sync(only=only).records["role_assignments"]
    role = plain[0]["role_id"]
    fail(simulator, "403", f"*/roles/{role}/assignments")
    first = sync(only=only)
    assert first.records["role_assignments"] == [r for r in plain if r["role_id"] != role]
    assert not sync(only=only, sweep=True).versions, "what was not seen may be there"
    simulator.control("DELETE", "faults")
    assert sync(first.state, only=only).records["role_assignments"] == plain


# -- the memory ----------------------------------------------------------------------------------

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def parents(state: dict[str, Any], now: datetime) -> Parents:
    return Parents(state, lambda _: True, lambda: now, logging.getLogger("test"))


def test_retries_of_a_parent_become_rarer_and_end() -> None:
    state: dict[str, Any] = {}
    parents(state, NOW).incomplete(7, "known")
    hours = 0
    requested_at = []
    while state.get("again") and hours < 10_000:
        run = parents(state, NOW + timedelta(hours=hours))
        for parent_id, known in run.due():
            assert (parent_id, known) == (7, ["known"])
            requested_at.append(hours)
            run.incomplete(parent_id, *known)
        hours += 1
    assert requested_at == [0, 1, 5, 21, 85, 341] and len(requested_at) == MOST_TRIES


def test_the_number_of_noted_parents_is_bounded() -> None:
    state: dict[str, Any] = {}
    run = parents(state, NOW)
    for parent_id in range(5000):
        run.incomplete(parent_id, "2026-01-01T00:00:00Z", None)
    assert len(state["again"]) == MOST_NOTED and len(json.dumps(state)) < 20_000
    assert not list(run.due()), "not in the same run"
    assert len(list(parents(state, NOW).due())) == MOST_RETRIED


def test_refusals_in_a_row_refuse_the_stream_unless_another_parent_is_readable() -> None:
    error = errors.ForbiddenError("no")
    refusals = Refusals()
    with pytest.raises(errors.ForbiddenError):
        for _ in range(REFUSALS_IN_A_ROW):
            refusals.refused(error)
    checks = []
    refusals = Refusals(lambda: bool(checks.append(1)) or True)
    for _ in range(3 * REFUSALS_IN_A_ROW):
        refusals.refused(error)
    refusals.finish()
    assert len(checks) == 3
    with pytest.raises(errors.ForbiddenError):
        one = Refusals(lambda: False)
        one.refused(error)
        one.finish()
    some = Refusals(lambda: False)
    some.succeeded()
    some.refused(error)
    some.finish()

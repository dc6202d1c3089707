"""Which logs of deals are read, in which order, and what is sent and noted about each."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pipedrive_simulator.testing import running_simulator
from tap_runs import Output, run_tap

from tap_pipedrive.api.lenient_json import SetAsideValues
from tap_pipedrive.context import RunContext
from tap_pipedrive.errors import ConfigurationError
from tap_pipedrive.sync import deal_history
from tap_pipedrive.sync.deal_history import DealHistory, LogRequest
from tap_pipedrive.tap import TapPipedrive

Sync = Callable[..., Output]
LOGS = {"deal_changelog", "deal_changelog_sync"}
SINCE = "2026-01-10T00:00:00Z"
DEAL = {
    "id": 1, "status": "open", "add_time": "2026-01-01T00:00:00Z",
    "stage_change_time": "2026-01-02T00:00:00Z", "close_time": None, "is_deleted": False,
    "update_time": "2026-01-20T00:00:00Z",
}  # fmt: skip


@pytest.fixture
def simulator() -> Iterator[Any]:
    with running_simulator(deals=14, seed=7) as running:
        running.account.advance_clock(600)
        yield running


def calls(simulator: Any) -> list[int]:
    """The deals whose logs were requested, in order."""
    requested = simulator.control("GET", "requests", operation="getDealChangelog")
    return [int(call["path"].split("/")[-2]) for call in requested]


def listed(simulator: Any) -> list[dict[str, Any]]:
    return [deal for deal in simulator.truth("deals") if deal["_listed"]]


def marks(output: Output) -> dict[int, dict[str, Any]]:
    return {mark["deal_id"]: mark for mark in output.records["deal_changelog_sync"]}


# -- which logs ----------------------------------------------------------------------------------


@cache
def history(**settings: Any) -> DealHistory:
    """The history of a run that has seen `DEAL` open and has requested nothing."""
    tap = TapPipedrive(config={"api_token": "0" * 40, "api_url": "http://127.0.0.1:9", **settings})
    tap.run_context.seen_deals.add(DEAL)
    return tap._deal_history


@pytest.mark.parametrize(
    ("change", "is_read"),
    [
        ({}, False),
        *(({name: SINCE}, True) for name in ("add_time", "stage_change_time", "close_time")),
        ({"stage_change_time": "2026-01-09T23:59:59Z"}, False),
        ({"stage_change_time": None, "add_time": None}, False),
        ({"status": "won", "close_time": "2026-01-03T00:00:00Z"}, False),
        ({"status": "won"}, True),
        ({"status": "lost", "close_time": ""}, True),
        ({"is_deleted": True}, True),
        ({"_extra": SetAsideValues(close_time="yesterday")}, True),
        ({"_extra": SetAsideValues(label="x")}, False),
        ({"_extra": {"close_time": "a property of the source"}}, False),
        ({"id": 2}, True),
    ],
)
def test_the_log_of_a_deal_that_may_have_moved_is_read(
    change: dict[str, Any], is_read: bool
) -> None:
    deal = {**DEAL, **change}
    assert history()._may_have_moved(deal, SINCE) is is_read
    assert history(changelog_mode="full")._may_have_moved(deal, SINCE)
    assert history()._may_have_moved(deal, None), "the first scan"


def test_a_first_scan_leaves_out_the_logs_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "known").write_text("1 2000000000\n")
    for mode in ("gated", "full"):
        known = history(history_known_file=str(tmp_path / "known"), changelog_mode=mode)
        assert not known._may_have_moved(DEAL, None)
        assert known._may_have_moved({**DEAL, "id": 2}, None)


def test_mode_off_reads_no_log(simulator: Any, sync: Sync) -> None:
    output = sync(only=LOGS, changelog_mode="off")
    assert not calls(simulator)
    assert not output.records["deal_changelog"] and not output.records["deal_changelog_sync"]
    again = {"7": [0, "2026-01-01T00:00:00Z", 7, None, None]}
    output.state["bookmarks"]["deal_changelog"]["again"] = again
    sync(output.state, only=LOGS, changelog_mode="off")
    assert not calls(simulator)
    off = history(changelog_mode="off")
    off.on_deal({**DEAL, "id": 3}, None)
    assert off._run.seen_deals.may_have_returned({**DEAL, "id": 3}), "its log was not sent"


@pytest.mark.parametrize("only", [{"deal_changelog"}, {"deal_changelog_sync"}])
def test_either_stream_alone_reads_each_log_once(
    simulator: Any, sync: Sync, only: set[str]
) -> None:
    output = sync(only=only)
    assert sorted(calls(simulator)) == sorted(deal["id"] for deal in listed(simulator))
    assert {name for name, rows in output.records.items() if rows} == only


def test_a_test_run_prefetches_no_log(simulator: Any, config: dict[str, Any]) -> None:
    tap = TapPipedrive(config=config)
    stream: Any = tap.streams["deal_changelog"]
    stream.ABORT_AT_RECORD_COUNT = 1
    tap._deal_history.begin_scan([stream])
    tap._deal_history.expect(listed(simulator), None)
    tap._deal_history.close()
    assert not calls(simulator)
    stream.ABORT_AT_RECORD_COUNT = None
    tap._deal_history.expect(listed(simulator), None)
    tap._deal_history.close()
    assert calls(simulator)
    tap.run_context.close(wait=True)


def test_the_mark_says_what_was_read_and_when(simulator: Any, sync: Sync) -> None:
    output = sync(only=LOGS)
    now = simulator.account.clock.text()
    rows = output.records["deal_changelog"]
    for deal in listed(simulator):
        of_deal = [row for row in rows if row["deal_id"] == deal["id"]]
        assert marks(output)[deal["id"]] == {
            "deal_id": deal["id"], "synced_through": now, "pages": 1, "events": len(of_deal),
            "complete": True,
        }  # fmt: skip
    sent = [stream for kind, stream in output.order if kind == "RECORD"]
    first = next(deal_id for deal_id in calls(simulator) if marks(output)[deal_id]["events"])
    rows_before = sent.index("deal_changelog")
    assert marks(output)[first]["events"] and rows_before < sent.index(
        "deal_changelog_sync", rows_before
    ), "the mark comes after the rows"


# -- what a log must show ------------------------------------------------------------------------


def test_a_request_has_the_facts_that_a_log_must_show() -> None:
    moved, closed = "2026-01-01T00:00:06Z", "2026-01-01T00:00:05.5Z"
    deal = {**DEAL, "stage_change_time": moved, "close_time": closed}
    assert LogRequest.of(deal) == (1, moved, closed, False)
    assert LogRequest.of({**deal, "is_deleted": True}).is_deleted is True
    at_once = "2026-01-01T00:00:05Z"
    deal = {**deal, "stage_change_time": at_once, "close_time": at_once}
    assert LogRequest.of(deal) == (1, None, None, False), "it was added so"
    assert LogRequest.of({"id": 1, "close_time": closed}) == (1, None, None, False)
    unknown = LogRequest.of({**DEAL, "stage_change_time": "never"})
    assert unknown.moved_at == "never", "what is no time proves nothing"
    assert LogRequest(3) == (3, None, None, False)


@pytest.mark.parametrize(
    ("second", "is_proof"), [("00", False), ("01", True), ("11", True), ("12", False)]
)
def test_a_move_is_proved_by_a_row_of_about_its_time(second: str, is_proof: bool) -> None:
    request = LogRequest(1, moved_at="2026-01-02T00:00:06Z")
    row = {"field_key": "stage_id", "time": f"2026-01-02T00:00:{second}Z"}
    assert request.is_proved_by([{"field_key": "title", "time": None}, row]) is is_proof


# -- incomplete logs -----------------------------------------------------------------------------


@pytest.fixture
def moved(simulator: Any) -> dict[str, Any]:
    """A deal that changed its stage and was closed later."""
    return next(
        deal for deal in listed(simulator)
        if all(LogRequest.of(deal)[1:3]) and not deal["is_archived"]
    )  # fmt: skip


EMPTY_LOG = '{"success":true,"data":[],"additional_data":{"next_cursor":null}}'


def test_an_incomplete_log_is_reported_and_noted(
    simulator: Any, sync: Sync, moved: dict[str, Any], caplog: pytest.LogCaptureFixture,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = f"*/deals/{moved['id']}/changelog"
    simulator.control("POST", "faults", {"kind": "hollow", "value": EMPTY_LOG, "path": path})
    monkeypatch.setenv("PIPEBOARD_RUN_REPORT", str(tmp_path / "report"))
    output = sync(only=LOGS)
    assert (
        f"the log of deal {moved['id']} is incomplete: the log lacks the move of "
        f"{moved['stage_change_time']}"
    ) in caplog.messages
    reported = json.loads((tmp_path / "report").read_text())["streams"]
    assert reported["deal_changelog"]["incomplete_parents"] == 1
    assert reported["deal_changelog_sync"]["incomplete_parents"] == 0
    state = output.state["bookmarks"]["deal_changelog"]
    (noted,) = state["again"].values()
    assert noted == [
        0, simulator.account.clock.text(), moved["id"], moved["stage_change_time"],
        moved["close_time"],
    ]  # fmt: skip
    assert marks(output)[moved["id"]]["complete"] is False
    simulator.control("DELETE", "faults")
    again = sync(output.state, only=LOGS)
    assert marks(again)[moved["id"]]["complete"] is True
    assert "again" not in again.state["bookmarks"]["deal_changelog"]


def test_a_log_that_lacks_all_of_a_closed_deal_is_incomplete(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    deal = simulator.account.create_deal()
    simulator.account.advance_clock(60)
    simulator.account.win_deal(deal.id)
    path = f"*/deals/{deal.id}/changelog"
    simulator.control("POST", "faults", {"kind": "hollow", "value": EMPTY_LOG, "path": path})
    sync(only=LOGS)
    lacks = f"the log of deal {deal.id} is incomplete: the log lacks the move of {deal.close_time}"
    assert lacks in caplog.messages


def test_a_refused_log_names_the_refusal(
    simulator: Any, sync: Sync, moved: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = f"*/deals/{moved['id']}/changelog"
    simulator.control("POST", "faults", {"kind": "403", "path": path})
    output = sync(only=LOGS)
    (line,) = [text for text in caplog.messages if "is incomplete" in text]
    assert line.startswith(f"the log of deal {moved['id']} is incomplete: GET ") and "403" in line
    assert marks(output)[moved["id"]]["pages"] == 0


def test_a_deal_that_changed_otherwise_costs_no_log(
    simulator: Any, sync: Sync, tmp_path: Path
) -> None:
    first = sync(only=LOGS, state_dir=str(tmp_path))
    simulator.account.advance_clock(3600)
    for deal in [d for d in listed(simulator) if d["status"] == "open"][:3]:
        simulator.account.update_deal(deal["id"], value=1.0)
    simulator.account.advance_clock(60)
    simulator.control("POST", "stats/reset")
    sync(first.state, only=LOGS, state_dir=str(tmp_path))
    assert not calls(simulator)


def test_deleted_deals_whose_logs_are_gone_do_not_refuse_the_stream(
    simulator: Any, sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEBOARD_RUN_REPORT", str(tmp_path / "report"))
    for deal in [d for d in listed(simulator) if not d["is_archived"]][:8]:
        simulator.account.delete_deal(deal["id"])
        path = f"*/deals/{deal['id']}/changelog"
        simulator.control("POST", "faults", {"kind": "removed", "status": 404, "path": path})
    output = sync(only=LOGS)
    assert marks(output).keys() == {deal["id"] for deal in listed(simulator)}
    assert sum(mark["complete"] for mark in marks(output).values()) == len(listed(simulator)) - 8
    reported = json.loads((tmp_path / "report").read_text())["streams"]
    assert reported["deal_changelog"]["incomplete_parents"] == 8


# -- a file of deals -----------------------------------------------------------------------------


def test_a_file_of_deals_is_read_with_checkpoints(
    simulator: Any, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deal_history, "_DEALS_PER_CHECKPOINT", 3)
    checkpoints = []
    checkpoint = RunContext.checkpoint

    def note(run: RunContext) -> None:
        checkpoints.append(run.writer.sent["deal_changelog_sync"])
        checkpoint(run)

    monkeypatch.setattr(RunContext, "checkpoint", note)
    wanted = [deal["id"] for deal in listed(simulator)][7::-1]
    (tmp_path / "deals").write_text("".join(f"{deal_id}\n" for deal_id in wanted))
    output = run_tap({**config, "history_deals_file": str(tmp_path / "deals")}, only=LOGS)
    assert [mark["deal_id"] for mark in output.records["deal_changelog_sync"]] == wanted
    assert sorted(calls(simulator)) == sorted(wanted)
    assert not simulator.control("GET", "requests", operation="getDeals"), "no list is read"
    assert {3, 6} < set(checkpoints), "after each third deal, and at the end"
    assert not {1, 2, 4, 5, 7} & set(checkpoints)
    (first,) = simulator.control("GET", "requests", operation="getPipelines")
    assert first["query"] == "limit=1"
    assert output.schemas.keys() == LOGS


@pytest.mark.parametrize("only", [LOGS, {"deal_changelog_sync"}, {"deal_changelog"}])
def test_a_deal_of_a_file_is_not_noted_to_be_read_again(
    simulator: Any, config: dict[str, Any], tmp_path: Path, only: set[str]
) -> None:
    wanted = [deal["id"] for deal in listed(simulator)][:3]
    (tmp_path / "deals").write_text("".join(f"{deal_id}\n" for deal_id in wanted))
    path = f"*/deals/{wanted[1]}/changelog"
    simulator.control("POST", "faults", {"kind": "403", "path": path})
    output = run_tap({**config, "history_deals_file": str(tmp_path / "deals")}, only=only)
    assert sorted(calls(simulator)) == sorted(wanted)
    assert "again" not in json.dumps(output.state)
    if "deal_changelog_sync" in only:
        assert [mark["complete"] for mark in output.records["deal_changelog_sync"]] == [
            True, False, True,
        ]  # fmt: skip


def test_a_file_of_deals_whose_logs_are_all_refused_refuses_the_stream(
    simulator: Any, config: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "deals").write_text("".join(f"{d['id']}\n" for d in listed(simulator)[:2]))
    simulator.control("POST", "faults", {"kind": "403", "path": "*/changelog"})
    caplog.set_level(logging.WARNING)
    run_tap({**config, "history_deals_file": str(tmp_path / "deals")}, only=LOGS)
    assert "deal_changelog is not permitted" in caplog.text


def test_a_file_that_is_no_list_of_ids_is_named(tmp_path: Path) -> None:
    (tmp_path / "deals").write_text("12\nthree\n")
    ids = deal_history._ids(str(tmp_path / "deals"))
    assert next(ids) == 12
    message = "^history_deals_file cannot be read as one id a line: .*three"
    with pytest.raises(ConfigurationError, match=message):
        next(ids)
    (tmp_path / "deals").write_bytes("1\n२\n".encode())
    with pytest.raises(ConfigurationError, match="ascii"):
        list(deal_history._ids(str(tmp_path / "deals")))

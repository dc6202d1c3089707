"""What seldom happens: each of these cases has a branch of its own."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from scripted_server import ScriptedServer, scripted_server
from tap_runs import Output, run_tap

from tap_pipedrive import errors, quarantine, termination
from tap_pipedrive.api import auth as auth_module
from tap_pipedrive.api.auth import ApiTokenAuth, OAuth
from tap_pipedrive.api.client import PipedriveClient
from tap_pipedrive.api.deadline import Deadline
from tap_pipedrive.api.lenient_json import NotJsonError, SetAsideValues, decode_body, lenient_record
from tap_pipedrive.api.limits.governor import Governor
from tap_pipedrive.api.limits.redis_store import _bytes, _checked
from tap_pipedrive.api.limits.store import LocalStore, StoreUnavailableError
from tap_pipedrive.api.openapi import documents, operation
from tap_pipedrive.api.pagination import MOST_STEPS_BACK, pages
from tap_pipedrive.api.records import PageReader, RecordShaper
from tap_pipedrive.context import RunContext
from tap_pipedrive.messages import PageWriter
from tap_pipedrive.reporting import metrics
from tap_pipedrive.state.bookmarks import version_of
from tap_pipedrive.state.definitions import Definitions, _decoded
from tap_pipedrive.state.references import field_names, values_of
from tap_pipedrive.state.seen_deals import _Bits
from tap_pipedrive.streams.outcomes import Outcome, StreamResult
from tap_pipedrive.streams.people import OrganizationRelationships
from tap_pipedrive.streams.stream_types import FullTableStream, _fingerprint
from tap_pipedrive.tap import TapPipedrive

Sync = Callable[..., Output]
PLAIN = {"api_token": "0" * 40, "api_url": "http://127.0.0.1:9"}
OAUTH = {"client_id": "an-app", "client_secret": "hush-hush", "refresh_token": "granted"}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


# -- connections ---------------------------------------------------------------------------------


def test_a_deadline_shuts_a_connection_that_comes_after_its_end() -> None:
    here, there = socket.socketpair()
    with here, there:
        deadline = Deadline(60)
        deadline.end()  # there is no connection yet
        deadline.note(here)
        assert there.recv(1) == b"", "the end of the stream"


def test_a_request_behind_a_proxy_has_a_deadline_too(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.answer(200, {"success": True, "data": [{"id": 1}]})
    client = PipedriveClient("http://account.invalid", ApiTokenAuth("0" * 40), timeout=5)
    assert client.get(operation("v1 /users"), stream="users").records == [{"id": 1}]
    client.close()
    assert server.requested[0][0] == "http://account.invalid/api/v1/users"


def test_a_server_without_tls_is_a_configuration_error(server: ScriptedServer) -> None:
    address = server.url.replace("http://", "https://")
    client = PipedriveClient(address, ApiTokenAuth("0" * 40), timeout=5)
    with pytest.raises(errors.ConfigurationError, match=r"TLS of 127\.0\.0\.1 could not"):
        client.get(operation("v1 /users"), stream="users")
    client.close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (503, b"", errors.RetriableError, "answers 503"),
        (429, b"", errors.RetriableError, "answers 429"),
        (400, {"error": "invalid_grant"}, errors.ConfigurationError, r"refuses the app \(inv"),
        (200, b"<html>", errors.ConfigurationError, r"refuses the app \(200\)"),
        (0, b"", errors.RetriableError, "while talking to 127"),
    ],
)
def test_an_access_token_that_cannot_be_renewed(
    server: ScriptedServer, status: int, body: Any, kind: type[Exception], says: str
) -> None:
    server.answer(status, body)
    with pytest.raises(kind, match=says) as failure:
        OAuth(**OAUTH, token_url=server.url, timeout=5).renew()
    assert type(failure.value) is kind
    assert "hush" not in str(failure.value)


def test_an_oauth_app_knows_the_address_of_its_company(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OAuth.__init__.__kwdefaults__, "token_url", f"{server.url}/oauth/token")
    server.answer(200, {"access_token": "one", "api_domain": "https://acme.example/"})
    context = RunContext({"oauth": OAUTH}, {}, PageWriter(), lambda _: None)
    assert context.base_url == "https://acme.example"
    assert context.client.base_url == "https://acme.example"
    context.close(wait=True)
    assert auth_module.TOKEN_URL.startswith("https://oauth.pipedrive.com/")


def test_an_access_token_is_used_until_its_end(server: ScriptedServer) -> None:
    server.answer(200, {"access_token": "one", "expires_in": 3600})
    app = OAuth(**OAUTH, token_url=server.url, timeout=5)
    for _ in range(2):
        assert app(requests.PreparedRequest.copy(PREPARED)).headers["Authorization"] == "Bearer one"
    assert len(server.requested) == 1
    assert repr(app) == "OAuth(***)"


PREPARED = requests.Request("GET", "http://127.0.0.1:9").prepare()


def test_a_spent_day_is_an_answer_of_another_operation(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One list keeps failing; the call that asks whether others work meets the daily limit."""
    monkeypatch.setattr("tap_pipedrive.api.client.MAX_TRIES", 1)
    server.answer(503, b"")
    server.answer(429, {"success": False}, x_daily_ratelimit_token_remaining="0")
    client = PipedriveClient(server.url, ApiTokenAuth("0" * 40), timeout=5)
    with pytest.raises(errors.OperationFailingError, match="while other operations work"):
        client.get(operation("v2 /deals"), stream="deals")
    client.close()


def test_another_value_than_the_stored_one_is_no_value_of_redis() -> None:
    with pytest.raises(StoreUnavailableError, match="TypeError: another value"):
        _checked(_bytes)(7)


# -- pages ---------------------------------------------------------------------------------------


def by_offset(*ids: int, more: bool = True) -> dict[str, Any]:
    counts = {"more_items_in_collection": more}
    return {"data": [{"id": i} for i in ids], "additional_data": {"pagination": counts}}


def test_a_list_that_changes_all_the_time_ends_the_read(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page lacks the last record of the page before, which was removed meanwhile."""
    monkeypatch.setattr("tap_pipedrive.api.limits.governor.WINDOW_SECONDS", 0.0)
    for number in range(5 * MOST_STEPS_BACK):
        server.answer(200, by_offset(2 * number, 2 * number + 1))
    client = PipedriveClient(server.url, ApiTokenAuth("0" * 40), timeout=5)
    with pytest.raises(errors.UnexpectedAnswerError, match="changes faster than it can be read"):
        list(pages(client, operation("v1 /notes"), stream="notes", limit=2))
    client.close()
    assert len(server.requested) <= 3 * MOST_STEPS_BACK


def test_records_without_a_name_differ_by_their_values(server: ScriptedServer) -> None:
    rows = [{"time": str(n)} for n in range(3)]
    answer = {"data": rows[:2], "additional_data": {"next_cursor": "c"}}
    server.answer(200, answer)
    server.answer(200, {"data": rows[2:], "additional_data": {"next_cursor": None}})
    client = PipedriveClient(server.url, ApiTokenAuth("0" * 40), timeout=5)
    log = operation("v1 /deals/{id}/changelog")
    found = list(pages(client, log, stream="log", limit=2, path={"id": 1}))
    client.close()
    assert [row for page in found for row in page.records] == rows


def test_a_page_reader_leaves_what_it_does_not_know() -> None:
    assert PageReader.of({"class": "string"}) is None, "no field may have this name"
    assert PageReader.of({"get": "string"}) is None, "a row has it already"
    reader = PageReader.of({"id": "integer", "o": "object"})
    assert reader is not None
    assert reader.read(b'{"success":false,"data":[]}') is None
    assert reader.read(b'{"data":[{"o":7}]}') is None
    page = reader.read(b'{"data":[{"id":5}]}')
    assert page is not None
    (row,) = page[0]
    assert row["id"] == 5
    with pytest.raises(KeyError, match="o"):
        _ = row["o"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b'{"data":[1}', b'{"data":[1]', b'{"data":[1]} x', b'{"data":[1,]}', b'x{"data":1}',
        b'{"data" 1}', b'{1:2}', b'{"data":[1]}{}', b'{"success":nul}', b'{"data":["a]}', b"}",
    ],
)  # fmt: skip
def test_a_body_that_is_not_whole_is_refused(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        decode_body(body)


def test_what_can_be_decoded_of_a_body_is_stored() -> None:
    body = decode_body(b'{"success":true,"data":{"a":NaN,"b":1},"more":NaN}')
    assert body.members == {"success": True, "data": {"a": None, "b": 1, "_extra": {"a": "NaN"}}}
    assert body.records is None
    assert decode_body(b"{}").members == {}
    found = lenient_record(
        b'{"a":[NaN,"\\ud800",{"b":NaN}],"_extra":{"x":1},"\xff":2,"d":{"e":{"f":NaN}}}'
    )
    assert found.record == {
        "a": [None, None, None],
        "d": {"e": None},
        "_extra": {
            "a[0]": "NaN", "a[1]": "\\ud800", "a[2]": '{"b":NaN}', "\\xff": "2",
            "d.e": '{"f":NaN}', "_extra": {"x": 1},
        },
    }  # fmt: skip
    assert lenient_record(b'{"a":NaN,"a":[1,2]}').record == {"a": [1, 2]}, "the last one counts"


# -- records -------------------------------------------------------------------------------------


def nested(depth: int = 100_000) -> Any:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    return deep


def test_a_record_that_is_nested_too_deeply_counts_as_changed() -> None:
    aside = SetAsideValues(update_time="yesterday")
    assert version_of({"_extra": aside, "tags": nested()}) is None
    assert _fingerprint({"id": 7, "tags": nested()}) == b"7 is nested too deep"
    definitions = Definitions(Governor(LocalStore()))
    definitions.observe("stages", [{"id": 7, "tags": nested()}])
    assert definitions.last_read("stages") is None
    assert _decoded(b"\xff") is None, "a damaged list counts as absent"


def test_a_value_that_is_nested_too_deeply_is_sent_as_text() -> None:
    persons = stream_of("persons")
    output = emitted(persons, [{"id": 1, "phones": nested(5000)}, {"id": 2, "phones": [1]}])
    first, second = output.records["persons"]
    assert (first["id"], first["phones"], second["phones"]) == (1, None, [1])
    assert first["_extra"] == {"phones": "[" * 5000 + "1" + "]" * 5000}


def emitted(stream: Any, records: list[dict[str, Any]]) -> Output:
    """Return what a stream writes for some records."""
    for other in stream._tap.streams.values():
        other.selected = other is stream
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(written):
        stream._write_schema_message()
        stream.emit(records)
        stream._run.quarantine.write(stream._run.writer)
        written.flush()
    return Output.parse(written.buffer.getvalue())  # type: ignore[attr-defined]


def test_of_a_page_only_the_record_without_its_key_is_quarantined() -> None:
    rows = [{"field_code": "a", "field_name": "A"}, {"field_name": "B"}]
    output = emitted(stream_of("person_fields"), rows)
    assert [row["field_code"] for row in output.records["person_fields"]] == ["a"]
    assert [row["reason"] for row in output.records["tap_quarantine"]] == [
        "lacks its key field_code"
    ]


def test_what_is_withheld_is_not_set_aside_either() -> None:
    aside = SetAsideValues({"password": "hush", "password.a": "hush", "other": "x"})
    shaper = RecordShaper({"id": "integer"}, frozenset({"password"}))
    assert shaper.shape([{"id": 1, "_extra": aside}]) == [{"id": 1, "_extra": {"other": "x"}}]


def test_ids_come_plain_or_in_objects() -> None:
    assert values_of([{"owner": {"id": 5}}, {"owner": 6}, {"owner": None}], "owner") == {5, 6}
    code = "a" * 40
    assert field_names([{"custom_fields": {code: 7}}], frozenset({code})) == {code, f"{code}:7"}
    row = {"rel_owner_org_id": {"value": 3}, "rel_linked_org_id": 4}
    assert OrganizationRelationships._unwrapped(row) == {
        "rel_owner_org_id": 3, "rel_linked_org_id": 4,
    }  # fmt: skip


def test_ids_that_no_bitmap_holds_are_not_remembered() -> None:
    bits = _Bits()
    for number in (-1, 1 << 27, 9):
        bits.add(number)
    assert [number in bits for number in (-1, 1 << 27, 8, 9)] == [False, False, False, True]
    assert bits.dump() == b"\x00\x02"


def test_the_memory_of_the_quarantine_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "_MOST_REMEMBERED", 1)
    found = quarantine.Quarantine()
    assert [found.add("s", "why", text) for text in ("a", "a", "b", "b")] == [
        True, False, True, True,
    ]  # fmt: skip
    assert found.by_stream == {"s": 3}


def stream_of(name: str, **settings: Any) -> Any:
    return TapPipedrive(config={**PLAIN, **settings}).streams[name]


def test_a_stream_has_no_records_but_pages() -> None:
    with pytest.raises(NotImplementedError, match="users is read page by page"):
        stream_of("users").get_records(None)


@pytest.mark.parametrize(
    ("error", "maps", "kind"),
    [
        (BrokenPipeError(), {"users": {"x": "name"}}, BrokenPipeError),
        (ValueError("a defect"), {}, ValueError),
        (ValueError("a value"), {"users": {"x": "name"}}, errors.ConfigurationError),
    ],
)
def test_an_error_of_a_record_is_that_of_its_map_only_if_it_has_one(
    monkeypatch: pytest.MonkeyPatch, error: Exception, maps: Any, kind: type[Exception]
) -> None:
    def fail(_: Any) -> None:
        raise error

    users = stream_of("users", stream_maps=maps) if maps else stream_of("users")
    monkeypatch.setattr(users, "_write_record_message", fail)
    with pytest.raises(kind) as failure:
        users._write_mapped({"id": 1})
    assert type(failure.value) is kind
    assert "a value" not in str(failure.value)


# -- the run -------------------------------------------------------------------------------------


def test_a_run_in_a_thread_leaves_the_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)
    inside: list[Any] = []

    def run() -> None:
        with termination.handled(lambda: None):
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert inside == [before]


def test_a_signal_that_comes_twice_at_once_is_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(termination, "_requested_by", None)
    monkeypatch.setattr(signal, "setitimer", lambda *_: None)
    alarm = signal.getsignal(signal.SIGALRM)
    try:
        termination._on_signal(signal.SIGTERM, None)
        termination._on_signal(signal.SIGTERM, None)
        assert termination.requested_by() == signal.SIGTERM
    finally:
        signal.signal(signal.SIGALRM, alarm)


def test_a_reader_that_ends_with_the_signal_is_no_other_failure(
    simulator: Any, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal reaches tap and loader at once: the last state finds no reader."""

    class Gone(io.BytesIO):
        def write(self, data: Any) -> int:
            if termination.requested_by():
                raise BrokenPipeError
            return super().write(data)

    def end() -> None:
        monkeypatch.setattr(termination, "_requested_by", signal.SIGTERM)
        termination.check()

    tap = TapPipedrive(config=config)
    for stream in tap.streams.values():
        stream.selected = stream.name == "users"
    monkeypatch.setattr(tap, "sync_all", end)
    tap.run_context.state["changed"] = True
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Gone(), encoding="utf-8"))
    with pytest.raises(termination.TerminationRequested):
        tap.run()


def test_forget_drops_the_cached_definitions(
    simulator: Any, config: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**config, "state_dir": str(tmp_path / "state")}
    run_tap(settings, only={"role_assignments"})
    assert list(tmp_path.glob("state/cache-*/fresh-roles.bin"))
    (tmp_path / "config.json").write_text(json.dumps(settings))
    arguments = ["--config", str(tmp_path / "config.json"), "--forget"]
    outcome = CliRunner().invoke(TapPipedrive.cli, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    assert not list(tmp_path.glob("state/cache-*/fresh-*.bin"))


# -- streams -------------------------------------------------------------------------------------


@pytest.fixture
def stream_at(server: ScriptedServer) -> Iterator[Callable[[str], Any]]:
    """Return a stream that reads from the scripted server."""
    made = []

    def stream(name: str) -> Any:
        tap = TapPipedrive(config={**PLAIN, "api_url": server.url})
        made.append(tap.run_context)
        return tap.streams[name]

    yield stream
    for context in made:
        context.close(wait=True)


def test_participants_may_have_plain_ids(server: ScriptedServer, stream_at: Any) -> None:
    server.answer(200, {
        "data": [{"id": 1, "person_id": {"value": 5}, "added_by_user_id": 7}],
        "additional_data": {"pagination": {"more_items_in_collection": False}},
    })  # fmt: skip
    ((row,),) = stream_at("deal_participants").rows_of(9)
    assert (row["person_id"], row["added_by_user_id"], row["deal_id"]) == (5, 7, 9)


def test_a_goal_without_an_id_is_quarantined(server: ScriptedServer, stream_at: Any) -> None:
    server.answer(200, {"success": True, "data": {"goals": [{"id": "a"}, {"id": None}, 5]}})
    server.answer(200, {"success": True, "data": {"goals": None}})
    goals = stream_at("goals")
    assert [[goal["id"] for goal in page] for page in goals.record_pages()] == [["a"]]
    assert goals.quarantined == 2


def test_a_list_of_untimed_records_alone_is_read_to_its_end(
    server: ScriptedServer, stream_at: Any
) -> None:
    records = [{"id": 1, "update_time": None}]
    server.answer(200, {"data": records, "additional_data": {"next_cursor": None}})
    found = [[r["id"] for r in page] for page in stream_at("deals").untimed_records("v2 /deals")]
    assert found == [[1]]


def test_rows_before_a_refusal_are_sent_and_the_parent_is_read_again(
    server: ScriptedServer, stream_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    followers = stream_at("deal_followers")
    sent: list[Any] = []
    monkeypatch.setattr(followers, "emit", sent.append)

    def rows(_: int) -> Iterator[list[Any]]:
        yield [{"deal_id": 5, "user_id": 1}]
        msg = "404"
        raise errors.NotFoundError(msg)

    monkeypatch.setattr(followers, "rows_of", rows)
    followers._read_parent(5)
    assert sent == [[{"deal_id": 5, "user_id": 1}]]
    assert followers.incomplete_parents == followers.parents.refusals.successes == 1
    assert followers.stream_state["again"].keys() == {"5"}
    assert followers._can_read(5)

    def none(_: int) -> Iterator[list[Any]]:
        msg = "403"
        raise errors.ForbiddenError(msg)
        yield

    monkeypatch.setattr(followers, "rows_of", none)
    assert not followers._can_read(5)


def test_a_name_that_a_list_lacks_makes_it_due_again() -> None:
    stages = stream_of("stages")
    stages.result = StreamResult(Outcome.COMPLETE)
    stages.want({5})
    assert stages.result.is_open
    fields = stream_of("deal_fields")
    assert fields.known is None
    fields.look_up_fields([{"custom_fields": {"a" * 40: 1}}])
    assert not fields.wanted, "it is due anyway"


def test_a_scan_is_run_once(simulator: Any, config: dict[str, Any]) -> None:
    tap = TapPipedrive(config=config)
    persons: Any = tap.streams["persons"]
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(written):
        for _ in range(2):
            persons.scan.run(persons)
    tap.run_context.close(wait=True)
    assert len(simulator.control("GET", "requests", operation="getPersons")) == 1


def test_a_list_beyond_the_buffer_is_sent_while_it_is_read(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sync(only={"stages"})
    monkeypatch.setattr(FullTableStream, "buffer_size", 0)
    first = sync(only={"stages"}, page_size=2)
    assert first.records["stages"] == whole.records["stages"]
    again = sync(first.state, only={"stages"})
    assert again.records["stages"] == whole.records["stages"], "it was sent before it was known"


def test_files_are_read_newest_first_and_swept_by_id(simulator: Any, sync: Sync) -> None:
    first = sync(only={"files"})
    swept = sync(only={"files"}, sweep=True)
    assert {row["id"] for row in first.records["files"]} == {
        row["id"] for row in swept.records["files"]
    }
    assert "files" in swept.versions
    queries = [call["query"] for call in simulator.control("GET", "requests", operation="getFiles")]
    assert ["update_time+DESC" in query for query in queries] == [True, False]


def test_lines_of_a_page_with_an_unreadable_line_are_no_whole_list(
    simulator: Any, sync: Sync
) -> None:
    only = {"deals", "deal_products", "deal_products_sync"}
    whole = sync(only=only)
    rule = {"kind": "bad_record", "oddity": "null", "operation": "getDealsProducts"}
    simulator.control("POST", "faults", rule)
    partial = sync(only=only)
    lists = [{row["deal_id"] for row in o.records["deal_products_sync"]} for o in (partial, whole)]
    assert lists[0] < lists[1]
    alone = sync(only={"deals", "deal_products_sync"})
    assert not alone.records["deal_products_sync"]


def test_metrics_are_pushed_during_the_run_too(
    simulator: Any, sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Without a budget, with a definition that changed, and to a gateway that is not there."""
    simulator.control("POST", "limits", {"daily_headers": False})
    state = sync(only={"stages"}, state_dir=str(tmp_path)).state
    stage = next(iter(simulator.account.stages.records))
    simulator.account.rename_stage(stage, "Another name")
    monkeypatch.setattr(metrics, "PUSH_SECONDS", 0.0)
    gateway = {"pushgateway_url": "http://127.0.0.1:9", "state_dir": str(tmp_path)}
    sync(state, only={"stages", "users"}, **gateway)
    assert sum("could not be pushed" in text for text in caplog.messages) > 1


def test_a_plan_of_a_long_list_and_of_many_changes(
    simulator: Any, config: dict[str, Any], sync: Sync, tmp_path: Path
) -> None:
    simulator.control("POST", "limits", {"daily_headers": False})
    small = {**config, "page_size": 2, "windows": 2}

    def planned(*options: str) -> str:
        (tmp_path / "config.json").write_text(json.dumps(small))
        arguments = ["--config", str(tmp_path / "config.json"), "--plan", *options]
        outcome = CliRunner().invoke(TapPipedrive.cli, arguments, catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        return outcome.output

    text = planned()
    assert "No daily budget is known" in text
    # 120 deals: 60 pages, 2 windows, 6 calls lost, 3 more; 57 pages again for the logs; archived.
    assert next(line.split()[1] for line in text.splitlines() if line.startswith("deals ")) == "129"
    state = sync(only={"deals"}).state
    for deal in [d for d in simulator.truth("deals") if d["status"] == "open"][:5]:
        simulator.account.advance_clock(3600)
        simulator.account.update_deal(deal["id"], value=1.0)
    (tmp_path / "state.json").write_text(json.dumps(state))
    later = planned("--state", str(tmp_path / "state.json"))
    assert "about: by the pace of a first page" in later


# -- facts ---------------------------------------------------------------------------------------


def test_facts_are_read_through_references_and_choices() -> None:
    document = {
        "components": {"schemas": {"Paint": {
            "allOf": [{"type": "object", "properties": {"id": {"type": "integer"}}}],
            "properties": {
                "mixed": {"oneOf": [{"properties": {"a": {"type": "string"}}}]},
                "at": {"type": "string", "format": "date-time"},
                "free": {},
            },
        }}},
        "paths": {"/paint": {"get": {
            "x-token-cost": 3,
            "parameters": [
                {"in": "query", "name": "sort", "schema": {"enum": ["id"]}},
                {"in": "path", "name": "id", "schema": {}},
            ],
            "responses": {"200": {"content": {"application/json": {"schema": {
                "properties": {"data": {"$ref": "#/components/schemas/Paint"}},
            }}}}},
        }}},
    }  # fmt: skip
    assert documents.trim({"v1": document}, ["v1 /paint"]) == {
        "v1 /paint": {
            "cost": 3,
            "parameters": {"sort": ["id"]},
            "record": {"id": "integer", "mixed": "object", "at": "date-time", "free": "string"},
        }
    }

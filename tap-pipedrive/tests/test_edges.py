"""What seldom happens: each of these cases has a branch of its own."""

from __future__ import annotations

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
from click.testing import CliRunner
from conftest import Output, run_tap
from scripted_server import ScriptedServer, scripted_server

from tap_pipedrive import errors, quarantine, termination
from tap_pipedrive.api import auth as auth_module
from tap_pipedrive.api.auth import ApiTokenAuth, OAuth
from tap_pipedrive.api.client import PipedriveClient
from tap_pipedrive.api.deadline import Deadline
from tap_pipedrive.api.lenient_json import NotJsonError, decode_body, lenient_record
from tap_pipedrive.api.openapi import documents, operation
from tap_pipedrive.api.pagination import MOST_STEPS_BACK, pages
from tap_pipedrive.api.records import PageReader
from tap_pipedrive.context import RunContext
from tap_pipedrive.messages import PageWriter
from tap_pipedrive.state.seen_deals import _Bits
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
    ours, theirs = socket.socketpair()
    with ours, theirs:
        deadline = Deadline(60)
        deadline.end()  # there is no connection yet
        deadline.note(ours)
        assert theirs.recv(1) == b"", "the end of the stream"


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


def test_records_without_a_name_are_told_apart_by_their_values(server: ScriptedServer) -> None:
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


def test_what_can_be_decoded_of_a_body_is_kept() -> None:
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


# -- facts ---------------------------------------------------------------------------------------


def test_facts_are_read_through_references_and_choices() -> None:
    document = {
        "components": {"schemas": {"Paint": {
            "allOf": [{"properties": {"id": {"type": "integer"}}}],
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

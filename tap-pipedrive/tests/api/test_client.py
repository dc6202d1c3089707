"""Responses are classified, retried and counted, and errors do not contain the token."""

from __future__ import annotations

import codecs
import gzip
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from scripted_server import ScriptedServer, dripping_server, scripted_server

from tap_pipedrive import errors
from tap_pipedrive.api import client as client_module
from tap_pipedrive.api.auth import ApiTokenAuth
from tap_pipedrive.api.client import PipedriveClient
from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.responses import Page

SECRET = "0123456789abcdef0123456789abcdef01234567"  # pragma: allowlist secret
DEALS = operation("v2 /deals")
GOOD = {"success": True, "data": [{"id": 1}], "additional_data": {"next_cursor": None}}
HTML = b"<!DOCTYPE html><title>Attention required</title>"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of backoff, in seconds, without waiting."""
    slept: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", slept.append)
    return slept


@pytest.fixture
def client(server: ScriptedServer) -> PipedriveClient:
    return PipedriveClient(server.url, ApiTokenAuth(SECRET), timeout=2)


def read(client: PipedriveClient, **query: Any) -> Page:
    return client.get(DEALS, stream="deals", query=query)


def test_reads_a_page_and_counts_its_cost(server: ScriptedServer, client: PipedriveClient) -> None:
    server.answer(200, GOOD, x_daily_ratelimit_token_remaining="1234")
    page = read(client, limit=500, updated_since=None)
    assert page.records == [{"id": 1}]
    path, headers = server.requested[0]
    assert path == "/api/v2/deals?limit=500"
    assert headers["x-api-token"] == SECRET
    assert vars(client.usage["deals"]) == {"calls": 1, "tokens": 10, "retries": 0}
    assert client.governor.plan_remaining == 1234


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        pytest.param(500, b"", {}, id="500"),
        pytest.param(502, HTML, {"Content_Type": "text/html"}, id="502-html"),
        pytest.param(503, {"success": False, "error": "maintenance"}, {}, id="503"),
        pytest.param(524, HTML, {"Content_Type": "text/html"}, id="524-html"),
        pytest.param(429, {"success": False}, {"x_ratelimit_remaining": "0"}, id="429-burst"),
        pytest.param(429, {"success": False}, {}, id="429-without-headers"),
        pytest.param(200, b"null", {}, id="200-null"),
        pytest.param(200, b'{"success":true,"data":[{"id":', {}, id="200-truncated-json"),
        pytest.param(200, b"[]", {}, id="200-list"),
        pytest.param(200, {"success": False, "error": "odd"}, {}, id="200-no-success"),
        pytest.param(200, b'{"suc', {"Content_Length": "500"}, id="reset-mid-body"),
        pytest.param(0, b"", {}, id="hangs-up"),
    ],
)
def test_temporary_faults_are_retried(
    server: ScriptedServer, client: PipedriveClient, waits: list[float],
    status: int, body: Any, headers: dict[str, str],
) -> None:  # fmt: skip
    server.answer(status, body, **headers)
    server.answer(status, body, **headers)
    server.answer(200, GOOD)
    assert read(client).records == [{"id": 1}]
    assert client.usage["deals"].retries == 2
    assert len(waits) >= 2
    if status == 429:
        assert sum(waits) >= 2 * 1.9, "a burst limit waits at least its window each time"


def test_lasting_faults_end_the_run(
    server: ScriptedServer, client: PipedriveClient, waits: list[float]
) -> None:
    server.answer(503, b"")
    with pytest.raises(errors.SourceUnavailableError) as failure:
        read(client)
    assert failure.value.exit_code == 69
    paths = [path.partition("?")[0] for path, _ in server.requested]
    # One call asks whether other operations work: then only this list would be to blame.
    assert paths == ["/api/v2/deals"] * client_module.MAX_TRIES + ["/api/v2/pipelines"]
    assert not failure.value.concerns_stream
    assert sorted(waits)[-1] <= client_module.MAX_WAIT_SECONDS


@pytest.mark.parametrize(
    ("status", "body", "headers", "error", "says"),
    [
        (401, {"success": False, "error": "unauthorized access"}, {}, errors.NotPermittedError,
         "PIPEDRIVE_API_TOKEN"),
        (402, {"success": False}, {}, errors.NotPermittedError, "not open"),
        (403, {"success": False, "error": "no rights"}, {}, errors.ForbiddenError, "no rights"),
        (403, HTML, {"Content_Type": "text/html"}, errors.LockedOutError, "Cloudflare"),
        (404, {"success": False, "error": "gone"}, {}, errors.NotFoundError, "404 gone"),
        (410, {"success": False, "error": "gone"}, {}, errors.NotFoundError, "410 gone"),
        (400, {"success": False, "error": "not a datetime"}, {}, errors.UnexpectedAnswerError,
         "not a datetime"),
        (302, b"", {"Location": "https://evil.example/x"}, errors.ConfigurationError,
         "evil.example"),
        (302, b"", {"Location": "http://[bad"}, errors.ConfigurationError, "malformed address"),
        (304, b"", {}, errors.UnexpectedAnswerError, "304"),
        (429, {"success": False}, {"x_daily_ratelimit_token_remaining": "0", "Retry_After": "3"},
         errors.BudgetSpentError, "tokens of today"),
    ],
)  # fmt: skip
def test_errors_without_retry_name_the_cause(
    server: ScriptedServer, client: PipedriveClient, waits: list[float],
    status: int, body: Any, headers: dict[str, str], error: type[Exception], says: str,
) -> None:  # fmt: skip
    server.answer(status, body, **headers)
    with pytest.raises(error, match=says) as failure:
        read(client)
    assert type(failure.value) is error
    assert len(server.requested) == 1
    assert waits == []
    assert SECRET not in str(failure.value)


def test_an_unreachable_host_is_named_without_the_token(
    server: ScriptedServer, waits: list[float]
) -> None:
    client = PipedriveClient("http://127.0.0.1:9", ApiTokenAuth(SECRET), timeout=1)
    with pytest.raises(errors.SourceUnavailableError, match=r"127\.0\.0\.1:9") as failure:
        read(client)
    assert SECRET not in repr(failure.value)
    assert SECRET not in repr(ApiTokenAuth(SECRET))


def test_bodies_are_bounded(
    server: ScriptedServer, client: PipedriveClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 10)
    server.answer(200, GOOD)
    with pytest.raises(errors.UnexpectedAnswerError, match="larger"):
        read(client)


NOTHING_MORE = {"pagination": {"start": 0, "limit": 500, "more_items_in_collection": False}}


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("v1 /leads", {"success": True, "data": None, "additional_data": NOTHING_MORE}),
        ("v1 /leads", {"data": None, "additional_data": NOTHING_MORE["pagination"]}),
        ("v1 /webhooks", {"success": True, "data": None}),
        ("v1 /deals/{id}/changelog", {"data": None, "additional_data": {"next_cursor": None}}),
        ("v2 /deals", {"success": True, "data": [], "additional_data": {"next_cursor": None}}),
    ],
)  # fmt: skip
def test_an_empty_list_is_accepted(
    server: ScriptedServer, client: PipedriveClient, key: str, body: Any
) -> None:
    server.answer(200, body)
    assert client.get(operation(key), stream="x", path={"id": 1}).records == []


def test_null_for_a_list_without_pages_is_believed_when_it_comes_twice(
    server: ScriptedServer, client: PipedriveClient
) -> None:
    null = {"success": True, "data": None}
    server.answer(200, null)
    server.answer(200, {"success": True, "data": [{"id": 1}]})
    server.answer(200, null)  # and from now on
    lists = [client.get(operation("v1 /leadLabels"), stream="x").records for _ in range(2)]
    assert (lists, len(server.requested)) == ([[{"id": 1}], []], 4)
    of_a_record = operation("v1 /organizationRelationships")
    assert client.get(of_a_record, stream="x", query={"org_id": 1}).records == []
    assert len(server.requested) == 5


def test_a_list_with_a_malformed_record_is_read_once(
    server: ScriptedServer, client: PipedriveClient
) -> None:
    server.answer(200, b'{"success": true, "data": [{"id": 1, "x": NaN}]}')
    (found,) = client.get(operation("v1 /leadLabels"), stream="x").records
    assert (found["id"], len(server.requested)) == (1, 1)


@pytest.mark.parametrize("body", [
    {}, {"success": True}, {"success": True, "data": None}, {"success": True, "data": {}},
    {"success": True, "data": "x"}, {"success": True, "data": {"0": {"id": 1}}},
    {"success": True, "data": None, "additional_data": [1]},
])  # fmt: skip
@pytest.mark.parametrize("key", [
    "v1 /deals/{id}/changelog", "v1 /leads", "v1 /users", "v2 /deals", "v2 /boards",
])  # fmt: skip
def test_a_hollow_response_is_retried_and_then_an_error(
    server: ScriptedServer, client: PipedriveClient, waits: list[float], key: str, body: Any
) -> None:
    server.answer(200, body)
    with pytest.raises(errors.HollowAnswerError, match=r"is due|additional_data") as failure:
        client.get(operation(key), stream="x", path={"id": 1})
    assert failure.value.exit_code == 69
    assert len(server.requested) == client_module.MAX_TRIES
    assert not client.governor.is_open, "Pipedrive answers: others may ask"


@pytest.mark.parametrize("body", [{"success": True, "data": {}}, {"success": True, "data": None}])
def test_an_empty_object_is_a_hollow_response(
    server: ScriptedServer, client: PipedriveClient, waits: list[float], body: Any
) -> None:
    server.answer(200, body)
    server.answer(200, {"success": True, "data": {"total_count": 3}})
    page = client.get(operation("v1 /deals/summary"), stream="x")
    assert page.records == [{"total_count": 3}]


@pytest.mark.parametrize("part", ["headers", "length", "chunks", "no length"])
def test_a_slow_response_has_a_time_limit(
    waits: list[float], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(client_module, "MAX_TRIES", 2)
    # The wait for a part of the answer is never over, on however busy a machine: only the whole is.
    monkeypatch.setattr(client_module, "RESPONSE_TIMEOUTS", 0.05)
    with dripping_server(part) as url:
        client = PipedriveClient(url, ApiTokenAuth(SECRET), timeout=10)
        begun = time.monotonic()
        with pytest.raises(errors.RetriableError, match="too slowly") as failure:
            read(client)
        client.close()
    assert time.monotonic() - begun >= 2 * 0.5
    assert failure.value.reason == "slow"


def test_the_size_limit_counts_decompressed_bytes(
    server: ScriptedServer, client: PipedriveClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 1 << 20)
    server.answer(200, gzip.compress(b" " * (64 << 20)), Content_Encoding="gzip")
    with pytest.raises(errors.UnexpectedAnswerError, match="larger"):
        read(client)


def test_source_now_is_the_date_header(server: ScriptedServer, client: PipedriveClient) -> None:
    server.answer(200, GOOD)
    read(client)
    server.script.clear()
    client._last_date = "Tue, 03 Mar 2026 10:20:30 GMT"
    assert client.source_now.isoformat() == "2026-03-03T10:20:30+00:00"


@pytest.mark.parametrize(
    "date",
    ["soon", "", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -0500"],
)
def test_an_impossible_date_header_is_ignored(client: PipedriveClient, date: str) -> None:
    client._last_date = date
    assert abs((client.source_now - datetime.now(timezone.utc)).total_seconds()) < 60


def test_a_byte_order_mark_is_accepted(server: ScriptedServer, client: PipedriveClient) -> None:
    server.answer(200, codecs.BOM_UTF8 + json.dumps(GOOD).encode())
    assert read(client).records == GOOD["data"]


def test_the_client_waits_for_a_used_up_window(
    server: ScriptedServer, client: PipedriveClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tap_pipedrive.api.limits.governor.time.sleep", slept.append)
    server.answer(200, GOOD, x_ratelimit_remaining="0", x_ratelimit_reset="2")
    read(client)
    assert slept == []
    read(client)
    assert 1 < slept[0] <= 2


def test_after_a_429_on_a_spent_day_no_thread_begins_another_call(
    server: ScriptedServer, client: PipedriveClient
) -> None:
    threads = 6
    server.answer(200, GOOD, x_daily_ratelimit_token_limit="100", x_ratelimit_limit="1000")
    server.answer(429, {"success": False})
    read(client)
    client.governor.admit(100, client.source_day)
    failures: list[errors.TapError] = []
    together = threading.Barrier(threads)

    def ask_again_and_again() -> None:
        together.wait()
        for _ in range(5):
            try:
                read(client)
            except errors.TapError as error:
                failures.append(error)

    workers = [threading.Thread(target=ask_again_and_again) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {type(error) for error in failures} == {errors.BudgetSpentError}
    assert len(failures) == 5 * threads
    assert len(server.requested) <= 1 + threads

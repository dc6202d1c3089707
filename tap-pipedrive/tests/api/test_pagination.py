"""Every walk ends: at the end of the list, or with an error after a bounded number of calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from scripted_server import ScriptedServer, scripted_server
from tap_runs import Output

from tap_pipedrive.api.auth import ApiTokenAuth
from tap_pipedrive.api.client import PipedriveClient
from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.pagination import MOST_IDLE_PAGES, anchored_pages, pages
from tap_pipedrive.errors import UnexpectedAnswerError

Sync = Callable[..., Output]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> PipedriveClient:
    return PipedriveClient(server.url, ApiTokenAuth("0" * 40), timeout=5)


def by_cursor(ids: list[int], cursor: Any) -> dict[str, Any]:
    return {"data": [{"id": i} for i in ids], "additional_data": {"next_cursor": cursor}}


def by_offset(ids: list[int], next_start: int | None, *, more: bool = True) -> dict[str, Any]:
    counts: dict[str, Any] = {"more_items_in_collection": more}
    if next_start is not None:
        counts["next_start"] = next_start
    return {"data": [{"id": i} for i in ids], "additional_data": {"pagination": counts}}


def read(client: PipedriveClient, key: str, limit: int = 2) -> list[int]:
    found = pages(client, operation(key), stream="some_stream", limit=limit, path={"id": 1})
    return [record["id"] for page in found for record in page.records]


@pytest.mark.parametrize("period", [1, 2, 3, 7])
def test_a_repeated_cursor_ends_the_read(
    server: ScriptedServer, client: PipedriveClient, period: int
) -> None:
    for number in range(5 * period):
        server.answer(200, by_cursor([number], f"c{number % period}"))
    with pytest.raises(UnexpectedAnswerError, match=r"some_stream: GET .*circle"):
        read(client, "v2 /deals")
    assert len(server.requested) == period + 1


@pytest.mark.parametrize("key", ["v2 /deals", "v1 /deals/{id}/changelog", "v1 /notes"])
@pytest.mark.parametrize("ids", [[], [1, 2]])
def test_pages_without_new_records_end_the_read(
    server: ScriptedServer, client: PipedriveClient, key: str, ids: list[int]
) -> None:
    for number in range(200):
        answer = by_cursor(ids, f"c{number}")
        answer["additional_data"]["pagination"] = {"more_items_in_collection": True}
        server.answer(200, answer)
    what = "the same records again" if ids else "no records"
    with pytest.raises(UnexpectedAnswerError, match=f"some_stream: .*{what}"):
        read(client, key)
    assert len(server.requested) <= MOST_IDLE_PAGES + 2


def test_alternating_pages_end_the_read(server: ScriptedServer, client: PipedriveClient) -> None:
    for number in range(200):
        server.answer(200, by_cursor([[1, 2], [3, 4], [5, 6]][number % 3], f"c{number}"))
    with pytest.raises(UnexpectedAnswerError, match="the same records again"):
        read(client, "v2 /deals")
    assert len(server.requested) <= MOST_IDLE_PAGES + 4


@pytest.mark.parametrize("period", [1, 3])
def test_records_that_change_all_the_time_end_the_read(
    server: ScriptedServer, client: PipedriveClient, period: int
) -> None:
    """The same ids again and again, each time updated later: no page equals an earlier one."""
    for number in range(300):
        answer = by_cursor([[1, 2], [3, 4], [5, 6]][number % period], f"c{number}")
        for record in answer["data"]:
            record["update_time"] = f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"
        server.answer(200, answer)
    with pytest.raises(UnexpectedAnswerError, match=r"some_stream: .*updated later each time"):
        read(client, "v2 /deals")
    assert len(server.requested) <= MOST_IDLE_PAGES + 2 * period + 1


def test_a_list_edited_as_a_whole_is_read_to_its_end(
    server: ScriptedServer, client: PipedriveClient
) -> None:
    """All records move to the end of the order, once: each page comes twice."""
    number_of_pages = 3 * MOST_IDLE_PAGES
    for number in range(2 * number_of_pages):
        first = 2 * (number % number_of_pages)
        is_last = number == 2 * number_of_pages - 1
        answer = by_cursor([first, first + 1], None if is_last else f"c{number}")
        for record in answer["data"]:
            record["update_time"] = f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"
        server.answer(200, answer)
    assert len(read(client, "v2 /deals")) == 4 * number_of_pages


def test_a_few_empty_pages_do_not_end_the_read(
    server: ScriptedServer, client: PipedriveClient
) -> None:
    server.answer(200, by_cursor([1], "a"))
    for number in range(MOST_IDLE_PAGES):
        server.answer(200, by_cursor([], f"c{number}"))
    server.answer(200, by_cursor([2], None))
    assert read(client, "v2 /deals") == [1, 2]


def test_an_offset_that_does_not_grow_ends_the_read(
    server: ScriptedServer, client: PipedriveClient
) -> None:
    server.answer(200, by_offset([1, 2], 2))
    for number in range(50):
        server.answer(200, by_offset([2 + number, 3 + number], 1))
    with pytest.raises(UnexpectedAnswerError, match=r"some_stream: .*leads back"):
        read(client, "v1 /notes")
    assert len(server.requested) == 2


@pytest.mark.parametrize("given", [{"next_start": 4}, {"next_start": "4"}, {"next_start": None}])
def test_a_short_page_is_followed_by_its_next_start(
    server: ScriptedServer, client: PipedriveClient, given: dict[str, Any]
) -> None:
    counts = {"more_items_in_collection": True, **given}
    data = [{"id": i} for i in (1, 2, 3)]
    server.answer(200, {"data": data, "additional_data": {"pagination": counts}})
    server.answer(200, by_offset([5, 6], None, more=False))
    assert set(read(client, "v1 /notes", limit=4)) == {1, 2, 3, 5, 6}
    starts = [parse_qs(urlsplit(path).query).get("start") for path, _ in server.requested]
    assert starts == [["0"], ["4" if given["next_start"] else "3"]]


@pytest.mark.parametrize("counts", [[1], "x"])
def test_invalid_paging_facts_are_an_error_of_the_stream(
    server: ScriptedServer, client: PipedriveClient, counts: Any
) -> None:
    server.answer(200, {"data": [{"id": 1}], "additional_data": {"pagination": counts}})
    with pytest.raises(UnexpectedAnswerError, match="for pagination"):
        read(client, "v1 /notes")
    server.script[0] = (200, {}, b'{"data":[{"id":1}],"additional_data":{"next_cursor":{"a":1}}}')
    with pytest.raises(UnexpectedAnswerError, match="for a cursor"):
        read(client, "v2 /deals")


@pytest.mark.parametrize("odd", ["9" * 5000, 10**400, "-5", "1e3"])
def test_an_invalid_next_start_is_replaced_by_the_number_of_records(
    server: ScriptedServer, client: PipedriveClient, odd: Any
) -> None:
    counts = {"more_items_in_collection": True, "next_start": odd}
    data = [{"id": 1}, {"id": 2}]
    server.answer(200, {"data": data, "additional_data": {"pagination": counts}})
    server.answer(200, by_offset([2, 3], None, more=False))
    assert read(client, "v1 /notes") == [1, 2, 3]


@pytest.mark.parametrize("answer", [by_cursor([1], "next"), by_offset([1], 1)])
def test_a_next_page_without_a_parameter_for_it_is_an_error(
    server: ScriptedServer, client: PipedriveClient, answer: Any
) -> None:
    server.answer(200, answer)
    with pytest.raises(UnexpectedAnswerError, match="more pages follow"):
        read(client, "v1 /users")


@pytest.mark.parametrize("ids", [[], [1, 2]])
def test_a_read_by_update_time_is_bounded(
    server: ScriptedServer, client: PipedriveClient, ids: list[int]
) -> None:
    records = [{"id": i, "update_time": "2026-01-01 00:00:00"} for i in ids]
    more = {"pagination": {"more_items_in_collection": True}}
    server.answer(200, {"data": records, "additional_data": more})
    found = anchored_pages(
        client, operation("v1 /notes"), stream="notes", limit=2, query={}, since=None
    )
    with pytest.raises(UnexpectedAnswerError, match="notes: GET /api/v1/notes: gave up"):
        list(itertools.islice(found, 1000))
    assert len(server.requested) <= MOST_IDLE_PAGES + 2


def test_short_pages_of_a_real_list_are_read_to_the_end(simulator: Any, sync: Sync) -> None:
    plain = sync(only={"lead_fields", "notes", "leads"}, page_size=6)
    simulator.control("POST", "faults", {"kind": "short_page", "every": 2})
    short = sync(only={"lead_fields", "notes", "leads"}, page_size=6)
    simulator.control("DELETE", "faults")
    assert short.records["notes"] and short.records["leads"]
    assert 0 < len(short.records["lead_fields"]) < len(plain.records["lead_fields"])


def test_the_error_of_an_endless_read_names_the_stream(simulator: Any, sync: Sync) -> None:
    simulator.control("POST", "faults", {"kind": "more_for_ever", "operation": "getNotes"})
    with pytest.raises(UnexpectedAnswerError, match="notes: GET /api/v1/notes"):
        sync(only={"notes"})
    assert simulator.control("GET", "stats")["operations"]["getNotes"]["calls"] < 50

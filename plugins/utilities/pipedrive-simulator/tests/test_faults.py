"""Each kind of fault over a real connection, and the conditions of rules."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pipedrive_simulator.server.faults import (
    KINDS,
    ODDITIES,
    Faults,
    Rule,
    RuleError,
    bad_records,
)  # fmt: skip
from pipedrive_simulator.server.reply import Reply
from pipedrive_simulator.testing import RunningSimulator, running_simulator

DEALS = "/api/v2/deals"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with running_simulator(deals=30) as simulator:
        yield simulator


@pytest.fixture
def simulator(server: RunningSimulator) -> Iterator[RunningSimulator]:
    yield server
    server.control("DELETE", "faults")


def fetch(simulator: RunningSimulator, path: str = DEALS, *, timeout: float = 5) -> Any:
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=timeout)
    try:
        connection.request("GET", path, headers=simulator.headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def fail(simulator: RunningSimulator, kind: str, **rule: Any) -> None:
    simulator.control("POST", "faults", {"kind": kind, "count": 1, **rule})


def records(body: bytes) -> list[dict[str, Any]]:
    return list(json.loads(body)["data"])


STATUSES = {
    "429_burst": 429, "429_daily": 429, "500": 500, "502": 502, "503": 503, "524": 524,
    "403_cloudflare": 403, "401": 401, "402": 402, "403": 403, "removed": 410,
}  # fmt: skip


def test_an_error_has_the_rules_status_message_and_headers(simulator: RunningSimulator) -> None:
    headers = {"retry-after": "7", "x-ratelimit-limit": None}
    fail(simulator, "status", status=415, error="Feature is not enabled", headers=headers)
    status, answered, body = fetch(simulator)
    assert status == 415
    assert json.loads(body)["error"] == "Feature is not enabled"
    assert answered["retry-after"] == "7"
    assert "x-ratelimit-limit" not in answered


@pytest.mark.parametrize("kind", STATUSES)
def test_a_fault_replaces_the_response(simulator: RunningSimulator, kind: str) -> None:
    fail(simulator, kind)
    status, headers, body = fetch(simulator)
    assert status == STATUSES[kind]
    if kind in ("524", "403_cloudflare"):
        assert headers["content-type"].startswith("text/html")
        assert b"<html>" in body
    else:
        assert json.loads(body)["success"] is False
    assert fetch(simulator)[0] == 200


def test_the_two_429_differ_in_their_headers(simulator: RunningSimulator) -> None:
    fail(simulator, "429_burst")
    fail(simulator, "429_daily")
    _, burst, _ = fetch(simulator)
    _, daily, _ = fetch(simulator)
    assert burst["x-ratelimit-remaining"] == "0"
    assert burst["x-daily-ratelimit-token-remaining"] != "0"
    assert daily["x-daily-ratelimit-token-remaining"] == "0"
    assert daily["x-ratelimit-remaining"] != "0"


def test_removed_can_be_404(simulator: RunningSimulator) -> None:
    fail(simulator, "removed", status=404)
    assert fetch(simulator)[0] == 404


def test_a_null_body_is_a_200(simulator: RunningSimulator) -> None:
    fail(simulator, "null_body")
    assert fetch(simulator)[::2] == (200, b"null")


def test_truncated_json_has_a_fitting_length(simulator: RunningSimulator) -> None:
    fail(simulator, "truncated_json")
    status, _, body = fetch(simulator)
    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_a_reset_comes_in_the_middle_of_the_body(simulator: RunningSimulator) -> None:
    fail(simulator, "reset")
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        fetch(simulator)
    assert fetch(simulator)[0] == 200


def test_a_slow_body_arrives_whole(simulator: RunningSimulator) -> None:
    fail(simulator, "slow_body", seconds=0.3)
    start = time.monotonic()
    _, _, body = fetch(simulator)
    assert time.monotonic() - start >= 0.25
    assert len(records(body)) > 10


def test_a_hang_ends_in_a_timeout(simulator: RunningSimulator) -> None:
    fail(simulator, "hang")
    with pytest.raises(TimeoutError):
        fetch(simulator, timeout=0.3)


def test_an_expired_cursor_hits_only_calls_with_a_cursor(simulator: RunningSimulator) -> None:
    fail(simulator, "expired_cursor")
    status, _, body = fetch(simulator, f"{DEALS}?limit=2")
    assert status == 200
    cursor = json.loads(body)["additional_data"]["next_cursor"]
    assert fetch(simulator, f"{DEALS}?limit=2&cursor={cursor}")[0] == 400
    assert fetch(simulator, f"{DEALS}?limit=2&cursor={cursor}")[0] == 200


def test_an_empty_page_in_the_middle_has_a_cursor(simulator: RunningSimulator) -> None:
    fail(simulator, "empty_page")
    first = json.loads(fetch(simulator, f"{DEALS}?limit=2")[2])
    cursor = first["additional_data"]["next_cursor"]
    body = json.loads(fetch(simulator, f"{DEALS}?limit=2&cursor={cursor}")[2])
    assert body["data"] == []
    assert body["additional_data"]["next_cursor"] == cursor
    assert len(records(fetch(simulator, f"{DEALS}?limit=2&cursor={cursor}")[2])) == 2


def test_a_redirect_names_another_host(simulator: RunningSimulator) -> None:
    fail(simulator, "redirect", location="http://localhost:1/elsewhere")
    status, headers, _ = fetch(simulator)
    assert (status, headers["location"]) == (302, "http://localhost:1/elsewhere")


def test_paging_facts_can_be_flat(simulator: RunningSimulator) -> None:
    fail(simulator, "flat_pagination")
    flat = json.loads(fetch(simulator, "/v1/leadFields?limit=2")[2])["additional_data"]
    nested = json.loads(fetch(simulator, "/v1/leadFields?limit=2")[2])["additional_data"]
    assert nested == {"pagination": flat}


def test_faults_damage_records(simulator: RunningSimulator) -> None:
    good = records(fetch(simulator)[2])
    for kind in ("wrong_types", "unknown_properties", "missing_properties"):
        fail(simulator, kind)
    wrong, unknown, missing = (records(fetch(simulator)[2]) for _ in range(3))
    assert all(isinstance(w["value"], str) and w["id"] == g["id"]
               for w, g in zip(wrong, good, strict=True))  # fmt: skip
    assert all("brand_new_property" in record for record in unknown)
    assert all(set(m) < set(g) and "id" in m for m, g in zip(missing, good, strict=True))
    assert records(fetch(simulator)[2]) == good


@pytest.mark.parametrize("oddity", ODDITIES)
def test_a_bad_record_leaves_the_others_alone(simulator: RunningSimulator, oddity: str) -> None:
    good = fetch(simulator)[2]
    fail(simulator, "bad_record", oddity=oddity, record=1)
    body = fetch(simulator)[2]
    assert body != good
    first = json.dumps(records(good)[0], separators=(",", ":"), ensure_ascii=False).encode()
    assert first in body


def test_a_bad_value_is_the_rules_value(simulator: RunningSimulator) -> None:
    fail(simulator, "bad_record", field_name="update_time", value='"yesterday"')
    assert records(fetch(simulator)[2])[0]["update_time"] == "yesterday"


def test_a_record_is_bad_wherever_it_is_listed(simulator: RunningSimulator) -> None:
    good = records(fetch(simulator)[2])
    key = good[2]["id"]
    rule = {"kind": "bad_record", "operation": "getDeals", "key": key, "value": '"odd"'}
    simulator.control("POST", "faults", rule)
    backwards = DEALS + ("&" if "?" in DEALS else "?") + "sort_direction=desc"
    for path in (DEALS, backwards):
        odd = [record["id"] for record in records(fetch(simulator, path)[2])
               if record["value"] == "odd"]  # fmt: skip
        assert odd == [key]


@pytest.mark.parametrize("first", ODDITIES)
def test_a_page_can_be_damaged_twice(first: str) -> None:
    reply = Reply(200, b'{"success":true,"data":[{"id":1},{"id":2,"title":"A"}]}')
    bad_records([Rule("bad_record", oddity=first, field_name="title", record=0)], reply)
    again = Rule("bad_record", value='"odd"', field_name="title", key=2)
    assert bad_records([again], reply) == [again]
    assert b'{"title":"odd","id":2}' in reply.body


def test_a_hollow_answer_has_no_list(simulator: RunningSimulator) -> None:
    fail(simulator, "hollow")
    assert json.loads(fetch(simulator)[2]) == {"success": True, "data": None}
    fail(simulator, "hollow", value="{}")
    assert json.loads(fetch(simulator)[2]) == {}


def test_a_short_page_is_followed_by_others(simulator: RunningSimulator) -> None:
    path = "/v1/leadFields?limit=3"
    fail(simulator, "short_page")
    short, whole = (json.loads(fetch(simulator, path)[2]) for _ in range(2))
    assert len(short["data"]) == 2 and len(whole["data"]) == 3
    assert short["additional_data"] == whole["additional_data"]


def test_endless_paging_always_announces_another_page(simulator: RunningSimulator) -> None:
    fail(simulator, "more_for_ever")
    assert json.loads(fetch(simulator)[2])["additional_data"]["next_cursor"]
    fail(simulator, "more_for_ever")
    counts = json.loads(fetch(simulator, "/v1/leads?limit=500")[2])["additional_data"]
    assert counts["pagination"]["more_items_in_collection"] is True


def test_a_dripping_body_arrives_slowly(simulator: RunningSimulator) -> None:
    fail(simulator, "dripping_body", seconds=0.3)
    with pytest.raises(http.client.IncompleteRead):
        fetch(simulator)


def test_records_can_be_edited_between_pages(simulator: RunningSimulator) -> None:
    before = simulator.control("GET", "truth/counts")
    fail(simulator, "edit_during_walk", operation="getDeals",
         edits=[{"op": "create_deal", "title": "no meio"}])  # fmt: skip
    assert fetch(simulator)[0] == 200
    after = simulator.control("GET", "truth/counts")
    assert after["deals"] == before["deals"] + 1
    fail(simulator, "edit_during_walk", deals=3)
    assert fetch(simulator)[0] == 200


def test_every_kind_of_fault_has_a_test() -> None:
    assert set(KINDS) - set(STATUSES) == {
        "empty_page", "redirect", "flat_pagination", "null_body", "truncated_json", "reset",
        "slow_body", "hang", "expired_cursor",
        "bad_record", "hollow", "short_page", "more_for_ever", "dripping_body",
        "wrong_types", "unknown_properties", "missing_properties", "edit_during_walk", "status",
    }  # fmt: skip


def test_rules_choose_by_operation_and_path(simulator: RunningSimulator) -> None:
    simulator.control("POST", "faults", {"kind": "500", "operation": "getDeal*", "path": "/v1/*"})
    assert fetch(simulator)[0] == 200
    assert fetch(simulator, "/v1/deals/1/changelog")[0] == 500
    assert fetch(simulator, "/v1/users")[0] == 200
    (rule,) = simulator.control("GET", "faults")
    assert (rule["matched"], rule["fired"]) == (1, 1)
    assert simulator.control("DELETE", "faults", id=rule["id"]) == {"removed": 1}


def test_rules_fire_by_count_every_and_after() -> None:
    faults = Faults()
    faults.add(kind="500", count=2, every=3, after=1)
    fired = [faults.pick("getDeals", DEALS, False) is not None for _ in range(12)]
    assert [i for i, hit in enumerate(fired) if hit] == [3, 6]


def test_probability_is_repeatable() -> None:
    def run(seed: int) -> list[bool]:
        rule = Rule("500", probability=0.1, seed=seed)
        return [rule.fires("getDeals", DEALS, False) for _ in range(2000)]

    assert run(1) == run(1) != run(2)
    assert 150 < sum(run(1)) < 250


@pytest.mark.parametrize(
    "rule", [{"kind": "nope"}, {"kind": "500", "every": 0}, {"kind": "500", "probability": 2},
             {"kind": "500", "typo": 1}, {"kind": "bad_record", "oddity": "nope"}, {}],
)  # fmt: skip
def test_bad_rules_are_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(RuleError):
        Faults().add(**rule)


def test_a_hang_that_ends_is_followed_by_the_response(simulator: RunningSimulator) -> None:
    good = fetch(simulator)[2]
    fail(simulator, "hang", seconds=0.2)
    start = time.monotonic()
    assert fetch(simulator)[::2] == (200, good)
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize(
    ("kind", "path"),
    [("bad_record", f"{DEALS}/1"), ("bad_record", f"{DEALS}?ids=999999"),
     ("wrong_types", "/v1/leads?start=5000"), ("short_page", DEALS), ("flat_pagination", DEALS),
     ("more_for_ever", f"{DEALS}/1")],
)  # fmt: skip
def test_a_fault_of_records_or_pages_leaves_other_responses_alone(
    simulator: RunningSimulator, kind: str, path: str
) -> None:
    good = json.loads(fetch(simulator, path)[2])
    fail(simulator, kind)
    assert json.loads(fetch(simulator, path)[2]) == good
    assert simulator.control("GET", "faults")[0]["fired"] == 1


def test_only_the_rules_whose_record_was_damaged_are_returned() -> None:
    reply = Reply(200, b'{"success":true,"data":["oops",{"id":1},{"id":2}]}')
    broken = Rule("bad_record", oddity="broken", key=2)
    odd, absent = Rule("bad_record", key=2), Rule("bad_record", key=3)
    assert bad_records([broken, odd, absent], reply) == [broken]
    assert reply.body == b'{"data":["oops",{"id":1},{"id":5 "title":}],"success":true}'
    empty = Reply(200, b'{"data":[]}')
    assert bad_records([Rule("bad_record")], empty) == []
    assert empty.body == b'{"data":[]}'
    assert bad_records([odd], Reply(200, b'{"data":{"id":2}}')) == []

"""Token, burst window, daily budget, and the block page after many refusals."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pipedrive_simulator.server.limits import Gate, Limits, plan_limits
from simulator_helpers import Caller, make_account, make_caller

DEALS = "/api/v2/deals"


def call(
    caller: Caller, headers: dict[bytes, bytes], path: str = DEALS, method: str = "GET"
) -> Any:
    return caller.api.answer(method, path, "limit=1", headers)


@pytest.mark.parametrize(
    "headers",
    [{}, {b"x-api-token": b"wrong"}, {b"authorization": b"Bearer demo-token"},
     {b"authorization": b"Basic demo-bearer"}],
)  # fmt: skip
def test_calls_without_a_valid_token_get_401(caller: Caller, headers: Any) -> None:
    reply = call(caller, headers)
    assert (reply.status, reply.headers["x-401-by-gw"]) == (401, "true")
    assert json.loads(reply.body) == {
        "success": False, "error": "unauthorized access", "errorCode": 401,
        "error_info": "Please check developers.pipedrive.com",
    }  # fmt: skip
    assert caller.api.stats.summary()["tokens"] == 0


def test_a_bearer_token_is_accepted(caller: Caller) -> None:
    assert call(caller, {b"authorization": b"Bearer demo-bearer"}).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/deals", 410), ("/api/v1/deals/1", 410), ("/v1/persons", 410), ("/v1/stages", 410),
     ("/v1/activities", 410), ("/v2/deals", 404), ("/api/v2/nothing", 404), ("/", 404),
     ("/v1/deals/1/changelog", 200), ("/api/v1/users", 200), ("/api/v2/users", 404)],
)  # fmt: skip
def test_prefixes_and_removed_endpoints(caller: Caller, path: str, status: int) -> None:
    assert caller.api.answer("GET", path, "", {b"x-api-token": b"demo-token"}).status == status


def test_removed_endpoints_can_answer_404(caller: Caller) -> None:
    other = make_caller(caller.account, removed_status=404)
    assert other.reply("/v1/deals").status == 404


def test_only_get_is_served(caller: Caller) -> None:
    assert call(caller, {b"x-api-token": b"demo-token"}, method="POST").status == 405


def gate(now: list[float], **limits: Any) -> Gate:
    return Gate(Limits(**limits), today=lambda: int(now[0] // 86_400), clock=lambda: now[0])


def test_the_burst_window_rolls() -> None:
    now = [100.0]
    limited = gate(now, burst=3)
    for _ in range(3):
        assert limited.admit("t", 10) is None
        now[0] += 0.5
    refusal = limited.admit("t", 10)
    assert refusal is not None
    assert (refusal.status, refusal.headers["retry-after"]) == (429, "1")
    assert limited.headers("t")["x-ratelimit-remaining"] == "0"
    assert limited.admit("another", 10) is None
    assert limited.admit("t", 10, oauth=True) is None
    now[0] = 102.1
    assert limited.admit("t", 10) is not None  # four in the window until 102.5
    now[0] = 102.6
    assert limited.admit("t", 10) is None
    assert limited.tokens_used == 60


def test_headers_count_down() -> None:
    now = [0.0]
    limited = gate(now, burst=20, daily_tokens=1000)
    limited.admit("t", 10)
    assert limited.headers("t") == {
        "x-ratelimit-limit": "20", "x-ratelimit-remaining": "19", "x-ratelimit-reset": "2",
        "x-daily-ratelimit-token-limit": "1000", "x-daily-ratelimit-token-remaining": "990",
    }  # fmt: skip


def test_the_daily_budget_ends_and_comes_back_with_the_next_day() -> None:
    caller = make_caller(make_account(deals=5), Limits(daily_tokens=25))
    assert [caller.reply(DEALS).status for _ in range(3)] == [200, 200, 429]
    reply = caller.reply("/v1/users/me")
    assert reply.status == 429
    assert reply.headers["x-daily-ratelimit-token-remaining"] == "0"
    assert int(reply.headers["x-ratelimit-remaining"]) > 0
    caller.account.advance_clock(86_400)
    assert caller.reply(DEALS).status == 200


def test_calls_after_many_refusals_get_the_block_page() -> None:
    now = [0.0]
    limited = gate(now, burst=1, cloudflare_after=3, cloudflare_seconds=5)
    statuses = []
    for _ in range(6):
        refusal = limited.admit("t", 1)
        statuses.append(refusal.status if refusal else 200)
    assert statuses == [200, 429, 429, 429, 403, 403]
    now[0] = 4.9
    blocked = limited.admit("t", 1)
    assert blocked is not None
    assert blocked.content_type.startswith("text/html")
    assert b"<html>" in blocked.body
    now[0] = 5.1
    assert limited.admit("t", 1) is None


def test_plan_limits_depend_on_plan_and_seats() -> None:
    assert plan_limits("lite", 1) == Limits(burst=20, daily_tokens=30_000)
    assert plan_limits("ultimate", 10) == Limits(burst=120, daily_tokens=2_100_000)


def test_the_default_has_no_limits() -> None:
    caller = make_caller(make_account(deals=5))
    assert {caller.reply(DEALS, limit=1).status for _ in range(400)} == {200}


def test_stats_count_calls_and_tokens(caller: Caller) -> None:
    caller.get(DEALS)
    caller.get(DEALS)
    caller.get("/v1/deals/1/changelog")
    caller.reply("/api/v2/nothing")
    summary = caller.api.stats.summary()
    assert (summary["calls"], summary["tokens"]) == (4, 40)
    assert summary["operations"]["getDeals"] == {"calls": 2, "tokens": 20}
    assert summary["statuses"] == {"200": 3, "404": 1}
    assert summary["max_in_2s"] == 4


def test_the_date_header_is_the_accounts_time(caller: Caller) -> None:
    assert caller.reply(DEALS).headers["date"] == "Mon, 15 Jun 2026 12:00:00 GMT"


def grant(caller: Caller, refresh: str = "demo-refresh", client: str = "demo-client") -> Any:
    basic = base64.b64encode(f"{client}:demo-secret".encode())
    form = f"grant_type=refresh_token&refresh_token={refresh}".encode()
    return caller.api.oauth.grant({b"authorization": b"Basic " + basic}, form, "http://here")


def test_a_refresh_token_gives_access_tokens_that_expire(caller: Caller) -> None:
    granted = json.loads(grant(caller).body)
    assert (granted["api_domain"], granted["refresh_token"]) == ("http://here", "demo-refresh")
    headers = {b"authorization": b"Bearer " + granted["access_token"].encode()}
    assert call(caller, headers).status == 200
    caller.account.advance_clock(granted["expires_in"])
    assert call(caller, headers).status == 401


def test_wrong_credentials_get_no_access_token(caller: Caller) -> None:
    assert json.loads(grant(caller, refresh="x").body)["error"] == "invalid_grant"
    assert grant(caller, client="x").status == 401


def test_a_token_is_granted_only_for_a_refresh_token_and_basic_credentials(caller: Caller) -> None:
    basic = {b"authorization": b"Basic " + base64.b64encode(b"demo-client:demo-secret")}
    reply = caller.api.oauth.grant(basic, b"grant_type=authorization_code", "http://here")
    assert (reply.status, json.loads(reply.body)["error"]) == (400, "unsupported_grant_type")
    for header in (b"Basic not-base64", b"Bearer demo-bearer", b""):
        reply = caller.api.oauth.grant({b"authorization": header}, b"", "http://here")
        assert (reply.status, json.loads(reply.body)["error"]) == (401, "invalid_client")


def test_the_headers_of_the_daily_budget_can_be_left_out() -> None:
    assert set(gate([0.0], daily_headers=False).headers("t")) == {
        "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset",
    }  # fmt: skip

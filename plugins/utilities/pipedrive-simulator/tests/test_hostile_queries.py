"""Any query to any operation is answered, or refused with a reason; none is a server error."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
import simulator_openapi as openapi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipedrive_simulator.operations import OPERATIONS
from pipedrive_simulator.operations.operation import Operation
from simulator_helpers import Caller, make_account, make_caller
from test_official_documents import required, url

#: Values of the kinds that parameters have, at and beyond their bounds.
_VALUES = st.sampled_from(
    [
        *("", "0", "1", "-1", "7", "500", "501", "9" * 30, "9" * 5000, "1_0", " 1", "1e400", "nan"),
        *("true", "FALSE", "id", "update_time", "asc", "id DESC", "update_time nonsense", "open"),
        *("1,2,3", "1,,2", ",", "1,x", "open,won", "all_not_deleted", "deal", "company", "month"),
        *("2026-06-01", "2026-02-30", "0001-01-01", "9999-12-31", "2026-06-01T00:00:00Z"),
        *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-06-01T25:00:00Z", "{}", "[1]"),
    ]
) | st.text(max_size=6)
_PATHS = st.sampled_from(["1", "2", "0", "-1", "9" * 30, "x", "%00", "1.5"])
_REFUSALS = (400, 403, 404)


@pytest.fixture(scope="module")
def small() -> Caller:
    return make_caller(make_account())


@pytest.mark.parametrize("op", [pytest.param(op, id=f"{op.version}-{op.id}") for op in OPERATIONS])
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_query_is_answered_or_refused(
    op: Operation, small: Caller, data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(op.params)), max_size=3)) if op.params else []
    query = required(op, small.account) | {name: data.draw(_VALUES) for name in names}
    path = url(op, small.account) if data.draw(st.booleans()) else _with_id(op, data.draw(_PATHS))
    text = urlencode(query, errors="surrogatepass")
    reply = small.api.answer("GET", path, text, {b"x-api-token": b"demo-token"})
    assert reply.status == 200 or reply.status in _REFUSALS, reply.body
    body = json.loads(reply.body)
    assert body["success"] is (reply.status == 200)
    if reply.status != 200:
        assert body["error"]


def _with_id(op: Operation, number: str) -> str:
    prefix = "/api/v2" if op.version == "v2" else "/v1"
    return prefix + op.path.replace("{id}", number).replace("{field_code}", number)


@pytest.mark.parametrize("op", [pytest.param(op, id=f"{op.version}-{op.id}") for op in OPERATIONS])
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_an_answer_to_any_query_follows_the_schema(
    op: Operation, small: Caller, spec_dir: Path, data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(op.params)), max_size=3)) if op.params else []
    query = required(op, small.account) | {name: data.draw(_VALUES) for name in names}
    text = urlencode(query, errors="surrogatepass")
    reply = small.api.answer("GET", url(op, small.account), text, {b"x-api-token": b"demo-token"})
    if reply.status == 200:
        found = openapi.validator(spec_dir, op.version, op.path).iter_errors(json.loads(reply.body))
        assert not list(found)

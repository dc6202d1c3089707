"""Lists of v1 without paging: users, currencies, filters, labels, roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pipedrive_simulator.account.records import Json
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation
from pipedrive_simulator.operations.paging import OFFSET_PARAMS, v1_body, v1_page
from pipedrive_simulator.operations.query_params import ApiError, Parser, Request

_FILTER_TYPES = ("deals", "leads", "org", "people", "products", "activity", "projects")


def as_is(record: Any) -> Json:
    """Render a record with all its properties."""
    value: Json = msgspec.to_builtins(record)
    return value


def v1_list(
    op_id: str,
    path: str,
    *,
    cost: int,
    table: str,
    render: Callable[[Any], Json] = as_is,
    params: dict[str, Parser] | None = None,
    keep: Callable[[Request, Any], bool] = lambda request, record: True,
) -> Operation:
    """Declare a v1 list without paging: the whole table in one response."""

    def answer(request: Request) -> bytes:
        records = request.account.table(table).records.values()
        return v1_body([render(record) for record in records if keep(request, record)])

    return Operation(op_id, "v1", path, cost, answer, params or {})


def _me(request: Request) -> bytes:
    account = request.account
    own = {
        "company_id": account.company_id,
        "company_name": account.company.capitalize(),
        "company_domain": account.company,
        "company_country": "BR" if account.base_currency == "BRL" else "US",
        "company_industry": "Software",
        "language": {"language_code": "pt", "country_code": "BR"},
    }
    return v1_body(as_is(account.me()) | own)


def _user(request: Request) -> bytes:
    user = request.account.users.get(request.record_id())
    if user is None:
        raise ApiError(404, "User not found", "Object was not found.")
    return v1_body(as_is(user))


def _roles(request: Request) -> bytes:
    return v1_page(request, list(request.account.roles.records.values()), as_is)


OPERATIONS = (
    v1_list("getUsers", "/users", cost=20, table="users"),
    Operation("getCurrentUser", "v1", "/users/me", 2, _me),
    Operation("getUser", "v1", "/users/{id}", 2, _user),
    v1_list("getCurrencies", "/currencies", cost=20, table="currencies",
            params={"term": query_params.text},
            keep=lambda request, c: request.get("term", "").lower()
            in f"{c.code} {c.name}".lower()),
    v1_list("getFilters", "/filters", cost=20, table="filters",
            params={"type": query_params.one_of(*_FILTER_TYPES)},
            keep=lambda request, f: request.get("type", f.type) == f.type),
    v1_list("getLeadLabels", "/leadLabels", cost=10, table="lead_labels"),
    v1_list("getLeadSources", "/leadSources", cost=2, table="lead_sources",
            render=lambda source: {"name": source.name}),
    Operation("getRoles", "v1", "/roles", 20, _roles, OFFSET_PARAMS),
)  # fmt: skip

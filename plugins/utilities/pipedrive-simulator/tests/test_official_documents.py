"""Every operation against the official documents: schemas, parameters, ids and token costs."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import simulator_openapi as openapi
from pipedrive_simulator.account.account import Account
from pipedrive_simulator.operations import OPERATIONS
from pipedrive_simulator.operations.operation import Operation
from simulator_helpers import TINY_CSV, Caller, make_account, make_caller

_PATHS = {"{id}": "1", "{field_code}": "title"}
_ENUM_LISTS = {"status", "include_fields"}
_BY_ID = [pytest.param(op, id=f"{op.version}-{op.id}") for op in OPERATIONS]


_PLANS: dict[str, dict[str, Any]] = {
    "normal": {"deals": 400},
    "empty": {"deals": 0},
    "csv": {"kind": "csv", "csv_dir": str(TINY_CSV), "now": None},
    "endless": {"kind": "endless", "deals": 1000},
}


@cache
def _account_caller(plan: str) -> Caller:
    """Make an account once; in a random order, pytest would make it for almost every test."""
    return make_caller(make_account(**_PLANS[plan]))


@pytest.fixture(params=_PLANS)
def account_caller(request: pytest.FixtureRequest) -> Caller:
    return _account_caller(request.param)


def path_id(op: Operation, account: Account, number: str) -> str:
    """Return the id of a record with rows, if the first record has none."""
    chosen: list[Any] = {
        "getGoalResult": [g.id for g in account.goals.records.values() if g.is_active],
        "getPersonChangelog": list(account.logs["person"]._rows),
        "getOrganizationChangelog": list(account.logs["organization"]._rows),
        "getPermissionSetAssignments": list(account.permission_sets.records),
        "getNoteComments": [c.note_id for c in account.note_comments.records.values()],
        "getAdditionalDiscounts": [d.deal_id for d in account.discounts.records.values()],
        "getDealFollowers": [f.deal_id for f in account.followers.records.values()],
        "getDealParticipants": [p.deal_id for p in account.participants.records.values()],
        "getProductVariations": [v.product_id for v in account.product_variations.records.values()],
    }.get(op.id, [])
    return str(chosen[min(int(number), len(chosen)) - 1]) if chosen else number


def url(op: Operation, account: Account, number: str = "1") -> str:
    number = path_id(op, account, number)
    prefix = "/api/v2" if op.version == "v2" else "/v1"
    code = "name" if "title" not in op.id and "Deal" not in op.id else "title"
    code = "subject" if op.id == "getActivityField" else code
    return prefix + op.path.replace("{id}", number).replace("{field_code}", code)


def required(op: Operation, account: Account) -> dict[str, str]:
    relationships = account.organization_relationships.records.values()
    values = {
        "deal_ids": "1,2,3,4,5,6,7,8,9",
        "board_id": "1",
        "folder": "inbox",
        "start_date": "2026-05-01",
        "end_date": "2026-05-31",
        "period.start": "2026-05-01",
        "period.end": "2026-05-31",
    }
    if op.id in ("getGoals", "getNotes"):
        return {"assignee.type": "company"} if op.id == "getGoals" else {}
    if op.id == "getInstallments" and account.installments.records:
        values["deal_ids"] = str(next(iter(account.installments.records.values())).deal_id)
    if op.id == "getOrganizationRelationships":
        values["org_id"] = str(next((r.rel_owner_org_id for r in relationships), 1))
    return {name: value for name, value in values.items() if name in op.params}


@pytest.mark.parametrize("op", _BY_ID)
def test_responses_follow_the_schema(op: Operation, account_caller: Caller, spec_dir: Path) -> None:
    validator = openapi.validator(spec_dir, op.version, op.path)
    shapes: list[dict[str, str]] = [{}]
    shapes += [{"limit": "3"}] if "limit" in op.params else []
    shapes += [{"include_option_labels": "true"}] if "include_option_labels" in op.params else []
    if "include_fields" in op.params:
        official = {
            p["name"]: p for p in openapi.operation(spec_dir, op.version, op.path)["parameters"]
        }
        choices = {w for v in official["include_fields"]["schema"]["enum"] for w in v.split(",")}
        shapes.append({"include_fields": ",".join(sorted(choices & _known_extras(op)))})
    if op.id in ("getDeals", "getArchivedDeals"):
        shapes.append({"status": "open,won,lost,deleted"})
    for shape in shapes:
        for number in ("1", "7") if "{id}" in op.path else ("1",):
            account = account_caller.account
            query = required(op, account) | shape
            reply = account_caller.reply(url(op, account, number), **query)
            if reply.status == 404 and "{id}" in op.path:
                continue  # the empty account has no such record
            assert reply.status == 200, reply.body
            errors = list(validator.iter_errors(json.loads(reply.body)))
            assert not errors, errors[0]


def _known_extras(op: Operation) -> set[str]:
    """Return the optional properties; the simulator has no marketing add-on with two more."""
    return set(op.params["include_fields"].__closure__[0].cell_contents)  # type: ignore[attr-defined]


@pytest.mark.parametrize("op", _BY_ID)
def test_every_property_is_official(op: Operation, big: Caller, spec_dir: Path) -> None:
    official = openapi.property_names(openapi.record_schema(spec_dir, op.version, op.path))
    known = official | openapi.EXAMPLE_ONLY.get(op.id, set())
    data = big.get(url(op, big.account), **required(op, big.account))["data"]
    assert data
    for record in data if isinstance(data, list) else [data]:
        flat_custom = (
            {name for name in record if len(name) >= 40} if op.id.endswith("Leads") else set()
        )
        if op.id not in ("getDealsSummary",):
            assert set(record) - known - flat_custom == set()


@pytest.mark.parametrize("op", _BY_ID)
def test_parameters_are_official(op: Operation, spec_dir: Path) -> None:
    official = {
        p["name"]: p["schema"]
        for p in openapi.operation(spec_dir, op.version, op.path).get("parameters", [])
        if p["in"] == "query"
    }
    assert set(op.params) == set(official)


@pytest.mark.parametrize("op", _BY_ID)
def test_official_choices_are_accepted_and_others_refused(
    op: Operation, big: Caller, spec_dir: Path
) -> None:
    for p in openapi.operation(spec_dir, op.version, op.path).get("parameters", []):
        for choice in p["schema"].get("enum", ()) if p["in"] == "query" else ():
            if choice in ("marketing_status", "doi_status"):
                continue
            # v1 sorts take a direction behind the field.
            value = f"{choice} DESC" if p["name"] == "sort" else choice
            query = required(op, big.account) | {p["name"]: value}
            assert big.reply(url(op, big.account), **query).status == 200
        if p["in"] == "query" and "enum" in p["schema"]:
            query = required(op, big.account) | {p["name"]: "nonsense"}
            answer = big.reply(url(op, big.account), **query)
            assert answer.status == 400, p["name"]


@pytest.mark.parametrize("op", _BY_ID)
def test_ids_and_costs_are_official(op: Operation, spec_dir: Path) -> None:
    assert openapi.operation(spec_dir, op.version, op.path)["operationId"] == op.id
    costs = json.loads((spec_dir / f"token-costs-{op.version}.json").read_text())
    assert costs[f"GET {op.path}"] == op.cost


def test_an_unknown_parameter_is_refused_or_ignored(big: Caller) -> None:
    assert big.reply("/api/v2/deals", archived_status="all").status == 400
    lenient = make_caller(big.account, strict=False)
    assert lenient.reply("/api/v2/deals", archived_status="all").status == 200

"""Every operation against the official documents: schemas, parameters, ids and token costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import simulator_openapi as openapi
from pipedrive_simulator.operations import OPERATIONS
from pipedrive_simulator.operations.operation import Operation
from simulator_helpers import TINY_CSV, Caller, make_account, make_caller

_PATHS = {"{id}": "1", "{field_code}": "title"}
_ENUM_LISTS = {"status", "include_fields"}
_BY_ID = [pytest.param(op, id=f"{op.version}-{op.id}") for op in OPERATIONS]


@pytest.fixture(scope="module", params=["normal", "empty", "csv", "endless"])
def account_caller(request: pytest.FixtureRequest) -> Caller:
    plans = {
        "normal": {"deals": 400},
        "empty": {"deals": 0},
        "csv": {"kind": "csv", "csv_dir": str(TINY_CSV), "now": None},
        "endless": {"kind": "endless", "deals": 1000},
    }
    return make_caller(make_account(**plans[request.param]))


def url(op: Operation, number: str = "1") -> str:
    prefix = "/api/v2" if op.version == "v2" else "/v1"
    code = "name" if "title" not in op.id and "Deal" not in op.id else "title"
    code = "subject" if op.id == "getActivityField" else code
    return prefix + op.path.replace("{id}", number).replace("{field_code}", code)


def required(op: Operation) -> dict[str, str]:
    return {"deal_ids": "1,2,3,4,5,6,7,8,9"} if "deal_ids" in op.params else {}


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
        words = {w for v in official["include_fields"]["schema"]["enum"] for w in v.split(",")}
        shapes.append({"include_fields": ",".join(sorted(words & _known_extras(op)))})
    if op.id in ("getDeals", "getArchivedDeals"):
        shapes.append({"status": "open,won,lost,deleted"})
    for shape in shapes:
        for number in ("1", "7") if "{id}" in op.path else ("1",):
            reply = account_caller.reply(url(op, number), **required(op), **shape)
            if reply.status == 404 and "{id}" in op.path:
                continue  # the empty account has no such record
            assert reply.status == 200, reply.body
            errors = list(validator.iter_errors(json.loads(reply.body)))
            assert not errors, errors[0]


def _known_extras(op: Operation) -> set[str]:
    """The simulated account has no marketing add-on: those two fields cannot be asked for."""
    return set(op.params["include_fields"].__closure__[0].cell_contents)  # type: ignore[attr-defined]


@pytest.mark.parametrize("op", _BY_ID)
def test_no_property_is_made_up(op: Operation, big: Caller, spec_dir: Path) -> None:
    official = openapi.property_names(openapi.record_schema(spec_dir, op.version, op.path))
    known = official | openapi.EXAMPLE_ONLY.get(op.id, set())
    data = big.get(url(op), **required(op))["data"]
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
            assert big.reply(url(op), **required(op), **{p["name"]: value}).status == 200
        if p["in"] == "query" and "enum" in p["schema"]:
            answer = big.reply(url(op), **required(op), **{p["name"]: "nonsense"})
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

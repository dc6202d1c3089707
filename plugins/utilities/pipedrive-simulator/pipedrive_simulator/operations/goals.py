"""Goals of the company, its teams and people, and their progress."""

from __future__ import annotations

from typing import Any

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Json
from pipedrive_simulator.account.records_v1 import Goal
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.movements import Course, Period, courses, period_of
from pipedrive_simulator.operations.operation import Operation, not_found
from pipedrive_simulator.operations.paging import v1_body
from pipedrive_simulator.operations.query_params import Parser, Request, refuse
from pipedrive_simulator.operations.settings import as_is
from pipedrive_simulator.operations.totals import exchange_rate

KINDS = ("deals_won", "deals_progressed", "activities_completed", "activities_added",
         "deals_started")  # fmt: skip
ASSIGNEES = ("person", "company", "team")
# Without any of these parameters, only goals of the token's user are returned.
_EVERYONES = ("type.name", "assignee.id", "assignee.type", "expected_outcome.target",
              "expected_outcome.tracking_metric", "expected_outcome.currency_id",
              "type.params.pipeline_id", "type.params.stage_id",
              "type.params.activity_type_id")  # fmt: skip


def _ids_or_null(values: list[str]) -> list[int] | None:
    return None if values == ["null"] else query_params.ids(values)


def _find(request: Request) -> bytes:
    query, goals = request.query, request.account.goals.records.values()
    if ("period.start" in query) != ("period.end" in query):
        refuse("period.start", "must be given together with period.end")
    wanted: Json = {"is_active": True} | {
        name: value for name, value in query.items() if not name.startswith("period.")
    }
    if not any(name in query for name in _EVERYONES):
        wanted |= {"assignee.type": "person", "assignee.id": request.account.me().id}
    begin, end = query.get("period.start", ""), query.get("period.end", "9999-12-31")
    found = [
        as_is(goal)
        for goal in goals
        if goal.duration["start"] <= end
        and (goal.duration["end"] or end) >= begin
        and all(_property(goal, name) == value for name, value in wanted.items())
    ]
    return v1_body({"goals": found})


def _property(goal: Goal, name: str) -> Any:
    """Return `type.params.stage_id` and alike; None if a goal has no such part."""
    value: Any = as_is(goal)
    for part in name.split("."):
        value = value.get(part)
        if value is None:
            break
    return value


def _result(request: Request) -> bytes:
    account = request.account
    goal = account.goals.get(request.path["id"])
    if goal is None:
        not_found("goal")
    period = period_of(account, request, "period.start", "period.end")
    if request.query["period.start"] < goal.duration["start"]:
        refuse("period.start", "must not be before the goal's duration")
    if goal.duration["end"] and request.query["period.end"] > goal.duration["end"]:
        refuse("period.end", "must not be after the goal's duration")
    return v1_body({"goal": as_is(goal), "progress": _progress(account, goal, period)})


def _progress(account: Account, goal: Goal, period: Period) -> int:
    name, people = goal.type["name"], _people(account, goal)
    if name.startswith("activities"):
        return _activities(account, goal, period, people)
    found = [
        course
        for course in courses(account, period)
        if course.deal.owner_id in people and _counts(course, goal, period)
    ]
    if goal.expected_outcome["tracking_metric"] == "quantity":
        return len(found)
    currency = account.currencies.get(goal.expected_outcome["currency_id"])
    target = currency.code if currency else account.base_currency
    return round(sum(c.deal.value * exchange_rate(c.deal.currency, target) for c in found))


def _people(account: Account, goal: Goal) -> set[int]:
    kind, number = goal.assignee["type"], goal.assignee["id"]
    if kind == "company":
        return set(account.users.records)
    if kind == "person":
        return {number}
    team = account.teams.get(number)
    return set(team.users) if team else set()


def _counts(course: Course, goal: Goal, period: Period) -> bool:
    """Return whether a deal was won, started or moved to the goal's stage in the period."""
    name, params = goal.type["name"], goal.type["params"]
    pipelines = params.get("pipeline_id")
    if name == "deals_won":
        place, did = course.last, course.ended("won", period)
    elif name == "deals_started":
        place, did = course.states[0], period.has(course.states[0].time)
    else:
        stage = params.get("stage_id")
        place = course.last
        did = any(
            after.stage_id == stage != before.stage_id for before, after in course.steps(period)
        )
    return did and (pipelines is None or place.pipeline_id in pipelines)


def _activities(account: Account, goal: Goal, period: Period, people: set[int]) -> int:
    wanted = goal.type["params"].get("activity_type_id")
    keys = {
        kind.key_string
        for kind in account.activity_types.records.values()
        if wanted is None or kind.id in wanted
    }
    added = goal.type["name"] == "activities_added"
    return sum(
        1
        for a in account.activities.records.values()
        if a.owner_id in people
        and a.type in keys
        and not a.is_deleted
        and period.has((a.add_time if added else a.marked_as_done_time) or "")
    )


_FIND: dict[str, Parser] = {
    "type.name": query_params.one_of(*KINDS),
    "title": query_params.text,
    "is_active": query_params.boolean,
    "assignee.id": query_params.integer,
    "assignee.type": query_params.one_of(*ASSIGNEES),
    "expected_outcome.target": query_params.number,
    "expected_outcome.tracking_metric": query_params.one_of("quantity", "sum"),
    "expected_outcome.currency_id": query_params.integer,
    "type.params.pipeline_id": _ids_or_null,
    "type.params.stage_id": query_params.integer,
    "type.params.activity_type_id": _ids_or_null,
    "period.start": query_params.day,
    "period.end": query_params.day,
}
OPERATIONS = (
    Operation("getGoals", "v1", "/goals/find", 20, _find, _FIND),
    Operation("getGoalResult", "v1", "/goals/{id}/results", 20, _result,
              {"period.start": query_params.day, "period.end": query_params.day}),
)  # fmt: skip

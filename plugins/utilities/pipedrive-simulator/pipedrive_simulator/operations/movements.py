"""Movements of a pipeline's deals in a period, computed from their history.

Days are in the company's time zone. Only deals of one user (their owner now) are counted, without
deleted and archived ones. A deal is won in a period if it became won in it and is won at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean
from typing import Any, NamedTuple

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Deal, Json
from pipedrive_simulator.account.state import DealState
from pipedrive_simulator.clock import SECONDS_PER_DAY, to_seconds, to_text
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation, existing
from pipedrive_simulator.operations.paging import v1_body
from pipedrive_simulator.operations.query_params import Parser, Request, refuse
from pipedrive_simulator.operations.totals import money

_OPEN, _WON, _LOST = "open", "won", "lost"


class Period(NamedTuple):
    """Instants from `begin` to before `end`."""

    begin: str
    end: str

    def has(self, time: str) -> bool:
        """Return whether an instant is in the period."""
        return self.begin <= time < self.end


def period_of(account: Account, request: Request, first: str, last: str) -> Period:
    """Read two parameters as the first and the last day of a period, in the company's zone."""
    begin, end = request.required(first), request.required(last)
    if end < begin:
        refuse(last, f"must not be before {first}")
    seconds = to_seconds(f"{begin}T00:00:00Z"), to_seconds(f"{end}T00:00:00Z") + SECONDS_PER_DAY
    try:
        return Period(*(to_text(second - account.utc_offset) for second in seconds))
    except OverflowError:
        refuse(last, "is not a valid date")


class Course(NamedTuple):
    """A deal and its states up to the end of a period, oldest first."""

    deal: Deal
    states: list[DealState]

    @property
    def last(self) -> DealState:
        """The state at the end of the period."""
        return self.states[-1]

    def since(self, *names: str) -> str:
        """Return the time since which the properties have had their final values."""
        begin = self.last
        for state in reversed(self.states):
            if any(getattr(state, name) != getattr(begin, name) for name in names):
                break
            begin = state
        return begin.time

    def ended(self, status: str, period: Period) -> bool:
        """Return whether the deal got this status in the period and still had it at its end."""
        return self.last.status == status and period.has(self.since("status"))

    def steps(self, period: Period) -> Iterator[tuple[DealState, DealState]]:
        """Yield each change in the period: state before, state after."""
        return ((a, b) for a, b in pairwise(self.states) if period.has(b.time))

    def stays(self, period: Period) -> Iterator[DealState]:
        """Yield the states during the period."""
        for state, following in zip(self.states, [*self.states[1:], None], strict=True):
            if period.has(state.time) or following is None or following.time > period.begin:
                yield state


def courses(account: Account, period: Period) -> Iterator[Course]:
    """Yield the course of every deal that is neither deleted nor archived."""
    for deal in account.deals.all_records():
        if deal.is_deleted or deal.is_archived:
            continue
        states = [state for state in account.deal_states[deal.id] if state.time < period.end]
        if states:
            yield Course(deal, states)


def _courses_of_request(request: Request) -> tuple[int, Period, list[Course]]:
    """Return the pipeline's id, the period and the deals of the requested user."""
    account = request.account
    pipeline = existing(request, "pipelines", "pipeline")
    period = period_of(account, request, "start_date", "end_date")
    user = request.get("user_id", account.me().id)
    return pipeline.id, period, [c for c in courses(account, period) if c.deal.owner_id == user]


def _deal_list(account: Account, found: list[Course]) -> Json:
    values: dict[str, float] = {}
    for course in found:
        values[course.deal.currency] = values.get(course.deal.currency, 0) + course.deal.value
    return {
        "count": len(found),
        "deals_ids": [course.deal.id for course in found],
        "values": {code: round(value) for code, value in values.items()},
        "formatted_values": {code: money(account, value, code) for code, value in values.items()},
    }


def _movements(request: Request) -> bytes:
    pipeline, period, found = _courses_of_request(request)
    account = request.account
    here = [course for course in found if course.last.pipeline_id == pipeline]
    left_open = [course for course in here if course.last.status == _OPEN]
    end = min(to_seconds(period.end), account.clock.seconds())

    def age(times: list[str]) -> int:
        return round(fmean(end - to_seconds(t) for t in times) / SECONDS_PER_DAY) if times else 0

    moves = sum(
        1
        for course in found
        for before, after in course.steps(period)
        if before.stage_id != after.stage_id and before.pipeline_id == after.pipeline_id == pipeline
    )
    entered: dict[int, list[str]] = {stage.id: [] for stage in _stages(account, pipeline)}
    for course in left_open:
        entered.setdefault(course.last.stage_id, []).append(course.since("stage_id"))
    return v1_body(
        {
            "movements_between_stages": {"count": moves},
            "new_deals": _deal_list(
                account,
                [c for c in found
                 if c.states[0].pipeline_id == pipeline and period.has(c.states[0].time)],
            ),
            "deals_left_open": _deal_list(account, left_open),
            "won_deals": _deal_list(account, [c for c in here if c.ended(_WON, period)]),
            "lost_deals": _deal_list(account, [c for c in here if c.ended(_LOST, period)]),
            "average_age_in_days": {
                "across_all_stages": age([course.states[0].time for course in left_open]),
                "by_stages": [
                    {"stage_id": stage, "value": age(times)} for stage, times in entered.items()
                ],
            },
        }
    )  # fmt: skip


def _conversions(request: Request) -> bytes:
    """Return, for each stage, the share of its open deals that moved forward."""
    pipeline, period, found = _courses_of_request(request)
    stages = _stages(request.account, pipeline)
    order = {stage.id: position for position, stage in enumerate(stages)}
    were: dict[int, set[int]] = {stage.id: set() for stage in stages}
    went: dict[int, set[int]] = {stage.id: set() for stage in stages}
    for course in found:
        for state in course.stays(period):
            if state.status == _OPEN and state.stage_id in were:
                were[state.stage_id].add(course.deal.id)
        for before, after in course.steps(period):
            here, there = order.get(before.stage_id), order.get(after.stage_id, -1)
            if before.status == _OPEN and here is not None and there > here:
                went[before.stage_id].add(course.deal.id)
    worked = set().union(*were.values())
    ended = {
        status: sum(c.deal.id in worked and c.ended(status, period) for c in found
                    if c.last.pipeline_id == pipeline)
        for status in (_WON, _LOST)
    }  # fmt: skip
    return v1_body(
        {
            "stage_conversions": [
                {"from_stage_id": a.id, "to_stage_id": b.id,
                 "conversion_rate": _percent(len(went[a.id]), len(were[a.id]))}
                for a, b in pairwise(stages)
            ],
            "won_conversion": _percent(ended[_WON], len(worked)),
            "lost_conversion": _percent(ended[_LOST], len(worked)),
        }
    )  # fmt: skip


def _stages(account: Account, pipeline: int) -> list[Any]:
    found = (s for s in account.stages.records.values() if s.pipeline_id == pipeline)
    return sorted((s for s in found if not s.is_deleted), key=lambda s: (s.order_nr, s.id))


def _percent(part: int, whole: int) -> int:
    return round(100 * part / whole) if whole else 0


_PARAMS: dict[str, Parser] = {
    "start_date": query_params.day, "end_date": query_params.day, "user_id": query_params.integer,
}  # fmt: skip
OPERATIONS = (
    Operation("getPipelineMovementStatistics", "v1", "/pipelines/{id}/movement_statistics", 40,
              _movements, _PARAMS),
    Operation("getPipelineConversionStatistics", "v1", "/pipelines/{id}/conversion_statistics", 40,
              _conversions, _PARAMS),
)  # fmt: skip

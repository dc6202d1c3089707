"""Pipedrive's own numbers: exchange rates of the day, totals to compare with, and goals.

All but the totals of the day are off by default: the job ``reconcile`` needs them, not the hot
sync.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import msgspec

from tap_pipedrive.api.records import Record
from tap_pipedrive.streams.account import Users
from tap_pipedrive.streams.catalog import Pipelines
from tap_pipedrive.streams.stream_types import FullTableStream
from tap_pipedrive.times import to_text


class _Statistics(FullTableStream):
    """One row per pipeline and filter; numbers of the day, so never swept."""

    selected_by_default = False
    is_swept = False

    def pipelines(self) -> Iterator[Record]:
        """Yield the pipelines of the account."""
        yield from self.definitions(Pipelines)

    def last_month(self) -> tuple[str, str]:
        """First and last day of the last whole month at the source."""
        end = self._run.client.source_now.date().replace(day=1) - timedelta(days=1)
        return end.replace(day=1).isoformat(), end.isoformat()


class DealSummary(_Statistics):
    """Count, value and weighted value by status and pipeline. GET /api/v1/deals/summary.

    Sums over currencies are in the company's default currency, at today's rates.
    """

    name = "deal_summary"
    operations = ("v1 /deals/summary",)
    primary_keys = ("pipeline_id", "status")
    more_properties = {"pipeline_id": "integer", "status": "string", "as_of": "date-time"}

    def record_pages(self) -> Iterator[list[Record]]:
        """Read each status of each pipeline."""
        for pipeline in self.pipelines():
            for status in ("open", "won", "lost"):
                filters: dict[str, Any] = {"pipeline_id": pipeline["id"], "status": status}
                as_of = to_text(self._run.client.source_now)
                for page in self.parent_pages(pipeline["id"], path=False, query=filters):
                    yield [{**row, **filters, "as_of": as_of} for row in page.records]


class DealSummaryDaily(FullTableStream):
    """Totals of all deals by currency, once a day. GET /api/v1/deals/summary.

    Each total is given in its own currency and in the company's: their quotient is the exchange
    rate of that day. Every read adds a row. The state keeps the source's date (UTC) of the last
    read, and a run reads only on another date.
    """

    name = "deal_summary_daily"
    operations = ("v1 /deals/summary",)
    primary_keys = ("as_of",)
    more_properties = {"as_of": "date-time"}
    is_swept = False

    @property
    def is_due(self) -> bool:
        """Whether there was no read on this day, by the source's date."""
        now = self._run.source_time()
        return now is None or self.stream_state.get("read_on") != now.date().isoformat()

    def not_due_notes(self) -> list[str]:
        """Say on which day the totals were read."""
        return [f"read on {self.stream_state['read_on']}, once a day"]

    def seconds_between_reads(self, key: str) -> float:
        """Return a day."""
        del key
        return 86_400.0

    def read(self) -> None:
        """Read the totals."""
        super().read()
        self.stream_state["read_on"] = self._run.client.source_day
        self._run.checkpoint()

    def record_pages(self) -> Iterator[list[Record]]:
        """Read the totals once, without a filter."""
        for page in self.pages():
            as_of = to_text(page.answered_at or self._run.client.source_now)
            yield [{**row, "as_of": as_of} for row in page.records]


class _OfLastMonth(_Statistics):
    """One row per pipeline and user, about the last whole month.

    The operation returns one user's numbers; the company's are their sum.
    """

    primary_keys = ("pipeline_id", "user_id", "start_date")
    more_properties = {
        "pipeline_id": "integer",
        "user_id": "integer",
        "start_date": "date",
        "end_date": "date",
    }

    def record_pages(self) -> Iterator[list[Record]]:
        """Read the numbers of each user in each pipeline."""
        for pipeline in self.pipelines():
            for user in self.definitions(Users):
                start, end = self.last_month()
                filters = {"start_date": start, "end_date": end, "user_id": user["id"]}
                for page in self.parent_pages(pipeline["id"], query=filters):
                    yield [
                        {**row, **filters, "pipeline_id": pipeline["id"]} for row in page.records
                    ]


class PipelineMovements(_OfLastMonth):
    """Pipedrive's own count of what moved in the last whole month.

    GET /api/v1/pipelines/{id}/movement_statistics.
    """

    name = "pipeline_movements"
    operations = ("v1 /pipelines/{id}/movement_statistics",)


class PipelineConversions(_OfLastMonth):
    """Pipedrive's own conversion rates of the last whole month.

    GET /api/v1/pipelines/{id}/conversion_statistics.
    """

    name = "pipeline_conversions"
    operations = ("v1 /pipelines/{id}/conversion_statistics",)


#: Without a filter by assignee the operation returns only the caller's own goals.
GOAL_ASSIGNEES = ("company", "team", "person")


def _goals(stream: FullTableStream) -> Iterator[Record]:
    """Yield all goals, past ones too; ``data`` is one object that holds the list."""
    for kind in GOAL_ASSIGNEES:
        for active in ("true", "false"):
            filters = {"assignee.type": kind, "is_active": active}
            for page in stream.pages(Goals.list_operation(), query=filters):
                for answer in page.records:
                    listed = answer.get("goals")
                    for goal in listed if isinstance(listed, list) else ():
                        if isinstance(goal, dict) and goal.get("id") is not None:
                            yield goal
                        else:
                            stream.quarantine("has no usable id", msgspec.json.encode(goal))


class Goals(FullTableStream):
    """Sales goals of the company, its teams and people. GET /api/v1/goals/find."""

    name = "goals"
    operations = ("v1 /goals/find",)
    primary_keys = ("id",)
    withheld = frozenset({"goals"})
    selected_by_default = False
    more_properties = {
        "id": "string", "owner_id": "integer", "title": "string", "type": "object",
        "assignee": "object", "interval": "string", "duration": "object",
        "expected_outcome": "object", "is_active": "boolean", "report_ids": "array",
    }  # fmt: skip

    def record_pages(self) -> Iterator[list[Record]]:
        """Read the goals from the object that holds them."""
        yield list(_goals(self))


class GoalResults(FullTableStream):
    """Progress of each goal over its duration so far. GET /api/v1/goals/{id}/results."""

    name = "goal_results"
    operations = ("v1 /goals/{id}/results",)
    primary_keys = ("goal_id", "period_start")
    selected_by_default = False
    more_properties = {"goal_id": "string", "period_start": "date", "period_end": "date"}

    def record_pages(self) -> Iterator[list[Record]]:
        """Read the results of each goal from its start to its end or today."""
        for goal in _goals(self):
            today = self._run.client.source_now.date()
            duration = goal.get("duration") or {}
            start = str(duration.get("start") or date(today.year, 1, 1))[:10]
            end = min(str(duration.get("end") or today)[:10], today.isoformat())
            filters = {"period.start": start, "period.end": end}
            named = {"goal_id": goal["id"], "period_start": start, "period_end": end}
            for page in self.parent_pages(goal["id"], query=filters):
                yield [{**row, **named} for row in page.records]

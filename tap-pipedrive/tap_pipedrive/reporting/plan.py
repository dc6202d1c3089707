"""Estimate the cost of a run before it starts.

Pipedrive gives no totals. Without a bookmark the plan reads the largest id of a list, because there
cannot be more records; with a bookmark it reads the first page of the changes since. That costs one
call for each big list, 60 tokens at most.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tap_pipedrive.api.openapi import operation
from tap_pipedrive.context import RunContext
from tap_pipedrive.state.bookmarks import Bookmark
from tap_pipedrive.state.cadence import duration_text
from tap_pipedrive.streams.base import PipedriveStream, Streams
from tap_pipedrive.streams.stream_types import (
    BatchedChildStream,
    FullTableStream,
    IncrementalStream,
    SharedScanStream,
)
from tap_pipedrive.sync.windows import PLAIN_PAGES, most_calls
from tap_pipedrive.times import to_time

#: Tokens that the plan itself may cost.
ALLOWANCE = 60


@dataclass
class Estimate:
    """The estimated cost of one stream: API calls and tokens, and the basis of the estimate."""

    stream: str
    calls: int
    tokens: int
    basis: str


class Plan:
    """The plan of one run with its settings, catalog and state."""

    def __init__(self, run: RunContext, streams: Streams) -> None:
        """Read nothing before :meth:`estimates`."""
        self._run = run
        self._streams = streams
        self._size: dict[str, tuple[int, str]] = {}

    def estimates(self) -> list[Estimate]:
        """Estimate every selected stream, parents before their children."""
        found = [(stream, self._estimate(stream)) for stream in self._streams.selected]
        # The source's time is known only after the estimates.
        return [replace(e, basis=e.basis + self._age(stream)) for stream, e in found]

    def idle(self) -> tuple[int, dict[float, int]]:
        """Return the tokens of a run without new records.

        The first number is for a run by hand that is not the first of the day. The second value is
        the cost of scheduled runs, by the seconds between two reads; 0: every run.
        """
        by_hand, on_schedule = 0, Counter[float]({0.0: 0})
        for stream in self._streams.selected:
            if isinstance(stream, SharedScanStream) and stream.parent != stream.name:
                continue
            for key in stream.operations:
                seconds, cost = stream.seconds_between_reads(key), operation(key).cost
                on_schedule[seconds] += cost
                by_hand += cost if key in stream.intervals or not seconds else 0
        return by_hand, dict(on_schedule)

    def _age(self, stream: PipedriveStream) -> str:
        """Describe the age of a list that scheduled runs read at an interval."""
        if not stream.intervals or self._run.is_sweep:
            return ""
        ((key, interval),) = stream.intervals.items()
        cadence = self._run.cadence
        age = cadence.age(stream.read_at) if stream.read_at else None
        last = f"last read {duration_text(age)} ago" if age is not None else "not read yet"
        which = f"{key} " if len(stream.operations) > 1 else ""
        return f"; {which}{last}, on a schedule every {duration_text(cadence.interval(interval))}"

    def _estimate(self, stream: PipedriveStream) -> Estimate:
        cost = stream.list_operation().cost if stream.operations else 0
        if isinstance(stream, IncrementalStream):
            return self._of_incremental(stream)
        if isinstance(stream, SharedScanStream):
            parents, basis = self._records_of(stream.parent)
            if not stream.operations:
                return Estimate(stream.name, 0, 0, "comes with another stream")
            if isinstance(stream, BatchedChildStream):
                calls = math.ceil(parents / stream.parents_per_call)
                return Estimate(stream.name, calls, calls * cost, f"{basis}, 100 a call")
            return Estimate(stream.name, parents, parents * cost, f"{basis}, a call each")
        if (
            isinstance(stream, FullTableStream)
            and type(stream).record_pages is FullTableStream.record_pages
        ):
            return Estimate(stream.name, 1, cost, "a short list")
        return Estimate(stream.name, 1, cost, "at least: several lists, or a long one")

    def _of_incremental(self, stream: IncrementalStream) -> Estimate:
        records, basis = self._records_of(stream.name)
        limit = min(self._run.page_size, stream.page_limit)
        keys = [operation(key) for key in stream.operations]
        calls = max(1, math.ceil(records / limit))
        if "updated_until" in keys[0].parameters and not self._bookmark(stream).finished:
            calls = self._in_windows(stream, calls)
        # The further lists (archived) are at least looked at.
        others = sum(op.cost for op in keys[1:])
        tokens = calls * keys[0].cost + others
        return Estimate(stream.name, calls + len(keys) - 1, tokens, basis)

    def _in_windows(self, stream: IncrementalStream, pages: int) -> int:
        """Return the most calls of a first scan that continues in windows if it is long."""
        calls = most_calls(pages, self._run.windows)
        if calls == pages:
            return pages
        scanned = (s for s in self._streams.selected if isinstance(s, SharedScanStream))
        read_again = any(s.costs_a_call_per_record and s.parent == stream.name for s in scanned)
        return calls + (pages - PLAIN_PAGES if read_again else 0)

    def _records_of(self, name: str) -> tuple[int, str]:
        if name not in self._size:
            self._size[name] = self._count_records(name)
        return self._size[name]

    @staticmethod
    def _bookmark(stream: IncrementalStream) -> Bookmark:
        """Return the bookmark of a stream's first list."""
        context = next(iter(stream.contexts()))
        return stream.bookmark({"list": context} if context else None)

    def _count_records(self, name: str) -> tuple[int, str]:
        """Return the number of records that a list will bring, and the basis of that number."""
        stream = self._streams[name]
        assert isinstance(stream, IncrementalStream)
        key = next(iter(stream.contexts().values()))
        spent = sum(usage.tokens for usage in self._run.client.usage.values())
        of = operation(key)
        if spent + of.cost > ALLOWANCE or not of.pages_by_cursor:
            return 1, "at least: not looked at"
        bookmark = self._bookmark(stream)
        if bookmark.since is None:
            query: dict[str, Any] = {"sort_by": "id", "sort_direction": "desc", "limit": 1}
            page = self._run.client.get(of, stream=name, query=query)
            largest = max((record["id"] for record in page.records), default=0)
            return largest, "at most: its largest id"
        since = bookmark.since
        query = {"updated_since": since, "sort_by": "update_time", "sort_direction": "asc"}
        query |= {"limit": self._run.page_size, **({"status": "open,won,lost,deleted"}
                  if "status" in of.parameters else {})}  # fmt: skip
        page = self._run.client.get(of, stream=name, query=query)
        if not page.additional.get("next_cursor"):
            return len(page.records), "exact: changed since the bookmark"
        first, last = to_time(since), to_time(page.records[-1]["update_time"])
        so_far = max((last - first).total_seconds(), 1.0)
        whole = (self._run.client.source_now - first).total_seconds()
        return math.ceil(len(page.records) * whole / so_far), "about: by the pace of a first page"


def lines(run: RunContext, streams: Streams) -> Iterator[str]:
    """Yield the plan as text, line by line."""
    plan = Plan(run, streams)
    estimates = plan.estimates()
    width = max(len(e.stream) for e in estimates)
    yield f"{'stream':<{width}}  {'calls':>9}  {'tokens':>11}  how sure"
    for e in estimates:
        yield f"{e.stream:<{width}}  {e.calls:>9,}  {e.tokens:>11,}  {e.basis}"
    scanned = [s for s in streams.selected if isinstance(s, SharedScanStream)]
    per_record = {s.name for s in scanned if s.costs_a_call_per_record}
    histories = sum(e.tokens for e in estimates if e.stream in per_record)
    total = sum(e.tokens for e in estimates)
    yield f"{'total':<{width}}  {sum(e.calls for e in estimates):>9,}  {total:>11,}"
    yield ""
    looked = sum(usage.tokens for usage in run.client.usage.values())
    budget = run.governor.budget
    if budget is None:
        yield "No daily budget is known: set daily_tokens (PIPEDRIVE_DAILY_TOKENS) to plan by days."
    else:
        share = run.run_share
        yield f"Budget: {budget:,} tokens a day, of which this job may use {share:.0%}."
        a_day = budget * share * run.history_share
        yield (
            f"Streams that cost a call per record need {histories:,} tokens: "
            f"{math.ceil(histories / a_day) if a_day else 'endless'} day(s) at {a_day:,.0f} each."
        )
    if not run.is_sweep:
        yield _idle(*plan.idle())
    yield f"This plan itself cost {looked} tokens."


def _idle(by_hand: int, spent: dict[float, int]) -> str:
    """Describe the cost of a run without new records; see :meth:`Plan.idle`."""
    on_schedule = f"{spent.pop(0.0):,}" + "".join(
        f"; {tokens:,} more every {seconds:,.0f} s" for seconds, tokens in sorted(spent.items())
    )
    return f"With nothing new: {by_hand:,} tokens by hand; on a schedule {on_schedule}."

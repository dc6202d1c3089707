"""Read the change logs of the deals that may have moved, and only of those.

A log costs 20 tokens, twice the price of a whole page of deals. In mode ``gated`` the log of a deal
is read when

* the first scan of this list has not ended;
* its ``add_time``, ``stage_change_time`` or ``close_time`` is at or after the watermark;
* it is deleted (a deletion changes none of those times), or closed at a time that is not given;
* it is open and was seen closed before, was seen deleted before, or was never seen: reopening and
  restoring a deal change none of them either.

Mode ``full`` reads the log of every updated deal (all field changes, not only moves), ``off`` none.

With ``history_deals_file`` there is no scan: the logs of the deals in that file are read, in its
order. A deal is done when its rows have arrived; the next file should not contain it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from tap_pipedrive.api.lenient_json import SetAsideValues
from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.openapi.schema import EXTRA
from tap_pipedrive.api.prefetch import Prefetcher
from tap_pipedrive.api.records import Record, time_or_none
from tap_pipedrive.context import RunContext
from tap_pipedrive.errors import ConfigurationError
from tap_pipedrive.state.known_histories import KnownHistories
from tap_pipedrive.state.parents import ParentError, Parents
from tap_pipedrive.state.seen_deals import CLOSED
from tap_pipedrive.streams.base import PipedriveStream, Streams
from tap_pipedrive.streams.changelogs import read_log
from tap_pipedrive.times import to_text, to_time

_MOVES = {"stage_change_time", "add_time", "close_time"}
#: Deals of a file between two checkpoints.
_DEALS_PER_CHECKPOINT = 100
_PIPELINES = operation("v2 /pipelines")
_CHANGELOG = operation("v1 /deals/{id}/changelog")
_STREAMS = ("deal_changelog", "deal_changelog_sync")
#: Seconds by which a log and a deal may differ about the same moment.
_TOLERANCE_SECONDS = 5.0


class LogRequest(NamedTuple):
    """A deal whose log is read, and the facts of the deal that the log must show."""

    deal_id: int
    #: When it last changed its stage; None if it never did.
    moved_at: str | None = None
    #: When it was won or lost, if that was after it was added.
    closed_at: str | None = None
    is_deleted: bool = False

    @classmethod
    def of(cls, deal: Record) -> LogRequest:
        """Make the request for a deal."""
        begun = deal.get("add_time")
        moved, closed = (
            time if begun and time and _seconds(begun, time) > _TOLERANCE_SECONDS else None
            for time in (deal.get("stage_change_time"), deal.get("close_time"))
        )
        return cls(deal["id"], moved, closed, bool(deal.get("is_deleted")))

    def is_proved_by(self, rows: list[Record]) -> bool:
        """Whether a log is complete, as far as the deal can prove it.

        A change of the stage leaves a row of the same moment. The time of closing may be edited by
        hand, so it only proves that the log is not empty.
        """
        if self.moved_at is None:
            return bool(rows) or self.closed_at is None
        return any(
            row.get("field_key") == "stage_id"
            and row["time"]
            and abs(_seconds(row["time"], self.moved_at)) <= _TOLERANCE_SECONDS
            for row in rows
        )


class LogResult(NamedTuple):
    """A log: its rows, its row of ``deal_changelog_sync``, and the error that broke it off."""

    rows: list[Record]
    mark: Record
    error: ParentError | None


def _seconds(start: Any, end: Any) -> float:
    """Return the seconds between two times; infinite if one of them is no time."""
    begin, finish = time_or_none(start), time_or_none(end)
    if begin is None or finish is None:
        return float("inf")
    return (to_time(finish) - to_time(begin)).total_seconds()


class DealHistory:
    """Reads logs for ``deal_changelog`` and ``deal_changelog_sync`` from pages of deals."""

    def __init__(self, run: RunContext, streams: Streams) -> None:
        """Read nothing before :meth:`on_deal`.

        Args:
            run: the context of the run.
            streams: all streams; two of them receive rows.

        """
        self._run = run
        self._streams = streams
        self._mode: str = run.config["changelog_mode"]
        self._changelog: PipedriveStream | None = None
        self._sync: PipedriveStream | None = None
        self._listed: str | None = run.config.get("history_deals_file")
        width = int(run.config["calls_ahead"])
        self._prefetcher: Prefetcher[LogRequest, LogResult] = Prefetcher(self._read, width)

    def begin_scan(self, streams: Iterable[PipedriveStream]) -> None:
        """Note which streams of the scan receive rows.

        Raises:
            ConfigurationError: ``history_known_file`` cannot be read.

        """
        _ = self._known
        by_name = {stream.name: stream for stream in streams}
        self._changelog = by_name.get("deal_changelog")
        self._sync = by_name.get("deal_changelog_sync")

    @property
    def sends_changelog(self) -> bool:
        """Whether ``deal_changelog`` receives rows, or ``deal_changelog_sync`` alone."""
        return self._changelog is not None

    def expect(self, deals: Iterable[Record], since: str | None) -> None:
        """Note which deals come next, so that their logs can be prefetched."""
        if self._mode != "off" and self._caller.ABORT_AT_RECORD_COUNT is None:
            self._prefetcher.expect(
                LogRequest.of(d) for d in deals if self._may_have_moved(d, since)
            )

    def read_listed(self, stream: PipedriveStream) -> bool:
        """Read the logs of the deals in the file, once for both streams; False without a file.

        Raises:
            ConfigurationError: the file cannot be read.
            BudgetSpentError: the share of histories is used up.

        """
        if not self._listed:
            return False
        wanted = [s for s in self._streams.selected if s.name in _STREAMS]
        if stream is not wanted[0]:
            return True
        self.begin_scan(wanted)
        for one in wanted:
            one._write_schema_message()
        # Rows need the source's time, which the first response brings: of a list for few tokens.
        self._run.client.get(_PIPELINES, stream=stream.name, query={"limit": 1})
        # The same file twice: once to prefetch, once to emit.
        self._prefetcher.expect(LogRequest(deal_id) for deal_id in _ids(self._listed))
        for number, deal_id in enumerate(_ids(self._listed), 1):
            self._emit(LogRequest(deal_id))
            if number % _DEALS_PER_CHECKPOINT == 0:
                self._run.checkpoint()
        self._parents.refusals.finish()
        return True

    def close(self, *, wait: bool = True) -> None:
        """Cancel the requests that are left."""
        self._prefetcher.close(wait=wait)

    def on_deal(self, deal: Record, since: str | None) -> None:
        """Read the log of one deal, if the deal may have moved."""
        if self._mode == "off":
            return
        if self._may_have_moved(deal, since):
            self._emit(LogRequest.of(deal))
        # Last: a deal counts as seen when its log has been sent.
        self._run.seen_deals.add(deal)

    def _emit(self, request: LogRequest) -> None:
        rows, mark, error = self._prefetcher.result(request)
        deal_id = request.deal_id
        caller = self._caller
        if mark["complete"]:
            self._parents.complete(deal_id)
        else:
            why = error or f"the log lacks the move of {request.moved_at or request.closed_at}"
            self._run.logger.warning("the log of deal %s is incomplete: %s", deal_id, why)
            caller.incomplete_parents += 1
            if not self._listed:  # otherwise the next file names the deal again
                self._parents.incomplete(deal_id, request.moved_at, request.closed_at)
        # The mark comes after the rows: it says that the log has been sent.
        if self._changelog:
            self._changelog.emit(rows)
        if self._sync:
            self._sync.emit([mark])
        if error is not None and not mark["pages"]:
            self._parents.refusals.refused(error, is_deleted=request.is_deleted)
        else:
            self._parents.succeeded(deal_id)

    def finish_scan(self) -> None:
        """Read the logs again that were incomplete in earlier runs."""
        if self._mode != "off":
            for deal_id, known in self._parents.due():
                self._emit(LogRequest(deal_id, *known))
            self._parents.refusals.finish()

    @property
    def has_read_nothing(self) -> bool:
        """Whether every log that was requested in this run was refused."""
        return not self._parents.refusals.successes

    @cached_property
    def _known(self) -> KnownHistories:
        return KnownHistories(self._run.config.get("history_known_file"))

    @cached_property
    def _parents(self) -> Parents:
        client = self._run.client
        return Parents(
            self._caller.stream_state,
            lambda deal_id: self._read(LogRequest(deal_id)).error is None,
            lambda: client.source_now,
            self._run.logger,
        )

    @property
    def _caller(self) -> PipedriveStream:
        caller = self._changelog or self._sync
        assert caller is not None, "begin_scan() comes before on_deal()"
        return caller

    def _may_have_moved(self, deal: Record, since: str | None) -> bool:
        if since is None:
            return not self._known.covers(deal)
        if self._mode == "full":
            return True
        if any((deal.get(name) or "") >= since for name in _MOVES):
            return True
        if deal.get("status") in CLOSED and not deal.get("close_time"):
            return True  # nothing tells when it was closed
        aside = deal.get(EXTRA)
        if isinstance(aside, SetAsideValues) and _MOVES & aside.keys():
            return True  # the true time is not known
        return bool(deal.get("is_deleted")) or self._run.seen_deals.may_have_returned(deal)

    def _read(self, request: LogRequest) -> LogResult:
        """Read one log; called in any thread."""
        self._run.require_history_budget(_CHANGELOG.cost)
        synced_through = to_text(self._run.client.source_now)
        rows, pages, error = read_log(self._caller, _CHANGELOG, "deal_id", request.deal_id)
        mark: Record = {
            "deal_id": request.deal_id,
            "synced_through": synced_through,
            "pages": pages,
            "events": len(rows),
            "complete": error is None and request.is_proved_by(rows),
        }
        return LogResult(rows, mark, error)


def _ids(path: str) -> Iterator[int]:
    try:
        with Path(path).open(encoding="ascii") as lines:
            for line in lines:
                yield int(line)
    except (OSError, ValueError) as error:
        msg = f"history_deals_file cannot be read as one id a line: {error}"
        raise ConfigurationError(msg) from error

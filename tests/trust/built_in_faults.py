"""Faults of the pipeline itself, built in on purpose: the stories must find each of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import pipeline
from pipeboard_target_postgres.loader import Loader
from pipeboard_target_postgres.merge import Counts, Merge

from pipeboard.outcomes import SUCCEEDED
from pipeboard.run.proof import Judgement
from tap_pipedrive.api import pagination
from tap_pipedrive.api.records import RecordShaper
from tap_pipedrive.errors import TapError
from tap_pipedrive.quarantine import Quarantine
from tap_pipedrive.state.bookmarks import Bookmark
from tap_pipedrive.state.seen_deals import SeenDeals
from tap_pipedrive.streams import changelogs
from tap_pipedrive.streams.emitting import EmittingStream
from tap_pipedrive.sync.shared_scan import SharedScan
from tap_pipedrive.times import LOOKBACK, to_text, to_time

_by_cursor, _run, _emit = pagination._by_cursor, Loader.run, EmittingStream.emit
_since = Bookmark.since.fget
_merge, _lists, _number = Merge.run, SharedScan._lists, changelogs.number_changes


def a_page_is_dropped(get: Any, progress: Any) -> Iterator[Any]:
    """The third page of a list is read and not sent."""
    yield from (page for n, page in enumerate(_by_cursor(get, progress)) if n != 2)


def an_error_ends_a_list(get: Any, progress: Any) -> Iterator[Any]:
    """An error in the middle of a list counts as its end."""
    try:
        yield from _by_cursor(get, progress)
    except TapError:
        return


def a_bookmark_is_late(self: Bookmark) -> str | None:
    """A list is read from one second after the last record."""
    assert _since is not None
    value = _since(self)
    return to_text(to_time(value) + LOOKBACK + timedelta(seconds=1)) if self.value else value


def a_watermark_moves_with_each_page(self: Bookmark) -> str | None:
    """A deal on a later page has moved before the last record of the page before: not noticed."""
    return self.since if self.finished else None


def the_state_comes_before_the_commit(
    self: Loader, batches: Sequence[Any], write_state: Callable[[], None] | None,
    final: bool = False,
) -> None:  # fmt: skip
    """The state is written first."""
    if write_state:
        write_state()
    _run(self, batches, None, final)


def an_error_of_a_load_is_swallowed(
    self: Loader, batches: Sequence[Any], write_state: Callable[[], None] | None,
    final: bool = False,
) -> None:  # fmt: skip
    """A batch that fails counts as loaded."""
    for batch in batches:
        try:
            _run(self, [batch], None)
        except Exception:
            rows = len(batch.rows)
            batch.stream.counts.add(Counts(read=rows, unchanged=rows))
    _run(self, [], write_state, final)


def a_success_needs_no_proof(evidence: Any) -> Judgement:
    """Whatever happened, the run has succeeded."""
    del evidence
    return Judgement(SUCCEEDED, 0)


def no_row_is_updated(self: Merge, *arguments: Any, **more: Any) -> Counts:
    """Only new rows are written."""
    self.update = ""
    return _merge(self, *arguments, **more)


def deleted_records_are_left_out(self: EmittingStream, records: list[Any]) -> None:
    """A record that says it is deleted is not sent."""
    _emit(self, [record for record in records if not record.get("is_deleted")])


def only_the_first_list_is_read(self: SharedScan) -> Iterator[Any]:
    """Archived records are forgotten."""
    return itertools.islice(_lists(self), 1)


def returned_deals_are_not_noticed(self: SeenDeals, deal: Any) -> bool:
    """A deal that was reopened or restored keeps its old history."""
    del self, deal
    return False


_numbers = itertools.count()


def a_change_gets_a_new_key_each_time(*arguments: Any, **more: Any) -> Any:
    """A log that is read again is stored twice."""
    rows = _number(*arguments, **more)
    for row in rows:
        row["id"] = f"{row['id'][:-8]}{next(_numbers):08d}"
    return rows


def a_bad_record_is_dropped(self: Quarantine, *arguments: Any, **more: Any) -> bool:
    """A record without a usable id is left out in silence."""
    del self, arguments, more
    return False


def a_bad_value_is_dropped(self: RecordShaper, record: Any, name: str, value: Any) -> None:
    """A value that does not fit becomes null, and nobody learns which it was."""
    del self, record, name, value


#: Where each fault is built in.
FAULTS: dict[Callable[..., Any], tuple[Any, str]] = {
    a_page_is_dropped: (pagination, "_by_cursor"),
    an_error_ends_a_list: (pagination, "_by_cursor"),
    a_bookmark_is_late: (Bookmark, "since"),
    a_watermark_moves_with_each_page: (Bookmark, "complete_through"),
    the_state_comes_before_the_commit: (Loader, "run"),
    an_error_of_a_load_is_swallowed: (Loader, "run"),
    a_success_needs_no_proof: (pipeline, "judge"),
    no_row_is_updated: (Merge, "run"),
    deleted_records_are_left_out: (EmittingStream, "emit"),
    only_the_first_list_is_read: (SharedScan, "_lists"),
    returned_deals_are_not_noticed: (SeenDeals, "may_have_returned"),
    a_change_gets_a_new_key_each_time: (changelogs, "number_changes"),
    a_bad_record_is_dropped: (Quarantine, "add"),
    a_bad_value_is_dropped: (RecordShaper, "_set_aside"),
}


@contextmanager
def built_in(fault: Callable[..., Any]) -> Iterator[None]:
    """Build a fault in, for the length of a `with` block."""
    place, name = FAULTS[fault]
    value: Any = property(fault) if isinstance(vars(place)[name], property) else fault
    with mock.patch.object(place, name, value):
        yield

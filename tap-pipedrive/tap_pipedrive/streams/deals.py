"""Deals and their child streams; one scan of the deal lists serves them all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.records import Record
from tap_pipedrive.settings import ARCHIVED_INTERVAL
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.changelogs import ChangeLog
from tap_pipedrive.streams.stream_types import (
    BatchedChildStream,
    ChildStream,
    IncrementalStream,
    SharedScanStream,
)

#: Properties that the API sends only when they are named; they cost no tokens.
INCLUDE_FIELDS: Mapping[str, str] = {
    "next_activity_id": "integer",
    "last_activity_id": "integer",
    "first_won_time": "date-time",
    "products_count": "integer",
    "files_count": "integer",
    "notes_count": "integer",
    "followers_count": "integer",
    "email_messages_count": "integer",
    "activities_count": "integer",
    "done_activities_count": "integer",
    "undone_activities_count": "integer",
    "participants_count": "integer",
    "last_incoming_mail_time": "date-time",
    "last_outgoing_mail_time": "date-time",
    "source_lead_id": "string",
}


class Deals(IncrementalStream):
    """Live, archived and deleted deals. GET /api/v2/deals and /api/v2/deals/archived.

    Archived deals are hidden from the first list since 2025-07-15.
    """

    name = "deals"
    operations = ("v2 /deals", "v2 /deals/archived")
    essential = True
    primary_keys = ("id",)
    lists = {"live": "v2 /deals", "archived": "v2 /deals/archived"}
    intervals = {"v2 /deals/archived": ARCHIVED_INTERVAL}
    references = {
        "stage_id": "stages", "pipeline_id": "pipelines", "owner_id": "users",
        "creator_user_id": "users", "currency": "currencies",
    }  # fmt: skip
    fields_stream = "deal_fields"
    # The list shows deleted deals for 30 days, so that the hot sync meets them.
    is_swept = False

    def sweep(self) -> None:
        """Read the deals without an update time: no list by time shows them."""
        for records in self.all_pages():
            self.emit([deal for deal in records if not deal.get("update_time")])

    query = {
        "status": "open,won,lost,deleted",
        "include_fields": ",".join(INCLUDE_FIELDS),
    }
    more_properties = {
        **INCLUDE_FIELDS,
        "creator_user_id": "integer",
        "archive_time": "date-time",
        "local_won_date": "date",
        "local_lost_date": "date",
        "local_close_date": "date",
    }


class DealProducts(BatchedChildStream):
    """Products attached to deals, 100 deals a call. GET /api/v2/deals/products."""

    name = "deal_products"
    operations = ("v2 /deals/products",)
    primary_keys = ("id",)
    parent = "deals"
    parent_key = "deal_id"
    parent_count = "products_count"
    selected_by_default = True
    is_swept = True
    references = {"product_id": "products"}

    def rows_for(self, records: list[Record], since: str | None) -> Iterator[list[Record]]:
        """Read the lines of a page's deals; deals that need no call have no lines.

        They are listed too: an interrupted first read may have sent a line that is gone by now.
        """
        yield from super().rows_for(records, since)
        empty = [r for r in records if "id" in r and not self.may_have_rows(r, since)]
        if empty:
            yield LineLists(_lines_of(deal, []) for deal in empty)

    def rows_of_many(self, parents: list[Record]) -> Iterator[list[Record]]:
        """Read the lines of some deals, then yield for each deal the ids of its lines."""
        for at in range(0, len(parents), self.parents_per_call):
            batch = parents[at : at + self.parents_per_call]
            lines: dict[str, list[int]] = {str(deal["id"]): [] for deal in batch}
            is_whole = True
            ids = ",".join(lines)
            for page in self.pages(query={self.ids_parameter: ids}):
                is_whole = is_whole and not page.unreadable
                for line in page.records:
                    lines.get(str(line.get("deal_id")), []).append(line["id"])
                yield page.records
            if is_whole:
                yield LineLists(_lines_of(deal, lines[str(deal["id"])]) for deal in batch)

    def emit(self, records: list[Record]) -> None:
        """Write a page of lines, or pass the lists of lines on to ``deal_products_sync``."""
        if not isinstance(records, LineLists):
            super().emit(records)
            return
        lists = self._streams["deal_products_sync"]
        if lists.selected and self.ABORT_AT_RECORD_COUNT is None:
            assert isinstance(lists, DealProductsSync)
            lists._write_schema_message()
            lists.emit(list(records))

    def all_pages(self) -> Iterator[list[Record]]:
        """Read the lines of every deal that has products."""
        for key in Deals.lists.values():
            for deals in self.pages(operation(key), query={**Deals.query, "sort_by": "id"}):
                yield from self.rows_of_many([d for d in deals.records if d.get("products_count")])


def _lines_of(deal: Record, ids: list[int]) -> Record:
    return {"deal_id": deal["id"], "update_time": deal.get("update_time"), "line_ids": sorted(ids)}


class LineLists(list[Record]):
    """Rows of ``deal_products_sync``: they are read together with the lines."""


class DealProductsSync(PipedriveStream):
    """The ids of a deal's lines, as of the last time when all of them were read.

    The API does not report a line that was removed: it is missing from its deal's list. The rows
    come with ``deal_products``; ``update_time`` is the deal's.
    """

    name = "deal_products_sync"
    operations = ()
    primary_keys = ("deal_id",)
    comes_with = "deal_products"
    more_properties = {"deal_id": "integer", "update_time": "date-time", "line_ids": "array"}

    @property
    def operations_called(self) -> tuple[str, ...]:
        """Return the operation of the lines: its responses bring these rows."""
        return DealProducts.operations

    def sweep(self) -> None:
        """End as the sweep of ``deal_products`` does."""
        self.read()

    def read(self) -> None:
        """End as ``deal_products`` does; a test run reads some lines itself."""
        products = self._streams[self.comes_with]
        assert isinstance(products, DealProducts)
        if self.ABORT_AT_RECORD_COUNT is None:
            if products.selected:
                self.result = products.result
            return
        for deals in self.pages(Deals.list_operation(), query=Deals.query):
            for rows in products.rows_of_many(deals.records):
                if isinstance(rows, LineLists):
                    self.emit(list(rows))


class DealInstallments(BatchedChildStream):
    """Planned payments, 100 deals a call (Growth plan and up). GET /api/v2/deals/installments."""

    name = "deal_installments"
    operations = ("v2 /deals/installments",)
    primary_keys = ("id",)
    parent = "deals"
    parent_key = "deal_id"
    parent_count = "products_count"


class DealDiscounts(ChildStream):
    """Discounts on a deal as a whole. GET /api/v2/deals/{id}/discounts."""

    name = "deal_discounts"
    operations = ("v2 /deals/{id}/discounts",)
    primary_keys = ("id",)
    parent = "deals"
    parent_key = "deal_id"
    parent_count = "products_count"
    more_properties = {"created_at": "date-time", "updated_at": "date-time"}


class DealParticipants(ChildStream):
    """Further persons of a deal. GET /api/v1/deals/{id}/participants.

    v1 wraps ids in objects; ``person_id`` and ``added_by_user_id`` are unwrapped.
    """

    name = "deal_participants"
    operations = ("v1 /deals/{id}/participants",)
    primary_keys = ("id",)
    parent = "deals"
    parent_key = "deal_id"
    parent_count = "participants_count"
    more_properties = {"deal_id": "integer", "person_id": "integer", "added_by_user_id": "integer"}

    def rows_of(self, parent_id: Any) -> Iterator[list[Record]]:
        """Unwrap the ids that v1 answers as objects."""
        for rows in super().rows_of(parent_id):
            for row in rows:
                for name, inner in (("person_id", "value"), ("added_by_user_id", "id")):
                    if isinstance(row.get(name), dict):
                        row[name] = row[name].get(inner, row[name].get("value"))
            yield rows


class DealFollowers(ChildStream):
    """Users who follow a deal. GET /api/v2/deals/{id}/followers."""

    name = "deal_followers"
    operations = ("v2 /deals/{id}/followers",)
    primary_keys = ("deal_id", "user_id")
    parent = "deals"
    parent_key = "deal_id"
    parent_count = "followers_count"
    more_properties = {"deal_id": "integer"}


class History(Protocol):
    """What the two streams below need of :class:`tap_pipedrive.sync.deal_history.DealHistory`."""

    @property
    def sends_changelog(self) -> bool:
        """Whether ``deal_changelog`` receives rows, or ``deal_changelog_sync`` alone."""

    @property
    def has_read_nothing(self) -> bool:
        """Whether every log that was requested in this run was refused."""

    def begin_scan(self, streams: Iterable[PipedriveStream]) -> None:
        """Note which streams receive rows."""

    def read_listed(self, stream: PipedriveStream) -> bool:
        """Read the logs of the listed deals; False if there is no list."""

    def expect(self, deals: Iterable[Record], since: str | None) -> None:
        """Note which deals come next."""

    def on_deal(self, deal: Record, since: str | None) -> None:
        """Read the log of a deal that may have moved."""

    def finish_scan(self) -> None:
        """Read the logs again that were incomplete in earlier runs."""


class DealChangelog(ChangeLog):
    """Every field change of a deal. GET /api/v1/deals/{id}/changelog.

    :mod:`tap_pipedrive.sync.deal_history` decides which logs are read.
    """

    name = "deal_changelog"
    operations = ("v1 /deals/{id}/changelog",)
    parent = "deals"
    parent_key = "deal_id"
    remembers_deals = True
    more_properties = {"id": "string", "deal_id": "integer", "second_seq": "integer"}
    selected_by_default = True
    fields_stream = "deal_fields"
    #: Reads the logs, set at discovery.
    history: History

    def read(self) -> None:
        """Read the logs of the deals in ``history_deals_file``, or scan the deals."""
        if not self.history.read_listed(self):
            super().read()

    def begin_scan(self, streams: list[SharedScanStream]) -> None:
        """Tell the history which streams take part in the scan."""
        self.history.begin_scan(streams)

    def expect(self, records: list[Record], since: str | None) -> None:
        """Prefetch the next logs."""
        self.history.expect(records, since)

    def on_record(self, record: Record, since: str | None) -> None:
        """Read the log of a deal that may have moved."""
        self.history.on_deal(record, since)

    def finish_scan(self) -> None:
        """Read the logs again that were incomplete in earlier runs."""
        self.history.finish_scan()

    @property
    def has_read_nothing(self) -> bool:
        """Whether every log that was requested in this run was refused."""
        return self.history.has_read_nothing


class DealChangelogSync(SharedScanStream):
    """The time through which each deal's log is complete, also for a deal without a change.

    ``synced_through`` is the source's time when the request was sent. A row is sent after the log
    itself, so it proves that the log was sent.
    """

    name = "deal_changelog_sync"
    operations = ()
    primary_keys = ("deal_id",)
    parent = "deals"
    costs_a_call_per_record = True
    remembers_deals = True
    comes_with = "deal_changelog"
    replication_key = "synced_through"
    more_properties = {
        "deal_id": "integer",
        "synced_through": "date-time",
        "pages": "integer",
        "events": "integer",
        "complete": "boolean",
    }
    #: Reads the logs, set at discovery.
    history: History

    @property
    def operations_called(self) -> tuple[str, ...]:
        """Return the operation of the log: its responses bring these rows."""
        return DealChangelog.operations

    def read(self) -> None:
        """Read the logs of the deals in ``history_deals_file``, or scan the deals."""
        if not self.history.read_listed(self):
            super().read()
        elif (changelog := self._streams[self.comes_with]).selected:
            assert isinstance(changelog, ChangeLog)
            self.result = changelog.result

    def begin_scan(self, streams: list[SharedScanStream]) -> None:
        """Tell the history which streams take part in the scan."""
        self.history.begin_scan(streams)

    def on_record(self, record: Record, since: str | None) -> None:
        """Read the log for these rows alone, if ``deal_changelog`` is not selected."""
        if not self.history.sends_changelog:
            self.history.on_deal(record, since)

    def finish_scan(self) -> None:
        """Read the incomplete logs again, if ``deal_changelog`` is not selected."""
        if not self.history.sends_changelog:
            self.history.finish_scan()

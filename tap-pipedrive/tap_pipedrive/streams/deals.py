"""Deals and what hangs on them; all four streams are fed by one walk over the deal lists.

The walk itself is in :mod:`tap_pipedrive.streams.deal_walk`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_pipedrive.openapi import operation
from tap_pipedrive.pagination import pages
from tap_pipedrive.records import Record
from tap_pipedrive.streams.base import PipedriveStream

#: Properties only sent when asked for by name; they cost no tokens.
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


class FedByDeals(PipedriveStream):
    """A stream that receives the pages of the deal walk instead of reading a list itself."""

    replication_key = "update_time"
    is_sorted = True
    check_sorted = False

    def read(self) -> None:
        """Run the deal walk, once for all streams that it feeds."""
        self._tap.deal_walk.run(self)

    def take(self, deals: list[Record], since: str | None) -> None:
        """Receive one page of deals as the API sent them.

        Args:
            deals: the page, in ``update_time`` order.
            since: this stream's own watermark; None until its first walk came to its end.
        """
        raise NotImplementedError


class Deals(FedByDeals):
    """Live, archived and deleted deals. GET /api/v2/deals and /api/v2/deals/archived."""

    name = "deals"
    operations = ("v2 /deals", "v2 /deals/archived")
    primary_keys = ("id",)
    more_properties = {
        **INCLUDE_FIELDS,
        "creator_user_id": "integer",
        "archive_time": "date-time",
        "local_won_date": "date",
        "local_lost_date": "date",
        "local_close_date": "date",
    }

    def take(self, deals: list[Record], since: str | None) -> None:
        """Emit the page, less what only another stream's older watermark brought up."""
        if since is not None:
            deals = [d for d in deals if not d.get("update_time") or d["update_time"] >= since]
        self.emit(deals)


class DealProducts(FedByDeals):
    """Products attached to deals, 100 deals a call. GET /api/v2/deals/products."""

    name = "deal_products"
    operations = ("v2 /deals/products",)
    primary_keys = ("id",)

    #: The operation's own limit on ``deal_ids``.
    deals_per_call = 100

    def take(self, deals: list[Record], since: str | None) -> None:
        """Read the products of the page's deals, less those that never had any."""
        ids = [d["id"] for d in deals if "id" in d and self._worth_asking(d, since)]
        for at in range(0, len(ids), self.deals_per_call):
            asked = ",".join(map(str, ids[at : at + self.deals_per_call]))
            walk = pages(
                self._tap.client,
                self.operation,
                stream=self.name,
                limit=self._tap.page_size,
                query={"deal_ids": asked},
            )
            for page in walk:
                self.emit(page.records)

    @staticmethod
    def _worth_asking(deal: Record, since: str | None) -> bool:
        # On a first read a count of 0 means there is nothing. Later it may mean that the last
        # product was taken off, so every updated deal is asked again.
        return since is not None or deal.get("products_count") != 0


class DealChangelog(FedByDeals):
    """Every field change of a deal. GET /api/v1/deals/{id}/changelog (20 tokens a call).

    Deals are asked as :mod:`tap_pipedrive.history` decides. The API gives its rows no id:
    ``id`` is a hash that survives re-reads, ``second_seq`` tells apart and orders the changes
    of one deal within one second, oldest first.
    """

    name = "deal_changelog"
    operations = ("v1 /deals/{id}/changelog",)
    primary_keys = ("id",)
    replication_key = "time"
    more_properties = {"id": "string", "deal_id": "integer", "second_seq": "integer"}

    def take(self, deals: list[Record], since: str | None) -> None:
        """Read the log of each deal that may have moved; see :class:`history.DealHistory`."""
        self._tap.deal_history.take(deals, since)


class DealChangelogSync(FedByDeals):
    """Through when each deal's log is complete, also for a deal without any change.

    ``synced_through`` is the source's time when the request was sent. Emitted after the log
    itself, so that a row here is a promise kept.
    """

    name = "deal_changelog_sync"
    operations = ()
    primary_keys = ("deal_id",)
    replication_key = "synced_through"
    more_properties: Mapping[str, Any] = {
        "deal_id": "integer",
        "synced_through": "date-time",
        "pages": "integer",
        "events": "integer",
        "complete": "boolean",
    }

    def take(self, deals: list[Record], since: str | None) -> None:
        """Stay quiet unless the log itself is not selected: then read it for these rows alone."""
        if not self._tap.deal_history.feeds_changelog:
            self._tap.deal_history.take(deals, since)


#: The two lists of deals: live, and archived (hidden from the first since 2025-07-15).
DEAL_LISTS = {"live": operation("v2 /deals"), "archived": operation("v2 /deals/archived")}

"""Deals, live and archived, and their product lines and instalments."""

from __future__ import annotations

from typing import Any

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Deal
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.deal_parts import followers_of, participants_of
from pipedrive_simulator.operations.exchange import files_of
from pipedrive_simulator.operations.mail import last_mail, messages_of
from pipedrive_simulator.operations.operation import Extra, Keep, Operation, v2_get, v2_list
from pipedrive_simulator.operations.paging import PAGE_PARAMS, sort_params, v2_rows
from pipedrive_simulator.operations.query_params import Parser, Request

STATUSES = ("open", "won", "lost", "deleted")
WINDOW = ("updated_since", "updated_until")


def _visible(request: Request) -> Keep:
    """Return the filter of the status parameter; deleted deals pass it only for 30 days."""
    wanted = request.get("status")
    if not wanted:
        return lambda deal: not deal.is_deleted
    if "deleted" not in wanted:
        return lambda deal: deal.status in wanted
    purged, line = request.account.deleted_at, request.account.purge_line()

    def keep(deal: Deal) -> bool:
        if deal.status not in wanted:
            return False
        return not deal.is_deleted or purged.get(("deal", deal.id), line) >= line

    return keep


def _activities(account: Account, deal: Deal) -> list[Any]:
    return [account.activities.records[i] for i in account.activities_of_deal.get(deal.id, [])]


def _next_activity(account: Account, deal: Deal) -> int | None:
    waiting = [a for a in _activities(account, deal) if not a.done]
    return min(waiting, key=lambda a: (a.due_date or "", a.id)).id if waiting else None


def _last_activity(account: Account, deal: Deal) -> int | None:
    done = [a for a in _activities(account, deal) if a.done]
    return max(done, key=lambda a: (a.marked_as_done_time or "", a.id)).id if done else None


def _first_won(account: Account, deal: Deal) -> str | None:
    return next((s.time for s in account.deal_states[deal.id] if s.status == "won"), None)


def _count(done: bool | None) -> Extra:
    def count(account: Account, deal: Deal) -> int:
        return sum(1 for a in _activities(account, deal) if done is None or a.done is done)

    return count


def zero(account: Account, record: Any) -> int:
    """Return 0, for records that the simulator does not have."""
    return 0


def nothing(account: Account, record: Any) -> None:
    """Return a value that is never set."""


EXTRAS: dict[str, Extra] = {
    "next_activity_id": _next_activity,
    "last_activity_id": _last_activity,
    "first_won_time": _first_won,
    "products_count": lambda account, deal: len(account.products_of_deal.get(deal.id, [])),
    "files_count": lambda account, deal: len(files_of(account, deal)),
    "notes_count": lambda account, deal: len(account.notes.group(deal.id)),
    "followers_count": lambda account, deal: len(followers_of(account, deal)),
    "email_messages_count": lambda account, deal: len(messages_of(account, deal)),
    "activities_count": _count(None),
    "done_activities_count": _count(True),
    "undone_activities_count": _count(False),
    "participants_count": lambda account, deal: len(participants_of(account, deal)),
    "last_incoming_mail_time": last_mail(sent=False),
    "last_outgoing_mail_time": last_mail(sent=True),
    "smart_bcc_email": lambda account, deal: f"{account.company}+deal{deal.id}@exemplo.com.br",
    "source_lead_id": lambda account, deal: deal.source_lead_id,
}
_EQUALS: dict[str, Parser] = dict.fromkeys(
    ("owner_id", "person_id", "org_id", "pipeline_id", "stage_id"), query_params.integer
)


def _deals(op_id: str, path: str, list_name: str, *, cost: int, labels: bool) -> Operation:
    return v2_list(
        op_id, path, cost=cost, table="deals", list_name=list_name, equals=_EQUALS, window=WINDOW,
        visible=_visible, by_ids=True, extras=EXTRAS, entity="deal", labels=labels,
        more_params={"status": query_params.some_of(*STATUSES)},
    )  # fmt: skip


def _of_deals(table: str, *sorts: str) -> Any:
    """Return an operation's answer: the rows of a table for the requested deals."""

    def answer(request: Request) -> bytes:
        wanted = set(request.required("deal_ids"))
        account = request.account
        records = account.table(table)
        if table == "deal_products":
            chosen = [records.records[i] for d in wanted
                      for i in account.products_of_deal.get(d, [])]  # fmt: skip
        else:
            chosen = [record for deal_id in wanted for record in records.group(deal_id)]
        return v2_rows(request, chosen, records.encode)

    return answer, {"deal_ids": query_params.ids, **PAGE_PARAMS, **sort_params(*sorts)}


OPERATIONS = (
    _deals("getDeals", "/deals", "live", cost=10, labels=True),
    _deals("getArchivedDeals", "/deals/archived", "archived", cost=20, labels=False),
    v2_get("getDeal", "/deals/{id}", table="deals", name="deal", extras=EXTRAS, entity="deal",
           labels=True),
    Operation("getDealsProducts", "v2", "/deals/products", 10,
              *_of_deals("deal_products", "id", "deal_id", "add_time", "update_time", "order_nr")),
    Operation("getInstallments", "v2", "/deals/installments", 10,
              *_of_deals("installments", "id", "billing_date", "deal_id")),
)  # fmt: skip

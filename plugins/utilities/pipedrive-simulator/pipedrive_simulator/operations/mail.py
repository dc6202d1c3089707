"""The mailbox of the token's user: threads by folder, and the messages of a thread."""

from __future__ import annotations

from collections.abc import Callable

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Deal, Json
from pipedrive_simulator.account.records_exchange import MailMessage, MailThread
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation, existing, not_found
from pipedrive_simulator.operations.paging import OFFSET_PARAMS, v1_body, v1_page
from pipedrive_simulator.operations.query_params import Request
from pipedrive_simulator.operations.settings import as_is

FOLDERS = ("inbox", "drafts", "sent", "archive")


def messages_of(account: Account, deal: Deal) -> list[MailMessage]:
    """Return the messages that are linked to a deal, without drafts."""
    return [
        message
        for thread in account.mail_threads.group(deal.id)
        for message in account.mail_messages.group(thread.id)
        if not message.draft_flag
    ]


def last_mail(*, sent: bool) -> Callable[[Account, Deal], str | None]:
    """Return a function for the time of a deal's last sent, or last received, message."""

    def last(account: Account, deal: Deal) -> str | None:
        times = [m.message_time for m in messages_of(account, deal) if m.sent_flag == sent]
        # Instants of v2 have no fractions.
        return f"{max(times)[:19]}Z" if times else None

    return last


def _threads(request: Request) -> bytes:
    account = request.account
    me, folder = account.me().id, request.required("folder")

    def render(thread: MailThread) -> Json:
        deal = None if thread.deal_id is None else account.deals.get(thread.deal_id)
        return as_is(thread) | {"deal_status": deal and deal.status}

    rows = [
        thread
        for thread in account.mail_threads.records.values()
        if thread.user_id == me and folder in thread.folders
    ]
    return v1_page(request, rows, render)


def _messages(request: Request) -> bytes:
    thread: MailThread = existing(request, "mail_threads", "mail thread")
    if thread.user_id != request.account.me().id:
        not_found("mail thread")
    return v1_body([as_is(message) for message in request.account.mail_messages.group(thread.id)])


OPERATIONS = (
    Operation("getMailThreads", "v1", "/mailbox/mailThreads", 20, _threads,
              {**OFFSET_PARAMS, "folder": query_params.one_of(*FOLDERS)}),
    Operation("getMailThreadMessages", "v1", "/mailbox/mailThreads/{id}/mailMessages", 20,
              _messages),
)  # fmt: skip

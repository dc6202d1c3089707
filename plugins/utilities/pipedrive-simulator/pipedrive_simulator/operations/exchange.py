"""Files, calls, and the comments below notes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Deal, Json
from pipedrive_simulator.account.records_exchange import File, NoteComment
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation, existing, not_found
from pipedrive_simulator.operations.paging import OFFSET_PARAMS, sort_rows, v1_page
from pipedrive_simulator.operations.query_params import Request
from pipedrive_simulator.operations.settings import as_is

_MOST_FILES, _MOST_CALLS = 100, 50


def files_of(account: Account, deal: Deal) -> list[File]:
    """Return the files of a deal that are not deleted."""
    return [file for file in account.files.group(deal.id) if file.active_flag]


def file_count(reference: str) -> Callable[[Account, Any], int]:
    """Count the files of a record by `person_id` or `org_id`."""

    def count(account: Account, record: Any) -> int:
        return sum(
            1
            for file in account.files.records.values()
            if file.active_flag and getattr(file, reference) == record.id
        )

    return count


def _files(request: Request) -> bytes:
    account = request.account
    rows = [file for file in account.files.records.values() if file.active_flag]
    url = f"https://{account.company}.pipedrive.com/v1/files"

    def name(table: str, record_id: Any, of: str = "name") -> str | None:
        record = account.table(table).get(record_id)
        return None if record is None else str(getattr(record, of))

    def render(file: File) -> Json:
        return as_is(file) | {
            "deal_name": name("deals", file.deal_id, "title"),
            "person_name": name("persons", file.person_id),
            "org_name": name("organizations", file.org_id),
            "product_name": name("products", file.product_id),
            "lead_name": name("leads", file.lead_id, "title"),
            "project_name": name("projects", file.project_id, "title"),
            "url": f"{url}/{file.id}/download",
        }

    chosen = sort_rows(rows, request.get("sort"), ("id", "update_time"))
    return v1_page(request, chosen, render, maximum=_MOST_FILES)


def _call_logs(request: Request) -> bytes:
    """Return the calls of the token's user."""
    me = request.account.me().id
    rows = [call for call in request.account.call_logs.records.values() if call.user_id == me]
    return v1_page(request, rows, as_is, maximum=_MOST_CALLS)


def _comments(request: Request) -> bytes:
    note = existing(request, "notes", "note")
    if not note.active_flag:
        not_found("note")

    def render(comment: NoteComment) -> Json:
        return {
            "uuid": comment.id, "active_flag": comment.active_flag, "add_time": comment.add_time,
            "update_time": comment.update_time, "content": comment.content,
            "object_id": str(comment.note_id), "object_type": "note", "user_id": comment.user_id,
            "updater_id": comment.updater_id, "company_id": request.account.company_id,
        }  # fmt: skip

    rows = [row for row in request.account.note_comments.group(note.id) if row.active_flag]
    return v1_page(request, rows, render)


OPERATIONS = (
    Operation("getFiles", "v1", "/files", 20, _files, {**OFFSET_PARAMS, "sort": query_params.text}),
    Operation("getUserCallLogs", "v1", "/callLogs", 20, _call_logs, OFFSET_PARAMS),
    Operation("getNoteComments", "v1", "/notes/{id}/comments", 20, _comments, OFFSET_PARAMS),
)

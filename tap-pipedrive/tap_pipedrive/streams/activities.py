"""Activities, notes, calls, files and mail."""

from __future__ import annotations

from collections.abc import Iterator

from tap_pipedrive.api.records import Record
from tap_pipedrive.streams.stream_types import (
    ChildStream,
    FullTableStream,
    IncrementalStream,
    NewestFirstStream,
)


class Activities(IncrementalStream):
    """Planned and done activities. GET /api/v2/activities."""

    name = "activities"
    operations = ("v2 /activities",)
    primary_keys = ("id",)
    references = {"type": "activity_types", "owner_id": "users", "creator_user_id": "users"}
    fields_stream = "activity_fields"
    query = {"include_fields": "attendees"}


class Notes(IncrementalStream):
    """Notes on deals, people, leads, projects. GET /api/v1/notes."""

    name = "notes"
    operations = ("v1 /notes",)
    primary_keys = ("id",)
    references = {"user_id": "users"}
    more_properties = {"pinned_to_lead_flag": "boolean"}


class NoteComments(ChildStream):
    """Comments below a note. GET /api/v1/notes/{id}/comments."""

    name = "note_comments"
    operations = ("v1 /notes/{id}/comments",)
    primary_keys = ("uuid",)
    parent = "notes"
    parent_key = "note_id"
    more_properties = {"note_id": "integer"}


class Files(NewestFirstStream):
    """Attached files (their description, not their content). GET /api/v1/files, 100 a call."""

    name = "files"
    operations = ("v1 /files",)
    primary_keys = ("id",)
    page_limit = 100
    selected_by_default = False
    more_properties = {"log_id": "integer", "file_type": "string"}


class CallLogs(FullTableStream):
    """Calls of the token's own user. GET /api/v1/callLogs, 50 a call."""

    name = "call_logs"
    operations = ("v1 /callLogs",)
    primary_keys = ("id",)
    page_limit = 50
    selected_by_default = False


MAIL_FOLDERS = ("inbox", "sent", "archive", "drafts")


def thread_pages(stream: FullTableStream) -> Iterator[list[Record]]:
    """Yield the threads of all folders, each once: a thread with a reply is in two folders."""
    seen: set[int] = set()
    for folder in MAIL_FOLDERS:
        for page in stream.pages(MailThreads.list_operation(), query={"folder": folder}):
            fresh = [thread for thread in page.records if thread["id"] not in seen]
            seen.update(thread["id"] for thread in fresh)
            yield fresh


class MailThreads(FullTableStream):
    """Mail threads of the token's own mailbox. GET /api/v1/mailbox/mailThreads, per folder."""

    name = "mail_threads"
    operations = ("v1 /mailbox/mailThreads",)
    primary_keys = ("id",)
    selected_by_default = False
    more_properties = {
        "last_message_timestamp": "date-time",
        "first_message_timestamp": "date-time",
        "last_message_sent_timestamp": "date-time",
        "last_message_received_timestamp": "date-time",
    }

    def record_pages(self) -> Iterator[list[Record]]:
        """Read every folder."""
        yield from thread_pages(self)


class MailMessages(FullTableStream):
    """Mails of those threads. GET /api/v1/mailbox/mailThreads/{id}/mailMessages, per thread."""

    name = "mail_messages"
    more_properties = {"draft_flag": "number"}
    operations = ("v1 /mailbox/mailThreads/{id}/mailMessages",)
    primary_keys = ("id",)
    selected_by_default = False

    def record_pages(self) -> Iterator[list[Record]]:
        """Read the threads again, and the messages of each."""
        for threads in thread_pages(self):
            for thread in threads:
                for page in self.parent_pages(thread["id"]):
                    yield page.records

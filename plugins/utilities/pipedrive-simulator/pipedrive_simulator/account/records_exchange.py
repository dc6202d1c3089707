"""Files, calls, comments and mail. v1; flags of mail are 0 or 1."""

from __future__ import annotations

import msgspec

from pipedrive_simulator.account.records import Json, Record


class File(Record, kw_only=True):
    """v1 `GET /files`, which adds the names of related records. Instants are naive."""

    user_id: int
    deal_id: int | None = None
    person_id: int | None = None
    org_id: int | None = None
    product_id: int | None = None
    activity_id: int | None = None
    lead_id: str | None = None
    project_id: int | None = None
    log_id: int | None = None
    add_time: str
    update_time: str
    file_name: str
    file_type: str
    file_size: int
    active_flag: bool = True
    inline_flag: bool = False
    remote_location: str = ""
    remote_id: str = ""
    cid: str = ""
    s3_bucket: str = ""
    mail_message_id: str = ""
    mail_template_id: str = ""
    name: str
    description: str | None = None


class CallLog(Record, kw_only=True):
    """v1 `GET /callLogs`. `id` is text; instants have milliseconds, the duration is seconds."""

    activity_id: int | None = None
    person_id: int | None = None
    org_id: int | None = None
    deal_id: int | None = None
    lead_id: str | None = None
    subject: str
    duration: str
    outcome: str
    from_phone_number: str | None = None
    to_phone_number: str
    has_recording: bool = False
    start_time: str
    end_time: str
    user_id: int
    company_id: int
    note: str | None = None


class NoteComment(Record, kw_only=True):
    """v1 `GET /notes/{id}/comments`. `id` is served as `uuid`; instants have milliseconds."""

    active_flag: bool = True
    add_time: str
    update_time: str
    content: str
    note_id: int
    user_id: int
    updater_id: int | None = None


class MailThread(Record, kw_only=True):
    """v1 `GET /mailbox/mailThreads`. Instants have milliseconds and a Z."""

    parties: Json
    drafts_parties: list[Json] = msgspec.field(default_factory=list)
    folders: list[str]
    account_id: str
    user_id: int
    version: int = 1
    subject: str
    snippet: str
    snippet_draft: str | None = None
    snippet_sent: str | None = None
    read_flag: int = 1
    mail_tracking_status: str | None = None
    has_attachments_flag: int = 0
    has_inline_attachments_flag: int = 0
    has_real_attachments_flag: int = 0
    has_draft_flag: int = 0
    has_sent_flag: int = 0
    archived_flag: int = 0
    deleted_flag: int = 0
    shared_flag: int = 0
    synced_flag: int = 1
    external_deleted_flag: int = 0
    smart_bcc_flag: int = 0
    first_message_to_me_flag: int = 0
    mail_link_tracking_enabled_flag: int = 0
    message_count: int
    first_message_timestamp: str
    last_message_timestamp: str
    last_message_sent_timestamp: str | None = None
    last_message_received_timestamp: str | None = None
    add_time: str
    update_time: str
    deal_id: int | None = None
    lead_id: str | None = None
    all_messages_sent_flag: int = 0


class MailMessage(Record, kw_only=True):
    """v1 `GET /mailbox/mailThreads/{id}/mailMessages`. Instants have milliseconds and a Z."""

    sender: list[Json] = msgspec.field(name="from")
    to: list[Json]
    cc: list[Json] = msgspec.field(default_factory=list)
    bcc: list[Json] = msgspec.field(default_factory=list)
    body_url: str
    account_id: str
    user_id: int
    mail_thread_id: int
    subject: str
    snippet: str
    mail_tracking_status: str | None = None
    mail_link_tracking_enabled_flag: int = 0
    read_flag: int = 1
    draft: str | None = None
    draft_flag: int = 0
    synced_flag: int = 1
    deleted_flag: int = 0
    has_body_flag: int = 1
    sent_flag: int
    sent_from_pipedrive_flag: int
    smart_bcc_flag: int = 0
    message_time: str
    add_time: str
    update_time: str
    has_attachments_flag: int = 0
    has_inline_attachments_flag: int = 0
    has_real_attachments_flag: int = 0

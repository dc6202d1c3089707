"""Entities of v1 only. Instants are `YYYY-MM-DD HH:MM:SS` in UTC unless noted."""

from __future__ import annotations

from typing import Any

import msgspec

from pipedrive_simulator.account.records import Json, Record


class User(Record, kw_only=True):
    """v1 `GET /users`."""

    name: str
    default_currency: str = "BRL"
    locale: str = "pt_BR"
    lang: int = 9
    email: str
    phone: str | None = None
    activated: bool = True
    last_login: str | None
    created: str
    modified: str | None = None
    has_created_company: bool = False
    access: list[Json] = msgspec.field(default_factory=list)
    active_flag: bool = True
    timezone_name: str = "America/Sao_Paulo"
    timezone_offset: str = "-03:00"
    role_id: int = 1
    icon_url: str | None = None
    is_you: bool = False
    is_deleted: bool = False


class Lead(Record, kw_only=True):
    """v1 `GET /leads`. `id` is a uuid; instants have milliseconds and a Z.

    A lead has the custom fields of deals as flat v1 keys; fields without a value are absent.
    """

    title: str
    owner_id: int
    creator_id: int
    label_ids: list[str] = msgspec.field(default_factory=list)
    person_id: int | None = None
    organization_id: int | None = None
    source_name: str = "Manually created"
    origin: str = "ManuallyCreated"
    origin_id: str | None = None
    channel: int | None = None
    channel_id: str | None = None
    source_deal_id: int | None = None
    is_archived: bool = False
    was_seen: bool = True
    value: Json | None = None
    expected_close_date: str | None = None
    next_activity_id: int | None = None
    add_time: str
    update_time: str
    visible_to: str = "3"
    cc_email: str | None = None
    custom_fields: Any = None


class Note(Record, kw_only=True):
    """v1 `GET /notes`. `content` is HTML."""

    active_flag: bool = True
    add_time: str
    content: str
    deal: Json | None = None
    lead_id: str | None = None
    deal_id: int | None = None
    last_update_user_id: int | None = None
    org_id: int | None = None
    organization: Json | None = None
    person: Json | None = None
    person_id: int | None = None
    project_id: int | None = None
    project: Json | None = None
    task_id: int | None = None
    task: Json | None = None
    pinned_to_lead_flag: bool = False
    pinned_to_deal_flag: bool = False
    pinned_to_organization_flag: bool = False
    pinned_to_person_flag: bool = False
    pinned_to_project_flag: bool = False
    pinned_to_task_flag: bool = False
    update_time: str | None
    user: Json | None = None
    user_id: int | None = None


class ActivityType(Record, kw_only=True):
    """v1 `GET /activityTypes`. An activity's `type` is a `key_string`."""

    name: str
    icon_key: str
    color: str = "FFFFFF"
    order_nr: int
    key_string: str
    active_flag: bool = True
    is_custom_flag: bool = False
    add_time: str
    update_time: str


class Currency(Record, kw_only=True):
    """v1 `GET /currencies`."""

    code: str
    name: str
    decimal_points: int = 2
    symbol: str
    active_flag: bool = True
    is_custom_flag: bool = False


class Filter(Record, kw_only=True):
    """v1 `GET /filters`."""

    name: str
    filter_code: str | None = None
    is_editable: bool = True
    active_flag: bool = True
    type: str
    temporary_flag: bool | None = None
    user_id: int
    add_time: str
    update_time: str | None = None
    visible_to: str = "7"
    last_used_time: str | None = None
    custom_view_id: int | None = None


class LeadLabel(Record, kw_only=True):
    """v1 `GET /leadLabels`. `id` is a uuid; instants have milliseconds and a Z."""

    name: str
    color: str
    add_time: str
    update_time: str


class LeadSource(Record, kw_only=True):
    """v1 `GET /leadSources`. The API returns the name only; the id exists only in the simulator."""

    name: str


class Role(Record, kw_only=True):
    """v1 `GET /roles`. The two counts are text, as in the official document."""

    parent_role_id: int | None = None
    name: str
    active_flag: bool = True
    assignment_count: str = "0"
    sub_role_count: str = "0"
    level: int = 1


class Participant(Record, kw_only=True):
    """v1 `GET /deals/{id}/participants`, which wraps ids in objects; `add_time` is an instant.

    The table has only the further persons; a deal's contact person is always the first participant.
    """

    deal_id: int
    person_id: int
    add_time: str
    added_by_user_id: int


class OrganizationRelationship(Record, kw_only=True):
    """v1 `GET /organizationRelationships`. `type` is parent (the owner is it) or related."""

    type: str
    rel_owner_org_id: int
    rel_linked_org_id: int
    add_time: str
    update_time: str


class PermissionSet(Record, kw_only=True):
    """v1 `GET /permissionSets`. `id` is a uuid; a user's `access` names its permission set."""

    name: str
    description: str
    app: str
    type: str


class Team(Record, kw_only=True):
    """v1 `GET /legacyTeams`. Flags are 0 or 1."""

    name: str
    description: str = ""
    manager_id: int
    users: list[int]
    active_flag: int = 1
    deleted_flag: int = 0
    add_time: str
    created_by_user_id: int


class Webhook(Record, kw_only=True):
    """v1 `GET /webhooks`. Instants have milliseconds and a Z."""

    company_id: int
    owner_id: int
    user_id: int
    event_action: str
    event_object: str
    subscription_url: str
    version: str = "2.0"
    is_active: int = 1
    add_time: str
    remove_time: str | None = None
    type: str = "general"
    http_auth_user: str | None = None
    http_auth_password: str | None = None
    remove_reason: str | None = None
    last_delivery_time: str | None = None
    last_http_status: int | None = None
    admin_id: int
    name: str


class Goal(Record, kw_only=True):
    """v1 `GET /goals/find`. `id` is 32 hex digits, the duration two days, both included."""

    owner_id: int
    title: str
    type: Json
    assignee: Json
    interval: str
    duration: Json
    expected_outcome: Json
    is_active: bool = True
    report_ids: list[str] = msgspec.field(default_factory=list)

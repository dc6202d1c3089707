"""Persons, organizations, and relationships of organizations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Json, Organization
from pipedrive_simulator.account.records_v1 import OrganizationRelationship
from pipedrive_simulator.clock import naive
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.deals import WINDOW, nothing, zero
from pipedrive_simulator.operations.exchange import file_count
from pipedrive_simulator.operations.operation import Extra, Keep, Operation, v2_get, v2_list
from pipedrive_simulator.operations.paging import v1_page
from pipedrive_simulator.operations.query_params import Request


def _deal_count(reference: str, *statuses: str) -> Extra:
    def count(account: Account, record: Any) -> int:
        return sum(
            1
            for deal in account.deals.records.values()
            if getattr(deal, reference) == record.id and deal.status in statuses
        )

    return count


def _activity_count(reference: str, done: bool | None) -> Extra:
    def count(account: Account, record: Any) -> int:
        return sum(
            1
            for a in account.activities.records.values()
            if getattr(a, reference) == record.id
            and not a.is_deleted
            and (done is None or a.done is done)
        )

    return count


def _extras(reference: str) -> dict[str, Extra]:
    counts: dict[str, Extra] = {
        "next_activity_id": nothing,
        "last_activity_id": nothing,
        "open_deals_count": _deal_count(reference, "open"),
        "closed_deals_count": _deal_count(reference, "won", "lost"),
        "won_deals_count": _deal_count(reference, "won"),
        "lost_deals_count": _deal_count(reference, "lost"),
        "activities_count": _activity_count(reference, None),
        "done_activities_count": _activity_count(reference, True),
        "undone_activities_count": _activity_count(reference, False),
        "files_count": file_count(reference),
        "smart_bcc_email": lambda account, record: f"{account.company}@exemplo.com.br",
    }
    none = ("related_open_deals_count", "related_closed_deals_count", "related_won_deals_count",
            "related_lost_deals_count", "email_messages_count", "notes_count",
            "followers_count")  # fmt: skip
    return counts | dict.fromkeys(none, zero)


def _participant_count(*statuses: str) -> Extra:
    """Count the deals in which a person is a participant but not the contact."""

    def count(account: Account, person: Any) -> int:
        rows = account.participants.records.values()
        taken = (account.deals.get(row.deal_id) for row in rows if row.person_id == person.id)
        return sum(1 for deal in taken if deal is not None and deal.status in statuses)

    return count


_PERSON_EXTRAS = _extras("person_id") | {
    "participant_open_deals_count": _participant_count("open"),
    "participant_closed_deals_count": _participant_count("won", "lost"),
    "last_incoming_mail_time": nothing,
    "last_outgoing_mail_time": nothing,
}
_ORGANIZATION_EXTRAS = _extras("org_id") | {
    "people_count": lambda account, org: sum(
        1 for p in account.persons.records.values() if p.org_id == org.id and not p.is_deleted
    ),
}


def _of_deal(reference: str) -> Callable[[Request, int], Keep]:
    def rule(request: Request, deal_id: int) -> Keep:
        deal = request.account.deals.get(deal_id)
        wanted = getattr(deal, reference, None)
        return lambda record: record.id == wanted

    return rule


def _relationships(request: Request) -> bytes:
    """Return an organization's relationships, except those with deleted organizations."""
    account, org_id = request.account, request.required("org_id")
    known = account.organizations.records

    def organization_object(org: Organization) -> Json:
        return {
            "name": org.name, "owner_id": org.owner_id, "active_flag": not org.is_deleted,
            "address": (org.address or {}).get("value"), "value": org.id,
        }  # fmt: skip

    def render(row: OrganizationRelationship) -> Json:
        is_owner = row.rel_owner_org_id == org_id
        other = known[row.rel_linked_org_id if is_owner else row.rel_owner_org_id]
        of_parents = "daughter" if is_owner else "parent"
        return {
            "id": row.id,
            "type": row.type,
            "rel_owner_org_id": organization_object(known[row.rel_owner_org_id]),
            "rel_linked_org_id": organization_object(known[row.rel_linked_org_id]),
            "add_time": naive(row.add_time),
            "update_time": naive(row.update_time),
            "active_flag": "true",
            "calculated_type": of_parents if row.type == "parent" else "related",
            "calculated_related_org_id": other.id,
            "related_organization_name": other.name,
        }

    rows = [
        row
        for row in account.organization_relationships.records.values()
        if org_id in (pair := (row.rel_owner_org_id, row.rel_linked_org_id))
        and not any(known[number].is_deleted for number in pair)
    ]
    return v1_page(request, rows, render)


OPERATIONS = (
    v2_list("getPersons", "/persons", cost=10, table="persons", window=WINDOW, by_ids=True,
            equals={"owner_id": query_params.integer, "org_id": query_params.integer},
            select={"deal_id": _of_deal("person_id")}, extras=_PERSON_EXTRAS, entity="person",
            labels=True),
    v2_get("getPerson", "/persons/{id}", table="persons", name="person", extras=_PERSON_EXTRAS,
           entity="person", labels=True),
    v2_list("getOrganizations", "/organizations", cost=10, table="organizations", window=WINDOW,
            by_ids=True, equals={"owner_id": query_params.integer}, extras=_ORGANIZATION_EXTRAS,
            entity="organization", labels=True),
    v2_get("getOrganization", "/organizations/{id}", table="organizations", name="organization",
           extras=_ORGANIZATION_EXTRAS, entity="organization", labels=True),
    Operation("getOrganizationRelationships", "v1", "/organizationRelationships", 20,
              _relationships, {"org_id": query_params.integer}),
)  # fmt: skip

"""Parts of one deal: discounts, followers and participants."""

from __future__ import annotations

import msgspec

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Deal, Follower, Json
from pipedrive_simulator.account.records_v1 import Participant, User
from pipedrive_simulator.clock import naive
from pipedrive_simulator.operations.operation import Operation, existing
from pipedrive_simulator.operations.paging import (
    OFFSET_PARAMS,
    PAGE_PARAMS,
    v1_page,
    v2_one,
    v2_rows,
)
from pipedrive_simulator.operations.query_params import Request


def followers_of(account: Account, deal: Deal) -> list[Follower]:
    """Return the followers of a deal."""
    return account.followers.group(deal.id)


def participants_of(account: Account, deal: Deal) -> list[Participant]:
    """Return the persons of a deal: its contact person first, then the further ones.

    The contact person's row is derived from the deal; its id is even, the ids of others are odd.
    """
    found = [row for row in account.participants.group(deal.id) if row.person_id != deal.person_id]
    if deal.person_id is not None and account.persons.get(deal.person_id) is not None:
        contact = Participant(
            id=2 * deal.id, deal_id=deal.id, person_id=deal.person_id, add_time=deal.add_time,
            added_by_user_id=deal.creator_user_id or deal.owner_id,
        )  # fmt: skip
        found.insert(0, contact)
    return found


def user_object(user: User | None) -> Json | None:
    """Render a user as v1 does inside other records."""
    if user is None:
        return None
    return {
        "id": user.id, "name": user.name, "email": user.email, "has_pic": 0, "pic_hash": None,
        "active_flag": user.active_flag, "value": user.id,
    }  # fmt: skip


def _discounts(request: Request) -> bytes:
    deal = existing(request, "deals", "deal")
    return v2_one(msgspec.json.encode(request.account.discounts.group(deal.id)))


def _followers(request: Request) -> bytes:
    deal = existing(request, "deals", "deal")

    def encode(row: Follower) -> bytes:
        return msgspec.json.encode({"user_id": row.user_id, "add_time": row.add_time})

    return v2_rows(request, followers_of(request.account, deal), encode)


def _participants(request: Request) -> bytes:
    account = request.account
    deal: Deal = existing(request, "deals", "deal")

    def render(row: Participant) -> Json:
        person = account.persons.records[row.person_id]
        person_object: Json = {
            "active_flag": not person.is_deleted, "name": person.name, "email": person.emails,
            "phone": person.phones, "owner_id": person.owner_id, "company_id": account.company_id,
            "value": person.id,
        }  # fmt: skip
        return {
            "id": row.id,
            "person_id": person_object,
            "add_time": naive(row.add_time),
            "active_flag": True,
            "related_item_data": {"deal_id": deal.id, "title": deal.title},
            "person": _person(account, row.person_id),
            "added_by_user_id": user_object(account.users.get(row.added_by_user_id)),
            "related_item_type": "deal",
            "related_item_id": deal.id,
        }

    return v1_page(request, participants_of(account, deal), render)


def _person(account: Account, person_id: int) -> Json:
    """Render a person as v1 does, without the counters."""
    person = account.persons.records[person_id]
    org = account.organizations.get(person.org_id)
    owner = account.users.get(person.owner_id)
    return {
        "id": person.id, "company_id": account.company_id, "owner_id": user_object(owner),
        "org_id": org and {
            "name": org.name, "owner_id": org.owner_id, "value": org.id,
            "address": (org.address or {}).get("value"), "active_flag": not org.is_deleted,
        },
        "name": person.name, "first_name": person.first_name, "last_name": person.last_name,
        "active_flag": not person.is_deleted, "phone": person.phones, "email": person.emails,
        "first_char": person.name[:1].lower(), "add_time": naive(person.add_time),
        "update_time": person.update_time and naive(person.update_time),
        "visible_to": str(person.visible_to), "picture_id": None, "label_ids": person.label_ids,
        "org_name": org and org.name, "owner_name": owner and owner.name,
    }  # fmt: skip


OPERATIONS = (
    Operation("getAdditionalDiscounts", "v2", "/deals/{id}/discounts", 10, _discounts),
    Operation("getDealFollowers", "v2", "/deals/{id}/followers", 10, _followers, PAGE_PARAMS),
    Operation("getDealParticipants", "v1", "/deals/{id}/participants", 10, _participants,
              OFFSET_PARAMS),
)  # fmt: skip

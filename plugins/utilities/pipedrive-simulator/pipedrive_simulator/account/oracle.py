"""The account's real content, for comparison in tests: every record, also deleted, and every stay.

Each line is the record as the API would return it, plus properties that begin with `_`:
`_listed` (a list operation can return it now), `_purged` (deleted so long ago that none can),
`_deleted_at` and `_merged_into`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Json

_ENTITIES = {
    "deals": "deal", "persons": "person", "organizations": "organization", "products": "product",
    "activities": "activity",
}  # fmt: skip
_encode = msgspec.json.encode


def _records(name: str) -> Callable[[Account], Iterator[bytes]]:
    entity = _ENTITIES.get(name)

    def tell(account: Account) -> Iterator[bytes]:
        table = account.table(name)
        for record in table.all_records():
            value = table.as_json(record)
            if entity is not None:
                value |= _flags(account, entity, record)
            yield _encode(value) + b"\n"

    return tell


def _flags(account: Account, entity: str, record: Any) -> Json:
    deleted_at = account.deleted_at.get((entity, record.id))
    purged = account.is_purged(entity, record.id)
    # Deleted deals are listed if requested; other deleted records never.
    hidden = purged if entity == "deal" else record.is_deleted
    return {
        "_listed": not hidden,
        "_purged": purged,
        "_deleted_at": deleted_at,
        "_merged_into": account.merged[entity].get(record.id),
    }


def stage_intervals(account: Account, deal_id: int) -> Iterator[Json]:
    """Stays of one deal, oldest first: half-open, the last without end.

    A stay that lasted less than a second has `valid_from` equal to `valid_to`.
    """
    states = account.deal_states[deal_id]
    for position, state in enumerate(states):
        following = states[position + 1].time if position + 1 < len(states) else None
        yield {
            "deal_id": deal_id,
            "stage_id": state.stage_id,
            "pipeline_id": state.pipeline_id,
            "status": state.status,
            "valid_from": state.time,
            "valid_to": following,
        }


def _stage_intervals(account: Account) -> Iterator[bytes]:
    for deal in account.deals.all_records():
        for interval in stage_intervals(account, deal.id):
            yield _encode(interval) + b"\n"


def _deal_changelog(account: Account) -> Iterator[bytes]:
    for deal in account.deals.all_records():
        for row in account.logs["deal"].rows(deal.id):
            yield _encode({"deal_id": deal.id, **row._asdict()}) + b"\n"


def _fields(account: Account) -> Iterator[bytes]:
    for entity, fields in account.fields.items():
        for field in fields:
            yield _encode({"entity": entity, **field.as_v2()}) + b"\n"


def counts(account: Account) -> Json:
    """Return the number of records per table, and of deals by status."""
    deals: dict[str, int] = {}
    for deal in account.deals.all_records():
        purged = deal.is_deleted and account.is_purged("deal", deal.id)
        standing = "purged" if purged else deal.status
        deals[standing] = deals.get(standing, 0) + 1
        if deal.is_archived and not purged:
            deals["archived"] = deals.get("archived", 0) + 1
    found: Json = {name: len(table) for name, table in account.tables.items()}
    return found | {"deals_by_status": deals, "now": account.clock.text()}


TRUTHS: dict[str, Callable[[Account], Iterator[bytes]]] = {
    **{
        name: _records(name)
        for name in (
            *_ENTITIES, "deal_products", "installments", "pipelines", "stages", "users", "leads",
            "notes", "activity_types", "currencies", "filters", "lead_labels", "lead_sources",
            "roles", "discounts", "followers", "participants", "product_variations",
            "note_comments", "files", "call_logs", "mail_threads", "mail_messages",
            "permission_sets", "teams", "webhooks", "goals", "organization_relationships",
            "projects", "boards", "phases", "tasks", "project_templates",
        )
    },
    "stage_intervals": _stage_intervals,
    "deal_changelog": _deal_changelog,
    "fields": _fields,
}  # fmt: skip

"""Activities and their types."""

from __future__ import annotations

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Activity, Json
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.deals import WINDOW
from pipedrive_simulator.operations.operation import Extra, v2_get, v2_list
from pipedrive_simulator.operations.settings import v1_list


def _attendees(account: Account, activity: Activity) -> list[Json]:
    owner = account.users.get(activity.owner_id)
    if activity.type != "meeting" or owner is None:
        return []
    return [
        {"email": owner.email, "name": owner.name, "status": "accepted", "is_organizer": True,
         "person_id": None, "user_id": owner.id},
    ]  # fmt: skip


EXTRAS: dict[str, Extra] = {"attendees": _attendees}

OPERATIONS = (
    v2_list("getActivities", "/activities", cost=10, table="activities", window=WINDOW, by_ids=True,
            sorts=("id", "update_time", "add_time", "due_date"),
            equals={**dict.fromkeys(("owner_id", "deal_id", "person_id", "org_id"),
                                    query_params.integer),
                    "lead_id": query_params.text, "done": query_params.boolean},
            extras=EXTRAS),
    v2_get("getActivity", "/activities/{id}", table="activities", name="activity", extras=EXTRAS),
    v1_list("getActivityTypes", "/activityTypes", cost=20, table="activity_types"),
)  # fmt: skip

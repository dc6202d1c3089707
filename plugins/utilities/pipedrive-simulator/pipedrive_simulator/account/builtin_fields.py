"""Built-in fields per entity: (code, name, type[, options]), with the names of the English app.

A trailing `?` on a code marks a field that the entity returns only when `include_fields` names it.
"""

from __future__ import annotations

from typing import Any

from pipedrive_simulator.account.fields import FieldDefinition, Option

_VISIBLE_TO = {"1": "Owner", "3": "Owner's visibility group", "5": "With sub-groups", "7": "All"}
_YES_NO = {"1": "Yes", "0": "No"}

_DEAL = [
    ("id", "ID", "int"),
    ("title", "Title", "varchar"),
    ("creator_user_id", "Creator", "user"),
    ("owner_id", "Owner", "user"),
    ("value", "Value", "monetary"),
    ("currency", "Currency", "varchar"),
    ("person_id", "Contact person", "people"),
    ("org_id", "Organization", "org"),
    ("pipeline_id", "Pipeline", "int"),
    ("stage_id", "Stage", "stage"),
    ("label_ids", "Label", "set"),
    ("add_time", "Deal created", "date"),
    ("update_time", "Update time", "date"),
    ("stage_change_time", "Last stage change", "date"),
    ("status", "Status", "status", {"open": "Open", "won": "Won", "lost": "Lost"}),
    ("probability", "Probability", "int"),
    ("lost_reason", "Lost reason", "varchar_options"),
    ("visible_to", "Visible to", "visible_to", _VISIBLE_TO),
    ("close_time", "Deal closed on", "date"),
    ("won_time", "Won time", "date"),
    ("lost_time", "Lost time", "date"),
    ("expected_close_date", "Expected close date", "date"),
    ("origin", "Source origin", "varchar"),
    ("origin_id", "Source origin ID", "varchar"),
    ("channel", "Source channel", "enum", {}),
    ("channel_id", "Source channel ID", "varchar"),
    ("is_archived", "Archive status", "boolean"),
    ("archive_time", "Archive time", "date"),
    ("arr", "ARR", "double"),
    ("mrr", "MRR", "double"),
    ("acv", "ACV", "double"),
    ("next_activity_id?", "Next activity", "activity"),
    ("last_activity_id?", "Last activity", "activity"),
    ("activities_count?", "Total activities", "int"),
    ("done_activities_count?", "Done activities", "int"),
    ("undone_activities_count?", "Activities to do", "int"),
    ("products_count?", "Product quantity", "int"),
    ("notes_count?", "Number of notes", "int"),
]
_PERSON = [
    ("id", "ID", "int"),
    ("name", "Name", "varchar"),
    ("first_name", "First name", "varchar"),
    ("last_name", "Last name", "varchar"),
    ("owner_id", "Owner", "user"),
    ("org_id", "Organization", "org"),
    ("emails", "Email", "varchar"),
    ("phones", "Phone", "phone"),
    ("label_ids", "Label", "set", {}),
    ("add_time", "Person created", "date"),
    ("update_time", "Update time", "date"),
    ("visible_to", "Visible to", "visible_to", _VISIBLE_TO),
    ("job_title", "Job title", "varchar"),
    ("birthday", "Birthday", "date"),
    ("notes", "Notes", "text"),
    ("im", "Instant messenger", "varchar"),
    ("postal_address", "Postal address", "address"),
    ("open_deals_count?", "Open deals", "int"),
    ("won_deals_count?", "Won deals", "int"),
    ("lost_deals_count?", "Lost deals", "int"),
]
_ORGANIZATION = [
    ("id", "ID", "int"),
    ("name", "Name", "varchar"),
    ("owner_id", "Owner", "user"),
    ("label_ids", "Label", "set", {}),
    ("add_time", "Organization created", "date"),
    ("update_time", "Update time", "date"),
    ("visible_to", "Visible to", "visible_to", _VISIBLE_TO),
    ("address", "Address", "address"),
    ("website", "Website", "varchar"),
    ("linkedin", "LinkedIn profile", "varchar"),
    ("industry", "Industry", "enum", {}),
    ("annual_revenue", "Annual revenue", "int"),
    ("employee_count", "Number of employees", "int"),
    ("people_count?", "People", "int"),
    ("open_deals_count?", "Open deals", "int"),
    ("won_deals_count?", "Won deals", "int"),
    ("lost_deals_count?", "Lost deals", "int"),
]
_PRODUCT = [
    ("id", "ID", "int"),
    ("name", "Name", "varchar"),
    ("code", "Product code", "varchar"),
    ("description", "Description", "text"),
    ("unit", "Unit", "varchar"),
    ("tax", "Tax", "double"),
    ("category", "Category", "enum", {}),
    ("is_linkable", "Active", "boolean", _YES_NO),
    ("visible_to", "Visible to", "visible_to", _VISIBLE_TO),
    ("owner_id", "Owner", "user"),
    ("add_time", "Product created", "date"),
    ("update_time", "Update time", "date"),
    ("prices", "Prices", "price_list"),
    ("billing_frequency", "Billing frequency", "billing_frequency"),
]
_ACTIVITY = [
    ("id", "ID", "int"),
    ("subject", "Subject", "varchar"),
    ("type", "Type", "enum", {}),
    ("owner_id", "Assigned to user", "user"),
    ("creator_user_id", "Creator", "user"),
    ("deal_id", "Deal", "deal"),
    ("lead_id", "Lead", "lead"),
    ("person_id", "Contact person", "people"),
    ("org_id", "Organization", "org"),
    ("project_id", "Project", "project"),
    ("add_time", "Add time", "date"),
    ("update_time", "Last updated time", "date"),
    ("due_date", "Due date", "date"),
    ("due_time", "Due time", "time"),
    ("duration", "Duration", "time"),
    ("done", "Done", "boolean", _YES_NO),
    ("busy", "Free/busy", "boolean"),
    ("marked_as_done_time", "Marked as done time", "date"),
    ("location", "Location", "address"),
    ("note", "Note", "text"),
    ("priority", "Priority", "enum", {}),
    ("attendees?", "Attendees", "varchar"),
]
_NOTE = [
    ("content", "Content", "text"),
    ("user_id", "User", "user"),
    ("deal_id", "Deal", "int"),
    ("person_id", "Person", "people"),
    ("org_id", "Organization", "org"),
    ("add_time", "Add time", "date"),
    ("update_time", "Update time", "date"),
    ("pinned_to_deal_flag", "Note is pinned to deal", "enum", _YES_NO),
    ("pinned_to_person_flag", "Note is pinned to person", "enum", _YES_NO),
    ("pinned_to_organization_flag", "Note is pinned to organization", "enum", _YES_NO),
]
_PROJECT = [
    ("id", "ID", "int"),
    ("title", "Title", "varchar"),
    ("description", "Description", "text"),
    ("status", "Status", "enum",
     {"open": "Open", "completed": "Completed", "canceled": "Canceled", "deleted": "Deleted"}),
    ("board_id", "Board", "projects_board"),
    ("phase_id", "Phase", "projects_phase"),
    ("owner_id", "Owner", "user"),
    ("start_date", "Start date", "date"),
    ("end_date", "End date", "date"),
    ("deal_ids", "Deals", "deals"),
    ("person_ids", "Contact person", "people"),
    ("org_ids", "Organization", "org"),
    ("label_ids", "Label", "set", {}),
    ("health_status", "Health status", "int"),
    ("add_time", "Project created", "date"),
    ("update_time", "Update time", "date"),
    ("status_change_time", "Last status change", "date"),
    ("archive_time", "Archive time", "date"),
]  # fmt: skip
_BY_ENTITY: dict[str, list[Any]] = {
    "deal": _DEAL,
    "person": _PERSON,
    "organization": _ORGANIZATION,
    "product": _PRODUCT,
    "activity": _ACTIVITY,
    "note": _NOTE,
    "project": _PROJECT,
}


def builtin_fields(entity: str) -> list[FieldDefinition]:
    """Return the built-in fields of an entity (`deal`, `person`, ...)."""
    made = []
    for number, (code, name, kind, *rest) in enumerate(_BY_ENTITY[entity], 1):
        options = [Option(i, label) for i, label in rest[0].items()] if rest else None
        made.append(
            FieldDefinition(
                code.rstrip("?"), name, kind, options, is_optional=code.endswith("?"), number=number
            )
        )
    return made

"""What people do about deals: calls, meetings, tasks."""

from __future__ import annotations

from tap_pipedrive.streams.base import UpdatedStream


class Activities(UpdatedStream):
    """Planned and done activities. GET /api/v2/activities."""

    name = "activities"
    operations = ("v2 /activities",)
    primary_keys = ("id",)
    query = {"include_fields": "attendees"}

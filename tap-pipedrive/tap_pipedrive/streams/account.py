"""Who works in the account: users."""

from __future__ import annotations

from tap_pipedrive.streams.base import ListStream


class Users(ListStream):
    """Users of the company, inactive ones included. GET /api/v1/users (v2 has no list)."""

    name = "users"
    operations = ("v1 /users",)
    primary_keys = ("id",)

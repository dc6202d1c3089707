"""Whom one sells to: persons and organizations."""

from __future__ import annotations

from tap_pipedrive.streams.base import UpdatedStream


class Persons(UpdatedStream):
    """Contacts. GET /api/v2/persons."""

    name = "persons"
    operations = ("v2 /persons",)
    primary_keys = ("id",)


class Organizations(UpdatedStream):
    """Companies. GET /api/v2/organizations."""

    name = "organizations"
    operations = ("v2 /organizations",)
    primary_keys = ("id",)

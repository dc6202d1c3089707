"""Field definitions: what a custom field's 40-character key means, and its options' labels."""

from __future__ import annotations

from tap_pipedrive.streams.base import ListStream


class _FieldStream(ListStream):
    """Fields of one entity, keyed by ``field_code``.

    All entities share the columns of dealFields, the fullest of them.
    """

    primary_keys = ("field_code",)
    more_properties = {"description": "string", "important_fields": "object",
                       "required_fields": "object"}  # fmt: skip


class DealFields(_FieldStream):
    """GET /api/v2/dealFields; leads share them."""

    name = "deal_fields"
    operations = ("v2 /dealFields",)


class PersonFields(_FieldStream):
    """GET /api/v2/personFields."""

    name = "person_fields"
    operations = ("v2 /personFields",)


class OrganizationFields(_FieldStream):
    """GET /api/v2/organizationFields."""

    name = "organization_fields"
    operations = ("v2 /organizationFields",)


class ProductFields(_FieldStream):
    """GET /api/v2/productFields."""

    name = "product_fields"
    operations = ("v2 /productFields",)


class ActivityFields(_FieldStream):
    """GET /api/v2/activityFields."""

    name = "activity_fields"
    operations = ("v2 /activityFields",)

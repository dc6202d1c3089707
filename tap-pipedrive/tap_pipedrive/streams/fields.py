"""Field definitions: the names of custom fields' 40-character keys, and labels of options."""

from __future__ import annotations

from tap_pipedrive.streams.definition_streams import FieldStream


class _V2FieldStream(FieldStream):
    """Fields of one entity, keyed by ``field_code`` (v2).

    All entities have the columns of dealFields, which has the most.
    """

    primary_keys = ("field_code",)
    more_properties = {"description": "string", "important_fields": "object",
                       "required_fields": "object"}  # fmt: skip


class DealFields(_V2FieldStream):
    """Field definitions of deals (and leads). GET /api/v2/dealFields; leads share them."""

    name = "deal_fields"
    operations = ("v2 /dealFields",)
    essential = True


class PersonFields(_V2FieldStream):
    """Field definitions of people. GET /api/v2/personFields."""

    name = "person_fields"
    operations = ("v2 /personFields",)


class OrganizationFields(_V2FieldStream):
    """Field definitions of organizations. GET /api/v2/organizationFields."""

    name = "organization_fields"
    operations = ("v2 /organizationFields",)


class ProductFields(_V2FieldStream):
    """Field definitions of products. GET /api/v2/productFields."""

    name = "product_fields"
    operations = ("v2 /productFields",)


class ActivityFields(_V2FieldStream):
    """Field definitions of activities. GET /api/v2/activityFields."""

    name = "activity_fields"
    operations = ("v2 /activityFields",)


class ProjectFields(_V2FieldStream):
    """Field definitions of projects. GET /api/v2/projectFields (Projects add-on)."""

    name = "project_fields"
    operations = ("v2 /projectFields",)
    selected_by_default = False


class LeadFields(FieldStream):
    """Field definitions of leads, as API v1 gives them. GET /api/v1/leadFields."""

    name = "lead_fields"
    operations = ("v1 /leadFields",)
    primary_keys = ("key",)


class NoteFields(FieldStream):
    """Field definitions of notes, as API v1 gives them. GET /api/v1/noteFields."""

    name = "note_fields"
    operations = ("v1 /noteFields",)
    primary_keys = ("key",)
    selected_by_default = False

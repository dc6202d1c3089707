"""Field definitions of an entity, as in v2 `GET /dealFields` and alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipedrive_simulator.account.records import Json

# The 16 types of custom fields.
CUSTOM_TYPES = (
    "varchar", "varchar_auto", "text", "double", "monetary", "date", "set", "enum", "user", "org",
    "people", "phone", "time", "timerange", "daterange", "address",
)  # fmt: skip
ADDRESS_PARTS = (
    "subpremise", "street_number", "route", "sublocality", "locality", "admin_area_level_1",
    "admin_area_level_2", "country", "postal_code", "formatted_address",
)  # fmt: skip
# Compound types -> {code of a part: its type}.
SUBFIELDS: dict[str, dict[str, str]] = {
    "monetary": {"value": "double", "currency": "varchar"},
    "daterange": {"value": "date", "until": "date"},
    "time": {"value": "time", "timezone_id": "int", "timezone_name": "varchar"},
    "timerange": {
        "value": "time", "until": "time", "timezone_id": "int", "timezone_name": "varchar",
    },
    "address": {"value": "varchar", **dict.fromkeys(ADDRESS_PARTS, "varchar")},
}  # fmt: skip


@dataclass
class Option:
    """One choice of an enum or set. `id` is an integer; text for built-in fields."""

    id: int | str
    label: str
    color: str | None = None


@dataclass
class FieldDefinition:
    """One field. `code` is the property's name, or 40 hex digits for a custom field."""

    code: str
    name: str
    type: str
    options: list[Option] | None = None
    is_custom: bool = False
    is_optional: bool = False
    number: int = 0
    description: str | None = None

    @property
    def key(self) -> str:
        """The code, under its v1 name."""
        return self.code

    def as_v2(self) -> Json:
        """Render as an item of v2 `GET /{entity}Fields`, without the optional parts."""
        options = self.options
        parts = SUBFIELDS.get(self.type)
        return {
            "field_name": self.name,
            "field_code": self.code,
            "description": self.description,
            "field_type": self.type,
            "options": options
            and [
                {"id": o.id, "label": o.label, "color": o.color, "add_time": None,
                 "update_time": None}
                for o in options
            ],
            "subfields": parts
            and [
                {"field_code": code, "field_name": f"{code} of {self.name}", "field_type": kind}
                for code, kind in parts.items()
            ],
            "is_custom_field": self.is_custom,
            "is_optional_response_field": self.is_optional,
        }  # fmt: skip

    def as_v1(self, added: str) -> Json:
        """Render as an item of v1 `GET /leadFields` and `GET /noteFields`; `added` is naive."""
        return {
            "id": self.number,
            "key": self.key,
            "name": self.name,
            "order_nr": self.number,
            "field_type": _V1_TYPES.get(self.type, self.type),
            "add_time": added,
            "update_time": added,
            "last_updated_by_user_id": None,
            "created_by_user_id": None,
            "active_flag": True,
            "edit_flag": self.is_custom,
            "index_visible_flag": True,
            "details_visible_flag": True,
            "add_visible_flag": False,
            "important_flag": False,
            "bulk_edit_allowed": True,
            "searchable_flag": False,
            "filtering_allowed": True,
            "sortable_flag": True,
            # v2 writes all ids as text; v1 writes numeric ids as numbers.
            "options": self.options
            and [
                {"id": int(o.id) if str(o.id).isdigit() else o.id, "label": o.label}
                for o in self.options
            ],
            "mandatory_flag": False,
        }


_V1_TYPES = {"boolean": "enum", "bool": "enum", "int": "double"}


@dataclass
class FieldSet:
    """The fields of one entity: built-in ones first, then custom ones in order of creation."""

    entity: str
    seed: int
    builtin: list[FieldDefinition] = field(default_factory=list)
    custom: list[FieldDefinition] = field(default_factory=list)
    _made: int = 0
    _by_key: dict[str, FieldDefinition] = field(default_factory=dict)

    def __iter__(self) -> Iterator[FieldDefinition]:
        """Yield all fields, built-in ones first."""
        yield from self.builtin
        yield from self.custom

    def add(
        self, name: str, kind: str, options: list[str] | None = None, *, first_option: int = 1
    ) -> FieldDefinition:
        """Define a custom field; its key is derived from the account's seed and its number."""
        if kind not in CUSTOM_TYPES:
            msg = f"no such field type: {kind!r}; one of {', '.join(CUSTOM_TYPES)}"
            raise ValueError(msg)
        self._made += 1
        key = hashlib.sha1(
            f"{self.seed}/{self.entity}/{self._made}".encode(), usedforsecurity=False
        ).hexdigest()
        choices = None
        if kind in ("enum", "set"):
            choices = [Option(first_option + i, label) for i, label in enumerate(options or [])]
        made = FieldDefinition(key, name, kind, choices, is_custom=True, number=10_000 + self._made)
        self.custom.append(made)
        self._by_key[key] = made
        return made

    def remove(self, code: str) -> FieldDefinition:
        """Remove a custom field: its values are no longer returned."""
        gone = self.find(code)
        self.custom.remove(gone)
        del self._by_key[gone.code]
        return gone

    def find(self, code: str) -> FieldDefinition:
        """Return a custom field by key, or the first one with that label."""
        if code in self._by_key:
            return self._by_key[code]
        for known in self.custom:
            if code == known.name:
                return known
        msg = f"{self.entity} has no custom field {code!r}"
        raise LookupError(msg)

    def keys(self) -> Iterable[str]:
        """Keys of the custom fields, in definition order."""
        return self._by_key

    def next_option_id(self) -> int:
        """Return an option id that no field of this entity has used."""
        used = [int(o.id) for known in self.custom for o in known.options or []]
        return max(used, default=0) + 1

    def with_option_labels(self, values: Json) -> Json:
        """Replace option ids by `{id, label}`, as `include_option_labels=true` does."""
        shown = dict(values)
        for known in self.custom:
            value = shown.get(known.code)
            if known.options is None or value is None:
                continue
            labels: dict[Any, str] = {o.id: o.label for o in known.options}
            one = isinstance(value, int)
            pairs = [
                {"id": v, "label": labels.get(v, "")} for v in ([value] if one else list(value))
            ]
            shown[known.code] = pairs[0] if one else pairs
        return shown

"""Edits of contacts, activities, products, notes, leads and users."""

from __future__ import annotations

import uuid
from typing import Any

from pipedrive_simulator.account.changelog import FieldChange, field_changes
from pipedrive_simulator.account.journal import mutation
from pipedrive_simulator.account.records import (
    Activity,
    CustomFields,
    Organization,
    Person,
    Product,
)
from pipedrive_simulator.account.records_v1 import Lead, Note, User
from pipedrive_simulator.account.state import AccountState, EditError
from pipedrive_simulator.account.table import R, Table
from pipedrive_simulator.clock import millis, naive


class RecordEdits(AccountState):
    """Create, update, delete and merge, by entity name."""

    @mutation
    def create_person(self, name: str, *, at: str = "", **values: Any) -> Person:
        """Create a person."""
        return self._create(self.persons, Person, at, {"name": name, **values})

    @mutation
    def update_person(self, person_id: int, *, at: str = "", **changes: Any) -> Person:
        """Set properties of a person."""
        return self._update(self.persons, person_id, changes, at)

    @mutation
    def delete_person(self, person_id: int, *, at: str = "") -> Person:
        """Delete a person: no list returns it any more."""
        return self._delete(self.persons, "person", person_id, at)

    @mutation
    def merge_persons(self, person_id: int, into: int, *, at: str = "") -> Person:
        """Merge a person into another, which gets its deals and activities."""
        return self._merge(self.persons, "person", person_id, into, at)

    @mutation
    def create_organization(self, name: str, *, at: str = "", **values: Any) -> Organization:
        """Create an organization."""
        return self._create(self.organizations, Organization, at, {"name": name, **values})

    @mutation
    def update_organization(self, org_id: int, *, at: str = "", **changes: Any) -> Organization:
        """Set properties of an organization."""
        return self._update(self.organizations, org_id, changes, at)

    @mutation
    def delete_organization(self, org_id: int, *, at: str = "") -> Organization:
        """Delete an organization: no list returns it any more."""
        return self._delete(self.organizations, "organization", org_id, at)

    @mutation
    def merge_organizations(self, org_id: int, into: int, *, at: str = "") -> Organization:
        """Merge an organization into another, which gets its deals, persons and activities."""
        return self._merge(self.organizations, "organization", org_id, into, at)

    @mutation
    def create_product(self, name: str, *, at: str = "", **values: Any) -> Product:
        """Create a product."""
        return self._create(self.products, Product, at, {"name": name, **values})

    @mutation
    def update_product(self, product_id: int, *, at: str = "", **changes: Any) -> Product:
        """Set properties of a product."""
        return self._update(self.products, product_id, changes, at)

    @mutation
    def delete_product(self, product_id: int, *, at: str = "") -> Product:
        """Delete a product; lines of deals stay, with `product_id` null."""
        for line in self.deal_products.records.values():
            if line.product_id == product_id:
                self.deal_products.change(line, {"product_id": None})
        return self._delete(self.products, "product", product_id, at)

    @mutation
    def create_activity(self, subject: str, *, at: str = "", **values: Any) -> Activity:
        """Create an activity. Its deal's update time does not change."""
        values.setdefault("type", "call")
        made = self._create(self.activities, Activity, at, {"subject": subject, **values})
        if made.deal_id is not None:
            self.activities_of_deal[made.deal_id].append(made.id)
        return made

    @mutation
    def update_activity(self, activity_id: int, *, at: str = "", **changes: Any) -> Activity:
        """Set properties of an activity; `done=True` also sets the time."""
        if changes.get("done") is not None:
            changes.setdefault("marked_as_done_time", at if changes["done"] else None)
        before = self.record_of(self.activities, activity_id).deal_id
        activity = self._update(self.activities, activity_id, changes, at)
        if activity.deal_id != before:
            if before is not None:
                self.activities_of_deal[before].remove(activity_id)
            if activity.deal_id is not None:
                self.activities_of_deal[activity.deal_id].append(activity_id)
        return activity

    @mutation
    def delete_activity(self, activity_id: int, *, at: str = "") -> Activity:
        """Delete an activity: the list no longer returns it."""
        deleted = self._delete(self.activities, "activity", activity_id, at)
        if deleted.deal_id is not None:
            self.activities_of_deal[deleted.deal_id].remove(activity_id)
        return deleted

    @mutation
    def create_note(self, content: str, *, at: str = "", **values: Any) -> Note:
        """Create a note (HTML)."""
        note = Note(
            id=self.next_id(self.notes), content=content, add_time=naive(at),
            update_time=naive(at), **values,
        )  # fmt: skip
        return self.notes.put(note)

    @mutation
    def delete_note(self, note_id: int, *, at: str = "") -> Note:
        """Delete a note: the list no longer returns it."""
        note = self.record_of(self.notes, note_id)
        self.notes.change(note, {"active_flag": False, "update_time": naive(at)})
        return note

    @mutation
    def create_lead(self, title: str, *, at: str = "", **values: Any) -> Lead:
        """Create a lead; its id is a uuid derived from the seed and its number."""
        owner = values.pop("owner_id", self.me().id)
        custom = CustomFields(self.custom_values("deal", values.pop("custom_fields", {})))
        # Not the number of leads now: the id of a deleted lead must not return.
        number = self.last_ids["leads"] = self.last_ids.get("leads", len(self.leads) - 1) + 1
        lead = Lead(
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.seed}/lead/{number}")),
            title=title, owner_id=owner, creator_id=owner, add_time=millis(at),
            update_time=millis(at), custom_fields=custom, **values,
        )  # fmt: skip
        return self.leads.put(lead)

    @mutation
    def update_lead(self, lead_id: str, *, at: str = "", **changes: Any) -> Lead:
        """Set properties of a lead, `is_archived` among them."""
        lead = self.record_of(self.leads, lead_id)
        changes, _ = self._checked(self.leads, "deal", lead, changes)
        self.leads.change(lead, {"update_time": millis(at), **changes})
        return lead

    @mutation
    def delete_lead(self, lead_id: str, *, at: str = "") -> None:
        """Delete a lead without a trace."""
        self.leads.drop(self.record_of(self.leads, lead_id))

    @mutation
    def create_user(self, name: str, email: str, *, at: str = "", **values: Any) -> User:
        """Add a user."""
        user = User(
            id=self.next_id(self.users), name=name, email=email, last_login=None,
            created=naive(at), **values,
        )  # fmt: skip
        return self.users.put(user)

    @mutation
    def update_user(self, user_id: int, *, at: str = "", **changes: Any) -> User:
        """Set properties of a user, `active_flag` among them."""
        user = self.record_of(self.users, user_id)
        changes, _ = self._checked(self.users, "user", user, changes)
        self.users.change(user, {"modified": naive(at), **changes})
        return user

    # ---- inside

    def _create(self, table: Table[R], kind: type[R], at: str, values: dict[str, Any]) -> R:
        if "custom_fields" in kind.__struct_fields__:
            given = values.pop("custom_fields", {})
            entity = table.name.removesuffix("s")
            values["custom_fields"] = CustomFields(self.custom_values(entity, given))
        try:
            record = kind(
                **{"id": self.next_id(table), "add_time": at, "update_time": at, **values}
            )
        except TypeError as error:
            raise EditError(str(error)) from error
        return table.put(record)

    def _update(self, table: Table[R], record_id: int, changes: dict[str, Any], at: str) -> R:
        record: Any = self.record_of(table, record_id)
        entity = table.name.removesuffix("s")
        changes, rows = self._checked(table, entity, record, changes)
        log = self.logs.get(entity)
        if log is not None:
            log.add(record_id, at, iter(rows), actor=record.owner_id or self.me().id)
        table.change(record, {"update_time": at, **changes})
        changed: R = record
        return changed

    def _checked(
        self, table: Table[Any], entity: str, record: Any, changes: dict[str, Any]
    ) -> tuple[dict[str, Any], list[FieldChange]]:
        """Return the new values of known properties, and their history.

        The custom fields are those of `entity`: null clears a value, the others stay.
        """
        rows: list[FieldChange] = []
        for name, new in changes.items():
            if name not in record.__struct_fields__:
                msg = f"{table.name} have no property {name!r}"
                raise EditError(msg)
            if name == "custom_fields":
                known = record.custom_fields.values
                new = self.custom_values(entity, new)
                for key, value in new.items():
                    rows += field_changes(key, known.get(key), value)
                merged = {k: v for k, v in {**known, **new}.items() if v is not None}
                changes = {**changes, name: CustomFields(merged)}
            else:
                rows += field_changes(name, getattr(record, name), new)
        return changes, rows

    def _delete(self, table: Table[R], entity: str, record_id: int, at: str) -> R:
        record = self.record_of(table, record_id)
        # Its update time is the time of the deletion, which no other property has.
        table.change(record, {"is_deleted": True, "update_time": at})
        self.deleted_at[entity, record_id] = at
        return record

    def _merge(self, table: Table[R], entity: str, loser: int, into: int, at: str) -> R:
        survivor = self.record_of(table, into)
        self.record_of(table, loser)
        if loser == into:
            msg = f"{entity} {loser} cannot be merged into itself"
            raise EditError(msg)
        reference = "person_id" if entity == "person" else "org_id"
        others: tuple[Table[Any], ...] = (self.deals, self.persons, self.activities)
        for other in others:
            for record in list(other.records.values()):
                if getattr(record, reference, None) == loser:
                    moved: dict[str, Any] = {reference: into}
                    if not record.is_deleted:
                        moved["update_time"] = at
                    if other is self.deals:
                        change = field_changes(reference, loser, into)
                        self.logs["deal"].add(record.id, at, change, actor=self.me().id)
                    other.change(record, moved)
        if entity == "person":
            for row in self.participants.records.values():
                if row.person_id == loser:
                    self.participants.change(row, {"person_id": into})
        self._delete(table, entity, loser, at)
        self.merged[entity][loser] = into
        table.change(survivor, {"update_time": at})
        return survivor

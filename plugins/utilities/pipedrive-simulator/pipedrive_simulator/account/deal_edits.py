"""All edits of deals. Each also updates the deal's history and its stage states."""

from __future__ import annotations

from typing import Any

from pipedrive_simulator.account.changelog import FieldChange, field_changes
from pipedrive_simulator.account.journal import mutation
from pipedrive_simulator.account.records import CustomFields, Deal, DealProduct, Json
from pipedrive_simulator.account.state import AccountState, DealState, EditError


class DealEdits(AccountState):
    """Mutations of deals and of their parts.

    Common arguments: `at`, the instant of the change (default: now; an earlier instant simulates a
    late commit); `actor`, a user id (default: the deal's owner).
    """

    @mutation
    def create_deal(
        self, title: str | None = None, *, at: str = "", deal_id: int | None = None, **values: Any
    ) -> Deal:
        """Create a deal; `stage_id` and `owner_id` have defaults; `custom_fields` are by key."""
        number = self.next_id(self.deals) if deal_id is None else deal_id
        if self.deals.get(number) is not None:
            msg = f"deal {number} exists already"
            raise EditError(msg)
        custom = self.custom_values("deal", values.pop("custom_fields", {}))
        stage_id = values.pop("stage_id", None) or min(self.stages.records)
        stage = self._stage(stage_id)
        owner = values.pop("owner_id", None) or self.me().id
        status = values.get("status", "open")
        if status != "open":
            values = self._outcome("open", status, values.get("add_time", at)) | values
        deal = Deal(
            id=number,
            title=title or f"Negócio {number}",
            creator_user_id=values.pop("creator_user_id", owner),
            owner_id=owner,
            stage_id=stage_id,
            pipeline_id=stage.pipeline_id,
            currency=values.pop("currency", self.base_currency),
            add_time=values.pop("add_time", at),
            update_time=values.pop("update_time", at),
            stage_change_time=values.pop("stage_change_time", None),
            custom_fields=CustomFields(custom),
            **values,
        )
        self.deals.put(deal)
        self.deal_states[number] = [
            DealState(deal.add_time, stage_id, stage.pipeline_id, deal.status)
        ]
        return deal

    @mutation
    def update_deal(
        self,
        deal_id: int,
        *,
        at: str = "",
        actor: int | None = None,
        is_bulk: bool = False,
        **changes: Any,
    ) -> Deal:
        """Set properties of a deal, by the app's rules. In `custom_fields`, null clears a value."""
        deal = self._open_to_edits(deal_id)
        self._change_deal(deal, changes, at=at, actor=actor, is_bulk=is_bulk)
        return deal

    @mutation
    def move_deal(
        self, deal_id: int, stage_id: int, *, at: str = "", actor: int | None = None
    ) -> Deal:
        """Move a deal to a stage, of any pipeline."""
        deal = self._open_to_edits(deal_id)
        self._change_deal(deal, {"stage_id": stage_id}, at=at, actor=actor)
        return deal

    @mutation
    def win_deal(self, deal_id: int, *, at: str = "", actor: int | None = None) -> Deal:
        """Mark a deal as won."""
        deal = self._open_to_edits(deal_id)
        self._change_deal(deal, {"status": "won"}, at=at, actor=actor)
        return deal

    @mutation
    def lose_deal(
        self, deal_id: int, reason: str | None = None, *, at: str = "", actor: int | None = None
    ) -> Deal:
        """Mark a deal as lost."""
        deal = self._open_to_edits(deal_id)
        self._change_deal(deal, {"status": "lost", "lost_reason": reason}, at=at, actor=actor)
        return deal

    @mutation
    def reopen_deal(self, deal_id: int, *, at: str = "", actor: int | None = None) -> Deal:
        """Reopen a won or lost deal: neither its stage change time nor its add time moves."""
        deal = self._open_to_edits(deal_id)
        self._change_deal(deal, {"status": "open"}, at=at, actor=actor)
        return deal

    @mutation
    def archive_deal(self, deal_id: int, *, at: str = "") -> Deal:
        """Archive a deal: from now on only the archived list returns it."""
        deal = self._open_to_edits(deal_id)
        self.deals.change(deal, {"is_archived": True, "archive_time": at, "update_time": at})
        return deal

    @mutation
    def unarchive_deal(self, deal_id: int, *, at: str = "") -> Deal:
        """Move a deal from the archived list back to the live list."""
        deal = self._deal(deal_id)
        if deal.is_deleted:
            msg = f"deal {deal_id} is deleted: not editable"
            raise EditError(msg)
        self.deals.change(deal, {"is_archived": False, "archive_time": None, "update_time": at})
        return deal

    @mutation
    def delete_deal(self, deal_id: int, *, at: str = "", actor: int | None = None) -> Deal:
        """Delete a deal: listed on request for 30 days, then gone."""
        deal = self._deal(deal_id)
        if not deal.is_deleted:
            self._change_deal(deal, {"status": "deleted", "is_deleted": True}, at=at, actor=actor)
            self.deleted_at["deal", deal_id] = at
        return deal

    @mutation
    def restore_deal(self, deal_id: int, *, at: str = "", actor: int | None = None) -> Deal:
        """Undo a deletion; the deal gets back the status it had."""
        deal = self._deal(deal_id)
        if self.is_purged("deal", deal_id) or deal_id in self.merged["deal"]:
            msg = f"deal {deal_id} was purged: it cannot be restored"
            raise EditError(msg)
        if deal.is_deleted:
            before = self.deal_states[deal_id][-2].status
            self._change_deal(deal, {"status": before, "is_deleted": False}, at=at, actor=actor)
            del self.deleted_at["deal", deal_id]
        return deal

    @mutation
    def merge_deals(self, deal_id: int, into: int, *, at: str = "") -> Deal:
        """Merge a deal into another: the first looks deleted, the other one is updated."""
        loser, survivor = self._open_to_edits(deal_id), self._open_to_edits(into)
        if loser is survivor:
            msg = f"deal {deal_id} cannot be merged into itself"
            raise EditError(msg)
        for activity_id in self.activities_of_deal.pop(deal_id, []):
            self.activities.change(
                self.activities.records[activity_id], {"deal_id": into, "update_time": at}
            )
            self.activities_of_deal[into].append(activity_id)
        for line_id in self.products_of_deal.pop(deal_id, []):
            self.deal_products.change(
                self.deal_products.records[line_id], {"deal_id": into, "update_time": at}
            )
            self.products_of_deal[into].append(line_id)
        self.move_parts(deal_id, into)
        self.delete_deal(deal_id, at=at)
        self.merged["deal"][loser.id] = survivor.id
        self._change_deal(survivor, {}, at=at)
        return survivor

    @mutation
    def attach_product(
        self, deal_id: int, product_id: int | None, *, at: str = "", **values: Any
    ) -> DealProduct:
        """Add a product line to a deal: updates the deal's update time, not its value."""
        deal = self._open_to_edits(deal_id)
        product = self.products.records.get(product_id)
        price = values.pop("item_price", product.prices[0]["price"] if product else 0.0)
        quantity = values.pop("quantity", 1)
        line = DealProduct(
            id=self.next_id(self.deal_products),
            sum=round(price * quantity, 2),
            deal_id=deal_id,
            name=values.pop("name", product.name if product else "?"),
            product_id=product_id,
            add_time=at,
            update_time=at,
            quantity=quantity,
            item_price=price,
            **values,
        )
        self.deal_products.put(line)
        self.products_of_deal[deal_id].append(line.id)
        self._change_deal(deal, {}, at=at)
        return line

    @mutation
    def detach_product(self, line_id: int, *, at: str = "") -> None:
        """Remove a product line: updates the deal's update time and leaves no other trace."""
        line = self.record_of(self.deal_products, line_id)
        self._change_deal(self._open_to_edits(line.deal_id), {}, at=at)
        self.products_of_deal[line.deal_id].remove(line_id)
        self.deal_products.drop(line)

    # ---- inside

    def _change_deal(
        self,
        deal: Deal,
        changes: Json,
        *,
        at: str,
        actor: int | None = None,
        is_bulk: bool = False,
    ) -> None:
        changes = self._with_derived_values(deal, changes, at)
        rows: list[FieldChange] = []
        for name, new in changes.items():
            if name == "custom_fields":
                known = deal.custom_fields.values
                for key, value in new.items():
                    rows += field_changes(key, known.get(key), value)
                merged = {k: v for k, v in {**known, **new}.items() if v is not None}
                changes[name] = CustomFields(merged)
            else:
                rows += field_changes(name, getattr(deal, name), new)
        self.logs["deal"].add(
            deal.id, at, iter(rows), actor=actor or deal.owner_id, is_bulk=is_bulk
        )
        self.deals.change(deal, changes)
        states = self.deal_states[deal.id]
        state = DealState(at, deal.stage_id, deal.pipeline_id, deal.status)
        if state[1:] != states[-1][1:]:
            self.deal_states[deal.id] = [*states, state]

    def _with_derived_values(self, deal: Deal, requested: Json, at: str) -> Json:
        """Return the requested changes and derived ones: a stage's pipeline, an outcome's times."""
        changes: Json = {}
        for name, new in requested.items():
            if name == "stage_id" and new != deal.stage_id:
                changes["pipeline_id"] = self._stage(new).pipeline_id
                changes["stage_id"] = new
                changes["stage_change_time"] = at
            elif name == "status" and new != deal.status:
                changes.update(self._outcome(deal.status, new, at))
            elif name == "custom_fields":
                changes[name] = self.custom_values("deal", new)
            elif name in Deal.__struct_fields__:
                changes[name] = new
            else:
                msg = f"deals have no property {name!r}"
                raise EditError(msg)
        changes.setdefault("update_time", at)
        return changes

    def _deal(self, deal_id: int) -> Deal:
        deal = self.deals.get(deal_id)
        if deal is None:
            msg = f"no deal {deal_id}"
            raise EditError(msg)
        return deal

    def _open_to_edits(self, deal_id: int) -> Deal:
        deal = self._deal(deal_id)
        if deal.is_deleted or deal.is_archived:
            msg = f"deal {deal_id} is {'deleted' if deal.is_deleted else 'archived'}: not editable"
            raise EditError(msg)
        return deal

    def _stage(self, stage_id: int) -> Any:
        stage = self.stages.get(stage_id)
        if stage is None:
            msg = f"no stage {stage_id}"
            raise EditError(msg)
        return stage

    def _outcome(self, old: str, new: str, at: str) -> Json:
        """Return the properties that a change of status sets: times and dates of the outcome."""
        changes: Json = {"status": new}
        if new == "deleted" or old == "deleted":
            return changes
        closed = None if new == "open" else at
        won, lost = closed if new == "won" else None, closed if new == "lost" else None
        day = self.local_day(at)
        changes |= {
            "won_time": won,
            "lost_time": lost,
            "close_time": closed,
            "local_won_date": won and day,
            "local_lost_date": lost and day,
            "local_close_date": closed and day,
        }
        if new != "lost":
            changes["lost_reason"] = None
        return changes

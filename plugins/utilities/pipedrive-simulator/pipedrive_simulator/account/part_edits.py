"""Edits of a deal's parts: followers, participants, discounts and files."""

from __future__ import annotations

import uuid

from pipedrive_simulator.account.deal_edits import DealEdits
from pipedrive_simulator.account.journal import mutation
from pipedrive_simulator.account.records import Discount, Follower
from pipedrive_simulator.account.records_exchange import File
from pipedrive_simulator.account.records_v1 import Participant
from pipedrive_simulator.account.state import EditError
from pipedrive_simulator.clock import naive


class PartEdits(DealEdits):
    """Participants and discounts count as an update of the deal; followers and files do not."""

    @mutation
    def follow_deal(self, deal_id: int, user_id: int, *, at: str = "") -> Follower:
        """Add a follower to a deal."""
        deal = self._deal(deal_id)
        if any(row.user_id == user_id for row in self.followers.group(deal.id)):
            msg = f"user {user_id} follows deal {deal_id} already"
            raise EditError(msg)
        row = Follower(
            id=self.next_id(self.followers), deal_id=deal_id, user_id=user_id, add_time=at
        )
        return self.followers.put(row)

    @mutation
    def unfollow_deal(self, deal_id: int, user_id: int, *, at: str = "") -> None:
        """Remove a follower from a deal, without a trace."""
        for row in self.followers.group(deal_id):
            if row.user_id == user_id:
                self.followers.drop(row)
                return
        msg = f"user {user_id} does not follow deal {deal_id}"
        raise EditError(msg)

    @mutation
    def add_participant(self, deal_id: int, person_id: int, *, at: str = "") -> Participant:
        """Add a further person to a deal."""
        deal = self._open_to_edits(deal_id)
        if self.persons.get(person_id) is None:
            msg = f"no person {person_id}"
            raise EditError(msg)
        known = {row.person_id for row in self.participants.group(deal_id)}
        if person_id in known | {deal.person_id}:
            msg = f"person {person_id} takes part in deal {deal_id} already"
            raise EditError(msg)
        # An odd id: contact persons of deals have even ones.
        row = Participant(
            id=self.next_id(self.participants) | 1, deal_id=deal_id, person_id=person_id,
            add_time=at, added_by_user_id=self.me().id,
        )  # fmt: skip
        self._change_deal(deal, {}, at=at)
        return self.participants.put(row)

    @mutation
    def remove_participant(self, participant_id: int, *, at: str = "") -> None:
        """Remove a further person from a deal, without a trace."""
        row = self.participants.get(participant_id)
        if row is None:
            msg = f"no participant {participant_id}"
            raise EditError(msg)
        self._change_deal(self._open_to_edits(row.deal_id), {}, at=at)
        self.participants.drop(row)

    @mutation
    def add_discount(
        self,
        deal_id: int,
        amount: float,
        type: str = "percentage",
        description: str = "",
        *,
        at: str = "",
    ) -> Discount:
        """Add a discount to a whole deal; the deal's value does not change."""
        deal = self._open_to_edits(deal_id)
        if type not in ("percentage", "amount"):
            msg = f"a discount is a percentage or an amount, not {type!r}"
            raise EditError(msg)
        name = f"{self.seed}/{deal_id}/discount/{len(self.discounts)}"
        me = self.me().id
        made = Discount(
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)), type=type, amount=amount,
            description=description, deal_id=deal_id, created_at=at, created_by=me, updated_at=at,
            updated_by=me,
        )  # fmt: skip
        self._change_deal(deal, {}, at=at)
        return self.discounts.put(made)

    @mutation
    def attach_file(self, deal_id: int, name: str, *, at: str = "", size: int = 1000) -> File:
        """Attach a file (only its description) to a deal."""
        self._deal(deal_id)
        file = File(
            id=self.next_id(self.files), user_id=self.me().id, deal_id=deal_id, add_time=naive(at),
            update_time=naive(at), file_name=name, file_type=name.rpartition(".")[2],
            file_size=size, name=name,
        )  # fmt: skip
        return self.files.put(file)

    @mutation
    def delete_file(self, file_id: int, *, at: str = "") -> File:
        """Delete a file: no list returns it any more."""
        file = self.files.get(file_id)
        if file is None:
            msg = f"no file {file_id}"
            raise EditError(msg)
        self.files.change(file, {"active_flag": False, "update_time": naive(at)})
        return file

"""Simulates some hours of work in an existing account, generated or loaded from CSV (`advance`).

Exactly the requested number of deals changes, each by one event; activities are additional. All
events are within the requested hours, so that afterwards they are in the account's past.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from pipedrive_simulator.account.records import Deal
from pipedrive_simulator.account.state import EditError
from pipedrive_simulator.clock import SECONDS_PER_DAY, day_text, to_text
from pipedrive_simulator.generator.process import lost_reason
from pipedrive_simulator.generator.values import ValueMaker

if TYPE_CHECKING:
    from pipedrive_simulator.account.account import Account

# Kinds of events and their weights. Each kind needs deals of a certain status.
_MIX = {
    "moved": 36, "lost": 12, "won": 8, "created": 12, "value_changed": 10, "field_changed": 9,
    "close_date_moved": 5, "reopened": 3, "archived": 2, "deleted": 2, "owner_changed": 1,
}  # fmt: skip
_OF_CLOSED = ("reopened", "archived")


def advance(account: Account, *, deals: int, hours: float, start: int) -> dict[str, Any]:
    """Change exactly `deals` deals between `start` and `hours` later; return ids by kind."""
    rng = Random(f"{account.seed}/advance/{account.mutation_count}")
    worker = _Worker(account, rng, deals)
    span = int(hours * 3600)
    if deals < 0 or span < 0:
        msg = "deals and hours must not be negative"
        raise EditError(msg)
    if deals and not (worker.stages and worker.users):
        # Refused before the first change: a later refusal would leave some deals changed.
        msg = f"the account has no {'active user' if worker.stages else 'stage'} for its deals"
        raise EditError(msg)
    seconds = sorted(start + min(1 + int(rng.random() * span), span) for _ in range(deals))
    ids: dict[str, list[int]] = {kind: [] for kind in _MIX}
    for second in seconds:
        kind, deal_id = worker.one(to_text(second))
        ids[kind].append(deal_id)
    done, added = worker.activities([to_text(second) for second in seconds])
    return {
        "from": to_text(start),
        "to": to_text(start + span),
        "deals": deals,
        "deal_ids": {kind: sorted(found) for kind, found in ids.items() if found},
        "activities_done": done,
        "activities_added": added,
    }


class _Worker:
    """Chooses deals that this advance has not changed yet, and changes them."""

    def __init__(self, account: Account, rng: Random, count: int) -> None:
        self.account, self.rng = account, rng
        self.maker = ValueMaker(account, rng)
        editable = [
            deal
            for deal in account.deals.candidates(rng, count)
            if not (deal.is_deleted or deal.is_archived)
        ]
        self.open = [d for d in editable if d.status == "open"]
        self.closed = [d for d in editable if d.status in ("won", "lost")]
        for pool in (self.open, self.closed):
            rng.shuffle(pool)
        self.users = [u.id for u in account.users.records.values() if u.active_flag]
        self.stages: dict[int, list[int]] = {}
        for stage in sorted(account.stages.records.values(), key=lambda s: s.order_nr):
            if not stage.is_deleted:
                self.stages.setdefault(stage.pipeline_id, []).append(stage.id)

    def one(self, at: str) -> tuple[str, int]:
        kind = self.rng.choices(list(_MIX), list(_MIX.values()))[0]
        if kind == "created":
            return kind, self._create(at).id
        pool = self.closed if kind in _OF_CLOSED else self.open
        if not pool:
            # A small account may have too few deals to change; then a new deal is created.
            return "created", self._create(at).id
        deal = pool.pop()
        return getattr(self, f"_{kind}")(deal, at), deal.id

    def activities(self, instants: list[str]) -> tuple[int, int]:
        """Finish some open activities and plan new ones, about one per changed deal."""
        account, rng = self.account, self.rng
        waiting = [a for a in account.activities.records.values() if not (a.done or a.is_deleted)]
        rng.shuffle(waiting)
        done = added = 0
        for at in instants:
            if waiting and rng.random() < 0.5:
                account.update_activity(waiting.pop().id, done=True, at=at)
                done += 1
            if self.open and rng.random() < 0.7:
                deal = rng.choice(self.open)
                account.create_activity(
                    f"Retomar: {deal.title}"[:120], type=rng.choice(("call", "task", "meeting")),
                    deal_id=deal.id, owner_id=deal.owner_id, creator_user_id=deal.owner_id,
                    person_id=deal.person_id, org_id=deal.org_id, at=at,
                    due_date=at[:10],
                )  # fmt: skip
                added += 1
        return done, added

    def _create(self, at: str) -> Deal:
        account, rng = self.account, self.rng
        pipeline = rng.choice(list(self.stages))
        org = rng.choice(list(account.organizations.records.values()) or [None])
        number = account.next_id(account.deals)
        return account.create_deal(
            f"{org.name if org else 'Cliente novo'} - novo negócio", at=at, deal_id=number,
            stage_id=self.stages[pipeline][0], owner_id=rng.choice(self.users),
            value=float(rng.randrange(10, 900) * 50), org_id=org and org.id,
            currency=account.base_currency,
        )  # fmt: skip

    def _moved(self, deal: Deal, at: str) -> str:
        stages = self.stages.get(deal.pipeline_id) or [deal.stage_id]
        here = stages.index(deal.stage_id) if deal.stage_id in stages else 0
        if here + 1 < len(stages) and (here == 0 or self.rng.random() < 0.88):
            target = stages[here + 1]
        elif here > 0:
            target = stages[here - 1]
        else:
            # The pipeline has only one stage: the deal moves to another one, or stays there.
            others = [s[0] for p, s in self.stages.items() if p != deal.pipeline_id]
            if not others:
                return self._value_changed(deal, at)
            target = self.rng.choice(others)
        self.account.move_deal(deal.id, target, at=at)
        return "moved"

    def _lost(self, deal: Deal, at: str) -> str:
        self.account.lose_deal(deal.id, lost_reason(self.rng), at=at)
        return "lost"

    def _won(self, deal: Deal, at: str) -> str:
        self.account.win_deal(deal.id, at=at)
        return "won"

    def _reopened(self, deal: Deal, at: str) -> str:
        self.account.reopen_deal(deal.id, at=at)
        return "reopened"

    def _archived(self, deal: Deal, at: str) -> str:
        self.account.archive_deal(deal.id, at=at)
        return "archived"

    def _deleted(self, deal: Deal, at: str) -> str:
        self.account.delete_deal(deal.id, at=at)
        return "deleted"

    def _value_changed(self, deal: Deal, at: str) -> str:
        value = round((deal.value or 5000) * self.rng.uniform(0.7, 1.3) + 1, 2)
        self.account.update_deal(deal.id, value=value, at=at)
        return "value_changed"

    def _close_date_moved(self, deal: Deal, at: str) -> str:
        day = self.account.clock.seconds() // SECONDS_PER_DAY + self.rng.randrange(7, 90)
        self.account.update_deal(deal.id, expected_close_date=day_text(day), at=at)
        return "close_date_moved"

    def _owner_changed(self, deal: Deal, at: str) -> str:
        others = [u for u in self.users if u != deal.owner_id] or self.users
        self.account.update_deal(deal.id, owner_id=self.rng.choice(others), at=at)
        return "owner_changed"

    def _field_changed(self, deal: Deal, at: str) -> str:
        fields = self.account.fields["deal"].custom
        known = deal.custom_fields.values
        for field in self.rng.sample(fields, len(fields)):
            if field.options == []:
                continue
            value = self.maker.make(field, self.account.clock.seconds())
            if value is not None and value != known.get(field.code):
                self.account.update_deal(deal.id, custom_fields={field.code: value}, at=at)
                return "field_changed"
        return self._value_changed(deal, at)

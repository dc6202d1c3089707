"""Up to a million deals without storing them: each is computed from its id at each request.

For load tests and first full syncs of big accounts. Deals have plausible values and a short
history, but no re-entries, no product lines and no activities. Memory does not grow with the number
of deals. Edited deals are stored, so `advance` works here, too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from heapq import merge
from itertools import pairwise
from random import Random
from typing import Any

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.changelog import Change, Changelog
from pipedrive_simulator.account.records import CustomFields, Deal
from pipedrive_simulator.account.state import DealState
from pipedrive_simulator.account.table import Marker, PageQuery, Table
from pipedrive_simulator.clock import SECONDS_PER_DAY, day_text, to_text
from pipedrive_simulator.generator.field_plans import DEAL_FIELDS
from pipedrive_simulator.generator.generate import HISTORY_DAYS
from pipedrive_simulator.generator.reference_data import PIPELINES, USERS, add_reference_data
from pipedrive_simulator.generator.values import ValueMaker

# Number of deals that share one second of update time; every n-th deal is archived.
_PER_SECOND = 3
_ARCHIVED_EVERY = 50
# Custom field values repeat after this number of deals.
_PALETTE = 512
_DAYS_BEFORE_UPDATE = 30


class DealMaker:
    """Computes deal `n` of an account, the same each time."""

    def __init__(self, account: Account, count: int) -> None:
        self.count = count
        now = account.clock.seconds()
        self.start = now - HISTORY_DAYS * SECONDS_PER_DAY
        span = now - 60 - self.start
        self.step = max(span // (count // _PER_SECOND + 1), 1)
        self.limit = now - 60
        rng = Random(f"{account.seed}/endless")
        maker = ValueMaker(account, rng)
        fields = account.fields["deal"].custom
        fills = list(zip(fields, (plan.fill for plan in DEAL_FIELDS), strict=True))
        self.palette = [maker.fill(fills, now) for _ in range(_PALETTE)]

    def updated(self, number: int) -> int:
        """Return the update time of deal `number`; it never decreases with the number."""
        return min(self.start + number // _PER_SECOND * self.step, self.limit)

    def states(self, number: int) -> list[DealState]:
        """Return the stages and outcomes of the deal, evenly spread over its 30 days."""
        mixed = number * 2654435761 % 2**32
        pipeline = mixed % len(PIPELINES)
        before = sum(len(plan.stages) for plan in PIPELINES[:pipeline])
        moves = mixed // 7 % len(PIPELINES[pipeline].stages)
        status = ("open", "won", "won", "won", "lost", "lost", "lost", "lost", "lost")[mixed % 9]
        end = self.updated(number)
        begin = end - _DAYS_BEFORE_UPDATE * SECONDS_PER_DAY
        steps = moves + (status != "open")
        states = []
        for step in range(steps + 1):
            closing = step > moves
            at = to_text(begin if not steps else begin + (end - begin) * step // steps)
            stage = before + min(step, moves) + 1
            states.append(DealState(at, stage, pipeline + 1, status if closing else "open"))
        return states

    def deal(self, number: int) -> Deal:
        """Return deal `number`."""
        states = self.states(number)
        last, mixed = states[-1], number * 40503 % 65536
        moved = [s.time for a, s in pairwise(states) if a[1] != s[1]]
        won = last.time if last.status == "won" else None
        lost = last.time if last.status == "lost" else None
        closed = won or lost
        archived = number % _ARCHIVED_EVERY == 0
        updated = to_text(self.updated(number))
        return Deal(
            id=number, title=f"Negócio {number}", creator_user_id=mixed % USERS + 1,
            owner_id=mixed % USERS + 1, value=float(mixed % 4000 * 25),
            person_id=mixed % 2000 + 1, org_id=mixed % 1000 + 1, stage_id=last.stage_id,
            pipeline_id=last.pipeline_id, archive_time=updated if archived else None,
            add_time=states[0].time, update_time=updated,
            stage_change_time=moved[-1] if moved else None, status=last.status,
            is_archived=archived, lost_reason="Preço" if lost else None, close_time=closed,
            won_time=won, lost_time=lost, local_won_date=won and won[:10],
            local_lost_date=lost and lost[:10], local_close_date=closed and closed[:10],
            expected_close_date=day_text(self.updated(number) // SECONDS_PER_DAY + 20),
            custom_fields=CustomFields(self.palette[number % _PALETTE]),
        )  # fmt: skip


class EndlessDeals(Table[Deal]):
    """A table of computed deals; stored deals (edited or new) replace or extend them.

    The three sort fields increase with the id, so a page of computed deals is a range of ids.
    """

    def __init__(self, account: Account, maker: DealMaker) -> None:
        super().__init__(
            "deals", lists=account.deals._lists, field_keys=account.fields["deal"].keys
        )
        self.maker = maker

    def __len__(self) -> int:
        return self.last_id()

    def last_id(self) -> int:
        """Return the highest id in use."""
        return max(self.maker.count, max(self.records, default=0))

    def get(self, record_id: Any) -> Deal | None:
        """Return the stored deal, or the computed one."""
        stored = self.records.get(record_id)
        if stored is None and isinstance(record_id, int) and 1 <= record_id <= self.maker.count:
            return self.maker.deal(record_id)
        return stored

    def all_records(self) -> Iterator[Deal]:
        """Yield every deal, one at a time."""
        for number in range(1, self.last_id() + 1):
            deal = self.get(number)
            if deal is not None:
                yield deal

    def candidates(self, rng: Random, count: int) -> list[Deal]:
        """Return some deals at random."""
        wanted = min(20 * count + 100, self.maker.count)
        numbers = sorted(rng.sample(range(1, self.maker.count + 1), wanted))
        return [deal for deal in map(self.get, numbers) if deal is not None]

    def change(self, record: Deal, values: dict[str, Any]) -> None:
        """Change the deal and store it."""
        if record.id not in self.records:
            self.put(record)
        super().change(record, values)

    def encode(self, record: Deal) -> bytes:
        """Return the deal as JSON, without a cache."""
        return self._encoder.encode(record)

    def read_page(self, query: PageQuery) -> tuple[list[Deal], Marker | None]:
        """Merge a range of computed deals with the stored ones."""
        stored, _ = super().read_page(query._replace(limit=query.limit + 1))
        field = query.sort_by

        def key(deal: Deal) -> Marker:
            return (getattr(deal, field) or "", deal.id)

        page: list[Deal] = []
        for deal in merge(self._made(query, key), stored, key=key, reverse=query.descending):
            if len(page) == query.limit:
                return page, key(deal)
            page.append(deal)
        return page, None

    def _made(self, query: PageQuery, key: Any) -> Iterator[Deal]:
        maker, records = self.maker, self.records
        numbers = range(1, maker.count + 1)
        first, last = 0, len(numbers)
        if query.since is not None:
            first = bisect_left(numbers, query.since, key=lambda n: to_text(maker.updated(n)))
        if query.until is not None:
            last = bisect_left(numbers, query.until, key=lambda n: to_text(maker.updated(n)))
        if query.marker is not None:
            here = bisect_left(numbers, query.marker, key=lambda n: key(maker.deal(n)))
            if not query.descending:
                first = max(first, here)
            else:
                at_marker = here < len(numbers) and key(maker.deal(numbers[here])) == query.marker
                last = min(last, here + at_marker)
        chosen = numbers[first:last]
        archived = query.list_name == "archived"
        for number in reversed(chosen) if query.descending else chosen:
            if (number % _ARCHIVED_EVERY == 0) is archived and number not in records:
                deal = maker.deal(number)
                if query.keep is None or query.keep(deal):
                    yield deal


class EndlessStates(dict[int, list[DealState]]):
    """States of stored deals; those of computed deals are computed at each access."""

    def __init__(self, maker: DealMaker) -> None:
        super().__init__()
        self._maker = maker

    def __missing__(self, number: int) -> list[DealState]:
        # Readers get a new list each time; an edit stores the longer list itself.
        return self._maker.states(number)


class EndlessChangelog(Changelog):
    """History: rows derived from the states of computed deals, then rows of real edits."""

    def __init__(self, maker: DealMaker) -> None:
        super().__init__()
        self._maker = maker

    def rows(self, record_id: int) -> list[Change]:
        """Rows of one deal, oldest first."""
        if record_id > self._maker.count:
            return super().rows(record_id)
        return [*self._derived(record_id), *super().rows(record_id)]

    def _derived(self, number: int) -> Iterator[Change]:
        states = self._maker.states(number)
        row = -(len(states) + 1)
        for before, after in pairwise(states):
            for name in ("stage_id", "status"):
                old, new = getattr(before, name), getattr(after, name)
                if old != new:
                    # Lower numbers than those of real changes, which are newer.
                    row += 1
                    yield Change(row, after.time, name, str(old), str(new), 1, "app", False)


def make_endless(account: Account, deals: int) -> None:
    """Fill an empty account with contacts and definitions, and add computed deals."""
    account.mutation_depth += 1
    start = account.clock.seconds() - (HISTORY_DAYS + 60) * SECONDS_PER_DAY
    add_reference_data(account, Random(account.seed), companies=1000, people=2000, start=start)
    maker = DealMaker(account, deals)
    account.deals = EndlessDeals(account, maker)
    account.deal_states = EndlessStates(maker)
    account.logs["deal"] = EndlessChangelog(maker)
    account.mutation_depth -= 1

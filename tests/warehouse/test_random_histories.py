"""Stage history against a reference: random logs replayed in plain Python, all deals in one build.

What the warehouse gets to see of a deal's life is, by turns, all of it; the changelog up to some
moment and the deal's own row after it; or the row alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
from conftest import NewWarehouse
from warehouse_helpers import Warehouse

SEED = int(os.environ.get("PIPEBOARD_TEST_SEED", "20261124"))
DEALS = 900
PIPELINE_OF = {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 11: 2, 12: 2, 13: 2}
NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOW = datetime(2026, 9, 1, tzinfo=timezone.utc)
State = tuple[int | None, str]


@dataclass
class Change:
    at: datetime
    key: str
    old: str
    new: str


@dataclass
class Life:
    """A deal, its changes, and the part of them that is loaded into the warehouse."""

    number: int
    added: datetime
    view: str
    born_in: int
    changes: list[Change] = field(default_factory=list)
    stage: int = 0
    status: str = "open"
    stage_changed: datetime | None = None
    closed: datetime | None = None
    read_until: datetime | None = None

    def happen(self, at: datetime, key: str, old: Any, new: Any) -> None:
        self.changes.append(Change(at, key, str(old), str(new)))


def live(number: int, rng: Random) -> Life:
    """Let a deal live: moves, skips, pipelines, closing, reopening, deletion, twice in a second."""
    at = NEW_YEAR + timedelta(seconds=rng.randrange(90 * 86_400))
    stage = rng.choice(list(PIPELINE_OF))
    deal = Life(number, at, rng.choice(("all", "all", "behind", "row")), stage, stage=stage)
    for _ in range(rng.choice((0, 0, 1, 2, 3, 5, 8))):
        if rng.random() > 0.15:
            at += timedelta(seconds=rng.randrange(60, 12 * 86_400))
        if deal.status == "open" and rng.random() < 0.7:
            new = rng.choice([s for s in PIPELINE_OF if s != deal.stage])
            deal.happen(at, "stage_id", deal.stage, new)
            if PIPELINE_OF[new] != PIPELINE_OF[deal.stage]:
                deal.happen(at, "pipeline_id", PIPELINE_OF[deal.stage], PIPELINE_OF[new])
            deal.stage, deal.stage_changed = new, at
        elif deal.status == "open":
            new_status = rng.choice(("won", "lost"))
            deal.happen(at, "status", deal.status, new_status)
            deal.status, deal.closed = new_status, at
        else:
            deal.happen(at, "status", deal.status, "open")
            deal.status, deal.closed = "open", None
    if deal.view == "all" and rng.random() < 0.1:
        at += timedelta(days=1)
        deal.happen(at, "status", deal.status, "deleted")
        deal.status = "deleted"
    if deal.view == "behind":
        deal.read_until = fall_behind(deal, at, rng)
    return deal


def fall_behind(deal: Life, at: datetime, rng: Random) -> datetime:
    """Read the log up to now; then, unread, one move or one closing that only the row tells of."""
    until = at + timedelta(hours=1)
    later = until + timedelta(days=rng.randrange(1, 9))
    if deal.status == "open" and rng.random() < 0.5:
        deal.status, deal.closed = "won", later
    elif deal.status == "open":
        deal.stage = rng.choice([s for s in PIPELINE_OF if s != deal.stage])
        deal.stage_changed = later
    return until


def reference(deal: Life) -> Iterator[tuple[State, datetime, datetime | None]]:
    """Yield the stays of a deal, as far as the loaded data can show them."""
    changes = [] if deal.view == "row" else deal.changes
    # A first stage is what the first change replaced: unknown if the only move was not read.
    moved_unread = (
        deal.stage_changed is not None
        and not any(c.key == "stage_id" for c in changes)
        and deal.stage_changed > deal.added
    )
    first_stage = None if moved_unread else deal.born_in
    moments: dict[datetime, dict[str, Any]] = {
        deal.added: {"stage_id": first_stage, "status": "open"}
    }
    for change in changes:
        if change.key in ("stage_id", "status"):
            value = int(change.new) if change.key == "stage_id" else change.new
            moments.setdefault(change.at, {})[change.key] = value
    known = {"stage_id": first_stage, "status": "open"}
    for change in changes:
        known[change.key] = int(change.new) if change.key == "stage_id" else change.new
    if known["stage_id"] != deal.stage and deal.stage_changed is not None:
        moments.setdefault(deal.stage_changed, {})["stage_id"] = deal.stage
    if known["status"] != deal.status and deal.closed is not None:
        moments.setdefault(deal.closed, {})["status"] = deal.status
    states: list[tuple[State, datetime]] = []
    stage, status = first_stage, "open"
    for at in sorted(moments):
        stage = moments[at].get("stage_id", stage)
        status = moments[at].get("status", status)
        if not states or states[-1][0] != (stage, status):
            states.append(((stage, status), at))
    ends = [at for _, at in states[1:]]
    for (state, begin), end in zip(states, [*ends, None], strict=True):
        if not (end is None and state[1] == "deleted"):
            yield state, begin, end


def load(warehouse: Warehouse, lives: list[Life]) -> None:
    stages = [(s, f"Stage {s}", p, s) for s, p in PIPELINE_OF.items()]
    warehouse.raw(
        "stages", {"id": "bigint", "name": "text", "pipeline_id": "bigint", "order_nr": "bigint"},
        stages,
    )  # fmt: skip
    warehouse.raw("pipelines", {"id": "bigint", "name": "text"}, [(1, "One"), (2, "Two")])
    warehouse.raw(
        "deals",
        {
            "id": "bigint", "stage_id": "bigint", "pipeline_id": "bigint", "status": "text",
            "is_deleted": "boolean", "add_time": "timestamptz", "update_time": "timestamptz",
            "stage_change_time": "timestamptz", "won_time": "timestamptz",
            "lost_time": "timestamptz", "close_time": "timestamptz",
        },
        (
            (
                d.number, d.stage, PIPELINE_OF[d.stage], d.status, d.status == "deleted", d.added,
                last_touched(d), d.stage_changed, d.closed if d.status == "won" else None,
                d.closed if d.status == "lost" else None, d.closed,
            )
            for d in lives
        ),
    )  # fmt: skip
    warehouse.raw(
        "deal_changelog",
        {
            "id": "text", "deal_id": "bigint", "field_key": "text", "old_value": "text",
            "new_value": "text", "time": "timestamptz", "second_seq": "bigint",
        },
        (
            (f"{d.number}-{n}", d.number, c.key, c.old, c.new, c.at, n)
            for d in lives
            if d.view != "row"
            for n, c in enumerate(d.changes)
        ),
    )  # fmt: skip
    warehouse.raw(
        "deal_changelog_sync",
        {
            "deal_id": "bigint", "synced_through": "timestamptz", "pages": "bigint",
            "complete": "boolean",
        },
        ((d.number, d.read_until or NOW, 1, True) for d in lives if d.view != "row"),
    )  # fmt: skip


def last_touched(deal: Life) -> datetime:
    times = [deal.added, *(c.at for c in deal.changes), deal.stage_changed, deal.closed]
    return max(t for t in times if t is not None)


@pytest.fixture(scope="module")
def lives() -> list[Life]:
    print(f"PIPEBOARD_TEST_SEED={SEED}")
    rng = Random(SEED)
    return [live(number, rng) for number in range(1, DEALS + 1)]


@pytest.fixture(scope="module")
def warehouse(new_warehouse: NewWarehouse, lives: list[Life]) -> Warehouse:
    warehouse: Warehouse = new_warehouse("histories")
    load(warehouse, lives)
    warehouse.build("run", "--select", "+fct_deal_stage_history", "+fct_deal_stage_reached")
    return warehouse


def test_stays_equal_those_of_the_reference(warehouse: Warehouse, lives: list[Life]) -> None:
    found: dict[int, list[Any]] = {}
    for deal, stage, status, begin, end in warehouse.rows(
        "select deal_id, stage_id, status, valid_from, valid_to "
        "from marts.fct_deal_stage_history order by deal_id, seq"
    ):
        found.setdefault(deal, []).append(((stage, status), begin, end))
    wrong = {
        d.number: (d.view, found.get(d.number), list(reference(d)))
        for d in lives
        if found.get(d.number, []) != list(reference(d))
    }
    assert not wrong, f"{len(wrong)} deals, among them {next(iter(wrong.items()))}"


def test_the_examples_have_every_history_quality(warehouse: Warehouse) -> None:
    qualities = dict(
        warehouse.rows(
            "select history_quality, count(distinct deal_id) "
            "from marts.fct_deal_stage_history group by history_quality"
        )
    )
    assert min(qualities.get(q, 0) for q in ("exact", "exact_then_current", "current_only")) > 30


def test_reached_stages_equal_those_of_the_reference(
    warehouse: Warehouse, lives: list[Life]
) -> None:
    found = {
        (deal, stage): (entered, float(seconds))
        for deal, stage, entered, seconds in warehouse.rows(
            "select deal_id, stage_id, first_entered_at, total_open_s "
            "from marts.fct_deal_stage_reached where entered_directly"
        )
    }
    expected: dict[tuple[int, int], tuple[datetime, float]] = {}
    for deal in lives:
        for (stage, status), begin, end in reference(deal):
            if stage is not None:
                first, seconds = expected.get((deal.number, stage), (begin, 0.0))
                if status == "open" and end is not None:
                    seconds += (end - begin).total_seconds()
                expected[deal.number, stage] = (first, seconds)
    assert found == expected

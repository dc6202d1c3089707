"""Stays of deals in stages: those the account knows of, and those of the marts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from warehouse_helpers import Warehouse

#: Stage, status, begin and end.
Stay = tuple[int, str, datetime, datetime | None]


def known_stays(
    deals: Iterable[Mapping[str, Any]],
    intervals: Iterable[Mapping[str, Any]],
    statuses: Collection[str],
) -> dict[int, list[Stay]]:
    """Return what the account itself knows, without what lasted no second.

    Args:
        deals: the account's deals.
        intervals: its `stage_intervals`, in order.
        statuses: only stays with one of these.

    """
    began = {d["id"]: instant(d["add_time"]) for d in deals}
    stays: dict[int, list[Stay]] = {}
    for interval in intervals:
        begin, end = instant(interval["valid_from"]), instant(interval["valid_to"])
        known = stays.setdefault(interval["deal_id"], [])
        # A creation date set anew is where the deal begins, however long it has been there.
        begin = max(begin, began[interval["deal_id"]]) if known else began[interval["deal_id"]]
        if begin == end or (end is not None and end <= begin):
            continue
        state = (interval["stage_id"], interval["status"])
        if known and known[-1][:2] == state and known[-1][3] == begin:
            # what lasted no second lay between two stays of one kind
            known[-1] = (*state, known[-1][2], end)
        else:
            known.append((*state, begin, end))
    return {deal: [stay for stay in known if stay[1] in statuses] for deal, known in stays.items()}


def found_stays(warehouse: Warehouse, statuses: Collection[str]) -> dict[int, list[Stay]]:
    """Return what the marts have, by deal; a deal without such stays has an empty list."""
    found: dict[int, list[Stay]] = {}
    for deal, *stay in warehouse.rows(
        "select deal_id, stage_id, status, valid_from, valid_to "
        "from marts.fct_deal_stage_history order by deal_id, seq"
    ):
        known = found.setdefault(deal, [])
        if stay[1] in statuses:
            known.append((stay[0], stay[1], stay[2], stay[3]))
    return found


def instant(text: str | None) -> datetime | None:
    """Return a time of the account as one that can be compared."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None

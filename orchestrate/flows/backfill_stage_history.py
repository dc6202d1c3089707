"""At night, for as many nights as it takes: the change logs that were never read."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from supervised import supervise


@flow(name="backfill_stage_history_flow", timeout_seconds=73200)
def backfill_stage_history_flow(
    max_deals: int | None = None, updated_since: str | None = None
) -> State[Any]:
    """Read missing stage histories, most valuable deals first: `pipeboard backfill --history`.

    Ends as "Behind" when its share of the day's tokens is spent, and goes on the next time.

    Args:
        max_deals: at most so many deals in this run.
        updated_since: only deals updated since this day, such as 2025-01-01.

    """
    arguments = ["backfill", "--history", "--yes"]
    if max_deals is not None:
        arguments += ["--max-deals", str(max_deals)]
    if updated_since:
        arguments += ["--from", updated_since]
    return supervise("backfill-stage-history", arguments)

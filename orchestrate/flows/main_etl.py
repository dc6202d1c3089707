"""Every half hour: sync the changes in Pipedrive and build the marts."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from supervised import in_demo, supervise


@flow(name="main_etl_flow", timeout_seconds=5400)
def main_etl_flow(full_refresh: bool = False) -> State[Any]:
    """Sync what changed and build the marts: `pipeboard run sync`.

    Args:
        full_refresh: read everything again, from the first record on. Costs tokens.

    """
    if in_demo() and not full_refresh:
        # The simulated account changes only if it is advanced before a sync.
        return supervise("main-etl", ["demo"])
    return supervise("main-etl", ["run", "sync", *(["--full-refresh"] if full_refresh else [])])

"""Syncs beside the main one: short lists and deletions once a day, people on demand."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from supervised import supervise


@flow(name="reference_flow", timeout_seconds=6000)
def reference_flow() -> State[Any]:
    """Read users, stages, fields and the like whole: `pipeboard run reference`."""
    return supervise("reference", ["run", "reference"])


@flow(name="sweep_flow", timeout_seconds=16800)
def sweep_flow() -> State[Any]:
    """Find records that were deleted at the source, and mark them: `pipeboard run sweep`."""
    return supervise("sweep", ["run", "sweep"])


@flow(name="people_flow", timeout_seconds=6000)
def people_flow() -> State[Any]:
    """Read persons and organizations alone, after an import say: `pipeboard run people`.

    The main flow brings them every half hour anyway; this one has a bookmark of its own.
    """
    return supervise("people", ["run", "people"])

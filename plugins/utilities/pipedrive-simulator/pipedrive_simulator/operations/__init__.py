"""All operations of the simulator: one declaration each, one file per family.

To add an operation, declare it in its family's `OPERATIONS`; the server needs nothing else.
"""

from __future__ import annotations

from pipedrive_simulator.operations import (
    activities,
    catalog,
    contacts,
    deal_parts,
    deals,
    definitions,
    exchange,
    goals,
    history,
    leads,
    mail,
    movements,
    people,
    projects,
    settings,
    totals,
)
from pipedrive_simulator.operations.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *deals.OPERATIONS,
    *deal_parts.OPERATIONS,
    *contacts.OPERATIONS,
    *activities.OPERATIONS,
    *catalog.OPERATIONS,
    *definitions.OPERATIONS,
    *history.OPERATIONS,
    *leads.OPERATIONS,
    *exchange.OPERATIONS,
    *mail.OPERATIONS,
    *projects.OPERATIONS,
    *settings.OPERATIONS,
    *people.OPERATIONS,
    *totals.OPERATIONS,
    *movements.OPERATIONS,
    *goals.OPERATIONS,
)

# Removed v1 paths, by their first part, except the named ones.
REMOVED_V1 = ("activities", "deals", "itemSearch", "organizations", "persons", "pipelines",
              "products", "stages")  # fmt: skip

"""Facts of Pipedrive's official OpenAPI documents: names, types, parameters, token costs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FACTS_FILE = Path(__file__).with_name("facts.json")

#: Operations whose ``data`` is one object instead of a list.
_ONE_OBJECT = frozenset(
    {
        "v1 /deals/summary",
        "v1 /goals/find",
        "v1 /goals/{id}/results",
        "v1 /pipelines/{id}/conversion_statistics",
        "v1 /pipelines/{id}/movement_statistics",
    }
)
#: Lists without pages that are never empty.
_NEVER_EMPTY = frozenset(
    {
        "v1 /activityTypes",
        "v1 /currencies",
        "v1 /leadSources",
        "v1 /noteFields",
        "v1 /permissionSets",
        "v1 /users",
    }
)


@dataclass(frozen=True)
class Operation:
    """One GET operation.

    ``key`` is ``"v2 /deals"``; ``cost`` is in API tokens per call, whatever the page size;
    ``parameters`` maps each query parameter to its allowed values (empty: anything);
    ``record`` maps each top-level property of one record to its JSON type.
    """

    key: str
    cost: int
    parameters: dict[str, list[str]]
    record: dict[str, str]

    @property
    def path(self) -> str:
        """Path below the base URL, ``/api/v2/deals``; may hold ``{id}``."""
        version, path = self.key.split(" ", 1)
        return f"/api/{version}{path}"

    @property
    def answers_one_object(self) -> bool:
        """Whether ``data`` is one object instead of a list."""
        return self.key in _ONE_OBJECT

    @property
    def may_be_empty(self) -> bool:
        """Whether a list without pages may be empty."""
        return self.key.startswith("v1 ") and self.key not in _NEVER_EMPTY

    @property
    def pages_by_cursor(self) -> bool:
        """Whether the operation returns a cursor (v2, and a few of v1)."""
        return "cursor" in self.parameters

    @property
    def pages_by_offset(self) -> bool:
        """Whether the operation counts records with ``start`` (v1)."""
        return "start" in self.parameters


@cache
def operation(key: str) -> Operation:
    """Look up an operation by key.

    Raises:
        KeyError: ``facts.json`` lacks the operation; ``python -m tap_pipedrive.generate`` adds it.

    """
    facts = _facts()[key]
    return Operation(key, facts["cost"], facts["parameters"], facts["record"])


def forget_facts() -> None:
    """Read ``facts.json`` again when the next operation is looked up."""
    operation.cache_clear()
    _facts.cache_clear()


@cache
def _facts() -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = json.loads(FACTS_FILE.read_text(encoding="utf-8"))
    return facts

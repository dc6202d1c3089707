"""Finds the operation of a path. v2 is under `/api/v2` only, v1 under `/api/v1` and `/v1`."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipedrive_simulator.operations import OPERATIONS, REMOVED_V1
from pipedrive_simulator.operations.operation import Operation

_PREFIXES = (("/api/v2/", "v2"), ("/api/v1/", "v1"), ("/v1/", "v1"))


class Route(NamedTuple):
    """An operation and the parameters in its path; None for a v1 path that was removed."""

    operation: Operation | None
    path: dict[str, str]


class Router:
    """Looks operations up: fixed paths in a dictionary, templates by pattern."""

    def __init__(self) -> None:
        self._fixed: dict[tuple[str, str], Route] = {}
        self._templates: list[tuple[str, re.Pattern[str], Operation]] = []
        for operation in OPERATIONS:
            if "{" in operation.path:
                pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.path)
                self._templates.append((operation.version, re.compile(pattern), operation))
            else:
                self._fixed[operation.version, operation.path] = Route(operation, {})

    def find(self, path: str) -> Route | None:
        """Return the route of a path; None if the API never had such a path."""
        for prefix, version in _PREFIXES:
            if path.startswith(prefix):
                return self._find(version, path[len(prefix) - 1 :])
        return None

    def _find(self, version: str, path: str) -> Route | None:
        route = self._fixed.get((version, path))
        if route is not None:
            return route
        for known, pattern, operation in self._templates:
            if known == version and (match := pattern.fullmatch(path)):
                return Route(operation, match.groupdict())
        if version == "v1" and path.split("/")[1] in REMOVED_V1:
            return Route(None, {})
        return None

"""A small client of the control routes, for the command line and tests; standard library only."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode


class ControlCallError(RuntimeError):
    """The simulator refused a control call, or does not run."""


class ControlClient:
    """Calls `/_control/` routes of a running simulator."""

    def __init__(self, url: str, *, timeout: float = 300.0) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        # Loopback only: a proxy from the environment must not be used.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, route: str, body: Any = None, **query: Any) -> Any:
        """Call a route and return its JSON."""
        with self._open(method, route, body, query) as answer:
            return json.load(answer)

    def truth(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the account's records of an entity, read past the API, one at a time."""
        with self._open("GET", f"truth/{name}", None, {}) as answer:
            for line in answer:
                yield json.loads(line)

    def _open(self, method: str, route: str, body: Any, query: dict[str, Any]) -> Any:
        address = f"{self.url}/_control/{route}" + (f"?{urlencode(query)}" if query else "")
        request = urllib.request.Request(
            address,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            return self._opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            with error:
                msg = f"{method} {address}: {error.code} {error.read().decode('utf-8', 'replace')}"
            raise ControlCallError(msg) from None
        except urllib.error.URLError as error:
            msg = f"no simulator at {self.url}: {error.reason}; run `pipedrive-simulator serve`"
            raise ControlCallError(msg) from None

"""Helpers of the tests: accounts, and calls without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pipedrive_simulator.generator.simulated_account import SimulatedAccount
from pipedrive_simulator.opening import Plan, open_account
from pipedrive_simulator.server.api import Api, ApiSettings
from pipedrive_simulator.server.limits import Limits
from pipedrive_simulator.server.reply import Reply

TINY_CSV = Path(__file__).parent / "tiny_csv"
NOW = "2026-06-15T12:00:00Z"


@dataclass
class Caller:
    """Calls an API in this process, with its token."""

    api: Api

    @property
    def account(self) -> SimulatedAccount:
        return self.api.account

    def reply(self, path: str, **query: Any) -> Reply:
        headers = {b"x-api-token": b"demo-token"}
        return self.api.answer("GET", path, urlencode(query, doseq=True), headers)

    def get(self, path: str, **query: Any) -> Any:
        reply = self.reply(path, **query)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def walk(self, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
        """Yield the pages of a v2 list."""
        cursor = None
        while True:
            body = self.get(path, **query, **({} if cursor is None else {"cursor": cursor}))
            yield body["data"]
            cursor = body["additional_data"]["next_cursor"]
            if cursor is None:
                return

    def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        return [record for page in self.walk(path, **query) for record in page]


def make_account(**values: Any) -> SimulatedAccount:
    return open_account(Plan(**{"deals": 60, "now": NOW, "frozen": True} | values))


def make_caller(account: SimulatedAccount, limits: Limits | None = None, **settings: Any) -> Caller:
    return Caller(Api(account, ApiSettings(**settings), limits or Limits()))

"""Helpers of the tests: this checkout with local state of its own, and queries of Prometheus."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from contract import ROOT

COMMANDS = ROOT / ".pipeboard" / "bin"
PERSONAL = ("PIPEDRIVE_", "PIPEBOARD_", "MELTANO_", "DBT_", "TAP_", "TARGET_", "PG", "REDIS_")
T = TypeVar("T")
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def until(what: str, look: Callable[[], T], seconds: float = 60) -> T:
    """Wait until `look` returns a true value, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    message = f"{what}: not within {seconds} s"
    raise AssertionError(message)


@dataclass(frozen=True)
class Machine:
    """This checkout as a person uses it, with local state and settings of its own."""

    state: Path
    given: Mapping[str, str] = field(default_factory=dict)

    def environ(self, **more: str) -> dict[str, str]:
        clean = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(PERSONAL) or k == "PIPEBOARD_POSTGRES_BIN"
        }
        # Empty variables override a developer's own .env.
        hidden = ("PIPEDRIVE_API_TOKEN", "PIPEDRIVE_API_URL", "PIPEDRIVE_COMPANY_DOMAIN")
        hidden += ("PIPEBOARD_DATABASE_URL", "REDIS_URL", "PUSHGATEWAY_URL")
        return {
            **clean,
            **dict.fromkeys(hidden, ""),
            "PIPEBOARD_STATE_DIR": str(self.state),
            **self.given,
            **more,
        }

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `pipeboard`; `stdout` has the output of both streams."""
        return subprocess.run(
            [str(COMMANDS / "pipeboard"), *arguments],
            cwd=ROOT,
            env=self.environ(**environ),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )


def answers(url: str) -> bool:
    """Return whether a page answers with status 200."""
    try:
        with _direct.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with _direct.open(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return what a query answers now: a list of series.

        Raises:
            AssertionError: Prometheus refuses the query.

        """
        try:
            found = self.ask("query", query=promql)
        except urllib.error.HTTPError as error:
            message = f"{promql}: {error.read().decode()}"
            raise AssertionError(message) from error
        assert found["resultType"] == "vector", promql
        return list(found["result"])

    def value(self, promql: str) -> float | None:
        """Return the value of the only series of a query, None if there is none."""
        found = self.query(promql)
        assert len(found) <= 1, f"{promql}: {len(found)} series"
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self.ask("alerts")["alerts"]
        return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}


def processes(state: Path) -> dict[int, str]:
    """Return the processes that use this local state: {number: command line}.

    The embedded PostgreSQL is not included, because it gets none of these variables; nor is Redis,
    which overwrites its command line.
    """
    mark = f"PIPEBOARD_STATE_DIR={state}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command_line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(state) in command_line or mark in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = command_line
        except OSError:  # it ended meanwhile
            continue
    return found

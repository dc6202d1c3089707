"""Carries the calls of the tap to the simulated API in the same process."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from pipedrive_simulator.server.api import Api
from pipedrive_simulator.server.reply import Reply
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from tap_pipedrive.api.deadline import DeadlineAdapter

#: The address of the simulated API; nothing listens there.
URL = "http://pipedrive.invalid"


class Killed(BaseException):
    """The process is gone: what it does afterwards does not count."""


class EndlessError(BaseException):
    """A run that makes more calls than any run needs."""


class Transport:
    """Answers calls, counts them, and interferes where the story says so.

    Attributes:
        calls: how many were made in this run.
        before_call: called with the number of each call, from 1, before it is answered.
        elsewhere: where calls go instead, over the real network; None for the simulated API.
        before_path: called with the path of each call, before it is answered.
        damage: called with the path of each call and its reply, which it may change.

    """

    def __init__(self, api: Api, sleep: Callable[[float], None], most_calls: int) -> None:
        self.api, self.sleep, self.most_calls = api, sleep, most_calls
        self.calls = 0
        self.before_call: Callable[[int], None] = lambda _: None
        self.before_path: Callable[[str], None] = lambda _: None
        self.elsewhere: str | None = None
        self.damage: Callable[[str, Reply], None] = lambda *_: None

    def adapter(self) -> BaseAdapter:
        """Return what a session of requests sends its calls with."""
        return _Adapter(self)

    def count(self, request: requests.PreparedRequest) -> None:
        """Count a call, and do what the story does at it.

        Raises:
            EndlessError: there were too many calls.

        """
        self.calls += 1
        if self.calls > self.most_calls:
            msg = f"more than {self.most_calls} calls in one run"
            raise EndlessError(msg)
        self.before_call(self.calls)
        self.before_path(urlsplit(request.url or "").path)

    def answer(self, request: requests.PreparedRequest, timeout: float) -> Reply:
        """Answer one call.

        Raises:
            requests.RequestException: the fault of this call is one of the connection.

        """
        parts = urlsplit(request.url or "")
        headers = {
            name.lower().encode(): str(value).encode() for name, value in request.headers.items()
        }
        reply = self.api.answer(request.method or "GET", parts.path, parts.query, headers)
        self.damage(parts.path, reply)
        if reply.manner == "reset":
            msg = "connection reset by peer"
            raise requests.exceptions.ChunkedEncodingError(msg)
        if reply.manner == "hang":
            self.sleep(timeout)
            msg = "read timed out"
            raise requests.ReadTimeout(msg)
        if reply.manner == "slow":
            self.sleep(reply.seconds)
        return reply


class _Adapter(BaseAdapter):
    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport, self._real = transport, DeadlineAdapter()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        self._transport.count(request)
        if self._transport.elsewhere is not None:
            moved = request.copy()
            moved.url = f"{self._transport.elsewhere}/"
            return self._real.send(moved, stream, timeout, verify, cert, proxies)
        seconds = timeout[1] if isinstance(timeout, tuple) else timeout or 60.0
        reply = self._transport.answer(request, seconds)
        headers = {k: v for k, v in reply.headers.items() if v is not None}
        response = requests.Response()
        response.status_code, response.url, response.request = (
            reply.status, request.url or "", request,
        )  # fmt: skip
        response.headers.update(headers)
        response.raw = HTTPResponse(
            io.BytesIO(reply.body), headers, reply.status, preload_content=False
        )
        return response

    def close(self) -> None:
        """Nothing is open."""

"""A time limit for a whole response, headers and body.

The timeout of a socket starts again with each byte. Therefore the connection of a request is noted
when its response begins, and one thread shuts the connections whose time is over; the thread that
reads from such a connection sees its end at once.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tap_pipedrive import threads

_current = threading.local()


class Deadline:
    """The deadline of one request."""

    def __init__(self, seconds: float) -> None:
        """Start the clock."""
        self.ends_at = time.monotonic() + seconds
        self.is_over = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def note(self, connection: socket.socket) -> None:
        """Set the connection of the response."""
        with self._lock:
            self._socket = connection
        if self.is_over:
            self.end()

    def end(self) -> None:
        """Shut the connection."""
        self.is_over = True
        with self._lock, contextlib.suppress(OSError):
            if self._socket is not None:
                # Not SSLSocket's own method: it would remove the TLS layer while another thread
                # reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def release(self) -> None:
        """Forget the connection: it may be used for another request."""
        with self._lock:
            self._socket = None


class Deadlines:
    """Ends requests whose time is over, in a thread that runs while there are requests."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._waiting: set[Deadline] = set()
        self._changed = threading.Condition()
        self._thread: threads.Thread | None = None
        #: When the thread looks at the requests again.
        self._looks_at = math.inf

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[Deadline]:
        """Limit the request that this thread sends inside the block."""
        deadline = Deadline(seconds)
        _current.deadline = deadline
        with self._changed:
            self._waiting.add(deadline)
            if deadline.ends_at < self._looks_at:
                self._changed.notify_all()
            if self._thread is None:
                self._thread = threads.Thread(self._watch)
                self._thread.start()
        try:
            yield deadline
        finally:
            _current.deadline = None
            deadline.release()
            with self._changed:
                self._waiting.discard(deadline)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._waiting.clear()
            self._thread = None
            self._changed.notify_all()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._thread is not threading.current_thread():
                    return
                if not self._waiting:
                    self._looks_at = math.inf
                    self._changed.wait()
                    continue
                now = time.monotonic()
                over = [d for d in self._waiting if d.ends_at <= now]
                self._waiting.difference_update(over)
                if not over:
                    # Not later than in a second, also if no request waits by then: waking the
                    # thread for each request costs more than that.
                    self._looks_at = min(now + 1.0, *(d.ends_at for d in self._waiting))
                    self._changed.wait(self._looks_at - now)
            for deadline in over:
                deadline.end()


class _Noted:
    """A connection that passes its socket to the deadline of the current thread.

    Each of its requests is sent inside :meth:`Deadlines.within`.
    """

    sock: Any

    def getresponse(self) -> Any:
        deadline: Deadline = _current.deadline
        deadline.note(self.sock)
        return super().getresponse()  # type: ignore[misc]


class _Connection(_Noted, HTTPConnection):
    pass


class _SecureConnection(_Noted, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class DeadlineAdapter(HTTPAdapter):
    """Connects as requests does, with connections that have a deadline."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use these connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Use these connections behind a proxy, too."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

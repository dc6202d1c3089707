"""Limits shared by all processes of a company, in Redis (or Valkey)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import redis

from tap_pipedrive.api.limits.store import StoreUnavailableError
from tap_pipedrive.errors import ConfigurationError

#: A rolling window as a sorted set of grants, by the server's own clock, in one atomic step.
_RESERVE = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local window = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[1]) then
  local n = redis.call('INCR', KEYS[2])
  redis.call('ZADD', KEYS[1], now, n)
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000) + 1000)
  redis.call('PEXPIRE', KEYS[2], 86400000)
  return 0
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return math.max(1000, oldest[2] + window - now)
"""
_LEDGER_SECONDS = 3 * 86400
P = ParamSpec("P")
T = TypeVar("T")


def _checked(call: Callable[P, T]) -> Callable[P, T]:
    """Turn the client's errors, also those about an unexpected reply, into one of the store."""

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except redis.RedisError as error:
            raise StoreUnavailableError(type(error).__name__) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            msg = f"{type(error).__name__}: another value than the stored one"
            raise StoreUnavailableError(msg) from error

    return checked


class RedisStore:
    """The store of an account in Redis; every key starts with ``pipeboard:{account}:``.

    Every method raises :class:`StoreUnavailableError` when Redis cannot be reached, or when it
    returns something that this class has not stored.
    """

    def __init__(self, url: str, account: str) -> None:
        """Prepare a connection; none is made yet.

        Raises:
            ConfigurationError: the URL is malformed.

        """
        try:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=2, socket_connect_timeout=2, health_check_interval=30
            )
        except ValueError as error:  # its message may quote a password
            msg = "redis_url (REDIS_URL) has a part that the Redis client cannot read"
            raise ConfigurationError(msg) from error
        self._prefix = f"pipeboard:{account}:"
        self._reserve = self._redis.register_script(_RESERVE)

    @_checked
    def reserve(self, limit: int, window: float) -> float:
        """See :meth:`LimitStore.reserve`."""
        keys = [f"{self._prefix}burst", f"{self._prefix}grants"]
        microseconds = self._reserve(keys=keys, args=[limit, int(window * 1e6)])
        # A clock that jumped, or values of others, must not stall a run.
        return min(window, float(microseconds) / 1e6)

    @_checked
    def add_tokens(self, day: str, tokens: int) -> int:
        """See :meth:`LimitStore.add_tokens`."""
        with self._redis.pipeline() as both:
            self._add_tokens(both, day, tokens)
            return int(both.execute()[0])

    def _add_tokens(self, commands: Any, day: str, tokens: int) -> None:
        key = f"{self._prefix}tokens:{day}"
        commands.incrby(key, tokens)
        commands.expire(key, _LEDGER_SECONDS)

    @_checked
    def book(self, day: str, tokens: int) -> tuple[float, str]:
        """See :meth:`LimitStore.book`."""
        with self._redis.pipeline() as all_four:
            self._read_circuit(all_four)
            self._add_tokens(all_four, day, tokens)
            value, left, *_ = all_four.execute()
        return _circuit(value, left)

    @_checked
    def tokens(self, day: str) -> int:
        """See :meth:`LimitStore.tokens`."""
        return int(self._redis.get(f"{self._prefix}tokens:{day}") or 0)

    @_checked
    def open_circuit(self, seconds: float, why: str) -> None:
        """See :meth:`LimitStore.open_circuit`."""
        self._redis.set(f"{self._prefix}circuit", why, px=max(1, int(seconds * 1000)))

    @_checked
    def circuit(self) -> tuple[float, str]:
        """See :meth:`LimitStore.circuit`."""
        with self._redis.pipeline() as both:
            self._read_circuit(both)
            return _circuit(*both.execute())

    def _read_circuit(self, commands: Any) -> None:
        key = f"{self._prefix}circuit"
        commands.get(key)
        commands.pttl(key)

    @_checked
    def remember(self, key: str, value: bytes, seconds: float) -> None:
        """See :meth:`LimitStore.remember`."""
        self._redis.set(f"{self._prefix}cache:{key}", value, px=max(1, int(seconds * 1000)))

    @_checked
    def recall(self, key: str) -> bytes | None:
        """See :meth:`LimitStore.recall`."""
        return _bytes(self._redis.get(f"{self._prefix}cache:{key}"))

    @_checked
    def forget(self, key: str) -> None:
        """See :meth:`LimitStore.forget`."""
        self._redis.delete(f"{self._prefix}cache:{key}")


def _circuit(value: Any, left: int) -> tuple[float, str]:
    why = _bytes(value)
    is_open = why is not None and left > 0
    return (left / 1000 if is_open else 0.0), (why or b"").decode(errors="replace")


def _bytes(answer: Any) -> bytes | None:
    """Read a stored value; it is text if the URL says ``decode_responses``."""
    if isinstance(answer, str):
        return answer.encode()
    if answer is None or isinstance(answer, bytes):
        return answer
    msg = f"{type(answer).__name__} instead of a value"
    raise TypeError(msg)

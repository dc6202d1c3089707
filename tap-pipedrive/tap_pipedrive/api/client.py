"""The API client: send a request with authentication, classify the response, read a page.

One client serves the whole tap and all its threads: one burst window, one count of calls and
tokens, one view of the source's clock.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import backoff
import requests
from requests.auth import AuthBase
from structlog.contextvars import bind_contextvars, bound_contextvars
from urllib3.exceptions import LocationParseError

from tap_pipedrive import errors, termination
from tap_pipedrive.addresses import without_password
from tap_pipedrive.api.auth import OAuth
from tap_pipedrive.api.deadline import DeadlineAdapter, Deadlines
from tap_pipedrive.api.limits.governor import Governor, header_number
from tap_pipedrive.api.limits.store import LocalStore
from tap_pipedrive.api.openapi import Operation, operation
from tap_pipedrive.api.records import PageReader
from tap_pipedrive.api.responses import Page, classify, page_of
from tap_pipedrive.api.usage import ApiCalls, Usage

#: No page of 500 records is this large; a larger body is no response of this API.
MAX_BODY_BYTES = 64 * 1024 * 1024
#: A whole response may take this many times the timeout for a part of it.
RESPONSE_TIMEOUTS = 5
MAX_TRIES = 8
MAX_WAIT_SECONDS = 60.0
#: Responses 429 in a row, of any operation, after which no more calls are made.
MOST_LIMITED_IN_A_ROW = 16
#: How long the circuit stays open after Cloudflare's lock-out, and after an outage.
LOCKED_OUT_SECONDS = 600.0
OUTAGE_SECONDS = 30.0

#: Years that are accepted in a ``Date`` header, far from the limits of time arithmetic.
_CREDIBLE_YEARS = range(2000, 3000)

#: Operations that show for few tokens whether the API works.
_CHEAPEST_LISTS = ("v2 /pipelines", "v2 /stages")

_PASSING_FAULTS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


def _waits() -> Generator[float, errors.RetriableError | None, None]:
    """Exponential backoff with jitter in seconds, never below the server's own wait."""
    error = yield 0.0
    ceiling = 0.5
    while True:
        at_least = error.wait if error is not None else 0.0
        error = yield max(at_least, random.uniform(ceiling / 2, ceiling))
        ceiling = min(MAX_WAIT_SECONDS, 2 * ceiling)


def _time_of(date: str | None) -> datetime:
    """Return the time of a ``Date`` header; without a credible one, of this machine's clock."""
    known = _parsed_date(date) if date else None
    return known or datetime.now(timezone.utc).replace(microsecond=0)


@lru_cache(maxsize=16)
def _parsed_date(date: str) -> datetime | None:
    """Parse a ``Date`` header; one response is asked for its time again and again."""
    with contextlib.suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(date)
        if moment.year in _CREDIBLE_YEARS:
            return moment.astimezone(timezone.utc)
    return None


class _Session(requests.Session):
    """A session that does not look at redirects.

    Even without following them, ``requests`` parses their target, and raises if it is malformed.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return none; ``classify`` handles redirects."""
        del resp
        return None


class PipedriveClient:
    """A Pipedrive account behind a base URL."""

    def __init__(
        self,
        base_url: str,
        auth: AuthBase,
        governor: Governor | None = None,
        *,
        timeout: float = 60.0,
        user_agent: str = "tap-pipedrive",
        logger: logging.Logger | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            base_url: ``https://{company}.pipedrive.com`` or the URL that replaces it.
            auth: how requests are authenticated.
            governor: admits calls; by default one of this process, without a budget.
            timeout: seconds to wait for the server to send anything.
            user_agent: the header of that name.
            logger: reports retries and waits.

        """
        self.base_url = base_url.rstrip("/")
        self._auth = auth
        self._timeout = timeout
        self._logger = logger or logging.getLogger("tap-pipedrive")
        self._headers = {"User-Agent": user_agent, "Accept": "application/json"}
        self._mine = threading.local()  # sessions of requests are not safe to share between threads
        self._sessions: list[requests.Session] = []
        self._deadlines = Deadlines()
        self.governor = governor or Governor(LocalStore())
        self._last_date: str | None = None
        self._lock = threading.Lock()
        self.usage: defaultdict[str, Usage] = defaultdict(Usage)
        self.api = ApiCalls()
        #: When an operation last succeeded (this machine's monotonic clock), by its key.
        self._worked_at: dict[str, float] = {}
        self._limited_in_a_row = 0

    # -- the source's clock ------------------------------------------------------------------

    @property
    def source_now(self) -> datetime:
        """The source's time at its latest response (its ``Date`` header), in whole seconds UTC.

        Never later than the source's current time, so it is a safe watermark for the next request.
        For a server that sends no date it is this machine's clock.
        """
        return _time_of(self._last_date)

    @property
    def source_day(self) -> str:
        """The source's date, ``YYYY-MM-DD``: the day of the token ledger."""
        return self.source_now.date().isoformat()

    # -- connections -------------------------------------------------------------------------

    @property
    def _session(self) -> requests.Session:
        """The connections of the current thread."""
        session: requests.Session | None = getattr(self._mine, "session", None)
        if session is None:
            session = self._mine.session = _Session()
            session.headers.update(self._headers)
            for scheme in ("https://", "http://"):
                session.mount(scheme, DeadlineAdapter())
            with self._lock:
                self._sessions.append(session)
        return session

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()
        self._deadlines.close()

    # -- one request -------------------------------------------------------------------------

    def get(
        self,
        operation: Operation,
        *,
        stream: str,
        path: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        reader: PageReader | None = None,
    ) -> Page:
        """Read one page; retry after a temporary fault.

        Args:
            operation: which operation to call.
            stream: the stream on which calls and tokens are booked.
            path: values for the placeholders of the operation's path.
            query: query parameters; ``None`` values are left out.
            reader: reads pages that fit their schema faster.

        Raises:
            NotPermittedError: 401, 402, 403, 415.
            NotFoundError: 404, 410.
            BudgetSpentError: the company's daily tokens are used up.
            OperationFailingError: this operation still fails after the last retry, others work.
            SourceUnavailableError: everything still fails after the last retry.
            UnexpectedAnswerError: 400, and any other response outside the contract.

        """
        url = self.base_url + operation.path.format(**(path or {}))
        parameters = {k: v for k, v in (query or {}).items() if v is not None}
        where = f"GET {operation.path}"

        def note_retry(details: Any) -> None:
            with self._lock:
                self.usage[stream].retries += 1
                self.api.retries[operation.key, details["exception"].reason] += 1
            bind_contextvars(attempt=details["tries"] + 1)
            self._logger.warning(
                "%s: attempt %d failed (%s); trying again in %.1f s",
                stream,
                details["tries"],
                details["exception"],
                details["wait"],
            )

        @backoff.on_exception(
            _waits,
            errors.RetriableError,
            max_tries=MAX_TRIES,
            jitter=None,
            on_backoff=note_retry,
            logger=None,
        )
        def attempt() -> Page:
            page = ask()
            # A fault writes null, too. A second call tells them apart; for the lists that are read
            # for each record, whose id is in the path or the query, that would be too many calls.
            return ask() if page.is_null and not (path or parameters) else page

        def ask() -> Page:
            response, body = self._attempt(url, parameters, operation, stream)
            if response.status_code == 429:
                self._check_for_spent_tokens(response, operation, stream)
            classify(response, body, where)
            page = page_of(body, where, operation, reader)
            with self._lock:
                self._worked_at[operation.key] = time.monotonic()
            return replace(page, answered_at=_time_of(response.headers.get("Date")))

        begun = time.monotonic()
        try:
            with (
                bound_contextvars(stream=stream, endpoint=operation.key, attempt=1),
                termination.at_once(),
            ):
                return attempt()
        except errors.LockedOutError as error:
            self.governor.trip(LOCKED_OUT_SECONDS, str(error))
            raise
        except errors.HollowAnswerError as error:
            # Pipedrive responds, so the circuit stays closed for other operations.
            self._give_up(operation, error)
            raise
        except errors.RetriableError as error:
            self._give_up(operation, error)
            if self._others_work(operation, begun, stream):
                msg = f"{error} ({MAX_TRIES} attempts, while other operations work)"
                failing = errors.OperationFailingError(msg)
                failing.operation = operation.key
                raise failing from error
            # Every retry failed: pause all calls, for the source and for the tokens.
            self.governor.trip(OUTAGE_SECONDS, str(error))
            raise
        except errors.TapError as error:
            self._give_up(operation, error)
            raise

    def _give_up(self, operation: Operation, error: errors.TapError) -> None:
        error.operation = operation.key
        with self._lock:
            self.api.errors[operation.key, error.reason] += 1

    def _others_work(self, failing: Operation, since: float, stream: str) -> bool:
        """Whether other operations work while one keeps failing; call one of them if unknown."""
        with self._lock:
            if any(at >= since for key, at in self._worked_at.items() if key != failing.key):
                return True
        probe = operation(next(key for key in _CHEAPEST_LISTS if key != failing.key))
        url = self.base_url + probe.path
        where = f"GET {probe.path}"
        try:
            with termination.at_once():
                classify(*self._attempt(url, {"limit": 1}, probe, stream), where)
        except errors.TapError as error:
            # A refusal is a response, too.
            return not isinstance(error, errors.SourceUnavailableError)
        with self._lock:
            self._worked_at[probe.key] = time.monotonic()
        return True

    def _check_for_spent_tokens(
        self, response: requests.Response, operation: Operation, stream: str
    ) -> None:
        """Decide from the known tokens whether a 429 that names no limit is the daily one.

        Raises:
            BudgetSpentError: the day's tokens are used up.
            SourceUnavailableError: all responses are 429, without a known reason.

        """
        left = header_number(response.headers.get("x-daily-ratelimit-token-remaining"))
        is_burst = response.headers.get("x-ratelimit-remaining") == "0"
        has_tokens_left = left is not None and left >= operation.cost
        is_spent = left is not None and left < operation.cost
        if not (is_burst or has_tokens_left) and self.governor.is_spent(self.source_day):
            self.governor.note_spent(self.source_day)
            is_spent = True
        if is_spent:
            msg = (
                f"GET {operation.path}: the company's API tokens of today are used up (429); they "
                "come back at midnight"
            )
            raise errors.BudgetSpentError(msg)
        too_many = self._limited_in_a_row >= MOST_LIMITED_IN_A_ROW
        if too_many and not self._others_work(operation, time.monotonic(), stream):
            msg = (
                f"{MOST_LIMITED_IN_A_ROW} calls in a row were answered 429 without a header about "
                "the daily tokens. If these are used up, set daily_tokens "
                "(PIPEDRIVE_DAILY_TOKENS), so that the tap can count them"
            )
            self.governor.trip(OUTAGE_SECONDS, msg)
            raise errors.SourceUnavailableError(msg)

    def _attempt(
        self,
        url: str,
        query: Mapping[str, Any],
        operation: Operation,
        stream: str,
        *,
        renewed: bool = False,
    ) -> tuple[requests.Response, bytes]:
        """Send one request; return the response and its body."""
        termination.check()
        day = self.source_day
        with termination.later():
            self.governor.admit(operation.cost, day)
        with self._lock:
            usage = self.usage[stream]
            usage.calls += 1
            usage.tokens += operation.cost
        where = f"GET {operation.path}"
        begun = time.monotonic()
        time_limit = RESPONSE_TIMEOUTS * self._timeout
        with self._deadlines.within(time_limit) as deadline:
            try:
                response, body = self._exchange(url, query, operation, day)
            except (errors.RetriableError, errors.ConfigurationError) as error:
                if deadline.is_over:
                    msg = f"{where}: the answer came too slowly ({time_limit:.0f} s)"
                    raise errors.RetriableError(msg, reason="slow") from error
                raise
            if deadline.is_over:  # a body without a length ends like a complete one
                msg = f"{where}: the answer came too slowly ({time_limit:.0f} s)"
                raise errors.RetriableError(msg, reason="slow")
        with self._lock:
            self.api.answered(operation.key, response.status_code, time.monotonic() - begun)
            limited = response.status_code == 429
            self._limited_in_a_row = self._limited_in_a_row + 1 if limited else 0
        if response.status_code == 401 and isinstance(self._auth, OAuth) and not renewed:
            self._auth.expire()
            return self._attempt(url, query, operation, stream, renewed=True)
        return response, body

    def _exchange(
        self, url: str, query: Mapping[str, Any], operation: Operation, day: str
    ) -> tuple[requests.Response, bytes]:
        where = f"GET {operation.path}"
        try:
            # Redirects are refused: they would send the token to another host.
            with self._session.get(
                url,
                params=dict(query),
                auth=self._auth,
                timeout=(min(10.0, self._timeout), self._timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                with termination.later():
                    self._observe(response)
                    if self.source_day != day:  # after the first response, and after midnight
                        self.governor.rebook(operation.cost, day, self.source_day)
                return response, self._read_body(response, where)
        except requests.exceptions.SSLError as error:
            msg = f"{where}: TLS of {urlsplit(url).hostname} could not be verified: {error}"
            raise errors.ConfigurationError(msg) from error
        except (requests.exceptions.InvalidURL, LocationParseError) as error:
            msg = (
                f"{without_password(self.base_url)} is not a usable address: check company_domain "
                "and api_url"
            )
            raise errors.ConfigurationError(msg) from error
        except _PASSING_FAULTS as error:
            host = urlsplit(url).netloc.rpartition("@")[2]
            msg = f"{where}: {type(error).__name__} while talking to {host}"
            raise errors.RetriableError(msg, reason="connection") from error

    def _observe(self, response: requests.Response) -> None:
        self._last_date = response.headers.get("Date", self._last_date)
        self.governor.observe(response.headers)

    def _read_body(self, response: requests.Response, where: str) -> bytes:
        """Read the whole body, limited in bytes after decompression."""
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(1 << 20):
            size += len(chunk)
            chunks.append(chunk)
            if size > MAX_BODY_BYTES:
                msg = f"{where}: the answer is larger than {MAX_BODY_BYTES >> 20} MiB"
                raise errors.UnexpectedAnswerError(msg)
        return b"".join(chunks)

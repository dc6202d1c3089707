"""What every stream shares: send a request, prove who we are, classify the answer, read a page.

One client serves the whole tap and all its threads: one burst window, one count of calls and
tokens, one idea of the source's clock.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import backoff
import requests
from requests.auth import AuthBase
from structlog.contextvars import bind_contextvars, bound_contextvars

from tap_pipedrive import errors
from tap_pipedrive.answers import Page, classify, page_of
from tap_pipedrive.auth import OAuth
from tap_pipedrive.deadline import DeadlineAdapter, Deadlines
from tap_pipedrive.governor.governor import Governor
from tap_pipedrive.governor.home import LocalHome
from tap_pipedrive.metrics import ApiCalls
from tap_pipedrive.openapi import Operation
from tap_pipedrive.records import PageReader

#: No page of 500 records comes near; whatever is larger is not an answer of this API.
MAX_BODY_BYTES = 64 * 1024 * 1024
#: An answer as a whole may take so many times as long as the wait for a part of it.
ANSWER_TIMEOUTS = 5
MAX_TRIES = 8
MAX_WAIT_SECONDS = 60.0
#: How long the circuit stays open after Cloudflare's lock-out, and after an outage.
LOCKED_OUT_SECONDS = 600.0
OUTAGE_SECONDS = 30.0

_PASSING_FAULTS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


@dataclass
class Usage:
    """What one stream cost so far: calls, API tokens, failed attempts among the calls."""

    calls: int = 0
    tokens: int = 0
    retries: int = 0


def _waits() -> Generator[float, errors.RetriableError | None, None]:
    """Exponential backoff with jitter, never below what the server asked for (seconds)."""
    error = yield 0.0
    for attempt in itertools.count():
        ceiling = min(MAX_WAIT_SECONDS, 0.5 * 2**attempt)
        asked = error.wait if error is not None else 0.0
        error = yield max(asked, random.uniform(ceiling / 2, ceiling))


def _time_of(date: str | None) -> datetime:
    """Read a ``Date`` header; without one, this machine's clock has to do."""
    if date:
        try:
            return parsedate_to_datetime(date).astimezone(timezone.utc)
        except ValueError:
            pass
    return datetime.now(timezone.utc).replace(microsecond=0)


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
        """Prepare a session; nothing is sent yet.

        Args:
            base_url: ``https://{company}.pipedrive.com`` or what stands in for it.
            auth: how requests are authenticated.
            governor: what admits calls; by default one of this process, without a budget.
            timeout: seconds to wait for the server to send anything.
            user_agent: the header of that name.
            logger: where retries and waits are reported.

        """
        self.base_url = base_url.rstrip("/")
        self._auth = auth
        self._timeout = timeout
        self._logger = logger or logging.getLogger("tap-pipedrive")
        self._headers = {"User-Agent": user_agent, "Accept": "application/json"}
        self._mine = threading.local()  # requests does not promise that threads may share a session
        self._sessions: list[requests.Session] = []
        self._deadlines = Deadlines()
        self.governor = governor or Governor(LocalHome())
        self._last_date: str | None = None
        self._lock = threading.Lock()
        self.usage: defaultdict[str, Usage] = defaultdict(Usage)
        self.api = ApiCalls()

    # -- the source's clock ------------------------------------------------------------------

    @property
    def source_now(self) -> datetime:
        """The source's time at its latest answer (its ``Date`` header), in whole seconds UTC.

        Never later than now at the source, which makes it a safe watermark for what is asked
        next. Falls back to this machine's clock for a server that sends no date.
        """
        return _time_of(self._last_date)

    @property
    def source_day(self) -> str:
        """The source's date, ``YYYY-MM-DD``: what the token ledger counts by."""
        return self.source_now.date().isoformat()

    # -- connections -------------------------------------------------------------------------

    @property
    def _session(self) -> requests.Session:
        """The connections of the thread that asks."""
        session: requests.Session | None = getattr(self._mine, "session", None)
        if session is None:
            session = self._mine.session = requests.Session()
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
        """Read one page, trying again while the fault is a passing one.

        Args:
            operation: which operation to call.
            stream: on whose behalf, for the count of calls and tokens.
            path: values for the placeholders of the operation's path.
            query: query parameters; ``None`` values are left out.
            reader: what reads pages that fit their schema faster.

        Raises:
            NotPermittedError: 401, 402, 403.
            NotFoundError: 404, 410.
            BudgetSpentError: the company's daily tokens are used up.
            SourceUnavailableError: still failing after the last retry.
            UnexpectedAnswerError: 400 and everything else outside the contract.

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
            response, body = self._attempt(url, parameters, operation, stream)
            classify(response, body, where)
            page = page_of(body, where, operation, reader)
            return replace(page, answered_at=_time_of(response.headers.get("Date")))

        try:
            with bound_contextvars(stream=stream, endpoint=operation.key, attempt=1):
                return attempt()
        except errors.LockedOutError as error:
            self.governor.trip(LOCKED_OUT_SECONDS, str(error))
            raise
        except errors.HollowAnswerError as error:
            # Pipedrive answers, so the circuit stays closed for other questions.
            self._give_up(operation, error)
            raise
        except errors.RetriableError as error:
            # Every retry failed: spare the source (and the tokens) for a moment.
            self.governor.trip(OUTAGE_SECONDS, str(error))
            self._give_up(operation, error)
            raise
        except errors.TapError as error:
            self._give_up(operation, error)
            raise

    def _give_up(self, operation: Operation, error: errors.TapError) -> None:
        with self._lock:
            self.api.errors[operation.key, error.reason] += 1

    def _attempt(
        self,
        url: str,
        query: Mapping[str, Any],
        operation: Operation,
        stream: str,
        *,
        renewed: bool = False,
    ) -> tuple[requests.Response, bytes]:
        """Send one request; return the answer and its body."""
        day = self.source_day
        self.governor.admit(operation.cost, day)
        with self._lock:
            usage = self.usage[stream]
            usage.calls += 1
            usage.tokens += operation.cost
        where = f"GET {operation.path}"
        begun = time.monotonic()
        patience = ANSWER_TIMEOUTS * self._timeout
        with self._deadlines.within(patience) as deadline:
            try:
                response, body = self._exchange(url, query, operation, day)
            except (errors.RetriableError, errors.ConfigurationError) as error:
                if deadline.is_over:
                    msg = f"{where}: the answer came too slowly ({patience:.0f} s)"
                    raise errors.RetriableError(msg, reason="slow") from error
                raise
            if deadline.is_over:  # an end without a length looks like any other
                msg = f"{where}: the answer came too slowly ({patience:.0f} s)"
                raise errors.RetriableError(msg, reason="slow")
        with self._lock:
            self.api.answered(operation.key, response.status_code, time.monotonic() - begun)
        if response.status_code == 401 and isinstance(self._auth, OAuth) and not renewed:
            self._auth.expire()
            return self._attempt(url, query, operation, stream, renewed=True)
        return response, body

    def _exchange(
        self, url: str, query: Mapping[str, Any], operation: Operation, day: str
    ) -> tuple[requests.Response, bytes]:
        where = f"GET {operation.path}"
        try:
            # Redirects are refused: they would carry the token to whoever is named there.
            with self._session.get(
                url,
                params=dict(query),
                auth=self._auth,
                timeout=(min(10.0, self._timeout), self._timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                self._observe(response)
                if self.source_day != day:  # the first answer tells the date; midnight changes it
                    self.governor.rebook(operation.cost, day, self.source_day)
                return response, self._read_body(response, where)
        except requests.exceptions.SSLError as error:
            msg = f"{where}: TLS of {urlsplit(url).hostname} could not be verified: {error}"
            raise errors.ConfigurationError(msg) from error
        except requests.exceptions.InvalidURL as error:
            msg = f"{self.base_url} is not a usable address: check company_domain and api_url"
            raise errors.ConfigurationError(msg) from error
        except _PASSING_FAULTS as error:
            msg = f"{where}: {type(error).__name__} while talking to {urlsplit(url).netloc}"
            raise errors.RetriableError(msg, reason="connection") from error

    def _observe(self, response: requests.Response) -> None:
        self._last_date = response.headers.get("Date", self._last_date)
        self.governor.observe(response.headers)

    def _read_body(self, response: requests.Response, where: str) -> bytes:
        """Read the body whole, bounded in bytes as they are after decompression."""
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(1 << 18):
            size += len(chunk)
            chunks.append(chunk)
            if size > MAX_BODY_BYTES:
                msg = f"{where}: the answer is larger than {MAX_BODY_BYTES >> 20} MiB"
                raise errors.UnexpectedAnswerError(msg)
        return b"".join(chunks)

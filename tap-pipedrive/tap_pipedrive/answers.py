"""What an answer means: a page, a passing fault, or a reason to stop, each told apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from tap_pipedrive import errors
from tap_pipedrive.records import PageReader

#: Words of a 402 that is about one feature, not about the company's account.
_MISSING_FEATURE = re.compile(r"feature|add-?on|upgrade", re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """One page: its records, and the ``additional_data`` that leads to the next one."""

    records: list[dict[str, Any]]
    additional: dict[str, Any] = field(default_factory=dict)
    #: The source's time of the answer (its ``Date`` header).
    answered_at: datetime | None = None


def classify(response: requests.Response, body: bytes, where: str) -> None:
    """Raise what an answer other than 2xx means; return for a good one.

    Statuses as Pipedrive documents them (API.md of the docs: 400 to 503), and as its gateway
    and Cloudflare send them.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    said = _error_text(body)
    if 300 <= status < 400:
        target = urlsplit(response.headers.get("Location", "")).netloc or "another address"
        msg = (
            f"{where} was redirected to {target}, which is refused so that the token stays with "
            "the host it is meant for: check company_domain and api_url"
        )
        raise errors.ConfigurationError(msg)
    if status == 429:
        _raise_too_many(response, where)
    if status == 401:
        msg = (
            f"{where}: Pipedrive does not accept the API token (401). Copy the current one from "
            "Personal preferences > API and set PIPEDRIVE_API_TOKEN"
        )
        raise errors.NotPermittedError(msg)
    if status == 402 and not _MISSING_FEATURE.search(said):
        msg = f"{where}: the company account is not open (402: trial over or payment due)"
        raise errors.NotPermittedError(msg)
    if status in (402, 415):  # a GET has no media type: 415 is how a missing feature is told
        msg = f"{where}: the company's plan or settings lack this feature ({status}: {said})"
        raise errors.ForbiddenError(msg)
    if status == 403:
        if _is_html(response, body):
            msg = (
                f"{where}: Cloudflare blocks this client (403 with an HTML page) because too many "
                "requests followed a 429. Wait some minutes before the next run"
            )
            raise errors.LockedOutError(msg)
        msg = (
            f"{where}: the token's user may not read this (403: {said}). Use an admin's token, or "
            "a plan that has it"
        )
        raise errors.ForbiddenError(msg)
    if status in (404, 410):
        msg = f"{where}: {status} {said}"
        raise errors.NotFoundError(msg)
    if status >= 500 or status == 408:
        raise errors.RetriableError(f"{where}: {status} {said}".rstrip())
    msg = f"{where}: {status} {said}"
    raise errors.UnexpectedAnswerError(msg)


def _raise_too_many(response: requests.Response, where: str) -> None:
    headers = response.headers
    if headers.get("x-daily-ratelimit-token-remaining") == "0":
        msg = (
            f"{where}: the company's API tokens of today are used up (429); they come back at "
            "midnight"
        )
        raise errors.BudgetSpentError(msg)
    waits = [headers.get("Retry-After", ""), headers.get("x-ratelimit-reset", "")]
    asked = max([2.0, *(float(w) for w in waits if w.replace(".", "", 1).isdigit())])
    msg = f"{where}: 429, the burst limit"
    raise errors.RetriableError(msg, wait=min(asked, 10.0), reason="burst_limit")


def _is_html(response: requests.Response, body: bytes) -> bool:
    return "html" in response.headers.get("Content-Type", "") or body.lstrip()[:1] == b"<"


def _error_text(body: bytes) -> str:
    """Take Pipedrive's own words from an error body; nothing of an HTML page or of records."""
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    words = answer.get("error") if isinstance(answer, dict) else None
    return str(words)[:200] if words else ""


def page_of(body: bytes, where: str, reader: PageReader | None = None) -> Page:
    """Read the page of a good answer: by ``reader`` if all of it fits, else as dictionaries.

    Raises:
        RetriableError: no JSON, ``null`` for a body, or no success: seen to pass by itself.
        UnexpectedAnswerError: ``data`` is not a list of records.

    """
    if reader is not None and (page := reader.read(body)):
        return Page(*page)
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        msg = f"{where}: 200 with broken JSON ({error})"
        raise errors.RetriableError(msg) from error
    if not isinstance(answer, dict):
        msg = f"{where}: 200 with {type(answer).__name__} for a body"
        raise errors.RetriableError(msg)
    if answer.get("success") is False:
        msg = f"{where}: 200 without success ({answer.get('error')})"
        raise errors.RetriableError(msg)
    data = answer.get("data")
    if data is None:
        data = []  # v1 says null for an empty list
    elif isinstance(data, dict):
        data = [data]
    if not isinstance(data, list) or not all(isinstance(r, dict) for r in data):
        msg = f"{where}: data is not a list of records"
        raise errors.UnexpectedAnswerError(msg)
    return Page(data, answer.get("additional_data") or {})

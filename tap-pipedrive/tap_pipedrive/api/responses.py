"""The meaning of a response: a page, a temporary fault, or a reason to stop."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from tap_pipedrive import errors
from tap_pipedrive.api.lenient_json import (
    DECODING_ERRORS,
    LenientRecord,
    NotJsonError,
    decode_body,
)
from tap_pipedrive.api.limits.governor import header_number
from tap_pipedrive.api.openapi import Operation
from tap_pipedrive.api.records import PageReader

#: Matches the text of a 402 that concerns one feature, not the company's account.
_MISSING_FEATURE = re.compile(r"feature|add-?on|upgrade", re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """One page: its records, and the ``additional_data`` that leads to the next one."""

    records: list[dict[str, Any]]
    additional: dict[str, Any] = field(default_factory=dict)
    #: The source's time of the response (its ``Date`` header).
    answered_at: datetime | None = None
    #: Elements of the list that are not records.
    unreadable: list[LenientRecord] = field(default_factory=list)
    #: Whether the list was ``null``, and nothing else in the response said that it is empty.
    is_null: bool = False


def classify(response: requests.Response, body: bytes, where: str) -> None:
    """Raise the error that a response means; return for 2xx.

    The statuses are those that Pipedrive documents (400 to 503), and those that its gateway and
    Cloudflare send.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    reason = _error_text(body)
    if 300 <= status < 400 and (location := response.headers.get("Location")):
        msg = (
            f"{where} was redirected to {_host_of(location)}, which is refused so that the token "
            "stays with the host it is meant for: check company_domain and api_url"
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
    if status == 402 and not _MISSING_FEATURE.search(reason):
        msg = f"{where}: the company account is not open (402: trial over or payment due)"
        raise errors.NotPermittedError(msg)
    if status in (402, 415):  # a GET has no media type: 415 means a missing feature
        msg = f"{where}: the company's plan or settings lack this feature ({status}: {reason})"
        raise errors.ForbiddenError(msg)
    if status == 403:
        if _is_html(response, body):
            msg = (
                f"{where}: Cloudflare blocks this client (403 with an HTML page) because too many "
                "requests followed a 429. Wait some minutes before the next run"
            )
            raise errors.LockedOutError(msg)
        msg = (
            f"{where}: the token's user may not read this (403: {reason}). Use an admin's token, "
            "or a plan that has it"
        )
        raise errors.ForbiddenError(msg)
    if status in (404, 410):
        msg = f"{where}: {status} {reason}"
        raise errors.NotFoundError(msg)
    if status >= 500 or status == 408:
        raise errors.RetriableError(f"{where}: {status} {reason}".rstrip())
    msg = f"{where}: {status} {reason}"
    raise errors.UnexpectedAnswerError(msg)


def _raise_too_many(response: requests.Response, where: str) -> None:
    headers = response.headers
    if headers.get("x-daily-ratelimit-token-remaining") == "0":
        msg = (
            f"{where}: the company's API tokens of today are used up (429); they come back at "
            "midnight"
        )
        raise errors.BudgetSpentError(msg)
    waits = map(header_number, [headers.get("Retry-After"), headers.get("x-ratelimit-reset")])
    wait = max([2.0, *(float(seconds) for seconds in waits if seconds is not None)])
    msg = f"{where}: 429, the burst limit"
    raise errors.RetriableError(msg, wait=min(wait, 10.0), reason="burst_limit")


def _host_of(location: str) -> str:
    try:
        return urlsplit(location).netloc or "another address"
    except ValueError:
        return "a malformed address"


def _is_html(response: requests.Response, body: bytes) -> bool:
    return "html" in response.headers.get("Content-Type", "") or body.lstrip()[:1] == b"<"


def _error_text(body: bytes) -> str:
    """Return Pipedrive's error text; nothing of an HTML page or of records."""
    try:
        answer = msgspec.json.decode(body)
    except DECODING_ERRORS:
        return ""
    reason = answer.get("error") if isinstance(answer, dict) else None
    return str(reason)[:200] if reason else ""


def page_of(
    body: bytes, where: str, operation: Operation, reader: PageReader | None = None
) -> Page:
    """Read the page of a good response: with ``reader`` if all records fit, else as dictionaries.

    Elements that are not records go into ``unreadable``.

    Raises:
        RetriableError: no JSON, ``null`` for a body, or no success; such faults are temporary.
        HollowAnswerError: no list where the operation returns a list, see :func:`_is_empty`.

    """
    body = body.removeprefix(codecs.BOM_UTF8)
    if reader is not None and (page := reader.read(body)):
        return Page(*page)
    found: list[LenientRecord] | None = None
    try:
        answer = msgspec.json.decode(body)
    except DECODING_ERRORS as error:
        try:
            lenient = decode_body(body)
        except NotJsonError as truncated:
            msg = f"{where}: 200 with broken JSON ({str(error)[:200]})"
            raise errors.RetriableError(msg) from truncated
        answer, found = lenient.members, lenient.records
    if not isinstance(answer, dict):
        msg = f"{where}: 200 with {type(answer).__name__} for a body"
        raise errors.RetriableError(msg)
    if answer.get("success") is False:
        msg = f"{where}: 200 without success ({str(answer.get('error'))[:200]})"
        raise errors.RetriableError(msg)
    additional = answer.get("additional_data") or {}
    if not isinstance(additional, dict):
        msg = f"{where}: 200 with {type(additional).__name__} for additional_data"
        raise errors.HollowAnswerError(msg)
    is_null = found is None and answer.get("data") is None and not _has_pages(operation)
    if found is None:
        found = [_checked(element) for element in _elements(answer, additional, where, operation)]
    records = [f.record for f in found if f.record is not None]
    unreadable = [f for f in found if f.record is None]
    return Page(records, additional, unreadable=unreadable, is_null=is_null)


def _checked(element: Any) -> LenientRecord:
    if isinstance(element, dict):
        return LenientRecord(b"", element)
    return LenientRecord(msgspec.json.encode(element), reason="is not an object")


def _elements(
    answer: dict[str, Any], additional: dict[str, Any], where: str, operation: Operation
) -> list[Any]:
    """Return the list of an operation, or its one object as a list.

    A response without it is accepted in one case only, see :func:`_is_empty`.
    """
    data = answer.get("data")
    if operation.answers_one_object:
        if isinstance(data, dict) and data:
            return [data]
    elif isinstance(data, list):
        return data
    elif "data" in answer and data is None and _is_empty(answer, additional, operation):
        return []
    kind = "an empty object" if data == {} else "null" if data is None else type(data).__name__
    seen = f"{kind} for data" if "data" in answer else "no data"
    due = "an object" if operation.answers_one_object else "a list"
    msg = f"{where}: 200 with {seen} where {due} is due"
    raise errors.HollowAnswerError(msg)


def _has_pages(operation: Operation) -> bool:
    return operation.pages_by_offset or operation.pages_by_cursor


def _is_empty(answer: dict[str, Any], additional: dict[str, Any], operation: Operation) -> bool:
    """Whether ``null`` means an empty list, which v1 writes so.

    A page of a list is empty if the response also says whether another page follows: v1's
    ``more_items_in_collection``, or a ``next_cursor``, null or not. A list without pages says only
    success, so ``null`` is accepted where the list may be empty (every account has users, for
    instance), and if it comes twice (:meth:`PipedriveClient.get`).
    """
    if operation.pages_by_offset:
        counts = additional.get("pagination") or additional
        return isinstance(counts, dict) and isinstance(counts.get("more_items_in_collection"), bool)
    if operation.pages_by_cursor:
        return "next_cursor" in additional
    return answer.get("success") is True and operation.may_be_empty

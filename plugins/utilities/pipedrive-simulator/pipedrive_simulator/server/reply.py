"""A reply before it is sent, and the API's usual error bodies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipedrive_simulator.account.records import Json

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=UTF-8"
_INFO = "Please check developers.pipedrive.com"


@dataclass
class Page:
    """The body of a list: its records, each with its id, and its other members as JSON."""

    records: list[tuple[Any, bytes]]
    rest: bytes


@dataclass
class Reply:
    """Status, body and headers; `manner` is how the body is sent (see `faults`).

    A header that is None is left out, even one that every response has. `page` is set once records
    of the body are damaged: it cannot be decoded any more.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str | None] = field(default_factory=dict)
    manner: str = "plain"
    seconds: float = 0.0
    page: Page | None = None


def failure(status: int, error: str, info: str | None = _INFO, **more: object) -> Reply:
    """Return an error in the API's envelope."""
    body: Json = {"success": False, "error": error, "error_info": info, "data": None,
                  "additional_data": None, **more}  # fmt: skip
    return Reply(status, msgspec.json.encode(body))


def unauthorized() -> Reply:
    """Return the gateway's reply to a missing or wrong token."""
    body = {"success": False, "error": "unauthorized access", "errorCode": 401, "error_info": _INFO}
    return Reply(401, msgspec.json.encode(body), headers={"x-401-by-gw": "true"})


def payment_required() -> Reply:
    """Return the reply to every call after the end of the company's trial."""
    return failure(402, "Company account is not open (possible reason: trial expired).")


def html_page(status: int, title: str, text: str) -> Reply:
    """Return an HTML page as the network in front of the API sends it."""
    page = (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n"
        f"<body><h1>{title}</h1><p>{text}</p><hr><p>cloudflare</p></body></html>\n"
    )
    return Reply(status, page.encode(), HTML, headers={"server": "cloudflare", "cf-ray": "0-GRU"})


def cloudflare_block() -> Reply:
    """Return the page for clients that do not stop calling after 429."""
    return html_page(403, "Access denied | Error 1015", "You are being rate limited.")


def gateway_timeout() -> Reply:
    """Return Cloudflare's own time-out."""
    return html_page(524, "A timeout occurred | Error code 524", "The origin did not answer.")

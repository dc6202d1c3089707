"""Checks of the settings and the account before a run: each problem with a remedy and exit code."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from email.message import Message
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pipeboard.bounded import within
from pipeboard.company import company_of
from pipeboard.errors import ExitCode, PipeboardError

#: A larger response, in bytes, is not one about the user.
MAX_RESPONSE_BYTES = 2**20
TOKEN_HINT = (
    "Copy it from Pipedrive (Settings, Personal preferences, API) into PIPEDRIVE_API_TOKEN in .env"
)
OAUTH = ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN")


@dataclass(frozen=True)
class Account:
    """The account, as the response about its user describes it.

    Attributes:
        is_admin: None if the API does not say.
        daily_tokens: what the plan grants, and what is left of it today.
        date: the clock of the API, and that of this machine in the middle of the call.

    """

    base: str
    company: str
    user: str
    is_admin: bool | None = None
    daily_tokens: int | None = None
    tokens_left: int | None = None
    date: str | None = None
    requested_at: float = 0.0


def check_settings(given: Mapping[str, str]) -> str:
    """Check the settings without a request; return the base URL of the API."""
    url = given.get("PIPEDRIVE_API_URL", "")
    domain = given.get("PIPEDRIVE_COMPANY_DOMAIN", "")
    _check_values(given)
    oauth = all(given.get(f"TAP_PIPEDRIVE_OAUTH_{name}") for name in OAUTH)
    if not given.get("PIPEDRIVE_API_TOKEN") and not oauth:
        what = "PIPEDRIVE_API_TOKEN is not set"
        remedy = f"{TOKEN_HINT} (`cp .env.example .env` makes the file), or try `make demo`"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    if url:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            what = f"PIPEDRIVE_API_URL is no URL: {url}"
            remedy = "Write https://host, or leave it empty and set PIPEDRIVE_COMPANY_DOMAIN"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
        return url.rstrip("/")
    if not domain:
        what = "PIPEDRIVE_COMPANY_DOMAIN is not set"
        remedy = "In https://acme.pipedrive.com it is acme; write it into .env"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    company = company_of(domain)
    if company is None:
        what = f"PIPEDRIVE_COMPANY_DOMAIN is {domain!r}, which names no company"
        remedy = "In https://acme.pipedrive.com, the address of your browser, it is acme"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    return f"https://{company}.pipedrive.com"


def _check_values(given: Mapping[str, str]) -> None:
    """Check settings whose mistakes Meltano, tap or dbt would tell late, or not by name."""
    for name, (fits, remedy) in _VALUES.items():
        value = given.get(name)
        if value and not fits(value):
            what = f"{name} is {value!r}"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def _is_zone(text: str) -> bool:
    # PostgreSQL ignores the case of zones.
    return text.casefold() in {zone.casefold() for zone in available_timezones()}


_VALUES: dict[str, tuple[Callable[[str], object], str]] = {
    "PIPEDRIVE_DAILY_TOKENS": (
        partial(re.fullmatch, "0*[1-9][0-9]*"),
        "Write a whole number above 0, or leave it empty",
    ),
    **dict.fromkeys(
        ("PIPEDRIVE_DEFINITIONS_INTERVAL", "PIPEDRIVE_ARCHIVED_INTERVAL"),
        (partial(re.fullmatch, "[0-9]+"), "Write seconds (3600), or leave it empty"),
    ),
    "PIPEDRIVE_START_DATE": (_is_day, "Write a day such as 2024-01-31, or leave it empty"),
    "PIPEBOARD_BASE_CURRENCY": (
        partial(re.fullmatch, "[A-Z]{3}"),
        "Write the code of a currency, such as BRL",
    ),
    "PIPEBOARD_REPORTING_TIMEZONE": (_is_zone, "Write a zone such as America/Sao_Paulo"),
    "TARGET_POSTGRES_BATCH_SIZE_ROWS": (
        partial(re.fullmatch, "0*[1-9][0-9]*"),
        "Write a whole number above 0, or leave it empty",
    ),
}


def check_account(given: Mapping[str, str], base: str, timeout: float = 20.0) -> Account | None:
    """Request the user of the token: one call. None with OAuth, whose token only the tap has."""
    token = given.get("PIPEDRIVE_API_TOKEN")
    if not token:
        return None
    request = urllib.request.Request(
        f"{base}/v1/users/me",
        headers={"x-api-token": token, "Accept": "application/json", "User-Agent": "pipeboard"},
    )
    began = time.time()

    def request_user() -> tuple[Message, float, bytes]:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.headers, (began + time.time()) / 2, answer.read(MAX_RESPONSE_BYTES)

    try:
        # The timeout of a socket holds for each part of a response, not for all of it.
        headers, requested_at, body = within(1.5 * timeout, f"the answer of {base}", request_user)
        data = dict(json.loads(body)["data"])
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            raise _refused(error, base) from error
    except (urllib.error.URLError, OSError) as error:
        raise _unreachable(error, base) from error
    except (ValueError, KeyError, TypeError) as error:
        what = f"{base} answers, but not as the Pipedrive API does"
        remedy = "Check PIPEDRIVE_COMPANY_DOMAIN and PIPEDRIVE_API_URL in .env"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from error
    return Account(
        base,
        str(data.get("company_name") or ""),
        str(data.get("name") or ""),
        is_admin=_is_admin(data),
        daily_tokens=_number(headers.get("x-daily-ratelimit-token-limit")),
        tokens_left=_number(headers.get("x-daily-ratelimit-token-remaining")),
        date=headers.get("date"),
        requested_at=requested_at,
    )


def _is_admin(data: Mapping[str, Any]) -> bool | None:
    """Tell whether a user administers deals: `is_admin` in older responses, `access` in newer."""
    if data.get("is_admin") is not None:
        return bool(data["is_admin"])
    apps = data.get("access")
    if not isinstance(apps, list):
        return None
    return any(app.get("admin") for app in apps if app.get("app") in ("sales", "global"))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _refused(error: urllib.error.HTTPError, base: str) -> PipeboardError:
    """Return the error for an HTTP status."""
    if error.code == 401:
        what = f"{base} does not accept the API token (401)"
        return PipeboardError(
            what, f"It may have been renewed. {TOKEN_HINT}", ExitCode.NOT_PERMITTED
        )
    if error.code in (402, 403):
        what = f"{base} refuses this user or plan ({error.code})"
        remedy = "Ask the account's administrator for API access, or use another user's token"
        return PipeboardError(what, remedy, ExitCode.NOT_PERMITTED)
    if error.code in (404, 410):
        what = f"{base} knows no such account or no such API ({error.code})"
        remedy = "Check PIPEDRIVE_COMPANY_DOMAIN and PIPEDRIVE_API_URL in .env"
        return PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    if error.code == 429 and error.headers.get("x-daily-ratelimit-token-remaining") == "0":
        what = f"the API tokens of today are spent, {base} says"
        return PipeboardError(what, "The next run after midnight goes on", ExitCode.BUDGET)
    if error.code == 429:
        what = f"{base} limits our rate (429): too many requests, or the day's tokens are spent"
        return PipeboardError(what, "Run again later; nothing is lost", ExitCode.UNAVAILABLE)
    what = f"{base} returned a server error ({error.code})"
    return PipeboardError(what, "Run again later; nothing is lost", ExitCode.UNAVAILABLE)


def _unreachable(error: Exception, base: str) -> PipeboardError:
    """Return why a host could not be reached."""
    reason: Any = getattr(error, "reason", error)
    host = urlsplit(base).hostname
    if isinstance(reason, socket.gaierror):
        what = f"the host {host} is not known"
        remedy = "Check PIPEDRIVE_COMPANY_DOMAIN and PIPEDRIVE_API_URL in .env, and the network"
    elif isinstance(reason, TimeoutError):
        what = f"{base} did not answer in time"
        remedy = "Check the network, a proxy or a firewall, and run again"
    elif isinstance(reason, ssl.SSLError):
        what = f"the certificate of {host} is not trusted ({reason})"
        remedy = "Behind an inspecting proxy, name its certificate in SSL_CERT_FILE"
    else:
        what = f"{base} cannot be reached ({reason})"
        remedy = "Check PIPEDRIVE_API_URL in .env, the network, a proxy or a firewall"
    return PipeboardError(what, remedy, ExitCode.UNAVAILABLE)

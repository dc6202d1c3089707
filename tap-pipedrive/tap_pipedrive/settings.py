"""The settings of the tap with their descriptions; ``docs.py`` renders them into the README."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from singer_sdk import typing as th

from tap_pipedrive.addresses import split_url
from tap_pipedrive.errors import ConfigurationError
from tap_pipedrive.times import to_text, to_time

#: The largest page of the API; the cost of a call does not depend on its size.
MAX_PAGE_SIZE = 500
#: Settings that hold the seconds between two reads of a list.
DEFINITIONS_INTERVAL, ARCHIVED_INTERVAL = "definitions_interval", "archived_interval"

SCHEMA: dict[str, Any] = th.PropertiesList(
    th.Property(
        "api_token",
        th.StringType,
        secret=True,
        title="API token",
        description="Personal API token (Personal preferences > API) of an admin: the tap reads "
        "only the records that the token's user can see.",
    ),
    th.Property(
        "oauth",
        th.ObjectType(
            th.Property("client_id", th.StringType, description="The app's client id."),
            th.Property("client_secret", th.StringType, secret=True, description="Its secret."),
            th.Property(
                "refresh_token",
                th.StringType,
                secret=True,
                description="The token of the app's installation; expires after 60 unused days.",
            ),
        ),
        secret=True,
        title="OAuth 2",
        description="An app's access instead of an API token. Its burst limit is four times "
        "as high, and it includes the company's address.",
    ),
    th.Property(
        "company_domain",
        th.StringType,
        title="Company domain",
        description="The acme of https://acme.pipedrive.com.",
    ),
    th.Property(
        "api_url",
        th.StringType,
        title="API base URL",
        description="Base that replaces https://{company_domain}.pipedrive.com, "
        "for a proxy or a simulator.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="Records that were last updated before are left out. Unset: the whole history.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=MAX_PAGE_SIZE),
        default=MAX_PAGE_SIZE,
        title="Page size",
        description="Records per call. The cost of a call does not depend on it, so smaller pages "
        "cost more.",
    ),
    th.Property(
        "changelog_mode",
        th.StringType(allowed_values=["gated", "full", "off"]),
        default="gated",
        title="Changelog mode",
        description="Which change logs to read, at 20 tokens per deal: gated (of deals that may "
        "have moved), full (of every updated deal) or off.",
    ),
    th.Property(
        "calls_ahead",
        th.IntegerType(minimum=1, maximum=64),
        default=6,
        title="Calls ahead",
        description="Change logs that are requested at the same time, within the burst limit. "
        "1 requests one after the other.",
    ),
    th.Property(
        "lists_ahead",
        th.IntegerType(minimum=1, maximum=64),
        default=10,
        title="Lists ahead",
        description="Lists whose first page is requested while another list is read, within the "
        "burst limit. 1 reads one after the other.",
    ),
    th.Property(
        "windows",
        th.IntegerType(minimum=1, maximum=64),
        default=16,
        title="Windows",
        description="Windows of time in which a first sync reads a long list at the same time, "
        "within the burst limit. 1 reads one page after the other.",
    ),
    th.Property(
        "scheduled",
        th.BooleanType,
        default=False,
        title="Scheduled",
        description="Whether a frequent schedule started this run. Then lists that hardly change "
        "are read at the two intervals below; any other run reads all lists.",
    ),
    th.Property(
        DEFINITIONS_INTERVAL,
        th.IntegerType(minimum=0),
        default=3 * 3600,
        title="Interval of definitions",
        description="Seconds after which a scheduled run reads the lists again that define the "
        "account (fields, users, types, labels, stages, pipelines, products, ...). A record with a "
        "name that a list lacks makes the list due at once.",
    ),
    th.Property(
        ARCHIVED_INTERVAL,
        th.IntegerType(minimum=0),
        default=3600,
        title="Interval of archived lists",
        description="Seconds after which a scheduled run reads archived deals and leads again.",
    ),
    th.Property(
        "sweep",
        th.BooleanType,
        default=False,
        title="Sweep",
        description="Read all records instead of the changed ones, and end each stream with "
        "ACTIVATE_VERSION: a loader then marks the records that did not come. Use a separate state "
        "id.",
    ),
    th.Property(
        "daily_tokens",
        th.IntegerType(minimum=1),
        title="Daily tokens",
        description="API tokens that all jobs together may spend per day. Unset: the plan's, as "
        "the server reports them.",
    ),
    th.Property(
        "run_token_share",
        th.NumberType(minimum=0, maximum=1),
        default=1.0,
        title="Run token share",
        description="Part of the day's tokens that may be spent when this job stops: 0.7 for a "
        "backfill leaves 30 % to the hot sync.",
    ),
    th.Property(
        "history_token_share",
        th.NumberType(minimum=0, maximum=1),
        default=0.5,
        title="History token share",
        description="Part of the job's share that per-record streams may spend. They catch up in "
        "later runs.",
    ),
    th.Property(
        "history_deals_file",
        th.StringType,
        title="Deals whose history to read",
        description="File of deal ids, one per line: deal_changelog and deal_changelog_sync read "
        "the logs of these deals, in this order, and no others. Select only these two streams.",
    ),
    th.Property(
        "history_known_file",
        th.StringType,
        title="Deals whose history is known",
        description="File of lines `id second`: a first scan leaves out the log of a deal that "
        "was not updated since that second (since 1970).",
    ),
    th.Property(
        "redis_url",
        th.StringType,
        secret=True,
        title="Redis URL",
        description="Redis or Valkey in which all processes of a company share the burst "
        "window, the token ledger and the circuit breaker. Unset: each process has its own.",
    ),
    th.Property(
        "pushgateway_url",
        th.StringType,
        title="Pushgateway URL",
        description="Prometheus Pushgateway for the metrics of a run. Unset: none are pushed.",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(exclusive_minimum=0, maximum=3600),
        default=60,
        title="Request timeout",
        description="Seconds to wait for the server to send anything.",
    ),
    th.Property(
        "user_agent",
        th.StringType,
        title="User agent",
        description="User-Agent header; default tap-pipedrive/VERSION.",
    ),
    th.Property(
        "state_dir",
        th.StringType,
        title="State directory",
        description="Folder that keeps the token ledger, the circuit, the definitions and the "
        "deals seen between runs, without Redis. Losing it costs tokens, but no data.",
    ),
).to_dict()
#: The default of each setting that has one.
DEFAULTS: dict[str, Any] = {
    name: schema["default"] for name, schema in SCHEMA["properties"].items() if "default" in schema
}


def check(config: Mapping[str, Any]) -> None:
    """Check the settings beyond their schema.

    Raises:
        ConfigurationError: a value cannot be used. The message holds no secret.

    """
    oauth = config.get("oauth") or {}
    sent = {
        "api_token (PIPEDRIVE_API_TOKEN)": (config.get("api_token") or "").strip(),
        "user_agent": config.get("user_agent") or "",
        **{f"oauth.{name}": value or "" for name, value in oauth.items()},
    }
    for setting, value in sent.items():
        if not re.fullmatch(r"[\x20-\x7e]*", value):
            msg = f"{setting} has characters that an HTTP header cannot hold, perhaps a line break"
            raise ConfigurationError(msg)
    if start_date := config.get("start_date"):
        try:
            to_text(to_time(start_date))
        except (ValueError, OverflowError):
            msg = f"start_date (PIPEDRIVE_START_DATE) is not a date like 2024-01-31: {start_date!r}"
            raise ConfigurationError(msg) from None
    if config.get("redis_url"):
        check_redis_url(config["redis_url"])


def check_redis_url(url: str) -> None:
    """Check the address of Redis without showing it, because it may hold a password.

    Raises:
        ConfigurationError: it is not the address of a Redis.

    """
    if url.startswith("unix://") or split_url(url, ("redis", "rediss")):
        return
    msg = (
        "redis_url (REDIS_URL) is malformed: write redis://host:6379/0 (rediss:// for TLS), with "
        "special characters of a password percent-encoded"
    )
    raise ConfigurationError(msg)

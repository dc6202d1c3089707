"""What the streams of one run share: settings, the API client, limits, memory and the state.

Everything is made when it is first used: discovery needs no token, no Redis and no file.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from requests.auth import AuthBase

from tap_pipedrive import logs, settings
from tap_pipedrive.addresses import company_of, http_url
from tap_pipedrive.api.auth import ApiTokenAuth, OAuth
from tap_pipedrive.api.client import PipedriveClient
from tap_pipedrive.api.limits.governor import SMALLEST_BURST, Governor
from tap_pipedrive.api.limits.store import LimitStore, LocalStore
from tap_pipedrive.api.prefetch import Prefetch
from tap_pipedrive.errors import ConfigurationError, ShareSpentError
from tap_pipedrive.messages import PageWriter
from tap_pipedrive.quarantine import Quarantine
from tap_pipedrive.state.cadence import Cadence
from tap_pipedrive.state.definitions import Definitions
from tap_pipedrive.state.seen_deals import SeenDeals


class RunContext:
    """The context of one run; streams, scans and reports know it instead of the tap."""

    def __init__(
        self,
        config: Mapping[str, Any],
        state: dict[str, Any],
        writer: PageWriter,
        write_state: Callable[[dict[str, Any]], None],
        logger: logging.Logger | None = None,
    ) -> None:
        """Keep what the tap was started with.

        Args:
            config: the settings; one that is missing has its default.
            state: the Singer state, which the run changes in place.
            writer: writes messages, also whole pages of records.
            write_state: writes the state that it is given as a STATE message.
            logger: where waits, retries and limits are reported.

        """
        given = {name: value for name, value in config.items() if value is not None}
        self.config: dict[str, Any] = {**settings.DEFAULTS, **given}
        self.state = state
        self.writer = writer
        self._write_state = write_state
        self.logger = logger or logging.getLogger("tap-pipedrive")
        self.quarantine = Quarantine()
        self.progress = logs.Progress()

    # -- settings ----------------------------------------------------------------------------

    @property
    def page_size(self) -> int:
        """Records per page."""
        return int(self.config["page_size"])

    @property
    def windows(self) -> int:
        """Windows of time that are read at the same time."""
        return int(self.config["windows"])

    @property
    def is_sweep(self) -> bool:
        """Whether this run looks for deleted records instead of new ones."""
        return bool(self.config["sweep"])

    @property
    def run_share(self) -> float:
        """The part of the day's tokens that may be spent when this job stops, 0 to 1."""
        return float(self.config["run_token_share"])

    @property
    def history_share(self) -> float:
        """The part of this job's tokens that per-record streams may spend, 0 to 1."""
        return float(self.config["history_token_share"])

    # -- the account -------------------------------------------------------------------------

    @cached_property
    def base_url(self) -> str:
        """The address of the account.

        Raises:
            ConfigurationError: neither ``api_url`` nor a usable ``company_domain`` is set.

        """
        if url := self._text("api_url"):
            return http_url(url, "api_url (PIPEDRIVE_API_URL)")
        domain = self.config.get("company_domain") or ""
        if not domain and isinstance(self.auth, OAuth):
            return self.auth.api_domain
        return f"https://{company_of(domain)}.pipedrive.com"

    @cached_property
    def auth(self) -> AuthBase:
        """How requests are authenticated.

        Raises:
            ConfigurationError: neither an API token nor a complete OAuth app is set.

        """
        if token := self._text("api_token"):
            return ApiTokenAuth(token)
        oauth = {k: v for k, v in (self.config.get("oauth") or {}).items() if v}
        missing = sorted({"client_id", "client_secret", "refresh_token"} - oauth.keys())
        if not oauth:
            msg = (
                "api_token (PIPEDRIVE_API_TOKEN) is not set: copy it in Pipedrive from "
                "Personal preferences > API"
            )
            raise ConfigurationError(msg)
        if missing:
            msg = f"oauth is not complete: {', '.join(f'oauth.{name}' for name in missing)}"
            raise ConfigurationError(msg)
        if not self._text("api_url"):
            return OAuth(**oauth)
        return OAuth(**oauth, token_url=f"{self.base_url}/oauth/token")

    @cached_property
    def client(self) -> PipedriveClient:
        """The client of the account.

        Raises:
            ConfigurationError: a setting is missing or wrong.

        """
        settings.check(self.config)
        return PipedriveClient(
            self.base_url,
            self.auth,
            self.governor,
            timeout=float(self.config["request_timeout"]),
            user_agent=self.config.get("user_agent") or f"tap-pipedrive/{_version()}",
            logger=self.logger,
        )

    @property
    def has_client(self) -> bool:
        """Whether the client exists already (making one may fail)."""
        return "client" in self.__dict__

    @cached_property
    def governor(self) -> Governor:
        """Keeps this run inside the limits, in Redis if there is one."""
        account = account_key(self.base_url)
        folder = self.config.get("state_dir")
        url = self.config.get("redis_url")
        local_folder = Path(folder) if folder else None
        store: LimitStore
        if url:
            # Importing the client takes a fifth of the start of a tap that needs none.
            from tap_pipedrive.api.limits.redis_store import RedisStore

            store = RedisStore(url, account)
        else:
            store = LocalStore(local_folder, account)
        way = "oauth" if isinstance(self.auth, OAuth) else "token"
        return Governor(
            store,
            burst=SMALLEST_BURST[way],
            daily_tokens=self.config.get("daily_tokens"),
            share=self.run_share,
            logger=self.logger,
        )

    def require_history_budget(self, cost: int) -> None:
        """Check that a call of a per-record stream leaves enough tokens for the other streams.

        Raises:
            ShareSpentError: ``cost`` more tokens would exceed the share of histories.

        """
        room = self.governor.room(self.client.source_day, self.history_share)
        if room is not None and room < cost:
            msg = (
                f"the share of histories ({self.history_share:.0%} of this job's tokens of today) "
                "is used up"
            )
            raise ShareSpentError(msg)

    # -- what is remembered ------------------------------------------------------------------

    @cached_property
    def definitions(self) -> Definitions:
        """The lists that define the account, cached and compared."""
        return Definitions(self.governor)

    @cached_property
    def seen_deals(self) -> SeenDeals:
        """The deals that were ever seen closed or deleted."""
        entry = self.state.setdefault("bookmarks", {}).setdefault("deal_changelog", {})
        return SeenDeals(self.governor, entry.setdefault("memory", {}))

    @cached_property
    def state_at_start(self) -> dict[str, Any]:
        """The state with which this run began."""
        return copy.deepcopy(self.state)

    def checkpoint(self) -> None:
        """Write a STATE message, after the quarantined records that it covers."""
        self.quarantine.write(self.writer)
        self._write_state(self.state)

    # -- what is read, and when --------------------------------------------------------------

    @cached_property
    def cadence(self) -> Cadence:
        """Decides which lists are due in this run."""
        reads_otherwise = self.is_sweep or bool(self.config.get("history_deals_file"))
        reads_all = reads_otherwise or not self.config["scheduled"]
        return Cadence(self.config, self.source_time, reads_all=reads_all)

    def source_time(self) -> datetime | None:
        """Return the source's time, None before its first response in this run."""
        return self.client.source_now if self.client.api.requests else None

    @cached_property
    def prefetch(self) -> Prefetch:
        """The lists whose first page is requested ahead of time."""
        return Prefetch(int(self.config["lists_ahead"]))

    def close(self, *, wait: bool) -> None:
        """Close the connections and the prefetch; ``wait`` for calls that have not ended."""
        if "prefetch" in self.__dict__:
            self.prefetch.close(wait=wait)
        if self.has_client:
            self.client.close()

    def _text(self, setting: str) -> str:
        return (self.config.get(setting) or "").strip()


@cache
def _version() -> str:
    return version("pipeboard-tap-pipedrive")


def account_key(base_url: str) -> str:
    """Name an account in files and in Redis without its address."""
    return hashlib.sha256(base_url.encode()).hexdigest()[:16]

"""The tap: its settings, its streams, and what they share in one run."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import cached_property
from importlib.metadata import version

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities

from tap_pipedrive import errors, history
from tap_pipedrive.auth import ApiTokenAuth
from tap_pipedrive.client import PipedriveClient
from tap_pipedrive.history import DealHistory
from tap_pipedrive.messages import PageWriter
from tap_pipedrive.report import is_supervised, write_report
from tap_pipedrive.seen_deals import SeenDeals
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.deal_walk import DealWalk
from tap_pipedrive.streams.deals import FedByDeals

MAX_PAGE_SIZE = 500


class TapPipedrive(Tap):
    """Singer tap for Pipedrive."""

    name = "tap-pipedrive"
    package_name = "tap-pipedrive"
    message_writer_class = PageWriter
    # No BATCH: measured, files cost the tap more than they save the loader.
    capabilities = [  # noqa: RUF012
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    config_jsonschema = th.PropertiesList(
        th.Property(
            "api_token",
            th.StringType,
            secret=True,
            title="API token",
            description="Personal API token (Personal preferences > API), best an admin's: "
            "what its user cannot see does not exist for the tap.",
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
            description="Leave out what was last updated before. Unset: the whole history.",
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=1, maximum=MAX_PAGE_SIZE),
            default=MAX_PAGE_SIZE,
            title="Page size",
            description="Records per call. A call costs the same whatever its size, so smaller "
            "pages only cost more.",
        ),
        th.Property(
            "changelog_mode",
            th.StringType(allowed_values=list(history.MODES)),
            default="gated",
            title="Changelog mode",
            description="Whose change logs to read, at 20 tokens a deal: gated (deals that may "
            "have moved), full (every updated deal) or off.",
        ),
        th.Property(
            "request_timeout",
            th.NumberType(exclusive_minimum=0),
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
            description="Where to remember which deals were seen closed, which saves tokens. "
            "Losing it loses no data; unset, every updated open deal is asked for its log.",
        ),
    ).to_dict()

    def discover_streams(self) -> list[PipedriveStream]:
        """List the streams; the schemas come from the package, so no call is made."""
        return [stream(self) for stream in STREAMS]

    # -- what the streams of a run share ------------------------------------------------------

    @property
    def page_size(self) -> int:
        """Records per page."""
        return int(self.config.get("page_size", MAX_PAGE_SIZE))

    @cached_property
    def base_url(self) -> str:
        """Where the account is.

        Raises:
            ConfigurationError: neither ``api_url`` nor a usable ``company_domain`` is set.
        """
        if url := (self.config.get("api_url") or "").strip():
            if not re.match(r"https?://[^/\s]+", url):
                msg = f"api_url (PIPEDRIVE_API_URL) is not an http(s) address: {url}"
                raise errors.ConfigurationError(msg)
            return url.rstrip("/")
        return f"https://{company_of(self.config.get('company_domain') or '')}.pipedrive.com"

    @cached_property
    def client(self) -> PipedriveClient:
        """The account behind the settings.

        Raises:
            ConfigurationError: a setting is missing.
        """
        token = (self.config.get("api_token") or "").strip()
        if not token:
            msg = (
                "api_token (PIPEDRIVE_API_TOKEN) is not set: copy it in Pipedrive from "
                "Personal preferences > API"
            )
            raise errors.ConfigurationError(msg)
        return PipedriveClient(
            self.base_url,
            ApiTokenAuth(token),
            timeout=float(self.config.get("request_timeout", 60)),
            user_agent=self.config.get("user_agent") or f"tap-pipedrive/{version('tap-pipedrive')}",
            logger=self.logger,
        )

    @cached_property
    def seen_deals(self) -> SeenDeals:
        """Which deals were ever seen closed."""
        return SeenDeals.of_account(self.base_url, self.config.get("state_dir"))

    @cached_property
    def deal_history(self) -> DealHistory:
        """Reads change logs for the streams of the deal walk."""
        return DealHistory(self)

    @cached_property
    def deal_walk(self) -> DealWalk:
        """The one walk over the deal lists of this run."""
        return DealWalk(self)

    @property
    def deal_streams(self) -> list[FedByDeals]:
        """Streams the deal walk feeds, in the order in which they receive a page."""
        order = [cls.name for cls in STREAMS if issubclass(cls, FedByDeals)]
        return [s for name in order if isinstance(s := self.streams[name], FedByDeals)]

    def write_state(self) -> None:
        """Write a STATE message: everything written before it belongs to it."""
        self.state_writer.write_state(self.state)

    # -- a run --------------------------------------------------------------------------------

    def sync_all(self) -> None:
        """Sync all selected streams and leave a report, whatever happens.

        Raises:
            BudgetSpentError: today's tokens are used up and nobody waits for the report.
            TapError: anything else that went wrong.
        """
        started_at = datetime.now(timezone.utc)
        client = self.client
        try:
            super().sync_all()
        except errors.BudgetSpentError as error:
            self.logger.warning("Stopped: %s. The state is good; the next run goes on.", error)
            self.write_state()
            write_report(client, self._our_streams, started_at, error, budget_spent=True)
            if not is_supervised():
                raise
        except BaseException as error:
            write_report(client, self._our_streams, started_at, error)
            raise
        else:
            write_report(client, self._our_streams, started_at)

    @property
    def _our_streams(self) -> list[PipedriveStream]:
        return [s for s in self.streams.values() if isinstance(s, PipedriveStream)]


def company_of(domain: str) -> str:
    """Take the company's name from whatever form of its domain was typed.

    >>> company_of("https://acme.pipedrive.com/deals")
    'acme'

    Raises:
        ConfigurationError: there is none.
    """
    name = re.sub(r"^https?://", "", domain.strip()).split("/")[0].removesuffix(".pipedrive.com")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", name):
        msg = (
            "company_domain (PIPEDRIVE_COMPANY_DOMAIN) is not set: it is the acme of "
            "https://acme.pipedrive.com"
            if not name
            else f"company_domain (PIPEDRIVE_COMPANY_DOMAIN) is not a name like acme: {domain!r}"
        )
        raise errors.ConfigurationError(msg)
    return name.lower()

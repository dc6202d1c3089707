"""The tap: its settings, its streams, and what they share in one run."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import click
from requests.auth import AuthBase
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities

from tap_pipedrive import errors, logs, plan, settings, termination
from tap_pipedrive.addresses import company_of, http_url
from tap_pipedrive.auth import ApiTokenAuth, OAuth
from tap_pipedrive.beginnings import LISTS_AHEAD, Beginning, Beginnings
from tap_pipedrive.bookmarks import check_state
from tap_pipedrive.cadence import Cadence
from tap_pipedrive.client import PipedriveClient
from tap_pipedrive.definitions import Definitions
from tap_pipedrive.governor.governor import SMALLEST_BURST, Governor
from tap_pipedrive.governor.home import Home, LocalHome
from tap_pipedrive.governor.redis_home import RedisHome
from tap_pipedrive.history import DealHistory
from tap_pipedrive.messages import PageWriter
from tap_pipedrive.metrics import Pusher
from tap_pipedrive.outcomes import Outcome
from tap_pipedrive.quarantine import Quarantine
from tap_pipedrive.report import is_supervised, write_report
from tap_pipedrive.seen_deals import SeenDeals
from tap_pipedrive.streams import STREAMS, windows
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.kinds import FedStream, UpdatedStream
from tap_pipedrive.streams.walk import Walk

_SECRET_SETTING = re.compile(r".* in config\['(api_token|oauth|redis_url)'\].*", re.DOTALL)
_GOOD_STATE = "The state is good; the next run goes on."
#: Where the command line notes what it was asked for instead of a sync.
ASKED = "tap_pipedrive.asked"


class TapPipedrive(Tap):
    """Singer tap for Pipedrive."""

    name = "tap-pipedrive"
    package_name = "tap-pipedrive"
    message_writer_class = PageWriter
    # BATCH is for other targets: measured, files cost this tap more than they save our loader.
    capabilities = [
        PluginCapabilities.BATCH,
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    config_jsonschema = settings.SCHEMA

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Tell wrong settings as one line with the exit code of wrong settings; the SDK exits 1.

        Raises:
            ConfigurationError: a setting is of the wrong type, or out of its range.

        """
        for name in [n for n, value in self._config.items() if value is None]:
            del self._config[name]  # null means: the default
        try:
            return super()._validate_config(raise_errors=raise_errors)
        except ConfigValidationError as error:
            # The SDK's words quote the value.
            reasons = [_SECRET_SETTING.sub(r"\1 is of the wrong type", e) for e in error.errors]
            raise errors.ConfigurationError("; ".join(reasons)) from None

    def discover_streams(self) -> list[PipedriveStream]:
        """List the streams; the schemas come from the package, so no call is made."""
        return [stream(self) for stream in STREAMS]

    # -- what the streams of a run share ------------------------------------------------------

    @property
    def page_size(self) -> int:
        """Records per page."""
        return int(self.config.get("page_size", settings.MAX_PAGE_SIZE))

    @property
    def windows(self) -> int:
        """Windows of time read at once."""
        return int(self.config.get("windows", windows.WIDTH))

    @cached_property
    def base_url(self) -> str:
        """Where the account is.

        Raises:
            ConfigurationError: neither ``api_url`` nor a usable ``company_domain`` is set.

        """
        if url := (self.config.get("api_url") or "").strip():
            return http_url(url, "api_url (PIPEDRIVE_API_URL)")
        domain = self.config.get("company_domain") or ""
        if not domain and isinstance(self.auth, OAuth):
            return self.auth.api_domain
        return f"https://{company_of(domain)}.pipedrive.com"

    @cached_property
    def auth(self) -> AuthBase:
        """How requests are authenticated.

        Raises:
            ConfigurationError: neither an API token nor a whole OAuth app is set.

        """
        if token := (self.config.get("api_token") or "").strip():
            return ApiTokenAuth(token)
        oauth = {k: v for k, v in (self.config.get("oauth") or {}).items() if v}
        missing = sorted({"client_id", "client_secret", "refresh_token"} - oauth.keys())
        if not oauth:
            msg = (
                "api_token (PIPEDRIVE_API_TOKEN) is not set: copy it in Pipedrive from "
                "Personal preferences > API"
            )
            raise errors.ConfigurationError(msg)
        if missing:
            msg = f"oauth is not complete: {', '.join(f'oauth.{name}' for name in missing)}"
            raise errors.ConfigurationError(msg)
        if not (self.config.get("api_url") or "").strip():
            return OAuth(**oauth)
        return OAuth(**oauth, token_url=f"{self.base_url}/oauth/token")

    @cached_property
    def client(self) -> PipedriveClient:
        """The account behind the settings.

        Raises:
            ConfigurationError: a setting is missing or wrong.

        """
        settings.check(self.config)
        return PipedriveClient(
            self.base_url,
            self.auth,
            self.governor,
            timeout=float(self.config.get("request_timeout", 60)),
            user_agent=self.config.get("user_agent") or f"tap-pipedrive/{version('tap-pipedrive')}",
            logger=self.logger,
        )

    @cached_property
    def governor(self) -> Governor:
        """What keeps this run inside the limits, in Redis if there is one."""
        account = account_key(self.base_url)
        folder = self.config.get("state_dir")
        url = self.config.get("redis_url")
        home: Home = (
            RedisHome(url, account) if url else LocalHome(Path(folder) if folder else None, account)
        )
        way = "oauth" if isinstance(self.auth, OAuth) else "token"
        return Governor(
            home,
            burst=SMALLEST_BURST[way],
            daily_tokens=self.config.get("daily_tokens"),
            share=float(self.config.get("run_token_share", 1.0)),
            logger=self.logger,
        )

    @cached_property
    def definitions(self) -> Definitions:
        """What defines the account, cached and compared."""
        return Definitions(self.governor)

    @cached_property
    def cadence(self) -> Cadence:
        """What is due in this run."""
        asked_for = self.is_sweep or bool(self.config.get("history_deals_file"))
        reads_all = asked_for or not self.config.get("scheduled")
        return Cadence(self.config, self.source_time, reads_all=reads_all)

    def source_time(self) -> datetime | None:
        """Return the source's time, None before its first answer in this run."""
        return self.client.source_now if self.client.api.requests else None

    @cached_property
    def lists_looked_up(self) -> dict[str, PipedriveStream]:
        """The selected lists in which the names that records use are looked up.

        Those that are not known when the first record comes are read in this run anyway.
        """
        return {stream.name: stream for stream in self.selected_streams if stream.can_look_up}

    @cached_property
    def seen_deals(self) -> SeenDeals:
        """Which deals were ever seen closed or deleted."""
        mark = self.streams["deal_changelog"].stream_state.setdefault("memory", {})
        return SeenDeals(self.governor, mark)

    @cached_property
    def deal_history(self) -> DealHistory:
        """Reads change logs for the streams of the deal walk."""
        return DealHistory(self)

    @cached_property
    def beginnings(self) -> Beginnings:
        """The lists whose first page is under way."""
        return Beginnings(int(self.config.get("lists_ahead", LISTS_AHEAD)))

    @cached_property
    def walks(self) -> dict[str, Walk]:
        """The walks of this run, by the name of the stream whose lists are walked."""
        fed = [stream for stream in self.declared_streams if isinstance(stream, FedStream)]
        return {
            parent.name: Walk(self, parent, [s for s in fed if s.parent == parent.name])
            for parent in fed
            if isinstance(parent, UpdatedStream)
        }

    @property
    def is_sweep(self) -> bool:
        """Whether this run looks for what is gone instead of what is new."""
        return bool(self.config.get("sweep"))

    @property
    def history_share(self) -> float:
        """Of this job's tokens, the part that may go into streams that cost a call per record."""
        return float(self.config.get("history_token_share", settings.HISTORY_SHARE))

    @property
    def declared_streams(self) -> list[PipedriveStream]:
        """All streams in the order of their declaration: parents before what hangs on them."""
        order = {declared: place for place, declared in enumerate(STREAMS)}
        ours = [s for s in self.streams.values() if isinstance(s, PipedriveStream)]
        return sorted(ours, key=lambda stream: order[type(stream)])

    @property
    def selected_streams(self) -> list[PipedriveStream]:
        """The selected ones of the declared streams."""
        return [stream for stream in self.declared_streams if stream.selected]

    @property
    def writer(self) -> PageWriter:
        """The message writer, which can also write whole pages."""
        assert isinstance(self.message_writer, PageWriter)
        return self.message_writer

    def spare_share(self, cost: int) -> None:
        """Make sure that reading a history leaves the rest of the sync its tokens.

        Raises:
            ShareSpentError: ``cost`` more tokens would exceed the share of histories.

        """
        room = self.governor.room(self.client.source_day, self.history_share)
        if room is not None and room < cost:
            msg = (
                f"the share of histories ({self.history_share:.0%} of this job's tokens of today) "
                "is used up"
            )
            raise errors.ShareSpentError(msg)

    @cached_property
    def state_at_start(self) -> dict[str, Any]:
        """The state with which this run was begun."""
        return copy.deepcopy(dict(self.state))

    def owner_of(self, error: errors.TapError) -> PipedriveStream | None:
        """Find the stream whose operation failed, whoever asked; None if it was no operation."""
        return next((s for s in self.declared_streams if error.operation in s.operations), None)

    @cached_property
    def quarantine(self) -> Quarantine:
        """The records that this run cannot send as what they are."""
        return Quarantine()

    def write_state(self) -> None:
        """Write a STATE message: everything written before it belongs to it."""
        self.quarantine.write(self.writer)
        self.state_writer.write_state(self.state)
        self.pusher.now_and_then()

    @cached_property
    def pusher(self) -> Pusher:
        """What pushes this run's metrics."""
        return Pusher(self, self.config.get("pushgateway_url"))

    @cached_property
    def _progress(self) -> logs.Progress:
        return logs.Progress()

    def show_progress(self, stream: PipedriveStream, *, done: bool = False) -> None:
        """Update the progress line of a terminal."""
        calls = self.client.usage[stream.name].calls
        self._progress.update(stream.name, stream.emitted, calls, done=done)

    # -- a run --------------------------------------------------------------------------------

    def _setup_signal_handlers(self) -> None:
        """Leave the signals to :mod:`tap_pipedrive.termination`: the SDK's handlers exit with 0."""

    @property
    def has_client(self) -> bool:
        """Whether there is a client already (making one may fail)."""
        return "client" in self.__dict__

    def run(self) -> None:
        """Sync all selected streams and leave a report, whatever happens.

        Raises:
            TapError: the run ended with an error; or it was not complete, and nobody waits for the
                report that says so.
            TerminationRequested: a signal ended the run.

        """
        started_at = datetime.now(timezone.utc)
        _ = self.state_at_start
        stopped: str | None = None
        error: BaseException | None = None

        def report() -> None:
            code, message = getattr(error, "exit_code", 1 if error else 0), str(error or "") or None
            write_report(self, started_at, exit_code=code, stopped=stopped, message=message)

        def report_a_timeout() -> None:
            write_report(
                self,
                started_at,
                exit_code=128 + (termination.requested_by() or 0),
                stopped="signal",
                message="ended by a signal; what was read last could not be written in time",
            )

        with termination.handled(report_a_timeout):
            try:
                try:
                    self._sync()
                    error = self._failure()
                except errors.BudgetSpentError as spent:
                    for stream in self.selected_streams:
                        stream.fall_behind(str(spent))
                    stopped, error = "budget", self._failure() or spent
                    self.logger.warning("Stopped: %s. %s", spent, _GOOD_STATE)
                    self.write_state()
                except termination.TerminationRequested as request:
                    stopped, error = "signal", request
                    self.logger.warning("Stopped: %s. %s", request, _GOOD_STATE)
                    self.write_state()
                    sys.stdout.flush()  # a state that did not change is not written again
            except BrokenPipeError:
                if stopped != "signal":  # then whoever reads was ended, too
                    msg = "whoever reads the messages has ended (broken pipe)"
                    stopped, error = "error", errors.ReaderGoneError(msg)
            except BaseException as failure:
                stopped, error = "error", failure
            try:
                report()
            finally:
                self._close(wait=stopped != "signal")
        if error is not None and (stopped in ("error", "signal") or not is_supervised()):
            raise error

    def _sync(self) -> None:
        logs.hide(self.config.get("api_token"), *(self.config.get("oauth") or {}).values())
        _ = self.client  # settings that are missing or wrong are told before anything is begun
        logs.hide(urlsplit(self.config.get("redis_url") or "").password)
        logs.watch_for_secrets()
        self.beginnings.expect(self._coming())
        self.sync_all()
        for stream in self.selected_streams:
            if stream.wanted and stream.result.is_open:
                stream.sync()

    def _failure(self) -> errors.TapError | None:
        """Say what failed although the run went on: lost permissions first, then any error."""
        refused = {
            s.name: s.result for s in self.selected_streams if s.result.outcome is Outcome.REFUSED
        }
        if refused:
            msg = "; ".join(
                f"{name} could be read before and is refused now: {result.reason}"
                for name, result in refused.items()
            )
            return errors.NotPermittedError(msg)
        incomplete = [
            s.result for s in self.selected_streams if s.result.outcome is Outcome.INCOMPLETE
        ]
        return incomplete[0].error if incomplete else None

    def _close(self, *, wait: bool) -> None:
        """Close what was opened; the run may have ended before anything was."""
        for name in ("beginnings", "deal_history"):
            if name in self.__dict__:
                getattr(self, name).close(wait=wait)
        if self.has_client:
            self.pusher.push()
            self.client.close()

    def _coming(self) -> Iterator[Beginning]:
        """Name the walks of this run in the order in which the SDK will sync the streams."""
        begun = set()
        # A sweep and listed histories read otherwise.
        as_usual = not self.is_sweep and not self.config.get("history_deals_file")
        for stream in self.streams.values() if as_usual else ():
            if not (isinstance(stream, PipedriveStream) and stream.selected):
                continue
            if not isinstance(stream, FedStream):
                yield from stream.beginnings() if stream.is_due else ()
            elif stream.parent not in begun:
                begun.add(stream.parent)
                yield from self.walks[stream.parent].beginnings()

    # -- the command line ----------------------------------------------------------------------

    @classmethod
    def invoke(  # type: ignore[override]
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: Any = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        """Run a sync from the command line."""
        if about:
            super().invoke(about=about, about_format=about_format)
            return
        tap = cls._from_command_line(config, state, catalog)
        asked = click.get_current_context().meta.get(ASKED)
        if asked == "plan":
            for line in plan.lines(tap):
                click.echo(line)
        elif asked == "forget":
            tap.definitions.forget()
        else:
            tap.run()

    @classmethod
    def _from_command_line(
        cls, config: Any, state: IO[str] | None, catalog: IO[str] | None
    ) -> TapPipedrive:
        known = _read_json(state, "--state")
        try:
            check_state(known or {})
        except ValueError as error:
            msg = (
                f"the file of --state is no state of this tap: {error}. Restore an earlier one, or "
                "start without a state, which reads everything again"
            )
            raise errors.ConfigurationError(msg) from error
        return cls(
            config=config.config if config else None,
            parse_env_config=config.parse_env if config else False,
            state=known,
            catalog=_read_json(catalog, "--catalog"),
        )

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Add ``--plan`` and ``--forget`` to the SDK's options."""
        command = super().get_singer_command()
        command.params += [
            _instead_of_a_sync(
                "plan", "Print the calls and tokens a run would cost, and a history in days."
            ),
            _instead_of_a_sync(
                "forget", "Drop the cached definitions (fields, users, …), in Redis or state_dir."
            ),
        ]
        return command


def _instead_of_a_sync(name: str, help_text: str) -> click.Option:
    """Make a flag that :meth:`TapPipedrive.invoke` finds, wherever it stands on the line."""

    def note(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.meta[ASKED] = name

    return click.Option(
        [f"--{name}"], is_flag=True, help=help_text, callback=note, expose_value=False
    )


def _read_json(file: IO[str] | None, option: str) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        content = json.load(file)
    except ValueError as error:
        msg = f"the file of {option} is not JSON: {error}"
        raise errors.ConfigurationError(msg) from error
    if not isinstance(content, dict):
        msg = f"the file of {option} is not a JSON object"
        raise errors.ConfigurationError(msg)
    return content


def account_key(base_url: str) -> str:
    """Name an account in files and in Redis without spelling out where it is."""
    return hashlib.sha256(base_url.encode()).hexdigest()[:16]

"""The Singer tap: its settings, its streams, a run, and the command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import IO, Any
from urllib.parse import urlsplit

import click
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities

from tap_pipedrive import errors, logs, memory, settings, termination
from tap_pipedrive.api.prefetch import ListRequest
from tap_pipedrive.context import RunContext
from tap_pipedrive.messages import ChangedStateWriter, PageWriter
from tap_pipedrive.reporting import plan
from tap_pipedrive.reporting.metrics import Pusher
from tap_pipedrive.reporting.run_report import is_supervised, write_report
from tap_pipedrive.state.bookmarks import check_state
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.streams.base import PipedriveStream, Streams
from tap_pipedrive.streams.deals import DealChangelog, DealChangelogSync
from tap_pipedrive.streams.outcomes import Outcome
from tap_pipedrive.streams.stream_types import IncrementalStream, SharedScanStream
from tap_pipedrive.sync.deal_history import DealHistory
from tap_pipedrive.sync.shared_scan import SharedScan

_SECRET_SETTING = re.compile(r".* in config\['(api_token|oauth|redis_url)'\].*", re.DOTALL)
_GOOD_STATE = "The state is good; the next run goes on."
#: The key under which the command line notes a mode other than a sync.
MODE = "tap_pipedrive.mode"


class TapPipedrive(Tap):
    """Singer tap for Pipedrive."""

    name = "tap-pipedrive"
    package_name = "pipeboard-tap-pipedrive"
    message_writer_class = PageWriter
    # BATCH is for other targets: in a measurement, files cost more than they saved in the loader.
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See the SDK for the arguments."""
        super().__init__(*args, **kwargs)
        assert isinstance(self.message_writer, PageWriter)
        self._state_writer = ChangedStateWriter(self.message_writer)

    def setup_mapper(self) -> None:
        """Register the schemas of the streams, without a catalog in between if none is given.

        The SDK makes the catalog of all streams for it, and copies each schema five times.
        """
        if self.input_catalog is not None:
            super().setup_mapper()
            return
        super(Tap, self).setup_mapper()
        for stream in self.streams.values():
            self.mapper.register_raw_stream_schema(stream.name, stream.schema, stream.primary_keys)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Report wrong settings as one line with exit code 78; the SDK exits with 1.

        Raises:
            ConfigurationError: a setting is of the wrong type, or out of its range.

        """
        for name in [n for n, value in self._config.items() if value is None]:
            del self._config[name]  # null means the default
        try:
            return super()._validate_config(raise_errors=raise_errors)
        except ConfigValidationError as error:
            # The SDK's message quotes the value.
            reasons = [_SECRET_SETTING.sub(r"\1 is of the wrong type", e) for e in error.errors]
            raise errors.ConfigurationError("; ".join(reasons)) from None

    # -- the streams --------------------------------------------------------------------------

    def discover_streams(self) -> list[PipedriveStream]:
        """Make the run's context and its streams; no call is made, schemas are in the package.

        Each list is scanned once, for all streams that need its records.
        """
        assert isinstance(self.message_writer, PageWriter)
        state: Any = self.state
        run = self._run_context = RunContext(
            self.config, state, self.message_writer, self._write_state, self.logger
        )
        streams = self._stream_set = Streams()
        for declared in STREAMS:
            declared(self, run, streams)
        self._pusher = Pusher(run, streams)
        self._deal_history = DealHistory(run, streams)
        for stream in streams:
            if isinstance(stream, DealChangelog | DealChangelogSync):
                stream.history = self._deal_history
        self._scans: dict[str, SharedScan] = {}
        scanned = [stream for stream in streams if isinstance(stream, SharedScanStream)]
        for parent in scanned:
            if isinstance(parent, IncrementalStream):
                members = [stream for stream in scanned if stream.parent == parent.name]
                self._scans[parent.name] = SharedScan(run, parent, members)
        for stream in scanned:
            stream.scan = self._scans[stream.parent]
        return list(streams)

    @property
    def run_context(self) -> RunContext:
        """The context of this run."""
        _ = self.streams  # the SDK discovers them when they are first used
        return self._run_context

    @property
    def stream_set(self) -> Streams:
        """All streams in the order of their declaration."""
        _ = self.streams
        return self._stream_set

    def _write_state(self, state: Any) -> None:
        self.state_writer.write_state(state)
        self._pusher.push_at_intervals()

    # -- a run --------------------------------------------------------------------------------

    def _setup_signal_handlers(self) -> None:
        """Leave the signals to :mod:`tap_pipedrive.termination`: the SDK's handlers exit with 0."""

    def run(self) -> None:
        """Sync all selected streams and leave a report, whatever happens.

        Raises:
            TapError: the run ended with an error; or it was not complete, and no supervisor reads
                the report.
            TerminationRequested: a signal ended the run.

        """
        started_at = datetime.now(timezone.utc)
        run, streams = self.run_context, self.stream_set
        _ = run.state_at_start
        stopped: str | None = None
        error: BaseException | None = None

        def report() -> None:
            code, message = getattr(error, "exit_code", 1 if error else 0), str(error or "") or None
            write_report(run, streams, started_at, exit_code=code, stopped=stopped, message=message)

        def report_a_timeout() -> None:
            write_report(
                run,
                streams,
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
                    for stream in streams.selected:
                        stream.fall_behind(str(spent))
                    stopped, error = "budget", self._failure() or spent
                    self.logger.warning("Stopped: %s. %s", spent, _GOOD_STATE)
                    run.checkpoint()
                except termination.TerminationRequested as request:
                    stopped, error = "signal", request
                    self.logger.warning("Stopped: %s. %s", request, _GOOD_STATE)
                    run.checkpoint()
                    sys.stdout.flush()  # a state that did not change is not written again
            except BrokenPipeError:
                if stopped != "signal":  # a signal ends the reader, too
                    msg = "the process that reads the messages has ended (broken pipe)"
                    stopped, error = "error", errors.ReaderGoneError(msg)
            except BaseException as failure:
                memory.release_reserve()
                stopped, error = "error", errors.explained(failure)
            try:
                report()
            finally:
                self._close(wait=stopped != "signal")
        if error is not None and (stopped in ("error", "signal") or not is_supervised()):
            raise error

    def _sync(self) -> None:
        logs.hide(self.config.get("api_token"), *(self.config.get("oauth") or {}).values())
        _ = self.run_context.client  # a wrong setting fails here, before anything is read
        logs.hide(urlsplit(self.config.get("redis_url") or "").password)
        logs.watch_for_secrets()
        self.run_context.prefetch.expect(self._list_requests())
        self.sync_all()
        for stream in self.stream_set.selected:
            if stream.wanted and stream.result.is_open:
                stream.sync()

    def _failure(self) -> errors.TapError | None:
        """Return the failure of a run that went on: lost permissions first, then any error."""
        selected = self.stream_set.selected
        refused = {s.name: s.result for s in selected if s.result.outcome is Outcome.REFUSED}
        if refused:
            msg = "; ".join(
                f"{name} could be read before and is refused now: {result.reason}"
                for name, result in refused.items()
            )
            return errors.NotPermittedError(msg)
        incomplete = [s.result for s in selected if s.result.outcome is Outcome.INCOMPLETE]
        return incomplete[0].error if incomplete else None

    def _close(self, *, wait: bool) -> None:
        """Close what was opened; the run may have ended before that."""
        self._deal_history.close(wait=wait)
        if self.run_context.has_client:
            self._pusher.push()
        self.run_context.close(wait=wait)

    def _list_requests(self) -> Iterator[ListRequest]:
        """Yield the lists of this run in the order in which the SDK syncs the streams."""
        begun = set()
        # A sweep and a run with history_deals_file read other lists.
        as_usual = not self.run_context.is_sweep and not self.config.get("history_deals_file")
        for stream in self.streams.values() if as_usual else ():
            if not (isinstance(stream, PipedriveStream) and stream.selected):
                continue
            if not isinstance(stream, SharedScanStream):
                yield from stream.list_requests() if stream.is_due else ()
            elif stream.parent not in begun:
                begun.add(stream.parent)
                yield from self._scans[stream.parent].list_requests()

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
            super().invoke(about=about, about_format=about_format)  # ends the process
        tap = cls._from_command_line(config, state, catalog)
        mode = click.get_current_context().meta.get(MODE)
        if mode == "plan":
            for line in plan.lines(tap.run_context, tap.stream_set):
                click.echo(line)
        elif mode == "forget":
            tap.run_context.definitions.forget()
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
                f"the file of --state is not a state of this tap: {error}. Restore an earlier one, "
                "or start without a state, which reads everything again"
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
    """Make a flag that :meth:`TapPipedrive.invoke` finds, at any place of the command line."""

    def note(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.meta[MODE] = name

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

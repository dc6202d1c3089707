"""The target: command line, messages, and which stream goes which way."""

from __future__ import annotations

import os
import signal
import sys
import typing as t
import uuid

import msgspec
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.mapper import SameRecordTransform
from target_postgres.target import TargetPostgres as StockTarget

from pipeboard_target_postgres import errors, settings
from pipeboard_target_postgres.connector import PostgresConnector
from pipeboard_target_postgres.courier import Courier
from pipeboard_target_postgres.loader import Loader
from pipeboard_target_postgres.metrics import Metrics
from pipeboard_target_postgres.ops import Ops
from pipeboard_target_postgres.reader import BlockReader
from pipeboard_target_postgres.sink import PostgresSink

if t.TYPE_CHECKING:
    from singer_sdk.sinks import Sink

    from pipeboard_target_postgres.stream import Stream


class _StateMessage(msgspec.Struct):
    value: msgspec.Raw


class TargetPostgres(StockTarget):
    """Singer target for PostgreSQL: meltanolabs-target-postgres, at the speed of COPY."""

    name = "target-postgres"
    package_name = "pipeboard-target-postgres"
    config_jsonschema: t.ClassVar[dict] = settings.config_jsonschema()
    default_sink_class = PostgresSink
    message_reader_class = BlockReader
    message_reader: BlockReader

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except AssertionError as exc:  # how the stock target refuses a configuration
            raise ConfigValidationError(
                "Config validation failed", errors=[str(exc)], schema=self.config_jsonschema
            ) from exc
        connector = t.cast("PostgresConnector", self.target_connector)
        run_id = os.environ.get("PIPEBOARD_RUN_ID") or str(uuid.uuid4())
        ops = Ops(self.config["ops_schema"], run_id, self.config["bookkeeping_days"])
        self.metrics = Metrics(self.config.get("pushgateway_url"), self.logger)
        self.loader = Loader(
            connector, ops, settings.options(self.config), self.metrics, self.logger
        )
        self.courier = Courier(
            self.loader,
            lambda: t.cast("list[PostgresSink]", list(self._sinks_active.values())),
            self._emit,
            self.config["batch_size_bytes"],
            float(self.config["batch_wait_seconds"]),
        )
        reader = self.message_reader
        reader.register = self._register
        reader.wait_seconds, reader.tick = self.courier.wait_seconds, self.courier.tick
        self._fallbacks: dict[str, str] = {}
        self._prepared_schemas: set[str] = set()
        self._schemas: dict[str, bytes] = {}
        self._emitted: bytes | None = None

    # Configuration and command line

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Resolve the database's address, then validate; never repeat a secret's value."""
        problems = settings.prepare(self._config)
        try:
            problems += super()._validate_config(raise_errors=True)
        except ConfigValidationError as exc:
            problems += [
                next((f"{s} is not valid" for s in settings.SECRETS if f"[{s!r}]" in e), e)
                for e in exc.errors
            ]
        if problems and raise_errors:
            raise ConfigValidationError(
                "Config validation failed", errors=problems, schema=self.config_jsonschema
            )
        return problems

    @classmethod
    def cb_config(cls, ctx: t.Any, param: t.Any, value: tuple[str, ...]) -> t.Any:
        """Read the configuration files; a missing or broken one is a configuration error."""
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError) as exc:
            cls.logger.error("The configuration cannot be read: %s", exc)
            sys.exit(errors.EX_CONFIG)

    @classmethod
    def invoke(
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: t.Any = None,
        file_input: t.IO[str] | None = None,
    ) -> None:
        """Run from the command line; failures that a person can mend end in one line."""
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        where = "The database"
        target = None
        try:
            target = cls(
                config=config.config if config else {},
                parse_env_config=bool(config and config.parse_env),
                validate_config=True,
            )
            connector = t.cast("PostgresConnector", target.target_connector)
            where = connector.where
            connector.check()
            target.listen(file_input)
        except Exception as exc:
            known = errors.explain(exc, where)
            if known is None:
                raise
            cls.logger.error("%s", known)
            sys.exit(known.exit_code)
        finally:
            if target is not None:
                target.courier.close()  # a load under way may end, and its state go out
                target.metrics.push(target.streams())

    def _handle_termination(self, signum: int, frame: t.Any) -> None:
        """Stop after what has been read: load it, let its state out, say which signal it was."""
        signal.signal(signum, signal.SIG_DFL)  # the second one is meant
        self.logger.info("Received signal %d: loading what has been read, then stopping.", signum)
        try:
            # Not the end of the input: the books stay open, for it is no complete load.
            self.courier.flush(wait=True)
            self.courier.close()
        finally:
            sys.exit(128 + signum)

    # Messages

    def prepare_schema(self, name: str) -> None:
        """Create a schema once per run."""
        if name not in self._prepared_schemas:
            t.cast("PostgresConnector", self.target_connector).prepare_schema(name)
            self.loader.prepare()
            self._prepared_schemas.add(name)

    def fall_back(self, stream: str, why: str) -> None:
        """Say, once per stream, why its records take the SDK's way."""
        if stream not in self._fallbacks:
            self._fallbacks[stream] = why
            self.logger.info("%s takes the slower way of the SDK, since %s.", stream, why)

    def _reason(self, stream: str) -> str | None:
        """Return why a stream's records must pass through the SDK, or None if they need not."""
        if self.config.get("validate_records"):
            return "validate_records is on"
        maps = self.mapper.stream_maps.get(stream, [])
        if len(maps) != 1 or type(maps[0]) is not SameRecordTransform:
            return "a stream map applies to it"
        if maps[0].stream_alias != stream:
            return "a stream map renames it"
        if maps[0].flattening_enabled:
            return "flattening is on"
        return None

    def _register(self, line: bytes, message: dict) -> None:
        """Open the fast lane for lines that begin like this one, if its stream may have one."""
        stream = message.get("stream")
        if not isinstance(stream, str) or stream not in self._sinks_active:
            return
        reason = self._reason(stream)
        if reason:
            self.fall_back(stream, reason)
            return
        sink = t.cast("PostgresSink", self._sinks_active[stream])
        prefix = line[: line.find(b'"record"', 0, 300)]
        if f'"{stream}"'.encode() in prefix:
            self.message_reader.lanes[prefix] = sink.add
        else:
            self.fall_back(stream, "its messages do not begin with the stream's name")

    def _process_schema_message(self, message_dict: dict) -> None:
        """Ignore what has been said before; the SDK sees to the rest."""
        stream, line = message_dict.get("stream", ""), self.message_reader.raw
        if self._schemas.get(stream) != line:
            super()._process_schema_message(message_dict)
            self._schemas[stream] = line

    def get_sink(
        self,
        stream_name: str,
        *,
        record: dict | None = None,
        schema: dict | None = None,
        key_properties: t.Sequence[str] | None = None,
    ) -> Sink:
        """Return the stream's sink; for a new schema a new one, once the old one's rows are in."""
        old = self._sinks_active.get(stream_name)
        if schema is None or old is None:
            return super().get_sink(
                stream_name, record=record, schema=schema, key_properties=key_properties
            )
        self.courier.flush(wait=True)
        self.message_reader.lanes.clear()
        new = super().get_sink(
            stream_name, record=record, schema=schema, key_properties=key_properties
        )
        if new is not old:
            t.cast("PostgresSink", new).stream.follow(t.cast("PostgresSink", old).stream)
            old.clean_up()
            self._sinks_to_clear.clear()
        return new

    def _process_state_message(self, message_dict: dict) -> None:
        self._assert_line_requires(message_dict, requires={"value"})
        self.courier.state(
            bytes(msgspec.json.decode(self.message_reader.raw, type=_StateMessage).value)
        )

    def _handle_max_record_age(self) -> None:
        """Left to the courier."""

    def process_endofpipe(self) -> None:
        """Load the rest, let the last state out, and close the books."""
        try:
            self.courier.flush(wait=True, final=True)
            sinks = t.cast("list[PostgresSink]", list(self._sinks_active.values()))
            self.loader.finish(self.streams())
            for sink in sinks:
                sink.clean_up()
        finally:
            self.courier.close()

    def streams(self) -> list[Stream]:
        """Return the streams that have come so far."""
        sinks = t.cast("list[PostgresSink]", list(self._sinks_active.values()))
        return [sink.stream for sink in sinks]

    def _emit(self, state: bytes) -> None:
        if state != self._emitted:
            self._emitted = state
            sys.stdout.write(state.decode() + "\n")
            sys.stdout.flush()

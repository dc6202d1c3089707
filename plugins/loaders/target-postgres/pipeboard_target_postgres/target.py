"""The target: command line, messages, and the choice between fast and slow path of a stream."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import sys
import typing as t
import uuid
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
import simplejson
from singer_sdk.exceptions import ConfigValidationError, MappingError
from singer_sdk.mapper import CustomStreamMap, SameRecordTransform
from singer_sdk.singerlib.exceptions import InvalidInputLine
from target_postgres.target import TargetPostgres as StockTarget

from pipeboard_target_postgres import batch_files, errors, memory, report, settings
from pipeboard_target_postgres.connector import PostgresConnector
from pipeboard_target_postgres.dispatcher import BatchDispatcher, StuckError
from pipeboard_target_postgres.encoder import SURROGATE, dump
from pipeboard_target_postgres.loader import Loader
from pipeboard_target_postgres.merge import Counts
from pipeboard_target_postgres.metrics import Metrics
from pipeboard_target_postgres.ops import TABLES as OPS_TABLES
from pipeboard_target_postgres.ops import Entry, Ops
from pipeboard_target_postgres.reader import BlockReader
from pipeboard_target_postgres.sink import PostgresSink
from pipeboard_target_postgres.stream import UnsentRecords
from pipeboard_target_postgres.termination import STOP, Stopped

if t.TYPE_CHECKING:
    from singer_sdk.sinks import Sink

    from pipeboard_target_postgres.evolve import Table
    from pipeboard_target_postgres.stream import Stream


class _StateMessage(msgspec.Struct):
    value: msgspec.Raw


class _QuarantineStream:
    """Collects the records that the tap could not send, for the quarantine."""

    def __init__(self, name: str, counts: Counts) -> None:
        self.name, self.counts = name, counts
        self._entries: list[Entry] = []

    def add(self, record: t.Any) -> None:
        """Add the record of a message; values of another type are stored as text."""
        values = record if isinstance(record, dict) else {"record": record}
        key = values.get("key")
        self._entries.append(
            Entry(
                _text(values.get("stream")) or self.name,
                None if key is None else _json(key),
                _text(values.get("reason")) or "not given",
                _text(values.get("record")) or "",
            )
        )

    def take(self) -> UnsentRecords | None:
        """Return the collected records, and forget them; None if there are none."""
        entries, self._entries = self._entries, []
        return UnsentRecords(entries, self.counts) if entries else None


def _text(value: t.Any) -> str | None:
    return value if value is None or isinstance(value, str) else dump(value).decode()


def _json(value: t.Any) -> str:
    """Return JSON text as it is, and anything else as JSON text."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            json.loads(value)
            return value.replace("\\u0000", "\\ufffd")
    return dump(value).decode().replace("\\u0000", "\\ufffd")


def _stream_of(message: dict[str, t.Any]) -> str:
    """Return the name of a message's stream.

    Raises:
        InvalidInputLine: it has none, or one that PostgreSQL cannot store.
    """
    stream = message.get("stream")
    if not isinstance(stream, str) or not stream:
        raise InvalidInputLine(f"A {message.get('type')} message has no stream name.")
    if "\0" in stream or SURROGATE.search(stream):
        raise InvalidInputLine(f"A stream's name is no text that can be stored: {stream!r}")
    return stream


def _check_schema_message(message: dict[str, t.Any]) -> None:
    """Normalise a SCHEMA message: properties are objects, keys are unique names.

    Raises:
        InvalidInputLine: the message is not valid.
    """
    stream, schema = _stream_of(message), message.get("schema")
    if isinstance(schema, dict) and "properties" not in schema:
        raise InvalidInputLine(f"Line is missing required properties key(s): {schema}")
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        raise InvalidInputLine(
            f"The schema of stream {stream} has no properties: it must be an object that names "
            "each column."
        )
    # `true`, or a value that is not a schema, allows any value.
    schema["properties"] = {
        name: definition if isinstance(definition, dict) else {}
        for name, definition in schema["properties"].items()
    }
    keys = message.get("key_properties") or []
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise InvalidInputLine(f"key_properties of stream {stream} is no list of names: {keys!r}")
    message["key_properties"] = list(dict.fromkeys(keys))


def _transform(
    stream: str,
    apply: Callable[[dict[str, t.Any]], dict[str, t.Any] | None],
    record: dict[str, t.Any],
) -> dict[str, t.Any] | None:
    """Apply a stream map.

    Raises:
        MappingError: it cannot be applied to this record; the message has none of its values.
    """
    try:
        return apply(record)
    except (MappingError, MemoryError):
        raise
    except Exception as exc:
        raise MappingError(
            f"{type(exc).__name__} in the map of stream {stream}: a record has a value that an "
            "expression cannot take, for example a number where it expects text"
        ) from exc


class _StockConfigError(ConfigValidationError, AssertionError):
    """An error of the stock target's checks, as a configuration error."""


class TargetPostgres(StockTarget):
    """Singer target for PostgreSQL: meltanolabs-target-postgres, at the speed of COPY."""

    name = "target-postgres"
    package_name = "pipeboard-target-postgres"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = settings.config_jsonschema()
    default_sink_class = PostgresSink
    message_reader_class = BlockReader
    message_reader: BlockReader

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except AssertionError as exc:  # the stock target refuses a configuration so
            raise _StockConfigError(
                "Config validation failed", errors=[str(exc)], schema=self.config_jsonschema
            ) from exc
        connector = t.cast("PostgresConnector", self.target_connector)
        run_id = os.environ.get("PIPEBOARD_RUN_ID") or str(uuid.uuid4())
        ops = Ops(self.config["ops_schema"], run_id, self.config["bookkeeping_days"])
        self.metrics = Metrics(self.config.get("pushgateway_url"), self.logger)
        self.loader = Loader(
            connector, ops, settings.options(self.config), self.metrics, self.logger
        )
        self.dispatcher = BatchDispatcher(
            self.loader,
            self._sources,
            self._emit,
            self.config["batch_size_bytes"],
            float(self.config["batch_wait_seconds"]),
            self.logger,
        )
        reader = self.message_reader
        reader.register, reader.begin = self._register, self._begin
        reader.wait_seconds, reader.tick = self.dispatcher.wait_seconds, self.dispatcher.tick
        self._tables: dict[tuple[str, str], str] = {}
        self._counts: dict[str, Counts] = {}
        #: Records that a stream map filtered out, by stream.
        self._filtered: Counter[str] = Counter()
        self._passed_maps = False
        self._ended = False
        self._quarantine_stream: _QuarantineStream | None = None
        self._slow_streams: dict[str, str] = {}
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
            message = f"The configuration cannot be read: {errors.one_line(exc)}"
            cls.logger.error("%s", message)
            cls._write_report("failed", errors.EX_CONFIG, message, {})
            sys.exit(errors.EX_CONFIG)

    @classmethod
    def invoke(  # type: ignore[override] # as in the SDK's own target
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: t.Any = None,
        file_input: t.IO[str] | None = None,
    ) -> None:
        """Run from the command line; a `LoaderError` ends in one line without a traceback."""
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        # `main` has installed the handlers for the whole process; otherwise restore them here.
        borrowed = STOP.install()
        target: TargetPostgres | None = None
        where = "The database"
        outcome, code, message = "complete", 0, None
        defect: Exception | None = None
        stuck = False
        try:
            try:
                STOP.check()
                target = cls(
                    config=config.config if config else {},
                    parse_env_config=bool(config and config.parse_env),
                    validate_config=True,
                )
                connector = t.cast("PostgresConnector", target.target_connector)
                where = connector.where
                cls.logger.info("Connecting to %s.", where)
                target.dispatcher.call(target.loader.connect)
                target.listen(file_input)
            except Exception:
                memory.release_reserve()
                if target is not None:
                    target._finish_running_load()
                raise
        except Stopped as stopped:
            outcome, code, message = "interrupted", stopped.exit_code, str(stopped)
            cls.logger.info("%s: loading the records read so far, then stopping.", message)
            if target is not None:
                stuck, message = target._stop(stopped, where)
        except StuckError:
            stuck, outcome, code = True, "failed", errors.EX_UNAVAILABLE
            message = f"{where} does not answer, and a load cannot be cancelled; run again."
            cls.logger.error("%s", message)
        except Exception as exc:
            known = errors.explain(exc, where)
            outcome, code, message = "failed", 1, errors.one_line(exc)
            if known is None:
                defect = exc
            else:
                code, message = known.exit_code, str(known)
                cls.logger.error("%s", known)
        cls._write_report(outcome, code, message, target.results() if target else {})
        if target is not None and not stuck:
            target.metrics.push(target.streams())
            target.close()
        if stuck:
            # A thread that hangs in the database would prevent the interpreter's exit.
            os._exit(code)
        STOP.ignore()
        if borrowed:
            STOP.restore()
        if defect is not None:
            raise defect
        if code:
            sys.exit(code)

    @classmethod
    def _write_report(
        cls, outcome: str, code: int, message: str | None, streams: Mapping[str, Counts]
    ) -> None:
        """Write the loader report, if the environment names a file for it."""
        if path := os.environ.get(report.ENV_REPORT):
            try:
                report.write(path, outcome, code, message, streams)
            except OSError as exc:
                cls.logger.error("The loader report cannot be written: %s", exc)

    def _finish_running_load(self) -> None:
        """After a failure elsewhere, wait for the running load and its state."""
        try:
            self.dispatcher.join()
        except Exception as exc:
            self.logger.error("The running load failed, too: %s", errors.one_line(exc))

    def _stop(self, stopped: Stopped, where: str) -> tuple[bool, str]:
        """Load the records already read; return whether a load hangs, and a message."""
        try:
            self.dispatcher.stop(stopped)
        except StuckError:
            message = f"{stopped}; a load hangs and was abandoned, its state was not written"
            self.logger.error("%s.", message)
            return True, message
        except Exception as exc:
            reason = errors.explain(exc, where) or errors.one_line(exc)
            message = f"{stopped}; the last load failed, its state was not written: {reason}"
            self.logger.error("%s", message)
            return False, message
        self.logger.info("%s; all records read so far are loaded.", stopped)
        return False, str(stopped)

    def _setup_signal_handlers(self) -> None:
        """Leave signals to the command line; see `termination`."""

    def close(self) -> None:
        """Close the thread and all connections; listening again opens new ones."""
        self.dispatcher.close()

    # Messages

    def prepare_schema(self, name: str) -> None:
        """Create a schema once per run."""
        if name not in self._prepared_schemas:
            self.dispatcher.call(lambda: self.loader.prepare_schema(name))
            self._prepared_schemas.add(name)

    def prepare_table(
        self, schema: str, table: str, wanted: Mapping[str, str], keys: t.Sequence[str]
    ) -> Table:
        """Create a table or adapt it to a stream's schema; see `Evolution.prepare`."""
        self.dispatcher.join()
        if fits := self.loader.unchanged_table(schema, table, wanted, keys):
            return fits
        return t.cast(
            "Table",
            self.dispatcher.call(lambda: self.loader.prepare_table(schema, table, wanted, keys)),
        )

    def counts_of(self, stream: str) -> Counts:
        """Return the counts of a stream, the same ones for the whole run.

        They are under the tap's name of the stream, even if a stream map renames it.
        """
        sources = [
            source
            for source, maps in self.mapper.stream_maps.items()
            if len(maps) == 1 and maps[0].stream_alias == stream
        ]
        return self._counts.setdefault(sources[0] if len(sources) == 1 else stream, Counts())

    def results(self) -> dict[str, Counts]:
        """Return the counts of each stream so far."""
        results = {name: dataclasses.replace(counts) for name, counts in self._counts.items()}
        for name, filtered in self._filtered.items():
            results.setdefault(name, Counts()).add(Counts(read=filtered, filtered=filtered))
        return results

    def _sources(self) -> list[t.Any]:
        quarantine = self._quarantine_stream
        return [*self._sinks_active.values(), *([] if quarantine is None else [quarantine])]

    def note_slow_path(self, stream: str, why: str) -> None:
        """Log, once per stream, why its records take the slow path through the SDK."""
        if stream not in self._slow_streams:
            self._slow_streams[stream] = why
            self.logger.info("%s takes the slow path through the SDK: %s.", stream, why)

    def _reason(self, stream: str) -> str | None:
        """Return why a stream's records must take the slow path; None for the fast path."""
        if self.config.get("validate_records"):
            return "validate_records is on"
        maps = self.mapper.stream_maps.get(stream, [])
        if len(maps) != 1 or type(maps[0]) is not SameRecordTransform:
            return "a stream map applies to it"
        if maps[0].flattening_enabled:
            return "flattening is on"
        return None

    def _register(self, line: bytes, message: dict[str, t.Any]) -> None:
        """Register the fast path for lines that begin like this one, if its stream may use it."""
        stream = message.get("stream")
        if not isinstance(stream, str) or stream not in self._sinks_active:
            return
        reason = self._reason(stream)
        if reason:
            self.note_slow_path(stream, reason)
            return
        sink = t.cast("PostgresSink", self._sinks_active[stream])
        prefix = line[: line.find(b'"record"', 0, 300)]
        if f'"{stream}"'.encode() in prefix:
            self.message_reader.encoders[prefix] = sink.add
        else:
            self.note_slow_path(stream, "its messages do not begin with the stream's name")

    def _process_schema_message(self, message_dict: dict[str, t.Any]) -> None:
        """Ignore a repeated schema; pass a new one to the SDK."""
        _check_schema_message(message_dict)
        stream, line = message_dict["stream"], self.message_reader.raw
        if stream == self.config.get("quarantine_stream"):
            self._quarantine_stream = self._quarantine_stream or _QuarantineStream(
                stream, self.counts_of(stream)
            )
            return
        if self._schemas.get(stream) != line:
            super()._process_schema_message(message_dict)
            for stream_map in self.mapper.stream_maps[stream]:
                if isinstance(stream_map, CustomStreamMap):
                    transform = functools.partial(_transform, stream, stream_map.transform)
                    setattr(stream_map, "transform", transform)  # noqa: B010
            self._schemas[stream] = line

    def _process_record_message(self, message_dict: dict[str, t.Any]) -> None:
        """Load a record that did not take the fast path."""
        quarantine = self._quarantine_stream
        if quarantine is not None and message_dict.get("stream") == quarantine.name:
            quarantine.add(message_dict.get("record"))
            self.dispatcher.add(len(self.message_reader.raw))
            return
        sink = self._sinks_active.get(_stream_of(message_dict))
        if sink is not None and not isinstance(message_dict.get("record"), dict):
            t.cast("PostgresSink", sink).refuse(
                self.message_reader.raw, "Record is no JSON object, or nested too deeply"
            )
            return
        self._passed_maps = False
        super()._process_record_message(message_dict)
        if not self._passed_maps:
            self._filtered[message_dict["stream"]] += 1

    def note_passed_maps(self) -> None:
        """Record that the stream maps have passed the current record."""
        self._passed_maps = True

    def get_sink(
        self,
        stream_name: str,
        *,
        record: dict[str, t.Any] | None = None,
        schema: dict[str, t.Any] | None = None,
        key_properties: t.Sequence[str] | None = None,
    ) -> Sink:
        """Return the stream's sink; for a new schema, load the old sink's rows and replace it."""
        old = self._sinks_active.get(stream_name)
        if schema is None or old is None:
            return super().get_sink(
                stream_name, record=record, schema=schema, key_properties=key_properties
            )
        self.dispatcher.flush(wait=True)
        self.message_reader.encoders.clear()
        new = super().get_sink(
            stream_name, record=record, schema=schema, key_properties=key_properties
        )
        if new is not old:
            t.cast("PostgresSink", new).stream.continue_from(t.cast("PostgresSink", old).stream)
            old.clean_up()
            self._sinks_to_clear.clear()
        return new

    def _process_state_message(self, message_dict: dict[str, t.Any]) -> None:
        self._assert_line_requires(message_dict, requires={"value"})
        try:
            value = bytes(msgspec.json.decode(self.message_reader.raw, type=_StateMessage).value)
        except msgspec.MsgspecError:  # NaN or a lone surrogate: write it unchanged
            value = simplejson.dumps(
                message_dict["value"], use_decimal=True, allow_nan=True
            ).encode()
        self.dispatcher.state(value)

    def _process_activate_version_message(self, message_dict: dict[str, t.Any]) -> None:
        """Check the message, then mark the rows that the full scan did not return."""
        stream, version = _stream_of(message_dict), message_dict.get("version")
        if stream not in self.mapper.stream_maps:
            raise InvalidInputLine(f"ACTIVATE_VERSION of stream {stream} before its SCHEMA.")
        if not isinstance(version, int) or isinstance(version, bool):
            raise InvalidInputLine(
                f"ACTIVATE_VERSION of stream {stream} has no number as its version: {version!r}"
            )
        super()._process_activate_version_message(message_dict)

    def _process_batch_message(self, message_dict: dict[str, t.Any]) -> None:
        """Load the records of BATCH files like RECORD messages.

        So stream maps, flattening and validation apply to them, unlike in the SDK.
        """
        stream = _stream_of(message_dict)
        if stream not in self.mapper.stream_maps:
            raise InvalidInputLine(f"BATCH of stream {stream} before its SCHEMA.")
        self.note_slow_path(stream, "it sends BATCH messages")
        for record in batch_files.records(message_dict, self.config.get("batch_config")):
            self._process_record_message({"type": "RECORD", "stream": stream, "record": record})
            STOP.check()

    def own_table(self, stream: str, schema: str, table: str) -> None:
        """Record which stream owns a table.

        Raises:
            ConfigurationError: another stream of this run owns it, or it is the loader's own table.
        """
        if schema == self.config["ops_schema"] and table in OPS_TABLES:
            raise errors.ConfigurationError(
                f"Stream {stream} goes to table {schema}.{table}, which is the loader's own. Set "
                "ops_schema or default_target_schema to another name."
            )
        owner = self._tables.setdefault((schema, table), stream)
        if owner != stream:
            alias = stream.replace("-", "_")
            maps = json.dumps({stream: {"__alias__": alias if alias != table else alias + "_2"}})
            raise errors.ConfigurationError(
                f"Streams {owner} and {stream} both go to table {schema}.{table} (the part after "
                "the last hyphen is the table's name), and would overwrite each other's rows. "
                f"Rename one of them by the setting stream_maps: {maps}"
            )

    def _handle_max_record_age(self) -> None:
        """Do nothing: the dispatcher limits the age of records."""

    def _begin(self) -> None:
        """Forget the schemas of an input that has ended."""
        if self._ended:
            self._ended = False
            self._sinks_active.clear()
            self._tables.clear()
            self._schemas.clear()
            self.message_reader.encoders.clear()
            self.setup_mapper()

    def process_endofpipe(self) -> None:
        """Load the remaining records, write the last state, and record the end of the input."""
        self.dispatcher.flush(wait=True, final=True)
        streams = self.streams()
        self.dispatcher.call(lambda: self.loader.finish(streams))
        for sink in self._sinks_active.values():
            sink.clean_up()
        self.close()
        self._ended = True

    def streams(self) -> list[Stream]:
        """Return the streams that had a SCHEMA message so far."""
        sinks = t.cast("list[PostgresSink]", list(self._sinks_active.values()))
        return [sink.stream for sink in sinks]

    def _emit(self, state: bytes) -> None:
        if state != self._emitted:
            self._emitted = state
            sys.stdout.write(state.decode() + "\n")
            sys.stdout.flush()

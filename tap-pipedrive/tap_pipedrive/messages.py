"""Write Singer messages with msgspec instead of the standard library, a page at a time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.helpers._state import StateWriter
from singer_sdk.singerlib.encoding.simple import Message, RecordMessage, SchemaMessage

_ENCODER = msgspec.json.Encoder()


class PageWriter(MsgSpecWriter):
    """A message writer that flushes at states, not at every record."""

    def __init__(self) -> None:
        """Start with no record sent."""
        super().__init__()
        #: Records sent, by the name of the stream in their messages.
        self.sent: Counter[str] = Counter()

    def write_message(self, message: Message) -> None:
        """Write one message; records stay in the buffer until the next state."""
        out = sys.stdout.buffer
        if isinstance(message, SchemaMessage):
            # The SDK copies the schema value by value to encode it.
            fields = {
                "type": "SCHEMA",
                "stream": message.stream,
                "schema": message.schema,
                "key_properties": message.key_properties,
                "bookmark_properties": message.bookmark_properties,
            }
            given = {name: value for name, value in fields.items() if value is not None}
            out.write(_ENCODER.encode(given) + b"\n")
        else:
            out.write(self.format_message(message))
        if isinstance(message, RecordMessage):
            self.sent[message.stream] += 1
        else:
            out.flush()

    def write_state(self, state: bytes) -> None:
        """Write a STATE message with this JSON text, after all records before it."""
        out = sys.stdout.buffer
        out.write(b'{"type":"STATE","value":%b}\n' % state)
        out.flush()

    def write_page(
        self,
        stream: str,
        records: Sequence[Any],
        extracted: datetime,
        version: int | None = None,
    ) -> None:
        """Write the RECORD messages of a page whose records are sent unchanged.

        Args:
            stream: the stream of the records.
            records: dictionaries, or structs that encode to the same JSON.
            extracted: the time when they were read.
            version: the stream's version, None without one.

        """
        encode = _ENCODER.encode
        head = b'{"type":"RECORD","stream":%b,"time_extracted":%b,%b"record":' % (
            encode(stream),
            encode(extracted.isoformat()),
            b"" if version is None else b'"version":%d,' % version,
        )
        lines = (b"}\n" + head).join(map(encode, records))
        sys.stdout.buffer.write(b"%b%b}\n" % (head, lines))
        self.sent[stream] += len(records)


class ChangedStateWriter(StateWriter):
    """Writes a state that has changed; the SDK copies the whole state each time to know that."""

    def __init__(self, writer: PageWriter) -> None:
        """Start with no state written."""
        super().__init__(writer)
        self._writer = writer
        self._written: bytes | None = None

    def write_state(self, state: Any) -> None:
        """Write a STATE message, unless it is the one that was written last."""
        text = _ENCODER.encode(state)
        if text != self._written:
            self._writer.write_state(text)
            self._written = text

"""Write Singer messages: msgspec instead of the standard library, and a page at a time."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib.encoding.simple import Message


class PageWriter(MsgSpecWriter):
    """A message writer that flushes where it matters: at states, not at every record."""

    def write_message(self, message: Message) -> None:
        """Write one message; records wait in the buffer for the next state."""
        out = sys.stdout.buffer
        out.write(self.format_message(message))
        if message.type != "RECORD":
            out.flush()

    def write_page(
        self,
        stream: str,
        records: list[dict[str, Any]],
        extracted: datetime,
        version: int | None = None,
    ) -> None:
        """Write the RECORD messages of a page whose records need no further treatment."""
        encode = msgspec.json.encode
        head = b'{"type":"RECORD","stream":%b,"time_extracted":%b,%b"record":' % (
            encode(stream),
            encode(extracted.isoformat()),
            b"" if version is None else b'"version":%d,' % version,
        )
        sys.stdout.buffer.write(b"".join([b"%b%b}\n" % (head, encode(r)) for r in records]))

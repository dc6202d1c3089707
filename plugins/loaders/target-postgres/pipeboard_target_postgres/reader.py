"""Reads messages as blocks of lines, and calls `tick` while it waits."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import select
import sys
import typing as t
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from singer_sdk.singerlib.encoding.base import GenericSingerReader
from singer_sdk.singerlib.exceptions import InvalidInputLine
from singer_sdk.singerlib.json import deserialize_json

_BLOCK = 1 << 20
_LINES_PER_BLOCK = 256
#: Longest wait for input before `tick`, which handles signals.
_POLL_SECONDS = 0.2
#: Linux only: with a larger pipe buffer, tap and target run in parallel instead of in turn.
_F_SETPIPE_SZ = 1031
_RECORD = re.compile(rb'"type"\s*:\s*"RECORD"')
_STREAM = re.compile(rb'"stream"\s*:\s*"([^"\\]*)"')


class BlockReader(GenericSingerReader[bytes]):
    """Reads lines as bytes and passes most RECORD messages directly to encoders.

    Attributes:
        encoders: beginning of a line up to `"record"` -> function that loads such lines; it returns
            False for a line of another stream.
        register: called with each RECORD message that no encoder accepted; may add an encoder.
        wait_seconds: how long to wait for input before `tick`; None means no limit.
        tick: called between blocks.
        begin: called before the first block.
    """

    default_input = property(lambda _: sys.stdin.buffer)

    def __init__(self) -> None:
        super().__init__()
        self.encoders: dict[bytes, Callable[[bytes], bool]] = {}
        self.register: Callable[[bytes, dict[str, t.Any]], None] = lambda _prefix, _message: None
        self.wait_seconds: Callable[[], float | None] = lambda: None
        self.tick: Callable[[], None] = lambda: None
        self.begin: Callable[[], None] = lambda: None
        self.raw: bytes = b""

    def deserialize_json(self, line: bytes) -> dict[str, t.Any]:
        """Decode a line as the SDK does: floats as Decimal.

        Raises:
            InvalidInputLine: the line is not JSON.
        """
        text = line[:200].decode(errors="replace")
        try:
            return deserialize_json(line)
        except RecursionError as exc:
            # The beginning of the line names the stream; the record goes to the quarantine.
            if _RECORD.search(line, 0, 300) and (stream := _STREAM.search(line, 0, 300)):
                return {"type": "RECORD", "stream": stream[1].decode(errors="replace")}
            raise InvalidInputLine(f"A line is nested too deeply: {text!r}") from exc
        except ValueError as exc:
            raise InvalidInputLine(f"Unable to parse line as JSON: {text!r} ({exc})") from exc

    def process_lines(
        self,
        file_input: t.IO[t.Any] | None,
        callbacks: dict[str, t.Callable[[dict[str, t.Any]], None]],
    ) -> Counter[str]:
        """Read to the end of the input; see the SDK for the arguments."""
        stats: Counter[str] = Counter()
        self.begin()
        for block in self._blocks(file_input):
            self._take(block, callbacks, stats)
            self.tick()
        return stats

    def _take(
        self,
        block: Iterable[bytes],
        callbacks: dict[str, t.Callable[[dict[str, t.Any]], None]],
        stats: Counter[str],
    ) -> None:
        encoders, fast = self.encoders, 0
        for line in block:
            encode = encoders.get(line[: line.find(b'"record"', 0, 300)])
            if encode is not None and encode(line):
                fast += 1
                continue
            if not line.strip():
                continue
            self.raw = line
            message = self.deserialize_json(line)
            if not isinstance(message, dict) or "type" not in message:
                raise InvalidInputLine(
                    f"Line is missing required type key(s): {line[:200].decode(errors='replace')}"
                )
            kind = message["type"]
            if kind == "RECORD":
                self.register(line, message)
                encode = encoders.get(line[: line.find(b'"record"', 0, 300)])
                if encode is not None and encode(line):
                    fast += 1
                    continue
            callback = callbacks.get(kind) if isinstance(kind, str) else None
            if callback is None:
                raise InvalidInputLine(f"Unknown message type {kind!r}.")
            callback(message)
            stats[kind] += 1
        stats["RECORD"] += fast

    def _blocks(self, file_input: t.IO[t.Any] | None) -> Iterator[Iterable[bytes]]:
        source: t.Any = file_input or self.default_input
        source = getattr(source, "buffer", source)
        try:
            descriptor = source.fileno()
        except (AttributeError, io.UnsupportedOperation):
            lines = iter(source)
            while block := list(itertools.islice(lines, _LINES_PER_BLOCK)):
                yield [x.encode() if isinstance(x, str) else x for x in block]
            return
        yield from self._descriptor_blocks(descriptor)

    def _descriptor_blocks(self, descriptor: int) -> Iterator[Iterable[bytes]]:
        if sys.platform == "linux":  # pragma: no branch: macOS has no such call
            import fcntl

            with contextlib.suppress(OSError):  # not a pipe, or not allowed: only slower
                fcntl.fcntl(descriptor, _F_SETPIPE_SZ, _BLOCK)
        pieces: list[bytes] = []
        while True:
            self._await(descriptor)
            data = os.read(descriptor, _BLOCK)
            end = data.rfind(b"\n")
            if end < 0:
                pieces.append(data)
                if data:
                    continue
                rest = b"".join(pieces)
                if rest:
                    yield [rest]
                return
            pieces.append(data[:end])
            block = b"".join(pieces).split(b"\n")
            pieces = [data[end + 1 :]]
            yield block

    def _await(self, descriptor: int) -> None:
        """Return when there is input; call `tick` while waiting, which loads old batches."""
        while os.name == "posix":  # pragma: no branch: Windows can select sockets only
            seconds = self.wait_seconds()
            wait = _POLL_SECONDS if seconds is None else min(seconds, _POLL_SECONDS)
            if select.select([descriptor], [], [], wait)[0]:
                return
            self.tick()

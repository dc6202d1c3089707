"""Output: for people on a terminal or in plain lines, or as JSON lines for a log system."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TextIO

from pipeboard.errors import ExitCode, PipeboardError

QUIET_SECONDS = 15.0
#: An escape sequence of a terminal, as it is or inside JSON.
ANSI = re.compile(r"(?:\x1b|(?<!\\)\\u001[bB])\[[0-9;]*[A-Za-z]")


class Console:
    """Headings, tables and one line of progress."""

    #: Whether a person reads the output, and wants tables and results too.
    for_people = True

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        self.tty = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.colour = self.tty and not os.environ.get("NO_COLOR")
        self._progress_shown = False
        self._last_plain = 0.0
        self._last_text = ""
        #: Fields of every JSON line, such as the id of the run.
        self.context: dict[str, object] = {}

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.clear()
        self.out.write(f"{text}\n")
        self.out.flush()

    def heading(self, text: str) -> None:
        """Write a heading."""
        self.line()
        self.line(self.paint(text, "1"))

    def note(self, name: str, text: str) -> None:
        """Write one step: what, and how it went."""
        self.line(f"{name:<13} {text}")

    def paint(self, text: str, code: str) -> str:
        """Colour a text if the terminal shows colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def good(self, text: str) -> str:
        """Colour a success."""
        return self.paint(text, "32")

    def bad(self, text: str) -> str:
        """Colour a failure."""
        return self.paint(text, "31")

    def progress(self, name: str, text: str, seconds: float) -> None:
        """Show progress: one line that is rewritten on a terminal, else a line every 15 seconds."""
        clock = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
        if self.tty:
            width = shutil.get_terminal_size().columns - 1
            self.out.write(f"\r\x1b[K{f'{name:<13} {clock}  {text}'[:width]}")
            self.out.flush()
            self._progress_shown = True
            return
        now = time.monotonic()
        if now - self._last_plain >= QUIET_SECONDS and text != self._last_text:
            self._last_plain, self._last_text = now, text
            self.line(f"{name:<13} {clock}  {text}")

    def clear(self) -> None:
        """Remove the progress line."""
        if self._progress_shown:
            self.out.write("\r\x1b[K")
            self._progress_shown = False

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write an aligned table; numbers to the right."""
        shown = [[_text(cell) for cell in row] for row in rows]
        right = [
            all(isinstance(row[i], int | float) or row[i] is None for row in rows)
            for i in range(len(header))
        ]
        widths = [
            max(len(header[i]), *(len(row[i]) for row in shown)) if shown else len(header[i])
            for i in range(len(header))
        ]
        for cells, style in ((list(header), "2"), *((row, "") for row in shown)):
            parts = [
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(cells, widths, right, strict=True)
            ]
            text = ("  " + "  ".join(parts)).rstrip()
            self.line(self.paint(text, style) if style else text)

    def event(self, event: str, /, **facts: object) -> None:
        """Write an event for a log system; on a terminal other lines say it."""

    def pass_on(self, line: str) -> None:
        """Pass on a line of a watched program; for people it is only in the log file."""


class JsonConsole(Console):
    """One JSON object per line, without headings and tables."""

    for_people = False

    def __init__(self, out: TextIO | None = None) -> None:
        super().__init__(out)
        self.tty = self.colour = False

    def event(self, event: str, /, **facts: object) -> None:
        """Write an event and its facts as one object."""
        self._write({"event": event, "level": "info", **facts})

    def line(self, text: str = "") -> None:
        """Write a line as an event; empty lines are left out."""
        if text.strip():
            self.event(text.strip())

    def heading(self, text: str) -> None:
        """Write nothing: headings are for people."""

    def note(self, name: str, text: str) -> None:
        """Write one step as an event."""
        self.event(text, topic=name)

    def progress(self, name: str, text: str, seconds: float) -> None:
        """Write the progress every 15 seconds."""
        now = time.monotonic()
        if now - self._last_plain >= QUIET_SECONDS and text != self._last_text:
            self._last_plain, self._last_text = now, text
            self.event("progress", job=name, progress=text, seconds=round(seconds))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write nothing: tables are for people."""

    def pass_on(self, line: str) -> None:
        """Write a line of a watched program: an object as it is, text as an event."""
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        self._write(found if isinstance(found, dict) else {"event": line.rstrip(), "level": "info"})

    def _write(self, entry: dict[str, Any]) -> None:
        time_now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        entry = {"timestamp": time_now, **entry, **self.context}
        # Other programs' colours are for terminals.
        text = ANSI.sub("", json.dumps(entry, default=str, ensure_ascii=False))
        self.out.write(f"{text}\n")
        self.out.flush()


def console_for(environ: Mapping[str, str], out: TextIO | None = None) -> Console:
    """Return the console that PIPEBOARD_LOG_FORMAT names, else the one that fits the output.

    In Kubernetes that is a log system, unless there is a terminal.
    """
    requested = environ.get("PIPEBOARD_LOG_FORMAT", "")
    if requested not in ("", "json", "text"):
        what = f"PIPEBOARD_LOG_FORMAT is {requested!r}"
        raise PipeboardError(what, "Write json or text", ExitCode.CONFIGURATION)
    plain = Console(out)
    in_cluster = "KUBERNETES_SERVICE_HOST" in environ and not plain.tty
    return JsonConsole(out) if requested == "json" or (in_cluster and not requested) else plain


def _text(cell: object) -> str:
    """Return a cell as people read it."""
    if cell is None:
        return "-"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    return str(cell)

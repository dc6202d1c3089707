"""Words on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

QUIET_SECONDS = 15.0


class Console:
    """Headings, tables and one line of progress."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        self.tty = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.colour = self.tty and not os.environ.get("NO_COLOR")
        self._progress_shown = False
        self._last_plain = 0.0
        self._last_text = ""

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
        """Colour a text where colours are seen."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def good(self, text: str) -> str:
        return self.paint(text, "32")

    def bad(self, text: str) -> str:
        return self.paint(text, "31")

    def progress(self, name: str, text: str, seconds: float) -> None:
        """Show what goes on: rewritten on a terminal, now and then a line anywhere else."""
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
        """Take the progress line away."""
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


def _text(cell: object) -> str:
    """Return a cell as people read it."""
    if cell is None:
        return "-"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    return str(cell)

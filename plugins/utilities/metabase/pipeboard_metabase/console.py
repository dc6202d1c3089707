"""Messages: one line per step, in colour on a terminal."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_COLOURS = {"+": "32", "~": "33", "-": "31", "good": "32", "bad": "31"}


class Console:
    """Lines on a stream."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        tty = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.colour = tty and not os.environ.get("NO_COLOR")

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.out.write(f"{text}\n")
        self.out.flush()

    def note(self, name: str, text: str) -> None:
        """Write one step: what, and how it went."""
        self.line(f"{name:<13} {text}")

    def paint(self, text: str, how: str) -> str:
        """Colour a text by what it means."""
        return f"\x1b[{_COLOURS[how]}m{text}\x1b[0m" if self.colour else text

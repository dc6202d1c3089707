"""Logs on stderr: plain lines, JSON lines, and a progress line on a terminal.

The SDK owns the logging configuration. Plain lines are its default; ``logging.yaml`` beside
this file makes them JSON, each with the run, stream, page and attempt it belongs to.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import uuid
from collections.abc import Iterable
from importlib import resources

import structlog
from structlog.contextvars import bind_contextvars

#: Seconds between two updates of the progress line.
PROGRESS_SECONDS = 0.5

_secrets: set[str] = set()


def hide(*values: str | None) -> None:
    """Keep these values out of every log line from now on."""
    _secrets.update(value for value in values if value and len(value) >= 6)


class SecretFilter(logging.Filter):
    """Replaces secrets in every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message; never suppress it."""
        message = record.getMessage()
        for secret in _secrets:
            if secret in message:
                message = message.replace(secret, "***")
                record.msg, record.args = message, ()
        return True


def json_formatter() -> logging.Formatter:
    """Format log records as JSON, with their context."""
    shared: Iterable[structlog.typing.Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=list(shared),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(default=str),
        ],
    )


def prepare() -> None:
    """Choose the format before the SDK configures logging, and set the id of this run.

    ``PIPEBOARD_LOG_FORMAT=json`` selects JSON; ``PIPEBOARD_RUN_ID`` is the id of the run.
    """
    if os.environ.get("PIPEBOARD_LOG_FORMAT") == "json":
        config = resources.files("tap_pipedrive").joinpath("logging.yaml")
        os.environ.setdefault("SINGER_SDK_LOG_CONFIG", str(config))
    bind_contextvars(run_id=os.environ.get("PIPEBOARD_RUN_ID") or uuid.uuid4().hex[:12])


def watch_for_secrets() -> None:
    """Redact secrets on every handler."""
    for handler in logging.getLogger().handlers:
        if not any(isinstance(f, SecretFilter) for f in handler.filters):
            handler.addFilter(SecretFilter())


class Progress:
    """One line per stream on a terminal, updated in place; no output elsewhere."""

    def __init__(self) -> None:
        """Check once whether stderr is a terminal."""
        self._shown = sys.stderr.isatty()
        self._last = 0.0
        self._begun = time.monotonic()

    def update(self, stream: str, records: int, calls: int, *, done: bool = False) -> None:
        """Show the progress of a stream; the last update ends the line."""
        now = time.monotonic()
        if not self._shown or (now - self._last < PROGRESS_SECONDS and not done):
            return
        self._last = now
        line = f"{stream:<24} {records:>10,} records {calls:>7,} calls {now - self._begun:>6.0f} s"
        sys.stderr.write(f"\r\x1b[2K{line}" + ("\n" if done else ""))
        sys.stderr.flush()

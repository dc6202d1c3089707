"""Runs of the tap in this process, with their parsed output."""

from __future__ import annotations

import copy
import io
import json
import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tap_pipedrive.tap import TapPipedrive

_TAPS_OWN = Path(__file__).parents[2] / ".pipeboard" / "env" / "tap" / "bin" / "python"
#: Runs the tap as a process: in its own environment, with its pins. The environment of the tests
#: has packages that the SDK imports where it finds them, and starts the tap in twice the time.
#: `make coverage` measures processes of the environment of the tests only.
PYTHON = sys.executable
if _TAPS_OWN.exists() and "COVERAGE_FILE" not in os.environ:
    PYTHON = str(_TAPS_OWN)
#: What lets `make coverage` measure a process.
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}


@dataclass
class Output:
    """The Singer messages of one run, by type and stream."""

    records: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    schemas: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    record_versions: set[tuple[str, int | None]] = field(default_factory=set)
    batches: list[dict[str, Any]] = field(default_factory=list)
    order: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def state(self) -> dict[str, Any]:
        """The last state."""
        return self.states[-1] if self.states else {}

    @classmethod
    def parse(cls, lines: bytes) -> Output:
        """Read JSON lines."""
        output = cls()
        for line in lines.splitlines():
            message = json.loads(line)
            output.order.append((message["type"], message.get("stream")))
            if message["type"] == "RECORD":
                assert message["stream"] in output.schemas, "a RECORD before its SCHEMA"
                output.records[message["stream"]].append(message["record"])
                output.record_versions.add((message["stream"], message.get("version")))
            elif message["type"] == "BATCH":
                assert message["stream"] in output.schemas, "a BATCH before its SCHEMA"
                output.batches.append(message)
            elif message["type"] == "ACTIVATE_VERSION":
                output.versions[message["stream"]] = message["version"]
            elif message["type"] == "SCHEMA":
                output.schemas[message["stream"]] = message
            elif message["type"] == "STATE":
                output.states.append(message["value"])
        return output


def run_tap(
    config: dict[str, Any],
    state: dict[str, Any] | None = None,
    only: set[str] | None = None,
    catalog: dict[str, Any] | None = None,
) -> Output:
    """Run the tap in this process, all streams or only some, and return its output."""
    real = sys.stdout
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        tap = TapPipedrive(config=config, state=copy.deepcopy(state or {}), catalog=catalog)
        if only is not None:
            for stream in tap.streams.values():
                stream.selected = stream.name in only
        try:
            tap.run()
        finally:
            sys.stdout.flush()
            written = sys.stdout.buffer.getvalue()  # type: ignore[attr-defined]
            run_tap.last = Output.parse(written)  # type: ignore[attr-defined]
    finally:
        sys.stdout = real
    return run_tap.last  # type: ignore[attr-defined]

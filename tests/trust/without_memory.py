"""Runs the tap or the loader, and takes the memory of its process at the moment of a phase.

    python without_memory.py PROGRAM PHASE STREAMS ARGUMENTS...

With the phase `never` nothing is taken. The tap reads these streams only, with commas between them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).resolve().parents[2] / "tap-pipedrive" / "tests"))

from moments import at_a_load, is_call_of
from short_of_memory import take_all_memory


def run_tap(phase: str, streams: list[str]) -> None:
    """Run the tap; at a call of the phase it loses its memory."""
    from tap_pipedrive import tap
    from tap_pipedrive.api.deadline import DeadlineAdapter
    from tap_pipedrive.main import main

    send = DeadlineAdapter.send
    calls = 0

    def sending(self: DeadlineAdapter, request: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if phase != "never" and is_call_of(phase, calls, urlsplit(request.url).path):
            take_all_memory()
        return send(self, request, *arguments, **more)

    DeadlineAdapter.send = sending  # type: ignore[method-assign]
    tap.STREAMS = [stream for stream in tap.STREAMS if stream.name in streams]
    main()


def run_loader(phase: str) -> None:
    """Run the loader; at a load of the phase it loses its memory."""
    from pipeboard_target_postgres.main import main

    with at_a_load(phase, take_all_memory):
        main()


if __name__ == "__main__":
    program, phase, streams, *arguments = sys.argv[1:]
    sys.argv = [program, *arguments]
    if program == "tap":
        run_tap(phase, streams.split(","))
    else:
        run_loader(phase)

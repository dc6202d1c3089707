"""The command line: the SDK's, with each failure as one line and an exit code."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from tap_pipedrive import memory
from tap_pipedrive.errors import OutOfMemoryError, ReaderGoneError, TapError


def main() -> None:
    """Run ``tap-pipedrive``; exit with the code of the failure, if there is one."""
    try:
        _run()
    except MemoryError:  # before or after a run, which explains its own
        memory.release_reserve()
        _fail(OutOfMemoryError())


def _run() -> None:
    # Objects that imports create are permanent: collecting garbage costs a tenth of the start.
    gc.disable()
    from tap_pipedrive import termination

    memory.limit_arenas()
    # Before the slow imports: a signal during them ends the process like a later one.
    termination.end_at_once()
    from singer_sdk.exceptions import MappingError

    from tap_pipedrive import logs
    from tap_pipedrive.tap import TapPipedrive

    gc.freeze()
    gc.enable()
    logs.prepare()
    try:
        TapPipedrive.cli()
    except TapError as error:
        if isinstance(error, ReaderGoneError):  # otherwise Python fails to flush its output at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(error)
    except MappingError as error:  # the SDK's, for stream maps
        sys.stderr.write(f"tap-pipedrive: stream_maps: {error}\n")
        sys.exit(78)
    except termination.TerminationRequested as error:
        sys.stderr.write(f"tap-pipedrive: {error}\n")
        sys.stderr.flush()
        # Not sys.exit: Python would wait for threads whose calls have not ended.
        os._exit(error.exit_code)


def _fail(error: TapError) -> NoReturn:
    sys.stderr.write(f"tap-pipedrive: {error}\n")
    sys.exit(error.exit_code)

"""The command line: the SDK's, with failures as one clear line and a meaningful exit code."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run ``tap-pipedrive``; exits with the code of the failure, if any."""
    # What imports make is there to stay: looking through it for garbage costs a tenth of a start.
    gc.disable()
    from tap_pipedrive import logs, termination
    from tap_pipedrive.errors import TapError
    from tap_pipedrive.tap import TapPipedrive

    gc.freeze()
    gc.enable()
    logs.prepare()
    termination.end_at_once()
    try:
        TapPipedrive.cli()
    except TapError as error:
        sys.stderr.write(f"tap-pipedrive: {error}\n")
        sys.exit(error.exit_code)
    except termination.TerminationRequested as error:
        sys.stdout.flush()
        sys.stderr.write(f"tap-pipedrive: {error}\n")
        sys.stderr.flush()
        # Not sys.exit: Python would wait for threads whose calls are still under way.
        os._exit(error.exit_code)


if __name__ == "__main__":
    main()

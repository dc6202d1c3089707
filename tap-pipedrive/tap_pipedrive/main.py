"""The command line: the SDK's, with failures as one clear line and a meaningful exit code."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run ``tap-pipedrive``; exits with the code of the failure, if any."""
    # What imports make is there to stay: looking through it for garbage costs a tenth of a start.
    gc.disable()
    from tap_pipedrive import logs
    from tap_pipedrive.errors import TapError
    from tap_pipedrive.tap import TapPipedrive

    gc.freeze()
    gc.enable()
    logs.prepare()
    try:
        TapPipedrive.cli()
    except TapError as error:
        sys.stderr.write(f"tap-pipedrive: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

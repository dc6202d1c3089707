"""The command `target-postgres`."""

import gc
import sys

from pipeboard_target_postgres.memory import EX_UNAVAILABLE, OUT_OF_MEMORY, release_reserve
from pipeboard_target_postgres.termination import STOP

#: Interval of switching between the reading thread and the thread that writes to PostgreSQL. With
#: Python's default of 5 ms the server waits between two writes, a twentieth of a first load.
SWITCH_SECONDS = 0.0005


def main() -> None:
    """Run the target from the command line."""
    try:
        _run()
    # Before or after a load, which explains its own.
    except MemoryError:  # pragma: no cover: without memory, what is reached cannot be written down
        release_reserve()
        sys.stderr.write(f"target-postgres: {OUT_OF_MEMORY}\n")
        sys.exit(EX_UNAVAILABLE)


def _run() -> None:
    # Before the slow imports, so that a signal during them is handled like a later one.
    STOP.install()
    sys.setswitchinterval(SWITCH_SECONDS)
    # Objects made by imports stay: collecting garbage among them costs a tenth of the start.
    gc.disable()
    from pipeboard_target_postgres.target import TargetPostgres

    gc.freeze()
    gc.enable()
    TargetPostgres.cli()

"""The command."""

import gc
import sys

from pipeboard_target_postgres.termination import STOP

#: Seconds after which reading lets the thread that feeds PostgreSQL have its turn. With Python's
#: own 5 ms the server waits between two writes: a twentieth of a first load.
SWITCH_SECONDS = 0.0005


def main() -> None:
    """Run the target from the command line."""
    # Before anything slow: a signal that comes during the imports ends the run as a later one does.
    STOP.install()
    sys.setswitchinterval(SWITCH_SECONDS)
    # What imports make is there to stay: looking through it for garbage costs a tenth of a start.
    gc.disable()
    from pipeboard_target_postgres.target import TargetPostgres

    gc.freeze()
    gc.enable()
    TargetPostgres.cli()

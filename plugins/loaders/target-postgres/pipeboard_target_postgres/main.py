"""The command."""

import gc


def main() -> None:
    """Run the target from the command line."""
    # What imports make is there to stay: looking through it for garbage costs a tenth of a start.
    gc.disable()
    from pipeboard_target_postgres.target import TargetPostgres

    gc.freeze()
    gc.enable()
    TargetPostgres.cli()

"""The command `pipeboard-metabase`."""

from __future__ import annotations

import argparse
import sys

from pipeboard_metabase.first_look import command as first_look


class _Parser(argparse.ArgumentParser):
    """argparse ends with 2 on wrong usage; Pipeboard's commands all end with 64."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code."""
    parser = _Parser(prog="pipeboard-metabase", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    first_look.add_command(commands)
    chosen = parser.parse_args(arguments)
    return int(chosen.run(chosen))

"""The command line of `./run_project.sh`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from deploy.commands import Commands
from deploy.errors import DeployError, ExitCode, Interrupted
from deploy.shell import show
from deploy.target import Target

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("up", "deploy", "provision", "status", "forward", "rollback", "down")
HELP = """\
usage: ./run_project.sh [up|deploy|provision|status|forward|rollback|down] [options]

  up         start minikube if needed, deploy, forward the ports (the default)
  deploy     build, suspend, migrate, apply, wait, provision, smoke, unsuspend; on a failure,
             go back to the release before
  provision  only what is set up through other programs' APIs
  status     what runs, and which release
  forward    make Grafana, Metabase, Prometheus and Prefect answer on this machine
  rollback   go back to the release before this one; the database stays as it is
  down       end the ports; minikube: stop it; elsewhere: suspend the schedule. Nothing is deleted

  --env NAME    a folder of k8s/overlays: minikube (default), minikube-prefect, prod, account-...
  --tag TAG     an image that exists, instead of building one from this checkout
  --timeout S   seconds that each wait may take (600)
  --dry-run     print what would be changed, and change nothing
  --delete      with down: delete the namespace with all its data (asks first)
  --yes         with --delete: do not ask

minikube* needs the kubectl context `minikube`; any other the one that PIPEBOARD_KUBE_CONTEXT
names, and an image name to push to in PIPEBOARD_IMAGE. Both may stand in .env.
PIPEBOARD_PORT_SHIFT is added to every port that is forwarded, where 3000 or 9090 is taken.
Exit codes: 0 done; 1 failed and rolled back; 64 usage; 69 cluster unavailable or busy, retry;
78 configuration.
"""
#: Exit codes of signals. 130 for SIGTERM, too, as it was before.
INTERRUPTED = {signal.SIGINT: 130, signal.SIGTERM: 130, signal.SIGHUP: 129}


class Parser(argparse.ArgumentParser):
    """Prints our help, and raises 64 for a wrong command line."""

    def format_help(self) -> str:
        """Return the help, by what the commands do."""
        return HELP

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise DeployError(ExitCode.USAGE, f"{message}; ./run_project.sh --help lists what is known")


def main() -> int:
    """Run as a program; a signal ends what was started and goes back."""
    for number in INTERRUPTED:
        # nohup ignores SIGHUP.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    return run(sys.argv[1:], ROOT)


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Leave whatever runs; every step on the way out cleans up."""
    raise Interrupted(number)


def run(arguments: Sequence[str], root: Path) -> int:
    """Run one command line in the checkout `root`; return the exit code."""
    try:
        command, commands = parse(arguments, root)
        getattr(commands, command)()
    except DeployError as error:
        show(f"run_project.sh: {error}")
        return error.code
    except Interrupted as error:
        show(f"run_project.sh: {error}")
        return INTERRUPTED[signal.Signals(error.number)]
    return 0


def parse(arguments: Sequence[str], root: Path) -> tuple[str, Commands]:
    """Return the command and its options. Raises 64 if they are not known."""
    given = parser().parse_args(arguments)
    return given.command, Commands(
        root,
        Target(root, given.env),
        tag=given.tag,
        timeout=given.timeout,
        dry_run=given.dry_run,
        delete=given.delete,
        assume_yes=given.yes,
    )


def parser() -> Parser:
    """Return the parser; HELP explains every option."""
    found = Parser(prog="run_project.sh", allow_abbrev=False)
    found.add_argument("command", nargs="?", choices=COMMANDS, default="up")
    found.add_argument("--env", default="minikube")
    found.add_argument("--tag", default="")
    found.add_argument("--timeout", type=seconds, default=600)
    for flag in ("--dry-run", "--delete", "--yes"):
        found.add_argument(flag, action="store_true")
    return found


def seconds(text: str) -> int:
    """Return a positive number of seconds."""
    if not text.isdecimal() or int(text) == 0:
        message = f"wants seconds, not {text}"
        raise argparse.ArgumentTypeError(message)
    return int(text)

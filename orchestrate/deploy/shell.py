"""Calls of other programs. A program that is interrupted, or takes too long, is ended."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import DeployError, ExitCode

READ_TIMEOUT_SECONDS = 120
#: To start or stop minikube, to build an image, or to move it over a slow network.
BUILD_TIMEOUT_SECONDS = 3600
TERMINATE_TIMEOUT_SECONDS = 10


def say(topic: str, message: str, *, error: bool = False) -> None:
    """Print one line; `error` sends it to stderr."""
    show(f"{topic:<10} {message}", error=error)


def show(text: str, *, error: bool = True) -> None:
    """Print a text. A terminal that is closed must not keep a failed release from going back."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr if error else sys.stdout, flush=True)


def require_tools(*names: str) -> None:
    """Raise 78 if a program is not installed."""
    for name in names:
        if shutil.which(name) is None:
            raise DeployError(
                ExitCode.CONFIGURATION, f"{name} is not installed, or not on the PATH"
            )


def call(
    command: Sequence[str],
    *,
    cwd: Path,
    stdin: str | None = None,
    capture: bool = False,
    quiet: bool = False,
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code.

    `capture` returns what it prints, `quiet` drops what it prints as errors (and, without
    `capture`, everything). Raises 69 after `timeout` seconds.
    """
    dropped = subprocess.DEVNULL if quiet else None
    with subprocess.Popen(
        command,
        cwd=cwd,
        stdin=None if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE if capture else dropped,
        stderr=dropped,
        encoding="utf-8",
        errors="surrogateescape",
    ) as process:
        try:
            output, _ = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise DeployError(
                ExitCode.UNAVAILABLE, f"`{shlex.join(command)}` did not end within {timeout:.0f} s"
            ) from error
        except BaseException:
            process.terminate()
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(TERMINATE_TIMEOUT_SECONDS)
            finally:
                process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output or "")


@dataclass(frozen=True)
class Shell:
    """Calls of programs in the checkout, and what `--dry-run` makes of them."""

    root: Path
    dry_run: bool = False

    def read(self, *command: str, quiet: bool = True) -> str | None:
        """Return what a program prints, without the last line end; None if it fails."""
        done = call(command, cwd=self.root, capture=True, quiet=quiet, timeout=READ_TIMEOUT_SECONDS)
        return None if done.returncode else done.stdout.rstrip("\n")

    def change(self, *command: str, stdin: str | None = None, timeout: float) -> None:
        """Run a program that changes something, or with `--dry-run` print its command line.

        Raises 1 if it fails, 69 after `timeout` seconds.
        """
        if self.dry_run:
            say("would", " ".join(command))
            return
        done = call(command, cwd=self.root, stdin=stdin, timeout=timeout)
        if done.returncode:
            raise DeployError(
                ExitCode.FAILED, f"`{shlex.join(command)}` failed with exit code {done.returncode}"
            )

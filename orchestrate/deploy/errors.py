"""The errors that end a command, with its exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of this project that a deployment uses."""

    FAILED = 1
    USAGE = 64
    UNAVAILABLE = 69
    CONFIGURATION = 78


class DeployError(Exception):
    """What is wrong and what to do, in one line; ends the command with `code`."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP came. Like KeyboardInterrupt, no ordinary handler catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by signal {number}")
        self.number = number

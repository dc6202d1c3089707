"""The exit codes, and the error that users see: what is wrong, a remedy, an exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes, by what the caller should do next. The tap uses the same ones."""

    OK = 0
    FAILED = 1
    USAGE = 64
    DATA = 65
    UNAVAILABLE = 69
    BUDGET = 75
    NOT_PERMITTED = 77
    CONFIGURATION = 78


class PipeboardError(Exception):
    """An error with a remedy: what is wrong, what the user can do, the exit code."""

    def __init__(self, what: str, remedy: str, code: ExitCode) -> None:
        super().__init__(f"{what}. {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy
        self.code = code

"""What can go wrong, in one line each, with its remedy and its exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes by what should happen next; the same ones as everywhere in this project."""

    OK = 0
    FAILED = 1
    #: `plan` only: it went well, and something would change.
    CHANGES = 2
    USAGE = 64
    DATA = 65
    UNAVAILABLE = 69
    NOT_PERMITTED = 77
    CONFIGURATION = 78


class PipeboardError(Exception):
    """Something a person can mend: what is wrong, what to do, how to exit."""

    def __init__(self, what: str, remedy: str, code: ExitCode) -> None:
        super().__init__(f"{what}. {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy
        self.code = code

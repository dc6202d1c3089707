"""What can go wrong, sorted by what should happen next.

Each exception carries the process's exit code (sysexits numbers, so that a scheduler can
tell "try again" from "somebody must act") and a message that says what, where and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class TapError(Exception):
    """A failure with a message fit for a person and an exit code fit for a scheduler."""

    exit_code = 1
    #: Whether it ends one stream only; any other failure concerns the account and ends the run.
    concerns_stream: ClassVar[bool] = False
    #: Key of the operation that failed, where it was one: the stream that declares it is to blame.
    operation: str | None = None

    @property
    def reason(self) -> str:
        """A bounded label for metrics: the kind of failure, not its words."""
        return type(self).__name__.removesuffix("Error").lower()


class ReaderGoneError(TapError):
    """Nobody reads the messages any more: the loader ended."""


class ConfigurationError(TapError):
    """A setting is missing or wrong; trying again will not help."""

    exit_code = 78


class NotPermittedError(TapError):
    """Pipedrive refused the credentials or the right to read something."""

    exit_code = 77


class ForbiddenError(NotPermittedError):
    """402, 403, 415: the token is good, but its user or the plan may not read this one list."""

    concerns_stream = True


class EssentialRefusedError(NotPermittedError):
    """A stream that every report depends on is refused."""


class BudgetSpentError(TapError):
    """The day's API tokens are used up; the state is good, go on tomorrow."""

    exit_code = 75


class ShareSpentError(BudgetSpentError):
    """The share of the tokens that histories may use is spent; everything else goes on."""


class SourceUnavailableError(TapError):
    """Pipedrive cannot be reached or keeps failing; the same run may succeed later."""

    exit_code = 69


class OperationFailingError(SourceUnavailableError):
    """One operation keeps failing while others work."""

    concerns_stream = True


class LockedOutError(SourceUnavailableError):
    """Cloudflare blocks this client; only silence helps."""


class UnexpectedAnswerError(TapError):
    """Pipedrive answered something outside its contract (a request it calls malformed, say)."""

    exit_code = 65
    concerns_stream = True


class CursorExpiredError(UnexpectedAnswerError):
    """A cursor is no longer good: the walk has to start again from what it knows."""


class NotFoundError(TapError):
    """404, 410: this one record or operation does not exist (any more)."""

    exit_code = 77
    concerns_stream = True


#: What a list answers that may not be read, or is not there.
REFUSALS = (ForbiddenError, NotFoundError)


class RetriableError(SourceUnavailableError):
    """A passing fault: the same request may succeed after ``wait`` seconds or more.

    Becomes a plain :class:`SourceUnavailableError` in the end when every retry failed.
    """

    def __init__(self, message: str, wait: float = 0.0, reason: str = "fault") -> None:
        """Keep the least time to wait, in seconds, as the server asked for it."""
        super().__init__(message)
        self.wait = wait
        self._reason = reason

    @property
    def reason(self) -> str:
        """What kind of passing fault it was."""
        return self._reason


class HollowAnswerError(RetriableError):
    """A good status without the list (or object) that this operation answers."""

    concerns_stream = True

    def __init__(self, message: str) -> None:
        """Be tried again like any passing fault."""
        super().__init__(message, reason="hollow_answer")

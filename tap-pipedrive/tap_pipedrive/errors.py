"""Errors, by the action that they require.

Each exception has the exit code of the process (sysexits numbers, so that a scheduler knows whether
to retry or to alert) and a message that says what happened, where, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class TapError(Exception):
    """A failure with a message for people and an exit code for schedulers."""

    exit_code = 1
    #: Whether it ends one stream only; any other failure concerns the account and ends the run.
    concerns_stream: ClassVar[bool] = False
    #: Key of the operation that failed, if there was one: the stream that declares it is its owner.
    operation: str | None = None

    @property
    def reason(self) -> str:
        """A bounded label for metrics: the kind of failure, not its message."""
        return type(self).__name__.removesuffix("Error").lower()


class ReaderGoneError(TapError):
    """The process that reads the messages has ended."""


class ConfigurationError(TapError):
    """A setting is missing or wrong; a retry does not help."""

    exit_code = 78


class NotPermittedError(TapError):
    """Pipedrive refused the credentials or the right to read something."""

    exit_code = 77


class ForbiddenError(NotPermittedError):
    """402, 403, 415: the token is valid, but its user or the plan may not read this list."""

    concerns_stream = True


class EssentialRefusedError(NotPermittedError):
    """A stream that every report depends on is refused."""


class BudgetSpentError(TapError):
    """The day's API tokens are used up; the state is valid, the next day continues."""

    exit_code = 75


class ShareSpentError(BudgetSpentError):
    """The share of per-record streams is spent; the other streams continue."""


class SourceUnavailableError(TapError):
    """Pipedrive cannot be reached or keeps failing; a later run may succeed."""

    exit_code = 69


class OperationFailingError(SourceUnavailableError):
    """One operation keeps failing while others work."""

    concerns_stream = True


class LockedOutError(SourceUnavailableError):
    """Cloudflare blocks this client; only a pause helps."""


class UnexpectedAnswerError(TapError):
    """A response outside the API's contract (for instance 400 to a valid request)."""

    exit_code = 65
    concerns_stream = True


class CursorExpiredError(UnexpectedAnswerError):
    """A cursor has expired: the walk has to start again from its bookmark."""


class NotFoundError(TapError):
    """404, 410: this record or operation does not exist (any more)."""

    exit_code = 77
    concerns_stream = True


#: Errors of a list that may not be read, or does not exist.
REFUSALS = (ForbiddenError, NotFoundError)


class OutOfMemoryError(TapError):
    """The process got no more memory, or no more threads; nothing that was written is wrong."""

    exit_code = 69

    def __init__(self) -> None:
        """Say what helps."""
        super().__init__(
            "out of memory: the process got no more memory (or no more threads). Give it more, or "
            "lower page_size, lists_ahead, calls_ahead and windows; run again"
        )


class RetriableError(SourceUnavailableError):
    """A temporary fault: the same request may succeed after ``wait`` seconds or more."""

    def __init__(self, message: str, wait: float = 0.0, reason: str = "fault") -> None:
        """Keep the shortest wait in seconds, as the server demands it."""
        super().__init__(message)
        self.wait = wait
        self._reason = reason

    @property
    def reason(self) -> str:
        """The kind of fault."""
        return self._reason


class HollowAnswerError(RetriableError):
    """A 2xx response without the list (or object) of its operation."""

    concerns_stream = True

    def __init__(self, message: str) -> None:
        """Retry it like any temporary fault."""
        super().__init__(message, reason="hollow_answer")


def explained(error: BaseException) -> BaseException:
    """Return an error with a message for people; an unknown one as it is."""
    # What Python says when the system gives it no memory for the stack of a thread.
    is_thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
    return OutOfMemoryError() if is_thread or isinstance(error, MemoryError) else error

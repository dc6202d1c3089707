"""The outcome of one stream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tap_pipedrive.errors import TapError


class Outcome(str, Enum):
    """The outcome of a stream, as the run report names it."""

    #: Read to its end.
    COMPLETE = "complete"
    #: The tokens are spent; the next run continues where this one stopped.
    BEHIND = "behind"
    #: Not read: the last read is within its interval, see state/cadence.py.
    NOT_DUE = "not_due"
    #: Refused, and never read before with this state.
    NOT_PERMITTED = "not_permitted"
    #: Refused, although it was read before.
    REFUSED = "refused"
    #: Ended with an error, while other streams went on.
    INCOMPLETE = "incomplete"
    #: The run ended before this stream, or before it started.
    INTERRUPTED = "interrupted"


@dataclass
class StreamResult:
    """The outcome of one stream, with the reason and the error if there was one."""

    outcome: Outcome = Outcome.INTERRUPTED
    reason: str | None = None
    error: TapError | None = None

    @property
    def is_open(self) -> bool:
        """Whether the outcome is not decided yet."""
        return self.outcome is Outcome.INTERRUPTED

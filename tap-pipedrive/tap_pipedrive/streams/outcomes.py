"""How the read of one stream ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tap_pipedrive.errors import TapError


class Outcome(str, Enum):
    """What the report says about a stream."""

    #: Read to its end.
    COMPLETE = "complete"
    #: The tokens are spent; the next run goes on where this one stopped.
    BEHIND = "behind"
    #: Not asked again: it was last read within its interval, see cadence.py.
    NOT_DUE = "not_due"
    #: Refused, and never read with this state.
    NOT_PERMITTED = "not_permitted"
    #: Refused, although it was read before.
    REFUSED = "refused"
    #: Ended with an error of its own, while other streams went on.
    INCOMPLETE = "incomplete"
    #: The run ended before this stream did, or before it was begun.
    INTERRUPTED = "interrupted"


@dataclass
class StreamResult:
    """The outcome of one stream, with the reason and the error if there was one."""

    outcome: Outcome = Outcome.INTERRUPTED
    reason: str | None = None
    error: TapError | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing has been decided yet."""
        return self.outcome is Outcome.INTERRUPTED

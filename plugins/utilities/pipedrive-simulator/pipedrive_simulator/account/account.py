"""The account: all its state, all its edits, and its clock."""

from __future__ import annotations

from typing import Any

from pipedrive_simulator.account.definition_edits import DefinitionEdits
from pipedrive_simulator.account.journal import MUTATIONS, mutation
from pipedrive_simulator.account.part_edits import PartEdits
from pipedrive_simulator.account.record_edits import RecordEdits
from pipedrive_simulator.account.state import EditError
from pipedrive_simulator.clock import to_seconds


class Account(PartEdits, RecordEdits, DefinitionEdits):
    """One Pipedrive account. Every public method that changes it is journaled."""

    @mutation
    def advance_clock(self, seconds: float, *, at: str = "") -> None:
        """Move the clock forward without changing any record."""
        self.clock.advance(seconds)

    @mutation
    def set_clock(self, now: str, *, at: str = "") -> None:
        """Set the account's clock to an instant."""
        # As a difference, so that a replay at another time of the machine gives the same offset.
        self.clock.advance(to_seconds(now) - to_seconds(at))

    def apply(self, op: str, **arguments: Any) -> Any:
        """Run a mutation by name, for the journal and the control routes."""
        if op not in MUTATIONS:
            msg = f"no such edit {op!r}; one of {', '.join(sorted(MUTATIONS))}"
            raise EditError(msg)
        try:
            return getattr(self, op)(**arguments)
        except EditError:
            raise
        except (TypeError, ValueError, LookupError) as error:
            msg = f"{op}: {error}"
            raise EditError(msg) from error

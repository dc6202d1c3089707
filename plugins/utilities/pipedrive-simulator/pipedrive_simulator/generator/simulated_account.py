"""The account as the simulator serves it: with a sales team that goes on working."""

from __future__ import annotations

from typing import Any

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.journal import mutation
from pipedrive_simulator.clock import to_seconds
from pipedrive_simulator.generator.advance import advance


class SimulatedAccount(Account):
    """An account whose deals move when it is told to advance."""

    @mutation
    def advance(self, deals: int = 200, hours: float = 6.0, *, at: str = "") -> dict[str, Any]:
        """Let the sales team work for some hours: exactly `deals` deals change, the clock moves."""
        summary = advance(self, deals=deals, hours=hours, start=to_seconds(at))
        self.clock.advance(hours * 3600)
        return summary

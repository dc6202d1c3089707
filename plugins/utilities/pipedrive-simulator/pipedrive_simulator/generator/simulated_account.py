"""The account that the simulator serves: it can simulate further work of the sales team."""

from __future__ import annotations

from typing import Any

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.journal import mutation
from pipedrive_simulator.clock import to_seconds
from pipedrive_simulator.generator.advance import advance


class SimulatedAccount(Account):
    """An account with `advance`, which changes deals and moves the clock."""

    @mutation
    def advance(self, deals: int = 200, hours: float = 6.0, *, at: str = "") -> dict[str, Any]:
        """Simulate some hours of work: change exactly `deals` deals, and move the clock."""
        summary = advance(self, deals=deals, hours=hours, start=to_seconds(at))
        self.clock.advance(hours * 3600)
        return summary

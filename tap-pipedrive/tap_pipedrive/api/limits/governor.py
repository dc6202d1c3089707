"""Decide whether the next call may be made now, later, or not at all today.

* **Burst**: a number of requests in a rolling two seconds. The server's headers say how many;
  before the first response the number of the smallest plan holds. The tap waits instead of running
  into a 429, because Cloudflare locks out clients that keep sending after one.
* **Tokens**: a daily budget of the company. A job may spend while the day's total is below its
  share of the budget, so that a backfill leaves tokens for the hot sync.
* **Circuit**: after a lock-out or an outage no process calls for a while.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from tap_pipedrive import termination
from tap_pipedrive.api.limits.store import LimitStore, LocalStore, StoreUnavailableError
from tap_pipedrive.errors import BudgetSpentError, ConfigurationError, SourceUnavailableError

T = TypeVar("T")

#: Requests per window of the smallest plan: API token, OAuth.
SMALLEST_BURST = {"token": 20, "oauth": 80}
#: The API's two seconds, and a margin because requests travel at different speeds.
WINDOW_SECONDS = 2.2
#: Tokens of the most expensive call.
MOST_EXPENSIVE_CALL = 40
#: Seconds for which the plan's daily tokens are stored, for responses that do not name them.
PLAN_LIMIT_SECONDS = 7 * 86400.0
_PLAN_LIMIT = "plan-limit"
#: The tap waits for an open circuit that closes within this time.
CIRCUIT_TIMEOUT_SECONDS = 60.0
#: A number in a header: no sign, no exponent, and not too long.
_HEADER_NUMBER = re.compile(r"\d{1,15}(\.\d{1,15})?", re.ASCII)


class Governor:
    """Decides for one process, with the facts in a limit store."""

    def __init__(
        self,
        store: LimitStore,
        *,
        burst: int = SMALLEST_BURST["token"],
        daily_tokens: int | None = None,
        share: float = 1.0,
        logger: logging.Logger | None = None,
    ) -> None:
        """Set the rules.

        Args:
            store: keeps the window, the ledger and the circuit.
            burst: requests per window until the server names its limit.
            daily_tokens: tokens that all jobs together may spend per day; None: those of the plan.
            share: part of the day's budget that may be spent when this job stops, 0 to 1.
            logger: reports waits and failures of the store.

        """
        self._store = store
        self._burst = burst
        self._daily_tokens = daily_tokens
        self._share = share
        self._logger = logger or logging.getLogger("tap-pipedrive")
        self._hold_until = 0.0
        self._spent_day: str | None = None
        self._plan_limit: int | None = None
        self.plan_remaining: int | None = None
        self.trips = 0

    # -- before a call -----------------------------------------------------------------------

    def admit(self, cost: int, day: str) -> None:
        """Wait for a free slot and enter the call into the ledger.

        Args:
            cost: tokens the call will cost.
            day: the source's date, ``YYYY-MM-DD``.

        Raises:
            BudgetSpentError: the call would exceed this job's share of the day's tokens, or the
                day is noted as spent.
            SourceUnavailableError: the circuit is open for longer than this method waits.

        """
        # Booked first, and reversed if it is too much: two callers cannot both get the last tokens.
        left, why = self._with_store(lambda store: store.book(day, cost))
        try:
            self._pass_circuit(left, why)
            self._check_tokens(cost, day)
            while (wait := self._seconds_to_slot()) > 0:
                with termination.at_once():
                    time.sleep(wait)
                self._check_tokens(cost, day)  # another thread may have learnt of a spent day
        except (BudgetSpentError, SourceUnavailableError, termination.TerminationRequested):
            self._with_store(lambda store: store.add_tokens(day, -cost))
            raise

    def _check_tokens(self, cost: int, day: str) -> None:
        """Refuse a call, which is booked already, if the day has no tokens left for it."""
        if day == self._spent_day:
            msg = "the company's API tokens of today are used up; they come back at midnight"
            raise BudgetSpentError(msg)
        room = self.room(day, entered=cost)
        if room is not None and room < cost:
            msg = (
                f"this job's share of today's API tokens is used up ({self._share:.0%} of "
                f"{self.budget}, and the next call costs {cost})"
            )
            raise BudgetSpentError(msg)

    def note_spent(self, day: str) -> None:
        """Note that the server refused a call because of spent tokens: no more calls that day."""
        self._spent_day = day

    def rebook(self, cost: int, day: str, other_day: str) -> None:
        """Book a call on another day: the source has another date."""
        self._with_store(lambda store: store.add_tokens(day, -cost))
        self._with_store(lambda store: store.add_tokens(other_day, cost))

    @property
    def budget(self) -> int | None:
        """Tokens per day: the configured number, else the plan's, None if unknown."""
        return self._daily_tokens or self._plan_limit

    def room(self, day: str, of_share: float = 1.0, *, entered: int = 0) -> int | None:
        """Return the tokens left in ``of_share`` of this job's share; None means no limit.

        ``entered`` tokens are booked already, for the call that comes next.
        """
        share = self._share * of_share
        limits: list[float] = []
        if self._daily_tokens is not None:
            spent = self._with_store(lambda store: store.tokens(day))
            limits.append(share * self._daily_tokens - spent + entered)
        if self.plan_remaining is not None:
            # The other jobs keep the rest of the plan's tokens.
            reserved = (1 - share) * self._plan_limit if self._plan_limit else 0
            limits.append(self.plan_remaining - reserved)
        return int(min(limits)) if limits else None

    def is_spent(self, day: str) -> bool:
        """Whether the ledger shows that the company's tokens of a day are used up.

        The limit is the configured one, or the plan's as the server reported it, also in an earlier
        run.
        """
        plan_limit = (self.recall(_PLAN_LIMIT) or b"").decode("ascii", "ignore")
        budget = self.budget or header_number(plan_limit)
        if budget is None:
            return False
        return self._with_store(lambda store: store.tokens(day)) > budget - MOST_EXPENSIVE_CALL

    def _seconds_to_slot(self) -> float:
        held = self._hold_until - time.monotonic()
        if held > 0:
            return held
        return self._with_store(lambda store: store.reserve(self._burst, WINDOW_SECONDS))

    def _pass_circuit(self, left: float, why: str) -> None:
        if left > CIRCUIT_TIMEOUT_SECONDS:
            msg = f"the circuit is open for another {left:.0f} s: {why}"
            raise SourceUnavailableError(msg)
        if left > 0:
            self._logger.warning("The circuit is open: %s. Waiting %.0f s.", why, left)
            with termination.at_once():
                time.sleep(left)

    # -- after a call ------------------------------------------------------------------------

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn the limits from the headers of a response."""
        limit = header_number(headers.get("x-ratelimit-limit"))
        if limit:
            self._burst = limit
        if header_number(headers.get("x-ratelimit-remaining")) == 0:
            reset = header_number(headers.get("x-ratelimit-reset"))
            # At most the window and a margin: a wrong header must not block a run.
            self._hold_until = time.monotonic() + min(2 if reset is None else reset, 5)
        plan_limit = header_number(headers.get("x-daily-ratelimit-token-limit"))
        if plan_limit is not None and plan_limit != self._plan_limit:
            self._plan_limit = plan_limit
            self.remember(_PLAN_LIMIT, b"%d" % plan_limit, PLAN_LIMIT_SECONDS)
        remaining = header_number(headers.get("x-daily-ratelimit-token-remaining"))
        if remaining is not None:
            self.plan_remaining = remaining

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open."""
        return self._with_store(lambda store: store.circuit())[0] > 0

    def trip(self, seconds: float, why: str) -> None:
        """Open the circuit for all processes."""
        self.trips += 1
        self._with_store(lambda store: store.open_circuit(seconds, why))

    # -- cached values -----------------------------------------------------------------------

    def remember(self, key: str, value: bytes, seconds: float) -> None:
        """Cache a value in the store."""
        self._with_store(lambda store: store.remember(key, value, seconds))

    def recall(self, key: str) -> bytes | None:
        """Read a cached value; None once it has expired."""
        return self._with_store(lambda store: store.recall(key))

    def forget(self, key: str) -> None:
        """Drop a cached value."""
        self._with_store(lambda store: store.forget(key))

    # -- the store ---------------------------------------------------------------------------

    def _with_store(self, call: Callable[[LimitStore], T]) -> T:
        """Call the store; when Redis fails, use a store of this process from then on.

        Raises:
            ConfigurationError: the folder of ``state_dir`` cannot be used.

        """
        try:
            return call(self._store)
        except StoreUnavailableError as error:
            self._logger.warning(
                "Redis failed (%s): limits are counted in this process until the end of the run",
                error,
            )
            self._store = LocalStore()
            return call(self._store)
        except OSError as error:
            msg = f"state_dir cannot be used: {error.strerror}: {error.filename}"
            raise ConfigurationError(msg) from error


def header_number(text: str | None) -> int | None:
    """Parse a header that holds a number, rounded up; None if it holds none.

    >>> header_number("12.5"), header_number("soon"), header_number(None)
    (13, None, None)
    """
    return math.ceil(float(text)) if text and _HEADER_NUMBER.fullmatch(text) else None

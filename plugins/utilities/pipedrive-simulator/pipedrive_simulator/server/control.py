"""Control routes under `/_control/`: change, damage and inspect the account.

They are not counted, have no limits and need no token, so they exist on loopback only.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import msgspec

from pipedrive_simulator.account.journal import MUTATIONS
from pipedrive_simulator.account.oracle import TRUTHS, counts
from pipedrive_simulator.account.records import Json
from pipedrive_simulator.account.state import EditError
from pipedrive_simulator.server.api import Api
from pipedrive_simulator.server.faults import RuleError

PREFIX = "/_control/"


class ControlError(ValueError):
    """A control call that cannot be carried out: HTTP status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Control:
    """Answers control calls with JSON; the `truth` routes with lines of JSON."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._routes: dict[tuple[str, str], Callable[[Json], Any]] = {
            ("POST", "advance"): self._advance,
            ("POST", "edit"): self._edit,
            ("GET", "edit"): lambda body: sorted(MUTATIONS),
            ("POST", "clock"): self._clock,
            ("GET", "clock"): self._clock,
            ("POST", "faults"): self._add_faults,
            ("GET", "faults"): lambda body: [rule.as_json() for rule in api.faults.rules],
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "limits"): self._limits,
            ("GET", "limits"): self._limits,
            ("POST", "latency"): self._latency,
            ("GET", "latency"): self._latency,
            ("GET", "stats"): lambda body: self._stats(),
            ("POST", "stats/reset"): self._reset,
            ("GET", "requests"): self._requests,
            ("GET", "process"): lambda body: {"pid": os.getpid()},
        }

    def answer(self, method: str, path: str, query: str, body: bytes) -> Json | list[Any]:
        """Return the response to a call; the `truth` routes have their own method."""
        handler = self._routes.get((method, path))
        if handler is None:
            raise ControlError(404, f"no control route {method} {PREFIX}{path}")
        given: Json = {name: values[-1] for name, values in parse_qs(query).items()}
        try:
            content = msgspec.json.decode(body) if body.strip() else {}
            if isinstance(content, list):
                content = {"items": content}
            answer: Json | list[Any] = handler(given | content)
            return answer
        except (EditError, RuleError, msgspec.DecodeError, TypeError) as error:
            raise ControlError(400, str(error)) from error

    def truth(self, name: str) -> Iterator[bytes] | Json:
        """Return the account's records of an entity as lines of JSON, or the counts."""
        if name == "counts":
            return counts(self.api.account)
        tell = TRUTHS.get(name)
        if tell is None:
            raise ControlError(404, f"no truth about {name!r}; one of counts, {', '.join(TRUTHS)}")
        return tell(self.api.account)

    def _advance(self, body: Json) -> Any:
        return self.api.account.advance(
            deals=int(body.get("deals", 200)), hours=float(body.get("hours", 6))
        )

    def _edit(self, body: Json) -> Any:
        edits = body.get("edits") or body.get("items") or [body]
        results = []
        for edit in edits:
            arguments = dict(edit)
            operation = arguments.pop("op", "")
            results.append(_plain(self.api.account.apply(operation, **arguments)))
        return {"results": results, "now": self.api.account.clock.text()}

    def _clock(self, body: Json) -> Any:
        account = self.api.account
        if "advance_seconds" in body:
            account.advance_clock(float(body["advance_seconds"]))
        if "set" in body:
            account.set_clock(body["set"])
        return {"now": account.clock.text(), "frozen": account.clock.frozen}

    def _add_faults(self, body: Json) -> Any:
        rules = body.get("items") or [body]
        return [self.api.faults.add(**rule).as_json() for rule in rules]

    def _clear_faults(self, body: Json) -> Any:
        chosen = body.get("id")
        return {"removed": self.api.faults.clear(None if chosen is None else int(chosen))}

    def _limits(self, body: Json) -> Any:
        gate = self.api.gate
        if body:
            gate.limits = dataclasses.replace(gate.limits, **body)
        return {**dataclasses.asdict(gate.limits), "tokens_used": gate.tokens_used}

    def _stats(self) -> Json:
        gate = self.api.gate
        left = max(gate.limits.daily_tokens - gate.tokens_used, 0)
        return {**self.api.stats.summary(), "tokens_used_today": gate.tokens_used,
                "tokens_left_today": left, "now": self.api.account.clock.text()}  # fmt: skip

    def _latency(self, body: Json) -> Any:
        self.api.latency = float(body.get("seconds", self.api.latency))
        return {"seconds": self.api.latency}

    def _reset(self, body: Json) -> Any:
        """Reset the counts; with `budget`, also the tokens used today."""
        self.api.stats.reset()
        if body.get("budget"):
            self.api.gate.tokens_used = 0
        return self._stats()

    def _requests(self, body: Json) -> Any:
        wanted = body.get("operation")
        calls = [c._asdict() for c in self.api.stats.recent if wanted in (None, c.operation)]
        return calls[-int(body.get("last", len(calls) or 1)) :]


def _plain(value: Any) -> Any:
    """Return the result of an edit as JSON: the record's id, or the new definition."""
    if isinstance(value, msgspec.Struct):
        return {"id": value.id}  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value

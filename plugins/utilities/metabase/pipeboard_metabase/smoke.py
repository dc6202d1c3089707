"""Run every managed card on the real server."""

from __future__ import annotations

import time
from typing import Any

from pipeboard_metabase.client import Client, Refused
from pipeboard_metabase.definitions import GRAIN, Card
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.objects import CARD, ManagedObjects
from pipeboard_metabase.openapi.compare import differences
from pipeboard_metabase.run import Run


def smoke(run: Run, client: Client) -> int:
    """Run every card on the server, bare and with the defaults of its filters; 0 if all answer.

    Raises:
        PipeboardError: when a card is not there at all.
    """
    _compare_api(run, client)
    managed = ManagedObjects(run)
    managed.read_collections()
    managed.read_contents()
    failed = 0
    for key, card in run.definitions.cards.items():
        number = managed.id(CARD, key)
        if number is None:
            what = f"card {key} is not in Metabase"
            raise PipeboardError(what, "`pipeboard-metabase apply` makes it", ExitCode.DATA)
        began = time.monotonic()
        responses = [client.post(f"card/{number}/query", body) for body in _questions(run, card)]
        seconds = time.monotonic() - began
        errors = [_error(answer) for answer in responses if _error(answer)]
        failed += bool(errors)
        rows = responses[0].get("row_count")
        state = run.console.paint("FAILED", "bad") if errors else run.console.paint("ok", "good")
        detail = client.hide(errors[0]) if errors else f"{rows} rows, {seconds:.2f} s"
        run.console.line(f"  {state:<6} {key:<40} {detail}")
    total = len(run.definitions.cards)
    run.console.note("smoke", f"{total - failed} of {total} cards answer")
    return ExitCode.DATA if failed else ExitCode.OK


def _questions(run: Run, card: Card) -> list[dict[str, Any]]:
    """Return what to ask with: no filter; every filter that has a default, and other periods."""
    defaults = [
        {
            "type": "date/all-options" if wanted.type == "date" else "string/=",
            "target": ["dimension", ["template-tag", key]],
            "value": wanted.default,
        }
        for key in card.filters
        if (wanted := run.definitions.filters[key]).default is not None
    ]
    if card.grains:
        target = ["variable", ["template-tag", GRAIN]]
        defaults.append({"type": "string/=", "target": target, "value": card.grains[-1]})
    bare: dict[str, Any] = {"ignore_cache": True, "parameters": []}
    return [bare, {**bare, "parameters": defaults}] if defaults else [bare]


def _error(answer: dict[str, Any]) -> str:
    """Return the error of a result; Metabase returns 202 also when a query fails."""
    if answer.get("status") == "completed" and not answer.get("error"):
        return ""
    return " ".join(str(answer.get("error") or f"status {answer.get('status')}").split())[:200]


def _compare_api(run: Run, client: Client) -> None:
    """Say where this server's API differs from the known one; this alone is no failure."""
    try:
        found = differences(client.get("docs/openapi.json"))
    except Refused as refused:
        run.console.note("api", f"this Metabase does not describe its API ({refused.status})")
        return
    for line in found:
        run.console.note("api", line)
    if not found:
        run.console.note("api", "as known")

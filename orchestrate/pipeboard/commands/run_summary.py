"""The summary of a run, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeboard.commands.demo_queries import run_queries
from pipeboard.outcomes import (
    BEHIND,
    CODES,
    COMPLETE,
    FAILED,
    INCOMPLETE,
    INTERRUPTED,
    NOT_DUE,
    SKIPPED,
    STREAM_OUTCOMES,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.run.changed import Decision
    from pipeboard.run.dbt_results import Build
    from pipeboard.run.proof import StreamOutcome
    from pipeboard.run.runner import Outcome


def show_run(console: Console, job: str, outcome: Outcome) -> None:
    """Show rows and tokens per stream, what dbt built and tested, and how the run ended."""
    if outcome.status == SKIPPED:
        return
    show_streams(console, outcome.report)
    show_dbt(console, outcome.build, outcome.decision)
    show_troubles(console, outcome.streams)
    if outcome.notices:
        console.heading("Tap and loader say")
        for line in outcome.notices:
            console.line(f"  {line[:300]}")
    console.line()
    clock = f"{outcome.seconds:.0f} s"
    if outcome.status in (FAILED, INTERRUPTED):
        show_failure(console, job, outcome)
    elif outcome.status == INCOMPLETE:
        console.line(console.bad(f"{job} is incomplete after {clock}: {outcome.reason}"))
        console.line("Everything else is loaded and built. " + CODES[outcome.code].advice)
        console.line(f"The whole log: {outcome.log_file}")
    elif outcome.status == BEHIND and outcome.code:
        console.line(
            f"{console.good('done for today')}: {job} in {clock}. The token budget is used up; "
            "the next run continues where this one stopped."
        )
    else:
        console.line(f"{console.good('done')}: {job} in {clock}")
        if outcome.status == BEHIND:
            console.line(f"{str(outcome.reason).capitalize()}.")


def show_troubles(console: Console, streams: Sequence[StreamOutcome]) -> None:
    """Show the streams that were not read to their end, and what is in quarantine."""
    lines = []
    for one in streams:
        if one.outcome not in (COMPLETE, BEHIND, INTERRUPTED, NOT_DUE):
            why = f": {one.reason}" if one.reason else ""
            lines.append(f"{one.stream}: {STREAM_OUTCOMES[one.outcome]}{why}")
        counts = [
            f"{number:,} {text}"
            for number, text in (
                (one.quarantined, "records in quarantine (ops.quarantine)"),
                (one.nulled_values, "values set to null, their text stored in _extra"),
                (one.incomplete_parents, "records whose dependent records are incomplete"),
            )
            if number
        ]
        if counts:
            lines.append(f"{one.stream}: {', '.join(counts)}")
    if lines:
        console.heading("Streams to look at")
        for line in lines:
            console.line(f"  {line[:300]}")


def show_streams(console: Console, report: dict[str, Any] | None) -> None:
    """Show the rows, calls and tokens of each stream."""
    streams = (report or {}).get("streams") or {}
    if not streams:
        return
    console.heading("Rows and API tokens")
    rows: list[list[object]] = [
        [name, int(used.get("records", 0)), int(used.get("calls", 0)), int(used.get("tokens", 0))]
        for name, used in streams.items()
    ]
    rows.append(["total", *(sum(int(str(row[i])) for row in rows) for i in (1, 2, 3))])
    console.table(["stream", "rows", "calls", "tokens"], rows)


def show_dbt(console: Console, build: Build | None, decision: Decision | None) -> None:
    """Show which models were current, and dbt's results; list warnings and failures."""
    if build is None and decision is None:
        return
    console.heading("dbt")
    if decision:
        current = "" if decision.current is None else f"; {decision.current:,} models are current"
        console.line(f"reason: {decision.reason}{current}")
    if build is None:
        return
    console.table(
        ["", "ok", "warned", "failed", "skipped"],
        [[kind, *counts.values()] for kind, counts in build.counts().items()],
    )
    for result in build.results:
        if result.is_faulty or result.status == "warn":
            paint = console.bad if result.is_faulty else str
            console.line(f"  {paint(result.status)}: {result.name}: {result.message[:160]}")


def show_failure(console: Console, job: str, outcome: Outcome) -> None:
    """Show what failed, where, why, and what to do."""
    if outcome.status == INTERRUPTED:
        text = f"{job} was {outcome.reason} after {outcome.seconds:.0f} s"
        console.line(f"{text}; nothing is lost, run it again")
        return
    part = f" in {outcome.part}" if outcome.part else ""
    console.line(console.bad(f"{job} failed{part} after {outcome.seconds:.0f} s"))
    if outcome.reason and outcome.reason not in outcome.errors:
        console.line(f"  {outcome.reason}")
    else:
        for line in outcome.errors[-6:]:
            console.line(f"  {line[:300]}")
    policy = CODES.get(outcome.code)
    if policy and policy.advice:
        console.line(policy.advice)
    if outcome.log_file:
        console.line(f"The whole log: {outcome.log_file}")


def show_query_results(console: Console, environment: Environment) -> None:
    """Show the results of the demo queries."""
    for result in run_queries(environment.database):
        console.heading(result.question)
        console.table(result.header, result.rows)

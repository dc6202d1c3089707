"""What a run did, said to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeboard.answers import ask
from pipeboard.problems import ExitCode

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.dbt_results import Build
    from pipeboard.runner import Outcome
    from pipeboard.worlds import World

ADVICE = {
    ExitCode.DATA: "The data was loaded, but what was built from it is not right.",
    ExitCode.UNAVAILABLE: "Run again later: it goes on where it stopped.",
    ExitCode.NOT_PERMITTED: "Check the token and its user's permissions (`make doctor`).",
    ExitCode.CONFIGURATION: "Check .env (`make doctor`).",
}


def show_run(console: Console, job: str, outcome: Outcome) -> None:
    """Show rows and tokens per stream, then what dbt built and tested."""
    if outcome.status == "skipped":
        return
    show_streams(console, outcome.report)
    show_dbt(console, outcome.build)
    if outcome.notices:
        console.heading("Tap and loader say")
        for line in outcome.notices:
            console.line(f"  {line[:300]}")
    console.line()
    clock = f"{outcome.seconds:.0f} s"
    if outcome.code == ExitCode.OK:
        console.line(f"{console.good('done')}: {job} in {clock}")
    elif outcome.code == ExitCode.BUDGET:
        console.line(
            f"{console.good('done for today')}: {job} in {clock}. The token budget is used up; "
            "the next run goes on where this one stopped."
        )
    else:
        show_failure(console, job, outcome)


def show_streams(console: Console, report: dict[str, Any] | None) -> None:
    """Show what was read, and what it cost."""
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


def show_dbt(console: Console, build: Build | None) -> None:
    """Show dbt's results, and name whatever is not right."""
    if build is None:
        return
    console.heading("dbt")
    console.table(
        ["", "ok", "warned", "failed", "skipped"],
        [[kind, *counts.values()] for kind, counts in build.counts().items()],
    )
    for result in build.results:
        if result.is_faulty or result.status == "warn":
            paint = console.bad if result.is_faulty else str
            console.line(f"  {paint(result.status)}: {result.name}: {result.message[:160]}")


def show_failure(console: Console, job: str, outcome: Outcome) -> None:
    """Say what failed, where, why and what to do."""
    if outcome.code > 128:
        words = f"{job} was {outcome.reason} after {outcome.seconds:.0f} s"
        console.line(f"{words}; nothing is lost, run it again")
        return
    part = f" in {outcome.part}" if outcome.part else ""
    console.line(console.bad(f"{job} failed{part} after {outcome.seconds:.0f} s"))
    if outcome.reason and outcome.reason not in outcome.errors:
        console.line(f"  {outcome.reason}")
    else:
        for line in outcome.errors[-6:]:
            console.line(f"  {line[:300]}")
    advice = ADVICE.get(ExitCode(outcome.code)) if outcome.code in set(ExitCode) else None
    if advice:
        console.line(advice)
    console.line(f"Everything it said: {outcome.log_file}")


def show_answers(console: Console, world: World) -> None:
    """Show five answers from the marts."""
    for answer in ask(world.database):
        console.heading(answer.question)
        console.table(answer.header, answer.rows)

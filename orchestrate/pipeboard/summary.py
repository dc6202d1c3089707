"""What a run did, said to a person."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeboard.answers import ask
from pipeboard.problems import ExitCode

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.runner import Outcome
    from pipeboard.worlds import World

FAULTY = ("error", "fail", "runtime error")
ADVICE = {
    ExitCode.DATA: "The data was loaded, but what was built from it is not right.",
    ExitCode.UNAVAILABLE: "Run again later: it goes on where it stopped.",
    ExitCode.NOT_PERMITTED: "Check the token and its user's permissions (`make doctor`).",
    ExitCode.CONFIGURATION: "Check .env (`make doctor`).",
}


def show_run(console: Console, world: World, job: str, outcome: Outcome) -> None:
    """Show rows and tokens per stream, then what dbt built and tested."""
    show_streams(console, outcome.report)
    show_dbt(console, Path(world.environ["DBT_TARGET_PATH"]) / "run_results.json", outcome)
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
        show_failure(console, world, job, outcome)


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


def show_dbt(console: Console, results: Path, outcome: Outcome) -> None:
    """Show dbt's results, if this run made them, and name whatever is not right."""
    try:
        fresh = outcome.log_file.stat().st_ctime - outcome.seconds
        if results.stat().st_mtime < fresh:
            return
        found = json.loads(results.read_text())["results"]
    except (OSError, ValueError, KeyError):
        return
    kinds: Counter[tuple[str, str]] = Counter()
    for result in found:
        kind = str(result["unique_id"]).split(".")[0].replace("_", " ")
        kinds[kind, str(result["status"])] += 1
    console.heading("dbt")
    header = ["", "ok", "warned", "failed", "skipped"]
    console.table(
        header,
        [
            [
                f"{kind}s",
                kinds[kind, "success"] + kinds[kind, "pass"],
                kinds[kind, "warn"],
                sum(kinds[kind, status] for status in FAULTY),
                kinds[kind, "skipped"],
            ]
            for kind in dict.fromkeys(kind for kind, _ in kinds)
        ],
    )
    for result in found:
        if result["status"] in (*FAULTY, "warn"):
            name = str(result["unique_id"]).split(".")[2]
            words = " ".join(str(result.get("message") or "").split())
            paint = console.bad if result["status"] in FAULTY else str
            console.line(f"  {paint(result['status'])}: {name}: {words[:160]}")


def show_failure(console: Console, world: World, job: str, outcome: Outcome) -> None:
    """Say what failed, where, why and what to do."""
    if outcome.part == "interrupted":
        console.line(f"{job} was interrupted after {outcome.seconds:.0f} s; run it again")
        return
    part = f" in {outcome.part}" if outcome.part else ""
    console.line(console.bad(f"{job} failed{part} after {outcome.seconds:.0f} s"))
    message = (outcome.report or {}).get("message")
    if message:
        console.line(f"  {world.redact(str(message))}")
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

"""The outcomes of runs and streams: one table for history, metrics, alerts and schedulers.

Imports nothing but the exit codes, so that the flows can read it in Prefect's own environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeboard.errors import ExitCode, PipeboardError

SUCCEEDED, BEHIND, INCOMPLETE = "succeeded", "behind", "incomplete"
FAILED, INTERRUPTED, SKIPPED = "failed", "interrupted", "skipped"
ABANDONED, RUNNING = "abandoned", "running"


@dataclass(frozen=True)
class Status:
    """One way a run can end.

    Attributes:
        name: in `ops.etl_run.status`, in metrics and everywhere else.
        exit_codes: that a run with this status may have; empty where no process is left to exit.
        is_success: whether it counts for freshness and moves the time of the last success.
        alert: the alert that fires for it, None where no alert does.
        prefect: name of the state of a flow run; empty where the exit code names it.
        prefect_completed: whether that state is a completed one.
        kubernetes: what becomes of the Job.

    """

    name: str
    meaning: str
    exit_codes: tuple[int, ...]
    is_success: bool
    alert: str | None
    prefect: str
    prefect_completed: bool
    kubernetes: str


_BY_CODE = "64, 65, 77, 78: the Job fails at once; 1, 69: tried once more"
_ALL = (
    Status(
        SUCCEEDED,
        "every selected stream was read to its end, is not due or is not permitted, every record "
        "sent was received, dbt's results are whole",
        (0,),
        True,
        None,
        "Completed",
        True,
        "the Job completes",
    ),
    Status(
        BEHIND,
        "the API tokens for it are spent; what came is loaded and built, the next run goes on",
        (75, 0),
        True,
        None,
        "Behind",
        True,
        "the Job completes (PIPEBOARD_EXIT_CODE_BEHIND=0)",
    ),
    Status(
        INCOMPLETE,
        "a stream was refused that could be read before (77), or ended with an error (65, 69); "
        "the others are loaded and built",
        (65, 69, 77),
        False,
        "EtlIncomplete",
        "Incomplete",
        False,
        "65, 77: the Job fails at once; 69: tried once more",
    ),
    Status(
        FAILED,
        "something failed, or there is no proof that all went well",
        (1, 64, 65, 69, 77, 78),
        False,
        "EtlLastRunFailed",
        "",
        False,
        _BY_CODE,
    ),
    Status(
        INTERRUPTED,
        "SIGINT or SIGTERM ended it; what was read is loaded and its state kept",
        (130, 143),
        False,
        "EtlLastRunFailed",
        "Interrupted",
        False,
        "tried once more; a drained node does not count",
    ),
    Status(
        SKIPPED,
        "another run holds the lock; nothing was done",
        (0,),
        False,
        None,
        "Skipped",
        True,
        "the Job completes",
    ),
    Status(
        ABANDONED,
        "its supervisor died; the next run noted it",
        (),
        False,
        "EtlNotSucceeding",
        "Crashed",
        False,
        "137: tried once more",
    ),
)
#: Every way a run can end, by name.
STATUSES = {status.name: status for status in _ALL}
SUCCESSES = tuple(status.name for status in _ALL if status.is_success)
#: Outcomes of runs that loaded data.
LOADED = (SUCCEEDED, BEHIND, INCOMPLETE)


@dataclass(frozen=True)
class CodePolicy:
    """What one exit code means to a scheduler.

    Attributes:
        name: of the state of a flow run that failed with it.
        retry: whether the same command may go better in a minute.
        advice: what to do, in one line.

    """

    name: str
    retry: bool
    advice: str = ""


CODES = {
    int(ExitCode.FAILED): CodePolicy("Failed", retry=True),
    int(ExitCode.USAGE): CodePolicy("Usage", retry=False),
    int(ExitCode.DATA): CodePolicy(
        "DataRefused",
        retry=False,
        advice="Data was refused, or a test of the tables failed: see the reason.",
    ),
    int(ExitCode.UNAVAILABLE): CodePolicy(
        "Unavailable", retry=True, advice="Run again later: it goes on where it stopped."
    ),
    int(ExitCode.BUDGET): CodePolicy("Behind", retry=False),
    int(ExitCode.NOT_PERMITTED): CodePolicy(
        "NotPermitted",
        retry=False,
        advice="Check the token and its user's permissions (`make doctor`).",
    ),
    int(ExitCode.CONFIGURATION): CodePolicy(
        "Misconfigured", retry=False, advice="Check .env (`make doctor`)."
    ),
    # The user ended the command: no retry.
    130: CodePolicy("Interrupted", retry=False),
    143: CodePolicy("Interrupted", retry=False),
}

# How one stream can end in one run, as the tap reports it.
COMPLETE, NOT_DUE, NOT_PERMITTED = "complete", "not_due", "not_permitted"
REFUSED = "refused"
#: outcome: what it means. `behind`, `incomplete` and `interrupted` are named like those of runs.
STREAM_OUTCOMES = {
    COMPLETE: "read to its end; of its lists those that were due, its reason names the others",
    NOT_DUE: "not asked again: last read within its interval",
    BEHIND: "its API tokens are spent; goes on in the next run",
    NOT_PERMITTED: "refused, and never readable with this token",
    REFUSED: "refused, and readable before",
    INCOMPLETE: "ended with an error while the others went on",
    INTERRUPTED: "the run ended before its end",
}

BEHIND_VARIABLE = "PIPEBOARD_EXIT_CODE_BEHIND"


def code_behind(environ: Mapping[str, str]) -> int | None:
    """Return the exit code that a scheduler wants for `behind`; None to leave it as it is.

    Raises:
        PipeboardError: the variable is neither 0 nor 75.

    """
    given = environ.get(BEHIND_VARIABLE, "")
    if not given:
        return None
    if given not in ("0", "75"):
        what = f"{BEHIND_VARIABLE} is {given!r}"
        raise PipeboardError(what, "Write 0, or 75, or leave it empty", ExitCode.CONFIGURATION)
    return int(given)


def process_code(status: str, code: int, environ: Mapping[str, str]) -> int:
    """Return the exit code of the process for how a run ended."""
    wanted = code_behind(environ)
    return wanted if status == BEHIND and wanted is not None and code else code


def is_retryable(code: int) -> bool:
    """Tell whether a retry in a minute may succeed."""
    policy = CODES.get(code)
    return code != 0 and (policy is None or policy.retry)


def flow_state(status: str | None, code: int) -> tuple[str, bool]:
    """Return name and success of a flow run's state; the status is None where no run began."""
    known = STATUSES.get(status or "")
    if known and known.prefect:
        return known.prefect, known.prefect_completed
    if code == 0:
        return STATUSES[SUCCEEDED].prefect, True
    policy = CODES.get(code)
    return (policy.name if policy else "Failed"), code == ExitCode.BUDGET


def table() -> str:
    """Return all of it as a Markdown table; docs/observability.md shows it."""
    lines = [
        "| status | meaning | exit code | counts as a success | alert | Prefect | Kubernetes |",
        "|---|---|---|---|---|---|---|",
    ]
    for status in _ALL:
        codes = ", ".join(map(str, status.exit_codes)) or "none"
        success = "yes" if status.is_success else "no"
        state = f"`{status.prefect}`" if status.prefect else "named by the exit code"
        if status.name == SKIPPED:
            success = "no, and not as a failure"
        state += ", completed" if status.prefect_completed else ", failed"
        if status.name == ABANDONED:
            state = "`Crashed`, by Prefect itself"
        lines.append(
            f"| `{status.name}` | {status.meaning} | {codes} | {success} | "
            f"{status.alert or 'none'} | {state} | {status.kubernetes} |"
        )
    return "\n".join(lines) + "\n"

"""Decides the outcome of a run by its reports and logs.

A run has succeeded only if each part proves it; missing proof is a failure. The table of outcomes
is in docs/observability.md.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeboard.errors import ExitCode
from pipeboard.outcomes import (
    BEHIND,
    FAILED,
    INCOMPLETE,
    INTERRUPTED,
    NOT_DUE,
    REFUSED,
    STATUSES,
    STREAM_OUTCOMES,
    SUCCEEDED,
)
from pipeboard.run.changed import Decision
from pipeboard.run.dbt_results import Build
from pipeboard.run.jobs import Job
from pipeboard.run.run_log import RunLog

TAP, LOADER, DBT, MELTANO = "tap-pipedrive", "target-postgres", "dbt", "meltano"
#: The command of meltano.yml that builds and reports the models that are due.
CHANGED = "dbt:changed"
TAP_REPORT_VERSION = 2
#: Meltano's only message about SIGINT; its exit code is 1.
ABORTED = "Aborted!"
#: The stream of records that the tap rejected; it is in no catalog.
TAP_QUARANTINE = "tap_quarantine"
#: The counts that must add up to the records that the loader received.
STORED = ("inserted", "updated", "unchanged", "quarantined", "superseded", "filtered")
#: The SQLSTATE at the end of a message of dbt, see dbt_of_sync.
_STATE = re.compile(r"\(SQLSTATE (\w{5})\)")
#: The database could not be reached, lacked something, was busy, or ended the session.
_PASSING_STATES = ("08", "40", "53", "55", "57", "58")
#: It is read only, refuses the login, or the role lacks a right.
_REFUSED_STATES = ("25006", "28", "42501")
_ENDED_SESSION = ("57P01", "57P02", "08006")
_CODES_BY_RANK = (
    ExitCode.NOT_PERMITTED, ExitCode.UNAVAILABLE, ExitCode.UNAVAILABLE, ExitCode.DATA
)  # fmt: skip
_PLUGINS = (("extractors", TAP), ("loaders", LOADER))
_CODES = {int(code) for code in ExitCode}
#: Exit codes of a tap whose reader has ended: its own, SIGTERM and SIGPIPE.
_WITHOUT_READER = {int(ExitCode.FAILED), 143, -signal.SIGTERM, 141, -signal.SIGPIPE}


@dataclass(frozen=True)
class Evidence:
    """The evidence of a run.

    Attributes:
        selected: streams that the tap must report on.
        code: exit code of Meltano, 128 + N for signal N.
        tap: the tap's report, None if there is none of this run.
        loader: the loader's report, likewise.
        build: dbt's results, likewise.
        decision: which models were due, as `dbt:changed` decided.
        oom_kills: processes of this container that the kernel killed for lack of memory meanwhile.

    """

    job: Job
    code: int = 0
    log: RunLog = field(default_factory=RunLog)
    selected: frozenset[str] = frozenset()
    tap: Mapping[str, Any] | None = None
    loader: Mapping[str, Any] | None = None
    build: Build | None = None
    decision: Decision | None = None
    oom_kills: int = 0


@dataclass(frozen=True)
class Judgement:
    """The outcome of a run, and the reason."""

    status: str
    code: int
    part: str = ""
    reason: str | None = None


@dataclass(frozen=True)
class StreamOutcome:
    """How one stream ended in one run: a row of `ops.stream_outcome`."""

    stream: str
    outcome: str
    sent: int
    received: int | None
    quarantined: int
    nulled_values: int
    incomplete_parents: int
    reason: str | None


def judge(evidence: Evidence) -> Judgement:
    """Decide the outcome of a run."""
    if evidence.code or evidence.log.failed or evidence.log.lost_loader:
        return _fault(evidence)
    missing = [*_steps(evidence), *_extraction(evidence), *_build(evidence)]
    if missing:
        part = missing[0][0]
        reason = "; ".join(dict.fromkeys(gap for _, gap in missing))
        return Judgement(FAILED, _code_of(evidence, part), part, f"no proof of success: {reason}")
    return _of_streams(evidence)


# -- what failed ----------------------------------------------------------------------------------


def _fault(evidence: Evidence) -> Judgement:
    """Return which part failed, with which exit code, and why."""
    failed = evidence.log.failed
    loader_code = _number(evidence.loader or {}, "exit_code")
    if evidence.log.lost_loader and not failed.get("loaders"):
        # Meltano reports a broken pipe only. A loader that ended by itself wrote a report.
        if loader_code:
            return _ended_with(evidence, LOADER, loader_code, _message(evidence.loader))
        killed = _killed(LOADER, signal.SIGKILL, evidence.oom_kills)
        return Judgement(FAILED, ExitCode.UNAVAILABLE, LOADER, killed)
    # A tap without its reader ends, or is ended by Meltano: then the loader is the cause.
    follows = failed.get("extractors") in _WITHOUT_READER and bool(failed.get("loaders"))
    for kind, part in reversed(_PLUGINS) if follows else _PLUGINS:
        code = failed.get(kind, 0)
        if code:
            report = evidence.tap if part == TAP else evidence.loader
            return _ended_with(evidence, part, code, _message(report))
    if failed:
        code = next(iter(failed.values()))
        if _signal_of(code) is None:
            dbt_code, why = _dbt_failure(evidence)
            return Judgement(FAILED, dbt_code, DBT, why)
        return _ended_with(evidence, DBT, code, None)
    is_aborted = evidence.log.errors[-1:] == [ABORTED]
    return _ended_with(
        evidence, MELTANO, 128 + signal.SIGINT if is_aborted else evidence.code, None
    )


def _ended_with(evidence: Evidence, part: str, code: int, message: str | None) -> Judgement:
    """Judge a part by its exit code: -N or 128 + N is a signal."""
    number = _signal_of(code)
    if number is not None:
        reason = _killed(part, number, evidence.oom_kills)
        return Judgement(FAILED, ExitCode.UNAVAILABLE, part, reason)
    return Judgement(FAILED, _known(code), part, message)


def _killed(part: str, number: int, oom_kills: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    how = "ended" if number in (signal.SIGTERM, signal.SIGINT) else "killed"
    message = f"{part} was {how} by signal {number} ({name})"
    if number != signal.SIGKILL:
        return message
    if oom_kills:
        return f"{message}: out of memory, by the count of the kernel"
    return f"{message}, probably out of memory"


def _signal_of(code: int) -> int | None:
    if code < 0:
        return -code
    return code - 128 if 128 < code < 192 else None


def _known(code: int) -> int:
    return code if code in _CODES and code else ExitCode.FAILED


def _message(report: Mapping[str, Any] | None) -> str | None:
    return str((report or {}).get("message") or "") or None


def _dbt_failure(evidence: Evidence) -> tuple[int, str | None]:
    """Return exit code and reason for a dbt that failed; its own exit code is the same for all.

    A database that was away, full or busy concerns any node, so one such error decides. A session
    that ended explains less than what refused the next one.
    """
    results = evidence.build.results if evidence.build else []
    errors = [result.message for result in results if result.is_faulty]
    decisive = min(errors or evidence.log.errors, key=_rank, default="")
    why = _faulty_nodes(evidence.build, decisive)
    if _lacked_memory(decisive):
        message = "dbt got no more memory (or no more threads)"
        return ExitCode.UNAVAILABLE, f"out of memory: {message}: {why or decisive}"[:300]
    return _CODES_BY_RANK[_rank(decisive)], why


def _rank(error: str) -> int:
    """Return how much an error of dbt explains: 0 the most."""
    found = _STATE.search(error)
    state = found[1] if found else ""
    if state.startswith(_REFUSED_STATES):
        return 0
    if state in _ENDED_SESSION:
        return 2
    return 1 if state.startswith(_PASSING_STATES) or _lacked_memory(error) else 3


def _lacked_memory(error: str) -> bool:
    return "MemoryError" in error or "start new thread" in error


def _faulty_nodes(build: Build | None, decisive: str = "") -> str | None:
    faulty = [result for result in (build.results if build else []) if result.is_faulty]
    if not faulty:
        return None
    names = ", ".join(result.name for result in faulty[:5])
    more = f" and {len(faulty) - 5} more" if len(faulty) > 5 else ""
    message = decisive or faulty[0].message
    return f"dbt: {names}{more}: {message[:200]}".rstrip(": ")


# -- what is missing ------------------------------------------------------------------------------


def _steps(evidence: Evidence) -> list[tuple[str, str]]:
    done, due = evidence.log.completed, evidence.job.steps
    if done == due:
        return []
    return [(MELTANO, f"Meltano completed {done} of {due} steps of {evidence.job.name}")]


def _extraction(evidence: Evidence) -> list[tuple[str, str]]:
    """Return the proofs that tap and loader lack: the part, and a message."""
    if evidence.job.plugin is None:
        return []
    tap, loader = evidence.tap, evidence.loader
    missing: list[tuple[str, str]] = []
    if tap is None:
        missing.append((TAP, "the tap left no report"))
    else:
        missing += [(TAP, message) for message in _gaps_of_tap(tap, evidence.selected)]
    if loader is None:
        missing.append((LOADER, "the loader left no report"))
    else:
        missing += [(LOADER, message) for message in _gaps_of_loader(loader)]
    if tap is not None and loader is not None:
        missing += [(LOADER, message) for message in _differences(tap, loader)]
    return missing


def _gaps_of_tap(tap: Mapping[str, Any], selected: frozenset[str]) -> list[str]:
    if tap.get("version") != TAP_REPORT_VERSION:
        return [f"the tap's report has version {tap.get('version')}, not {TAP_REPORT_VERSION}"]
    gaps = []
    streams = streams_of(tap)
    unnamed = sorted(selected - streams.keys())
    if unnamed:
        gaps.append(f"the tap's report does not name {', '.join(unnamed)}")
    for name, used in streams.items():
        outcome = str(used.get("outcome"))
        if outcome not in STREAM_OUTCOMES:
            gaps.append(f"{name} ended as {outcome!r}, which is no known outcome")
        elif outcome == INTERRUPTED:
            gaps.append(f"{name} was not read to its end")
        elif outcome == NOT_DUE and _number(used, "records"):
            gaps.append(f"{name} was not due, and yet {_number(used, 'records'):,} records came")
    lost = any(used.get("outcome") in (REFUSED, INCOMPLETE) for used in streams.values())
    code = _number(tap, "exit_code")
    if tap.get("stopped") == "signal":
        gaps.append("the tap was asked to end")
    elif (tap.get("stopped") == "error" or code not in (0, ExitCode.BUDGET)) and not lost:
        gaps.append(f"the tap failed ({code}): {tap.get('message') or 'no reason given'}")
    return gaps


def _gaps_of_loader(loader: Mapping[str, Any]) -> list[str]:
    outcome, code = loader.get("outcome"), _number(loader, "exit_code")
    if outcome != "complete" or code:
        message = _message(loader) or f"exit code {code}"
        return [f"the loader's load is {outcome}: {message}"]
    gaps = []
    for name, counts in streams_of(loader).items():
        received = _number(counts, "received")
        stored = sum(_number(counts, word) for word in STORED)
        if received != stored:
            gaps.append(
                f"{name}: the loader received {received:,} records and accounts for {stored:,}"
            )
    return gaps


def _differences(tap: Mapping[str, Any], loader: Mapping[str, Any]) -> list[str]:
    sent, received = streams_of(tap), streams_of(loader)
    found = []
    for name in dict.fromkeys((*sent, *received)):
        out = _number(sent.get(name, {}), "records")
        came = _number(received.get(name, {}), "received")
        if out != came:
            found.append(f"{name}: the tap sent {out:,} records, the loader received {came:,}")
    # A stream map may have renamed a stream: then no record is lost if the sums agree.
    renamed = received.keys() - sent.keys()
    all_sent = sum(_number(used, "records") for used in sent.values())
    all_received = sum(_number(counts, "received") for counts in received.values())
    return [] if renamed and all_sent == all_received else found


def _build(evidence: Evidence) -> list[tuple[str, str]]:
    """Return the proofs that dbt lacks."""
    if not evidence.job.builds:
        return []
    missing: list[tuple[str, str]] = []
    decision = evidence.decision
    if CHANGED in evidence.job.commands:
        if decision is None:
            return [(DBT, f"{CHANGED} left no report of which models were due")]
        if decision.due == ():
            return []
    build, due = evidence.build, evidence.log.dbt_total
    if build is None:
        return [(DBT, "dbt left no results of this run")]
    if due is None:
        return [(DBT, "dbt did not say how many nodes it would run")]
    if len(build.nodes) != due:
        missing.append((DBT, f"dbt has results of {len(build.nodes)} of {due} nodes"))
    wanted = set(decision.due or ()) if decision else set()
    left_out = wanted - {result.name for result in build.nodes}
    if left_out:
        missing.append((DBT, f"dbt did not build {', '.join(sorted(left_out)[:5])}"))
    faulty = _faulty_nodes(build)
    if faulty:
        missing.append((DBT, faulty))
    skipped = [result.name for result in build.nodes if result.status == "skipped"]
    if skipped:
        missing.append((DBT, f"dbt skipped {len(skipped)} nodes: {', '.join(skipped[:5])}"))
    return missing


def _code_of(evidence: Evidence, part: str) -> int:
    """Return the exit code for missing proof: the one that the part reports, else 1."""
    if part == DBT:
        return ExitCode.DATA
    report = {TAP: evidence.tap, LOADER: evidence.loader}.get(part) or {}
    code = _number(report, "exit_code")
    if _signal_of(code) is not None:
        return ExitCode.UNAVAILABLE
    return code if code in STATUSES[FAILED].exit_codes else ExitCode.FAILED


# -- what the streams say -------------------------------------------------------------------------


def _of_streams(evidence: Evidence) -> Judgement:
    """Decide the outcome of a run with all proofs."""
    tap = evidence.tap if evidence.job.plugin else None
    if tap is None:
        return Judgement(SUCCEEDED, 0)
    streams = streams_of(tap)
    refused = [name for name, used in streams.items() if used.get("outcome") == REFUSED]
    incomplete = [name for name, used in streams.items() if used.get("outcome") == INCOMPLETE]
    if refused or incomplete:
        code = _number(tap, "exit_code")
        if code not in STATUSES[INCOMPLETE].exit_codes:
            code = int(ExitCode.NOT_PERMITTED if refused else ExitCode.DATA)
        lost = [f"{name}: {_why(streams[name])}" for name in (*refused, *incomplete)]
        return Judgement(INCOMPLETE, code, TAP, "; ".join(lost))
    behind = [name for name, used in streams.items() if used.get("outcome") == BEHIND]
    behind += [str(name) for name in tap.get("behind") or [] if name not in behind]
    if tap.get("stopped") == "budget" or _number(tap, "exit_code") == ExitCode.BUDGET:
        message = "the day's token budget is spent; the next run goes on"
        return Judgement(BEHIND, ExitCode.BUDGET, "", message)
    if behind:
        message = "the tokens for history are spent; the next run goes on with "
        return Judgement(BEHIND, 0, "", message + ", ".join(behind))
    return Judgement(SUCCEEDED, 0)


def _why(used: Mapping[str, Any]) -> str:
    return str(used.get("reason") or STREAM_OUTCOMES[str(used["outcome"])])


def stream_outcomes(
    tap: Mapping[str, Any] | None, loader: Mapping[str, Any] | None, selected: frozenset[str]
) -> list[StreamOutcome]:
    """Return how each stream ended, as far as it was reported; else as `interrupted`."""
    reported, received = streams_of(tap or {}), streams_of(loader or {})
    found = []
    for name in dict.fromkeys((*sorted(selected), *reported)):
        if name == TAP_QUARANTINE:
            continue
        used, counts = reported.get(name, {}), received.get(name, {})
        outcome = str(used.get("outcome"))
        found.append(
            StreamOutcome(
                name,
                outcome if outcome in STREAM_OUTCOMES else INTERRUPTED,
                _number(used, "records"),
                _number(counts, "received") if loader is not None else None,
                _number(used, "quarantined") + _number(counts, "quarantined"),
                _number(used, "nulled_values") + _number(counts, "nulled_values"),
                _number(used, "incomplete_parents"),
                str(used["reason"]) if used.get("reason") else None,
            )
        )
    return found


def streams_of(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the streams of a report; malformed ones are left out, and so missing."""
    streams = report.get("streams")
    if not isinstance(streams, dict):
        return {}
    return {str(name): used for name, used in streams.items() if isinstance(used, dict)}


def _number(report: Mapping[str, Any], name: str) -> int:
    value = report.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0

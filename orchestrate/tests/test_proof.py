"""Success needs proof: every way in which a run can lack it, and what a run is called then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from stand_ins import build_report, completed, dbt_lines, job, loader_report, results, tap_report

from pipeboard.outcomes import STATUSES
from pipeboard.run.changed import decision_of
from pipeboard.run.dbt_results import Build, build_of
from pipeboard.run.proof import Evidence, Judgement, StreamOutcome, judge, stream_outcomes
from pipeboard.run.run_log import RunLog

SYNC = job("sync")
Change = Callable[[Evidence], Evidence]


def log(*entries: dict[str, Any]) -> RunLog:
    found = RunLog()
    for entry in entries:
        found.read_entry(entry)
    return found


def whole() -> Evidence:
    """Everything that a sync leaves behind when all went well."""
    return Evidence(
        job=SYNC,
        code=0,
        log=log(
            completed(block_type="ExtractLoadBlocks"),
            *dbt_lines(2),
            completed(block_type="InvokerCommand"),
        ),
        selected=SYNC.streams,
        tap=tap_report(SYNC),
        loader=loader_report(SYNC),
        build=build("success", "pass"),
        decision=decision_of(build_report("m0", "m1", current=3)),
    )


def due(*names: str) -> Change:
    """Let these models be due, and dbt leave nothing."""
    steps = log(completed(block_type="ExtractLoadBlocks"), completed(block_type="InvokerCommand"))
    decision = decision_of(build_report(*names, current=5))
    return lambda evidence: replace(evidence, decision=decision, build=None, log=steps)


def build(*statuses: str) -> Build:
    return build_of(results(*statuses), {})


def of_tap(**changed: Any) -> Change:
    return lambda evidence: replace(evidence, tap={**(evidence.tap or {}), **changed})


def of_loader(**changed: Any) -> Change:
    return lambda evidence: replace(evidence, loader={**(evidence.loader or {}), **changed})


def stream(name: str, **changed: Any) -> Change:
    """Change what the tap says of one stream."""

    def change(evidence: Evidence) -> Evidence:
        streams = dict((evidence.tap or {})["streams"])
        streams[name] = {**streams.get(name, {}), **changed}
        return of_tap(streams=streams)(evidence)

    return change


def without_stream(name: str) -> Change:
    def change(evidence: Evidence) -> Evidence:
        streams = dict((evidence.tap or {})["streams"])
        del streams[name]
        return of_tap(streams=streams)(evidence)

    return change


def loaded(name: str, **changed: Any) -> Change:
    """Change what the loader says of one stream."""

    def change(evidence: Evidence) -> Evidence:
        streams = dict((evidence.loader or {})["streams"])
        streams[name] = {**streams.get(name, {}), **changed}
        return of_loader(streams=streams)(evidence)

    return change


def meltano_ended(code: int, *entries: dict[str, Any]) -> Change:
    """Let Meltano end with a code, after it said this."""
    return lambda evidence: replace(evidence, code=code, log=log(*entries))


def both(*changes: Change) -> Change:
    def change(evidence: Evidence) -> Evidence:
        for one in changes:
            evidence = one(evidence)
        return evidence

    return change


def failed_pair(**codes: int) -> Change:
    return meltano_ended(1, completed(False, block_type="ExtractLoadBlocks", exit_codes=codes))


def failed_discovery(code: int) -> Change:
    message = f"Catalog discovery failed: command ['tap'] returned {code} with stderr:"
    return meltano_ended(
        1, completed(False, block_type="ExtractLoadBlocks", exit_codes={}, err=message)
    )


def failed_dbt(code: int) -> Change:
    text = f"`dbt build` failed with exit code: {code}"
    singer = completed(block_type="ExtractLoadBlocks")
    return meltano_ended(1, singer, completed(False, block_type="InvokerCommand", err=text))


def lost_loader(evidence: Evidence) -> Evidence:
    entry = {"event": "", "exception": [{"exc_type": "BrokenPipeError"}]}
    return meltano_ended(1, entry)(evidence)


def aborted(evidence: Evidence) -> Evidence:
    found = RunLog()
    found.read("Aborted!")
    return replace(evidence, code=1, log=found)


def test_a_whole_run_succeeded() -> None:
    assert judge(whole()) == judge(replace(whole(), tap={**(whole().tap or {}), "message": "ok"}))
    assert (judge(whole()).status, judge(whole()).code) == ("succeeded", 0)


@pytest.mark.parametrize(
    ("change", "code", "part", "text"),
    [
        # Reports that are missing, or of another run.
        (lambda e: replace(e, tap=None), 1, "tap-pipedrive", "the tap left no report"),
        (lambda e: replace(e, loader=None), 1, "target-postgres", "the loader left no report"),
        (of_tap(version=1), 1, "tap-pipedrive", "the tap's report has version 1, not 2"),
        (of_tap(streams=[]), 1, "tap-pipedrive", "does not name activities, activity_fields"),
        (without_stream("notes"), 1, "tap-pipedrive", "the tap's report does not name notes"),
        # A tap that ended before its end.
        (
            both(of_tap(stopped="signal", exit_code=143), stream("notes", outcome="interrupted")),
            69,
            "tap-pipedrive",
            "notes was not read to its end; the tap was asked to end",
        ),
        (stream("notes", outcome="interrupted"), 1, "tap-pipedrive", "notes was not read to its"),
        (stream("notes", outcome="done"), 1, "tap-pipedrive", "'done', which is no known outcome"),
        (stream("notes", outcome=None), 1, "tap-pipedrive", "no known outcome"),
        (
            of_tap(stopped="error", exit_code=65, message="it broke"),
            65,
            "tap-pipedrive",
            "the tap failed (65): it broke",
        ),
        (of_tap(exit_code=78), 78, "tap-pipedrive", "the tap failed (78): no reason given"),
        (of_tap(stopped="error"), 1, "tap-pipedrive", "the tap failed (0): no reason given"),
        # A loader that did not keep everything.
        (
            of_loader(outcome="failed", exit_code=69, message="the database is away"),
            69,
            "target-postgres",
            "the loader's load is failed: the database is away",
        ),
        (
            of_loader(outcome="interrupted", exit_code=143),
            69,
            "target-postgres",
            "the loader's load is interrupted: exit code 143",
        ),
        (of_loader(exit_code=65), 65, "target-postgres", "exit code 65"),
        (of_loader(outcome=None), 1, "target-postgres", "the loader's load is None"),
        (
            stream("deals", records=7),
            1,
            "target-postgres",
            "deals: the tap sent 7 records, the loader received 1",
        ),
        (
            loaded("deals", received=3, inserted=3),
            1,
            "target-postgres",
            "deals: the tap sent 1 records, the loader received 3",
        ),
        (
            of_loader(streams={}),
            1,
            "target-postgres",
            "deals: the tap sent 1 records, the loader received 0",
        ),
        (
            loaded("strangers", received=2, inserted=2),
            1,
            "target-postgres",
            "strangers: the tap sent 0 records, the loader received 2",
        ),
        (
            loaded("deals", inserted=0),
            1,
            "target-postgres",
            "deals: the loader received 1 records and accounts for 0",
        ),
        (
            stream("tap_quarantine", outcome="complete", records=2),
            1,
            "target-postgres",
            "tap_quarantine: the tap sent 2 records, the loader received 0",
        ),
        # dbt's results are not whole.
        (lambda e: replace(e, build=None), 65, "dbt", "dbt left no results of this run"),
        (lambda e: replace(e, build=build("success")), 65, "dbt", "results of 1 of 2 nodes"),
        (lambda e: replace(e, build=build("success", "error")), 65, "dbt", "dbt: m1: why"),
        (lambda e: replace(e, build=build("success", "fail")), 65, "dbt", "dbt: m1: why"),
        (lambda e: replace(e, build=build("success", "skipped")), 65, "dbt", "skipped 1 nodes: m1"),
        (
            meltano_ended(0, completed(), completed()),
            65,
            "dbt",
            "dbt did not say how many nodes it would run",
        ),
        # Which models were due is not known, or not all of those were built.
        (
            lambda e: replace(e, decision=None),
            65,
            "dbt",
            "dbt:changed left no report of which models were due",
        ),
        (
            lambda e: replace(e, decision=decision_of(build_report("m0", "m1", "m2"))),
            65,
            "dbt",
            "dbt did not build m2",
        ),
        (due("m0"), 65, "dbt", "dbt left no results of this run"),
        (
            lambda e: replace(due()(e), log=log(completed())),
            1,
            "meltano",
            "Meltano completed 1 of 2 steps of sync",
        ),
        # Meltano that ended early, with a good exit code.
        (meltano_ended(0), 1, "meltano", "Meltano completed 0 of 2 steps of sync"),
        (meltano_ended(0, completed()), 1, "meltano", "Meltano completed 1 of 2 steps of sync"),
    ],
)
def test_a_run_without_proof_failed(change: Change, code: int, part: str, text: str) -> None:
    judged = judge(change(whole()))
    assert (judged.status, judged.code, judged.part) == ("failed", code, part), judged.reason
    assert text in str(judged.reason)
    assert str(judged.reason).startswith("no proof of success: ")


@pytest.mark.parametrize(
    ("change", "code", "part", "text"),
    [
        (failed_pair(extractors=77), 77, "tap-pipedrive", None),
        (both(failed_pair(extractors=77), of_tap(message="deals is refused")), 77, "tap-pipedrive",
         "deals is refused"),
        (failed_pair(extractors=1), 1, "tap-pipedrive", None),
        (failed_pair(extractors=3), 1, "tap-pipedrive", None),
        (failed_pair(loaders=69), 69, "target-postgres", None),
        (both(failed_pair(loaders=65), of_loader(message="6 % refused")), 65, "target-postgres",
         "6 % refused"),
        (failed_pair(extractors=69, loaders=1), 69, "tap-pipedrive", None),
        # Meltano ends a tap whose loader failed; a tap also ends without its reader.
        (both(failed_pair(extractors=143, loaders=78), of_loader(message="no such schema")), 78,
         "target-postgres", "no such schema"),
        (failed_pair(extractors=1, loaders=-9), 69, "target-postgres",
         "target-postgres was killed by signal 9"),
        (failed_pair(), 1, "tap-pipedrive", None),
        (failed_dbt(1), 65, "dbt", None),
        (both(failed_dbt(1), lambda e: replace(e, build=build("fail", "skipped"))), 65, "dbt",
         "dbt: m0: why"),
        (meltano_ended(1), 1, "meltano", None),
        # Killed: the data is not at fault, and a retry may succeed.
        (failed_pair(extractors=-9), 69, "tap-pipedrive",
         "tap-pipedrive was killed by signal 9 (SIGKILL), probably out of memory"),
        (failed_pair(extractors=143), 69, "tap-pipedrive",
         "tap-pipedrive was ended by signal 15 (SIGTERM)"),
        (failed_pair(extractors=-11), 69, "tap-pipedrive",
         "tap-pipedrive was killed by signal 11 (SIGSEGV)"),
        # Meltano asks the tap for its catalog first, and has another message for how that failed.
        (failed_discovery(-9), 69, "tap-pipedrive",
         "tap-pipedrive was killed by signal 9 (SIGKILL), probably out of memory"),
        (failed_discovery(143), 69, "tap-pipedrive",
         "tap-pipedrive was ended by signal 15 (SIGTERM)"),
        (failed_discovery(78), 78, "tap-pipedrive", None),
        (failed_pair(loaders=-9), 69, "target-postgres",
         "target-postgres was killed by signal 9 (SIGKILL), probably out of memory"),
        (failed_pair(loaders=137), 69, "target-postgres", "target-postgres was killed by signal 9"),
        (failed_dbt(-9), 69, "dbt", "dbt was killed by signal 9 (SIGKILL), probably out of memory"),
        (meltano_ended(137), 69, "meltano",
         "meltano was killed by signal 9 (SIGKILL), probably out of memory"),
        (meltano_ended(143), 69, "meltano", "meltano was ended by signal 15 (SIGTERM)"),
        (aborted, 69, "meltano", "meltano was ended by signal 2 (SIGINT)"),
        # Meltano sees a broken pipe; whether the loader left a report tells how it ended.
        (both(lost_loader, lambda e: replace(e, loader=None)), 69, "target-postgres",
         "target-postgres was killed by signal 9 (SIGKILL), probably out of memory"),
        (both(lost_loader, of_loader(exit_code=143, outcome="interrupted")), 69,
         "target-postgres", "target-postgres was ended by signal 15 (SIGTERM)"),
        (both(lost_loader, of_loader(exit_code=78, message="no such schema")), 78,
         "target-postgres", "no such schema"),
        (both(failed_pair(extractors=-9), lambda e: replace(e, oom_kills=1)), 69, "tap-pipedrive",
         "(SIGKILL): out of memory, by the count of the kernel"),
    ],
)  # fmt: skip
def test_a_failure_says_which_part_and_why(
    change: Change, code: int, part: str, text: str | None
) -> None:
    judged = judge(change(whole()))
    assert (judged.status, judged.code, judged.part) == ("failed", code, part), judged.reason
    assert judged.reason is None if text is None else text in str(judged.reason)


@pytest.mark.parametrize(
    ("change", "status", "code", "text"),
    [
        (stream("leads", outcome="not_permitted", records=0), "failed", 1, "leads: the tap sent"),
        (
            both(
                stream("leads", outcome="not_permitted", records=0),
                loaded("leads", received=0, inserted=0),
            ),
            "succeeded",
            0,
            None,
        ),
        (
            both(
                stream("leads", outcome="not_due", records=0, reason="read at noon"),
                loaded("leads", received=0, inserted=0),
            ),
            "succeeded",
            0,
            None,
        ),
        (stream("leads", outcome="not_due"), "failed", 1, "not due, and yet 1 records"),
        (
            both(
                of_tap(stopped="budget", exit_code=75), stream("deal_changelog", outcome="behind")
            ),
            "behind",
            75,
            "the day's token budget is spent",
        ),
        (
            both(of_tap(behind=["deal_changelog"]), stream("deal_changelog", outcome="behind")),
            "behind",
            0,
            "goes on with deal_changelog",
        ),
        (
            both(of_tap(exit_code=77), stream("notes", outcome="refused", reason="403")),
            "incomplete",
            77,
            "notes: 403",
        ),
        (
            both(
                of_tap(exit_code=69, stopped="error"),
                stream("notes", outcome="incomplete", reason="500 for good"),
            ),
            "incomplete",
            69,
            "notes: 500 for good",
        ),
        (
            both(of_tap(exit_code=1), stream("notes", outcome="incomplete")),
            "incomplete",
            65,
            "notes: ended with an error",
        ),
        # The worst of them gives the name.
        (
            both(
                of_tap(exit_code=77, stopped="budget"),
                stream("notes", outcome="refused"),
                stream("deal_changelog", outcome="behind"),
            ),
            "incomplete",
            77,
            "notes: refused, and readable before",
        ),
        # A stream map renamed a stream: the sums agree.
        (
            both(
                loaded("deals", received=0, inserted=0),
                loaded("deals_of_acme", received=1, inserted=0, filtered=1),
            ),
            "succeeded",
            0,
            None,
        ),
        # No model was due, and dbt was not started.
        (due(), "succeeded", 0, None),
        # Nothing was to be built: dbt says so, and has no results.
        (
            lambda e: replace(
                e,
                log=log(
                    completed(),
                    dbt_lines(1)[0],
                    {"name": "dbt", "event": "Nothing to do. Try checking your model configs"},
                    completed(),
                ),
                build=build(),
                decision=decision_of({**build_report(), "due": None}),
            ),
            "succeeded",
            0,
            None,
        ),
    ],
)
def test_the_streams_decide_the_status_of_a_proven_run(
    change: Change, status: str, code: int, text: str | None
) -> None:
    judged = judge(change(whole()))
    assert (judged.status, judged.code) == (status, code), judged.reason
    assert code in STATUSES[status].exit_codes
    assert judged.reason is None if text is None else text in str(judged.reason)


SPENT = "the day's token budget is spent; the next run goes on"
GOES_ON = "the tokens for history are spent; the next run goes on with "


@pytest.mark.parametrize(
    ("change", "judgement"),
    [
        (of_tap(stopped="budget"), Judgement("behind", 75, "", SPENT)),
        (of_tap(exit_code=75), Judgement("behind", 75, "", SPENT)),
        (of_tap(behind=["deals"]), Judgement("behind", 0, "", f"{GOES_ON}deals")),
        (
            both(of_tap(behind=["notes", "deals"]), stream("deals", outcome="behind")),
            Judgement("behind", 0, "", f"{GOES_ON}deals, notes"),
        ),
        (
            both(
                of_tap(exit_code=1),
                stream("notes", outcome="refused", reason="403"),
                stream("deals", outcome="incomplete", reason="500"),
            ),
            Judgement("incomplete", 77, "tap-pipedrive", "notes: 403; deals: 500"),
        ),
    ],
)
def test_a_proven_run_is_judged_to_the_word(change: Change, judgement: Judgement) -> None:
    assert judge(change(whole())) == judgement


@pytest.mark.parametrize(
    ("n_faulty", "text"),
    [
        (5, "dbt: m0, m1, m2, m3, m4: why"),
        (6, "dbt: m0, m1, m2, m3, m4 and 1 more: why"),
        (7, "dbt: m0, m1, m2, m3, m4 and 2 more: why"),
    ],
)
def test_five_faulty_nodes_of_dbt_are_named(n_faulty: int, text: str) -> None:
    failed = both(failed_dbt(1), lambda e: replace(e, build=build(*["error"] * n_faulty)))
    assert judge(failed(whole())) == Judgement("failed", 65, "dbt", text)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (128, None),
        (129, "tap-pipedrive was killed by signal 1 (SIGHUP)"),
        (191, "tap-pipedrive was killed by signal 63 (unknown)"),
        (192, None),
    ],
)
def test_a_code_of_a_signal_is_129_to_191(code: int, reason: str | None) -> None:
    judged = judge(failed_pair(extractors=code)(whole()))
    assert (judged.part, judged.reason) == ("tap-pipedrive", reason)


def test_a_step_that_failed_is_a_failure_whatever_meltano_ended_with() -> None:
    codes = completed(False, block_type="ExtractLoadBlocks", exit_codes={"loaders": 78})
    judged = judge(meltano_ended(0, codes)(whole()))
    assert (judged.status, judged.code, judged.part) == ("failed", 78, "target-postgres")


def test_a_loader_that_was_lost_is_judged_by_what_is_known_of_it() -> None:
    broken = {"event": "", "exception": [{"exc_type": "BrokenPipeError"}]}
    codes = completed(False, block_type="ExtractLoadBlocks", exit_codes={"loaders": 78})
    judged = judge(meltano_ended(1, broken, codes)(whole()))
    assert (judged.code, judged.part) == (78, "target-postgres")
    judged = judge(replace(lost_loader(whole()), loader=None, oom_kills=1))
    assert str(judged.reason).endswith("out of memory, by the count of the kernel")


@pytest.mark.parametrize("name", ["backfill", "build"])
def test_a_job_needs_proof_of_its_own_steps_only(name: str) -> None:
    found = job(name)
    assert (found.plugin is None, found.builds) == (name == "build", name == "build")
    evidence = replace(whole(), job=found, log=log(*dbt_lines(2), completed()))
    if name == "build":
        assert judge(replace(evidence, tap=None, loader=None)) == Judgement("succeeded", 0)
        # The report of another job's tap says nothing about this one.
        of_another = replace(evidence, tap=tap_report(SYNC, behind=["deal_changelog"]))
        assert judge(of_another) == Judgement("succeeded", 0)
    else:
        assert judge(replace(evidence, build=None)).status == "succeeded"


def test_every_selected_stream_has_an_outcome() -> None:
    quarantine = stream("tap_quarantine", outcome="complete", records=1)
    tap = both(quarantine, stream("webhooks", outcome="complete"))(
        stream("deals", quarantined=2, nulled_values=3, incomplete_parents=1, reason="odd values")(
            without_stream("notes")(whole())
        )
    )
    found = {
        one.stream: one
        for one in stream_outcomes(
            tap.tap, loaded("deals", quarantined=1, nulled_values=4)(tap).loader, tap.selected
        )
    }
    assert found.keys() == {*SYNC.streams, "webhooks"}
    assert found["notes"].outcome == "interrupted"
    assert found["deals"] == StreamOutcome("deals", "complete", 1, 1, 3, 7, 1, "odd values")
    unknown = stream_outcomes(None, None, SYNC.streams)
    assert {(one.outcome, one.received) for one in unknown} == {("interrupted", None)}


def messages(*texts: str) -> Change:
    """Let dbt fail with a node for each of these messages."""
    found = results(*["error"] * len(texts))
    for result, text in zip(found["results"][1:], texts, strict=True):
        result["message"] = text
    return both(failed_dbt(1), lambda evidence: replace(evidence, build=build_of(found, {})))


@pytest.mark.parametrize(
    ("texts", "code", "decisive"),
    [
        (["column x does not exist (SQLSTATE 42703)"], 65, "column x does not exist"),
        (["could not extend file (SQLSTATE 53100)"], 69, "could not extend file"),
        (["Got 1 result", "out of memory (SQLSTATE 53200)"], 69, "out of memory"),
        (["ended (SQLSTATE 57P01)", "too many connections (SQLSTATE 08001)"], 69, "too many"),
        (["closed (SQLSTATE 08006)", "read-only transaction (SQLSTATE 25006)"], 77, "read-only"),
        (["lock timeout (SQLSTATE 55P03)"], 69, "lock timeout"),
        (["no right (SQLSTATE 42501)"], 77, "no right"),
        (["x", "Unhandled error: MemoryError"], 69, "out of memory: dbt got no more memory"),
        (["can't start new thread"], 69, "out of memory: dbt got no more memory"),
    ],
)
def test_an_error_of_the_database_in_a_build_has_the_code_of_its_state(
    texts: list[str], code: int, decisive: str
) -> None:
    judged = judge(messages(*texts)(whole()))
    assert (judged.status, judged.code, judged.part) == ("failed", code, "dbt")
    assert decisive in (judged.reason or "")


def test_a_dbt_that_left_no_results_is_judged_by_its_lines() -> None:
    lines = log(
        {"name": "dbt", "event": "Encountered an error: Database Error"},
        {"name": "dbt", "event": "  Error: connection refused (SQLSTATE 08001)"},
        completed(False, block_type="InvokerCommand", err="failed with exit code: 2"),
    )
    judged = judge(replace(whole(), code=1, log=lines, build=None))
    assert (judged.code, judged.part) == (69, "dbt")

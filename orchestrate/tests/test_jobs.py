"""What meltano.yml says of jobs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stand_ins import ROOT, job

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.run.jobs import KNOWN, job_named, selected_by_name


def test_a_job_does_what_meltano_yml_says() -> None:
    sync = job("sync")
    assert (sync.plugin, sync.commands, sync.builds, sync.steps) == (
        "tap-pipedrive",
        ("dbt:changed",),
        True,
        2,
    )
    assert {"deals", "notes", "activity_fields"} <= sync.streams
    backfill = job("backfill")
    assert (backfill.plugin, backfill.builds, backfill.steps) == (
        "tap-pipedrive-backfill",
        False,
        1,
    )
    assert backfill.streams == sync.streams, "inherited"
    assert job("backfill-history").streams == {"deal_changelog", "deal_changelog_sync"}
    build = job("build")
    assert (build.plugin, build.builds, build.streams) == (None, True, frozenset())
    assert job("reconcile").commands == ("dbt:reconcile",)


def test_every_job_that_we_know_is_there() -> None:
    assert all(job_named(ROOT, name).name == name for name in KNOWN)


def test_the_environment_selects_too() -> None:
    backfill = job("backfill")
    only = {"TAP_PIPEDRIVE_BACKFILL__SELECT_FILTER": json.dumps(["deals", "notes"])}
    assert backfill.selected(only) == {"deals", "notes"}
    without = {"TAP_PIPEDRIVE_BACKFILL__SELECT_FILTER": json.dumps(["!notes"])}
    assert backfill.selected(without) == backfill.streams - {"notes"}
    other = {"TAP_PIPEDRIVE_BACKFILL__SELECT": json.dumps(["deals.*", "goals.id"])}
    assert backfill.selected(other) == {"deals", "goals"}
    assert backfill.selected({"TAP_PIPEDRIVE__SELECT": json.dumps(["deals.*"])}) == backfill.streams
    assert backfill.selected({}) == backfill.streams
    assert job("build").selected(other) == frozenset()


@pytest.mark.parametrize(
    ("patterns", "streams"),
    [
        (["deals.*", "!deals.value", "notes.id"], {"deals", "notes"}),
        (["deals.*", "notes.*", "!notes.*"], {"deals"}),
        (["*.*"], set()),
        (["deal_*.*", "deals.*"], {"deals"}),
        ([], set()),
    ],
)
def test_streams_that_patterns_name(patterns: list[str], streams: set[str]) -> None:
    assert selected_by_name(patterns) == streams


def test_a_job_with_two_extractors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "meltano.yml").write_text(
        """
plugins:
  extractors: [{name: tap-a}, {name: tap-b, inherit_from: tap-a}]
jobs:
  - {name: both, tasks: [tap-a target-x, [tap-b target-x]]}
  - {name: one, tasks: tap-b target-x dbt:build}
"""
    )
    with pytest.raises(
        PipeboardError, match="the job both has 2 extractors: tap-a, tap-b"
    ) as caught:
        job_named(tmp_path, "both")
    assert caught.value.code == ExitCode.CONFIGURATION
    assert job_named(tmp_path, "one").plugin == "tap-b"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "soon"])
def test_a_bound_that_bounds_nothing_is_refused(value: str) -> None:
    with pytest.raises(PipeboardError, match="PIPEBOARD_STALL_SECONDS is") as caught:
        job("sync").within({"PIPEBOARD_STALL_SECONDS": value})
    assert caught.value.code == ExitCode.CONFIGURATION


def test_an_unknown_job_names_those_that_there_are() -> None:
    with pytest.raises(PipeboardError, match="has no job nightly") as caught:
        job("nightly")
    assert caught.value.remedy.startswith("There are sync, elt, ")


@pytest.mark.parametrize("text", ["", "deals.*", '{"deals": true}'])
def test_a_selection_that_is_no_list_is_left_to_meltano(text: str) -> None:
    assert job("sync").selected({"TAP_PIPEDRIVE__SELECT": text}) == job("sync").streams

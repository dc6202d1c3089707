"""Changes have a stable id and order; the log of a reopened deal is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_pipedrive.api.limits.governor import Governor
from tap_pipedrive.api.limits.store import LocalStore
from tap_pipedrive.state.seen_deals import SeenDeals
from tap_pipedrive.streams.changelogs import number_changes

change = st.fixed_dictionaries(
    {
        "time": st.sampled_from([f"2026-01-01 00:00:0{s}" for s in range(3)]),
        "field_key": st.sampled_from(["stage_id", "status"]),
        "old_value": st.sampled_from(["1", "2", None]),
        "new_value": st.sampled_from(["1", "2", None]),
    }
)
logs = st.lists(change, max_size=12).map(lambda rows: sorted(rows, key=lambda r: r["time"]))


@given(logs, st.lists(change, max_size=4))
def test_later_changes_never_renumber_earlier_ones(log: list[dict], later: list[dict]) -> None:
    last = max((r["time"] for r in log), default="")
    grown = log + sorted((r for r in later if r["time"] >= last), key=lambda r: r["time"])
    before = number_changes("deal_id", 5, list(reversed(log)))
    after = number_changes("deal_id", 5, list(reversed(grown)))
    assert after[: len(before)] == before
    assert len({r["id"] for r in after}) == len(after)
    assert [(r["time"], r["second_seq"]) for r in after] == sorted(
        (r["time"], r["second_seq"]) for r in after
    )


def test_the_same_change_of_two_deals_has_two_ids() -> None:
    row = {
        "time": "2026-01-01 00:00:00",
        "field_key": "stage_id",
        "old_value": "1",
        "new_value": "2",
    }
    assert (
        number_changes("deal_id", 1, [row])[0]["id"] != number_changes("deal_id", 2, [row])[0]["id"]
    )


deals = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(1, 5000),
            "status": st.sampled_from(["open", "won", "lost", "deleted"]),
            "close_time": st.none() | st.just("2026-01-01T00:00:00Z"),
        }
    )
)


@given(pages=st.lists(deals, max_size=4))
def test_seen_deals_survive_a_restart_and_forget_no_closed_one(
    tmp_path_factory: pytest.TempPathFactory, pages: list[list[dict]]
) -> None:
    folder = tmp_path_factory.mktemp("seen")
    mark: dict[str, Any] = {}
    closed, seen, deleted = set(), set(), set()
    for page in pages:
        memory = SeenDeals(Governor(LocalStore(folder)), mark)
        for deal in page:
            memory.add(deal)
        memory.save()
        seen |= {d["id"] for d in page}
        deleted |= {d["id"] for d in page if d["status"] == "deleted"}
        closed |= {d["id"] for d in page if d["status"] in ("won", "lost") or d["close_time"]}
    memory = SeenDeals(Governor(LocalStore(folder)), mark)
    for deal_id in range(5001):
        known = deal_id in seen and deal_id not in deleted
        won = {"id": deal_id, "status": "won"}
        reopened = {"id": deal_id, "status": "open"}
        assert memory.may_have_returned(won) == (not known)
        assert memory.may_have_returned(reopened) == (not known or deal_id in closed)


WON = {"id": 1, "status": "won"}


def test_a_memory_newer_than_its_state_is_not_used(tmp_path: Path) -> None:
    mark: dict[str, Any] = {}
    memory = SeenDeals(Governor(LocalStore(tmp_path)), mark)
    memory.add(WON)
    committed = dict(mark)
    memory.save()
    assert not SeenDeals(Governor(LocalStore(tmp_path)), dict(mark)).may_have_returned(WON)
    assert SeenDeals(Governor(LocalStore(tmp_path)), committed).may_have_returned(WON)
    assert SeenDeals(Governor(LocalStore(tmp_path)), {}).may_have_returned(WON), "another line"


def test_a_memory_older_than_its_state_is_not_used(tmp_path: Path) -> None:
    """A run on another machine, or after the folder was lost for a while, has seen more."""
    mark: dict[str, Any] = {}
    here, elsewhere = (Governor(LocalStore(tmp_path / name)) for name in ("here", "elsewhere"))
    for store, status in ((here, "open"), (elsewhere, "won")):
        memory = SeenDeals(store, mark)
        memory.add({"id": 1, "status": status})
        memory.save()
    reopened = {"id": 1, "status": "open"}
    assert SeenDeals(Governor(LocalStore(tmp_path / "here")), dict(mark)).may_have_returned(
        reopened
    )


def test_a_damaged_memory_counts_as_lost(tmp_path: Path) -> None:
    mark: dict[str, Any] = {}
    memory = SeenDeals(Governor(LocalStore(tmp_path)), mark)
    memory.add(WON)
    memory.save()
    (file,) = tmp_path.glob("cache-*/seen*")
    for damage in (b"", b"junk", file.read_bytes()[:-3]):
        file.write_bytes(damage)
        assert SeenDeals(Governor(LocalStore(tmp_path)), dict(mark)).may_have_returned(WON)

"""The account's shape changes; the sync goes on, says so, and keeps every raw value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Output

from tap_pipedrive.state.definitions import differences

Sync = Callable[..., Output]


def test_changed_definitions_are_logged(
    simulator: Any, sync: Sync, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = sync(state_dir=str(tmp_path), only={"deal_fields"})
    chosen = next(f for f in simulator.account.fields["deal"].custom if f.options)
    simulator.account.rename_field("deal", chosen.key, "Nome novo")
    simulator.account.add_option("deal", chosen.key, "Opção nova")
    simulator.account.add_field("deal", "Campo novo", "varchar")
    caplog.clear()
    second = sync(first.state, state_dir=str(tmp_path), only={"deal_fields"})
    assert second.records["deal_fields"], "a changed list is sent again"
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "renamed" in told and "'Nome novo'" in told
    assert "new_option" in told and "'Opção nova'" in told
    assert "added" in told and "'Campo novo'" in told


@pytest.mark.parametrize("kind", ["unknown_properties", "missing_properties", "wrong_types"])
def test_invalid_definitions_do_not_stop_a_sync(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    plain = sync(only={"deals", "persons", "users"})
    simulator.control("POST", "faults", {"kind": kind})
    odd = sync(only={"deals", "persons", "users"})
    for stream in ("deals", "persons", "users"):
        assert len(odd.records[stream]) == len(plain.records[stream])
    kept = [r["_extra"] for rows in odd.records.values() for r in rows if r.get("_extra")]
    assert bool(kept) is (kind != "missing_properties")
    told = " ".join(record.getMessage() for record in caplog.records)
    assert ("kept in _extra" in told) is (kind != "missing_properties")


def test_differences_name_what_changed() -> None:
    before = [
        {"field_code": "a", "field_name": "A", "field_type": "enum", "options": [{"id": 1}]},
        {"field_code": "b", "field_name": "B", "field_type": "text"},
    ]
    after = [
        {"field_code": "a", "field_name": "Á", "field_type": "set",
         "options": [{"id": 1}, {"id": 2, "label": "x"}]},
        {"field_code": "c", "field_name": "C", "field_type": "text"},
    ]  # fmt: skip
    assert [kind for kind, _ in differences(before, after)] == [
        "added", "new_option", "removed", "renamed", "retyped"
    ]  # fmt: skip
    assert differences(before, before) == []

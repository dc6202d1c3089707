"""When the account's shape changes, the sync goes on, logs the change, and keeps every value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tap_runs import Output

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
    reported = " ".join(record.getMessage() for record in caplog.records)
    assert "renamed" in reported and "'Nome novo'" in reported
    assert "new_option" in reported and "'Opção nova'" in reported
    assert "added" in reported and "'Campo novo'" in reported


@pytest.mark.parametrize("kind", ["unknown_properties", "missing_properties", "wrong_types"])
def test_invalid_definitions_do_not_stop_a_sync(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    plain = sync(only={"deals", "persons", "users"})
    simulator.control("POST", "faults", {"kind": kind})
    odd = sync(only={"deals", "persons", "users"})
    for stream in ("deals", "persons", "users"):
        assert len(odd.records[stream]) == len(plain.records[stream])
    stored = [r["_extra"] for rows in odd.records.values() for r in rows if r.get("_extra")]
    assert bool(stored) is (kind != "missing_properties")
    reported = " ".join(record.getMessage() for record in caplog.records)
    assert ("stored in _extra" in reported) is (kind != "missing_properties")


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

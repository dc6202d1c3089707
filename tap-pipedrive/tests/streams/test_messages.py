"""Pages are written as a whole if the SDK has nothing to change in their records."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tap_runs import run_tap

from tap_pipedrive.tap import TapPipedrive


@pytest.fixture
def catalog() -> dict[str, Any]:
    found: dict[str, Any] = TapPipedrive(config={}, validate_config=False).catalog_dict
    return found


def selecting(catalog: dict[str, Any], **properties: bool) -> dict[str, Any]:
    """The catalog with some properties of persons (de)selected, and only persons read."""
    changed = copy.deepcopy(catalog)
    for stream in changed["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] == "persons"
            elif stream["tap_stream_id"] == "persons" and entry["breadcrumb"][-1] in properties:
                entry["metadata"]["selected"] = properties[entry["breadcrumb"][-1]]
    return changed


def writes_pages(config: dict[str, Any], catalog: dict[str, Any] | None = None) -> bool:
    tap = TapPipedrive(config=config, catalog=catalog)
    return bool(tap.streams["persons"]._writes_pages)  # type: ignore[attr-defined]


def test_a_default_run_writes_pages(config: dict[str, Any], catalog: dict[str, Any]) -> None:
    assert writes_pages(config)
    assert writes_pages(config, selecting(catalog))
    assert not writes_pages(config, selecting(catalog, phones=False))
    assert not writes_pages({**config, "flattening_enabled": True, "flattening_max_depth": 1})
    assert not writes_pages({**config, "stream_maps": {"persons": {"x": "name"}}})


def test_deselected_properties_are_not_sent(
    config: dict[str, Any], catalog: dict[str, Any]
) -> None:
    everything = run_tap(config, catalog=selecting(catalog)).records["persons"]
    partial = run_tap(config, catalog=selecting(catalog, phones=False, emails=False))
    for whole, part in zip(everything, partial.records["persons"], strict=True):
        assert part == {k: v for k, v in whole.items() if k not in ("phones", "emails")}


def test_stream_maps_and_flattening_work(config: dict[str, Any]) -> None:
    maps = {"persons": {"name": None, "id": "id", "initial": "name[0]", "__else__": None}}
    mapped = run_tap({**config, "stream_maps": maps}, only={"persons"}).records["persons"]
    assert mapped and all(set(record) == {"id", "initial"} for record in mapped)
    flat = run_tap(
        {**config, "flattening_enabled": True, "flattening_max_depth": 1}, only={"deals"}
    ).records["deals"]
    # The schema names no property of custom_fields, so there is nothing to lift out of it.
    assert flat and all("custom_fields" in record for record in flat)

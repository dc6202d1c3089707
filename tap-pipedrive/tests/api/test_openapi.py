"""The facts in the package equal the official documents, and the streams use only them.

The project does not contain the documents. If they are in ``PIPEDRIVE_SPEC_DIR`` (default
``../shared/pipedrive/spec``), the facts are compared with them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tap_pipedrive.api.openapi import FACTS_FILE, documents, operation
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.deals import INCLUDE_FIELDS
from tap_pipedrive.streams.stream_types import (
    BatchedChildStream,
    IncrementalStream,
    NewestFirstStream,
)

REPOSITORY = Path(__file__).resolve().parents[3]
DOCUMENTS = Path(
    os.environ.get("PIPEDRIVE_SPEC_DIR", REPOSITORY.parent / "shared" / "pipedrive" / "spec")
)


def document(version: str) -> dict:
    found = sorted(DOCUMENTS.glob(f"pipedrive-{version}-openapi-*.json"))
    if not found:
        pytest.skip(f"no official OpenAPI documents in {DOCUMENTS}: the facts were NOT compared")
    return json.loads(found[-1].read_text(encoding="utf-8"))


def test_the_facts_are_those_of_the_documents() -> None:
    declared = {key for stream in STREAMS for key in stream.operations}
    fresh = documents.trim({"v1": document("v1"), "v2": document("v2")}, declared)
    assert json.loads(FACTS_FILE.read_text(encoding="utf-8")) == fresh


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_streams_use_only_documented_parameters(stream: type[PipedriveStream]) -> None:
    for key in stream.operations:
        known = operation(key).parameters
        assert set(stream.query) <= set(known)
        if issubclass(stream, BatchedChildStream):
            assert stream.ids_parameter in known
        if issubclass(stream, NewestFirstStream):
            assert {"sort", "start", "limit"} <= set(known)


@pytest.mark.parametrize(
    "stream", [s for s in STREAMS if issubclass(s, IncrementalStream)], ids=lambda s: s.name
)
def test_incremental_lists_have_filter_and_order_by_update_time(
    stream: type[IncrementalStream],
) -> None:
    for key in stream.lists.values() or stream.operations:
        known = operation(key).parameters
        assert {"updated_since", "limit"} <= set(known)
        assert {"sort_by", "sort_direction", "cursor"} <= set(known) or {"sort", "start"} <= set(
            known
        )
        order = known.get("sort_by") or known["sort"]
        assert not order or "update_time" in order
        assert {"update_time", "id"} <= set(operation(key).record)


@pytest.mark.parametrize("key", ["v2 /deals", "v2 /deals/archived"])
def test_deals_request_documented_statuses_and_fields(key: str) -> None:
    known = operation(key).parameters
    assert set(INCLUDE_FIELDS) <= set(known["include_fields"])
    assert {"open", "won", "lost", "deleted"} <= set(known["status"])


def test_every_operation_of_the_facts_is_used_by_a_stream() -> None:
    used = {key for stream in STREAMS for key in stream.operations}
    assert used == json.loads(FACTS_FILE.read_text(encoding="utf-8")).keys()

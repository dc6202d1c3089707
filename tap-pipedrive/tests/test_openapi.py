"""The facts in the package are those of the official documents, and the streams keep to them.

The documents themselves are not ours to ship: where they lie beside the project
(``PIPEDRIVE_SPEC_DIR``, default ``../shared/pipedrive/spec``) the facts are compared with them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tap_pipedrive.openapi import operation, refresh
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.streams.base import UpdatedStream
from tap_pipedrive.streams.deals import INCLUDE_FIELDS

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = Path(
    os.environ.get("PIPEDRIVE_SPEC_DIR", REPOSITORY.parent / "shared" / "pipedrive" / "spec")
)


def document(version: str) -> dict:
    found = sorted(DOCUMENTS.glob(f"pipedrive-{version}-openapi-*.json"))
    if not found:
        pytest.skip(f"no official OpenAPI documents in {DOCUMENTS}: the facts were NOT compared")
    return json.loads(found[-1].read_text(encoding="utf-8"))


def test_the_facts_are_those_of_the_documents() -> None:
    fresh = refresh.trim({v: document(v) for v in ("v1", "v2")})
    assert json.loads(refresh.FACTS_FILE.read_text(encoding="utf-8")) == fresh


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_streams_ask_only_what_the_documents_know(stream: type) -> None:
    for key in stream.operations:
        known = operation(key).parameters
        assert set(stream.query) <= set(known)
        if issubclass(stream, UpdatedStream):
            assert {"updated_since", "sort_by", "sort_direction", "limit", "cursor"} <= set(known)
            assert "update_time" in known["sort_by"]
            assert {"update_time", "id"} <= set(operation(key).record)


@pytest.mark.parametrize("key", ["v2 /deals", "v2 /deals/archived"])
def test_the_deal_walk_asks_only_what_the_documents_know(key: str) -> None:
    known = operation(key).parameters
    asked = {"status", "updated_since", "sort_by", "sort_direction", "include_fields", "limit"}
    assert asked <= set(known)
    assert set(INCLUDE_FIELDS) <= set(known["include_fields"])
    assert {"open", "won", "lost", "deleted"} <= set(known["status"])

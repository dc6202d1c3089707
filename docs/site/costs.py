"""The numbers of the cost page: what `make plan` multiplies, from the streams of the tap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeboard.run.jobs import job_named
from tap_pipedrive.api.openapi import operation
from tap_pipedrive.settings import SCHEMA
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.stream_types import (
    BatchedChildStream,
    IncrementalStream,
    SharedScanStream,
)
from tap_pipedrive.sync import windows
from tap_pipedrive.tap import TapPipedrive

ROOT = Path(__file__).resolve().parents[2]


def selected_streams(tap: TapPipedrive) -> list[PipedriveStream]:
    """Return the streams that `sync` reads."""
    names = job_named(ROOT, "sync").streams
    return [stream for stream in tap.stream_set.selected if stream.name in names]


def script() -> str:
    """Return the first lines of the page's script: its numbers."""
    tap = TapPipedrive(config={}, validate_config=False)
    streams = selected_streams(tap)
    read_again = {
        each.parent
        for each in streams
        if isinstance(each, SharedScanStream) and each.costs_a_call_per_record
    }
    defaults = SCHEMA["properties"]
    width = {
        "width": defaults["windows"]["default"],
        "plainPages": windows.PLAIN_PAGES,
        "pagesPerLoss": windows.PAGES_PER_LOSS,
    }
    entries = [
        entry(each, defaults["page_size"]["default"], read_again)
        for each in streams
        if each.operations
    ]
    return f"const WINDOWS = {json.dumps(width)};\nconst STREAMS = {json.dumps(entries)};\n"


def entry(stream: PipedriveStream, page_size: int, read_again: set[str]) -> dict[str, Any]:
    """Return what the script needs of one stream."""
    found: dict[str, Any] = {"name": stream.name, "cost": stream.list_operation().cost}
    found |= {"kind": "list", "records": stream.name, "otherLists": 0}
    if isinstance(stream, IncrementalStream):
        first, *others = [operation(key) for key in stream.operations]
        found |= {"kind": "pages", "cost": first.cost, "perCall": min(page_size, stream.page_limit)}
        found |= {"otherLists": sum(each.cost for each in others)}
        found |= {"windows": "updated_until" in first.parameters}
        found |= {"readAgain": stream.name in read_again}
    elif isinstance(stream, SharedScanStream):
        batched = stream.parents_per_call if isinstance(stream, BatchedChildStream) else 1
        found |= {"kind": "child", "records": stream.parent, "perCall": batched}
    return found

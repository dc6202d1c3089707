"""BATCH messages hold the same records as RECORD messages, in the same order with states."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tap_runs import Output, run_tap

Sync = Callable[..., Output]
STREAMS = {"deals", "deal_products", "persons", "users", "leads", "notes"}


def settings(folder: Path) -> dict[str, Any]:
    encoding = {"format": "jsonl", "compression": "gzip"}
    return {"batch_config": {"encoding": encoding, "storage": {"root": folder.as_uri()}}}


def test_batch_files_hold_the_same_records_as_messages(
    sync: Sync,
    config: dict[str, Any],
    tmp_path: Path,
) -> None:
    lines = sync(only=STREAMS, page_size=100)
    files = run_tap({**config, "page_size": 100, **settings(tmp_path)}, None, STREAMS)
    assert not files.records, "nothing came as a line"
    found: dict[str, list[dict[str, Any]]] = {}
    for message in files.batches:
        for uri in message["manifest"]:
            path = Path(unquote(urlsplit(uri).path))
            text = gzip.decompress(path.read_bytes())
            found.setdefault(message["stream"], []).extend(map(json.loads, text.splitlines()))
    expected = {name: rows for name, rows in lines.records.items() if rows}
    assert found == json.loads(json.dumps(expected))
    assert files.state["bookmarks"] == lines.state["bookmarks"]
    # A state never comes before the file it tells of.
    types = [kind for kind, _ in files.order]
    assert types.index("BATCH") < len(types) - 1 - types[::-1].index("STATE")


def test_a_sweep_sends_messages_instead_of_files(config: dict[str, Any], tmp_path: Path) -> None:
    swept = run_tap({**config, "sweep": True, **settings(tmp_path)}, None, {"persons"})
    assert not swept.batches
    assert {version for _, version in swept.record_versions} == {swept.versions["persons"]}

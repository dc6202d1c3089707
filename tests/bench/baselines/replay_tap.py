"""A tap that costs next to nothing: sends a Singer file as it is, or its records as BATCH messages.

`lines` sends the file. `batch` writes the records into files of jsonl, gzip at its fastest level or
not compressed, and sends their names; `made` sends the names of files that were written before.
What BATCH could win at most is then seen without a tap in the way.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

ROWS = 10_000


def batches(source: Path, folder: Path, compression: str) -> Iterator[dict[str, object]]:
    """Write files of records; give the message about each."""
    with source.open("rb") as lines:
        lines.readline()
        number = 0
        while records := [r for r in islice(lines, ROWS) if r.startswith(b'{"type":"RECORD"')]:
            number += 1
            path = folder / f"{number}.jsonl{'.gz' if compression == 'gzip' else ''}"
            with gzip.open(path, "wb", 1) if compression == "gzip" else path.open("wb") as out:
                # The record is the last property of the message: what follows it is one brace.
                out.writelines([r[r.index(b'"record":') + 9 : -2] + b"\n" for r in records])
            yield {
                "type": "BATCH",
                "stream": "deals",
                "encoding": {"format": "jsonl", "compression": compression},
                # Not path.as_uri(): who reads it here does not undo its escapes.
                "manifest": [f"file://{path}"],
            }


def main() -> None:
    """Send what the configuration says."""
    given = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    source, folder, mode = Path(given["file"]), Path(given["folder"]), given["mode"]
    if mode == "lines":
        with source.open("rb") as lines:
            shutil.copyfileobj(lines, sys.stdout.buffer, 1 << 16)
        return
    with source.open("rb") as lines:
        sys.stdout.write(lines.readline().decode())
    messages = folder / "messages.jsonl"
    if mode == "made":
        sys.stdout.write(messages.read_text())
        return
    for message in batches(source, folder, given["compression"]):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


main()

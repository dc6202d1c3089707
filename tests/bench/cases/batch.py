"""BATCH messages against lines, through Meltano into our loader: does the way by files win?

The tap costs next to nothing here, so this is the most that BATCH can win. `made` finds its files
already written, as if a tap wrote them for free.
"""

from __future__ import annotations

import shutil
from typing import Any

from bench.ground import RIVALS, Ground, program
from bench.measuring import BenchError, Command, run, step
from bench.pipelines import RIVAL_SCHEMA, Other

TITLE = "BATCH messages"
ENOUGH_ROWS = 30_000
WAYS = {
    "lines": ("lines", "none"),
    "batch_gzip": ("batch", "gzip"),
    "batch_plain": ("batch", "none"),
    "batch_made": ("made", "none"),
}


def measure(ground: Ground) -> list[dict[str, Any]]:
    """Send the same deals each way, in turn."""
    account = ground.account(1)
    file = ground.singer_file(min(ground.scale, ENOUGH_ROWS))
    with file.open("rb") as lines:
        rows = sum(line.startswith(b'{"type":"RECORD"') for line in lines)
    folder = ground.file("batches")
    made = ground.file("batches made")
    for place in (folder, made):
        place.mkdir()
    make(ground, {"file": str(file), "folder": str(made), "mode": "batch", "compression": "none"})
    samples = []
    for repetition in range(ground.repeat):
        for name, (mode, compression) in WAYS.items():
            tap = {"file": str(file), "mode": mode, "compression": compression}
            tap["folder"] = str(made if mode == "made" else folder)
            loader = {"sqlalchemy_url": ground.server.url, "default_target_schema": RIVAL_SCHEMA}
            settings = {"tap-replay": tap, "target-ours": loader}
            pipeline = Other(name, "tap-replay", "target-ours", settings)
            with step(f"{name}, {rows:,} rows, round {repetition + 1}"):
                measured = pipeline.run(ground, account)
                if pipeline.rows(ground) != rows:
                    msg = f"{name} brought {pipeline.rows(ground)} of {rows} rows"
                    raise BenchError(msg)
                pipeline.forget(ground)
            samples.append(
                {
                    "contender": name,
                    "phase": "first",
                    "repetition": repetition,
                    "rows": rows,
                    **measured.sample(),
                }
            )
    for place in (folder, made):
        shutil.rmtree(place)
    return samples


def make(ground: Ground, config: dict[str, str]) -> None:
    """Write files of records, and beside them the messages about them."""
    words = [program("dev", "python"), RIVALS / "replay_tap.py"]
    output = ground.file("batches made/all.jsonl")
    tap = Command("tap", [*words, "--config", ground.file("make.json", config)])
    run([tap], log=ground.log, output=output)
    with output.open("rb") as lines:
        messages = [line for line in lines if line.startswith(b'{"type": "BATCH"')]
    (output.parent / "messages.jsonl").write_bytes(b"".join(messages))

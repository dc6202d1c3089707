"""BATCH messages against lines, through Meltano into our loader: does the way by files win?

The tap costs next to nothing here, so this is the most that BATCH can win. `made` finds its files
already written, as if a tap wrote them for free.
"""

from __future__ import annotations

import shutil
from typing import Any

from bench.bench_env import BASELINES, BenchEnv, program
from bench.measuring import BenchError, Command, run, step
from bench.pipelines import BASELINE_SCHEMA, Other

TITLE = "BATCH messages"
ENOUGH_ROWS = 30_000
WAYS = {
    "lines": ("lines", "none"),
    "batch_gzip": ("batch", "gzip"),
    "batch_plain": ("batch", "none"),
    "batch_made": ("made", "none"),
}


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Send the same deals each way, in turn."""
    account = env.account(1)
    file = env.singer_file(min(env.scale, ENOUGH_ROWS))
    with file.open("rb") as lines:
        rows = sum(line.startswith(b'{"type":"RECORD"') for line in lines)
    folder = env.file("batches")
    made = env.file("batches made")
    for place in (folder, made):
        place.mkdir()
    make(env, {"file": str(file), "folder": str(made), "mode": "batch", "compression": "none"})
    samples = []
    for repetition in range(env.repeat):
        for name, (mode, compression) in WAYS.items():
            tap = {"file": str(file), "mode": mode, "compression": compression}
            tap["folder"] = str(made if mode == "made" else folder)
            loader = {"sqlalchemy_url": env.server.url, "default_target_schema": BASELINE_SCHEMA}
            settings = {"tap-replay": tap, "target-pipeboard": loader}
            pipeline = Other(name, "tap-replay", "target-pipeboard", settings)
            with step(f"{name}, {rows:,} rows, round {repetition + 1}"):
                measured = pipeline.run(env, account)
                if pipeline.rows(env) != rows:
                    msg = f"{name} brought {pipeline.rows(env)} of {rows} rows"
                    raise BenchError(msg)
                pipeline.forget(env)
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


def make(env: BenchEnv, config: dict[str, str]) -> None:
    """Write files of records, and beside them the messages about them."""
    argv = [program("dev", "python"), BASELINES / "replay_tap.py"]
    output = env.file("batches made/all.jsonl")
    tap = Command("tap", [*argv, "--config", env.file("make.json", config)])
    run([tap], log=env.log, output=output)
    with output.open("rb") as lines:
        messages = [line for line in lines if line.startswith(b'{"type": "BATCH"')]
    (output.parent / "messages.jsonl").write_bytes(b"".join(messages))

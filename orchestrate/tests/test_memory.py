"""Memory, by the control group of any container: Kubernetes, Compose, and none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeboard.run.memory import Memory

TWO = {
    "memory.max": "1000000000\n",
    "memory.current": "900000000\n",
    "memory.stat": "anon 1\ninactive_file 300000000\n",
    "memory.events": "oom 3\noom_kill 2\n",
}
ONE = {
    "memory/memory.limit_in_bytes": "1000000000\n",
    "memory/memory.usage_in_bytes": "900000000\n",
    "memory/memory.stat": "cache 1\ntotal_inactive_file 300000000\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize("files", [TWO, ONE], ids=["version 2", "version 1"])
def test_a_container_that_is_limited(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    memory = Memory(tmp_path)
    memory.measure()
    assert (memory.limit, memory.oom_kills) == (1_000_000_000, 0)
    assert memory.peak_bytes == 600_000_000, "files that the kernel could drop do not count"
    used = next(name for name in files if name.endswith(("current", "usage_in_bytes")))
    write(tmp_path, {used: "400000000\n"})
    memory.measure()
    assert memory.peak_bytes == 600_000_000
    events = next(name for name in files if "oom" in files[name])
    write(tmp_path, {events: files[events].replace("oom_kill 2", "oom_kill 3")})
    assert memory.oom_kills == 1


@pytest.mark.parametrize(
    "files",
    [
        {},
        {**TWO, "memory.max": "max\n"},
        {**ONE, "memory/memory.limit_in_bytes": "9223372036854771712\n"},
    ],
    ids=["none", "version 2", "version 1"],
)
def test_without_a_limit_the_largest_program_counts(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    memory = Memory(tmp_path)
    memory.measure()
    assert memory.limit == 0
    assert 0 <= memory.peak_bytes < 600_000_000_000

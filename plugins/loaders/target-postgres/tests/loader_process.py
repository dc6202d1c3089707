"""The target as a process of its own, for tests that kill it."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

from loader_helpers import Warehouse, line, record, state


def message(i: int, round_: int = 0) -> dict:
    return record(id=i, v=f"{round_}-{i}", o={"k": [i] * 5})


class Process:
    """The target as a process that reads from a pipe."""

    def __init__(self, warehouse: Warehouse, folder: Path, **changes: t.Any) -> None:
        config = folder / "config.json"
        config.write_text(json.dumps(warehouse.config(**{"batch_size_rows": 300, **changes})))
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "pipeboard_target_postgres", "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.states: queue.Queue[int] = queue.Queue()
        self.log: list[str] = []
        self._threads = [
            threading.Thread(target=self._read_states, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_states(self) -> None:
        assert self.popen.stdout
        for text in self.popen.stdout:
            with contextlib.suppress(ValueError):  # half a line of one that was killed
                self.states.put(json.loads(text)["at"])

    def _read_log(self) -> None:
        assert self.popen.stderr
        self.log.extend(x.decode() for x in self.popen.stderr)

    def send(self, *messages: dict) -> None:
        assert self.popen.stdin
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.write(b"".join(map(line, messages)))
            self.popen.stdin.flush()

    def feed_range(self, start: int, end: int, round_: int = 0) -> None:
        """Records with a state after every 100, as a tap that pages."""
        for page in range(start, end, 100):
            self.send(
                *(message(i, round_) for i in range(page, page + 100)), state({"at": page + 100})
            )

    def end(self) -> int:
        assert self.popen.stdin
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        code = self.popen.wait(40)
        for thread in self._threads:
            thread.join(10)
        return code

    def last_state(self) -> int:
        last = 0
        while not self.states.empty():
            last = self.states.get()
        return last

    def wait_for_log(self, text: str, seconds: float = 20) -> None:
        """Wait until a line of the log has that text."""
        deadline = time.monotonic() + seconds
        while text not in self.text():
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.02)

    def text(self) -> str:
        return "".join(self.log)

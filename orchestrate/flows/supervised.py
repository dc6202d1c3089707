"""Every flow is this: run pipeboard as a program, and say in Prefect's words how it went.

Its log becomes the flow run's log, its exit code a state, a cancellation or a time limit a SIGTERM,
on which it loads what was read and keeps its state; its history becomes artifacts.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from blocks import settings_from_blocks
from verdict import Ended, is_retryable, report, stream_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task

ROOT = Path(__file__).resolve().parents[2]
#: Seconds until a command that failed for somebody else's fault is tried once more.
RETRY_DELAY = float(os.environ.get("PIPEBOARD_FLOWS_RETRY_SECONDS") or 60)
#: Seconds from SIGTERM on; the supervisor itself gives its parts 20, and Prefect gives us 30.
PATIENCE = 28.0


class RunFailed(Exception):
    """A command of pipeboard ended with an exit code that is a failure."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.verdict().message)
        self.ended = ended


def in_demo() -> bool:
    """Tell whether the flows of this worker run in the demo environment."""
    return os.environ.get("PIPEBOARD_FLOWS_WORLD") == "demo"


def command(words: Sequence[str]) -> list[str]:
    """Return the words that run pipeboard in this worker's environment."""
    here = ROOT / ".pipeboard" / "bin" / "pipeboard"
    # A cloned repository has no environments; the image that cloned it has.
    found = str(here) if here.exists() else shutil.which("pipeboard")
    if not found:
        what = "pipeboard is not installed: run `make setup`, or use an image of this project"
        raise FileNotFoundError(what)
    if in_demo() and words[0] != "demo":
        return [found, "env", "--demo", "--", found, *words]
    return [found, *words]


def environ() -> dict[str, str]:
    """Return what pipeboard gets to know: all but what is Prefect's own."""
    given = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    blocks = {} if in_demo() else settings_from_blocks(ROOT / ".env")
    return {**given, **blocks, "PIPEBOARD_LOG_FORMAT": "json"}


def follow(words: Sequence[str], logger: logging.Logger | logging.LoggerAdapter[Any]) -> Ended:
    """Run a command of pipeboard to its end, and hand its log on line by line."""
    ended = Ended()
    process = subprocess.Popen(
        command(words),
        env=environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A signal to our whole group would be its second one, and end it at once.
        start_new_session=True,
    )
    assert process.stdout is not None

    def hand_on() -> None:
        for text in process.stdout or ():
            line = ended.read(text)
            if line:
                logger.log(line.level, "%s", line.text)

    try:
        hand_on()
        ended.code = process.wait()
    except BaseException as ending:
        logger.warning("%s: pipeboard is asked to end", type(ending).__name__)
        process.terminate()
        try:
            out, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        for text in out.splitlines():
            line = ended.read(text)
            if line:
                logger.log(line.level, "%s", line.text)
        logger.info("pipeboard ended with exit code %s", process.returncode)
        raise
    return ended


def may_go_better(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Tell Prefect whether to try again."""
    try:
        state.result()
    except RunFailed as failed:
        return is_retryable(failed.ended.code)
    except Exception:
        return False
    return False


@task(
    name="pipeboard",
    task_run_name="pipeboard {words}",
    retries=1,
    retry_delay_seconds=RETRY_DELAY,
    retry_condition_fn=may_go_better,
    persist_result=False,
)
def run_pipeboard(words: str) -> Ended:
    """Run one command; raise :class:`RunFailed` where its exit code says so."""
    ended = follow(words.split(), get_run_logger())
    if not ended.verdict().completed:
        raise RunFailed(ended)
    return ended


def history_of(ended: Ended) -> list[dict[str, Any]]:
    """Return what the supervisor's own history has of the runs of a command, oldest first."""
    if not ended.run_ids:
        return []
    asked = subprocess.run(
        command(["history", "--json", "--last", "20"]),
        env=environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = [json.loads(line) for line in asked.stdout.splitlines() if line.startswith("{")]
    return [run for run in reversed(found) if run.get("run_id") in ended.run_ids]


def publish(key: str, ended: Ended) -> None:
    """Publish artifacts. How a run went does not depend on whether that works."""
    try:
        runs = history_of(ended)
        words = report(ended.verdict(), runs, ended.last_lines, ended.code)
        create_markdown_artifact(words, key=key, description=ended.verdict().message)
        streams = stream_rows(runs)
        if streams:
            what = "What was read of each stream, and what it cost"
            create_table_artifact(streams, key=f"{key}-streams", description=what)
    except Exception as error:
        get_run_logger().warning("no artifact: %s: %s", type(error).__name__, error)


def supervise(key: str, words: Sequence[str]) -> State[Any]:
    """Run a command of pipeboard, publish what it did under a key, return how it ended."""
    try:
        ended = run_pipeboard(" ".join(words))
    except RunFailed as failed:
        ended = failed.ended
    publish(key, ended)
    verdict = ended.verdict()
    state = Completed if verdict.completed else Failed
    return state(name=verdict.name, message=verdict.message)

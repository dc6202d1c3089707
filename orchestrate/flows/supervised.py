"""Runs a pipeboard command as a flow: log, state, artifacts.

Its log becomes the log of the flow run, its exit code the state, its history the artifacts. A
cancellation or time limit becomes a SIGTERM: pipeboard loads what was read and stores its state.
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
from run_result import CommandResult, is_retryable, report, stream_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task

ROOT = Path(__file__).resolve().parents[2]
#: Seconds until a command that failed for a reason outside it is tried once more.
RETRY_DELAY = float(os.environ.get("PIPEBOARD_FLOWS_RETRY_SECONDS") or 60)
#: Seconds from SIGTERM to SIGKILL: more than the 20 of the supervisor, less than the 30 of Prefect.
TERMINATION_TIMEOUT_SECONDS = 28.0


class RunFailed(Exception):
    """A command of pipeboard ended with an exit code that is a failure."""

    def __init__(self, result: CommandResult) -> None:
        super().__init__(result.flow_state().message)
        self.result = result


def in_demo() -> bool:
    """Tell whether the flows of this worker run in the demo environment."""
    return os.environ.get("PIPEBOARD_FLOWS_WORLD") == "demo"


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs pipeboard in this worker's environment."""
    here = ROOT / ".pipeboard" / "bin" / "pipeboard"
    # A cloned repository has no environments; the image that cloned it has.
    found = str(here) if here.exists() else shutil.which("pipeboard")
    if not found:
        what = "pipeboard is not installed: run `make setup`, or use an image of this project"
        raise FileNotFoundError(what)
    if in_demo() and arguments[0] != "demo":
        return [found, "env", "--demo", "--", found, *arguments]
    return [found, *arguments]


def environ() -> dict[str, str]:
    """Return the variables for pipeboard: all except Prefect's."""
    given = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    blocks = {} if in_demo() else settings_from_blocks(ROOT / ".env")
    return {**given, **blocks, "PIPEBOARD_LOG_FORMAT": "json"}


def follow(
    arguments: Sequence[str], logger: logging.Logger | logging.LoggerAdapter[Any]
) -> CommandResult:
    """Run a command of pipeboard to its end, and hand its log on line by line."""
    result = CommandResult()
    process = subprocess.Popen(
        command(arguments),
        env=environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A signal to the whole process group would be its second one, and kill it.
        start_new_session=True,
    )
    assert process.stdout is not None

    def hand_on() -> None:
        for text in process.stdout or ():
            line = result.read(text)
            if line:
                logger.log(line.level, "%s", line.text)

    try:
        hand_on()
        result.code = process.wait()
    except BaseException as ending:
        logger.warning("%s: pipeboard gets SIGTERM", type(ending).__name__)
        process.terminate()
        try:
            out, _ = process.communicate(timeout=TERMINATION_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            seconds = TERMINATION_TIMEOUT_SECONDS
            logger.warning("pipeboard did not end within %.0f s, and was killed", seconds)
            out = ""
        for text in out.splitlines():
            line = result.read(text)
            if line:
                logger.log(line.level, "%s", line.text)
        logger.info("pipeboard ended with exit code %s", process.returncode)
        raise
    return result


def should_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Decide for Prefect whether to retry."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, RunFailed) and is_retryable(error.result.code)


@task(
    name="pipeboard",
    task_run_name="pipeboard {arguments}",
    retries=1,
    retry_delay_seconds=RETRY_DELAY,
    retry_condition_fn=should_retry,
    persist_result=False,
)
def run_pipeboard(arguments: str) -> CommandResult:
    """Run one command; raise :class:`RunFailed` where its exit code says so."""
    result = follow(arguments.split(), get_run_logger())
    if not result.flow_state().completed:
        raise RunFailed(result)
    return result


def history_of(result: CommandResult) -> list[dict[str, Any]]:
    """Return the rows of `ops.etl_run` of the runs of a command, oldest first."""
    if not result.run_ids:
        return []
    listed = subprocess.run(
        command(["history", "--json", "--last", "20"]),
        env=environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = [json.loads(line) for line in listed.stdout.splitlines() if line.startswith("{")]
    return [run for run in reversed(found) if run.get("run_id") in result.run_ids]


def publish(key: str, result: CommandResult) -> None:
    """Publish artifacts. If that fails, the result of the run stays the same."""
    try:
        runs = history_of(result)
        text = report(result.flow_state(), runs, result.last_lines, result.code)
        create_markdown_artifact(text, key=key, description=result.flow_state().message)
        streams = stream_rows(runs)
        if streams:
            what = "What was read of each stream, and what it cost"
            create_table_artifact(streams, key=f"{key}-streams", description=what)
    except Exception as error:
        get_run_logger().warning("no artifact: %s: %s", type(error).__name__, error)


def supervise(key: str, arguments: Sequence[str]) -> State[Any]:
    """Run a command of pipeboard, publish its artifacts, return the state of the flow run."""
    try:
        result = run_pipeboard(" ".join(arguments))
    except RunFailed as failed:
        result = failed.result
    publish(key, result)
    state = result.flow_state()
    end = Completed if state.completed else Failed
    return end(name=state.name, message=state.message)

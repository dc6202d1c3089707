"""What flows do without a server: the command that they run, how they end it, and what is refused.

Prefect is in an environment of its own, so each test runs a program there.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import IN_DEMO, PREFECT_PYTHON, ROOT, environ_of_flows, in_prefect

# Each of its programs imports Prefect, which takes seconds.
pytestmark = pytest.mark.long

#: Follows a command in the demo environment until SIGINT; prints its log, and how it ended.
FOLLOW = """
import json, logging, signal, sys
from pathlib import Path
import supervised

# Tests that a shell started in the background ignore it, and their children, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
supervised.ROOT = Path(sys.argv[1])
supervised.TERMINATION_TIMEOUT_SECONDS = float(sys.argv[2])
lines = []
logger = logging.getLogger("flow")
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.Handler())
logger.handlers[0].emit = lambda record: lines.append([record.levelname, record.getMessage()])
try:
    ending = str(supervised.follow(["demo"], logger).code)
except BaseException as error:
    ending = type(error).__name__
print(json.dumps({"ending": ending, "lines": lines}))
"""
COMMANDS = """
import json, os, sys
from pathlib import Path
import supervised

def command(*arguments):
    try:
        return supervised.command(arguments)
    except FileNotFoundError as error:
        return str(error)

supervised.ROOT = Path(sys.argv[1])
found = {"sync": command("run", "sync"), "demo": command("demo")}
supervised.ROOT = Path("/nonexistent")
os.environ["PATH"] = sys.argv[2]
found["clone"] = command("demo")
os.environ["PATH"] = ""
found["nowhere"] = command("demo")
print(json.dumps(found))
"""


def installed(folder: Path, script: str) -> Path:
    """Make a program in the place of pipeboard's."""
    program = folder / "pipeboard"
    folder.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_a_flow_runs_the_pipeboard_of_its_checkout_or_image(tmp_path: Path) -> None:
    program = str(installed(tmp_path / ".pipeboard" / "bin", "exit 0"))
    of_image = str(installed(tmp_path / "image", "exit 0"))
    folders = (str(tmp_path), str(tmp_path / "image"))
    found = in_prefect(COMMANDS, *folders)
    assert found["sync"] == [program, "run", "sync"]
    assert found["demo"] == [program, "demo"]
    assert found["clone"] == [of_image, "demo"]
    assert found["nowhere"].startswith("pipeboard is not installed: run `make setup`")
    found = in_prefect(COMMANDS, *folders, **IN_DEMO)
    assert found["sync"] == [program, "env", "--demo", "--", program, "run", "sync"]
    assert found["demo"] == [program, "demo"]


def followed(folder: Path, script: str, timeout_seconds: int = 60) -> tuple[dict[str, Any], int]:
    """Interrupt a flow whose command is this script; return how it ended, and its process."""
    installed(folder / ".pipeboard" / "bin", f"echo $$ >{folder / 'process'}\n{script}")
    with subprocess.Popen(
        [str(PREFECT_PYTHON), "-c", FOLLOW, str(folder), str(timeout_seconds)],
        env={**environ_of_flows(), **IN_DEMO},
        stdout=subprocess.PIPE,
        text=True,
    ) as flow:
        while not (folder / "waits").exists():
            assert flow.poll() is None
            time.sleep(0.05)
        flow.send_signal(signal.SIGINT)
        output, _ = flow.communicate()
    return json.loads(output), int((folder / "process").read_text())


def test_a_cancelled_flow_ends_pipeboard_and_logs_its_last_lines(tmp_path: Path) -> None:
    ends = """echo; echo '{"event": "state is stored", "topic": "run"}'; exit 143"""
    script = f"""
        end() {{ {ends}; }}
        trap end TERM
        echo; echo starts
        touch {tmp_path / "waits"}
        while :; do sleep 0.05; done
    """
    found, _ = followed(tmp_path, script)
    assert found == {
        "ending": "KeyboardInterrupt",
        "lines": [
            ["INFO", "starts"],
            ["WARNING", "KeyboardInterrupt: pipeboard gets SIGTERM"],
            ["INFO", "run: state is stored"],
            ["INFO", "pipeboard ended with exit code 143"],
        ],
    }


def test_a_command_that_does_not_end_when_its_flow_is_cancelled_is_killed(tmp_path: Path) -> None:
    script = f"trap '' TERM\ntouch {tmp_path / 'waits'}\nwhile :; do sleep 0.1; done"
    found, process = followed(tmp_path, script, timeout_seconds=1)
    assert found["ending"] == "KeyboardInterrupt"
    assert found["lines"][-2:] == [
        ["WARNING", "pipeboard did not end within 1 s, and was killed"],
        ["INFO", "pipeboard ended with exit code -9"],
    ]
    assert not psutil.pid_exists(process)


@pytest.mark.parametrize(
    ("arguments", "url", "code", "message"),
    [
        ("", "", 78, "PREFECT_API_URL is not set: it says where the server is"),
        (
            "--wait 0.5",
            "http://127.0.0.1:9/api",
            69,
            "no Prefect server answers at http://127.0.0.1",
        ),
        ("--type kubernetes", "", 2, "a pool of type kubernetes wants --template"),
    ],
)
def test_flows_are_not_registered_without_a_server_or_a_template(
    tmp_path: Path, arguments: str, url: str, code: int, message: str
) -> None:
    done = subprocess.run(
        [str(PREFECT_PYTHON), "orchestrate/flows/register.py", *arguments.split()],
        cwd=ROOT,
        env={**environ_of_flows(), "PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": url},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr

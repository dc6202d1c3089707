"""Secrets at rest: who may read what a run writes, and which child gets which secret."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from conftest import COMMANDS, ROOT
from project_under_test import Live, Site, alive, make_site, until

from pipeboard.local.embedded_postgres import EmbeddedPostgres

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: Secrets of programs that are no part of a run, and of programs we know nothing of.
#: Random: no file has them that a run did not write, not even this test, compiled.
OTHERS = {
    name: token_hex(20)
    for name in (
        "METABASE_API_KEY",
        "METABASE_ADMIN_PASSWORD",
        "PREFECT_API_AUTH_STRING",
        "GITHUB_PAT",
        "AWS_SECRET_ACCESS_KEY",
    )
}
LARGEST = 20_000_000
#: As job `reference`, with a command of dbt that is done sooner.
BY_HAND = ("tap-pipedrive-reference", "target-postgres", "dbt:debug")


@pytest.fixture(scope="module")
def site(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with make_site(server, tmp_path_factory.mktemp("secrets")) as found:
        found.given.update(OTHERS)
        yield found


def secrets_of(site: Site) -> dict[str, str]:
    password = site.url.split("@")[0].rpartition(":")[2]
    return {"token": site.environ["PIPEDRIVE_API_TOKEN"], "database": password, **OTHERS}


def environ_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text(errors="replace")


def child(pid: int, program: str) -> int | None:
    """Return the number of a program that a process started, once it no longer starts up."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command_line = (entry / "cmdline").read_text().split("\0")
            if parent == pid and any(word.endswith(f"bin/{program}") for word in command_line[:2]):
                return int(entry.name)
    return None


def files_with_secrets(site: Site, since: float) -> dict[Path, int]:
    """Return the files with a secret in them, and their modes: below the project and /tmp."""
    # What stands for the other side: the account's own files and the server's.
    others = (site.simulator.folder, site.server.state)
    secrets = [secret.encode() for secret in secrets_of(site).values()]
    found = {}
    for top in (ROOT, site.checkout.state, Path("/tmp")):
        # What containers of other tests have mounted is left out: /proc/kmsg can be read for ever.
        device = top.stat().st_dev
        for folder, folders, names in os.walk(top):
            here = Path(folder)
            folders[:] = [
                f
                for f in folders
                if f not in (".git", "env")
                and here / f not in others
                and not (here / f).is_mount()
                # Other tests' files are many, and none is of a run of this site.
                and not (top == Path("/tmp") and f.startswith("pytest-of-"))
            ]
            for path in (here / name for name in names):
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    is_file = stat.S_ISREG(status.st_mode) and status.st_dev == device
                    if not is_file or status.st_mtime < since or status.st_size > LARGEST:
                        continue
                    if any(secret in path.read_bytes() for secret in secrets):
                        found[path] = status.st_mode & 0o777
    return found


def readable_by_others(site: Site, since: float) -> list[str]:
    return [f"{p} {m:o}" for p, m in files_with_secrets(site, since).items() if m & 0o077]


def end_everything(live: Live, parts: dict[str, int]) -> None:
    """Kill a run as a power cut would."""
    for pid in (live.process.pid, *parts.values()):
        os.kill(pid, signal.SIGKILL)
    live.wait()
    until("the end of all its parts", lambda: not any(map(alive, parts.values())), 10)


def test_each_child_has_its_secrets_only_and_files_are_private_also_after_a_kill(
    site: Site,
) -> None:
    began, secrets = time.time() - 1, secrets_of(site)
    with site.slow():
        live = site.start("run", "backfill")
        until("a run in the middle", site.is_slow)
        parts = live.parts()
        held = {
            name: {secret for secret, text in secrets.items() if text in environ_of(pid)}
            for name, pid in parts.items()
        }
        command_lines = "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in parts.values())
        during = readable_by_others(site, began)
        end_everything(live, parts)
    assert held["tap-pipedrive"] == {"token"}
    assert held["target-postgres"] == {"database"}
    assert not [secret for secret, text in secrets.items() if text in command_lines]
    assert during == []
    assert readable_by_others(site, began) == []
    assert list(files_with_secrets(site, began)), "a killed run left nothing to look at"

    # By hand, without the supervisor.
    with subprocess.Popen(
        [str(COMMANDS / "meltano"), "run", *BY_HAND],
        cwd=ROOT,
        env=site.checkout.environ(site.environ),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as meltano:
        for program, expected in (("tap-pipedrive", {"token"}), ("dbt", {"database"})):
            pid = until(program, lambda name=program: child(meltano.pid, name), 120)  # type: ignore[misc]
            assert {s for s, text in secrets.items() if text in environ_of(pid)} == expected
        during = readable_by_others(site, began)
        out, _ = meltano.communicate(timeout=240)
    assert meltano.returncode == 0, out
    assert during == []
    assert list(files_with_secrets(site, began)) == []
    assert not [secret for secret, text in secrets.items() if text in out]

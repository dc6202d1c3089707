"""The environment of a benchmark: scratch files, a server, simulated accounts, the commands."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measuring import BenchError, Command, clean_environ, run
from bench.server import Server
from pipeboard.local.postgres_binaries import wheel_binaries

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".pipeboard" / "env"
BASELINES = Path(__file__).parent / "baselines"
NOW = "2026-06-15T12:00:00Z"
#: Calls in two seconds that the largest plan grants an API token.
LARGEST_BURST = 120
NO_BURST = 1_000_000

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def program(environment: str, name: str) -> Path:
    """Return a program of one of the environments that orchestrate/bootstrap.py builds."""
    found = ENVIRONMENTS / environment / "bin" / name
    if not found.exists():
        msg = f"{name} is not in the environment {environment}: run `make bench`, which builds it"
        raise BenchError(msg)
    return found


@dataclass
class Account:
    """A simulated account that runs."""

    url: str
    token: str
    company: str
    pid: int
    deals: int
    process: subprocess.Popen[bytes]

    def control(self, route: str, body: dict[str, Any] | None = None) -> Any:
        """Call a control route of the simulator."""
        request = urllib.request.Request(
            f"{self.url}/_control/{route}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with _direct.open(request, timeout=600) as answer:
            return json.loads(answer.read())

    def truth(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the records that the account holds, without the API."""
        with _direct.open(f"{self.url}/_control/truth/{name}", timeout=600) as answer:
            yield from map(json.loads, answer)

    @contextmanager
    def slowed(self, milliseconds: int, burst: int) -> Iterator[None]:
        """Delay each response, and limit the calls in two seconds."""
        self.control("latency", {"seconds": milliseconds / 1000})
        self.control("limits", {"burst": burst})
        try:
            yield
        finally:
            self.control("latency", {"seconds": 0})
            self.control("limits", {"burst": NO_BURST})

    @property
    def ready(self) -> dict[str, str]:
        """The content of its ready file, as the supervisor reads it."""
        return {"url": self.url, "token": self.token, "company_domain": self.company}


@dataclass
class BenchEnv:
    """The scratch folder, the server, the size of the benchmark and its accounts."""

    scratch: Path
    scale: int
    repeat: int
    server: Server
    #: Deals of the case dbt, which takes longest.
    dbt_scale: int = 0
    #: The name of the stock loader's fastest settings; the case loader sets it.
    best_settings: str = "use_copy, no validation"
    _accounts: dict[tuple[str, int], Account] = field(default_factory=dict)
    _files: dict[str, Path] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """The standard error of the latest commands."""
        return self.scratch / "latest.log"

    def file(self, name: str, content: Any = None) -> Path:
        """Return a scratch file, with this content (JSON) if some is given."""
        path = self.scratch / name
        if content is not None:
            path.write_text(json.dumps(content))
        return path

    def account(self, deals: int, kind: str = "generated") -> Account:
        """Return a running account of that size; it runs until the benchmark ends."""
        key = (kind, deals)
        if key not in self._accounts:
            account = start_account(self.scratch, deals, kind)
            self._accounts[key] = account
            if kind == "generated":
                # Pages are encoded at the first request; later scans cost the server little.
                run([bare_loop(account)], log=self.log)
        return self._accounts[key]

    @contextmanager
    def another_account(self, deals: int) -> Iterator[Account]:
        """Start an account that may be changed: no other case measures with it."""
        place = self.file("another account")
        place.mkdir()
        account = start_account(place, deals, "generated")
        try:
            yield account
        finally:
            account.process.terminate()
            account.process.wait(20)
            shutil.rmtree(place)

    def tap_config(self, account: Account) -> Path:
        """Return the tap's configuration for an account."""
        content = {"api_token": account.token, "api_url": account.url}
        return self.file(f"tap-{account.deals}.json", content)

    def catalog(self, account: Account, *streams: str) -> Path:
        """Return a catalog of the tap with just these streams selected."""
        path = self.file(f"catalog-{len(streams)}-{streams[0]}.json")
        if not path.exists():
            found = self.file("discovered.json")
            tap = program("tap", "tap-pipedrive")
            argv = [tap, "--config", self.tap_config(account), "--discover"]
            run([Command("tap", argv)], log=self.log, output=found)
            content = json.loads(found.read_text())
            for entry in content["streams"]:
                for item in entry["metadata"]:
                    if not item["breadcrumb"]:
                        item["metadata"]["selected"] = entry["tap_stream_id"] in streams
            path.write_text(json.dumps(content))
        return path

    def tap(self, account: Account, *streams: str) -> Command:
        """Return the command of tap-pipedrive for some streams of an account (default: deals)."""
        catalog = self.catalog(account, *(streams or ("deals",)))
        tap = program("tap", "tap-pipedrive")
        return Command("tap", [tap, "--config", self.tap_config(account), "--catalog", catalog])

    def singer_file(self, deals: int) -> Path:
        """Return the deals of an account as tap-pipedrive writes them, read once."""
        path = self.file(f"deals-{deals}.jsonl")
        if not path.exists():
            account = self.account(deals)
            raw = self.file("deals.jsonl")
            run([self.tap(account)], log=self.log, output=raw)
            # Two adjacent time windows may both return a deal; here each record counts as a row.
            seen: set[bytes] = set()
            with raw.open("rb") as lines, path.open("wb") as out:
                for line in lines:
                    if line.startswith(b'{"type":"RECORD"'):
                        key = line[(at := line.index(b'"id":')) : line.index(b",", at)]
                        if key in seen:
                            continue
                        seen.add(key)
                    out.write(line)
            raw.unlink()
        return path

    def close(self) -> None:
        """End all processes and delete the scratch folder."""
        for account in self._accounts.values():
            account.process.terminate()
        for account in self._accounts.values():
            account.process.wait(20)
        self.server.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


def bare_loop(account: Account, *options: str) -> Command:
    """Return the floor of the tap: requests and msgspec in a loop."""
    argv = [program("dev", "python"), BASELINES / "bare_loop.py", account.url, account.token]
    return Command("bare loop", [*argv, *options])


def start_account(scratch: Path, deals: int, kind: str) -> Account:
    """Start the simulator and wait until it answers."""
    ready = scratch / f"account-{kind}-{deals}.json"
    log = scratch / f"account-{kind}-{deals}.log"
    argv: list[object] = [program("demo", "pipedrive-simulator"), "serve", "--account", kind]
    argv += ["--deals", str(deals), "--now", NOW, "--freeze-clock", "--ready-file", str(ready)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, argv)),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=clean_environ(),
        )
    began = time.monotonic()
    while not ready.exists():
        if process.poll() is not None or time.monotonic() - began > 300:
            msg = f"the simulated account does not start: {log.read_text()[-500:]}"
            raise BenchError(msg)
        time.sleep(0.05)
    account = json.loads(ready.read_text())
    return Account(
        account["url"], account["token"], account["company_domain"], account["pid"], deals, process
    )


@contextmanager
def bench_env(scale: int, repeat: int) -> Iterator[BenchEnv]:
    """Prepare the environment, for one benchmark at a time."""
    scratch = ROOT / ".pipeboard" / "bench" / "scratch"
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with (scratch.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = "another benchmark runs in this checkout: wait until it ends"
            raise BenchError(msg) from error
        with prepared(scratch, scale, repeat) as found:
            yield found


@contextmanager
def prepared(scratch: Path, scale: int, repeat: int) -> Iterator[BenchEnv]:
    """Start the server; end and delete everything afterwards, also after an error."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    # The project's code stores the files of an environment there.
    os.environ["PIPEBOARD_STATE_DIR"] = str(scratch)
    server = Server(scratch / "postgres", wheel_binaries(ENVIRONMENTS / "demo"))
    found = BenchEnv(scratch, scale, repeat, server)
    try:
        yield found
    finally:
        found.close()

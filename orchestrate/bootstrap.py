"""Build the environments of this repository. Needs nothing but Python 3.10 to 3.14 with venv.

`python3 orchestrate/bootstrap.py` builds what a run needs. More by a word: `look` what builds the
page of dashboards, `metrics` the metrics server, `prefect` the scheduler, `image` what belongs
into a container image, `dev` what tests and lint need, `bench` what the benchmark needs; `lock`
recompiles requirements/*.txt from the *.in files and the packages' own pyproject.toml.

Every environment has its own pins, so that Meltano, the tap, the loader and dbt never have to
agree on a version of anything. An environment that is up to date is left alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeboard.launch import SYSTEM_CERTIFICATES, environ_of

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The versions for which every pinned package has a wheel: docs/platforms.md.
OLDEST, NEWEST = (3, 10), (3, 14)
ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".pipeboard"
ENVIRONMENTS_HOME = LOCAL / "env"
REQUIREMENTS = ROOT / "requirements"

TAP = "tap-pipedrive"
LOADER = "plugins/loaders/target-postgres"
SIMULATOR = "plugins/utilities/pipedrive-simulator"
METABASE = "plugins/utilities/metabase"
SUPERVISOR = "orchestrate"


@dataclass(frozen=True)
class Environment:
    """One virtual environment: its pins, the packages of this repository in it, its commands."""

    name: str
    members: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    # Building a source archive runs its code: only for packages without a wheel.
    wheels_only: bool = True
    # On a read-only file system (container, service) every start would compile again. Tools of
    # developers compile what they import: that is a small part of what is installed.
    compiled: bool = True

    @property
    def folder(self) -> Path:
        """The folder of the virtual environment."""
        return ENVIRONMENTS_HOME / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def pins(self) -> Path:
        """The pinned requirements it is built from."""
        return REQUIREMENTS / f"{self.name}.txt"

    @property
    def stamp(self) -> Path:
        """The file with the fingerprint of the last complete build."""
        return self.folder / ".pipeboard-stamp"

    def fingerprint(self) -> str:
        """Return a hash of everything this environment is built from.

        The path is part of it because scripts of an environment name their interpreter in full: a
        folder that was moved or copied needs its environments anew.
        """
        digest = hashlib.sha256()
        sources = [self.pins, REQUIREMENTS / "build.txt"]
        sources += [ROOT / member / "pyproject.toml" for member in self.members]
        for source in sources:
            digest.update(source.read_bytes())
        digest.update(f"{self.folder}|{sys.version_info[:3]}|{sys.base_prefix}".encode())
        return digest.hexdigest()

    def is_current(self) -> bool:
        """Tell whether it was built completely from the present pins."""
        return (
            self.python.exists()
            and self.stamp.exists()
            and self.stamp.read_text().strip() == self.fingerprint()
        )


RUN = (
    Environment("meltano", members=(SUPERVISOR,), commands=("meltano", "pipeboard", "dbt-changed")),
    Environment("tap", members=(TAP,), commands=("tap-pipedrive",)),
    Environment("loader", members=(LOADER,), commands=("target-postgres",)),
    Environment("dbt", commands=("dbt", "mf")),
    Environment("metabase", members=(METABASE,), commands=("pipeboard-metabase",)),
    Environment("demo", members=(SIMULATOR,), commands=("pipedrive-simulator",)),
)
DEV = Environment("dev", members=(TAP, LOADER, SIMULATOR, METABASE, SUPERVISOR), compiled=False)
# Node, which builds the page of dashboards (`make look`). No sync needs it.
STATIC_DASHBOARD = Environment("look")
# What `pipeboard metrics-server` runs. No sync needs it.
METRICS = Environment("metrics", commands=("query-exporter",))
# Prefect: its server, its worker, and the Python of the flows.
PREFECT = Environment("prefect", commands=("prefect",))
# Another loader, for `make bench`. Its versions fit no other environment, and some of its
# dependencies have no wheel.
RIVAL = Environment("bench-pipelinewise", wheels_only=False)
# The policy scanner of the Kubernetes manifests; its many dependencies would change those of `dev`.
POLICY = Environment("policy", compiled=False)
# The linter of the dbt project.
DBT_LINT = Environment("dbt-lint", compiled=False)
# What lists the components of a release; it would slow down each start of a program in `dev`.
SBOM = Environment("sbom", compiled=False)
# What calls the simulator by the official documents; its dependencies would slow down `dev` too.
SCHEMATHESIS = Environment("schemathesis", compiled=False)
TOOLS = (POLICY, DBT_LINT, SBOM, SCHEMATHESIS)

# What is built, by the arguments of the command line.
WANTED = {
    (): RUN,
    ("metrics",): (*RUN, METRICS),
    ("look",): (*RUN, STATIC_DASHBOARD),
    ("prefect",): (*RUN, PREFECT),
    # A cluster has a real account and its own database. docker/shrink.py compiles.
    ("image",): tuple(
        replace(each, compiled=False) for each in (*RUN, METRICS, PREFECT) if each.name != "demo"
    ),
    ("dev",): (*RUN, STATIC_DASHBOARD, METRICS, PREFECT, DEV, *TOOLS),
    ("bench",): (*RUN, DEV, RIVAL),
}

# These read which account and database they work with from environment variables; typed
# by hand, they get it from the supervisor.
SUPERVISED_COMMANDS = ("meltano", "dbt", "dbt-changed", "mf")

# A dependency installs a script of the same name; the one of this repository has its own.
SCRIPTS = {"target-postgres": "pipeboard-target-postgres"}


def main(arguments: list[str]) -> int:
    """Build or lock, by the arguments."""
    check_python()
    if arguments != ["lock"] and tuple(arguments) not in WANTED:
        known = ", ".join(" ".join(names) for names in WANTED if names)
        fail(f"bootstrap.py does not know {' '.join(arguments)}: it knows {known}, lock")
    make_local(private=arguments != ["image"])
    with only_one():
        uv = ensure_uv()
        if arguments == ["lock"]:
            lock(uv)
            return 0
        wanted = WANTED[tuple(arguments)]
        for environment in wanted:
            if not environment.is_current():
                build(uv, environment)
        write_commands(wanted)
    return 0


def check_python() -> None:
    """Refuse an interpreter that is too old or incomplete, in one line each."""
    found = ".".join(map(str, sys.version_info[:3]))
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        how = "old" if sys.version_info[:2] < OLDEST else "new"
        fail(
            f"Python {found} is too {how}: the pinned packages are for 3.10 to 3.14. "
            "Name another one: make PYTHON=/path/to/python3.13"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as missing:
        fail(
            f"{sys.executable} has no module {missing.name}, so no environment can be built. "
            f"On Debian or Ubuntu: apt install python3-venv; or: make PYTHON=/path/to/python3"
        )


def make_local(*, private: bool) -> None:
    """Make the folder for local state, or say whose it is; an image runs as another user."""
    try:
        LOCAL.mkdir(exist_ok=True)
        LOCAL.chmod(0o700 if private else 0o755)
        (LOCAL / "bootstrap.lock").touch()
    except PermissionError:
        fail(f"{LOCAL} may not be written by you. Use a checkout of your own.")


@contextmanager
def only_one() -> Iterator[None]:
    """Let a second make in the same folder wait until the first has finished."""
    with (LOCAL / "bootstrap.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("environment   waiting for another make in this folder", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_uv() -> Path:
    """Install the pinned uv into an environment of its own, by plain pip."""
    folder = ENVIRONMENTS_HOME / "uv"
    uv = folder / "bin" / "uv"
    pins = REQUIREMENTS / "bootstrap.txt"
    stamp = folder / ".pipeboard-stamp"
    fingerprint = hashlib.sha256(pins.read_bytes() + f"{folder}".encode()).hexdigest()
    if uv.exists() and stamp.exists() and stamp.read_text() == fingerprint:
        return uv
    with step("uv"):
        run([sys.executable, "-m", "venv", "--clear", str(folder)], "a virtual environment")
        run(
            [
                str(folder / "bin" / "python"),
                *("-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--no-input", "--only-binary", ":all:", "--require-hashes", "-r", str(pins)),
            ],
            "uv",
        )
        stamp.write_text(fingerprint)
    return uv


def build(uv: Path, environment: Environment) -> None:
    """Build one environment: pinned third parties by hash, then our packages without dependencies.

    Two steps, because a local package has no hash to check.
    """
    with step(environment.name):
        environment.stamp.unlink(missing_ok=True)
        run(
            [str(uv), "venv", "-q", "--clear", "--no-project", "--python", sys.executable]
            + [str(environment.folder)],
            environment.name,
        )
        python = ["--python", str(environment.python)]
        builders = ["--build-constraints", str(REQUIREMENTS / "build.txt")]
        run(
            [str(uv), "pip", "sync", "-q", *python]
            + (["--no-build"] if environment.wheels_only else builders)
            + (["--compile-bytecode"] if environment.compiled else [])
            + ["--require-hashes", str(environment.pins)],
            environment.name,
        )
        if environment.members:
            editable = [word for member in environment.members for word in ("-e", f"./{member}")]
            run(
                [str(uv), "pip", "install", "-q", *python, "--no-deps", *builders, *editable],
                environment.name,
            )
        environment.stamp.write_text(environment.fingerprint())


def write_commands(environments: tuple[Environment, ...]) -> None:
    """Write .pipeboard/bin (the commands, under their own names) and .pipeboard/activate."""
    binaries = LOCAL / "bin"
    binaries.mkdir(exist_ok=True)
    for environment in environments:
        for command in environment.commands:
            write_if_new(binaries / command, shim(environment, command), mode=0o755)
    activate = (
        "# Source this file (`. .pipeboard/activate`) to type meltano, dbt and pipeboard by hand.\n"
        f"PATH={shlex.quote(str(binaries))}:$PATH\nexport PATH\n"
    )
    write_if_new(LOCAL / "activate", activate, mode=0o644)


def shim(environment: Environment, command: str) -> str:
    """Return the text of one command: it starts the program in its virtual environment."""
    lines = [
        "#!/bin/sh",
        "# Written by orchestrate/bootstrap.py.",
        'here=$(CDPATH="" cd -- "$(dirname -- "$0")" && pwd)',
    ]
    if command in SUPERVISED_COMMANDS:
        lines += [
            'if [ -z "${PIPEBOARD_WORLD:-}" ]; then',
            f'    exec "$here/pipeboard" env -- {command} "$@"',
            "fi",
        ]
    binaries = f"$here/../env/{environment.name}/bin"
    program = f'"{binaries}/{SCRIPTS.get(command, command)}" "$@"'
    if command != "pipeboard":
        # It sets private files and only the secrets that this program needs.
        launch = '"$here/../../orchestrate/pipeboard/launch.py"'
        program = f'"{binaries}/python" -I -S {launch} {command} {program}'
    lines.append(f"exec {program}")
    return "\n".join(lines) + "\n"


def write_if_new(path: Path, text: str, mode: int) -> None:
    """Write a file unless it already says so."""
    if path.exists() and path.read_text() == text:
        return
    path.write_text(text)
    path.chmod(mode)


def lock(uv: Path) -> None:
    """Recompile requirements/*.txt; versions already pinned stay unless UPGRADE is set."""
    upgrade = ["--upgrade"] if os.environ.get("UPGRADE") else []
    jobs: list[tuple[str, tuple[str, ...]]] = [("bootstrap", ()), ("build", ())]
    every = (*RUN, STATIC_DASHBOARD, METRICS, PREFECT, DEV, *TOOLS, RIVAL)
    jobs += [(environment.name, environment.members) for environment in every]
    for name, members in jobs:
        source = Path("requirements") / f"{name}.in"
        sources = [str(source)] if (ROOT / source).exists() else []
        sources += [f"{member}/pyproject.toml" for member in members]
        extras = ["--all-extras"] if name == DEV.name else []
        target = Path("requirements") / f"{name}.txt"
        with step(f"requirements/{name}.txt"):
            run(
                [str(uv), "pip", "compile", "-q", "--universal", "--python-version", "3.10"]
                + ["--generate-hashes", "--no-header", *extras, *upgrade]
                + [*sources, "-o", str(target)],
                f"the pins of {name}",
            )
            tidy(ROOT / target, sources)


def tidy(target: Path, sources: list[str]) -> None:
    """Leave out where packages were downloaded from: pins say what, each machine says whence."""
    pins = [
        line
        for line in target.read_text().splitlines()
        if not line.startswith(("--index", "--extra-index", "--find-links", "--trusted", "#"))
    ]
    header = f"# Compiled by `make lock` from {', '.join(sources)}"
    target.write_text("\n".join([header, *pins]) + "\n")


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show a step that takes seconds: its name at once, its time when done."""
    began = time.monotonic()
    tty = sys.stdout.isatty()
    print(f"environment   {name:<10} ...", end="\r" if tty else "\n", flush=True)
    yield
    print(f"environment   {name:<10} {time.monotonic() - began:5.1f} s", flush=True)


def run(command: list[str], what: str) -> None:
    """Run a command; on failure show its output and a remedy."""
    outcome = subprocess.run(
        command, cwd=ROOT, env=clean_environ(), text=True, capture_output=True, check=False
    )
    if outcome.returncode:
        output = outcome.stdout + outcome.stderr
        sys.stderr.write(output)
        fail(
            f"cannot build {what} (the lines above are {Path(command[0]).name}'s own). "
            + next(remedy for pattern, remedy in REMEDIES if re.search(pattern, output, re.I))
        )


#: A pattern in the output of pip or uv, and its remedy.
REMEDIES = (
    (
        r"certificate|SSLError|UnknownIssuer",
        "The registry's TLS certificate is not trusted here. Behind a company's own certificate "
        "authority, install that in the system's store, or name its file: "
        "SSL_CERT_FILE=/path/to/ca.pem",
    ),
    (
        r"no (usable )?wheels|not a supported wheel|hint: Wheels are available|no wheels? with a",
        "The registry has no wheel of that package for this Python or this machine. "
        "docs/platforms.md says which fit; another Python: make PYTHON=/path/to/python3.13",
    ),
    (
        r"hash mismatch|hashes? .*(mismatch|do not match)|do not match the hashes",
        "The registry serves another file than the one that requirements/ pins. Do not use it; "
        "tell the operators of the registry",
    ),
    (r"No space left|ENOSPC", "The disk is full"),
    (
        r"no versions? of|not found in the package registry|No matching distribution",
        "The registry answers, but does not have that package: is the mirror complete?",
    ),
    (
        "",
        "Packages come from your package registry: is it reachable? Behind a mirror, set "
        "PIP_INDEX_URL; behind a proxy, HTTPS_PROXY",
    ),
)


def clean_environ() -> dict[str, str]:
    """Return our environment without what would bend an installation, and without our secrets."""
    environ = environ_of("pip", os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON"):
        environ.pop(name, None)
    environ["UV_PYTHON_DOWNLOADS"] = "never"
    environ["PIP_REQUIRE_VIRTUALENV"] = "0"
    # uv does not read pip's settings, and needs the same mirror.
    if "PIP_INDEX_URL" in environ and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & environ.keys():
        environ["UV_DEFAULT_INDEX"] = environ["PIP_INDEX_URL"]
    # pip trusts the certificates of the system, uv has its own list.
    if not {"UV_SYSTEM_CERTS", "UV_NATIVE_TLS"} & environ.keys() and (
        sys.platform == "darwin" or any(map(os.path.exists, SYSTEM_CERTIFICATES))
    ):
        environ["UV_SYSTEM_CERTS"] = "1"
    named = environ.get("PIP_CERT") or environ.get("REQUESTS_CA_BUNDLE")
    if named and not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & environ.keys():
        environ["SSL_CERT_DIR" if Path(named).is_dir() else "SSL_CERT_FILE"] = named
    if not writable_home():
        environ["UV_CACHE_DIR"] = str(LOCAL / "cache" / "uv")
    return environ


def writable_home() -> bool:
    """Tell whether uv could keep its cache where it usually does."""
    folder = os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home()
    nearest = Path(folder)
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    return os.access(nearest, os.W_OK) and shutil.disk_usage(nearest).free > 0


def fail(message: str) -> None:
    """Write one line and end with the exit code for configuration."""
    sys.stderr.write(f"pipeboard: {message}\n")
    raise SystemExit(78)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

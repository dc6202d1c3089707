"""Starts a program with private files and only the secrets it needs.

    python -I -S launch.py NAME PROGRAM ARGUMENTS...

The commands in .pipeboard/bin start their programs with this file, so a tap has the same
environment whether the supervisor, `meltano run` or a person starts it. It becomes the program, and
uses nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

UMASK = 0o077
DATABASE, TRANSFORM_DATABASE = "PIPEBOARD_DATABASE_URL", "PIPEBOARD_TRANSFORM_DATABASE_URL"
#: The hash of files, settings and versions, for dbt; see fingerprint.py.
FINGERPRINT = "PIPEBOARD_PROJECT_FINGERPRINT"
BUILDERS = ("dbt", "dbt-changed", "mf")
#: Set by `dbt-changed` for the dbt that it starts.
OF_SYNC = "PIPEBOARD_DBT_OF_SYNC"
#: Names of models that the project, as it is, has built; set by `dbt-changed`, too.
BUILT_BEFORE = "PIPEBOARD_MODELS_BUILT_BEFORE"
#: Files of run/ that start these programs, with their own Python; that of dbt is for a sync only.
ENTRIES = {"dbt": "dbt_of_sync.py", "meltano": "meltano.py", "mf": "metricflow.py"}

SECRET_NAME = re.compile(
    r"(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|API_?KEY|(SECRET|ACCESS|PRIVATE)_KEY(_ID)?"
    r"|AUTH_STRING|CREDENTIALS|_PAT)$",
    re.IGNORECASE,
)
SECRET_PARAMETER = re.compile(r"(password|token|secret|api_?key)$", re.IGNORECASE)
#: Variables that hold or lead to secrets, whatever their value.
PRIVATE = (
    *("PIPEBOARD_DATABASE_URL", "PIPEBOARD_TRANSFORM_", "PIPEBOARD_METRICS_", "PIPEBOARD_ADMIN_"),
    *("MELTANO_DATABASE_URI", "MELTANO_EXTRACT_", "MELTANO_LOAD_", "REDIS_", "PG", "DBT_ENV_"),
    *("TAP_PIPEDRIVE_", "TARGET_POSTGRES_", "METABASE_", "PREFECT_"),
)
DATABASES = ("postgres", "redis", "rediss", "mysql")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
#: Prefixes of the private variables that each program gets. Other programs get all.
NEEDS: dict[str, tuple[str, ...]] = {
    "tap-pipedrive": ("PIPEDRIVE_", "TAP_PIPEDRIVE_", "REDIS_", "PUSHGATEWAY_", *PROXIES),
    "target-postgres": ("TARGET_POSTGRES_", "PG", "PUSHGATEWAY_", *PROXIES),
    **dict.fromkeys(BUILDERS, (DATABASE, "PG", "DBT_")),
    "pipeboard-metabase": (DATABASE, "PG", "METABASE_", *PROXIES),
    "query-exporter": ("PIPEBOARD_METRICS_", "PG"),
    "pipedrive-simulator": (),
    # For pip and uv in bootstrap.py: the URL of a mirror may hold a password.
    "pip": ("PIP_", "UV_", "NETRC", *PROXIES),
}
#: Programs that read HTTPS by requests, which trusts a list of its own unless a file is named.
READERS_BY_REQUESTS = ("tap-pipedrive", "pipeboard-metabase")
CERTIFICATES_OF_REQUESTS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: Where Linux keeps its certificates, by distribution.
SYSTEM_CERTIFICATES = (
    *("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"),
    *("/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"),
)


def main(arguments: list[str]) -> None:
    """Become the program."""
    name, program = arguments[0], arguments[1]
    os.umask(UMASK)
    if name == "meltano":
        remove_leftovers(_meltano_folder(os.environ))
    command = arguments[1:]
    entry = ENTRIES.get(name if name != "dbt" or os.environ.get(OF_SYNC) else "")
    if entry and Path(program).name == name:
        file = Path(__file__).resolve().with_name("run") / entry
        command = [str(Path(program).with_name("python")), "-I", str(file), *arguments[2:]]
    try:
        os.execve(command[0], command, environ_of_program(name, Path(program), os.environ))
    except OSError as error:
        sys.exit(f"pipeboard: {program} cannot be started: {error.strerror}. Run `make setup`")


def environ_of_program(name: str, program: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program.

    Those that read HTTPS trust the authorities of the system, or of `SSL_CERT_FILE`; those that
    build get the fingerprint of their project.
    """
    found = environ_of(name, environ)
    if name in READERS_BY_REQUESTS and not any(map(found.get, CERTIFICATES_OF_REQUESTS)):
        named = filter(None, map(found.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))
        existing = [path for path in (*named, *SYSTEM_CERTIFICATES) if Path(path).exists()]
        if existing:
            found[CERTIFICATES_OF_REQUESTS[0]] = existing[0]
    if name in BUILDERS:
        found.pop(FINGERPRINT, None)
        found[FINGERPRINT] = _fingerprint(program, found)
    return found


def environ_of(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program: all that is not secret, and the secrets it needs."""
    found = dict(environ)
    if name in BUILDERS and found.get(TRANSFORM_DATABASE):
        # dbt knows one database URL: that of the role that builds.
        found[DATABASE] = found[TRANSFORM_DATABASE]
    needs = NEEDS.get(name)
    if needs is None:
        return found
    return {k: v for k, v in found.items() if k.startswith(needs) or not is_private(k, v)}


def is_private(name: str, value: str) -> bool:
    """Tell whether a variable is only for programs that need it."""
    return bool(name.startswith(PRIVATE) or SECRET_NAME.search(name) or any(secrets_in_url(value)))


def secrets_in_url(value: str) -> Iterator[str]:
    """Return the passwords and tokens in a URL."""
    scheme, _, rest = value.strip().partition("://")
    if not rest:
        return
    found, is_broken = [], scheme.startswith(DATABASES)
    try:
        parts = urlsplit(value.strip())
        found.append(parts.password or "")
        found += [text for key, text in parse_qsl(parts.query) if SECRET_PARAMETER.search(key)]
        _ = parts.port
    except ValueError:
        is_broken = True
    # An unencoded "/" in a password splits the URL, and messages quote the parts; of a URL that
    # cannot be split at all, the password is not known otherwise.
    if is_broken:
        whole = rest.rpartition("@")[0].partition(":")[2]
        found += [whole, *re.split(r"[/?#@:\[\]]", whole)]
    yield from filter(None, found)


def _fingerprint(program: Path, environ: Mapping[str, str]) -> str:
    """Return the fingerprint of the project that a program below .pipeboard/env/*/bin builds."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from pipeboard.fingerprint import fingerprint_of

    project = Path(environ.get("DBT_PROJECT_DIR") or ".")
    return fingerprint_of(project, program.parent.parent.parent / "dbt", environ)


# -- Meltano's files ---------------------------------------------------------------------------


def _meltano_folder(environ: Mapping[str, str]) -> Path:
    root = environ.get("MELTANO_PROJECT_ROOT") or "."
    return Path(environ.get("MELTANO_SYS_DIR_ROOT") or Path(root, ".meltano"))


def remove_leftovers(folder: Path) -> int | None:
    """Delete the plugins' settings that a killed Meltano left behind, secrets included.

    Meltano holds a shared lock as long as it runs: an exclusive lock
    proves that none is running. No error here keeps Meltano from starting.

    Returns:
        The descriptor with the lock; this process, and the program it becomes, keep it open.

    """
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o700)
        lock = os.open(folder / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(lock, True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            for left in (folder / "run").rglob("*.config.json"):
                left.unlink(missing_ok=True)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return lock
    return None


if __name__ == "__main__":
    main(sys.argv[1:])

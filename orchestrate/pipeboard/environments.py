"""The environments a job can run in: own (the account and database of .env) and demo.

An environment is defined by its variables alone. Nothing else decides which account is read and
which database is written, so that nothing leaks from one environment into the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from pipeboard.company import company_of
from pipeboard.database_url import DatabaseUrl
from pipeboard.launch import TRANSFORM_DATABASE
from pipeboard.redaction import Redactor

if TYPE_CHECKING:
    from pipeboard.paths import Paths

OWN, DEMO = "own", "demo"
OWN_DATABASE, DEMO_DATABASE = "pipeboard", "pipeboard_demo"
STATE_SCHEMA = "meltano"
LOOPBACK = "127.0.0.1,localhost,::1"

# Variables that name a real account or database, or a person's preferences.
PERSONAL_PREFIXES = (
    *("PIPEDRIVE_", "PIPEBOARD_", "MELTANO_", "TAP_PIPEDRIVE_", "TARGET_POSTGRES_", "DBT_"),
    *("METABASE_", "REDIS_", "PUSHGATEWAY_", "PREFECT_", "SINGER_SDK_", "PG"),
)


#: Set by a frequent schedule for the syncs it starts; the tap's setting `scheduled`.
SCHEDULED = "PIPEBOARD_SCHEDULED"
# Exceptions: they name no account, and the programs of the demo need them.
IMPERSONAL = (
    *("PIPEBOARD_STATE_DIR", "PIPEBOARD_LOG_FORMAT", "PIPEBOARD_POSTGRES_BIN"),
    *("PIPEBOARD_DEMO_DEALS", "PIPEBOARD_DEMO_SEED", "PIPEBOARD_DEMO_CHANGES"),
    SCHEDULED,
)


@dataclass(frozen=True)
class Environment:
    """One account, one database, one state.

    Attributes:
        kind: OWN or DEMO.
        name: Meltano's name of it: dev, prod, demo.
        variables: all variables that a run gets.

    """

    kind: str
    name: str
    database: DatabaseUrl
    embedded: bool
    variables: dict[str, str] = field(repr=False)

    @property
    def transformer(self) -> DatabaseUrl | None:
        """The database as the role that builds connects to it; None where one role does all."""
        named = self.variables.get(TRANSFORM_DATABASE)
        return DatabaseUrl.parse(named, TRANSFORM_DATABASE) if named else None

    @property
    def redact(self) -> Redactor:
        """What removes the secrets of this environment from a text."""
        return Redactor.of(self.variables)


def settings(paths: Paths, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables, completed by .env; those that are set win.

    An empty value means "not set" (the lines of .env.example are empty), for every reader.
    """
    given = dict(os.environ if environ is None else environ)
    if given.get("PIPEBOARD_WORLD") == DEMO:
        return given  # the demo's variables are complete; .env never adds any
    from_file = {name: value or "" for name, value in dotenv_values(paths.dotenv).items()}
    merged = {**from_file, **given}
    return {
        name: value
        for name, value in merged.items()
        if value or name not in {*from_file, *SETTINGS}
    }


SETTINGS = (
    *("PIPEDRIVE_API_TOKEN", "PIPEDRIVE_COMPANY_DOMAIN", "PIPEDRIVE_API_URL"),
    *("PIPEDRIVE_START_DATE", "PIPEDRIVE_DAILY_TOKENS", "PIPEBOARD_DATABASE_URL"),
    *("PIPEDRIVE_DEFINITIONS_INTERVAL", "PIPEDRIVE_ARCHIVED_INTERVAL"),
    TRANSFORM_DATABASE,
    *("REDIS_URL", "PUSHGATEWAY_URL", "METABASE_URL", "METABASE_API_KEY"),
)

#: Only for `pipeboard roles`: an administrator, and passwords to set.
ROLES_ONLY = (
    *("PIPEBOARD_ADMIN_DATABASE_URL", "WAREHOUSE_PASSWORD", "TRANSFORM_PASSWORD"),
    *("METRICS_PASSWORD", "READER_PASSWORD"),
)


def own_environment(
    paths: Paths, given: Mapping[str, str], database_url: str, embedded: bool
) -> Environment:
    """Return the environment of `settings`, with the database they name or the embedded one."""
    database = DatabaseUrl.parse(database_url)
    name = given.get("MELTANO_ENVIRONMENT") or "dev"
    environ = {
        **{name: value for name, value in given.items() if name not in ROLES_ONLY},
        **_common(paths, name, database),
        "PIPEBOARD_WORLD": OWN,
    }
    # With another system database, the state id must include the host of the warehouse.
    elsewhere = given.get("MELTANO_DATABASE_URI")
    if elsewhere:
        environ["MELTANO_DATABASE_URI"] = elsewhere
    suffix = environ.setdefault(
        "MELTANO_RUN_STATE_ID_SUFFIX", _state_suffix(given, database, alone=not elsewhere)
    )
    environ["PIPEBOARD_TAP_STATE_DIR"] = str(paths.tap(f"{name}-{suffix}"))
    return Environment(OWN, name, database, embedded, _past_proxies(environ))


def demo_environment(
    paths: Paths,
    environ: Mapping[str, str],
    database_url: str,
    account: Mapping[str, str],
    services: Mapping[str, str] | None = None,
    streams: Iterable[str] = (),
) -> Environment:
    """Return the environment of the simulated account (its ready file), without .env.

    `services` are the variables of what `up` started for the demo, `streams` those that it reads;
    none: those of meltano.yml.
    """
    database = DatabaseUrl.parse(database_url)
    clean = {
        name: value
        for name, value in environ.items()
        if name in IMPERSONAL or not name.startswith(PERSONAL_PREFIXES)
    }
    clean.update(
        {
            **_common(paths, DEMO, database),
            "PIPEBOARD_WORLD": DEMO,
            "PIPEDRIVE_API_TOKEN": account["token"],
            "PIPEDRIVE_COMPANY_DOMAIN": account["company_domain"],
            "PIPEDRIVE_API_URL": account["url"],
            # The port of the simulator may change between runs; the account stays the same.
            "MELTANO_RUN_STATE_ID_SUFFIX": "simulated",
            "PIPEBOARD_TAP_STATE_DIR": str(paths.tap(f"{DEMO}-simulated")),
            **(services or {}),
        }
    )
    if streams:
        clean["TAP_PIPEDRIVE__SELECT"] = json.dumps([f"{name}.*" for name in sorted(streams)])
    return Environment(DEMO, DEMO, database, embedded=True, variables=_past_proxies(clean))


def _common(paths: Paths, environment: str, database: DatabaseUrl) -> dict[str, str]:
    dbt = paths.dbt(environment)
    return {
        "PATH": f"{paths.binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PIPEBOARD_DATABASE_URL": database.url,
        # Only the supervisor reads .env: dbt learns it here, Meltano by its command line.
        "PYTHON_DOTENV_DISABLED": "1",
        "MELTANO_PROJECT_ROOT": str(paths.root),
        "MELTANO_SYS_DIR_ROOT": str(paths.meltano),
        "MELTANO_ENVIRONMENT": environment,
        # The state is in the warehouse, so that both are restored together.
        "MELTANO_DATABASE_URI": database.for_meltano(STATE_SCHEMA),
        # Meltano writes a log of its own below this; the default is in the home folder.
        "XDG_STATE_HOME": str(paths.meltano / "state"),
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "MELTANO_CLI_DISABLE_VERSION_CHECK": "1",
        "DBT_PROJECT_DIR": str(paths.root / "transform"),
        "DBT_PROFILES_DIR": str(paths.root / "transform"),
        "DBT_TARGET_PATH": str(dbt / "target"),
        "DBT_LOG_PATH": str(dbt / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
    }


def _state_suffix(given: Mapping[str, str], database: DatabaseUrl, *, alone: bool) -> str:
    """Return a short hash of account and database; each pair has its own state.

    The state normally lies in the database itself; a copy of it restored on another host should
    go on where the original stood, so the host counts only for a state kept elsewhere.
    """
    account = [given.get("PIPEDRIVE_API_URL", "").rstrip("/").lower()]
    domain = given.get("PIPEDRIVE_COMPANY_DOMAIN", "")
    account.append(company_of(domain) or domain.lower())
    place = database.database if alone else f"{database.host}:{database.port}/{database.database}"
    return sha256("|".join([*account, place]).encode()).hexdigest()[:10]


def _past_proxies(environ: dict[str, str]) -> dict[str, str]:
    """Exclude this machine from the proxies."""
    if any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in environ):
        for name in ("NO_PROXY", "no_proxy"):
            known = environ.get(name, "")
            environ[name] = f"{known},{LOOPBACK}" if known else LOOPBACK
    return environ

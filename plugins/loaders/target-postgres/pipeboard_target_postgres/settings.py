"""Settings: those of meltanolabs-target-postgres with other defaults, and some additional ones."""

from __future__ import annotations

import copy
import dataclasses
import decimal
import os
import typing as t
from collections.abc import Mapping, MutableMapping

import sqlalchemy
from singer_sdk import typing as th
from sqlalchemy.engine.url import make_url
from target_postgres.target import TargetPostgres as StockTarget

from pipeboard_target_postgres.connector import DRIVER
from pipeboard_target_postgres.loader import Options

ENV_DATABASE_URL = "PIPEBOARD_DATABASE_URL"
SECRETS = ("password", "sqlalchemy_url", "ssh_tunnel")

#: Defaults that differ from the stock target; the README says why for each.
DEFAULTS: dict[str, t.Any] = {
    "default_target_schema": "pipedrive",
    "sanitize_null_text_characters": True,
    "use_copy": True,
}

_ADDED = th.PropertiesList(
    th.Property(
        "validate_records",
        th.BooleanType,
        default=False,
        description="Check each record against its JSON schema before loading (about half of the "
        "stock target's time). PostgreSQL checks the types in any case.",
    ),
    th.Property(
        "load_method",
        th.StringType,
        default="upsert",
        allowed_values=["append-only", "upsert", "overwrite"],
        description="For compatibility only, without effect as in the stock target: a stream "
        "with key properties is upserted, one without is appended to.",
    ),
    th.Property(
        "batch_size_rows",
        th.IntegerType(minimum=1),
        default=10_000,
        description="Load when a stream has this many records waiting.",
    ),
    th.Property(
        "batch_size_bytes",
        th.IntegerType(minimum=1),
        default=16 * 1024 * 1024,
        description="Load when all waiting messages together have this many bytes. Memory holds "
        "about four times as much: two sets of batches, each as messages and as rows.",
    ),
    th.Property(
        "batch_wait_seconds",
        th.NumberType(minimum=0),
        default=10,
        description="Load when the oldest waiting record is this old, even if the tap is silent.",
    ),
    th.Property(
        "max_refused_share",
        th.NumberType(minimum=0, maximum=1),
        default=0.05,
        description="Share of a stream's records in this run that PostgreSQL may refuse before the "
        "run fails with exit code 65. Refused records go to the quarantine either way.",
    ),
    th.Property(
        "max_vanished_share",
        th.NumberType(minimum=0, maximum=1),
        default=0.2,
        description="Share of a table's live rows that an ACTIVATE_VERSION may mark as deleted; "
        "more is refused with exit code 65, and nothing is marked.",
    ),
    th.Property(
        "quarantine_stream",
        th.StringType,
        description="Name of a stream that carries the records that the tap could not send "
        "(properties stream, key, reason, record). They are stored in `quarantine`, not in a table "
        "of their own.",
    ),
    th.Property(
        "ops_schema",
        th.StringType,
        default="ops",
        description="Schema of the loader's own tables, `quarantine` and `stream_load`.",
    ),
    th.Property(
        "bookkeeping",
        th.BooleanType,
        default=True,
        description="Write a row per stream and run to `stream_load`, the measure of freshness.",
    ),
    th.Property(
        "bookkeeping_days",
        th.IntegerType(minimum=1),
        default=400,
        description="Rows of `stream_load` older than this are deleted.",
    ),
    th.Property(
        "reconnect_seconds",
        th.NumberType(minimum=0),
        default=60,
        description="After a lost connection, try this long to load the same batch again.",
    ),
    th.Property(
        "pushgateway_url",
        th.StringType,
        description="A Prometheus Pushgateway to push this run's metrics to, http://host:9091.",
    ),
).to_dict()


def config_jsonschema() -> dict[str, t.Any]:
    """Return the JSON schema of all settings."""
    schema = copy.deepcopy(StockTarget.config_jsonschema)
    properties = schema["properties"]
    for name, value in DEFAULTS.items():
        properties[name]["default"] = value
    properties.update(copy.deepcopy(_ADDED["properties"]))
    for name in ("password", "sqlalchemy_url"):
        properties[name].update(secret=True, writeOnly=True)
    properties["sqlalchemy_url"]["description"] = (
        "Address of the database: postgresql://, postgres:// or postgresql+psycopg://. Overrides "
        "host, user, password, port, database and the ssl settings. Left out together with `host`, "
        f"the environment variable {ENV_DATABASE_URL} is used. Special characters in the password "
        "must be percent-encoded."
    )
    return schema


def options(config: Mapping[str, t.Any]) -> Options:
    """Return the loader's options from a validated configuration."""
    values: dict[str, t.Any] = {f.name: config[f.name] for f in dataclasses.fields(Options)}
    for name, value in values.items():
        if isinstance(value, decimal.Decimal):  # how a number in a configuration file is read
            values[name] = float(value)
    return Options(**values)


def normalise_url(url: str) -> str:
    """Return the address with the driver that this target uses.

    Raises:
        ValueError: it is not an address of PostgreSQL; the message does not repeat it.
    """
    try:
        parsed = make_url(url.strip())
    except (sqlalchemy.exc.ArgumentError, ValueError):
        parsed = None
    # An @ in the host is part of a password, which would then appear in messages as the host.
    if parsed is not None and "@" in (parsed.host or ""):
        parsed = None
    if parsed is None or parsed.drivername.split("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError(
            "sqlalchemy_url is not an address of PostgreSQL; expected "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE (special characters in the password "
            "percent-encoded, for example @ as %40)"
        )
    return parsed.set(drivername=DRIVER).render_as_string(hide_password=False)


def prepare(config: MutableMapping[str, t.Any], env: Mapping[str, str] | None = None) -> list[str]:
    """Read the address from the environment if it is missing, and normalise it, in place.

    Returns:
        Error messages, one line each; empty if the settings are valid.
    """
    env = os.environ if env is None else env
    for name in [n for n, value in config.items() if value is None]:
        # Null means the default; certificates have no useful default, so their null stays.
        if not name.startswith("ssl_c"):
            del config[name]
    if not config.get("sqlalchemy_url") and not config.get("host"):
        config.pop("sqlalchemy_url", None)
        if env.get(ENV_DATABASE_URL):
            config["sqlalchemy_url"] = env[ENV_DATABASE_URL]
    url = config.get("sqlalchemy_url")
    if isinstance(url, str) and url:
        try:
            config["sqlalchemy_url"] = normalise_url(url)
        except ValueError as exc:
            return [str(exc)]
        return []
    missing = [n for n in ("host", "user", "password", "database") if config.get(n) is None]
    if url is None and missing:
        what = "no database given" if len(missing) == 4 else f"{', '.join(missing)} missing"
        return [
            f"{what}: set {ENV_DATABASE_URL} or sqlalchemy_url, or host, user, password, "
            "port and database"
        ]
    return []

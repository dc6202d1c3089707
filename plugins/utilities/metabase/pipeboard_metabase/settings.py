"""What the environment says: which Metabase, as whom, in which language, over which database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.translations import LANGUAGES

#: Metabase's own name for each language.
LOCALES = {"en": "en", "pt": "pt_BR"}
SCHEMAS = ("marts", "ops")


@dataclass(frozen=True)
class Warehouse:
    """A PostgreSQL that Metabase, or we, can read."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str = "prefer"

    @property
    def place(self) -> str:
        """Say where it is, without the password."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"

    @classmethod
    def parse(cls, name: str, text: str) -> Warehouse:
        """Read postgresql://user:password@host:port/database?sslmode=...

        Raises:
            PipeboardError: when it is not a URL; the message leaves it out, as it has a password.
        """
        remedy = "Write postgresql://user:password@host:5432/database, specials percent-encoded"
        try:
            parts = urlsplit(text.strip())
            port = parts.port or 5432
        except ValueError:
            parts, port = urlsplit(""), 0
        database = unquote(parts.path.lstrip("/"))
        if not (
            re.fullmatch(r"postgres(ql)?", parts.scheme)
            and parts.hostname
            and parts.username
            and database
        ):
            what = f"{name} is not a PostgreSQL URL with user, host and database"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
        return cls(
            host=parts.hostname,
            port=port,
            database=database,
            user=unquote(parts.username),
            password=unquote(parts.password or ""),
            sslmode=parse_qs(parts.query).get("sslmode", ["prefer"])[-1],
        )


@dataclass(frozen=True)
class Settings:
    """Everything that provisioning is told."""

    url: str
    #: What Metabase connects with: the reader's login, and the host as Metabase sees it.
    connection: Warehouse
    #: The same database as this machine reaches it, a libpq URL. The reader's rights are enough.
    warehouse_url: str = field(repr=False)
    key_file: Path
    api_key: str = field(default="", repr=False)
    email: str = ""
    password: str = field(default="", repr=False)
    language: str = "en"
    site_url: str = ""
    site_name: str = "Pipeboard"
    timezone: str = "America/Sao_Paulo"
    currency: str = "BRL"
    database_name: str = "Pipeboard"
    manifest: Path | None = None
    #: Seconds that Metabase may take to start, and to look at every table.
    timeout_seconds: float = 300.0

    @property
    def locale(self) -> str:
        """The locale that Metabase has for the language."""
        return LOCALES[self.language]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (self.api_key, self.password, self.connection.password)


def read_settings(environ: Mapping[str, str], root: Path) -> Settings:
    """Read the settings from the environment; `root` is the checkout.

    Raises:
        PipeboardError: when one is missing or wrong; it names the variable.
    """
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    url = _needed(given, "METABASE_URL", "http://localhost:3000")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        what = f"METABASE_URL is {url!r}, which is no web address"
        raise PipeboardError(what, "Write http://host:port", ExitCode.CONFIGURATION)
    reader = _needed(given, "METABASE_DATABASE_URL", "postgresql://metabase_ro:...@host:5432/db")
    local = Path(given.get("PIPEBOARD_STATE_DIR", root / ".pipeboard"))
    return Settings(
        url=url.rstrip("/"),
        connection=Warehouse.parse("METABASE_DATABASE_URL", reader),
        warehouse_url=given.get("PIPEBOARD_DATABASE_URL", reader),
        key_file=Path(given.get("METABASE_API_KEY_FILE", local / "metabase" / "api-key")),
        api_key=given.get("METABASE_API_KEY", ""),
        email=given.get("METABASE_ADMIN_EMAIL", ""),
        password=environ.get("METABASE_ADMIN_PASSWORD", ""),
        language=language_of(given.get("METABASE_LOCALE", "en")),
        site_url=given.get("METABASE_SITE_URL", ""),
        timezone=given.get("PIPEBOARD_REPORTING_TIMEZONE", "America/Sao_Paulo"),
        currency=given.get("PIPEBOARD_BASE_CURRENCY", "BRL"),
        manifest=find_manifest(given, root, local),
        timeout_seconds=_seconds(given, "METABASE_TIMEOUT_SECONDS", 300.0),
    )


def language_of(locale: str) -> str:
    """Return the language of a locale such as pt, pt_BR, pt-BR or en_US."""
    language = re.split("[_-]", locale)[0].lower()
    if language not in LANGUAGES:
        what = f"METABASE_LOCALE is {locale!r}"
        raise PipeboardError(what, f"Write one of: {', '.join(LANGUAGES)}", ExitCode.CONFIGURATION)
    return language


def find_manifest(given: Mapping[str, str], root: Path, local: Path) -> Path | None:
    """Find dbt's manifest: the one named, the newest one of a build, or the image's own."""
    if named := given.get("METABASE_DBT_MANIFEST"):
        path = Path(named)
        if not path.is_file():
            what = f"METABASE_DBT_MANIFEST names {named}, which is not there"
            raise PipeboardError(
                what, "dbt writes it: target/manifest.json", ExitCode.CONFIGURATION
            )
        return path
    targets = [Path(given[name]) for name in ("DBT_TARGET_PATH",) if name in given]
    built = [target / "manifest.json" for target in targets]
    built += [*local.glob("dbt/*/target/manifest.json"), root / ".pipeboard/dbt/manifest.json"]
    found = [path for path in built if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime) if found else None


def _needed(given: Mapping[str, str], name: str, example: str) -> str:
    if name not in given:
        remedy = f"Put it into .env ({name}={example}) and run `make metabase`"
        what = f"{name} is not set"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    return given[name]


def _seconds(given: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(given.get(name, default))
    except ValueError:
        what = f"{name} is {given[name]!r}"
        raise PipeboardError(what, "Write seconds", ExitCode.CONFIGURATION) from None

"""Database URLs: one database, in the notation of each program."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from pipeboard.errors import ExitCode, PipeboardError

FORM = "postgresql://user:password@host:5432/database"


@dataclass(frozen=True)
class DatabaseUrl:
    """A PostgreSQL URL, kept as it was written except for the scheme."""

    url: str

    @classmethod
    def parse(cls, text: str, variable: str = "PIPEBOARD_DATABASE_URL") -> DatabaseUrl:
        """Accept postgresql://, postgres:// and SQLAlchemy's postgresql+driver://."""
        scheme, _, rest = text.strip().partition("://")
        remedy = f"Write {FORM}, with special characters percent-encoded"
        if scheme.split("+")[0] not in ("postgresql", "postgres") or not rest:
            what = f"{variable} is not a PostgreSQL URL"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
        found = cls(f"postgresql://{rest}")
        try:
            complete = found.host and found.database and found._parts.username
            _ = found._parts.port
        except ValueError:
            complete = None
        if not complete:
            what = f"{variable} lacks its user, host or database, or its port is wrong"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
        return found

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def host(self) -> str:
        """The server's name or address."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """The server's port; 5432 if the URL names none."""
        return self._parts.port or 5432

    @property
    def user(self) -> str:
        """The role, without percent encoding."""
        return unquote(self._parts.username or "")

    @property
    def password(self) -> str:
        """The password, without percent encoding; empty if the URL has none."""
        return unquote(self._parts.password or "")

    @property
    def database(self) -> str:
        """The database, without percent encoding."""
        return unquote(self._parts.path.lstrip("/"))

    @property
    def place(self) -> str:
        """Host, port and database, without the password."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"

    def for_sqlalchemy(self) -> str:
        """Return the URL with the driver that SQLAlchemy shall use."""
        return f"postgresql+psycopg://{self.url.partition('://')[2]}"

    def for_meltano(self, schema: str) -> str:
        """Return the URL for Meltano's own tables, in a schema of this database."""
        query = [pair for pair in parse_qsl(self._parts.query) if pair[0] != "options"]
        given = [value for name, value in parse_qsl(self._parts.query) if name == "options"]
        options = " ".join([*given, f"-csearch_path={schema}"])
        encoded = urlencode([*query, ("options", options)], quote_via=quote)
        return f"postgresql+psycopg://{self._parts.netloc}{self._parts.path}?{encoded}"

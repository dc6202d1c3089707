"""Query parameters: a parser for each type, and the refusal of bad values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pipedrive_simulator.clock import parse_query_instant

if TYPE_CHECKING:
    from pipedrive_simulator.account.account import Account

Parser = Callable[[list[str]], Any]
MAX_LIMIT = 500
MAX_IDS = 100
MAX_CUSTOM_FIELDS = 15


class ApiError(Exception):
    """An error response of the API: HTTP status, `error` and `error_info`."""

    def __init__(self, status: int, error: str, info: str | None = None) -> None:
        super().__init__(error)
        self.status, self.error, self.info = status, error, info


@dataclass
class Request:
    """One call to an operation: the account, path parameters (text) and parsed query."""

    account: Account
    path: dict[str, str]
    query: dict[str, Any]
    strict: bool = True

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parsed query parameter."""
        return self.query.get(name, default)

    def limit(self, maximum: int = MAX_LIMIT) -> int:
        """Return the page size; above the maximum it is refused if strict, else reduced."""
        limit = self.query.get("limit", min(100, maximum))
        if limit < 1 or (limit > maximum and self.strict):
            refuse("limit", f"must be between 1 and {maximum}")
        return int(min(limit, maximum))

    def required(self, name: str) -> Any:
        """Return a required query parameter."""
        if name not in self.query:
            refuse(name, "is required")
        return self.query[name]

    def record_id(self) -> int:
        """Return the integer id in the path."""
        try:
            return int(self.path["id"])
        except ValueError:
            refuse("id", "is not an integer")


def refuse(name: str, why: str) -> NoReturn:
    """Refuse a parameter with a bad value."""
    raise ApiError(
        400, f"Validation failed: {name}: {name} {why}", "Check the parameters."
    ) from None


def parse_query(
    given: dict[str, list[str]], known: dict[str, Parser], *, strict: bool
) -> dict[str, Any]:
    """Parse all parameters; unknown ones are refused if strict, else ignored."""
    parsed = {}
    for name, values in given.items():
        parser = known.get(name)
        if parser is None:
            if strict:
                refuse(name, "is not allowed")
            continue
        try:
            parsed[name] = parser(values)
        except ValueError as error:
            refuse(name, str(error))
    return parsed


def text(values: list[str]) -> str:
    """Read any text."""
    return values[-1]


def integer(values: list[str]) -> int:
    """Read an integer."""
    try:
        return int(values[-1])
    except ValueError:
        msg = "must be an integer"
        raise ValueError(msg) from None


def number(values: list[str]) -> float:
    """Read a number."""
    try:
        return float(values[-1])
    except ValueError:
        msg = "must be a number"
        raise ValueError(msg) from None


def boolean(values: list[str]) -> bool:
    """Read `true` or `false` (or 1, 0)."""
    value = {"true": True, "1": True, "false": False, "0": False}.get(values[-1].lower())
    if value is None:
        msg = "must be true or false"
        raise ValueError(msg)
    return value


def instant(values: list[str]) -> str:
    """Read an RFC 3339 instant without fractions of a second."""
    value = parse_query_instant(values[-1])
    if value is None:
        msg = "is not a valid datetime"
        raise ValueError(msg)
    return value


def day(values: list[str]) -> str:
    """Read a date `YYYY-MM-DD`."""
    return instant([f"{values[-1]}T00:00:00Z"])[:10]


def one_of(*choices: str) -> Parser:
    """Return a parser for one of these values."""

    def parse(values: list[str]) -> str:
        if values[-1] not in choices:
            msg = f"must be one of {', '.join(choices)}"
            raise ValueError(msg)
        return values[-1]

    return parse


def some_of(*choices: str) -> Parser:
    """Return a parser for some of these values, separated by commas."""

    def parse(values: list[str]) -> list[str]:
        found = [word.strip() for word in values[-1].split(",") if word.strip()]
        unknown = [word for word in found if word not in choices]
        if unknown:
            msg = f"must be some of {', '.join(choices)}, not {unknown[0]}"
            raise ValueError(msg)
        return found

    return parse


def ids(values: list[str]) -> list[int]:
    """Read up to 100 integer ids: separated by commas, repeated, or both."""
    try:
        numbers = [int(part) for value in values for part in value.split(",") if part.strip()]
    except ValueError:
        msg = "must be integers separated by commas"
        raise ValueError(msg) from None
    if len(numbers) > MAX_IDS:
        msg = f"must be at most {MAX_IDS} ids"
        raise ValueError(msg)
    return numbers


def field_keys(values: list[str]) -> list[str]:
    """Read up to 15 custom field keys, separated by commas."""
    keys = [key.strip() for key in values[-1].split(",") if key.strip()]
    if len(keys) > MAX_CUSTOM_FIELDS:
        msg = f"must be at most {MAX_CUSTOM_FIELDS} keys"
        raise ValueError(msg)
    return keys

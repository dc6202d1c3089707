"""Faults on demand: rules that replace, damage or delay the answers of chosen calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Any

import msgspec

from pipedrive_simulator.account.records import Json
from pipedrive_simulator.operations.paging import v2_page
from pipedrive_simulator.server.reply import (
    Reply,
    cloudflare_block,
    failure,
    gateway_timeout,
    payment_required,
    unauthorized,
)

Query = dict[str, list[str]]


def _too_many(daily: bool) -> Reply:
    reply = failure(429, "Too Many Requests", "Daily budget" if daily else "Request over limit")
    reply.headers["retry-after"] = "3" if daily else "2"
    # Which of the two limits it was shows in the headers only.
    name = "x-daily-ratelimit-token-remaining" if daily else "x-ratelimit-remaining"
    reply.headers[name] = "0"
    return reply


def _any_status(rule: Rule, query: Query) -> Reply:
    """Return an error of any status, with the words and headers that the rule gives."""
    reply = failure(rule.status or 500, rule.error, None)
    reply.headers = dict(rule.headers)
    return reply


#: Kinds that take the place of the answer.
_REPLACE: dict[str, Callable[[Rule, Query], Reply]] = {
    "429_burst": lambda rule, query: _too_many(False),
    "429_daily": lambda rule, query: _too_many(True),
    "500": lambda rule, query: failure(500, "Internal server error", None),
    "502": lambda rule, query: failure(502, "Bad gateway", None),
    "503": lambda rule, query: failure(503, "Scheduled maintenance", None),
    "524": lambda rule, query: gateway_timeout(),
    "403_cloudflare": lambda rule, query: cloudflare_block(),
    "401": lambda rule, query: unauthorized(),
    "402": lambda rule, query: payment_required(),
    "403": lambda rule, query: failure(403, "You do not have permissions to do this."),
    "removed": lambda rule, query: failure(
        rule.status or 410, "Old resource permanently unavailable"
    ),
    "expired_cursor": lambda rule, query: failure(400, "Invalid cursor", "The cursor has expired."),
    "null_body": lambda rule, query: Reply(200, b"null"),
    # An empty page is not the last one: only a null cursor says so.
    "empty_page": lambda rule, query: Reply(200, v2_page([], query["cursor"][-1])),
    "redirect": lambda rule, query: Reply(302, b"", headers={"location": rule.location}),
    "status": _any_status,
}


def _each(change: Callable[[Json], None]) -> Callable[[Rule, Reply], Reply]:
    """Damage every record of an answer (or its only one)."""

    def damage(rule: Rule, reply: Reply) -> Reply:
        body = msgspec.json.decode(reply.body)
        data = body.get("data")
        for record in data if isinstance(data, list) else [data]:
            if isinstance(record, dict):
                change(record)
        reply.body = msgspec.json.encode(body)
        return reply

    return damage


def _wrong_types(record: Json) -> None:
    for name, value in record.items():
        if name in ("id", "field_code", "key", "update_time"):
            continue
        if isinstance(value, bool):
            record[name] = int(value)
        elif isinstance(value, (int, float)):
            record[name] = str(value)
        elif isinstance(value, str):
            record[name] = {"unexpected": value}
        elif isinstance(value, dict):
            record[name] = [value]


def _unknown_properties(record: Json) -> None:
    record |= {"brand_new_property": 1, "another_new_one": {"nested": ["x"]}}


def _missing_properties(record: Json) -> None:
    for name in list(record)[3::3]:
        if name not in ("update_time", "field_code", "key"):
            del record[name]


#: What makes one record of a page odd, as JSON text. `{value}` takes the place of a property.
_ODD_VALUES: dict[str, bytes] = {
    "invalid_utf8": b'"caf\xe9"',
    "lone_surrogate": b'"a\\ud800b"',
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "1e400": b"1e400",
    "huge_integer": b"9" * 5000,
    "deep": b"[" * 1000 + b"]" * 1000,
}
#: Records that are none, or lack what tells them apart.
_ODD_RECORDS: dict[str, bytes] = {
    "no_id": b'{"title":"nobody","update_time":"2026-01-01T00:00:00Z"}',
    "null_id": b'{"id":null,"update_time":"2026-01-01T00:00:00Z"}',
    "not_an_object": b'"oops"',
    "null": b"null",
    "broken": b'{"id":5 "title":}',
}
ODDITIES = (*_ODD_VALUES, *_ODD_RECORDS)


def _bad_record(rule: Rule, reply: Reply) -> Reply:
    """Make one record of the page odd, or put an odd one before it; the others stay."""
    body = msgspec.json.decode(reply.body, type=dict[str, msgspec.Raw])
    try:
        parts = [bytes(part) for part in msgspec.json.decode(body["data"], type=list[msgspec.Raw])]
    except (KeyError, msgspec.ValidationError):
        return reply
    at = min(rule.record, len(parts) - 1)
    if rule.oddity in _ODD_RECORDS:
        parts.insert(max(at, 0), _ODD_RECORDS[rule.oddity])
    elif parts:
        record = msgspec.json.decode(parts[at], type=dict[str, msgspec.Raw])
        record.pop(rule.field_name, None)
        value = rule.value.encode() if rule.value else _ODD_VALUES[rule.oddity]
        head = b"{%b:%b" % (msgspec.json.encode(rule.field_name), value)
        rest = msgspec.json.encode(record)[1:]
        parts[at] = head + (b"}" if rest == b"}" else b"," + rest)
    rest = msgspec.json.encode({k: v for k, v in body.items() if k != "data"})[1:]
    reply.body = b'{"data":[%b]%b' % (b",".join(parts), rest if rest == b"}" else b"," + rest)
    return reply


def _hollow(rule: Rule, reply: Reply) -> Reply:
    """Answer well, but without the list that is due."""
    reply.body = (rule.value or '{"success":true,"data":null}').encode()
    return reply


def _page_change(change: Callable[[Json, Json], None]) -> Callable[[Rule, Reply], Reply]:
    """Change the body of a list and what it says about the next page."""

    def damage(rule: Rule, reply: Reply) -> Reply:
        body = msgspec.json.decode(reply.body)
        more = body.get("additional_data") or {}
        change(body, more.get("pagination") or more)
        reply.body = msgspec.json.encode(body)
        return reply

    return damage


def _short_page(body: Json, counts: Json) -> None:
    """Leave out every third record of a page that others follow, as hidden ones are."""
    if counts.get("more_items_in_collection") and body.get("data"):
        del body["data"][::3]


def _more_for_ever(body: Json, counts: Json) -> None:
    """Say that another page follows, whatever is on this one."""
    if "next_cursor" in counts:
        counts["next_cursor"] = counts["next_cursor"] or "b25jZSBtb3Jl"
    elif "more_items_in_collection" in counts:
        counts["more_items_in_collection"] = True


def _manner(manner: str, seconds: float = 0.0) -> Callable[[Rule, Reply], Reply]:
    def send(rule: Rule, reply: Reply) -> Reply:
        reply.manner, reply.seconds = manner, rule.seconds or seconds
        return reply

    return send


def _truncate(rule: Rule, reply: Reply) -> Reply:
    reply.body = reply.body[: len(reply.body) * 2 // 3]
    return reply


def _flatten_pagination(rule: Rule, reply: Reply) -> Reply:
    """Write v1 paging facts as some official schemas have them, without `pagination`."""
    body = msgspec.json.decode(reply.body)
    more = body.get("additional_data") or {}
    if "pagination" in more:
        body["additional_data"] = more["pagination"]
        reply.body = msgspec.json.encode(body)
    return reply


#: Kinds that change the answer, or how it is sent.
_DAMAGE: dict[str, Callable[[Rule, Reply], Reply]] = {
    "truncated_json": _truncate,
    "reset": _manner("reset"),
    "slow_body": _manner("slow", 2.0),
    "dripping_body": _manner("drip", 3600.0),
    "bad_record": _bad_record,
    "hollow": _hollow,
    "short_page": _page_change(_short_page),
    "more_for_ever": _page_change(_more_for_ever),
    "hang": _manner("hang", 3600.0),
    "wrong_types": _each(_wrong_types),
    "unknown_properties": _each(_unknown_properties),
    "missing_properties": _each(_missing_properties),
    "flat_pagination": _flatten_pagination,
}
#: A kind that edits the account before the answer is made: records move under a page walk.
EDIT = "edit_during_walk"
#: Kinds that make sense only for calls that continue a walk.
_WITH_CURSOR = ("expired_cursor", "empty_page")
KINDS = (*_REPLACE, *_DAMAGE, EDIT)


class RuleError(ValueError):
    """A rule that makes no sense."""


@dataclass
class Rule:
    """When and how to fail.

    `operation` (an official operation id) and `path` are patterns with `*`; `path` is compared
    with the path as called. It fires on matching calls after the first `after` ones: `count` times
    (for ever if None), each `every`-th, each with `probability` drawn from `seed`. `status` is for
    `removed` and `status`, `error` and `headers` are for `status` (a header that is null is left
    out), `seconds` for `slow_body`, `dripping_body` and `hang`, `location` for `redirect`, `deals`
    and `edits` for `edit_during_walk`. `oddity` says what is wrong with the record number `record`
    of a page (`bad_record`), in the property `field_name`; `value` gives the JSON text of that
    property instead, or the whole body of a `hollow` answer.
    """

    kind: str
    operation: str = "*"
    path: str = "*"
    count: int | None = None
    every: int = 1
    probability: float = 1.0
    after: int = 0
    seed: int = 0
    status: int | None = None
    error: str = "An error"
    headers: dict[str, str | None] = field(default_factory=dict)
    seconds: float | None = None
    location: str = "http://127.0.0.1:9/"
    deals: int = 5
    edits: list[Json] = field(default_factory=list)
    oddity: str = "nan"
    field_name: str = "value"
    value: str = ""
    record: int = 0
    id: int = 0
    matched: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"no such fault {self.kind!r}; one of {', '.join(KINDS)}"
            raise RuleError(msg)
        if self.oddity not in ODDITIES:
            msg = f"no such oddity {self.oddity!r}; one of {', '.join(ODDITIES)}"
            raise RuleError(msg)
        if self.every < 1 or not 0 <= self.probability <= 1:
            msg = "every must be at least 1, and probability between 0 and 1"
            raise RuleError(msg)
        self._rng = Random(self.seed)

    def fires(self, operation: str, path: str, has_cursor: bool) -> bool:
        """Tell whether this call is hit, and count it."""
        if self.count is not None and self.fired >= self.count:
            return False
        if self.kind in _WITH_CURSOR and not has_cursor:
            return False
        if not (fnmatchcase(operation, self.operation) and fnmatchcase(path, self.path)):
            return False
        self.matched += 1
        if self.matched <= self.after or (self.matched - self.after) % self.every:
            return False
        if self.probability < 1 and self._rng.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def replacement(self, query: Query) -> Reply | None:
        """Return the answer that takes the place of the real one, if that is the kind."""
        make = _REPLACE.get(self.kind)
        return make(self, query) if make else None

    def damage(self, reply: Reply) -> Reply:
        """Change a good answer as the kind says."""
        change = _DAMAGE.get(self.kind)
        return change(self, reply) if change and reply.status == 200 else reply

    def as_json(self) -> Json:
        """Return the rule with its counts."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}


class Faults:
    """The rules in force, in the order in which they were added; the first that fires wins."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._ids = itertools.count(1)

    def add(self, **values: Any) -> Rule:
        """Add a rule."""
        try:
            rule = Rule(**values)
        except TypeError as error:
            raise RuleError(str(error)) from error
        rule.id = next(self._ids)
        self.rules.append(rule)
        return rule

    def clear(self, rule_id: int | None = None) -> int:
        """Remove one rule, or all; return how many went."""
        before = len(self.rules)
        self.rules = [r for r in self.rules if rule_id is not None and r.id != rule_id]
        return before - len(self.rules)

    def pick(self, operation: str, path: str, has_cursor: bool) -> Rule | None:
        """Return the rule that hits this call."""
        for rule in self.rules:
            if rule.fires(operation, path, has_cursor):
                return rule
        return None

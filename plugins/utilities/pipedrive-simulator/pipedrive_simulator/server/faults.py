"""Faults: rules that replace, damage or delay the responses of matching calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Any

import msgspec

from pipedrive_simulator.account.records import Json
from pipedrive_simulator.operations.paging import v2_page
from pipedrive_simulator.server.reply import (
    Page,
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
    # Only the headers show which of the two limits was exceeded.
    name = "x-daily-ratelimit-token-remaining" if daily else "x-ratelimit-remaining"
    reply.headers[name] = "0"
    return reply


def _any_status(rule: Rule, query: Query) -> Reply:
    """Return an error of any status, with the rule's message and headers."""
    reply = failure(rule.status or 500, rule.error, None)
    reply.headers = dict(rule.headers)
    return reply


#: Kinds that replace the response.
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
    # An empty page is not the last one: only a null cursor marks the end.
    "empty_page": lambda rule, query: Reply(200, v2_page([], query["cursor"][-1])),
    "redirect": lambda rule, query: Reply(302, b"", headers={"location": rule.location}),
    "status": _any_status,
}


def _each(change: Callable[[Json], None]) -> Callable[[Rule, Reply], Reply]:
    """Return a fault that damages every record of a response."""

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


#: JSON text that replaces a property (`{value}`) of one record of a page, by oddity.
_ODD_VALUES: dict[str, bytes] = {
    "invalid_utf8": b'"caf\xe9"',
    "lone_surrogate": b'"a\\ud800b"',
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "1e400": b"1e400",
    "huge_integer": b"9" * 5000,
    "deep": b"[" * 1000 + b"]" * 1000,
}
#: Items that are not records, or have no id.
_ODD_RECORDS: dict[str, bytes] = {
    "no_id": b'{"title":"nobody","update_time":"2026-01-01T00:00:00Z"}',
    "null_id": b'{"id":null,"update_time":"2026-01-01T00:00:00Z"}',
    "not_an_object": b'"oops"',
    "null": b"null",
    "broken": b'{"id":5 "title":}',
}
#: The property comes twice; the last one counts.
_TWICE = "twice"
ODDITIES = (*_ODD_VALUES, *_ODD_RECORDS, _TWICE)


def _bad_record(rule: Rule, reply: Reply) -> Reply:
    """Damage records of the page, or insert a damaged one before one; the others stay."""
    bad_records([rule], reply)
    return reply


def bad_records(rules: Sequence[Rule], reply: Reply) -> list[Rule]:
    """Damage records of a page by several rules of the kind `bad_record`.

    Returns:
        The rules whose record is in the page.

    """
    page = reply.page or _page_of(reply.body)
    if page is None:
        return []
    applied: list[Rule] = []
    records = page.records
    keys = [key for key, _ in records]
    for rule in rules:
        at = min(rule.record, len(records) - 1)
        if rule.key is not None:
            if rule.key not in keys:
                continue
            at = keys.index(rule.key)
        odd = _ODD_RECORDS.get(rule.oddity)
        if odd and rule.key is None:
            records.insert(max(at, 0), (None, odd))
            keys.insert(max(at, 0), None)
        elif not records:
            continue
        else:
            try:
                records[at] = keys[at], odd or _with_value(rule, records[at][1])
            except (msgspec.MsgspecError, RecursionError):
                continue  # it is damaged already
        applied.append(rule)
    reply.page = page
    reply.body = b'{"data":[%b]%b' % (b",".join(text for _, text in records), page.rest)
    return applied


def _page_of(body: bytes) -> Page | None:
    """Split the body of a list; None if it is not one."""
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        found = msgspec.json.decode(members.pop("data"), type=list[msgspec.Raw])
    except (KeyError, msgspec.MsgspecError):
        return None
    rest = msgspec.json.encode(members)[1:]
    return Page(
        [(_id_of(bytes(text)), bytes(text)) for text in found],
        rest if rest == b"}" else b"," + rest,
    )


def _id_of(part: bytes) -> Any:
    try:
        return msgspec.json.decode(part, type=dict[str, Any]).get("id")
    except msgspec.ValidationError:
        return None


def _with_value(rule: Rule, part: bytes) -> bytes:
    """Return a record with the rule's value in the rule's property."""
    record = msgspec.json.decode(part, type=dict[str, msgspec.Raw])
    if rule.oddity != _TWICE:
        record.pop(rule.field_name, None)
    value = rule.value.encode() if rule.value else _ODD_VALUES.get(rule.oddity, b'"first"')
    head = b"{%b:%b" % (msgspec.json.encode(rule.field_name), value)
    rest = msgspec.json.encode(record)[1:]
    return head + (b"}" if rest == b"}" else b"," + rest)


def _without_list(rule: Rule, reply: Reply) -> Reply:
    """Answer with status 200, but without the list."""
    reply.body = (rule.value or '{"success":true,"data":null}').encode()
    return reply


def _page_change(change: Callable[[Json, Json], None]) -> Callable[[Rule, Reply], Reply]:
    """Return a fault that changes the body of a list and its data about the next page."""

    def damage(rule: Rule, reply: Reply) -> Reply:
        body = msgspec.json.decode(reply.body)
        more = body.get("additional_data") or {}
        change(body, more.get("pagination") or more)
        reply.body = msgspec.json.encode(body)
        return reply

    return damage


def _short_page(body: Json, counts: Json) -> None:
    """Remove every third record of a page that is not the last, like hidden records."""
    if counts.get("more_items_in_collection") and body.get("data"):
        del body["data"][::3]


def _more_for_ever(body: Json, counts: Json) -> None:
    """Announce another page after every page."""
    if "next_cursor" in counts:
        counts["next_cursor"] = counts["next_cursor"] or "b25jZSBtb3Jl"
    elif "more_items_in_collection" in counts:
        counts["more_items_in_collection"] = True


def _send_as(manner: str, seconds: float = 0.0) -> Callable[[Rule, Reply], Reply]:
    def send(rule: Rule, reply: Reply) -> Reply:
        reply.manner, reply.seconds = manner, rule.seconds or seconds
        return reply

    return send


def _truncate(rule: Rule, reply: Reply) -> Reply:
    reply.body = reply.body[: len(reply.body) * 2 // 3]
    return reply


def _flatten_pagination(rule: Rule, reply: Reply) -> Reply:
    """Write v1 paging data as in some official schemas, without `pagination`."""
    body = msgspec.json.decode(reply.body)
    more = body.get("additional_data") or {}
    if "pagination" in more:
        body["additional_data"] = more["pagination"]
        reply.body = msgspec.json.encode(body)
    return reply


#: Kinds that change the response, or the way it is sent.
_DAMAGE: dict[str, Callable[[Rule, Reply], Reply]] = {
    "truncated_json": _truncate,
    "reset": _send_as("reset"),
    "slow_body": _send_as("slow", 2.0),
    "dripping_body": _send_as("drip", 3600.0),
    "bad_record": _bad_record,
    "hollow": _without_list,
    "short_page": _page_change(_short_page),
    "more_for_ever": _page_change(_more_for_ever),
    "hang": _send_as("hang", 3600.0),
    "wrong_types": _each(_wrong_types),
    "unknown_properties": _each(_unknown_properties),
    "missing_properties": _each(_missing_properties),
    "flat_pagination": _flatten_pagination,
}
#: A kind that edits the account before the response, so that records move between pages.
EDIT = "edit_during_walk"
#: Kinds that apply only to calls with a cursor.
_WITH_CURSOR = ("expired_cursor", "empty_page")
KINDS = (*_REPLACE, *_DAMAGE, EDIT)


class RuleError(ValueError):
    """A rule with invalid or contradictory values."""


@dataclass
class Rule:
    """A fault and its conditions.

    `operation` (an official operation id) and `path` (the called path) are patterns with `*`. The
    rule fires on matching calls after the first `after` ones: `count` times (None: without limit),
    on each `every`-th, each with `probability` drawn from `seed`. `status` is for `removed` and
    `status`; `error` and `headers` are for `status` (a header that is null is left out); `seconds`
    for `slow_body`, `dripping_body` and `hang`; `location` for `redirect`; `deals` and `edits` for
    `edit_during_walk`. For `bad_record`, `oddity` is the defect of record number `record` of a
    page, or of each record with the id `key`, in the property `field_name`; `value` is the JSON
    text of that property instead, or the whole body of a `hollow` response.
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
    key: int | str | None = None
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
        """Return whether the rule fires on this call, and count the call."""
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
        """Return the response that replaces the real one; None for other kinds."""
        make = _REPLACE.get(self.kind)
        return make(self, query) if make else None

    def damage(self, reply: Reply) -> Reply:
        """Damage a good response by the rule's kind."""
        change = _DAMAGE.get(self.kind)
        return change(self, reply) if change and reply.status == 200 else reply

    def as_json(self) -> Json:
        """Return the rule with its counts."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}


class Faults:
    """The active rules in their order of addition; the first that fires is used."""

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
        """Remove one rule, or all; return the number of removed rules."""
        before = len(self.rules)
        self.rules = [r for r in self.rules if rule_id is not None and r.id != rule_id]
        return before - len(self.rules)

    def pick(self, operation: str, path: str, has_cursor: bool) -> Rule | None:
        """Return the rule that fires on this call."""
        for rule in self.rules:
            if rule.fires(operation, path, has_cursor):
                return rule
        return None

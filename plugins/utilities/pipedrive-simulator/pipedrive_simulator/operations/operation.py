"""The class of an operation, and the two functions that declare most v2 operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgspec

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Json
from pipedrive_simulator.account.table import PageQuery
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.paging import (
    PAGE_PARAMS,
    make_cursor,
    read_cursor,
    sort_params,
    v2_one,
    v2_page,
)
from pipedrive_simulator.operations.query_params import ApiError, Parser, Request

Keep = Callable[[Any], bool]
#: Computes a property that is returned only when `include_fields` names it.
Extra = Callable[[Account, Any], Any]


@dataclass(frozen=True)
class Operation:
    """One GET operation: official name, path, token cost, parameters, and answer function."""

    id: str
    version: str
    path: str
    cost: int
    answer: Callable[[Request], bytes]
    params: dict[str, Parser] = field(default_factory=dict)


def v2_list(  # noqa: PLR0913 - a declaration, each argument by its name
    op_id: str,
    path: str,
    *,
    cost: int,
    table: str,
    list_name: str = "all",
    sorts: tuple[str, ...] = ("id", "update_time", "add_time"),
    equals: dict[str, Parser] | None = None,
    window: tuple[str, ...] = (),
    visible: Callable[[Request], Keep | None] = lambda request: None,
    select: dict[str, Callable[[Request, Any], Keep]] | None = None,
    by_ids: bool = False,
    extras: dict[str, Extra] | None = None,
    entity: str | None = None,
    labels: bool = False,
    more_params: dict[str, Parser] | None = None,
) -> Operation:
    """Declare a v2 list of one table.

    `equals`: parameters that select by the property of the same name. `select`: parameters that
    select by a rule. `window`: which of updated_since and updated_until exist. `visible`: filter
    of all records. `extras`: optional properties. `entity`: the entity whose custom fields can be
    chosen. `labels`: whether option and label names can be requested.
    """
    equals, select, extras = equals or {}, select or {}, extras or {}
    params: dict[str, Parser] = {
        **PAGE_PARAMS, **(sort_params(*sorts) if sorts else {}), **equals, **(more_params or {}),
        **dict.fromkeys(window, query_params.instant),
    }  # fmt: skip
    params |= shape_params(extras, entity, labels)
    if by_ids:
        params |= {"ids": query_params.ids, "filter_id": query_params.integer}

    def keep_for(request: Request) -> Keep | None:
        keeps = [visible(request)]
        filter_id = request.get("filter_id")
        if filter_id is not None:
            # A saved filter overrides all other filters.
            keeps.append(_filter(request.account, filter_id))
        else:
            wanted = {name: request.query[name] for name in equals if name in request.query}
            if wanted:
                keeps.append(lambda r: all(getattr(r, n) == v for n, v in wanted.items()))
            keeps += [
                rule(request, request.query[n]) for n, rule in select.items() if n in request.query
            ]
            if "ids" in request.query:
                chosen = set(request.query["ids"])
                keeps.append(lambda record: record.id in chosen)
        real = [keep for keep in keeps if keep is not None]
        if len(real) <= 1:
            return real[0] if real else None
        return lambda record: all(keep(record) for keep in real)

    def answer(request: Request) -> bytes:
        records = request.account.table(table)
        sort_by, descending, marker = read_cursor(request)
        page, following = records.read_page(
            PageQuery(
                list_name, sort_by, descending, marker, request.limit(),
                request.get("updated_since"), request.get("updated_until"), keep_for(request),
            )
        )  # fmt: skip
        cursor = None if following is None else make_cursor(sort_by, descending, following)
        encode = shape(request, records, extras, entity)
        return v2_page([encode(record) for record in page], cursor)

    for name in select:
        params.setdefault(name, query_params.integer)
    return Operation(op_id, "v2", path, cost, answer, params)


def v2_get(
    op_id: str,
    path: str,
    *,
    table: str,
    name: str,
    cost: int = 1,
    extras: dict[str, Extra] | None = None,
    entity: str | None = None,
    labels: bool = False,
    custom_fields: bool = True,
) -> Operation:
    """Declare a v2 operation that returns one record of a table."""
    extras = extras or {}

    def answer(request: Request) -> bytes:
        record = existing(request, table, name)
        return v2_one(shape(request, request.account.table(table), extras, entity)(record))

    params = shape_params(extras, entity if custom_fields else None, labels)
    return Operation(op_id, "v2", path, cost, answer, params)


def existing(request: Request, table: str, name: str) -> Any:
    """Return the record whose id is in the path; answer 404 if it does not exist or is deleted."""
    record = request.account.table(table).get(request.record_id())
    if record is None or request.account.is_purged(name, record.id):
        not_found(name)
    return record


def not_found(name: str) -> NoReturn:
    """Answer 404: no record has the id in the path."""
    raise ApiError(404, f"{name.capitalize()} not found", "Object was not found.")


def shape_params(extras: dict[str, Extra], entity: str | None, labels: bool) -> dict[str, Parser]:
    """Return the parameters that change the properties of returned records."""
    params: dict[str, Parser] = {}
    if extras:
        params["include_fields"] = query_params.some_of(*extras)
    if entity is not None:
        params["custom_fields"] = query_params.field_keys
    if labels:
        params |= {
            "include_option_labels": query_params.boolean,
            "include_labels": query_params.boolean,
        }
    return params


def shape(
    request: Request, table: Any, extras: dict[str, Extra], entity: str | None
) -> Callable[[Any], bytes]:
    """Return the encoder for this call: from the cache, or with the requested changes."""
    account, query = request.account, request.query
    shapers = ("include_fields", "custom_fields", "include_option_labels", "include_labels")
    given = [name for name in shapers if query.get(name)]
    encode: Callable[[Any], bytes] = table.encode
    if not given:
        return encode

    if entity is None or given == ["include_fields"]:
        names = tuple(query["include_fields"])

        def extended(record: Any) -> bytes:
            known: bytes = table.encode_with(record, names, lambda n: extras[n](account, record))
            return known

        return extended

    def changed(record: Any) -> bytes:
        value: Json = table.as_json(record)
        for name in query.get("include_fields", ()):
            value[name] = extras[name](account, record)
        fields, custom = account.fields[entity], value["custom_fields"]
        if query.get("custom_fields"):
            custom = {k: custom[k] for k in query["custom_fields"] if k in custom}
        if query.get("include_option_labels"):
            custom = fields.with_option_labels(custom)
        value["custom_fields"] = custom
        if query.get("include_labels"):
            known = {o.id: o.label for f in fields.builtin if f.code == "label_ids"
                     for o in f.options or []}  # fmt: skip
            value["labels"] = [{"id": i, "label": known.get(i, "")} for i in value["label_ids"]]
        return msgspec.json.encode(value)

    return changed


def _filter(account: Account, filter_id: int) -> Keep | None:
    """Return the rule of a saved filter: the first selects open deals, the others all records."""
    if account.filters.get(filter_id) is None:
        raise ApiError(404, "Filter not found", "Object was not found.")
    return (lambda record: getattr(record, "status", "open") == "open") if filter_id == 1 else None

"""A table of records: lookup by id, sorted pages, and the encoded form of each record.

A table has one or more named *lists* (live and archived deals, for instance): the records that one
list operation of the API can return. For each list and sort field it has a sorted index of
`(value, id)`, created at the first use, so that a page is a binary search and a slice for any size
of the table. A table may be grouped by a property, for fast access to the records of one deal.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import msgspec

from pipedrive_simulator.account.records import CustomFields, Json, Record

R = TypeVar("R", bound=Record)
Marker = tuple[Any, Any]  # (value of the sort field, id)

# A record that was never edited has no update time; it sorts before all others.
_NULL = ""


class PageQuery(NamedTuple):
    """A request for one page of a sorted list: which records, and where to start.

    `since` is inclusive and `until` exclusive, both on `update_time`; a record without update time
    is outside any such window. `marker` is the first record of the page (inclusive).
    """

    list_name: str
    sort_by: str = "id"
    descending: bool = False
    marker: Marker | None = None
    limit: int = 100
    since: str | None = None
    until: str | None = None
    keep: Callable[[Any], bool] | None = None


class Table(Generic[R]):
    """Records of one entity. Only `put`, `change` and `drop` change it."""

    #: Number of edits of all tables; a cached value of several tables is valid until the next edit.
    edits: ClassVar[int] = 0

    def __init__(
        self,
        name: str,
        *,
        lists: Mapping[str, Callable[[R], bool]] | None = None,
        field_keys: Callable[[], Iterable[str]] | None = None,
        grouped_by: str | None = None,
    ) -> None:
        """`field_keys` gives the keys of the entity's custom fields, in definition order."""
        self.name = name
        self.records: dict[Any, R] = {}
        self._lists: Mapping[str, Callable[[R], bool]] = lists or {"all": lambda record: True}
        self._indexes: dict[tuple[str, str], list[Marker]] = {}
        self._encoded: dict[Any, bytes] = {}
        self._extended: dict[Any, bytes] = {}
        self._extended_by: tuple[int, tuple[str, ...]] = (0, ())
        self._grouped_by = grouped_by
        self._groups: dict[Any, dict[Any, None]] = {}
        self._field_keys = field_keys
        self._encoder = msgspec.json.Encoder(enc_hook=self._hook)

    def __len__(self) -> int:
        return len(self.records)

    def get(self, record_id: Any) -> R | None:
        """Return a record, or None."""
        return self.records.get(record_id)

    def group(self, value: Any) -> list[R]:
        """Return the records whose grouping property has this value, in order of arrival."""
        return [self.records[record_id] for record_id in self._groups.get(value, ())]

    def all_records(self) -> Iterator[R]:
        """Every record, also deleted ones, in order of creation."""
        yield from self.records.values()

    def last_id(self) -> int:
        """Return the highest id in use (of a table with integer ids)."""
        return max(self.records, default=0)

    def candidates(self, rng: Random, count: int) -> list[R]:
        """Return records from which `count` can be drawn: here, all records."""
        return list(self.records.values())

    # ---- changes

    def put(self, record: R) -> R:
        """Add a record."""
        self.records[record.id] = record
        self._join(record)
        for (list_name, field), index in self._indexes.items():
            if self._lists[list_name](record):
                insort(index, _key(record, field))
        return record

    def change(self, record: R, values: dict[str, Any]) -> None:
        """Set properties of a record, and update the indexes and its encoded form."""
        before = {
            place: _key(record, place[1]) if self._lists[place[0]](record) else None
            for place in self._indexes
        }
        self._leave(record)
        for name, value in values.items():
            setattr(record, name, value)
        self._join(record)
        self._encoded.pop(record.id, None)
        for place, old in before.items():
            new = _key(record, place[1]) if self._lists[place[0]](record) else None
            if old == new:
                continue
            index = self._indexes[place]
            if old is not None:
                del index[bisect_left(index, old)]
            if new is not None:
                insort(index, new)

    def drop(self, record: R) -> None:
        """Remove a record without a trace (a purge)."""
        for (list_name, field), index in self._indexes.items():
            if self._lists[list_name](record):
                del index[bisect_left(index, _key(record, field))]
        self._leave(record)
        self._encoded.pop(record.id, None)
        del self.records[record.id]

    def forget_encoded(self) -> None:
        """Delete all encoded forms, after a change of the entity's field definitions."""
        Table.edits += 1
        self._encoded.clear()

    # ---- reading

    def read_page(self, query: PageQuery) -> tuple[list[R], Marker | None]:
        """Return one page and the marker of the next page's first record, None at the end."""
        index = self._index(query.list_name, query.sort_by)
        forwards, first, last = not query.descending, 0, len(index)
        if query.sort_by == "update_time":
            # Limits of the sort field itself are found by binary search, not per record.
            if query.since is not None or query.until is not None:
                first = bisect_left(index, (query.since or " ",))
            if query.until is not None:
                last = bisect_left(index, (query.until,))
        if query.marker is not None:
            if forwards:
                first = max(first, bisect_left(index, query.marker))
            else:
                last = min(last, bisect_right(index, query.marker))
        positions = range(first, last) if forwards else range(last - 1, first - 1, -1)
        page: list[R] = []
        records, keep, limit = self.records, self._keep(query), query.limit
        for position in positions:
            marker = index[position]
            record = records[marker[1]]
            if keep is not None and not keep(record):
                continue
            if len(page) == limit:
                return page, marker
            page.append(record)
        return page, None

    def encode(self, record: R) -> bytes:
        """Return the record as JSON with every custom field; cached until it changes."""
        encoded = self._encoded.get(record.id)
        if encoded is None:
            encoded = self._encoded[record.id] = self._encoder.encode(record)
        return encoded

    def encode_with(self, record: R, names: tuple[str, ...], get: Callable[[str], Any]) -> bytes:
        """Return the record as JSON with more properties, cached until the next edit of any table.

        Args:
            record: the record; properties that it has are not computed again.
            names: the additional properties; the cache works only for the same names.
            get: computes one of them.

        """
        if self._extended_by != (Table.edits, names):
            self._extended_by = (Table.edits, names)
            self._extended.clear()
        extended = self._extended.get(record.id)
        if extended is None:
            more = {name: get(name) for name in names if name not in record.__struct_fields__}
            extended = encoded = self.encode(record)
            if more:
                extended = b"%b,%b" % (encoded[:-1], msgspec.json.encode(more)[1:])
            if record.id in self._encoded:  # a table that remembers
                self._extended[record.id] = extended
        return extended

    def as_json(self, record: R) -> Json:
        """Return a copy of the record as a dictionary, with every custom field."""
        value: Json = msgspec.json.decode(self._encoder.encode(record))
        return value

    # ---- inside

    def _join(self, record: R) -> None:
        Table.edits += 1
        if self._grouped_by is not None:
            value = getattr(record, self._grouped_by)
            self._groups.setdefault(value, {})[record.id] = None

    def _leave(self, record: R) -> None:
        Table.edits += 1
        if self._grouped_by is not None:
            del self._groups[getattr(record, self._grouped_by)][record.id]

    def _hook(self, value: Any) -> Any:
        if isinstance(value, CustomFields):
            get = value.values.get
            return {key: get(key) for key in self._field_keys()} if self._field_keys else {}
        msg = f"cannot encode {type(value).__name__}"
        raise TypeError(msg)

    def _index(self, list_name: str, field: str) -> list[Marker]:
        place = (list_name, field)
        index = self._indexes.get(place)
        if index is None:
            belongs = self._lists[list_name]
            index = sorted(_key(r, field) for r in self.records.values() if belongs(r))
            self._indexes[place] = index
        return index

    def _keep(self, query: PageQuery) -> Callable[[R], bool] | None:
        if query.sort_by == "update_time" or (query.since is None and query.until is None):
            return query.keep
        since, until, keep = query.since or " ", query.until or "~", query.keep

        def inside(record: Any) -> bool:
            updated = record.update_time
            if updated is None or not since <= updated < until:
                return False
            return keep is None or keep(record)

        return inside


def _key(record: Any, field: str) -> Marker:
    value = getattr(record, field)
    return (_NULL if value is None else value, record.id)

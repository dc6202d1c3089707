"""Change logs: who changed which field of a record, when, and from which value to which."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tap_pipedrive.api.openapi import Operation
from tap_pipedrive.api.pagination import restarting
from tap_pipedrive.api.records import Record, time_or_none
from tap_pipedrive.errors import UnexpectedAnswerError
from tap_pipedrive.state.parents import PARENT_ERRORS, ParentError
from tap_pipedrive.state.references import Name, field_code, values_of
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.stream_types import ChildStream

#: Pages of one log, which is buffered until its end. No log of manual work is this long.
MOST_PAGES = 400
#: The values before and after a change; mostly text.
_VALUES = ("old_value", "new_value")


class ChangeLog(ChildStream):
    """The complete log of every updated record of the parent, at 20 tokens each.

    The API gives its rows no id: ``id`` is a hash that survives re-reads, ``second_seq`` numbers
    the changes of one record within one second, oldest first.
    """

    primary_keys = ("id",)
    replication_key = "time"
    references = {"actor_user_id": "users"}
    #: The stream to which the values of a field refer: ``{field: stream}``.
    values_name: ClassVar[Mapping[str, str]] = {
        "stage_id": "stages", "pipeline_id": "pipelines", "user_id": "users",
        "owner_id": "users",
    }  # fmt: skip

    def names_used(self, records: list[Any]) -> Iterator[tuple[str, set[Name]]]:
        """Yield also the names in the values of a change, and the custom field that changed."""
        yield from super().names_used(records)
        for field, stream in self.values_name.items():
            rows = [record for record in records if record.get("field_key") == field]
            values = values_of(rows, "old_value") | values_of(rows, "new_value")
            yield stream, {int(v) for v in values if str(v).isdecimal()}
        keys = (record.get("field_key") for record in records)
        found = (field_code(key) for key in keys if isinstance(key, str))
        yield self.fields_stream or "", {code for code in found if code}

    def rows_of(self, parent_id: Any) -> Iterator[list[Record]]:
        """Read one record's log to its end, and number its rows."""
        rows, _, error = read_log(self, self.list_operation(), self.parent_key, parent_id)
        if rows or error is None:
            yield rows
        if error is not None:
            raise error


def read_log(
    stream: PipedriveStream, operation: Operation, parent_key: str, parent_id: Any
) -> tuple[list[Record], int, ParentError | None]:
    """Read the log of one record; return its rows, the number of pages, and an error or None.

    Of a log that breaks off, repeated pages count once, and the rows of the oldest second are left
    out: other rows of that second may be missing, and then the order is not known.
    """
    pages: list[list[Record]] = []

    def read() -> None:
        pages.clear()
        for page in stream.pages(operation, path={"id": parent_id}):
            pages.append(page.records)
            if len(pages) >= MOST_PAGES:
                msg = (
                    f"GET {operation.path}: the log of {parent_id} does not end: {len(pages)} pages"
                )
                raise UnexpectedAnswerError(msg)

    error: ParentError | None = None
    try:
        restarting(read, lambda _: None, most=1)
    except PARENT_ERRORS as failure:
        error = failure
    read_pages = len(pages)
    if error is not None:
        pages = [page for number, page in enumerate(pages) if page not in pages[:number]]
    rows = number_changes(parent_key, parent_id, [row for page in pages for row in page])
    if error is not None and rows and rows[0]["time"] != rows[-1]["time"]:
        rows = [row for row in rows if row["time"] != rows[0]["time"]]
    return rows, read_pages, error


def number_changes(
    parent_key: str, parent_id: int, newest_first: list[dict[str, Any]]
) -> list[Record]:
    """Give the changes of one deal (person, organization) an order and a stable id.

    Args:
        parent_key: the property that receives the parent's id, ``deal_id``.
        parent_id: the id of the deal.
        newest_first: the complete log as the API gives it.

    Returns:
        The rows, oldest first, with ``parent_key``, ``second_seq`` (0, 1, .. within one second) and
        ``id``: a hash of the change and, for equal changes within one second, of their number.
        Later changes never renumber earlier ones.

    """
    in_second: Counter[str] = Counter()
    twins: Counter[str] = Counter()
    rows = []
    for change in reversed(newest_first):
        time = time_or_none(change.get("time")) or change.get("time")
        what = (time, change.get("field_key"), change.get("old_value"), change.get("new_value"))
        # Texts, because some values cannot be keys of a dictionary.
        second, change_text = repr(time), repr(what)
        identity = repr((parent_id, *what, twins[change_text]))
        rows.append(
            {
                **change,
                "id": hashlib.blake2b(identity.encode(), digest_size=16).hexdigest(),
                parent_key: parent_id,
                "time": time,
                "second_seq": in_second[second],
                **{n: str(v) for n in _VALUES if _is_number(v := change.get(n))},
            }
        )
        in_second[second] += 1
        twins[change_text] += 1
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

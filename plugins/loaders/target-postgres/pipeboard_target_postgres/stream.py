"""What belongs to a stream while it is loaded, and its records on their way."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import typing as t
from collections.abc import Sequence

from pipeboard_target_postgres import sweep
from pipeboard_target_postgres.encoder import RecordEncoder
from pipeboard_target_postgres.evolve import Table
from pipeboard_target_postgres.merge import Counts, Merge
from pipeboard_target_postgres.ops import Entry
from pipeboard_target_postgres.staging import Staging

_numbers = itertools.count(1)


class Stream:
    """What the loader keeps of a stream, as long as its schema stays.

    Args:
        name: the stream's name.
        table: its table.
        encoder: encodes its records.
        keys: the properties that identify a record.
        counts: what has become of its records in this run.
    """

    def __init__(
        self, name: str, table: Table, encoder: RecordEncoder, keys: Sequence[str], counts: Counts
    ) -> None:
        number = next(_numbers)
        self.name, self.table, self.encoder, self.keys = name, table, encoder, tuple(keys)
        self.staging = Staging(f"pb_stage_{number}", encoder.columns, table.keys)
        self.merge = Merge(table, encoder.columns, self.staging.name)
        self.seen = sweep.Seen(f"pb_seen_{number}", table) if table.keys else None
        self.started_at = dt.datetime.now(tz=dt.timezone.utc)
        self.counts = counts
        #: Why the latest refused record was refused.
        self.last_reason = ""
        #: The session that has the staging table; see `Loader`.
        self.generation = 0

    def follow(self, old: Stream) -> None:
        """Go on where the same stream with another schema ended."""
        self.started_at = old.started_at
        if self.seen and old.seen:
            self.seen.follow(old.seen)


@dataclasses.dataclass
class Batch:
    """Records on their way, in the order in which they came.

    Attributes:
        stream: where they belong.
        rows: as lines of COPY.
        lines: as messages, for the quarantine.
        version: of the records, None if they have none.
        constants: values of the metadata columns that are the same for all.
        refused: records that came among them and that no table can take.
        suspicious: whether a date among them may be one that PostgreSQL takes, but JSON does not
            know.
        nulled: what was put null, by the index of the row: the note, and how many values.
        repaired: whether the values have been held against the types of their columns.
        seen: where to remember its keys, if it is a part of a walk that ends in a sweep.
        may_skip_staging: whether rows may go straight into the table, if it has none of the keys.
    """

    stream: Stream
    rows: list[bytes]
    lines: list[bytes]
    version: int | None
    constants: dict[str, t.Any]
    refused: list[Entry]
    suspicious: bool = False
    nulled: dict[int, tuple[Entry, int]] = dataclasses.field(default_factory=dict)
    repaired: bool = False
    seen: sweep.Seen | None = None
    may_skip_staging: bool = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Let a sweep stage all: it remembers what it saw by what is staged."""
        self.may_skip_staging = self.version is None


@dataclasses.dataclass
class SetAside:
    """Records that the tap itself could not send as such, on their way to the quarantine.

    Attributes:
        entries: one for each.
        counts: what has become of such records in this run.
    """

    entries: list[Entry]
    counts: Counts

"""The loader's data of a stream, and its batches."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
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
    """The loader's data of a stream; a new schema gets a new one.

    Args:
        name: the stream's name.
        table: its table.
        encoder: encodes its records.
        keys: the properties that identify a record.
        counts: its records in this run, by outcome.
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
        #: The reason of the latest refused record.
        self.last_reason = ""
        #: Number of the session that loaded its latest batch; see `Session`.
        self.generation = 0

    @functools.cached_property
    def merge_of_parameters(self) -> Merge:
        """Merges rows that are parameters, see `Staging.parameters`."""
        return Merge(self.table, self.encoder.columns, self.staging.query)

    def continue_from(self, old: Stream) -> None:
        """Take over start time and seen keys from the same stream with its earlier schema."""
        self.started_at = old.started_at
        if self.seen and old.seen:
            self.seen.continue_from(old.seen)


@dataclasses.dataclass
class Batch:
    """Records of one stream to load, in their order of arrival.

    Attributes:
        stream: their stream.
        rows: the records as lines of COPY.
        lines: the records as messages, for the quarantine.
        version: of the records, None if they have none.
        constants: values of the metadata columns that are the same for all records.
        refused: records among them that cannot become rows.
        has_unusual_dates: whether a date may be one that PostgreSQL accepts and ISO 8601 does not.
        nulled: {index of a row: (its entry for the quarantine, number of values set to null)}.
        repaired: whether the values have been compared with the types of their columns.
        seen: stores the keys, if the batch is part of a full scan that ends in a sweep.
        may_skip_staging: whether rows may be copied directly into a table with none of the keys.
    """

    stream: Stream
    rows: list[bytes]
    lines: list[bytes]
    version: int | None
    constants: dict[str, t.Any]
    refused: list[Entry]
    has_unusual_dates: bool = False
    nulled: dict[int, tuple[Entry, int]] = dataclasses.field(default_factory=dict)
    repaired: bool = False
    seen: sweep.Seen | None = None
    may_skip_staging: bool = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Stage all rows in a sweep, which reads the seen keys from the staging table."""
        self.may_skip_staging = self.version is None


@dataclasses.dataclass
class UnsentRecords:
    """Records that the tap could not send as records of their stream, for the quarantine.

    Attributes:
        entries: one for each record.
        counts: such records in this run, by outcome.
    """

    entries: list[Entry]
    counts: Counts

"""Lists that define the account; a scheduled run reads them at an interval."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from tap_pipedrive.api.records import Record
from tap_pipedrive.settings import DEFINITIONS_INTERVAL
from tap_pipedrive.state.references import Name, field_names, values_of
from tap_pipedrive.streams.outcomes import Outcome, StreamResult
from tap_pipedrive.streams.stream_types import Fingerprint, FullTableStream
from tap_pipedrive.times import to_text


class DefinitionStream(FullTableStream):
    """A short list that defines the account: other records refer to it."""

    #: Property by which other records refer to the list; the default is its key.
    named_by: ClassVar[str | None] = None

    @property
    def intervals(self) -> Mapping[str, str]:  # type: ignore[override]
        """Return the interval of its list."""
        return {self.operations[0]: DEFINITIONS_INTERVAL}

    @cached_property
    def known(self) -> frozenset[Name] | None:
        """The names that need no new read of the list; None if they are not known.

        They are known if the cached list equals the list that was last sent: the loader has not
        stored any other one.
        """
        records = self._run.definitions.last_read(self.name)
        sent = self._run.state_at_start.get("bookmarks", {}).get(self.name, {}).get("fingerprint")
        if records is None or sent is None:
            return None
        remembered = Fingerprint()
        remembered.add(records)
        if remembered.text != sent:
            return None
        return frozenset(self.names(records) | self._run.definitions.missing(self.name))

    @property
    def is_due(self) -> bool:
        """Whether the list is older than its interval, or its names are not known."""
        cadence = self._run.cadence
        return (
            cadence.reads_all
            or cadence.is_due(DEFINITIONS_INTERVAL, self.read_at)
            or self.known is None
        )

    def not_due_notes(self) -> list[str]:
        """Say when the list was last read."""
        return [self._run.cadence.note(DEFINITIONS_INTERVAL, self.read_at or "")]

    def names(self, records: list[Record]) -> set[Name]:
        """Return the names by which other records may refer to these."""
        return values_of(records, self.named_by or self.primary_keys[0])

    @property
    def can_look_up(self) -> bool:
        """Whether the names in the list are known."""
        return self.known is not None

    def look_up(self, names: set[Name]) -> None:
        """Become due if the list lacks one of these names."""
        if self.known is not None and (unknown := names - self.known):
            self.want(unknown)

    def want(self, names: set[Name]) -> None:
        """Become due, even if this run has read the list already: it lacked these names."""
        super().want(names)
        if self.result.outcome is Outcome.COMPLETE:
            self.result = StreamResult()

    def note_read(self, records: list[Record], read_at: datetime) -> None:
        """Cache the list, and note the wanted names that it lacks, such as a deleted user.

        A missing name does not make the list due again. If the list was requested before a record
        used the name, the next run reads it once more.
        """
        was_known = self.known is not None
        definitions, names = self._run.definitions, self.names(records)
        definitions.observe(self.name, records)
        lacking = self.wanted - names
        if lacking:
            definitions.note_missing(self.name, lacking)
        self.stream_state["read_at"] = to_text(read_at)
        if lacking - self._requested_names:
            del self.stream_state["read_at"]
        self.wanted.clear()
        if was_known:
            self.__dict__["known"] = frozenset(names | definitions.missing(self.name))


class FieldStream(DefinitionStream):
    """Definitions of fields: records refer to fields by codes, and to options by ``code:id``."""

    def names(self, records: list[Record]) -> set[Name]:
        """Return the codes of the fields and their options."""
        found: set[Name] = set()
        for field in records:
            code = field.get(self.primary_keys[0])
            found.add(str(code))
            if field.get("field_type") in ("enum", "set"):
                # A field without options yet has the empty one.
                options = field.get("options") or []
                found |= {f"{code}:{value}" for value in ("", *values_of(options, "id"))}
        return found

    def look_up_fields(self, records: list[Any]) -> None:
        """Become due if records have a field or an option that the list lacks."""
        if self.known is None:
            return
        coded = (str(name).partition(":") for name in self.known)
        with_options = frozenset(code for code, colon, _ in coded if colon)
        self.look_up(field_names(records, with_options))

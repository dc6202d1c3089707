"""Records that the source serves with values no property may have, until they are mended there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from pipedrive_simulator.clock import millis, naive
from pipedrive_simulator.generator.simulated_account import SimulatedAccount
from pipedrive_simulator.server.faults import Rule, bad_records
from pipedrive_simulator.server.reply import Reply
from story import LONG_TEXT, Damage

Record = dict[str, Any]
#: Where a record of a stream is served.
_PATHS = {
    "deals": ("/v2/deals", "/v2/deals/archived"), "persons": ("/v2/persons",),
    "organizations": ("/v2/organizations",), "products": ("/v2/products",),
    "activities": ("/v2/activities",), "notes": ("/v1/notes",),
    "leads": ("/v1/leads", "/v1/leads/archived"),
}  # fmt: skip
#: A record without these cannot be sent.
_REFUSED = ("no_id", "null_id", "not_an_object", "null", "broken")
_ID_VALUES = ("null", '{"a":1}', "[1]", "true", '""')
#: How the API writes the time of an update, where it is not RFC 3339.
_UPDATE_TIME = {"notes": naive, "leads": millis}


@dataclass
class Damaged:
    """A damaged record, from its damage until it is mended.

    Attributes:
        field: the property with the hostile value; None if the record as a whole is none.
        runs_left: after so many runs it is mended.
        served: whether a run has read it.
        is_counted: whether the reports of a run count it, or one of them was lost.

    """

    stream: str
    key: Any
    field: str | None
    rule: Rule
    runs_left: int
    served: bool = False
    is_counted: bool = False
    sent: Any = field(default=None)

    @property
    def place(self) -> tuple[str, Any]:
        """The stream and the id."""
        return self.stream, self.key

    @property
    def is_refused(self) -> bool:
        """Whether no row can be stored; of an id that comes twice the last one counts."""
        return self.field is None or (self.field == "id" and self.rule.oddity != "twice")

    @property
    def is_the_last(self) -> bool:
        """Whether it is the last of two members of one name, which counts."""
        return self.rule.oddity == "twice" and not self.is_refused

    def __str__(self) -> str:
        what = self.rule.value[:40] or self.rule.oddity
        return f"{self.stream} {self.key}: {self.field or 'the record'} is {what}"

    def note(self, reports: Sequence[Mapping[str, Any] | None]) -> None:
        """Look for it in the reports of tap and loader; None for one that a killed process owes."""
        name = "quarantined" if self.is_refused else "nulled_values"
        for report in reports:
            counts = (report or {}).get("streams", {}).get(self.stream, {})
            self.is_counted |= self.served and (report is None or bool(counts.get(name)))

    def differences(self, row: Record | None, quarantine: list[Record]) -> Iterator[str]:
        """Return what is wrong about the damaged value.

        Args:
            row: the stored record.
            quarantine: what the quarantine has of this stream.

        """
        if self.is_refused:
            if self.served and not quarantine:
                yield f"{self}: not in the quarantine"
            if self.served and not self.is_counted:
                yield f"{self}: not counted in the report"
            return
        if row is None or self.is_the_last or not self.served:
            return  # compared with the account; one that was merged away at once is never read
        assert self.field is not None
        stored = row.get(self.field)
        if _is_same(stored, self.sent):
            return
        names = {re.split(r"[.\[]", name)[0] for name in row.get("_extra") or {}}
        if stored is not None:
            # A day of which the clock is set aside, or a list of which an element is.
            is_day = isinstance(self.sent, str) and str(stored) == self.sent[:10]
            is_part = is_day or isinstance(stored, list)
            if not (is_part and self.field in names):
                yield f"{self}: {self.field} is {stored!r:.80}"
            return
        in_quarantine = any(_key_of(entry) == self.key for entry in quarantine)
        if self.field not in names and not in_quarantine and self.sent != "":
            yield f"{self}: null, and lost"
        if self.served and not self.is_counted and self.sent != "":
            yield f"{self}: null, and not counted in the report"


def begin(account: SimulatedAccount, damage: Damage) -> Damaged | None:
    """Damage a record; None if there is none. The account gives it a new update time."""
    table = account.table(damage.stream)
    keys = sorted(table.records)
    if not keys:
        return None
    key = keys[damage.which % len(keys)]
    names = [name for name in table.as_json(table.records[key]) if name != "id"]
    name: str | None = names[damage.how % len(names)]
    value = LONG_TEXT if damage.value == "LONG_TEXT" else damage.value
    if damage.oddity in _REFUSED:
        name, value = None, ""
    elif damage.how % 6 == 0:
        name, value = "id", _ID_VALUES[damage.which % len(_ID_VALUES)]
    rule = Rule(
        "bad_record", oddity=damage.oddity or "nan", field_name=name or "", value=value, key=key
    )
    damaged = Damaged(damage.stream, key, name, rule, damage.runs, sent=_decoded(value))
    touch(account, damaged)
    return damaged


def damage(hostile: Sequence[Damaged], path: str, reply: Reply) -> None:
    """Damage the records that are in a reply, and note that they were served."""
    listed = [one for one in hostile if path.endswith(_PATHS[one.stream])]
    if not listed or reply.status != 200:
        return
    applied = bad_records([one.rule for one in listed], reply)
    for one in listed:
        one.served |= any(one.rule is rule for rule in applied)


def touch(account: SimulatedAccount, damaged: Damaged) -> None:
    """Edit the record at the source: its update time is now."""
    table, write = account.table(damaged.stream), _UPDATE_TIME.get(damaged.stream, str)
    record = table.get(damaged.key)
    if record is not None:
        table.change(record, {"update_time": write(account.clock.text())})


def _decoded(value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _key_of(entry: Record) -> Any:
    return (entry["key"] or {}).get("id")


def _is_same(stored: Any, sent: Any) -> bool:
    """Whether a value was stored as it was sent, or converted without loss."""
    if sent is None or stored is None:
        return False
    if stored == sent:
        return True
    if isinstance(stored, str) and isinstance(sent, str):
        if stored[:19] == sent[:19] and len(stored) < 30:  # a time
            return True
        return stored == sent.replace("\0", "\ufffd")
    try:
        return Decimal(str(stored)) == Decimal(str(sent))
    except InvalidOperation:
        return False

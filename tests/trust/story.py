"""The life of an account and its syncs, drawn from one number and written as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

#: Read in every story: what a deal's history needs.
CORE = (
    "deals", "deal_changelog", "deal_changelog_sync", "pipelines", "stages", "users",
)  # fmt: skip
#: Some of these too, a few in each story.
MORE = (
    ("persons",), ("organizations",), ("products",), ("activities",), ("notes",), ("leads",),
    ("deal_products", "deal_products_sync"), ("deal_fields",), ("person_fields",),
    ("lead_labels",), ("activity_types",),
)  # fmt: skip
FAMILIES_PER_STORY = 3

#: Answers that are plainly wrong: a tap may retry or fail, but must not believe them.
PASSING_FAULTS = (
    "429_burst", "500", "502", "503", "524", "reset", "hang", "slow_body", "truncated_json",
    "null_body", "hollow",
)  # fmt: skip
ENDING_FAULTS = (
    "429_daily", "401", "402", "403", "403_cloudflare", "redirect", "more_for_ever",
    "expired_cursor", "empty_page", "flat_pagination",
)  # fmt: skip
#: Records that are none, put before a good one.
ODDITIES = ("no_id", "null_id", "not_an_object", "null", "broken")
#: Lists in which an odd record may stand.
LISTS = ("getDeals", "getPersons", "getOrganizations", "getActivities", "getProducts", "getNotes")

#: Values that a property cannot have, or hardly: JSON text, or the name of an oddity of
#: `pipedrive_simulator.server.faults`.
HOSTILE_VALUES = (
    '"abc"', "12.5", "true", '{"unexpected":[1]}', '[1,"a"]', '""', '"12.50"', '"a\\u0000b"',
    "9223372036854775808", "-1", "1e300", '"2026-02-30T00:00:00Z"', '"0000-00-00 00:00:00"',
    '"-0001-11-30T00:00:00Z"', '"yesterday"', '"9999-12-31T23:59:59Z"', '"292277-01-01T00:00:00Z"',
    '"-infinity"', "LONG_TEXT",
)  # fmt: skip
LONG_TEXT = f'"{"x" * 2_000_000}"'
HOSTILE_ODDITIES = (
    "invalid_utf8", "lone_surrogate", "nan", "infinity", "1e400", "huge_integer", "deep", "twice",
    "no_id", "null_id", "not_an_object", "null", "broken",
)  # fmt: skip
DAMAGED_STREAMS = (
    *("deals",) * 5, "persons", "organizations", "products", "activities", "notes", "leads",
)  # fmt: skip

EDITS = (
    *("create_deal",) * 3, *("move_deal",) * 5, *("win_deal", "lose_deal", "reopen_deal") * 2,
    *("update_deal",) * 3, "archive_deal", "unarchive_deal", "delete_deal", "restore_deal",
    "merge_deals", "attach_product", "detach_product", "create_person", "update_person",
    "merge_persons", "create_organization", "update_organization", "create_product",
    "update_product", "create_activity", "update_activity", "create_note", "create_lead",
    "update_lead", "create_user", "update_user", "add_field", "rename_field", "remove_field",
    "add_option", "rename_option", "remove_option", "create_stage", "rename_stage",
    "rename_pipeline",
)  # fmt: skip
#: Edits of what defines the account, and those of its records.
DEFINITION_EDITS = EDITS[EDITS.index("create_user") :]
RECORD_EDITS = EDITS[: EDITS.index("create_user")]
#: Faults that leave the records right, beside those above; `removed` and `status` have a status.
MORE_FAULTS = ("unknown_properties", "short_page", "removed", "status", "dripping_body")
STATUSES = (400, 404, 405, 410, 415, 418, 422, 500, 520)
#: How wrong the clock of the machine is in a run, in seconds.
CLOCK_ERRORS = (-90_000, -3_600, 3_600, 90_000, 40_000_000)
#: Seconds between two syncs, or between two edits.
PAUSES = (0, 0, 1, 1, 60, 1800, 1800, 90_000)


@dataclass
class Edit:
    """An edit of the account: `which` and `how` choose the record and the value when it happens."""

    op: str
    which: int
    how: int
    pause: int = 0


@dataclass
class Damage:
    """A record that the source serves with a hostile value in the next runs, then mends.

    Attributes:
        which: chooses the record, and `how` the property.
        value: JSON text of the property; empty if `oddity` names what is wrong.
        runs: for how many runs.

    """

    stream: str
    which: int
    how: int
    value: str
    oddity: str
    runs: int


@dataclass
class Sync:
    """One run, and what happens before and during it.

    Attributes:
        pause: seconds since the run before.
        edits: of the account, before the run.
        edits_during: by the number of the call before which they happen.
        faults: rules for the simulated API (`pipedrive_simulator.server.faults`).
        tap_ends: the number of a call, and KILL, TERM or INT.
        loader_ends: where the loader is killed: `input` and the thousandth of its input, `commit`
            and the number of a commit that does not happen, `state` and the number of a state that
            is not written any more.
        session_ends: the number of the load during which the server ends the loader's session.
        daily_tokens: the budget of the company for this day.
        loses_state_folder: the folder in which the tap caches is gone.
        loses_state: the Singer state is gone, and the tables are still there.
        clock_error: seconds by which the clock of the machine is wrong, not that of the source.
        database: `unreachable`, or `read_only` for the sessions of this run.
        damages: records that are hostile from this run on.
        threads: how many lists, windows and logs are read at the same time.

    """

    pause: int
    edits: list[Edit] = field(default_factory=list)
    edits_during: dict[str, Edit] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    tap_ends: tuple[int, str] | None = None
    loader_ends: tuple[str, int] | None = None
    session_ends: int | None = None
    daily_tokens: int | None = None
    loses_state_folder: bool = False
    clock_error: int = 0
    database: str | None = None
    threads: int = 1
    loses_state: bool = False
    damages: list[Damage] = field(default_factory=list)

    @property
    def is_disturbed(self) -> bool:
        """Whether anything happens to the run itself."""
        return bool(
            self.faults or self.tap_ends or self.loader_ends or self.session_ends
            or self.daily_tokens or self.edits_during or self.database
        )  # fmt: skip


@dataclass
class Story:
    """An account and its syncs.

    Attributes:
        reconnects: whether the loader opens another session when it loses one.

    """

    seed: int
    deals: int
    page_size: int
    batch_rows: int
    reconnects: bool
    streams: list[str]
    syncs: list[Sync]

    def as_json(self) -> str:
        """Return the story as text; the same seed gives the same text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Story:
        """Read a story."""
        values = json.loads(text)
        for sync in values["syncs"]:
            sync["edits"] = [Edit(**edit) for edit in sync["edits"]]
            sync["damages"] = [Damage(**damage) for damage in sync["damages"]]
            sync["edits_during"] = {at: Edit(**e) for at, e in sync["edits_during"].items()}
            for name in ("tap_ends", "loader_ends"):
                sync[name] = tuple(sync[name]) if sync[name] else None
        return cls(**{**values, "syncs": [Sync(**sync) for sync in values["syncs"]]})


def write_story(seed: int, syncs: int = 10) -> Story:
    """Draw a story from a number."""
    rng = Random(seed)
    families = rng.sample(MORE, FAMILIES_PER_STORY)
    story = Story(
        seed,
        deals=rng.choice((1, 5, 12, 25)),
        page_size=rng.choice((3, 5, 9, 500)),
        batch_rows=rng.choice((4, 9, 40, 5000)),
        reconnects=rng.random() < 0.5,
        streams=sorted({*CORE, *(name for family in families for name in family)}),
        syncs=[_sync(rng, number) for number in range(syncs)],
    )
    # Another source of numbers, so that the rest of a story does not change with these.
    rng = Random(f"more of {seed}")
    for sync in story.syncs:
        _add_to(sync, rng)
    rng = Random(f"data of {seed}")
    for number, sync in enumerate(story.syncs):
        if rng.random() < 0.12:
            sync.damages.append(_damage(rng, story))
        sync.loses_state = bool(number) and rng.random() < 0.04
    return story


def _damage(rng: Random, story: Story) -> Damage:
    value = rng.choice((*HOSTILE_VALUES, *HOSTILE_ODDITIES))
    return Damage(
        rng.choice([stream for stream in DAMAGED_STREAMS if stream in story.streams]),
        which=rng.randrange(200),
        how=rng.randrange(60),
        value=value if value in HOSTILE_VALUES else "",
        oddity=value if value in HOSTILE_ODDITIES else "",
        runs=rng.choice((1, 1, 2, 4)),
    )


def _add_to(sync: Sync, rng: Random) -> None:
    """Add disturbances of the machine and the database, and a few faults more."""
    if rng.random() < 0.1:
        sync.clock_error = rng.choice(CLOCK_ERRORS)
    if not sync.is_disturbed:
        # With threads, the order of calls depends on the machine: nothing may happen at a call.
        sync.threads = rng.choice((1, 3))
        return
    if rng.random() < 0.06:
        sync.database = rng.choice(("unreachable", "read_only"))
    if rng.random() < 0.2:
        rule = {"kind": rng.choice(MORE_FAULTS), "after": rng.randrange(20), "count": 1}
        if rule["kind"] in ("removed", "status"):
            rule["status"] = rng.choice(STATUSES)
        sync.faults.append(rule)


def _sync(rng: Random, number: int) -> Sync:
    sync = Sync(rng.choice(PAUSES) if number else 0)
    if number:
        sync.edits = [_edit(rng) for _ in range(rng.choice((0, 1, 3, 8)))]
    if rng.random() < 0.45:
        return sync  # an undisturbed run
    if rng.random() < 0.6:
        sync.faults = [draw_fault(rng) for _ in range(rng.choice((1, 1, 2)))]
    if rng.random() < 0.3:
        at = sorted(rng.sample(range(2, 40), rng.choice((1, 2))))
        sync.edits_during = {str(call): _edit(rng) for call in at}
    if rng.random() < 0.25:
        sync.tap_ends = (rng.randrange(1, 60), rng.choice(("KILL", "KILL", "TERM", "INT")))
    if rng.random() < 0.2:
        where = rng.choice(("input", "commit", "state"))
        sync.loader_ends = (
            where,
            rng.randrange(1000) if where == "input" else rng.randrange(1, 12),
        )
    if rng.random() < 0.25:
        sync.session_ends = rng.randrange(1, 12)
    if rng.random() < 0.08:
        sync.daily_tokens = rng.choice((20, 100, 300))
    sync.loses_state_folder = rng.random() < 0.05
    return sync


def _edit(rng: Random) -> Edit:
    return Edit(
        rng.choice(EDITS), rng.randrange(200), rng.randrange(50), rng.choice((0, 0, 1, 300))
    )


def draw_fault(rng: Random) -> dict[str, Any]:
    """Draw a rule for the simulated API."""
    if rng.random() < 0.15:
        return {
            "kind": "bad_record", "operation": rng.choice(LISTS), "record": rng.randrange(3),
            "oddity": rng.choice(ODDITIES), "count": 1,
        }  # fmt: skip
    lasts = rng.random() < 0.25
    kind = rng.choice(ENDING_FAULTS if lasts else PASSING_FAULTS)
    rule: dict[str, Any] = {"kind": kind, "after": rng.randrange(30)}
    if rng.random() < 0.4:
        rule["operation"] = rng.choice((*LISTS, "getDealChangelog", "getArchivedDeals", "get*s"))
        rule["after"] = rng.randrange(4)
    rule["count"] = rng.choice((1, 1, 2, 7, None)) if kind != "hang" else 1
    return rule

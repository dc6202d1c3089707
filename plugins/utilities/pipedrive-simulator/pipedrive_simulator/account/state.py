"""The data of an account, without the rules for changing it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from pipedrive_simulator.account.builtin_fields import builtin_fields
from pipedrive_simulator.account.changelog import Changelog
from pipedrive_simulator.account.fields import FieldDefinition, FieldSet
from pipedrive_simulator.account.journal import Journal
from pipedrive_simulator.account.records import (
    Activity,
    Deal,
    DealProduct,
    Discount,
    Follower,
    Installment,
    Json,
    Organization,
    Person,
    Pipeline,
    Product,
    ProductVariation,
    Stage,
)
from pipedrive_simulator.account.records_exchange import (
    CallLog,
    File,
    MailMessage,
    MailThread,
    NoteComment,
)
from pipedrive_simulator.account.records_projects import (
    Board,
    Phase,
    Project,
    ProjectTemplate,
    Task,
)
from pipedrive_simulator.account.records_v1 import (
    ActivityType,
    Currency,
    Filter,
    Goal,
    Lead,
    LeadLabel,
    LeadSource,
    Note,
    OrganizationRelationship,
    Participant,
    PermissionSet,
    Role,
    Team,
    User,
    Webhook,
)
from pipedrive_simulator.account.table import R, Table
from pipedrive_simulator.clock import Clock, to_seconds, to_text

# How long the API lists a deleted deal.
DELETED_VISIBLE_SECONDS = 30 * 86_400


class DealState(NamedTuple):
    """From `time` on the deal was in this stage and status (the changelog is derived from it)."""

    time: str
    stage_id: int
    pipeline_id: int
    status: str


class EditError(ValueError):
    """An edit that a real account would refuse, or with an unknown name or id."""


class AccountState:
    """The records, definitions, histories and the clock of one account."""

    def __init__(
        self, *, seed: int, clock: Clock, company: str = "demo", base: str = "BRL"
    ) -> None:
        self.seed = seed
        self.clock = clock
        self.company = company
        self.base_currency = base
        #: Offset of the company's time zone in seconds: São Paulo.
        self.utc_offset = -3 * 3600
        self.created_at = clock.seconds()
        self.lock = threading.RLock()
        self.journal: Journal | None = None
        self.mutation_depth = 0
        self.mutation_count = 0

        self.fields = {
            entity: FieldSet(entity, seed, builtin_fields(entity))
            for entity in ("deal", "person", "organization", "product", "activity", "note",
                           "project")
        }  # fmt: skip

        def not_deleted(record: Any) -> bool:
            return not record.is_deleted

        live: dict[str, Callable[[Any], bool]] = {"all": not_deleted}
        self.deals: Table[Deal] = Table(
            "deals",
            lists={"live": lambda d: not d.is_archived, "archived": lambda d: d.is_archived},
            field_keys=self.fields["deal"].keys,
        )
        self.persons: Table[Person] = Table(
            "persons", lists=live, field_keys=self.fields["person"].keys
        )
        self.organizations: Table[Organization] = Table(
            "organizations", lists=live, field_keys=self.fields["organization"].keys
        )
        self.activities: Table[Activity] = Table("activities", lists=live)
        self.products: Table[Product] = Table(
            "products", lists=live, field_keys=self.fields["product"].keys
        )
        self.deal_products: Table[DealProduct] = Table("deal_products")
        self.installments: Table[Installment] = Table("installments", grouped_by="deal_id")
        self.discounts: Table[Discount] = Table("discounts", grouped_by="deal_id")
        self.followers: Table[Follower] = Table("followers", grouped_by="deal_id")
        self.participants: Table[Participant] = Table("participants", grouped_by="deal_id")
        self.product_variations: Table[ProductVariation] = Table(
            "product_variations", grouped_by="product_id"
        )
        self.pipelines: Table[Pipeline] = Table("pipelines", lists=live)
        self.stages: Table[Stage] = Table("stages", lists=live)
        self.users: Table[User] = Table("users")
        self.leads: Table[Lead] = Table(
            "leads",
            lists={"live": lambda x: not x.is_archived, "archived": lambda x: x.is_archived},
        )
        self.notes: Table[Note] = Table(
            "notes", lists={"all": lambda note: note.active_flag}, grouped_by="deal_id"
        )
        self.note_comments: Table[NoteComment] = Table("note_comments", grouped_by="note_id")
        self.files: Table[File] = Table("files", grouped_by="deal_id")
        self.call_logs: Table[CallLog] = Table("call_logs")
        self.mail_threads: Table[MailThread] = Table("mail_threads", grouped_by="deal_id")
        self.mail_messages: Table[MailMessage] = Table("mail_messages", grouped_by="mail_thread_id")
        self.activity_types: Table[ActivityType] = Table("activity_types")
        self.currencies: Table[Currency] = Table("currencies")
        self.filters: Table[Filter] = Table("filters")
        self.lead_labels: Table[LeadLabel] = Table("lead_labels")
        self.lead_sources: Table[LeadSource] = Table("lead_sources")
        self.roles: Table[Role] = Table("roles")
        self.permission_sets: Table[PermissionSet] = Table("permission_sets")
        self.teams: Table[Team] = Table("teams")
        self.webhooks: Table[Webhook] = Table("webhooks")
        self.goals: Table[Goal] = Table("goals")
        self.organization_relationships: Table[OrganizationRelationship] = Table(
            "organization_relationships"
        )
        self.projects: Table[Project] = Table(
            "projects",
            lists={
                "live": lambda project: project.archive_time is None,
                "archived": lambda project: project.archive_time is not None,
            },
            field_keys=self.fields["project"].keys,
        )
        self.boards: Table[Board] = Table("boards")
        self.phases: Table[Phase] = Table("phases", grouped_by="board_id")
        self.tasks: Table[Task] = Table("tasks")
        self.project_templates: Table[ProjectTemplate] = Table("project_templates")

        self.logs = {name: Changelog() for name in ("deal", "person", "organization")}
        self.deal_states: dict[int, list[DealState]] = {}
        # Parts of deals, by deal id.
        self.products_of_deal: dict[int, list[int]] = defaultdict(list)
        self.activities_of_deal: dict[int, list[int]] = defaultdict(list)
        # {entity: {id of a merged record: id of the record it was merged into}}
        self.merged: dict[str, dict[int, int]] = defaultdict(dict)
        self.deleted_at: dict[tuple[str, int], str] = {}
        #: The highest id that a new record of a table got, by the table's name.
        self.last_ids: dict[str, int] = {}

    @property
    def company_id(self) -> int:
        """The company's number."""
        return 1000 + self.seed

    @property
    def tables(self) -> dict[str, Table[Any]]:
        """Every table by name."""
        found = [value for value in vars(self).values() if isinstance(value, Table)]
        return {table.name: table for table in found}

    def table(self, name: str) -> Table[Any]:
        """Return a table by name, which is also the name of its attribute."""
        table: Table[Any] = getattr(self, name)
        return table

    def next_id(self, table: Table[Any]) -> int:
        """Return an integer id that the table has never used."""
        number = self.last_ids.get(table.name, table.last_id()) + 1
        # Edits may have used ids of their own choice.
        while table.get(number) is not None:
            number += 1
        self.last_ids[table.name] = number
        return number

    def record_of(self, table: Table[R], record_id: Any) -> R:
        """Return a record that can be edited; an unknown or deleted one is refused."""
        record = table.get(record_id)
        if record is None or getattr(record, "is_deleted", False):
            msg = f"{table.name}: no record {record_id}"
            raise EditError(msg)
        return record

    def custom_values(self, entity: str, values: Json) -> Json:
        """Replace labels of custom fields by their keys."""
        return {self.fields[entity].find(code).code: value for code, value in values.items()}

    def local_day(self, at: str) -> str:
        """Return the day of an instant in the company's time zone."""
        return to_text(to_seconds(at) + self.utc_offset)[:10]

    def move_parts(self, deal_id: int, into: int) -> None:
        """Move discounts, participants, files and followers of a merged deal to the other one."""
        parts: tuple[Table[Any], ...] = (self.discounts, self.participants, self.files)
        for table in parts:
            for record in table.group(deal_id):
                table.change(record, {"deal_id": into})
        there = {row.user_id for row in self.followers.group(into)}
        for row in self.followers.group(deal_id):
            if row.user_id in there:
                self.followers.drop(row)
            else:
                self.followers.change(row, {"deal_id": into})

    def purge_line(self) -> str:
        """Return the instant before which deleted records are no longer listed."""
        return to_text(self.clock.seconds() - DELETED_VISIBLE_SECONDS)

    def is_purged(self, entity: str, record_id: int) -> bool:
        """Return whether a record was deleted so long ago that the API no longer returns it."""
        deleted = self.deleted_at.get((entity, record_id))
        return deleted is not None and deleted < self.purge_line()

    def me(self) -> User:
        """Return the user of the API token."""
        return next((u for u in self.users.records.values() if u.is_you), self._first_user())

    def _first_user(self) -> User:
        return next(iter(self.users.records.values()))

    def lead_fields(self) -> list[FieldDefinition]:
        """Fields of leads: some of their own, and all custom fields of deals."""
        shared = {"id", "title", "owner_id", "value", "add_time", "update_time", "visible_to",
                  "label_ids", "person_id", "expected_close_date"}  # fmt: skip
        deal = self.fields["deal"]
        return [f for f in deal.builtin if f.code in shared] + deal.custom

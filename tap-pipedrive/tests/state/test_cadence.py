"""A scheduled run reads some lists at intervals, and at once when a record needs them."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipedrive_simulator.account.fields import Option
from pipedrive_simulator.account.records_v1 import ActivityType, LeadLabel
from pipedrive_simulator.testing import running_simulator
from tap_runs import Output, run_tap
from valkey_server import running_valkey

from tap_pipedrive.api.prefetch import ListRequest, Prefetch
from tap_pipedrive.api.responses import Page
from tap_pipedrive.context import account_key
from tap_pipedrive.errors import ConfigurationError
from tap_pipedrive.settings import DEFAULTS, SCHEMA
from tap_pipedrive.state.cadence import Cadence
from tap_pipedrive.tap import TapPipedrive

ROOT = Path(__file__).resolve().parents[3]
SYNC = next(
    frozenset(pattern.partition(".")[0] for pattern in plugin["select"])
    for plugin in yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["extractors"]
    if plugin["name"] == "tap-pipedrive"
)
#: What `sync` selects of the lists that define the account.
DEFINITIONS = frozenset(
    {"lead_labels", "products", "pipelines", "stages", "activity_types", "users"}
    | {f"{entity}_fields" for entity in ("deal", "person", "organization", "product", "activity")}
)
#: Asked once a day, also by hand.
DAILY = frozenset({"deal_summary_daily"})
HALF_AN_HOUR = 1800


class Schedule:
    """Runs the tap as `sync` on a schedule does; has the report and the calls of each run."""

    def __init__(self, simulator: Any, config: dict[str, Any], report: Path) -> None:
        self.simulator, self.config, self.report_file = simulator, config, report
        self.state: dict[str, Any] = {}
        self.tokens = 0

    def run(
        self, after: float = HALF_AN_HOUR, *, only: frozenset[str] = SYNC, **settings: Any
    ) -> Output:
        """Let time pass and run once, from the state of the last run."""
        self.simulator.account.advance_clock(after)
        self.simulator.control("POST", "stats/reset")
        config = {**self.config, "scheduled": True, **settings}
        output = run_tap(config, self.state, set(only))
        self.tokens = self.simulator.control("GET", "stats")["tokens"]
        self.state = output.state
        return output

    @property
    def streams(self) -> dict[str, dict[str, Any]]:
        """The entries of the last report, by stream."""
        return dict(json.loads(self.report_file.read_text())["streams"])

    def with_outcome(self, outcome: str) -> set[str]:
        """Return the streams with this outcome in the last run."""
        return {name for name, entry in self.streams.items() if entry["outcome"] == outcome}


def small_account() -> Any:
    """Run a small account, the same each time: the results do not depend on its size."""
    return running_simulator(deals=60, seed=7, burst=1000)


@pytest.fixture
def simulator() -> Iterator[Any]:
    with small_account() as running:
        yield running


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Schedule:
    """The first two runs of a schedule: the second one settles the records of the first."""
    folder = tmp_path_factory.mktemp("two_runs")
    with small_account() as running:
        config = {"api_token": running.token, "api_url": running.url, "state_dir": str(folder)}
        schedule = Schedule(running, config, folder / "no report")
        schedule.run()
        schedule.run()
    return schedule


@pytest.fixture
def schedule(
    simulator: Any,
    config: dict[str, Any],
    two_runs: Schedule,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Schedule:
    """Go on after the two runs, with the same account at an address of its own."""
    report, folder = tmp_path / "report.json", tmp_path / "tap"
    monkeypatch.setenv("PIPEBOARD_RUN_REPORT", str(report))
    shutil.copytree(two_runs.config["state_dir"], folder)
    before, now = (account_key(url) for url in (two_runs.config["api_url"], simulator.url))
    for path in [*folder.rglob(f"*{before}*")]:
        path.rename(path.with_name(path.name.replace(before, now)))
    simulator.account.advance_clock(2 * HALF_AN_HOUR)
    schedule = Schedule(simulator, {**config, "state_dir": str(folder)}, report)
    schedule.state = copy.deepcopy(two_runs.state)
    return schedule


def test_an_idle_day_costs_at_most_7000_tokens(schedule: Schedule) -> None:
    costs = []
    for _ in range(48):
        schedule.run()
        costs.append(schedule.tokens)
        assert schedule.streams.keys() == SYNC
        assert schedule.with_outcome("complete") | schedule.with_outcome("not_due") == SYNC
    assert sum(costs) <= 7_000
    # The removed option of a deal made deal_fields due by itself, so that it comes at other times.
    only_new = [cost for cost in costs if cost in (80, 90)]
    assert len(only_new) >= 20, "every other run reads what is new, and nothing else"


def test_a_run_by_hand_reads_everything(schedule: Schedule) -> None:
    schedule.run(scheduled=False)
    assert schedule.with_outcome("complete") == SYNC - DAILY
    assert schedule.tokens == 260


def test_a_list_that_is_not_due_sends_no_message(schedule: Schedule) -> None:
    output = schedule.run()
    assert schedule.with_outcome("not_due") == DEFINITIONS | DAILY
    assert not DEFINITIONS & output.schemas.keys(), "a SCHEMA would make the list look loaded"
    assert not output.versions
    for name in DEFINITIONS:
        assert "read at 2026-06-15T1" in schedule.streams[name]["reason"], name
        assert schedule.streams[name]["tokens"] == 0


def test_a_list_is_due_again_after_its_interval(schedule: Schedule) -> None:
    account = schedule.simulator.account
    field = next(f for f in account.fields["deal"].custom if f.options)
    account.rename_option("deal", field.key, field.options[0].id, "Renamed")
    account.rename_stage(1, "Renamed")
    changed: dict[str, int] = {}
    for number in range(1, 7):
        output = schedule.run()
        for name in ("deal_fields", "stages"):
            if "Renamed" in json.dumps(output.records.get(name, [])):
                changed.setdefault(name, number)
    # They were last read at the first run, the one of the fixture before its last.
    assert changed.keys() == {"deal_fields", "stages"}
    assert max(changed.values()) <= 6


def test_intervals_are_settings(schedule: Schedule) -> None:
    schedule.run(60, definitions_interval=0)
    assert schedule.with_outcome("not_due") == DAILY
    schedule.run(4 * 3600, definitions_interval=24 * 3600)
    assert schedule.with_outcome("not_due") == DEFINITIONS | DAILY
    assert set(Cadence(DEFAULTS, lambda: None, reads_all=False)._intervals.values()) == {
        timedelta(seconds=SCHEMA["properties"][name]["default"])
        for name in ("definitions_interval", "archived_interval")
    }


def test_an_archived_deal_is_read_within_an_hour(schedule: Schedule) -> None:
    account = schedule.simulator.account
    deal = min(d.id for d in account.deals.records.values() if not d.is_archived)
    account.archive_deal(deal)
    output = schedule.run(1, archived_interval=3600)
    assert deal not in {r["id"] for r in output.records["deals"]}
    assert schedule.streams["deals"]["outcome"] == "complete"
    assert "v2 /deals/archived was read at" in schedule.streams["deals"]["reason"]
    runs = [schedule.run() for _ in range(2)]
    (found,) = [r for run in runs for r in run.records["deals"] if r["id"] == deal]
    assert found["is_archived"]


def name_a_stage(account: Any) -> tuple[str, str, Any]:
    pipeline = account.create_pipeline("New")
    stage = account.create_stage("New", pipeline.id)
    account.create_deal("In a new stage", stage_id=stage.id)
    return "stages", "id", stage.id


def name_a_pipeline(account: Any) -> tuple[str, str, Any]:
    pipeline = account.create_pipeline("New")
    account.create_deal("New", stage_id=account.create_stage("New", pipeline.id).id)
    return "pipelines", "id", pipeline.id


def name_a_stage_in_history_only(account: Any) -> tuple[str, str, Any]:
    deals = account.deals.records.values()
    deal = next(d for d in deals if d.status == "open" and not d.is_archived)
    before, stage = deal.stage_id, account.create_stage("New", deal.pipeline_id)
    account.move_deal(deal.id, stage_id=stage.id)
    account.advance_clock(60)
    account.move_deal(deal.id, stage_id=before)
    return "stages", "id", stage.id


def name_a_user(account: Any) -> tuple[str, str, Any]:
    user = account.create_user("New", "new@example.org")
    account.create_organization("New", owner_id=user.id)
    return "users", "id", user.id


def name_a_field(account: Any) -> tuple[str, str, Any]:
    field = account.add_field("deal", "New", "varchar")
    account.create_deal("With a new field", custom_fields={field.key: "value"})
    return "deal_fields", "field_code", field.key


def name_a_field_of_a_person(account: Any) -> tuple[str, str, Any]:
    field = account.add_field("person", "New", "varchar")
    account.create_person("With a new field", custom_fields={field.key: "value"})
    return "person_fields", "field_code", field.key


def name_an_option(account: Any) -> tuple[str, str, Any]:
    field = next(f for f in account.fields["deal"].custom if f.type == "enum")
    option = account.add_option("deal", field.key, "New")
    account.create_deal("With a new option", custom_fields={field.key: option.id})
    return "deal_fields", "options", option.id


def name_a_label(account: Any) -> tuple[str, str, Any]:
    labels = next(f for f in account.fields["deal"].builtin if f.code == "label_ids")
    assert labels.options is not None
    option = Option(99, "New")
    labels.options.append(option)
    account.create_deal("With a new label", label_ids=[option.id])
    return "deal_fields", "options", option.id


def name_an_option_in_a_lead(account: Any) -> tuple[str, str, Any]:
    field = next(f for f in account.fields["deal"].custom if f.type == "set")
    option = account.add_option("deal", field.key, "New")
    account.create_lead("New", custom_fields={field.key: [option.id]})
    return "deal_fields", "options", option.id


def name_a_lead_label(account: Any) -> tuple[str, str, Any]:
    label = LeadLabel(
        id="0e1f4a52-0000-4000-8000-000000000001", name="New", color="red",
        add_time=account.clock.text(), update_time=account.clock.text(),
    )  # fmt: skip
    account.lead_labels.put(label)
    account.create_lead("New", label_ids=[label.id])
    return "lead_labels", "id", label.id


def name_an_activity_type(account: Any) -> tuple[str, str, Any]:
    kind = ActivityType(
        id=99, name="New", icon_key="call", order_nr=99, key_string="new_type",
        add_time=account.clock.text(), update_time=account.clock.text(),
    )  # fmt: skip
    account.activity_types.put(kind)
    account.create_activity("New", type="new_type")
    return "activity_types", "key_string", "new_type"


def name_a_product(account: Any) -> tuple[str, str, Any]:
    product = account.create_product("New", prices=[{"price": 1.0, "currency": "BRL"}])
    deal = min(d.id for d in account.deals.records.values() if d.status == "open" and
               not d.is_archived)  # fmt: skip
    account.attach_product(deal, product.id)
    return "products", "id", product.id


@pytest.mark.parametrize(
    "edit",
    [
        *(name_a_stage, name_a_pipeline, name_a_stage_in_history_only, name_a_user, name_a_field),
        *(name_a_field_of_a_person, name_an_option, name_a_label, name_an_option_in_a_lead),
        *(name_a_lead_label, name_an_activity_type, name_a_product),
    ],
)
def test_an_unknown_name_in_a_record_makes_the_list_due(
    schedule: Schedule, edit: Callable[[Any], tuple[str, str, Any]]
) -> None:
    stream, column, name = edit(schedule.simulator.account)
    output = schedule.run()
    assert schedule.streams[stream]["outcome"] == "complete"
    found = [record[column] for record in output.records[stream]]
    named = [o["id"] for options in found for o in options or []] if column == "options" else found
    assert name in named
    # It is known from then on.
    schedule.run()
    assert stream in schedule.with_outcome("not_due")


def test_a_name_that_no_list_has_causes_one_read(schedule: Schedule) -> None:
    account = schedule.simulator.account
    account.create_organization("Owned by a user that is hidden", owner_id=4711)
    schedule.run()
    assert schedule.streams["users"]["outcome"] == "complete"
    for _ in range(3):
        output = schedule.run()
        assert [r["owner_id"] for r in output.records["organizations"]] == [4711], "met again"
        assert "users" in schedule.with_outcome("not_due")


def test_an_unlisted_product_causes_two_reads_at_most(schedule: Schedule) -> None:
    account = schedule.simulator.account
    _, _, product = name_a_product(account)
    account.products.drop(account.products.records[product])
    schedule.run()
    assert schedule.streams["products"]["outcome"] == "complete"
    assert product not in {r["id"] for r in schedule.run().records["products"]}
    for _ in range(2):
        schedule.run()
        assert "products" in schedule.with_outcome("not_due")
    (line,) = [p for p in account.deal_products.records.values() if p.product_id == product]
    account.update_deal(line.deal_id, title="Its lines are read again")
    assert product in {r["product_id"] for r in schedule.run().records["deal_products"]}
    assert "products" in schedule.with_outcome("not_due")


def test_the_first_product_is_read_in_the_run_of_its_deal(
    schedule: Schedule,
) -> None:
    account = schedule.simulator.account
    for known in list(account.products.records.values()):
        account.products.drop(known)
    schedule.state = {}
    for _ in range(2):
        assert not schedule.run().records["products"]
    assert "products" in schedule.with_outcome("not_due")
    _, _, product = name_a_product(account)
    assert product in {record["id"] for record in schedule.run().records["products"]}


def test_a_list_prefetched_before_the_change_is_read_again(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All lists are prefetched; the deal is added when the page of stages is there already."""
    pages, made = Prefetch.pages, []

    def later(self: Prefetch, request: ListRequest) -> Iterator[Page]:
        if request.stream == "deals" and not made:
            for future in self._prefetcher._running.values():
                future.exception()
            made.append(name_a_stage(schedule.simulator.account)[2])
            self._prefetcher._running.pop(request)
        return pages(self, request)

    monkeypatch.setattr(Prefetch, "pages", later)
    output = schedule.run(3 * 3600, lists_ahead=64)
    assert made[0] in {record["stage_id"] for record in output.records["deals"]}
    assert made[0] in {record["id"] for record in schedule.run().records["stages"]}


def test_a_list_that_the_loader_has_not_stored_is_due(schedule: Schedule) -> None:
    """The list was read and cached, then the loader crashed: the state is the one before."""
    stored = schedule.state
    account = schedule.simulator.account
    stage = account.create_stage("New", 1)
    schedule.run(scheduled=False)
    schedule.state = stored
    account.create_deal("In a new stage", stage_id=stage.id)
    output = schedule.run()
    assert stage.id in {record["id"] for record in output.records["stages"]}


def test_a_lost_cache_or_an_old_state_makes_every_list_due(
    schedule: Schedule, tmp_path: Path
) -> None:
    output = schedule.run(state_dir=str(tmp_path / "another"))
    assert schedule.with_outcome("not_due") == {"products", *DAILY}, "the state is all they need"
    assert not output.records["stages"], "the list is the one that was sent"
    for entry in schedule.state["bookmarks"].values():
        for part in (entry, *entry.get("partitions", [])):
            part.pop("read_at", None)
    schedule.run()
    assert schedule.with_outcome("complete") == SYNC - DAILY
    schedule.state = {}
    output = schedule.run()
    assert schedule.with_outcome("complete") == SYNC
    assert output.records["stages"] and output.records["deals"]


def test_a_clock_that_was_set_back_makes_every_list_due(schedule: Schedule) -> None:
    schedule.run(-7 * 86400)
    assert schedule.with_outcome("complete") == SYNC


def test_lists_are_cached_in_redis(schedule: Schedule) -> None:
    with running_valkey() as valkey:
        settings = {"redis_url": valkey.url, "state_dir": None}
        schedule.run(scheduled=False, **settings)
        stream, column, name = name_a_stage(schedule.simulator.account)
        output = schedule.run(**settings)
        assert name in {record[column] for record in output.records[stream]}
        assert "users" in schedule.with_outcome("not_due")


def test_a_due_list_stays_due_when_the_tokens_are_spent(schedule: Schedule) -> None:
    _, _, stage = name_a_stage(schedule.simulator.account)
    # The deal is read first; what is left then does not pay for all that follows.
    schedule.run(daily_tokens=45)
    assert schedule.streams["stages"]["outcome"] == "behind"
    output = schedule.run()
    assert stage in {record["id"] for record in output.records["stages"]}


def test_a_sweep_reads_everything(schedule: Schedule) -> None:
    output = schedule.run(sweep=True)
    assert schedule.with_outcome("not_due") <= DAILY
    assert {"stages", "users", "products"} <= output.versions.keys()


def test_a_state_with_an_invalid_time_is_refused(config: dict[str, Any], tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"bookmarks": {"stages": {"read_at": "yesterday"}}}))
    with state.open() as file, pytest.raises(ConfigurationError, match="read_at of stages"):
        TapPipedrive._from_command_line(None, file, None)

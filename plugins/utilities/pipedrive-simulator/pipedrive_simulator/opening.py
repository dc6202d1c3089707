"""Opens an account: creates it from a plan, or rebuilds it from its journal."""

from __future__ import annotations

import gc
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipedrive_simulator.account.journal import Journal
from pipedrive_simulator.clock import Clock, to_seconds, to_text
from pipedrive_simulator.generator.simulated_account import SimulatedAccount

#: Up to this size every deal is generated in full; above, deals are computed from their ids.
LIVING_LIMIT = 100_000
ENDLESS_LIMIT = 1_000_000
KINDS = ("generated", "endless", "csv")


class PlanError(ValueError):
    """A plan that cannot be carried out."""


@dataclass(frozen=True)
class Plan:
    """The parameters of an account. `now` is an instant; None means the machine's current time.

    `kind` is `generated` (a simulated sales process; above 100,000 deals `endless`), `endless`
    (deals computed from their ids, constant memory) or `csv` (files in `csv_dir`).
    """

    kind: str = "generated"
    deals: int = 10_000
    seed: int = 42
    csv_dir: str | None = None
    now: str | None = None
    company: str = "demo"
    frozen: bool = False


def open_account(plan: Plan, state_file: Path | None = None) -> SimulatedAccount:
    """Return the account of a plan; with an existing state file, the account of that file."""
    if state_file is None:
        return _build(plan, time.time())
    journal = Journal(state_file)
    lines = journal.lines()
    if not lines:
        started = time.time()
        account = _build(plan, started)
        made = {**asdict(plan), "now": to_text(account.created_at), "started": started}
        journal.write({"op": "create", **made})
    else:
        account = _rebuild(plan, lines[0], lines[1:])
    account.journal = journal
    return account


def _rebuild(plan: Plan, first: dict[str, Any], lines: list[dict[str, Any]]) -> SimulatedAccount:
    made = {key: value for key, value in first.items() if key not in ("op", "started")}
    for name in ("kind", "deals", "seed", "company"):
        if getattr(plan, name) not in (made[name], getattr(Plan, name)):
            msg = (
                f"the state file holds an account with {name}={made[name]!r}, "
                f"not {getattr(plan, name)!r}; use another state file for another account"
            )
            raise PlanError(msg)
    # The CSV folder and the frozen clock may differ in each run.
    made |= {"csv_dir": plan.csv_dir or made["csv_dir"], "frozen": plan.frozen}
    account = _build(Plan(**made), first["started"])
    for line in lines:
        account.apply(line.pop("op"), **line)
    return account


def _build(plan: Plan, started: float) -> SimulatedAccount:
    """Create an account, without garbage collection: a million new objects, and none is freed."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _make(plan, started)
    finally:
        if collecting:
            gc.enable()


def _make(plan: Plan, started: float) -> SimulatedAccount:
    if plan.kind not in KINDS:
        msg = f"no such account {plan.kind!r}; one of {', '.join(KINDS)}"
        raise PlanError(msg)
    if plan.kind == "csv":
        return _build_csv(plan, started)
    if not 0 <= plan.deals <= ENDLESS_LIMIT:
        msg = f"--deals must lie between 0 and {ENDLESS_LIMIT:,}, not {plan.deals:,}"
        raise PlanError(msg)
    now = int(started) if plan.now is None else to_seconds(plan.now)
    # The clock is frozen during generation, so that the history is the same each time.
    standing = Clock(now, frozen=True)
    account = SimulatedAccount(seed=plan.seed, clock=standing, company=plan.company)
    if plan.kind == "endless" or plan.deals > LIVING_LIMIT:
        from pipedrive_simulator.generator.streaming import make_endless

        make_endless(account, plan.deals)
    else:
        from pipedrive_simulator.generator.generate import generate

        generate(account, plan.deals)
    account.clock = Clock(now, frozen=plan.frozen, started=started)
    return account


def _build_csv(plan: Plan, started: float) -> SimulatedAccount:
    from pipedrive_simulator.csvfiles.load import load_csv, present_of, read_files

    if plan.csv_dir is None:
        msg = "the csv account needs a folder with the four files (--csv-dir)"
        raise PlanError(msg)
    tables = read_files(Path(plan.csv_dir))
    now = present_of(tables) if plan.now is None else to_seconds(plan.now)
    clock = Clock(now, frozen=plan.frozen, started=started)
    account = SimulatedAccount(seed=plan.seed, clock=clock, company=plan.company, base="USD")
    account.utc_offset = 0
    load_csv(account, tables)
    return account

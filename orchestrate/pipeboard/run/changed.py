"""The command `dbt-changed`: reads in the warehouse which models are due, and runs `dbt build`.

    dbt-changed OPTIONS OF DBT BUILD...

`ops.ops_dbt_model_status` says what each model was built from, and what has changed since; see
transform/macros/model_builds.sql. Where it cannot tell, everything is built. If nothing is due,
dbt is not started at all.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from pipeboard.database import connect, first_line
from pipeboard.database_url import DatabaseUrl
from pipeboard.errors import PipeboardError
from pipeboard.launch import BUILT_BEFORE, DATABASE, FINGERPRINT, OF_SYNC

#: The file for the report, which the supervisor reads.
REPORT = "PIPEBOARD_BUILD_REPORT"
REPORT_VERSION = 1
#: The reason in ops_dbt_model_status of a model that was not built to its end.
INCOMPLETE = "its last build is not complete"
STATUS = """
    select node_name, due_because, fingerprint from ops.ops_dbt_model_status
    order by node_name
"""


@dataclass(frozen=True)
class Row:
    """The entry of one model, seed or snapshot in the warehouse.

    Attributes:
        due_because: why it is due; None if it is current.
        fingerprint: of the project that it was built by, and the target; None if it never was.

    """

    name: str
    due_because: str | None
    fingerprint: str | None


@dataclass(frozen=True)
class Decision:
    """What to build.

    Attributes:
        due: names of models, seeds and snapshots; None means everything.
        current: how many others need no build; None where that is not known.
        reason: one line for people.
        built_before: names of those in `due` that the project, as it is, has built to the end.

    """

    due: tuple[str, ...] | None
    current: int | None
    reason: str
    built_before: tuple[str, ...] = ()


def decision_of(report: Mapping[str, Any] | None) -> Decision | None:
    """Return the decision of a report; None if it is missing, malformed or of another version."""
    if report is None or report.get("version") != REPORT_VERSION:
        return None
    due, current = report.get("due"), report.get("current")
    if not isinstance(due, list | None) or not isinstance(current, int | None):
        return None
    names = None if due is None else tuple(map(str, due))
    return Decision(names, current, str(report.get("reason")))


def decide(rows: Sequence[Row], fingerprint: str) -> Decision:
    """Decide which models are due.

    Args:
        rows: of all models, seeds and snapshots of the scheduled build.
        fingerprint: of the project as it is now, and the target.

    """
    if not rows:
        return Decision(None, None, "no model was built before")
    if any(row.fingerprint != fingerprint for row in rows):
        return Decision(None, None, "the project, a setting or dbt itself has changed")
    due = tuple(row.name for row in rows if row.due_because)
    if not due:
        return Decision((), len(rows), "nothing has changed")
    why = Counter(row.due_because for row in rows if row.due_because)
    reasons = "; ".join(f"{number} since {reason}" for reason, number in why.most_common(4))
    if len(due) == len(rows):
        return Decision(None, 0, reasons)
    built_before = tuple(row.name for row in rows if row.due_because not in (None, INCOMPLETE))
    return Decision(due, len(rows) - len(due), reasons, built_before)


def decide_by_warehouse(environ: Mapping[str, str]) -> Decision:
    """Decide by the warehouse which models are due. A missing database is reported by dbt."""
    fingerprint = environ.get(FINGERPRINT)
    if not fingerprint:
        return Decision(None, None, "the project's files cannot be told from others")
    try:
        with connect(DatabaseUrl.parse(environ.get(DATABASE, "")).url) as connection:
            rows = [Row(*row) for row in connection.execute(STATUS.encode()).fetchall()]
    except psycopg.errors.UndefinedTable:
        return Decision(None, None, "no model was built before")
    except psycopg.Error as error:
        return Decision(None, None, f"the warehouse does not say what changed: {first_line(error)}")
    except PipeboardError as error:
        return Decision(None, None, error.what)
    return decide(rows, f"{fingerprint} {environ.get('DBT_TARGET') or 'dev'}")


def main() -> int:
    """Build the models that are due; return 0 if there are none."""
    decision = decide_by_warehouse(os.environ)
    if os.environ.get(REPORT):
        report = {"version": REPORT_VERSION, **asdict(decision)}
        Path(os.environ[REPORT]).write_text(json.dumps(report), encoding="utf-8")
    if decision.due == ():
        print(f"no model is due: {decision.reason}; {decision.current} are current", flush=True)
        return 0
    number = "everything" if decision.due is None else f"{len(decision.due)} models"
    print(f"building {number}: {decision.reason}", flush=True)
    command = ["dbt", "build", *sys.argv[1:]]
    if decision.due is not None:
        command += ["--select", *decision.due]
    of_sync = {OF_SYNC: "1", BUILT_BEFORE: " ".join(decision.built_before)}
    try:
        os.execvpe(command[0], command, {**os.environ, **of_sync})
    except OSError as error:
        sys.exit(f"dbt cannot be started: {error.strerror}. Run `make setup`")


if __name__ == "__main__":
    sys.exit(main())
